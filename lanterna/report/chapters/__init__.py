"""The chapters of the tour in the lecture's order, one file each."""

from lanterna.report.chapter import ChapterKind
from lanterna.report.chapters import autoencode, best_class, dream, fooled, invert, layers, manifold, style, units

__all__ = ["CHAPTERS"]

CHAPTERS: tuple[ChapterKind, ...] = (
    best_class.KIND,
    units.KIND,
    invert.KIND,
    dream.KIND,
    style.KIND,
    fooled.KIND,
    manifold.KIND,
    autoencode.KIND,
    layers.KIND,
)
