"""Held-out error beside PCA over seeds, and training throughput beside a bare loop. See benchmarks/README.md."""

import argparse
import statistics
import time

import torch
from sklearn.decomposition import PCA

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
        print(f"| {code} | {mean:.4f} | {spread:.4f} | {LIMITS.get(code, 0):.4f} | {pca:.4f} | {seconds:.0f} |")


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
    options = parser.parse_args()
    throughput(options.rounds)
    errors(options.epochs, options.seeds, options.sizes)


if __name__ == "__main__":
    main()
