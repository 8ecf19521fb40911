"""Units and sizes by name: `LAYER:CHANNEL`, `LAYER:CHANNEL@ROW,COLUMN`, `LAYER:0-31`, `logits:sea lion`."""

import re
from dataclasses import dataclass

from lanterna.errors import InputError
from lanterna.networks.network import LOGITS, Network
from lanterna.objectives import Objective, channel, neuron

__all__ = ["Unit", "parse_size", "parse_units"]

_MOST = 4096


@dataclass(frozen=True)
class Unit:
    """A channel of a layer, at one position of its map or over the whole of it; `title` is for people."""

    layer: str
    channel: int
    position: tuple[int, int] | None
    title: str

    @property
    def objective(self) -> Objective:
        """The activation of this unit."""
        if self.position is not None:
            return neuron(self.layer, self.channel, self.position)
        return channel(self.layer, self.channel)


def _channels(text: str, layer: str, count: int) -> list[int]:
    match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", text)
    if match is None:
        raise InputError(f"unit {layer}:{text} is not a channel; give a number 0 to {count - 1}, or a range such as 0-5")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise InputError(f"unit {layer}:{text} runs backwards; did you mean {layer}:{last}-{first}?")
    if not 0 <= first <= last < count:
        raise InputError(f"unit {layer}:{text} is out of range; layer {layer!r} has channels 0 to {count - 1}")
    return list(range(first, last + 1))


def _named(text: str, layers: set[str]) -> tuple[str, str, str]:
    """`text` cut at the colon after its layer, whose name may have colons as well."""
    for place in range(len(text) - 1, 0, -1):
        if text[place] == ":" and text[:place] in layers:
            return text[:place], ":", text[place + 1 :]
    return text.partition(":")


def _position(text: str, unit: str, shape: tuple[int, ...]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+),(\d+)", text)
    if match is None or len(shape) != 3:
        raise InputError(f"{unit} has no position {text!r}; positions are ROW,COLUMN in a layer that is a map")
    return int(match[1]), int(match[2])


def parse_units(texts: tuple[str, ...], network: Network) -> list[Unit]:
    """The units that `texts` name, in order. Raises InputError and UnknownNameError, with what is allowed."""
    if not texts:
        raise InputError("no unit was given; a unit is LAYER:CHANNEL, such as logits:0")
    units: list[Unit] = []
    layers = {layer.name for layer in network.layers()}
    for text in texts:
        layer_name, colon, rest = _named(text, layers)
        layer = network.layer(layer_name)
        if not colon or not rest:
            raise InputError(
                f"{text!r} names no channel; a unit is LAYER:CHANNEL, here {layer_name}:0 to {layer.channels - 1}"
            )
        if layer_name == LOGITS and not re.fullmatch(r"\d+-\d+", rest):
            index = network.class_index(rest)
            units.append(Unit(LOGITS, index, None, network.label(index)))
            continue
        number, at, place = rest.partition("@")
        position = _position(place, text, layer.shape) if at else None
        if len(units) > _MOST:
            break
        for index in _channels(number, layer_name, layer.channels):
            title = network.label(index) if layer_name == LOGITS else f"{layer_name}:{index}{at}{place}"
            units.append(Unit(layer_name, index, position, title))
    if len(units) > _MOST:
        raise InputError(f"{_MOST + 1} units or more are too many for one run; at most {_MOST}, so give a range such as 0-31")
    return units


def parse_size(text: str | None, network: Network) -> tuple[int, int]:
    """(height, width) from "224" or "180x320"; the network's own where there is none. Raises InputError."""
    if text is None:
        return network.input_size
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None or int(match[1]) == 0 or int(match[2] or 1) == 0:
        raise InputError(f"size {text!r} is not a size; give a side in pixels such as 224, or HEIGHTxWIDTH such as 180x320")
    return int(match[1]), int(match[2] or match[1])
