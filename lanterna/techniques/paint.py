"""Coarse to fine: one picture through a series of sizes, each going on where the last one ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lanterna.ascent import ascend
from lanterna.averaged import AveragedAdam, CarriedLBFGS, resized
from lanterna.canvas import PictureCanvas
from lanterna.errors import LanternaError
from lanterna.events import Event, Listener, Preview, Stepped
from lanterna.jitter import Jitter
from lanterna.networks.network import Network
from lanterna.objectives import Objective
from lanterna.progress import Series
from lanterna.summaries import Term, TiledTerms, Tiling, as_objective, in_passing

__all__ = ["Painted", "Scale", "Sketch", "paint", "settling"]

Size = tuple[int, int]

# Of the averaged picture. crowsonkb/style-transfer-pytorch has 0.99, for 500 steps of a size and more. Pictures move on while
# they tremble: after 60 steps at 512 px the average by 0.95 had thrice the style loss of the picture itself, by 0.8 the same.
_DECAY = 0.8

# What the rate falls to in the second half of a size's steps, of what it was: in long runs pixels would tremble to the end.
_SETTLED = 0.1


@dataclass(frozen=True)
class Scale:
    """What one size asks for: its losses, and the tiles it is gone through by (None for the whole at once).

    `begun` makes of the picture that the size before gave, (1, 3, H, W) at this size, the one that this size begins with.
    """

    size: Size
    steps: int
    terms: Sequence[Term]
    priors: Sequence[tuple[float, Objective]]
    tiling: Tiling | None
    begun: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Sketch:
    """Where a run stands: what a checkpoint holds. `state` is the optimiser's, at the picture's size."""

    scale: int
    step: int
    picture: Tensor
    state: dict[str, Tensor]


@dataclass(frozen=True)
class Painted:
    """`picture` (1, 3, H, W) in [0, 1]; `trace`, the loss of each step; `steps` of each scale; `stopped` by a listener."""

    picture: Tensor
    trace: Tensor
    steps: tuple[int, ...]
    stopped: bool


def settling(progress: float) -> float:
    """The factor of the learning rate: 1 in the first half of a size's steps, then less and less."""
    return 1 - (1 - _SETTLED) * max(0.0, 2 * progress - 1)


def paint(
    network: Network,
    sizes: Sequence[Size],
    steps: Sequence[int],
    scale_at: Callable[[Size, int], Scale],
    start: Sketch,
    *,
    lr: float,
    optimizer: Literal["adam", "lbfgs"],
    keep: Callable[[Sketch], None] | None = None,
    keep_every: int = 1,
    preview_every: int = 0,
    on_event: Listener | None = None,
) -> Painted:
    """Change the picture of `start` so that the losses of every size fall, smallest size first.

    What the optimiser has gathered is carried from size to size; the picture that goes on, and comes out, is with Adam the
    average of the last steps. `scale_at(size, steps)` makes the losses ready. `keep` gets a sketch after every `keep_every`
    steps of a size, and of a run that is stopped.
    Raises LanternaError where a loss is not finite.
    """
    series = Series(on_event, sum(s[0] * s[1] * n for s, n in zip(sizes, steps, strict=True)) or 1)
    picture, state = start.picture, start.state
    traces: list[Tensor] = []
    done = []
    for index, (size, count) in enumerate(zip(sizes, steps, strict=True)):
        tell = series.part(size[0] * size[1] * count)
        first = start.step if index == start.scale else 0
        if index < start.scale or series.stopped:
            continue
        scale = scale_at(size, count)
        given = resized(picture, size).to(network.device)
        if not first:
            given = given.clamp(0, 1) if scale.begun is None else scale.begun(given.clamp(0, 1))
        canvas = PictureCanvas(given)
        tuner = (
            AveragedAdam(canvas.parameters, lr, decay=_DECAY, carried=state)
            if optimizer == "adam"
            else CarriedLBFGS(canvas.parameters, lr, carried=state)
        )
        # Twenty pictures with L-BFGS, which forgets them one by one.
        state = {}

        def listen(
            event: Event,
            size: Size = size,
            index: int = index,
            first: int = first,
            tell: Listener = tell,
            tuner: AveragedAdam | CarriedLBFGS = tuner,
        ) -> Literal["stop"] | None:
            if isinstance(event, Stepped):
                if not bool(torch.isfinite(event.values).all()):
                    raise LanternaError(
                        f"the loss became {float(event.values[0])} in step {event.step} at {size[0]}x{size[1]}; "
                        f"use {'a smaller --lr, or ' if optimizer == 'adam' else ''}weights that are closer to the defaults"
                    )
                if keep is not None and (first + event.step) % keep_every == 0:
                    keep(Sketch(index, first + event.step, tuner.picture.detach().cpu().clone(), tuner.snapshot()))
            if isinstance(event, Preview):
                event = Preview(event.step, event.steps, tuner.average)
            return tell(event)

        def rate(progress: float, count: int = count, first: int = first) -> float:
            # Of all of the size's steps, those before a checkpoint too; whole numbers, so that the bits are the same.
            return settling((first + round(progress * (count - first - 1))) / max(count - 1, 1))

        objective = as_objective(scale.terms, scale.priors)
        result = ascend(
            canvas,
            objective,
            network,
            size=size,
            steps=count - first,
            generator=torch.Generator(),
            lr=lr,
            schedule=rate if optimizer == "adam" else None,
            jitter=Jitter.none(),
            optimizer=lambda _parameters, lr, tuner=tuner: tuner,
            gradient=TiledTerms(scale.terms, scale.tiling, scale.priors) if scale.tiling else None,
            passing=None if scale.tiling else in_passing(scale.terms),
            redirected_steps=0,
            preview_every=preview_every,
            on_event=listen,
        )
        if series.stopped and keep is not None:
            keep(Sketch(index, first + result.steps, tuner.picture.detach().cpu().clone(), tuner.snapshot()))
        picture = tuner.average
        if index + 1 < len(sizes) and not series.stopped:
            state = tuner.carry(sizes[index + 1])
        traces.append(-result.trace[:, 0].cpu())
        done.append(first + result.steps)
        # What a size holds goes before the next one's comes.
        del tuner, canvas, scale, listen
    return Painted(picture.detach().cpu(), torch.cat(traces) if traces else torch.zeros(0), tuple(done), series.stopped)
