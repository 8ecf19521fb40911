"""The chapters of the tour, in order; one file each."""

from lanterna.report.chapter import ChapterKind
from lanterna.report.chapters import best_class, layers, style, units

__all__ = ["CHAPTERS"]

CHAPTERS: tuple[ChapterKind, ...] = (units.KIND, best_class.KIND, style.KIND, layers.KIND)
