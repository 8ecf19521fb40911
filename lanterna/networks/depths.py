"""A few layers that stand for the whole depth of a network."""

from lanterna.networks.network import LOGITS, Layer, Network

__all__ = ["layers_through_depth"]


def layers_through_depth(network: Network, count: int) -> list[Layer]:
    """About `count` layers with maps, from the first to the last, evenly spaced by what they add to the receptive field.

    Of the layers with the same receptive field the last one is taken: the end of its block, after the activation.
    """
    maps = [
        layer for layer in network.layers() if len(layer.shape) == 3 and layer.name != LOGITS and min(layer.shape[1:]) > 1
    ]
    ends: dict[object, Layer] = {}
    for position, layer in enumerate(maps):
        # Where everything sees the whole picture (squeeze-and-excitation), every layer counts as a step of its own.
        key = layer.receptive_field or position
        ends.pop(key, None)
        ends[key] = layer
    steps = list(ends.values())
    if len(steps) <= count:
        return steps
    return [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]
