"""How far two pictures are apart in style, layer by layer."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from lanterna import pictures as pictures_io
from lanterna.errors import InputError
from lanterna.moments import DISTANCES
from lanterna.networks.adapt import adapted
from lanterna.networks.network import Network
from lanterna.recipe import Names, Recipe
from lanterna.techniques.style_layers import default_layers
from lanterna.techniques.style_targets import moments_of, shrunk

__all__ = ["StyleDistance", "StyleDistanceRecipe", "run"]


class StyleDistanceRecipe(Recipe):
    """Which pictures, how large, at which layers."""

    technique: Literal["style_distance"] = "style_distance"
    schema_version: Literal[1] = 1
    first: Annotated[str, Names("picture"), Field(description="a picture: a file or a sample's name")]
    second: Annotated[
        str, Names("picture"), Field(description="the picture it is held against; distances are relative to its features")
    ]
    size: Annotated[int, Field(ge=16, le=8192, description="longer side of both pictures in pixels")] = 512
    style_layers: Annotated[tuple[str, ...], Field(description="layers; by default the network's usual")] = ()


@dataclass(frozen=True)
class StyleDistance:
    """For each layer, each distance by name: 0 is the same, about 1 as far as a picture without any features."""

    recipe: StyleDistanceRecipe
    layers: dict[str, dict[str, float]]


def run(recipe: StyleDistanceRecipe, network: Network) -> StyleDistance:
    """The distances of `first` from `second`, without position: Gram, Wasserstein, mean and variance, means alone.

    Raises InputError for a layer without a map and for pictures too small for the layers.
    """
    shown = [shrunk(pictures_io.load(name, reduced=True), recipe.size) for name in (recipe.first, recipe.second)]
    if network.channels != 3:
        raise InputError(
            f"{network.name} takes {network.channels} channels; style needs a network that takes 3, such as vgg16_hed"
        )
    layers = recipe.style_layers or default_layers(network).style
    for name in layers:
        if len(network.layer(name).shape) != 3:
            raise InputError(f"layer {name!r} of {network.name} is no map, so it has no style; choose an earlier one")
    for picture in shown:
        network.check_size((picture.shape[2], picture.shape[3]), layers)
    reader = adapted(network)
    found, target = (moments_of(reader, picture, layers, None) for picture in shown)
    distances = {
        layer: {name: float(distance(found[layer], target[layer])) for name, distance in DISTANCES.items()}
        for layer in layers
    }
    return StyleDistance(recipe, distances)
