"""A few layers that stand for the whole depth of a network."""

from lanterna.networks.layer import Layer
from lanterna.networks.network import LOGITS, Network

__all__ = ["layers_through_depth"]


def layers_through_depth(network: Network, count: int) -> list[Layer]:
    """About `count` layers with maps, from the first to the last, evenly spaced by what they add to the receptive field.

    Of the layers with the same receptive field it is the outermost block, else the last operation, which comes after the
    activation: the mean of a bare linear filter over a map is nearly zero whatever the picture.
    """
    groups: dict[object, list[Layer]] = {}
    for position, layer in enumerate(network.layers()):
        if len(layer.shape) == 3 and min(layer.shape[1:]) > 1 and layer.name != LOGITS:
            # Where everything sees the whole picture (squeeze-and-excitation), every layer counts as a step of its own.
            groups.setdefault(layer.receptive_field or position, []).append(layer)
    steps = [_outermost(group) for group in groups.values()]
    if len(steps) <= count:
        return steps
    if count == 1:
        return steps[-1:]
    return [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]


def _outermost(group: list[Layer]) -> Layer:
    fewest = min(layer.name.count(".") for layer in group)
    outer = [layer for layer in group if layer.name.count(".") == fewest]
    # A normalisation with its activation inside is no block; where that saturates, as ReLU6 does, a block tells more.
    blocks = [layer for layer in outer if not layer.leaf and "Norm" not in layer.kind]
    return blocks[0] if blocks else outer[-1]
