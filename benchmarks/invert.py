"""Recreating pictures from layers: ours beside Mahendran and Vedaldi's method. See benchmarks/README.md."""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from step import Clock, Plain
from torch import Tensor

import lanterna
from lanterna import pictures as pictures_io
from lanterna.events import Event, Stepped
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import LOGITS, Network
from lanterna.techniques import invert
from lanterna.techniques.invert import InvertRecipe
from lanterna.techniques.invert_prior import PriorName
from lanterna.techniques.likeness import classifies, psnr, ssim

NETWORKS = ("vgg16_hed", "efficientnet_lite0")
PICTURES = ("astronaut", "chelsea", "china", "coffee", "flower", "grace_hopper", "motorcycle_left", "rocket")
OURS, THEIRS = "lanterna", "Mahendran and Vedaldi"
# Of the paper, section 3: steps of gradient descent with momentum, the learning rate (tenfold less after each third), the
# powers of the two norms and, for shallow, middle and deep layers, the weight of the variation. Its pictures are in units
# where a natural one has length 1. B is the amplitude that the alpha norm allows.
STEPS, RATE, MOMENTUM, ALPHA, B = 400, 0.004, 0.9, 6, 128.0
TV_WEIGHTS = (0.5, 5.0, 50.0)


@dataclass(frozen=True)
class Score:
    """One picture recreated from one layer by one contestant."""

    network: str
    layer: str
    picture: str
    contestant: str
    steps: int
    feature_error: float
    psnr: float
    ssim: float
    seconds: float


def tv_weight(depth: float) -> float:
    """The paper's weight of total variation for a layer at `depth` in [0, 1], by thirds of the depth."""
    return TV_WEIGHTS[min(int(depth * len(TV_WEIGHTS)), len(TV_WEIGHTS) - 1)]


def mahendran_vedaldi(network: Network, layer: str, original: Tensor, depth: float, steps: int, seed: int) -> Tensor:
    """Their pictures, (1, 3, H, W); where the paper's rate diverges, it is halved until it does not."""
    rate = RATE
    while not (made := _descend(network, layer, original, depth, steps, seed, rate)).isfinite().all():
        rate /= 2
    return made


