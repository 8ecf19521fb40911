"""Work that is out of this machine's reach is refused before it starts, with the estimate, never in an allocator's words."""

import math

import psutil
import torch

from lanterna.errors import InputError
from lanterna.networks.network import LOGITS, Network

__all__ = ["check_memory", "check_reach", "memory_of"]

# Of each pixel of a canvas: the picture, its gradient and the optimizer's two moments, three floats each.
_CANVAS_BYTES = 48
# Of the features of a pass so much is held for the gradient at the least: the rest is folded or changed in place.
_KEPT = 1 / 3
# Seconds a pixel and step, at the least: a fifth of what efficientnet_lite0 takes on one core of a laptop.
_SECONDS = 1e-7
_DAY = 86_400.0
# Nobody waits longer for one command.
_DAYS = 30


def memory_of(device: torch.device) -> int:
    """Bytes of memory that the device has in all."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return int(psutil.virtual_memory().total)


def check_memory(what: str, needed: float, device: torch.device, advice: str) -> None:
    """Raise InputError where `what` needs more bytes than the device has."""
    there = memory_of(device)
    if needed > there:
        raise InputError(f"{what} needs about {needed / 1e9:.3g} GB; this machine has {there / 1e9:.3g}: {advice}")


def check_reach(
    network: Network,
    size: tuple[int, int],
    *,
    pictures: int = 1,
    steps: int = 0,
    layers: tuple[str, ...] = (),
    tiled: bool = False,
) -> None:
    """Raise InputError where `pictures` of `size`, optimized together for `steps` steps, are out of reach.

    `layers` are those that are read. A picture that is `tiled` goes through the network in parts.
    """
    pixels = float(size[0]) * size[1]
    many = f"{size[0]}x{size[1]}" if pictures == 1 else f"{pictures:,} pictures of {size[0]}x{size[1]}"
    features = 0.0 if tiled else _KEPT * _feature_bytes(network, layers) * pixels / math.prod(network.input_size)
    advice = "ask for a smaller --size" if pictures == 1 else "ask for fewer at a time, or a smaller --size"
    check_memory(many, pictures * (_CANVAS_BYTES * pixels + features), network.device, advice)
    days = steps * pictures * pixels * _SECONDS / _DAY
    if days > _DAYS:
        raise InputError(f"{steps:,} steps of {many} take about {days:.3g} days or more; ask for fewer, or a smaller --size")


def _feature_bytes(network: Network, layers: tuple[str, ...]) -> float:
    """Bytes of all maps of one picture of the network's own size, up to the deepest of `layers`."""
    last = len(network.layers())
    if layers and LOGITS not in layers:
        wanted = {network.layer(name).name for name in layers}
        last = max((place for place, layer in enumerate(network.layers(), 1) if layer.name in wanted), default=last)
    return 4.0 * sum(math.prod(layer.shape) for layer in network.layers()[:last] if layer.leaf)
