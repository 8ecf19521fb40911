"""What a dream is asked for: layers and units by name, with weights, or what a guide picture has there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lanterna.errors import InputError
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.layer import Layer
from lanterna.networks.network import Network
from lanterna.objectives import Objective, channel
from lanterna.techniques.units import parse_units
from lanterna.tiles import per_position

__all__ = ["Wish", "balanced", "default_layers", "default_step_size", "parse_wishes", "sees_little", "wanted"]

# Chosen by eye over the sample pictures: eyes, fur and faces; eyes and textures.
_DEFAULT = {"efficientnet_lite0": "blocks.4", "efficientnet_lite1": "blocks.4", "vgg16_hed": "relu4_2"}

# Channels are divided by their magnitude in the picture plus this share of the layer's mean, or those that hardly fire would
# be as loud as any. Of layers that see little it is more: what hardly fires there is a colour that the picture lacks, and
# would fill its palest corner with magenta.
_FLOOR, _SHALLOW_FLOOR = 0.3, 1.0
# Side in pixels below which a layer sees little: edges and colours.
_LITTLE = 32


@dataclass(frozen=True)
class Wish:
    """More of a whole layer, or of one of its channels; `weight` beside the other wishes, negative for less."""

    layer: Layer
    unit: int | None
    weight: float

    @property
    def title(self) -> str:
        """The wish as it is written on the command line, without its weight."""
        return self.layer.name if self.unit is None else f"{self.layer.name}:{self.unit}"


def default_layers(network: Network) -> tuple[str, ...]:
    """Where to dream when nothing is said: the layer with the best pictures, or one at about three quarters of the depth.

    Raises InputError for a network without maps.
    """
    if network.source in _DEFAULT:
        return (_DEFAULT[network.source],)
    found = layers_through_depth(network, 5)
    if not found:
        raise InputError(f"{network.name} has no layers with maps, so none is the usual one to dream of; give a --layer")
    return (found[-2:][0].name,)


def default_step_size(network: Network) -> float:
    """In 8-bit levels: VGG's gradients point the same way from step to step, so that smaller steps do."""
    return 1.2 if network.source == "vgg16_hed" else 2.5


def sees_little(layer: Layer) -> bool:
    """Whether a position of the layer sees so few pixels that colours and edges are all it can tell."""
    return layer.receptive_field is not None and max(layer.receptive_field) < _LITTLE


def parse_wishes(texts: Sequence[str], network: Network) -> list[Wish]:
    """Wishes out of `LAYER`, `LAYER:UNIT`, each with `=WEIGHT` or without. Raises InputError and UnknownNameError."""
    wishes = []
    layers = {layer.name for layer in network.layers()}
    for text in texts or default_layers(network):
        # The name of a layer may itself have = or : in it.
        name, equals, number = text.rpartition("=") if "=" in text and text not in layers else (text, "", "1")
        if equals and not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", number):
            raise InputError(f"--layer {text!r}: {number!r} is not a weight; give a number, such as {name}=0.5")
        if float(number) == 0:
            raise InputError(f"--layer {text!r} has the weight 0, which asks for nothing; leave it out")
        if ":" in name and name not in layers:
            units = parse_units((name,), network)
            if len(units) > 1 or units[0].position is not None:
                raise InputError(f"--layer {text!r} is not one channel; give LAYER or LAYER:UNIT, and --layer once for each")
            wishes.append(Wish(network.layer(units[0].layer), units[0].channel, float(number)))
        else:
            wishes.append(Wish(network.layer(name), None, float(number)))
    for wish in wishes:
        # (tokens, numbers): how many there are depends on the picture's size, and octaves have several.
        if len(wish.layer.shape) == 2:
            raise InputError(f"layer {wish.layer.name!r} of {network.name} has tokens and no map; give another --layer")
    return wishes


def wanted(
    wishes: Sequence[Wish], weights: Sequence[float], features: Mapping[str, Tensor], guide: Mapping[str, Tensor] | None
) -> Objective:
    """All wishes as one sum over positions. `features` are the picture's own: loud channels are turned down by them.

    The original takes the channels as they are, and a few loud ones, edges most often, then drown all others.
    """
    total: Objective | None = None
    for wish, weight in zip(wishes, weights, strict=True):
        name = wish.layer.name
        loudness = features[name].square().mean([0, *range(2, features[name].ndim)]).sqrt()
        floor = _SHALLOW_FLOOR if sees_little(wish.layer) else _FLOOR
        loudness = loudness + floor * loudness.mean() + 1e-12
        if wish.unit is not None:
            term = channel(name, wish.unit)
        elif guide is None:
            term = _more_of_all(name, loudness)
        else:
            term = _like(name, guide[name], loudness)
        part = weight * per_position(term, name)
        total = part if total is None else total + part
    assert total is not None, "there is always a default layer"
    return total


def _shaped(loudness: Tensor, features: Tensor) -> Tensor:
    return loudness.view(1, -1, *[1] * (features.ndim - 2))


def _more_of_all(layer: str, loudness: Tensor) -> Objective:
    """Half the mean square: what is there grows (DeepDream)."""

    def value(features: Mapping[str, Tensor]) -> Tensor:
        found = features[layer]
        return (found / _shaped(loudness, found)).square().flatten(1).mean(1) / 2

    return Objective(value, frozenset([layer]), layer)


def _like(layer: str, guide: Tensor, loudness: Tensor) -> Objective:
    """The mean over positions of the dot product with the guide's best-matching position (DeepDream's guided dream)."""
    theirs = (guide / _shaped(loudness, guide)).flatten(2)[0]

    def value(features: Mapping[str, Tensor]) -> Tensor:
        found = features[layer]
        ours = (found / _shaped(loudness, found)).flatten(2)
        # A part at a time: all positions times all of the guide's would not fit for large pictures.
        best = [(part.transpose(1, 2) @ theirs).amax(2).sum(1) for part in ours.split(4096, 2)]
        return torch.stack(best).sum(0) / (ours.shape[2] * ours.shape[1])

    return Objective(value, frozenset([layer]), f"{layer} of the guide")


def balanced(
    wishes: Sequence[Wish], features: dict[str, Tensor], guide: dict[str, Tensor] | None, network: Network, seen: Tensor
) -> list[float]:
    """The wishes' weights over the size of their gradients, so that equal weights count equally."""
    weights = []
    for wish in wishes:
        picture = seen.to(network.device).requires_grad_()
        with network.reading([wish.layer.name]) as read:
            value = wanted([wish], [1.0], features, guide)(read(picture))
            (gradient,) = torch.autograd.grad(value.sum(), picture)
        weights.append(wish.weight / max(float(gradient.abs().mean()), 1e-20))
    return weights
