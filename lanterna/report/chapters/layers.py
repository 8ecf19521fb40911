"""The table of layers."""

from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.page import render

__all__ = ["KIND"]


def _make(context: Context, _series: Series) -> Chapter:
    return Chapter(KIND.name, render("layers.html", layers=context.network.layers()))


KIND = ChapterKind("layers", None, 0.0, _make)
