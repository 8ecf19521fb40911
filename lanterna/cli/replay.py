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
from lanterna.cli.options import Arch, Common, load_network, readable
from lanterna.errors import InputError, UnknownNameError, UntrustedError
from lanterna.files import expanded
from lanterna.networks.network import Network
from lanterna.outside import Vouched, admit, network_refusal, refuse
from lanterna.provenance import Record, changes
from lanterna.recipe import Recipe
from lanterna.techniques.dream import DreamRecipe
from lanterna.techniques.fool import FoolRecipe
from lanterna.techniques.fool_noise import FoolNoiseRecipe
from lanterna.techniques.invert import InvertRecipe
from lanterna.techniques.manifold import ManifoldRecipe
from lanterna.techniques.patterns import PatternsRecipe
from lanterna.techniques.style_recipe import StylizeRecipe, TextureRecipe
from lanterna.techniques.visualize import VisualizeRecipe
from lanterna.wording import shortened

__all__ = ["replay"]


@dataclass(frozen=True)
class _Technique:
    """How the record of one technique is read, and who makes its picture: (recipe, network, flags, out, options, record)."""

    recipe: type[Recipe]
    again: Callable[[Any, Any, Common, Path, dict[str, Any], dict[str, Any]], int]
    network: bool = True


TECHNIQUES = {
    "invert": _Technique(InvertRecipe, invert.again),
    "visualize": _Technique(VisualizeRecipe, visualize.again),
    "manifold": _Technique(ManifoldRecipe, manifold.again, network=False),
    "patterns": _Technique(PatternsRecipe, patterns.again),
    "dream": _Technique(DreamRecipe, dream.again),
    "fool": _Technique(FoolRecipe, fool.again),
    "fool-noise": _Technique(FoolNoiseRecipe, fool.again_noise),
    "stylize": _Technique(StylizeRecipe, stylize.again),
    "texture": _Technique(TextureRecipe, stylize.again),
    "autoencode": _Technique(AutoencodeRecipe, autoencode.again, network=False),
}

_ADVICE = (
    "If you trust where the picture comes from, add --trust; or give your own: "
    "--network SPEC, --picture PATH (again for each), --data DATA"
)


def replay(
    picture: Path,
    /,
    *,
    out: Annotated[Path, Parameter(help="the PNG to write")] = Path("replay.png"),
    trust: Annotated[
        bool, Parameter(negative=(), help="load whatever the record names: code, downloads, files elsewhere, other hashes")
    ] = False,
    network: Annotated[str | None, Parameter(help="your network, instead of the one that is recorded")] = None,
    own: Annotated[
        list[str] | None,
        Parameter(name="--picture", negative=(), help="your file for a picture that is recorded; can be given again"),
    ] = None,
    data: Annotated[str | None, Parameter(help="your data, instead of what is recorded")] = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """Make PICTURE again from the recipe that is inside it: same machine, same thread count, same bits.

    A picture may come from a stranger, so it says first what it would load. What is built in, and files beside the picture
    or in this folder that match their hash, are loaded; code, downloads and files elsewhere are refused.

    Example: lanterna replay sealion.png --out again.png
    """
    common = common or Common()
    raw = pictures.read_recipe(picture)
    pictures.check_writable(out)
    if os.path.realpath(out) == os.path.realpath(picture):
        raise InputError(f"--out {out} is the picture itself; give another name")
    record, technique, recipe = _read(picture, raw)
    vouched = Vouched(everything=trust, pictures=tuple(own or ()), data=data)
    folders = [Path(), expanded(picture).absolute().parent]
    admitted = admit(recipe, folders=folders, hashes=record.inputs, vouched=vouched)
    refused, lines = list(admitted.refused), list(admitted.lines)
    if technique.network:
        refused += _network_refused(record, network, trust)
        lines.insert(0, _network_line(record, network))
    if not common.quiet:
        errors.print(
            f"{picture}: {record.recipe['technique']}, by lanterna {shortened(record.versions.get('lanterna'))}", markup=False
        )
        for line in lines:
            errors.print(f"  {line}", markup=False)
    refuse(refused, str(picture), _ADVICE)
    common.apply()
    net = _load(record, network, arch, common, trust) if technique.network else None
    for warning in (*admitted.warnings, *changes(record)):
        errors.print(f"warning: {warning}", markup=False)
    options = record.options.model_dump(exclude_unset=True) | ({"arch": arch} if arch else {})
    # What is copied into the new picture's record is what was checked.
    checked = record.model_dump(exclude_unset=True, exclude={"options"}) | {"recipe": admitted.recipe.model_dump(mode="json")}
    return technique.again(admitted.recipe, net, common, out, options, {**raw, **checked})


def _read(picture: Path, raw: dict[str, Any]) -> tuple[Record, _Technique, Recipe]:
    """The record's parts, each of the right type. Raises InputError in one line."""
    recorded = raw.get("recipe")
    name = recorded.get("technique") if isinstance(recorded, dict) else None
    if name == "stylize-clip" or "frame" in raw:
        raise InputError(
            f"{picture} is a single frame of a clip or film, which is not made again by itself: run the command again"
        )
    if not isinstance(name, str) or name not in TECHNIQUES:
        raise UnknownNameError("technique", str(name), TECHNIQUES, hint=f"{picture} was made by another version")
    technique = TECHNIQUES[name]
    try:
        record = Record.model_validate(raw)
        recipe = technique.recipe.model_validate(record.recipe)
    except ValidationError as error:
        where = "a recipe of another version" if error.title != "Record" else "a record that can't be replayed"
        raise InputError(f"{picture} has {where}: {readable(error, flags=False)}") from error
    return record, technique, recipe


def _network_refused(record: Record, own: str | None, trust: bool) -> list[str]:
    if own is not None or trust or record.network is None:
        return []
    reason = network_refusal(record.network.source)
    return [] if reason is None else [f"network {record.network.source!r} ({reason})"]


def _network_line(record: Record, own: str | None) -> str:
    if own is not None:
        return f"network {own}: yours"
    if record.network is None:
        return "network: none is recorded"
    weights = (record.network.weights_sha256 or "")[:12]
    return f"network {shortened(record.network.source)}" + (f", weights {shortened(weights)}" if weights else "")


def _load(record: Record, own: str | None, arch: str | None, common: Common, trust: bool) -> Network:
    """The network; where it is the record's and not vouched for, its weights must be those recorded."""
    if own is None and record.network is None:
        raise InputError("the record has no network, and its technique needs one; give it with --network SPEC")
    named = record.network
    spec = own or (named.source if named else "")
    net = load_network(spec, common, arch or (record.options.arch if own is None else None))
    expected = named.weights_sha256 if named else None
    if expected and net.weights_sha256 != expected:
        told = f"the weights of {net.name} are not those the picture was made with"
        if own is None and not trust:
            raise UntrustedError(f"{told}: {net.weights_sha256[:12]}, not {expected[:12]}; add --trust to use them anyway")
        errors.print(f"warning: {told}", markup=False)
    return net
