"""`replay`: make a picture again from the record inside it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from lanterna import pictures
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.cli import autoencode, dream, fool, invert, manifold, patterns, stylize, visualize
from lanterna.cli.console import errors
from lanterna.cli.options import Common, load_network, readable
from lanterna.errors import InputError, UnknownNameError
from lanterna.provenance import warnings_about
from lanterna.recipe import Recipe
from lanterna.techniques.dream import DreamRecipe
from lanterna.techniques.fool import FoolRecipe
from lanterna.techniques.fool_noise import FoolNoiseRecipe
from lanterna.techniques.invert import InvertRecipe
from lanterna.techniques.manifold import ManifoldRecipe
from lanterna.techniques.patterns import PatternsRecipe
from lanterna.techniques.style_recipe import StylizeClipRecipe, StylizeRecipe, TextureRecipe
from lanterna.techniques.visualize import VisualizeRecipe

__all__ = ["replay"]


@dataclass(frozen=True)
class _Technique:
    """How the record of one technique is read, and who makes its picture: (recipe, network, flags, out, options, record)."""

    recipe: type[Recipe]
    again: Callable[[Any, Any, Common, Path, dict[str, Any], dict[str, Any]], int]


TECHNIQUES = {
    "invert": _Technique(InvertRecipe, invert.again),
    "visualize": _Technique(VisualizeRecipe, visualize.again),
    "manifold": _Technique(ManifoldRecipe, manifold.again),
    "patterns": _Technique(PatternsRecipe, patterns.again),
    "dream": _Technique(DreamRecipe, dream.again),
    "fool": _Technique(FoolRecipe, fool.again),
    "fool-noise": _Technique(FoolNoiseRecipe, fool.again_noise),
    "stylize": _Technique(StylizeRecipe, stylize.again),
    "stylize-clip": _Technique(StylizeClipRecipe, stylize.again),
    "texture": _Technique(TextureRecipe, stylize.again),
    "autoencode": _Technique(AutoencodeRecipe, autoencode.again),
}


def replay(
    picture: Path,
    /,
    *,
    out: Annotated[Path, Parameter(help="the PNG to write")] = Path("replay.png"),
    common: Common | None = None,
) -> int:
    """Make PICTURE again from the recipe that is inside it: same machine, same thread count, same bits.

    Example: lanterna replay sealion.png --out again.png
    """
    common = common or Common()
    record = pictures.read_recipe(picture)
    pictures.check_writable(out)
    if os.path.realpath(out) == os.path.realpath(picture):
        raise InputError(f"--out {out} is the picture itself; give another name")
    try:
        name = str(record["recipe"]["technique"])
        if name not in TECHNIQUES:
            raise UnknownNameError("technique", name, TECHNIQUES, hint=f"{picture} was made by another version")
        technique = TECHNIQUES[name]
        recipe = technique.recipe.model_validate(record["recipe"])
        spec = None if record["network"] is None else str(record["network"]["source"])
        options: dict[str, Any] = {"arch": None} | dict(record["options"])
    except ValidationError as error:
        raise InputError(f"{picture} has a recipe of another version: {readable(error)}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{picture} has a recipe that can't be replayed; it lacks a part: {error}") from error
    common.apply()
    net = None if spec is None else load_network(spec, common, options["arch"])
    for warning in warnings_about(record, recipe, net):
        errors.print(f"warning: {warning}", markup=False)
    return technique.again(recipe, net, common, out, options, record)
