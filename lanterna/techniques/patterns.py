"""What real pictures excite a unit: the places that do most, as large as it sees, and the pattern it sees there.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lanterna import data as data_sets
from lanterna.data import Crops, Dataset, require_readable
from lanterna.errors import InputError, LanternaError, PictureError
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network
from lanterna.patterns import store
from lanterna.patterns.feed import fitted
from lanterna.patterns.fields import crop, effective, place
from lanterna.patterns.layer_scan import LayerScan
from lanterna.patterns.projection import Method, alike, project, randomised, values_at
from lanterna.patterns.scan import Scan, scan
from lanterna.progress import Series
from lanterna.recipe import Names, Recipe
from lanterna.techniques.found import Found, Patterns, UnitPatterns
from lanterna.techniques.units import Unit, parse_size, parse_units
from lanterna.techniques.visualize import Visualization, VisualizeRecipe
from lanterna.techniques.visualize import run as visualize

__all__ = ["FEW", "Patterns", "PatternsRecipe", "open_data", "patterns_units", "run", "scanned"]

# With fewer pictures than this, crops of them count as data.
FEW = 64
_MADE_AT_ONCE = 12
_SIDE = 160
_STEP = 3.0  # what a step of ascent takes, in passes of a picture


class PatternsRecipe(Recipe):
    """All that decides the patches, their projections, and the pictures made beside them."""

    technique: Literal["patterns"] = "patterns"
    schema_version: Literal[1] = 1
    units: Annotated[tuple[str, ...], Field(min_length=1, description="LAYER:CHANNEL, LAYER:0-5, LAYER for all, logits:NAME")]
    data: Annotated[
        str, Names("data"), Field(description="samples, folder:PATH, mnist_5k, fashion_mnist, torchvision:NAME")
    ] = "samples"
    top: Annotated[int, Field(ge=1, le=100, description="places of each unit")] = 9
    crops: Annotated[
        bool | None, Field(description="crops at several scales count as data; by default with fewer than 64 pictures")
    ] = None
    repeat: Annotated[bool, Field(description="the same picture may come several times, in other crops")] = False
    strict: Annotated[bool, Field(description="refuse data with a file that can't be read")] = False
    projection: Annotated[Method, Field(description="how the pattern comes back to pixels")] = "guided"
    steps: Annotated[int, Field(ge=0, le=100_000, description="steps for the picture made beside; 0 makes none")] = 128
    size: Annotated[str | None, Field(description="size of that picture; by default 160, or the network's own")] = None

    def digests(self) -> dict[str, str]:
        """The content of the data."""
        return {self.data: data_sets.load(self.data).fingerprint}


def patterns_units(texts: Sequence[str], network: Network) -> list[Unit]:
    """The units; a layer alone is all of its units. Raises InputError for a position: a unit is looked for everywhere."""
    whole = [f"{text}:0-{network.layer(text).channels - 1}" if ":" not in text else text for text in texts]
    for text in texts:
        if "@" in text and not text.startswith(f"{LOGITS}:"):
            raise InputError(f"unit {text!r} has a position; its patches are looked for everywhere: {text.partition('@')[0]}")
    return parse_units(tuple(whole), network)


def open_data(recipe: PatternsRecipe) -> Dataset:
    """The recipe's data; crops of it where they are asked for or the pictures few. Raises InputError, also where strict."""
    dataset = data_sets.load(recipe.data)
    if recipe.strict:
        broken = list(_unreadable(dataset))
        if broken or dataset.notes:
            told = [f"{len(broken)} of {len(dataset)} pictures can't be read: {', '.join(broken[:5])}"] if broken else []
            raise InputError(f"{recipe.data}: {'; '.join([*told, *dataset.notes])}; leave out --strict to skip them")
    if recipe.crops or (recipe.crops is None and len(dataset) < FEW):
        cropped = Crops(dataset)
        if not len(cropped):
            require_readable(dataset)
        dataset = cropped
    return dataset


def _unreadable(dataset: Dataset) -> Iterator[str]:
    for index, sample in enumerate(dataset.ids):
        try:
            dataset.read(index)
        except PictureError:
            yield sample


def scanned(
    recipe: PatternsRecipe,
    network: Network,
    dataset: Dataset,
    layers: Sequence[str],
    file: Path | None = None,
) -> tuple[int, Callable[[Listener | None], Scan]]:
    """How many pictures still have to be looked at for `layers`, and the function that does so and keeps the scan.

    The scan is in `file`, or in the cache. Raises InputError where the file can't be used.
    """
    said = store.about(network, dataset, repeat=recipe.repeat)
    target = file or store.default_file(said)
    store.check_writable(target)
    known = store.load(target, said)
    lacking = (known or Scan()).lacking(layers, recipe.top, len(dataset))
    if known is not None and not lacking:
        return 0, lambda _listener: known

    def go(listener: Listener | None) -> Scan:
        return scan(
            network,
            dataset,
            layers,
            # A few more than asked for, so that a longer list needs no new pass.
            k=max(recipe.top, 16),
            repeat=recipe.repeat,
            known=known,
            save=lambda state: store.store(state, target, said),
            on_event=listener,
        )

    return sum(len(dataset) - start for start in set(lacking.values())), go


