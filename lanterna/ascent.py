"""The loop: a canvas is rendered, the picture goes through a frozen network, the gradient of an objective comes back."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lanterna.canvas import Canvas
from lanterna.errors import OutOfMemoryError
from lanterna.events import STOP, Done, Event, Listener, Preview, Started, Stepped
from lanterna.jitter import Jitter, middle
from lanterna.networks.network import Network
from lanterna.networks.redirect import RedirectedReLU
from lanterna.objectives import PICTURE, PROGRESS, Objective
from lanterna.wording import counted

__all__ = ["REDIRECTED_STEPS", "Ascent", "Gradient", "Optimizer", "Schedule", "ascend", "cosine", "memory_told"]

# Of (pictures, read, objective, generator): the objective's values and its gradient, found in parts.
Gradient = Callable[
    [Tensor, Callable[[Tensor], dict[str, Tensor]], Objective, torch.Generator],
    tuple[Tensor, Tensor],
]
# Of (parameters, lr).
Optimizer = Callable[..., torch.optim.Optimizer]

# Lucid's number: enough for a unit to wake, few enough for the rest of the run to follow the true gradient.
REDIRECTED_STEPS = 16

# Steps from one look at whether a picture still gets no gradient to the next: a device has to wait for it.
_LOOK_EVERY = 16

# From the share of the run that is done, in [0, 1], to a factor of the learning rate.
Schedule = Callable[[float], float]


def cosine(progress: float) -> float:
    """From 1 down to 0 along half a cosine: large steps first, and none at the end to leave noise behind."""
    return (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Ascent:
    """How a run ended.

    `pictures` (B, C, H, W) in [0, 1]; `trace` (steps, B), the objective of each step's view; `steps` done; `stopped`
    where a listener asked for it; `moved` (B,), False for a picture that no true gradient ever reached through the network,
    as with a dead unit (True where the run was too short to tell). What priors pull at does not count.
    """

    pictures: Tensor
    trace: Tensor
    steps: int
    stopped: bool
    moved: Tensor


@contextmanager
def memory_told(message: str) -> Iterator[None]:
    """Raise OutOfMemoryError with `message` where memory runs out inside the block."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU allocator raises a plain RuntimeError.
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(message) from error


