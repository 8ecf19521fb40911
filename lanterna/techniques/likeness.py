"""How like the photograph a recreation is: to the network, to the eye, and to a second network."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import InputError
from lanterna.networks import wheels
from lanterna.networks.builtin import BUILTIN, imagenet_labels
from lanterna.networks.network import LOGITS, Network
from lanterna.networks.sources import load

__all__ = [
    "Real",
    "kept",
    "load_judge",
    "load_second",
    "mean_pair_distance",
    "not_asked",
    "psnr",
    "real_distances",
    "same_class",
    "shares_labels",
    "ssim",
]

# Eight bits can't tell more: equal pictures.
_MOST_DB = 100.0
# The window of SSIM (Wang et al. 2004, as scikit-image has it).
SSIM_WINDOW = 7

# Six colour photographs of different things, for what the distance between real pictures is.
SIX = ("astronaut", "chelsea", "china", "coffee", "flower", "rocket")


def psnr(pictures: Tensor, original: Tensor) -> tuple[float, ...]:
    """Peak signal-to-noise ratio in dB of each of `pictures` (B, C, H, W) against `original` (1, C, H, W)."""
    error = (pictures - original).square().flatten(1).mean(1).clamp(min=10 ** (-_MOST_DB / 10))
    return tuple((-10 * error.log10()).tolist())


def ssim(pictures: Tensor, original: Tensor) -> tuple[float, ...]:
    """Structural similarity of each of `pictures` (B, C, H, W) to `original` (1, C, H, W): 1 where equal."""
    # It takes a second to import, which only inversions need to pay for.
    from skimage.metrics import structural_similarity

    flat = original[0].permute(1, 2, 0).cpu().numpy()
    return tuple(
        float(
            structural_similarity(  # type: ignore[no-untyped-call]  # scikit-image has no types
                picture.permute(1, 2, 0).cpu().numpy(), flat, channel_axis=2, data_range=1.0, win_size=SSIM_WINDOW
            )
        )
        for picture in pictures
    )


def mean_pair_distance(rows: Tensor) -> Tensor:
    """The mean squared distance between pairs of different rows of `rows` (B, ...): summed over the rest, 0-dimensional."""
    flat = rows.flatten(1).double()
    spread = flat.square().sum(1).mean() - flat.mean(0).square().sum()
    return (spread * 2 * len(flat) / max(len(flat) - 1, 1)).clamp(min=0)


@dataclass(frozen=True)
class Real:
    """Mean squared distances between pairs of real photographs: of all samples by layer, and of six of them."""

    pairs: dict[str, float]
    six: dict[str, float]
    six_pixels: float


class _Pairs:
    """The mean pair distance of features that come one by one: only their sum is kept."""

    def __init__(self) -> None:
        self.count, self.total, self.energy = 0, torch.zeros(()), 0.0

    def add(self, features: Tensor) -> None:
        flat = features.flatten().double()
        self.count, self.total = self.count + 1, self.total + flat
        self.energy += float(flat.square().sum())

    def mean(self) -> float:
        spread = self.energy / self.count - float((self.total / self.count).square().sum())
        return max(0.0, spread * 2 * self.count / max(self.count - 1, 1))


def real_distances(network: Network, layers: Sequence[str], size: tuple[int, int]) -> Real:
    """How far real photographs of `size` (height, width) are from each other at `layers`, and in pixels."""
    every, some, pixels = {layer: _Pairs() for layer in layers}, {layer: _Pairs() for layer in layers}, _Pairs()
    for name, picture in zip(pictures_io.samples(), pictures_io.samples_at(size), strict=True):
        for layer, features in network.capture(picture, layers).items():
            every[layer].add(features.cpu())
            if name in SIX:
                some[layer].add(features.cpu())
        if name in SIX:
            pixels.add(picture)
    mean = {layer: pairs.mean() for layer, pairs in every.items()}
    return Real(mean, {layer: pairs.mean() for layer, pairs in some.items()}, pixels.mean() / (3 * size[0] * size[1]))


def classifies(network: Network) -> bool:
    """Whether the network's output is one number for each of several classes."""
    output = network.layer(LOGITS)
    return len(output.shape) == 1 and output.channels > 1


def kept(network: Network, pictures: Tensor, best: int, top: int) -> tuple[bool, ...]:
    """Whether class `best` is among the `top` best of each of `pictures` (B, C, H, W)."""
    with torch.no_grad():
        logits = network.logits(pictures.to(network.device))
    found = logits.topk(min(top, logits.shape[1])).indices
    return tuple((found == best).any(1).tolist())


def same_class(judge: Network, pictures: Tensor, original: Tensor) -> tuple[bool, ...]:
    """Whether `judge`, by its own resize and crop, has the same best class for each of `pictures` as for `original`."""
    with torch.no_grad():
        both = judge.preprocessing.fit(torch.cat([original, pictures]).to(judge.device))
        best = judge.logits(both).argmax(1)
    return tuple((best[1:] == best[0]).tolist())


def shares_labels(second: Network, network: Network) -> bool:
    """Whether two networks speak of the same classes: only then does the answer of one say anything of the other's."""
    return bool(network.labels) and second.labels == network.labels


def load_second(name: str | None, network: Network) -> Network | None:
    """Another network: `name`, or by default a built-in classifier that is here and is not `network`; "none" for none.

    Raises InputError for one that has no classes.
    """
    if name == "none":
        return None
    if name is None:
        ready = [entry.name for entry in BUILTIN if all(wheels.find(file) is not None for file in entry.wheel_files)]
        name = next(
            (found for found in ("efficientnet_lite0", "efficientnet_lite1") if found in ready and found != network.name),
            None,
        )
        if name is None:
            return None
    second = load(name).to(network.device)
    if not classifies(second):
        raise InputError(f"the second network {name} has no classes, so it can't judge; give a classifier, or none")
    return second


def load_judge(name: str | None, network: Network) -> Network | None:
    """`load_second`, where it knows the labels of `network`; else None."""
    # Those that are built in know ImageNet's: no need to load them to see that they don't know others.
    if name is None and network.labels != imagenet_labels():
        return None
    judge = load_second(name, network)
    return judge if judge is not None and shares_labels(judge, network) else None


def not_asked(name: str | None, asked: bool) -> str | None:
    """What to say where a second network that was named was not asked; None where there is nothing to say."""
    return None if name in (None, "none") or asked else f"{name} was not asked: it does not know this network's classes"
