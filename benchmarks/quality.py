"""Are pictures of classes recognised by a network that did not make them, and are they clean? See benchmarks/README.md."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from peers import as_users_have_it, lucent
from torch import Tensor

import lanterna
from lanterna import pictures as pictures_io
from lanterna.networks.network import LOGITS, Network
from lanterna.techniques.visualize import VisualizeRecipe

MAKER, JUDGE = "efficientnet_lite0", "efficientnet_lite1"
# Animals, things and places that a person can tell at a glance.
CLASSES = (
    "goldfish",
    "flamingo",
    "tarantula",
    "monarch",
    "zebra",
    "sea lion",
    "volcano",
    "strawberry",
    "daisy",
    "school bus",
)


def judge(judge_network: Network, pictures: Tensor, classes: list[int]) -> tuple[list[bool], list[float]]:
    """Whether the best class is the one meant, and how sure the judge is of the one meant."""
    with torch.no_grad():
        probabilities = judge_network.logits(judge_network.preprocessing.fit(pictures)).softmax(1)
    right = (probabilities.argmax(1) == torch.tensor(classes)).tolist()
    return right, probabilities[torch.arange(len(classes)), torch.tensor(classes)].tolist()


def grain(pictures: Tensor) -> float:
    """The share of the energy (without the mean) above a quarter cycle per pixel, averaged over pictures."""
    # A window keeps the jump between opposite borders from counting as detail.
    height, width = pictures.shape[2:]
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(width, periodic=False)[None]
    grey = pictures.mean(1)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window
    energy = torch.fft.fft2(grey).abs().square()
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    share = energy[:, radius > 0.25].sum(1) / energy[:, radius > 0].sum(1)
    return float(share.mean())


def one_by_one(network: Network, classes: list[int], steps: int, size: int, seed: int) -> Tensor:
    """Lucent's pictures, each in a run of its own: one canvas a run is how it is used."""
    # Its canvas draws from torch, its transforms from numpy's global generator.
    torch.manual_seed(seed)
    np.random.seed(seed)
    made = []
    for index in classes:
        module = as_users_have_it(network, frozen=False)
        made.append(lucent(module, network, LOGITS, [index], size, steps, lambda: None, same_size=True))
    return torch.cat(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=VisualizeRecipe(units=("logits:0",)).steps)
    parser.add_argument("--classes", nargs="*", default=list(CLASSES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-lucent", action="store_true")
    parser.add_argument("--out", type=Path, help="save a contact sheet, one row per contestant")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()

    maker, judge_network = lanterna.load(MAKER), lanterna.load(JUDGE)
    classes = [maker.class_index(name) for name in options.classes]
    size = maker.input_size[0]
    sheets: dict[str, Tensor] = {}
    seconds: dict[str, float] = {}
    steps_of: dict[str, int] = {}

    def contest(name: str, steps: int, make: "object") -> None:
        started = time.perf_counter()
        sheets[name] = make()  # type: ignore[operator]
        seconds[name] = time.perf_counter() - started
        steps_of[name] = steps

    units = tuple(f"logits:{index}" for index in classes)
    contest("lanterna", options.steps, lambda: maker.visualize(*units, steps=options.steps, seed=options.seed).pictures)
    if not options.no_lucent:
        contest("lucent, same steps", options.steps, lambda: one_by_one(maker, classes, options.steps, size, options.seed))
        a_step = seconds["lucent, same steps"] / options.steps
        longer = max(1, round(3 * seconds["lanterna"] / a_step))
        contest("lucent, 3x our time", longer, lambda: one_by_one(maker, classes, longer, size, options.seed))

    natural = torch.cat([pictures_io.load(path, size=(size, size)) for path in pictures_io.samples().values()])
    reference = grain(natural)
    results = {"natural grain": reference}
    print("| contestant | steps | seconds | right | mean confidence | grain, times natural |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, made in sheets.items():
        right, sure = judge(judge_network, made, classes)
        mean, times = sum(sure) / len(sure), grain(made) / reference
        print(
            f"| {name} | {steps_of[name]} | {seconds[name]:.0f} | {sum(right)} of {len(right)} | {mean:.3f} | {times:.2f} |"
        )
        results[name] = {
            "steps": steps_of[name],
            "seconds": seconds[name],
            "right": dict(zip(options.classes, right, strict=True)),
            "confidence": dict(zip(options.classes, sure, strict=True)),
            "grain": times,
        }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.out:
        every = torch.cat(list(sheets.values()))
        captions = [f"{name}" for _ in sheets for name in options.classes]
        pictures_io.save(pictures_io.sheet(every, captions, columns=len(classes), row_titles=list(sheets)), options.out)
        print(f"\n{options.out}")


if __name__ == "__main__":
    main()
