"""Small classifiers that judge, and one that is attacked: trained on the same pictures, each by itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.autoencode.augment import moved
from lanterna.autoencode.pictures import Classed
from lanterna.autoencode.training import Plan, train
from lanterna.autoencode.workshop import Workshop
from lanterna.errors import StoppedError
from lanterna.networks.network import Network
from lanterna.networks.preprocessing import Preprocessing

__all__ = ["accuracy", "classifier", "wrapped"]


def _module(channels: int, side: int, classes: int, width: int, kernel: int) -> nn.Module:
    small = side // 4
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * small * small, classes),
    )  # fmt: skip


def classifier(shop: Workshop, classed: Classed, number: int = 0, epochs: int = 6) -> nn.Module:
    """A classifier of `classed`; `number` 0 and 1 differ in width, kernel and seed: a second opinion.

    It takes (B, C, S, S) in [0, 1] to logits (B, classes). Raises StoppedError where the reader asked to stop.
    """
    channels, side = classed.train.shape[1:3]
    seed = shop.recipe.seed + 7 + number
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = _module(channels, side, len(classed.classes), (12, 16)[number], (5, 3)[number])

    def loss(net: nn.Module, batch: Tensor, _generator: torch.Generator) -> Tensor:
        pictures, wanted = batch
        return F.cross_entropy(net(pictures), wanted)

    def error(net: nn.Module) -> float:
        return 1 - accuracy(net, classed.held_out, classed.held_out_labels)

    shop.series.enter(f"classifier {number + 1}")
    made = train(
        module, loss, classed.train, error, Plan(epochs=epochs, batch=min(64, len(classed.train)), lr=3e-3), seed,
        labels=classed.train_labels,
        augment=lambda batch, generator: moved(batch, generator, turn=4, zoom=0.04, shift=0.03, bend=0.0),
        # No share of the whole: only so that a request to stop is heard at each step.
        on_event=shop.series.part(0.0),
    )  # fmt: skip
    if made.stopped:
        raise StoppedError("stopped while a classifier was trained")
    return made.module


@torch.no_grad()
def accuracy(net: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """The share of `pictures` (N, C, S, S) that are classified as their `labels` (N,) say."""
    found = torch.cat([net(part).argmax(1) for part in pictures.split(500)])
    return float((found == labels).float().mean())


def wrapped(net: nn.Module, shop: Workshop) -> Network:
    """A classifier as a network, for the one loop."""
    channels, side = shop.split.train.shape[1:3]
    preprocessing = Preprocessing(mean=(0.0,) * channels, std=(1.0,) * channels, channels=channels, size=(side, side))
    return Network.wrap(net, name=shop.split.name, preprocessing=preprocessing, labels=shop.split.classes)
