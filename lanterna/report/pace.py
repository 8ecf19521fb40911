"""What fits into the time: how many steps, by seconds that were measured, and how large, by the operations of a pass."""

import time
from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from lanterna.errors import LanternaError
from lanterna.events import Event, Listener, Stepped
from lanterna.networks.network import Network

__all__ = ["affordable_side", "fitting", "step_cost"]

# Sides are multiples of this, which is the stride of most networks' deepest maps.
_STRIDE = 32
# A picture smaller than this shows nothing of a deep layer.
_LEAST_SIDE = 64


def step_cost(run: Callable[[Listener], object]) -> float:
    """Seconds for a step of `run`, which gets a listener and takes two steps or more; the first is not counted.

    A run that takes none, as of units whose answer is known, costs nothing.
    """
    ticks: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Stepped):
            ticks.append(time.perf_counter())

    run(note)
    return (ticks[-1] - ticks[0]) / (len(ticks) - 1) if len(ticks) > 1 else 0.0


def fitting(seconds: float, cost: float, least: int, most: int) -> int:
    """The steps, at `cost` seconds each, that fit into `seconds`, between `least` and `most`."""
    return int(min(max(seconds / max(cost, 1e-4), least), most))


def affordable_side(network: Network, layers: Sequence[str], most: int, operations: float) -> int:
    """The side, at most `most` pixels, at which a picture's way to `layers` takes no more than `operations`.

    Counted and not timed, so that the same tour has the same sizes on any machine, however busy, and finds its kept chapters.
    """
    try:
        network.check_size((most, most), layers)
    except LanternaError:
        # Of one size only, or with longer strides than the picture: whoever uses the side says so.
        return most
    counter = FlopCounterMode(display=False)
    with network.reading(layers) as read, torch.no_grad(), counter:
        read(torch.full((1, network.channels, most, most), 0.5, device=network.device))
    share = operations / max(counter.get_total_flops(), 1)
    if share >= 1:
        return most
    return min(max(int(most * share**0.5) // _STRIDE * _STRIDE, _LEAST_SIDE), most)
