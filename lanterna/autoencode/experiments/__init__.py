"""What autoencoders show: one file each. A part takes the workshop and gives figures and numbers."""

from collections.abc import Callable

from lanterna.autoencode.experiments import bits, generate, loses, lossy, manifold, regular, specific
from lanterna.autoencode.part import Part
from lanterna.autoencode.workshop import Workshop

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: dict[str, Callable[[Workshop], Part | None]] = {
    "lossy": lossy.make,
    "bits": bits.make,
    "specific": specific.make,
    "regular": regular.make,
    "loses": loses.make,
    "manifold": manifold.make,
    "generate": generate.make,
}
