"""What a run tells while it runs. The library never prints: bars, pages and logs are listeners.

A listener that returns `STOP` ends the run within one step; the run then returns what it has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STOP", "Done", "Entered", "Event", "Expected", "Listener", "Preview", "Started", "Stepped"]

STOP: Final = "stop"


@dataclass(frozen=True)
class Started:
    """The run begins: `steps` is how many it will take."""

    steps: int
    pictures: int


@dataclass(frozen=True)
class Stepped:
    """One step is done. `values` (B,) is the objective, still on its device: reading it waits for the device."""

    step: int
    steps: int
    values: "Tensor"


@dataclass(frozen=True)
class Preview:
    """The pictures (B, C, H, W) in [0, 1] as they are now."""

    step: int
    steps: int
    pictures: "Tensor"


@dataclass(frozen=True)
class Done:
    """The run has ended after `step` steps; `stopped` where a listener asked for it."""

    step: int
    stopped: bool


@dataclass(frozen=True)
class Entered:
    """A part of a longer job begins; `title` is for people."""

    title: str


@dataclass(frozen=True)
class Expected:
    """What the run will take on this machine, in seconds: measured just before it begins, where it takes long."""

    seconds: float


Event = Started | Stepped | Preview | Done | Entered | Expected
Listener = Callable[[Event], Literal["stop"] | None]
