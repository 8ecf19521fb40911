"""What a part of the experiments gives: figures, numbers, and the sentence that would be wrong if they were otherwise."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["Figure", "Part"]


@dataclass(frozen=True)
class Figure:
    """A picture (1, 3, H, W) with the name of its file and what it shows."""

    name: str
    caption: str
    picture: Tensor


@dataclass(frozen=True)
class Part:
    """`numbers` are ready for JSON; `says` are sentences; `wrong_if` what would have refuted them."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    numbers: dict[str, Any]
    says: tuple[str, ...] = ()
    wrong_if: str = ""
    table: tuple[tuple[str, ...], ...] = field(default=())