def run(recipe: PatternsRecipe, network: Network, on_event: Listener | None = None, *, file: Path | None = None) -> Patterns:
    """For each unit: its places in real pictures, what it saw there, its statistics, and the picture made for it.

    `file` is where the scan is kept; by default the cache, under a hash of network, weights, preprocessing and data. Raises
    InputError before anything is computed where a unit or the data is wrong.
    """
    if network.channels not in (1, 3):
        raise InputError(f"{network.name} takes {network.channels} channels; real pictures have 1 or 3")
    units = patterns_units(recipe.units, network)
    dataset = open_data(recipe)
    layers = list(dict.fromkeys(unit.layer for unit in units))
    size = _size(recipe, network)
    if recipe.steps:
        network.check_size(size, layers)
    todo, look = scanned(recipe, network, dataset, layers, file)
    # One bar for all, in passes of a picture.
    series = Series(on_event, todo + _STEP * recipe.steps * len(units))
    found = look(series.part(todo))
    complete = not found.lacking(layers, recipe.top, len(dataset))
    generator = torch.Generator().manual_seed(recipe.seed)
    shuffled = {layer: randomised(network, layer, generator) for layer in layers}
    shown = tuple(
        _unit(recipe, network, shuffled[unit.layer], dataset, found.layers[unit.layer], unit)
        for unit in units
        if unit.layer in found.layers
    )
    made, dead, stopped = _made(recipe, network, units, series) if complete else ({}, set(), True)
    return Patterns(
        recipe=recipe,
        units=shown,
        made=made,
        dead=frozenset(dead),
        data=dataset.name,
        samples=len(dataset),
        pictures=len(dataset.whole) if isinstance(dataset, Crops) else len(dataset),
        crops=isinstance(dataset, Crops),
        unreadable=dict(found.unreadable),
        notes=dataset.notes,
        stopped=stopped,
    )


def _size(recipe: PatternsRecipe, network: Network) -> tuple[int, int]:
    """(height, width) of the pictures that are made."""
    height, width = network.input_size
    return parse_size(recipe.size, network) if recipe.size else (min(_SIDE, height), min(_SIDE, width))


def _unit(
    recipe: PatternsRecipe, network: Network, shuffled: Network, dataset: Dataset, layer: LayerScan, unit: Unit
) -> UnitPatterns:
    best, kind = layer.best, network.layer(unit.layer)
    count = min(best.count(unit.channel), recipe.top)
    samples = best.sample[unit.channel, :count].tolist()
    rows, columns = best.row[unit.channel, :count], best.column[unit.channel, :count]
    found: list[Found] = []
    for i, sample in enumerate(samples):
        picture = fitted(network, dataset, sample)
        at = (rows[i : i + 1], columns[i : i + 1])
        seen = project(network, picture, unit.layer, unit.channel, *at, recipe.projection)
        control = _control(shuffled, picture, unit, *at, recipe.projection)
        where = place(kind, int(rows[i]), int(columns[i]), network.input_size)
        counted = None
        if where is None:
            plain = project(network, picture, unit.layer, unit.channel, *at, "gradient")
            counted = effective(plain.pattern)
        inside = crop(seen.pattern, where, 0.0) if where else seen.pattern
        found.append(
            Found(
                sample=dataset.ids[sample],
                label=None if dataset.labels is None else dataset.labels[sample],
                value=float(best.value[unit.channel, i]),
                row=int(rows[i]),
                column=int(columns[i]),
                place=where,
                effective=counted,
                patch=crop(picture, where) if where else picture,
                pattern=inside,
                control=crop(control, where, 0.0) if where else control,
                alike=float(alike(seen.pattern, control)),
                difference=abs(float(seen.activation) - float(best.value[unit.channel, i])),
                outside=float(seen.pattern.abs().sum() - inside.abs().sum()) / max(float(seen.pattern.abs().sum()), 1e-30),
            )
        )
    return UnitPatterns(unit, tuple(found), layer, dataset.classes)


def _control(shuffled: Network, picture: Tensor, unit: Unit, row: Tensor, column: Tensor, method: Method) -> Tensor:
    """The same with the layers above shuffled, for the unit that fires most there: one that is off shows nothing."""
    with shuffled.reading([unit.layer]) as read, torch.no_grad():
        features = read(picture.to(shuffled.device))[unit.layer]
    strongest = int(values_at(features, row, column)[0].argmax())
    return project(shuffled, picture, unit.layer, strongest, row, column, method).pattern


def _made(
    recipe: PatternsRecipe, network: Network, units: Sequence[Unit], series: Series
) -> tuple[dict[Unit, tuple[Visualization, int]], set[Unit], bool]:
    """The picture made for each unit; those that nothing moves, and whether someone asked to stop."""
    made: dict[Unit, tuple[Visualization, int]] = {}
    dead: set[Unit] = set()
    size = "x".join(map(str, _size(recipe, network)))
    for start in range(0, len(units) if recipe.steps else 0, _MADE_AT_ONCE):
        chosen = units[start : start + _MADE_AT_ONCE]
        names = tuple(f"{unit.layer}:{unit.channel}" for unit in chosen)
        try:
            made_by = VisualizeRecipe(units=names, size=size, steps=recipe.steps, seed=recipe.seed)
            result = visualize(made_by, network, series.part(_STEP * recipe.steps * len(chosen)))
        except InputError:
            raise
        except LanternaError:
            # All of these are dead, which the sheet says; their patches are as good as any.
            dead |= set(chosen)
            continue
        made |= {unit: (result, i) for i, unit in enumerate(chosen) if not result.dead[i]}
        dead |= {unit for unit, silent in zip(chosen, result.dead, strict=True) if silent}
        if result.stopped:
            return made, dead, True
    return made, dead, False
