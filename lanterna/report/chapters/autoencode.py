"""Autoencoders: what is left of a digit at each size of the code, and why that works for digits and not for noise."""

from dataclasses import asdict

import torch
from torch import Tensor

from lanterna.autoencode.quick import CODES, Quick, quick
from lanterna.autoencode.run import run
from lanterna.errors import MissingError, StoppedError
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.page import render

__all__ = ["KIND"]

# Of noise a code can bring back what its numbers are of the pixels; beyond that, what a training leaves to chance.
_CHANCE = 0.02


def _strip(pictures: Tensor) -> Tensor:
    """Pictures (N, C, S, S) side by side, a pixel apart, as (1, 3, S, N S + N - 1)."""
    gap = torch.full((1, 3, pictures.shape[2], 1), 0.5)
    parts: list[Tensor] = []
    for picture in pictures:
        parts += [gap, picture[None].expand(1, 3, -1, -1).clamp(0, 1)]
    return torch.cat(parts[1:], dim=3)


def _make(context: Context, series: Series) -> Chapter | None:
    try:
        made = quick(context.recipe.seed, context.recipe.steps, series.part(context.seconds))
    except MissingError as error:
        return left_out(KIND.name, "missing", message=str(error))
    except StoppedError:
        return None
    better = [size.code for size in made.sizes if size.mse < size.pca_mse]
    noise = made.kinds[-1]
    dull = noise.error >= 1 - made.kinds_code / made.originals[0].numel() - _CHANCE
    values = {"made": made, "better": better, "noise": noise, "data": made.kinds[0]}
    recipe = made.recipe
    said = command(
        "autoencode", data=recipe.data, model=recipe.model, code=",".join(map(str, CODES)), epochs=recipe.epochs,
        most=recipe.most, augment=recipe.augment, parts=",".join(recipe.parts), seed=recipe.seed,
    )  # fmt: skip
    return framed(
        KIND.name,
        render("autoencode_chapter.html", made=made, strip=_strip),
        values=values,
        # A short training that does not reach PCA says nothing of a long one.
        holds=None if not better and not made.from_cache else bool(better) and dull,
        how=[how(recipe, run, None, None, said)],
        papers=(papers.HINTON,),
        numbers=_numbers(made),
    )


def _numbers(made: Quick) -> dict[str, object]:
    return {
        "pictures": made.pictures,
        "epochs": made.recipe.epochs,
        "from_cache": made.from_cache,
        "mean_picture_mse": made.mean_mse,
        "sizes": [{key: value for key, value in asdict(size).items() if key != "pictures"} for size in made.sizes],
        "kinds": [{"pictures": kind.name, "relative_mse": kind.error} for kind in made.kinds],
    }


KIND = ChapterKind("autoencode", 8, 0.8, _make)
