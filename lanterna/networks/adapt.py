"""A network made over for painting: other pooling, other padding. A copy; the weights stay as they are."""

import copy
from typing import Literal

from torch import nn

from lanterna.errors import InputError
from lanterna.networks.network import Network
from lanterna.networks.replicate import ReplicateConv2d
from lanterna.networks.surgery import put

__all__ = ["Padding", "Pooling", "adapted"]

Pooling = Literal["max", "avg"]
Padding = Literal["zeros", "first", "replicate", "circular"]

# crowsonkb/style-transfer-pytorch: a mean of rectified values is about half their maximum.
_AVERAGE_GAIN = 2.0


def adapted(network: Network, *, pooling: Pooling = "max", padding: Padding = "replicate") -> Network:
    """`network` with max pooling replaced by means ("avg"), and another padding.

    With zeros around them maps have an edge at the border, and the picture gets a frame of dots: "replicate" repeats the
    outermost positions in every convolution. "first" does so in the first convolution alone, as is customary, and leaves
    dots. "circular" has no border at all: the picture's left side goes on at its right. Raises InputError where that
    can't be: for padding that is no convolution's own.
    """
    # The weights are shared: neither network changes them.
    module = copy.deepcopy(network.module, {id(tensor): tensor for tensor in network.module.parameters()})
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    if padding == "circular" and any(type(part) is not nn.Conv2d for part in convolutions):
        raise InputError(f"{network.name} pads by itself, so it can't be made to tile; use vgg16_hed or a torchvision VGG")
    repeating = {"replicate": len(convolutions), "first": 1}.get(padding, 0)
    for index, part in enumerate(convolutions):
        if type(part) is not nn.Conv2d:
            continue
        if index < repeating:
            put(module, part, ReplicateConv2d.of(part))
        else:
            part.padding_mode = "circular" if padding == "circular" else "zeros"
    for pool in module.modules():
        if isinstance(pool, nn.MaxPool2d):
            # Else the rows that are left over at an odd border are seen by no deeper layer, and go their own way.
            pool.ceil_mode = True
    if pooling == "avg":
        for name, part in list(module.named_modules()):
            if isinstance(part, nn.MaxPool2d):
                window = part.kernel_size if isinstance(part.kernel_size, tuple) else (part.kernel_size,) * 2
                mean = nn.AvgPool2d(
                    window,
                    part.stride,
                    part.padding,
                    part.ceil_mode,
                    divisor_override=max(1, round(window[0] * window[1] / _AVERAGE_GAIN)),
                )
                module.set_submodule(name, mean)
    return Network(
        module,
        name=network.name,
        preprocessing=network.preprocessing,
        labels=network.labels,
        weights_sha256=network.weights_sha256,
        source=network.source,
    )
