"""Long runs that take turns in one process, so that whatever else slows the machine slows them alike."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Turn", "in_turns"]

T = TypeVar("T")


class Turn:
    """One of the runs that take turns. It computes only while it is the first in the line."""

    def __init__(self, line: deque["Turn"], changed: threading.Condition, seconds: float, clock: Callable[[], float]) -> None:
        self._line, self._changed, self._slice, self._clock = line, changed, seconds, clock
        self._spent = self._since = 0.0
        line.append(self)

    @property
    def spent(self) -> float:
        """Seconds of its own turns up to now; for the run that has the turn."""
        return self._spent + self._clock() - self._since

    def begin(self) -> None:
        """Wait until it is the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._line[0] is self)
        self._since = self._clock()

    def offer(self) -> None:
        """Let the others go on if the slice is over; to be called after each step."""
        if self._clock() - self._since < self._slice:
            return
        self._spent = self.spent
        with self._changed:
            self._line.rotate(-1)
            self._changed.notify_all()
        self.begin()

    def end(self) -> None:
        """Leave the line."""
        with self._changed:
            self._line.remove(self)
            self._changed.notify_all()


def in_turns(runs: Mapping[str, Callable[[Turn], T]], seconds: float, clock: Callable[[], float]) -> dict[str, T]:
    """What each of the runs gives. Each has `seconds` by `clock` at a time, and calls `offer` of its turn after each step."""
    line: deque[Turn] = deque()
    changed = threading.Condition()
    turns = {name: Turn(line, changed, seconds, clock) for name in runs}

    def whole(name: str) -> T:
        try:
            turns[name].begin()
            return runs[name](turns[name])
        finally:
            turns[name].end()

    with ThreadPoolExecutor(len(runs)) as pool:
        futures = {name: pool.submit(whole, name) for name in runs}
        return {name: future.result() for name, future in futures.items()}
