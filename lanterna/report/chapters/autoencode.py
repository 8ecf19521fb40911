"""Autoencoders: what is left of a digit at each size of the code, and why that works for digits and not for noise.

The full run of `autoencode` comes with the package; the reader's own picture goes through one of its nets.
"""

from typing import Any

import torch

from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.run import run
from lanterna.autoencode.stored import Kept, kept
from lanterna.manifold.sets import grey
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed
from lanterna.report.how import command_for, how
from lanterna.report.page import render
from lanterna.report.strips import strip

__all__ = ["KIND"]

# Of noise a code can bring back what its numbers are of the pixels; beyond that, what a training leaves to chance.
_CHANCE = 0.02


def _make(context: Context, series: Series) -> Chapter | None:
    found = kept()
    better = [size.code for size in found.sizes if size.mse < size.pca_mse]
    noise = found.kinds[-1]
    dull = noise.error >= 1 - found.kinds_code / found.originals[0].numel() - _CHANCE
    mine = grey(context.picture, fit=True)
    back = found.net.project(mine)
    yours = float((back - mine).square().mean())
    recipe = AutoencodeRecipe.model_validate(found.recipe)
    again = command_for("autoencode", recipe)
    return framed(
        KIND.name,
        render("autoencode_chapter.html", made=found, strip=strip, mine=torch.cat([mine, back]), error=yours),
        values={"made": found, "better": better, "noise": noise, "data": found.kinds[0], "command": again},
        holds=bool(better) and dull,
        how=[how(recipe, run, None, None, again)],
        papers=(papers.HINTON,),
        numbers={**_numbers(found), "your_picture": {"code": found.net.code, "mse": yours}},
    )


def _numbers(found: Kept) -> dict[str, Any]:
    return {
        "pictures": found.pictures,
        "epochs": found.recipe["epochs"],
        "mean_picture_mse": found.mean_mse,
        "sizes": [{"code": size.code, "mse": size.mse, "pca_mse": size.pca_mse} for size in found.sizes],
        "kinds": [{"pictures": kind.name, "relative_mse": kind.error} for kind in found.kinds],
    }


KIND = ChapterKind("autoencode", 8, 0.0, _make)