def ascend(
    canvas: Canvas,
    objective: Objective,
    network: Network,
    *,
    size: tuple[int, int],
    steps: int,
    generator: torch.Generator,
    lr: float = 0.05,
    schedule: Schedule | None = None,
    jitter: Jitter | None = None,
    optimizer: Optimizer = torch.optim.Adam,
    gradient: Gradient | None = None,
    passing: Mapping[str, Callable[[Tensor], Any]] | None = None,
    redirected_steps: int = REDIRECTED_STEPS,
    redirected_locally: Tensor | None = None,
    preview_every: int = 0,
    keep_best: bool = False,
    on_event: Listener | None = None,
) -> Ascent:
    """Change `canvas` for `steps` steps so that `objective` rises, and return the pictures.

    `size` (height, width) is the part in the middle of the canvas that is the picture. All chance comes from `generator`, on
    the CPU. `gradient` finds the gradient in another way than through one view of the whole, and then moves the canvas
    instead of `jitter`: see `tiles.Tiles`. Of a layer in `passing` the objective gets what the function there makes of it:
    its gradient then comes when the layer's turn does on the way back, instead of being held from the start. ReLUs are
    redirected in the first `redirected_steps`, position by position where `redirected_locally` (B,) says so; and later for as
    long as a picture gets no gradient, which is looked at every 16 steps. With `keep_best` the pictures are, each, those of
    the step whose view scored highest. Nothing else is read back from the device between steps unless a listener does so.
    Raises OutOfMemoryError.
    """
    moves = jitter or Jitter()
    layers = sorted(objective.layers - {PICTURE, PROGRESS})
    listening = on_event or _deaf
    stopped = listening(Started(steps, len(canvas.parameters[0]))) == STOP
    tuner = optimizer(canvas.parameters, lr=lr)
    batch = len(canvas.parameters[0])
    trace = torch.zeros(steps, batch, device=canvas.parameters[0].device)
    moved = torch.zeros(batch, dtype=torch.bool, device=trace.device)
    judged = asleep = False
    best: tuple[Tensor, Tensor] | None = None
    step = 0

    def look(read: Callable[[Tensor], dict[str, Tensor]]) -> Tensor:
        """One forward and one backward pass; gives what the tuner lowers, for each picture (B,)."""
        nonlocal moved, judged, asleep, best
        tuner.zero_grad(set_to_none=True)
        first = step < min(redirected_steps, steps // 2)
        # One step of so many goes without, and the last: who has woken up follows the true gradient from there on.
        redirected = first or (asleep and step % _LOOK_EVERY != 0 and step < steps - 1)
        progress = step / max(steps - 1, 1)
        rendered = canvas.render()
        with RedirectedReLU(redirected_locally if first else None) if redirected else nullcontext():
            if gradient is not None:
                values, slope = gradient(rendered, read, objective, generator)
            else:
                shown = _Watched(rendered)
                features = read(moves.view(shown.pictures, size, generator, progress))
                features[PICTURE], features[PROGRESS] = rendered, torch.tensor(progress)
                values = objective(features)
        if gradient is not None:
            rendered.backward(slope.neg_())
            reached = _reached(slope)
        else:
            (-values.sum()).backward()
            reached = _reached(shown.gradient)
            if layers:
                _hold(canvas, reached)
        with torch.no_grad():
            trace[step] = values
            if not redirected:
                moved, judged = moved | reached, True
                if redirected_steps and step % _LOOK_EVERY == 0:
                    asleep = not bool(reached.all())
            if keep_best:
                best = _better(best, values, middle(rendered, size))
        return -values.detach()

    many = f"{counted(batch, 'picture')} of {size[0]}x{size[1]}"
    told = f"memory ran out at {many}; ask for fewer units at a time or a smaller --size"
    with memory_told(told), network.reading(layers, passing) as read:
        while step < steps and not stopped:
            if schedule is not None:
                for group in tuner.param_groups:
                    group["lr"] = lr * schedule(step / max(steps - 1, 1))
            tuner.step(lambda: look(read))  # type: ignore[arg-type,return-value]  # a tensor stays on its device
            step += 1
            stopped = listening(Stepped(step, steps, trace[step - 1])) == STOP
            if preview_every and step % preview_every == 0:
                with torch.no_grad():
                    stopped |= listening(Preview(step, steps, middle(canvas.render(), size))) == STOP
    # A gradient is as large as the canvas, and nobody needs the last one.
    tuner.zero_grad(set_to_none=True)
    with torch.no_grad():
        pictures = middle(canvas.render(), size) if best is None else best[1]
    listening(Done(step, stopped))
    return Ascent(pictures.detach().clone(), trace[:step], step, stopped, moved if judged else ~moved)


def _deaf(_event: Event) -> None:
    return None


class _Watched:
    """Pictures on their way into the network, and the gradient that comes back through it: without what priors add."""

    def __init__(self, rendered: Tensor) -> None:
        self.pictures = rendered.view_as(rendered)
        self.gradient = torch.zeros_like(rendered[:, :1, :1, :1])
        self.pictures.register_hook(self._keep)

    def _keep(self, gradient: Tensor) -> None:
        self.gradient = gradient


def _reached(gradient: Tensor) -> Tensor:
    """Which pictures of the batch got any gradient in this step."""
    return (gradient != 0).flatten(1).any(1)


def _hold(canvas: Canvas, reached: Tensor) -> None:
    """No gradient for pictures that got none through the network: priors alone would make them flat, and they stay asleep."""
    for parameter in canvas.parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(reached.view(-1, *[1] * (parameter.ndim - 1)))


def _better(best: tuple[Tensor, Tensor] | None, values: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The best value and picture of each so far, chosen on the device."""
    if best is None:
        return values.clone(), pictures.clone()
    won = values > best[0]
    return torch.where(won, values, best[0]), torch.where(won.view(-1, 1, 1, 1), pictures, best[1])
