"""How many steps fit into the time."""

import time
from collections.abc import Callable

from lanterna.events import Event, Listener, Stepped

__all__ = ["fitting", "step_cost"]


def step_cost(run: Callable[[Listener], object]) -> float:
    """Seconds for a step of `run`, which gets a listener and takes two steps or more; the first is not counted."""
    ticks: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Stepped):
            ticks.append(time.perf_counter())

    run(note)
    return (ticks[-1] - ticks[0]) / max(len(ticks) - 1, 1)


def fitting(seconds: float, cost: float, least: int, most: int) -> int:
    """The steps, at `cost` seconds each, that fit into `seconds`, between `least` and `most`."""
    return int(min(max(seconds / max(cost, 1e-4), least), most))
