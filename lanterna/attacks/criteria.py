"""What counts as fooled: objects that look at logits (B, classes) and answer for each picture."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.errors import InputError

__all__ = ["ConfidenceAbove", "Criterion", "Misclassified", "Targeted"]


class Criterion(Protocol):
    """What an attack asks for. `classes` (B,) are those that it names; `sign` is +1 where they are to be left, -1 where
    reached."""

    @property
    def classes(self) -> Tensor: ...  # noqa: D102 - said above

    @property
    def sign(self) -> int: ...  # noqa: D102 - said above

    def met(self, logits: Tensor) -> Tensor:
        """Whether each picture with these logits (B, classes) fools: (B,)."""
        ...

    def margin(self, logits: Tensor) -> Tensor:
        """How far each is beyond the frontier, in logits: positive where it fools (B,)."""
        ...

    def take(self, rows: Tensor) -> "Criterion":
        """The same for some pictures of the batch."""
        ...


def _others(logits: Tensor, classes: Tensor) -> Tensor:
    """The highest logit beside that of `classes` (B,)."""
    return logits.masked_fill(F.one_hot(classes, logits.shape[1]).bool(), -torch.inf).amax(1)


def _own(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]


@dataclass(frozen=True, eq=False)
class Misclassified:
    """Any class but the picture's own, `classes` (B,), is best."""

    classes: Tensor
    sign: int = 1

    def met(self, logits: Tensor) -> Tensor:
        """Whether another class is best (B,)."""
        return logits.argmax(1) != self.classes

    def margin(self, logits: Tensor) -> Tensor:
        """The best other logit minus the class's own (B,)."""
        return _others(logits, self.classes) - _own(logits, self.classes)

    def take(self, rows: Tensor) -> "Misclassified":
        """The same for some pictures of the batch."""
        return Misclassified(self.classes[rows])


@dataclass(frozen=True, eq=False)
class Targeted:
    """The class that was chosen, `classes` (B,), is best."""

    classes: Tensor
    sign: int = -1

    def met(self, logits: Tensor) -> Tensor:
        """Whether the chosen class is best (B,)."""
        return logits.argmax(1) == self.classes

    def margin(self, logits: Tensor) -> Tensor:
        """The chosen class's logit minus the best other (B,)."""
        return _own(logits, self.classes) - _others(logits, self.classes)

    def take(self, rows: Tensor) -> "Targeted":
        """The same for some pictures of the batch."""
        return Targeted(self.classes[rows])


@dataclass(frozen=True, eq=False)
class ConfidenceAbove:
    """`within` is met, and the class that is best has a softmax probability above `confidence`.

    Raises InputError for a confidence outside [0, 1).
    """

    within: Misclassified | Targeted
    confidence: float

    def __post_init__(self) -> None:
        if not 0 <= self.confidence < 1:
            raise InputError(f"confidence {self.confidence:g} is not allowed; it is a probability from 0 to below 1")

    @property
    def classes(self) -> Tensor:
        """The classes of `within` (B,)."""
        return self.within.classes

    @property
    def sign(self) -> int:
        """That of `within`."""
        return self.within.sign

    def met(self, logits: Tensor) -> Tensor:
        """Whether `within` is met with that confidence (B,)."""
        return self.within.met(logits) & (logits.softmax(1).amax(1) > self.confidence)

    def margin(self, logits: Tensor) -> Tensor:
        """The lesser of the margin of `within` and the log odds beyond those of the confidence (B,)."""
        margin = self.within.margin(logits)
        if self.confidence == 0:
            return margin
        best = logits.amax(1)
        odds = best - _rest(logits) - math.log(self.confidence / (1 - self.confidence))
        return torch.minimum(margin, odds)

    def take(self, rows: Tensor) -> "ConfidenceAbove":
        """The same for some pictures of the batch."""
        return ConfidenceAbove(self.within.take(rows), self.confidence)


def _rest(logits: Tensor) -> Tensor:
    best = logits.argmax(1)
    return logits.masked_fill(F.one_hot(best, logits.shape[1]).bool(), -torch.inf).logsumexp(1)
