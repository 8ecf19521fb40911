"""The discriminative one: a small convolutional network that is asked for nothing but the class."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.events import Listener
from lanterna.manifold.measures import fitted_temperature
from lanterna.manifold.sets import SIDE, Split
from lanterna.manifold.training import cached, initialise, minimise, shuffled_batches

__all__ = ["Classifier", "trained_classifier"]

_BATCH, _LR = 128, 3e-3


class Classifier(nn.Module):
    """Three convolutions and one hidden layer; (B, 1, 28, 28) in [0, 1] to logits (B, K).

    `temperature` divides the logits where probabilities are read (Guo et al., "On Calibration of Modern Neural Networks",
    2017); logits themselves are as they were trained.
    """

    temperature: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.hidden = nn.Linear(48 * (SIDE // 4) ** 2, 64)
        self.head = nn.Linear(64, classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, K)."""
        found: Tensor = self.head(F.relu(self.hidden(self.features(pictures - 0.5))))
        return found


def about(split: Split, steps: int, seed: int) -> dict[str, Any]:
    """All that decides the weights."""
    return {**split.about, "steps": steps, "seed": seed, "batch": _BATCH, "lr": _LR}


def trained_classifier(split: Split, steps: int, seed: int, on_event: Listener | None = None) -> tuple[Classifier, bool]:
    """The classifier for `split`, from the cache where it is there; its temperature is fitted on the held-out part."""

    def train(model: Classifier) -> None:
        generator = torch.Generator().manual_seed(seed)
        initialise(model, generator)
        batches = shuffled_batches(len(split.train), _BATCH, generator)

        def loss() -> Tensor:
            chosen = next(batches)
            return F.cross_entropy(model(split.train[chosen]), split.train_labels[chosen])

        minimise(model.parameters(), loss, steps, _LR, on_event)
        with torch.no_grad():
            model.temperature.fill_(fitted_temperature(model(split.held), split.held_labels))

    return cached("classifier", about(split, steps, seed), lambda: Classifier(len(split.classes)), train)
