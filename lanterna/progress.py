"""Several runs told as one, so that a bar knows the time left for all of them."""

from typing import Literal

import torch

from lanterna.events import Done, Entered, Event, Listener, Preview, Started, Stepped

__all__ = ["Series"]

# Steps of the whole that are told: fine enough for a bar.
_RESOLUTION = 1000


class Series:
    """Tells `listener` of runs that share `total`, in any unit: seconds, say. `stopped` once the listener asked to stop."""

    def __init__(self, listener: Listener | None, total: float) -> None:
        self._listener = listener
        self._total, self._before, self._told = max(total, 1e-9), 0.0, 0
        self.stopped = False
        self._tell(Started(_RESOLUTION, 1))

    def _tell(self, event: Event) -> Literal["stop"] | None:
        answer = self._listener(event) if self._listener else None
        self.stopped |= answer is not None
        return "stop" if self.stopped else None

    def _reach(self, done: float, values: torch.Tensor | None = None) -> Literal["stop"] | None:
        step = min(int(_RESOLUTION * done / self._total + 1e-6), _RESOLUTION)
        if step <= self._told:
            # Too little to show, but a request to stop has to be heard at each step.
            step = max(self._told, 1)
        self._told = step
        return self._tell(Stepped(step, _RESOLUTION, torch.zeros(1) if values is None else values))

    def enter(self, title: str) -> None:
        """Say what comes next."""
        self._tell(Entered(title))

    def reach(self, done: float) -> None:
        """So much of the total is behind us, whatever was told of it: a part was left out, or shorter than planned."""
        self._before = done
        self._reach(done)

    def part(self, weight: float) -> Listener:
        """The listener for one run that is `weight` of the total. A run that fails, or ends early, counts as done."""
        start = self._before
        self._before += weight

        def listen(event: Event) -> Literal["stop"] | None:
            if isinstance(event, Stepped):
                return self._reach(start + weight * event.step / max(event.steps, 1), event.values)
            if isinstance(event, Done):
                return self._reach(start + weight)
            if isinstance(event, Preview | Entered):
                return self._tell(event)
            return "stop" if self.stopped else None

        return listen