def _descend(network: Network, layer: str, original: Tensor, depth: float, steps: int, seed: int, rate: float) -> Tensor:
    """Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015.

    Pixels from 0 to 255 without the mean colour, divided by `sigma`, the mean length of natural pictures, here the samples;
    |features - reference|^2 / |reference|^2 + lambda |x|_6^6 + weight sum(dx^2 + dy^2); momentum.
    """
    size = (original.shape[2], original.shape[3])
    natural = torch.cat(pictures_io.samples_at(size)) * 255
    mean = natural.mean((0, 2, 3), keepdim=True)
    sigma = float((natural - mean).flatten(1).norm(dim=1).mean())
    alpha_weight = sigma**ALPHA / (size[0] * size[1] * B**ALPHA)
    reference = network.capture(original, [layer])[layer]
    energy = float(reference.square().sum()) or 1.0
    noise = torch.randn(original.shape, generator=torch.Generator().manual_seed(seed))
    x = noise / noise.norm()
    velocity = torch.zeros_like(x)
    with network.reading([layer]) as read:
        for step in range(steps):
            x.requires_grad_(True)
            features = read((x * sigma + mean) / 255)[layer]
            dx, dy = x[..., :-1, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, :-1]
            loss = (features - reference).square().sum() / energy
            variation = (dx.square() + dy.square()).sum()
            loss = loss + alpha_weight * x.abs().pow(ALPHA).sum() + tv_weight(depth) * variation
            (gradient,) = torch.autograd.grad(loss, x)
            velocity = MOMENTUM * velocity - rate * 0.1 ** (3 * step // steps) * gradient
            x = x.detach() + velocity
    return ((x * sigma + mean) / 255).clamp(0, 1)


def layers_of(network: Network, count: int) -> list[str]:
    """The layers compared: named ones of VGG, else `count` through the depth, and the logits where they are classes."""
    ends = [LOGITS] if classifies(network) else []
    if network.name == "vgg16_hed":
        names = ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"]
        return names[-count:] if count < len(names) else names
    return [layer.name for layer in layers_through_depth(network, count - len(ends))] + ends


def contest(network: Network, layers: list[str], picture: str, size: int, steps: int, seed: int) -> Iterator[Score]:
    """Both contestants on every layer, one picture; theirs with the paper's number of steps."""
    original = pictures_io.load(picture, size=(size, size))
    for index, layer in enumerate(layers):
        for contestant in (OURS, THEIRS):
            begun = time.perf_counter()
            if contestant == OURS:
                made = network.invert(layer, picture, samples=1, size=str(size), steps=steps, seed=seed, judge="none")
                pictures, taken = made.recreations[0].pictures, steps
            else:
                depth = index / max(len(layers) - 1, 1)
                pictures, taken = mahendran_vedaldi(network, layer, original, depth, STEPS, seed), STEPS
            seconds = time.perf_counter() - begun
            pictures = (pictures * 255).round() / 255
            reference = network.capture(original, [layer])[layer]
            distance = (network.capture(pictures, [layer])[layer] - reference).square().sum()
            error = float(distance / (reference.square().sum() or 1.0))
            sheets.setdefault((network.name, contestant), []).append(pictures)
            yield Score(
                network.name,
                layer,
                picture,
                contestant,
                taken,
                error,
                psnr(pictures, original)[0],
                ssim(pictures, original)[0],
                seconds,
            )


sheets: dict[tuple[str, str], list[Tensor]] = {}


def table(scores: list[Score], layers: list[str], network: str) -> None:
    """Means over pictures by layer, and on how many pictures ours has the lower error and the higher SSIM."""
    print(f"\n{network}\n")
    print("| layer | error, ours | theirs | SSIM, ours | theirs | PSNR, ours | theirs | ours better at error and SSIM |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for layer in layers:
        ours = [score for score in scores if (score.network, score.layer, score.contestant) == (network, layer, OURS)]
        theirs = [score for score in scores if (score.network, score.layer, score.contestant) == (network, layer, THEIRS)]
        won = sum(o.feature_error < t.feature_error and o.ssim > t.ssim for o, t in zip(ours, theirs, strict=True))
        means = [
            f"{statistics.mean(getattr(score, name) for score in group):.{digits}f}"
            for name, digits in (("feature_error", 4), ("ssim", 3), ("psnr", 1))
            for group in (ours, theirs)
        ]
        print(f"| {layer} | {' | '.join(means)} | {won} of {len(ours)} |")


# The prior and the longest step of the descent, None for the Fourier canvas with Adam and L-BFGS. The last is the default.
SCHEDULES: tuple[tuple[PriorName, float | None], ...] = (("fourier", None), ("tv", 0.02), ("tv", invert.STRIDE))


def schedules(network: Network, layers: list[str], picture: str, size: str, steps: int, seed: int) -> None:
    """One picture under each prior and stride, everything else by default."""
    print(f"{network.name}, {picture}, {size}, {steps} steps\n")
    print("| layer | prior | stride | feature error | PSNR, dB | SSIM |\n|---|---|--:|--:|--:|--:|")
    usual = invert.STRIDE
    for layer in layers:
        for prior, stride in SCHEDULES:
            # Not an option of the recipe: nobody needs to set it but who looks for a better default.
            invert.STRIDE = stride or usual
            (made,) = network.invert(
                layer, picture, samples=1, size=size, steps=steps, seed=seed, prior=prior, judge="none"
            ).recreations
            print(
                f"| {layer} | {prior} | {'' if stride is None else f'{stride:g}'} "
                f"| {made.feature_error[0]:.4f} | {made.psnr[0]:.1f} | {made.ssim[0]:.2f} |",
                flush=True,
            )
    invert.STRIDE = usual


# Network, layer and size of what `--step` times.
STEP_CASES = (("vgg16_hed", "relu3_3", 128), ("efficientnet_lite0", "blocks.3", 224))


def step_ratio(network: Network, layer: str, size: int, rounds: int, steps: int = 12) -> float:
    """A step of inversion over the bare pass to the layer and back, one sample: the median of rounds, in turns."""
    plain = Plain(network, layer, torch.contiguous_format)
    inputs = torch.rand(1, 3, size, size).requires_grad_(True)
    ratios = []
    for _ in range(rounds):
        bare = Clock()
        for _ in range(steps):
            bare()
            plain(inputs).square().mean().backward()
            inputs.grad = None
        ours = Clock()

        def listen(event: Event, ours: Clock = ours) -> None:
            if isinstance(event, Stepped):
                ours()

        recipe = InvertRecipe(layers=(layer,), picture="chelsea", samples=1, size=str(size), steps=steps, judge="none")
        invert.run(recipe, network, listen)
        ratios.append(ours.seconds() / bare.seconds())
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--pictures", nargs="*", default=list(PICTURES))
    parser.add_argument("--layers", type=int, default=10, help="how many, through the depth")
    parser.add_argument("--size", type=int, default=224)
    default_steps = int(InvertRecipe.model_fields["steps"].default)
    parser.add_argument("--steps", type=int, default=default_steps, help=f"ours; theirs takes {STEPS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder for contact sheets: by network and contestant, a row per picture")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument(
        "--schedules",
        nargs="*",
        metavar="LAYER",
        help="instead: priors and strides for these layers of vgg16_hed",
    )
    parser.add_argument("--step", type=int, metavar="ROUNDS", help="instead: the step over the bare pass, in so many rounds")
    options = parser.parse_args()
    if options.step:
        for name, layer, size in STEP_CASES:
            print(f"{name}:{layer}:{size} {step_ratio(lanterna.load(name), layer, size, options.step):.2f}", flush=True)
        return
    if options.schedules is not None:
        layers = options.schedules or ["relu2_2", "relu3_3"]
        schedules(lanterna.load("vgg16_hed"), layers, "chelsea", "148x224", options.steps, options.seed)
        return

    scores: list[Score] = []
    for name in options.networks:
        network = lanterna.load(name)
        layers = layers_of(network, options.layers)
        for picture in options.pictures:
            scores += contest(network, layers, picture, options.size, options.steps, options.seed)
            if options.json:
                options.json.write_text(json.dumps([asdict(score) for score in scores], indent=1))
        table(scores, layers, name)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for (name, contestant), made in sheets.items():
            columns = len(made) // len(options.pictures)
            file = options.out / f"{name}-{contestant.partition(' ')[0].lower()}.png"
            pictures_io.save(pictures_io.sheet(made, columns=columns), file)
            print(file)


if __name__ == "__main__":
    main()
