"""Both classifiers, asked the same question about the same pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lanterna.manifold.classifier import Classifier
from lanterna.manifold.densities import Densities
from lanterna.manifold.sets import SIDE
from lanterna.networks.network import Network
from lanterna.networks.preprocessing import Preprocessing

__all__ = ["Judged", "Judges"]

_AT_ONCE = 500
# Of the codes in each step of an attack; what an attack found is judged with all of them.
HURRIED_STEPS = 12


@dataclass(frozen=True)
class Judged:
    """What both say about B pictures; all (B,).

    Confidences are of the best class after calibration. The generative classifier's `density_posterior` is among its classes
    only; its `density_confidence` has "none of them" as one more answer, with the density at its floor. `density` is
    log p(picture) in nats.
    """

    frontier_class: Tensor
    frontier_confidence: Tensor
    density_class: Tensor
    density_posterior: Tensor
    density_confidence: Tensor
    density: Tensor


class _Divided(nn.Module):
    def __init__(self, inner: nn.Module, divisor: float) -> None:
        super().__init__()
        self.inner, self.divisor = inner, divisor

    def forward(self, pictures: Tensor) -> Tensor:
        divided: Tensor = self.inner(pictures) / self.divisor
        return divided


class _Hurried(nn.Module):
    def __init__(self, judges: "Judges") -> None:
        super().__init__()
        self.densities = judges.densities

    def forward(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.densities(pictures, code_steps=HURRIED_STEPS)
        return found


@dataclass(frozen=True)
class Judges:
    """The discriminative `classifier` and the generative `densities` of one seed."""

    classifier: Classifier
    densities: Densities

    @property
    def floor(self) -> float:
        """The log density that 1 % of the held-out pictures are below."""
        return float(self.densities.floor)

    def judge(self, pictures: Tensor) -> Judged:
        """What both say about `pictures` (B, 1, 28, 28)."""
        with torch.no_grad():
            parts = [self._judge(part) for part in pictures.split(_AT_ONCE)]
        return Judged(*(torch.cat(found) for found in zip(*parts, strict=True)))

    def frontier_log_confidence(self, pictures: Tensor) -> Tensor:
        """Calibrated log probabilities (B, K) of the discriminative classifier, with gradient."""
        found: Tensor = (self.classifier(pictures) / self.classifier.temperature).log_softmax(1)
        return found

    def density_log_confidence(self, pictures: Tensor) -> Tensor:
        """Calibrated log probabilities (B, K) of the generative classifier with "none of them" as one; with gradient."""
        return self._with_none(self.hurried(pictures))[:, :-1]

    def hurried(self, pictures: Tensor) -> Tensor:
        """The generative classifier's log densities (B, K) after fewer steps of the codes, for attacks."""
        found: Tensor = self.densities(pictures, code_steps=HURRIED_STEPS)
        return found

    def attacked(self, pictures: Tensor) -> dict[str, Network]:
        """Both as networks for attacks, by name, the generative one hurried; `pictures` (B, 1, 28, 28) are some real ones.

        Logits are divided so that the best class leads by 5 on half of them: further apart, cross entropy has no gradient
        left, and who wins stays the same.
        """
        found = {}
        for name, logits in {"discriminative": self.classifier, "generative": _Hurried(self)}.items():
            with torch.no_grad():
                best = logits(pictures).topk(2, 1).values
            lead = float((best[:, 0] - best[:, 1]).median())
            preprocessing = Preprocessing(channels=1, size=(SIDE, SIDE))
            found[name] = Network.wrap(_Divided(logits, max(lead / 5, 1e-6)), name=name, preprocessing=preprocessing)
        return found

    def _with_none(self, logits: Tensor) -> Tensor:
        none = self.densities.floor.expand(len(logits), 1)
        return (torch.cat([logits, none], 1) / self.densities.temperature).log_softmax(1)

    def _judge(self, pictures: Tensor) -> tuple[Tensor, ...]:
        frontier = self.frontier_log_confidence(pictures).exp().max(1)
        logits = self.densities(pictures)
        posterior = (logits / self.densities.temperature).softmax(1).max(1)
        confidence = self._with_none(logits)[:, :-1].exp().amax(1)
        return frontier.indices, frontier.values, posterior.indices, posterior.values, confidence, logits.logsumexp(1)
