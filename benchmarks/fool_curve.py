"""Which real pictures keep their class, by epsilon, beside noise of the same size. See benchmarks/README.md."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

import lanterna
from lanterna import attacks, data
from lanterna import pictures as pictures_io
from lanterna.networks.network import Network

LEVELS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16)
# Draws of the noise for each picture: one alone would be chance.
DRAWS = 8
SHOWN = {"fgsm": ("FGSM", "#d9a441"), "pgd": ("PGD, 40 steps", "#b4541a"), "noise": ("noise of the same size", "#2b6a8f")}


def curve(network: Network, pictures: Tensor) -> list[dict[str, float]]:
    """For each radius, in levels of 8 bits, the share of pictures that keep the network's own class."""
    with torch.no_grad():
        labels = network.logits(pictures).argmax(1)
    generator = torch.Generator().manual_seed(0)
    print("| epsilon, of 255 | FGSM | PGD, 40 steps | noise of the same size |\n|--:|--:|--:|--:|")
    rows = []
    for levels in LEVELS:
        epsilon = levels / 255
        one = attacks.fast_gradient_sign(network, pictures, labels, epsilon=epsilon)
        many = attacks.projected_gradient_descent_linf(network, pictures, labels, epsilon=epsilon)
        # As they are and not with 8 bits, which have nothing between whole levels.
        draws = torch.stack([_noisy(network, pictures, labels, epsilon, generator) for _ in range(DRAWS)])
        fooled = {"fgsm": one.success.float(), "pgd": many.success.float(), "noise": draws.float()}
        row = {"epsilon": float(levels), **{name: 1 - float(values.mean()) for name, values in fooled.items()}}
        rows.append(row)
        print(f"| {levels:g} | {row['fgsm']:.0%} | {row['pgd']:.0%} | {row['noise']:.0%} |", flush=True)
    return rows


def _noisy(network: Network, pictures: Tensor, labels: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Whether every value moved by epsilon, up or down by chance, fools: (B,)."""
    signs = torch.randint(0, 2, pictures.shape, generator=generator) * 2 - 1
    with torch.no_grad():
        return attacks.Misclassified(labels).met(network.logits((pictures + epsilon * signs).clamp(0, 1)))


def plot(rows: list[dict[str, float]], out: Path, title: str) -> None:
    figure = Figure(figsize=(6, 3.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, (label, colour) in SHOWN.items():
        axes.plot([row["epsilon"] for row in rows], [100 * row[name] for row in rows], "o-", label=label, color=colour)
    axes.set_xscale("log", base=2)
    levels = [row["epsilon"] for row in rows]
    axes.set_xticks(levels, [f"1/{1 / level:g}" if level < 1 else f"{level:g}" for level in levels])
    axes.set_ylim(-4, 104)
    axes.set_xlabel("epsilon, of 255")
    axes.set_ylabel("keep their class, %")
    axes.set_title(title, fontsize=9)
    axes.legend(frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    pictures_io.save(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--data", default="samples", help="real pictures: samples or folder:PATH")
    parser.add_argument("--pictures", type=int, help="so many of them; by default all")
    parser.add_argument("--plot", type=Path, help="draw the curve into this picture")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    network, found = lanterna.load(options.network), data.load(options.data)
    count = len(found) if options.pictures is None else min(options.pictures, len(found))
    pictures = attacks.rounded(torch.cat([network.preprocessing.fit(found.read(index)) for index in range(count)]))
    rows = curve(network, pictures)
    if options.plot:
        plot(rows, options.plot, f"{options.network}, {count} pictures of {found.name}")
    if options.json:
        options.json.write_text(json.dumps({"pictures": count, "curve": rows}, indent=1))


if __name__ == "__main__":
    main()
