"""Attacks beside foolbox, fooling pictures of many classes, and which pictures keep theirs. See benchmarks/README.md."""

import argparse
import copy
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import lanterna
from lanterna import attacks
from lanterna import pictures as pictures_io
from lanterna.networks.network import Network
from lanterna.techniques.fool_noise import FoolNoiseRecipe, run

with warnings.catch_warnings():
    # foolbox imports a name that scipy moved.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox


def sample_pictures(network: Network, count: int) -> Tensor:
    return attacks.rounded(torch.cat([network.preprocessing.fit(one) for one in pictures_io.samples_at((256, 256))])[:count])


def times(network: Network, pictures: Tensor, rounds: int) -> dict[str, object]:
    """Each attack by both, in turns, at the same radius and steps."""
    with torch.no_grad():
        labels = network.logits(pictures).argmax(1)
    module, fit = copy.deepcopy(network.module), network.preprocessing
    theirs = foolbox.PyTorchModel(module, bounds=(0, 1), preprocessing={"mean": fit.mean[0], "std": fit.std[0]}, device="cpu")
    fb, epsilon = foolbox.attacks, 1 / 255
    pairs: dict[str, tuple[Callable[[], attacks.Attacked], Callable[[], tuple[Tensor, Tensor]]]] = {
        "fgsm": (
            lambda: attacks.fast_gradient_sign(network, pictures, labels, epsilon=epsilon),
            lambda: fb.LinfFastGradientAttack(random_start=False)(theirs, pictures, labels, epsilons=epsilon)[1:],
        ),
        "pgd-linf, 10 steps": (
            lambda: attacks.projected_gradient_descent_linf(
                network, pictures, labels, epsilon=epsilon, steps=10, early_stop=False
            ),
            lambda: fb.LinfPGD(steps=10, random_start=False)(theirs, pictures, labels, epsilons=epsilon)[1:],
        ),
        "deepfool": (
            lambda: attacks.deepfool_l2(network, pictures, labels, steps=10),
            lambda: fb.L2DeepFoolAttack(steps=10, candidates=10)(theirs, pictures, labels, epsilons=None)[1:],
        ),
        "cw-l2, 3 x 20": (
            lambda: attacks.carlini_wagner_l2(network, pictures, labels, search_steps=3, steps=20),
            lambda: fb.L2CarliniWagnerAttack(binary_search_steps=3, steps=20)(theirs, pictures, labels, epsilons=None)[1:],
        ),
    }
    table: dict[str, object] = {}
    print("| attack | ours, s | foolbox, s | times as fast | success | median L2 |\n|---|--:|--:|--:|---|---|")
    for name, (our, their) in pairs.items():
        took: list[tuple[float, float]] = []
        for _ in range(rounds):
            begun = time.perf_counter()
            made = our()
            half = time.perf_counter()
            other, success = their()
            took.append((half - begun, time.perf_counter() - half))
        l2 = (other - pictures).flatten(1).norm(dim=1)
        ours, foolboxs = (statistics.median(row[i] for row in took) for i in (0, 1))
        row = {
            "ours": ours,
            "foolbox": foolboxs,
            "ratio": statistics.median(b / a for a, b in took),
            "success": [int(made.success.sum()), int(success.sum())],
            "l2": [float(made.l2[made.success].median()), float(l2[success].median())],
        }
        table[name] = row
        won, far, quick = row["success"], row["l2"], row["ratio"]
        print(
            f"| {name} | {ours:.1f} | {foolboxs:.1f} | {quick:.2f} | {won[0]}, {won[1]} | {far[0]:.3f}, {far[1]:.3f} |",
            flush=True,
        )
    return table


def classes(network: Network, count: int, encoding: str, out: Path | None) -> dict[str, object]:
    """Fooling pictures of the first `count` classes."""
    names = tuple(str(index) for index in range(count))
    begun = time.perf_counter()
    made = run(FoolNoiseRecipe(classes=names, encoding=encoding, control=False, second="none"), network)
    seconds = (time.perf_counter() - begun) / count
    print(f"\n{encoding}: above 99 % for {made.share:.1%} of {count} classes, {seconds:.2f} s a class")
    if out:
        pictures_io.save(made.sheet(), out)
    return {"share": made.share, "seconds": seconds, "confidence": made.confidence, "steps": made.steps}


def curve(network: Network, pictures: Tensor) -> list[dict[str, float]]:
    """The share of pictures that keep their class, by radius, under PGD and under noise of random signs (one draw)."""
    with torch.no_grad():
        labels = network.logits(pictures).argmax(1)
    print("\n| epsilon, of 255 | keep their class, PGD | noise |\n|--:|--:|--:|")
    rows = []
    for levels in (0.25, 0.5, 1, 2, 4, 8):
        epsilon = levels / 255
        pgd = attacks.projected_gradient_descent_linf(network, pictures, labels, epsilon=epsilon, steps=10)
        noise = attacks.uniform_noise_linf(network, pictures, labels, epsilon=epsilon, steps=1)
        row = {
            "epsilon": levels,
            "pgd": 1 - float(pgd.success.float().mean()),
            "noise": 1 - float(noise.success.float().mean()),
        }
        rows.append(row)
        print(f"| {levels:g} | {row['pgd']:.0%} | {row['noise']:.0%} |", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=["times", "classes", "curve"], default=["times", "classes", "curve"])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--encoding", choices=["pixels", "fourier", "cppn"], default="pixels")
    parser.add_argument("--out", type=Path, help="save the sheet of fooling pictures")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    network = lanterna.load("efficientnet_lite0")
    pictures = sample_pictures(network, options.pictures)
    results: dict[str, object] = {}
    if "times" in options.parts:
        results["times"] = times(network, pictures, options.rounds)
    if "curve" in options.parts:
        results["curve"] = curve(network, pictures)
    if "classes" in options.parts:
        results["classes"] = classes(network, options.classes, options.encoding, options.out)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
