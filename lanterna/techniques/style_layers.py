"""Which layers stand for style and content in a network, and how far they see."""

from collections.abc import Sequence
from dataclasses import dataclass

from lanterna.errors import InputError
from lanterna.networks.layer import Layer
from lanterna.networks.network import LOGITS, Network
from lanterna.techniques.style_recipe import PaintRecipe, StyleRecipe

__all__ = [
    "CHAIN",
    "USUAL",
    "StyleLayers",
    "advice",
    "default_content_weight",
    "default_layers",
    "is_plain",
    "style_weights",
    "usual_network",
]

# What a chain of convolutions is made of; anything else is a network of another kind.
_PLAIN = {
    "Conv2d",
    "ReLU",
    "MaxPool2d",
    "AvgPool2d",
    "Linear",
    "Dropout",
    "AdaptiveAvgPool2d",
    "Flatten",
    "Sequential",
    "VGG",
}

# From the first layer to the fifth. crowsonkb/style-transfer-pytorch has 256, 64, 16, 4 and 1 for distances that are not
# relative; over the energies that vgg16_hed's layers have for photographs these are about 200, 110, 6, 0.3 and 0. Those
# after the first get more here, for the larger shapes of the style.
_SHARES = (200.0, 200.0, 12.0, 1.0, 0.1)


# What the content weighs with relative losses, chosen by eye on photographs and paintings at 160 to 256 px
# (benchmarks/style_sheet.py). The layers of a network with shortcuts hold more of the style than those of a chain.
_CONTENT, _CONTENT_OF_CHAINS = 0.004, 0.00025

# Painted with unless another is named: the one keeps the subject, and comes with the installation; the published weights
# of `gatys`, and textures, are for a chain of convolutions.
USUAL, CHAIN = "efficientnet_lite0", "vgg16_hed"

# More of the subject is to be seen with so much more weight for it; less than twice hardly shows.
_MORE = 4


@dataclass(frozen=True)
class StyleLayers:
    """Names of layers, early to late."""

    style: tuple[str, ...]
    content: tuple[str, ...]


def is_plain(network: Network) -> bool:
    """Whether the network is a chain of convolutions, rectifiers and pooling, as VGG is."""
    # Made over for painting, its convolutions pad in another way.
    return {layer.kind.removeprefix("Replicate") for layer in network.layers() if layer.leaf} <= _PLAIN


def _by_stride(network: Network) -> dict[float, list[Layer]]:
    """Layers with maps, by the distance of their positions; the last operation before the map shrinks is the last of each."""
    groups: dict[float, list[Layer]] = {}
    for layer in network.layers():
        maps = len(layer.shape) == 3 and min(layer.shape[1:]) > 1 and layer.name != LOGITS
        if maps and layer.stride is not None and layer.stride[0] == layer.stride[1]:
            groups.setdefault(layer.stride[0], []).append(layer)
    return groups


def default_layers(network: Network) -> StyleLayers:
    """For VGGs the usual (relu1_1, ..., relu5_1; relu4_2), by place and not by name; for others the last of each stride.

    Raises InputError for a network without maps.
    """
    groups = _by_stride(network)
    if is_plain(network):
        rectified = [[layer.name for layer in group if layer.kind == "ReLU"] for group in groups.values()]
        rectified = [names for names in rectified if names][:5]
        if rectified:
            # relu4_2 where there are so many blocks: deep enough for shapes, early enough for where they are.
            block = rectified[min(3, len(rectified) - 1)]
            return StyleLayers(tuple(names[0] for names in rectified), (block[min(1, len(block) - 1)],))
    if not groups:
        raise InputError(f"{network.name} has no layers with maps, so it has no style; use vgg16_hed")
    last = [_outermost(group) for _, group in sorted(groups.items())][:5]
    return StyleLayers(tuple(last), (last[min(2, len(last) - 1)],))


def default_content_weight(network: Network) -> float:
    """What the content weighs where the losses are relative and nothing is said."""
    return _CONTENT_OF_CHAINS if is_plain(network) else _CONTENT


def usual_network(recipe: StyleRecipe) -> str:
    """The network to paint with where none is named."""
    return USUAL if isinstance(recipe, PaintRecipe) and recipe.defaults.relative else CHAIN


def advice(recipe: StyleRecipe, network: Network) -> str | None:
    """What to change for more of the subject, in a line; None where there is none, or nothing else."""
    if not isinstance(recipe, PaintRecipe) or recipe.content_weight == 0 or recipe.style_weight == 0:
        return None
    weight = recipe.content_weight or recipe.defaults.content_weight or default_content_weight(network)
    return f"for more of the subject: --content-weight {_MORE * weight:.2g}"


def _outermost(group: Sequence[Layer]) -> str:
    blocks = [layer for layer in group if not layer.leaf] or list(group)
    fewest = min(layer.name.count(".") for layer in blocks)
    return [layer.name for layer in blocks if layer.name.count(".") == fewest][-1]


def style_weights(count: int) -> list[float]:
    """The share of each style layer, early to late, summing to 1. Beyond the fifth layer each has the fifth's."""
    raw = [_SHARES[min(i, len(_SHARES) - 1)] for i in range(count)]
    return [weight / sum(raw) for weight in raw]
