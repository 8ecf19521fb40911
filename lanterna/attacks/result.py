"""What an attack gives back, and how it tells where it is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lanterna.attacks.criteria import Criterion
from lanterna.events import STOP, Done, Listener, Started, Stepped

__all__ = ["Attacked", "Read", "Teller", "finish", "rounded", "spread"]

# A few times the spacing of floats below 1.
_SAME = 1e-6

# From pictures (B, C, H, W) to logits (B, classes).
Read = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Attacked:
    """Pictures (B, C, H, W) in [0, 1] after an attack, one number each for the rest (B,).

    `success` says whether the pictures as they are meet the criterion, `success_rounded` whether they do with 8 bits, as a
    file has them. `l2` and `linf` are distances to what went in, for values in [0, 1]; `l2_rounded` and `linf_rounded`
    those of the 8-bit picture. `passes` counts the times that a gradient was taken through the network for each. `stopped`
    where a listener asked for it.
    """

    pictures: Tensor
    success: Tensor
    success_rounded: Tensor
    l2: Tensor
    linf: Tensor
    l2_rounded: Tensor
    linf_rounded: Tensor
    passes: Tensor
    stopped: bool

    @property
    def pictures_rounded(self) -> Tensor:
        """The pictures with 8 bits (B, C, H, W), what a file holds."""
        return rounded(self.pictures)


def rounded(pictures: Tensor) -> Tensor:
    """The nearest 8-bit picture, in [0, 1]."""
    return (pictures * 255).round() / 255


def spread(values: Tensor) -> Tensor:
    """One number for each picture, (B,), as (B, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)


def finish(read: Read, before: Tensor, after: Tensor, criterion: Criterion, passes: Tensor, stopped: bool) -> Attacked:
    """Measure `after` beside `before`, as it is and with 8 bits."""
    eight = rounded(after)
    # A picture that is on the grid of 8 bits already, but for the last bits of a float, is put there and read once.
    off = (eight - after).flatten(1).abs().amax(1) > _SAME
    after = torch.where(spread(off), after, eight)
    with torch.no_grad():
        change, change_rounded = (after - before).flatten(1), (eight - before).flatten(1)
        success = criterion.met(read(after))
        success_rounded = success.clone()
        rows = off.nonzero()[:, 0]
        if len(rows):
            success_rounded[rows] = criterion.take(rows).met(read(eight[rows]))
        return Attacked(
            pictures=after,
            success=success,
            success_rounded=success_rounded,
            l2=change.norm(dim=1),
            linf=change.abs().amax(1),
            l2_rounded=change_rounded.norm(dim=1),
            linf_rounded=change_rounded.abs().amax(1),
            passes=passes,
            stopped=stopped,
        )


class Teller:
    """Tells a listener of an attack's steps; `stopped` once it asked to stop."""

    def __init__(self, listener: Listener | None, steps: int, pictures: int) -> None:
        self._listener, self._steps, self._pictures, self._step = listener, steps, pictures, 0
        self.stopped = listener is not None and listener(Started(steps, pictures)) == STOP

    def step(self, done: int | None = None) -> bool:
        """One more step is done, or `done` in all; whether to stop."""
        self._step = self._step + 1 if done is None else done
        if self._listener is not None:
            event = Stepped(self._step, self._steps, torch.zeros(self._pictures))
            self.stopped |= self._listener(event) == STOP
        return self.stopped

    def done(self) -> bool:
        """The end; whether it was asked for."""
        if self._listener is not None:
            self._listener(Done(self._step, self.stopped))
        return self.stopped
