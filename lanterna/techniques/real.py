"""How far a made picture exceeds anything real: a unit's activations over a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lanterna.errors import InputError
from lanterna.events import Listener
from lanterna.networks.network import Network
from lanterna.techniques.patterns import PatternsRecipe, open_data, scanned
from lanterna.techniques.units import Unit
from lanterna.wording import shortened

__all__ = ["Real", "over_data"]


@dataclass(frozen=True)
class Real:
    """A unit over `pictures` real pictures (or crops of them): the `highest` activation, and the one that 99 % are below.

    Means over the map for a channel, as `visualize` measures it; values at positions for a unit with a position.
    """

    pictures: int
    highest: float
    quantile_99: float


def over_data(network: Network, units: Sequence[Unit], data: str, on_event: Listener | None = None) -> list[Real]:
    """Each unit over `data`; the scan is kept, and used again. Raises InputError for data that is not there."""
    layers = list(dict.fromkeys(unit.layer for unit in units))
    try:
        recipe = PatternsRecipe(units=tuple(layers), data=data)
    except ValidationError as error:
        raise InputError(f"data {shortened(data)} can't be used: {error.errors()[0]['msg']}") from error
    _, look = scanned(recipe, network, open_data(recipe), layers)
    found = look(on_event)
    told = []
    for unit in units:
        layer = found.layers[unit.layer]
        of = "mean" if unit.position is None else "place"
        highest = layer.highest[unit.channel] if unit.position is None else layer.best.value[unit.channel, 0]
        told.append(Real(layer.count, float(highest), float(layer.quantiles([0.99], of)[0, unit.channel])))
    return told
