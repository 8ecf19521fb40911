"""The chapters of the tour, in order; one file each."""

from lanterna.report.chapter import ChapterKind
from lanterna.report.chapters import best_class, dream, fooled, invert, layers, manifold, patterns, style, units

__all__ = ["CHAPTERS"]

CHAPTERS: tuple[ChapterKind, ...] = (
    units.KIND,
    patterns.KIND,
    best_class.KIND,
    invert.KIND,
    dream.KIND,
    style.KIND,
    fooled.KIND,
    manifold.KIND,
    layers.KIND,
)
