"""Held-out error beside PCA over seeds, and training throughput beside a bare loop. See benchmarks/README.md."""

import argparse
import itertools
import statistics
import time

import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from torch import nn

from lanterna.autoencode import AutoencodeRecipe
from lanterna.autoencode.pictures import open_split
from lanterna.autoencode.training import Plan, train
from lanterna.autoencode.variants import make_module, training_loss
from lanterna.autoencode.workshop import Workshop
from lanterna.progress import Series

LIMITS = {2: 0.045, 8: 0.0185, 32: 0.0060}


def errors(epochs: int, seeds: int, sizes: list[int]) -> None:
    split = open_split("mnist_5k")
    shop = Workshop(AutoencodeRecipe(epochs=epochs), split, Series(None, 1.0))
    print("| numbers | held-out MSE | spread | wanted | PCA (scikit-learn) | CPU s a model (0: cached) |")
    print("|--:|--:|--:|--:|--:|--:|")
    for code in sizes:
        begun = time.process_time()
        found = [shop.model(code, repeat=seed).mse(split.held_out) for seed in range(seeds)]
        seconds = (time.process_time() - begun) / seeds
        linear = PCA(code, svd_solver="full").fit(split.train.flatten(1).numpy())
        held = split.held_out.flatten(1).numpy()
        pca = float(((linear.inverse_transform(linear.transform(held)) - held) ** 2).mean())
        mean, spread = statistics.mean(found), statistics.pstdev(found)
        wanted = f"{LIMITS[code]:.4f}" if code in LIMITS else ""
        print(f"| {code} | {mean:.4f} | {spread:.4f} | {wanted} | {pca:.4f} | {seconds:.0f} |")


# Numbers in the code, and the binary cross-entropy a pixel that the post reports for all 60,000 digits of MNIST.
KERAS = {"simple": (32, 0.09), "deep": (32, 0.08), "convolutional": (128, 0.094)}


def keras_module(name: str) -> nn.Sequential:
    """An architecture of "Building Autoencoders in Keras" (Chollet, 2016), with torch's layers; logits of (B, 1, 28, 28)."""
    sizes = {"simple": (784, 32, 784), "deep": (784, 128, 64, 32, 64, 128, 784)}.get(name)
    if sizes:
        layers = [part for pair in itertools.pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())][:-1]
        return nn.Sequential(nn.Flatten(), *layers, nn.Unflatten(1, (1, 28, 28)))
    down = [(nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True))
            for inside, outside in ((1, 16), (16, 8), (8, 8))]  # fmt: skip
    # 4, 8, 16, then without padding 14, 28.
    up = [(nn.Conv2d(8, outside, 3, padding=padding), nn.ReLU(), nn.Upsample(scale_factor=2))
          for outside, padding in ((8, 1), (8, 1), (16, 0))]  # fmt: skip
    return nn.Sequential(*itertools.chain(*down, *up), nn.Conv2d(16, 1, 3, padding=1))


def keras(epochs: int) -> None:
    """The post's architectures, trained on the same digits until the held-out loss stalls, beside ours."""
    split = open_split("mnist_5k")
    held = split.held_out
    shop = Workshop(AutoencodeRecipe(epochs=epochs), split, Series(None, 1.0))

    def loss(net: nn.Module, batch: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(net(batch), batch)

    @torch.no_grad()
    def judge(net: nn.Module) -> float:
        return float(F.binary_cross_entropy_with_logits(net(held), held))

    print("| architecture | numbers | published | cross-entropy here | MSE | ours, cross-entropy | ours, MSE |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, (code, published) in KERAS.items():
        torch.manual_seed(0)
        plan = Plan(epochs=1000, batch=256, lr=1e-3, weight_decay=0.0, patience=20)
        net = train(keras_module(name), loss, split.train, judge, plan, 0).module
        with torch.no_grad():
            theirs = net(held).sigmoid()
        mine = shop.model(code).project(held)
        entropies = [float(F.binary_cross_entropy(made.clamp(1e-6, 1 - 1e-6), held)) for made in (theirs, mine)]
        errors = [float((made - held).square().mean()) for made in (theirs, mine)]
        print(
            f"| {name} | {code} | {published} | {entropies[0]:.3f} | {errors[0]:.4f} | {entropies[1]:.3f} | {errors[1]:.4f} |"
        )
    floor = float(F.binary_cross_entropy(held, held))
    print(f"The pictures themselves have a cross-entropy of {floor:.3f}: nothing can be lower.")


def throughput(rounds: int) -> None:
    data = torch.rand(640, 1, 28, 28)
    module = make_module("conv", 1, 28, 32, 0)

    def bare() -> None:
        tuner = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)
        generator = torch.Generator().manual_seed(0)
        for batch in data.split(64):
            tuner.zero_grad(set_to_none=True)
            training_loss(module, batch, generator, 1.0).backward()
            tuner.step()

    def ours() -> None:
        plan = Plan(epochs=1, lr=1e-4)
        train(
            module,
            lambda net, batch, g: training_loss(net, batch, g, 1.0),
            data,
            lambda _net: 0.0,
            plan,
            0,
        )

    ratios = []
    for _ in range(rounds):
        times = []
        for run in (bare, ours):
            begun = time.process_time()
            run()
            times.append(time.process_time() - begun)
        ratios.append(times[0] / times[1])
    print(f"throughput, times a bare loop's: {statistics.median(ratios):.3f} (wanted: 0.95 or more)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2, 8, 32])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keras", action="store_true", help="instead: beside the architectures of the Keras blog")
    options = parser.parse_args()
    if options.keras:
        keras(options.epochs)
        return
    throughput(options.rounds)
    errors(options.epochs, options.seeds, options.sizes)


if __name__ == "__main__":
    main()
