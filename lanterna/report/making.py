"""Chapters one after the other: taken from an earlier tour, made, or told to have failed while the others go on."""

import time
from collections.abc import Sequence
from dataclasses import replace

from lanterna.errors import LanternaError, StoppedError
from lanterna.progress import Series
from lanterna.report import kept
from lanterna.report.chapter import Chapter, ChapterKind, Context, left_out
from lanterna.report.figures import collecting
from lanterna.report.painter import PAINTED

__all__ = ["FAILED", "make_chapters"]

# The reason of a chapter that was left out because its making failed.
FAILED = "failed"


def _said(error: Exception) -> str:
    """The error in one line: ours say what to do, of others the kind says what they are."""
    lines = str(error).splitlines() or [""]
    return lines[0] if isinstance(error, LanternaError) else f"{type(error).__name__}: {lines[0]}".rstrip(": ")


def _make(kind: ChapterKind, context: Context, series: Series) -> Chapter | None:
    try:
        with collecting(kind.name, context.network, context.arch, context.recipe) as figures:
            made = kind.make(context, series)
        return None if made is None else replace(made, figures=tuple(figures))
    except StoppedError:
        return None
    # Whatever a network of the reader's raises in the middle of a chapter, the other chapters are not worse for it.
    except Exception as error:
        return left_out(kind.name, FAILED, message=_said(error))


def make_chapters(
    kinds: Sequence[ChapterKind], context: Context, painting: Context, series: Series
) -> tuple[list[Chapter], dict[str, float]]:
    """The chapters of `kinds`, those of the painter with the context `painting`, and the seconds of each.

    Chapters that an earlier tour had made are taken from it and have no seconds.
    """
    shares = sum(kind.share for kind in kinds) or 1.0
    around = {id(one): kept.surroundings(one) for one in (context, painting)}
    chapters: list[Chapter] = []
    spent: dict[str, float] = {}
    behind = 0.0
    for kind in kinds:
        base = painting if kind.name in PAINTED else context
        own = replace(base, seconds=context.recipe.seconds * kind.share / shares)
        key = kept.key(kind.name, own, around[id(base)])
        made = kept.find(key)
        if made is None and series.stopped and kind.share:
            # What takes no time, as tables do, is there on a page that was stopped as well.
            continue
        if made is None:
            begun = time.perf_counter()
            series.enter(kind.title)
            made = _make(kind, own, series)
            # A chapter that was left out costs nothing, and what it lacks may be here the next time.
            if made is not None and made.left_out is None and not series.stopped:
                kept.keep(key, made)
            spent[kind.name] = time.perf_counter() - begun
        behind += own.seconds
        series.reach(behind)
        if made is not None:
            chapters.append(made)
    return chapters, spent
