"""What autoencoders show: one file each. A part takes the workshop and gives figures and numbers."""

from collections.abc import Callable

from lanterna.autoencode.experiments import lossy
from lanterna.autoencode.part import Part
from lanterna.autoencode.workshop import Workshop

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: dict[str, Callable[[Workshop], Part | None]] = {
    "lossy": lossy.make,
}
