"""Dreams beside the original's procedure on the same weights: time of a step, memory, result; and memory with tiles.

The original (Mordvintsev, Olah and Tyka's notebook of 2015) is written out here for torch: octaves, a roll of up to 32 px,
the gradient over its mean magnitude, pixels clipped. It runs the module as a user has it, through a hook.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lanterna
from lanterna import Network, pictures
from lanterna.events import Stepped
from lanterna.techniques.dream import Dreamer, DreamRecipe, octave_sizes, run
from lanterna.techniques.wishes import default_layers


class _Reached(Exception):  # noqa: N818
    pass


def original(
    network: Network, picture: Tensor, layer: str, steps: int = 10, step_size: float = 1.5
) -> tuple[Tensor, list[float]]:
    """The dream, and the seconds of each step at the largest octave."""
    part, found = network.module.get_submodule(layer), []

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)
        raise _Reached

    generator, detail, seconds = torch.Generator().manual_seed(0), None, []
    size = (picture.shape[2], picture.shape[3])
    handle = part.register_forward_hook(hook)
    for octave in octave_sizes(size, 4, 1.4):
        base = F.interpolate(picture, octave, mode="bilinear", align_corners=False)
        canvas = base if detail is None else base + F.interpolate(detail, octave, mode="bilinear", align_corners=False)
        for _ in range(steps):
            begun = time.perf_counter()
            shift = torch.randint(-32, 33, (2,), generator=generator).tolist()
            rolled = canvas.roll(shift, (2, 3)).detach().requires_grad_()
            found.clear()
            with contextlib.suppress(_Reached):
                network.module(network.preprocessing.apply(rolled))
            (gradient,) = torch.autograd.grad(found[0].square().sum() / 2, rolled)
            moved = rolled.detach() + gradient * (step_size / 255 / gradient.abs().mean())
            canvas = moved.roll([-s for s in shift], (2, 3)).clamp(0, 1)
            if octave == size:
                seconds.append(time.perf_counter() - begun)
        detail = canvas - base
    handle.remove()
    return canvas, seconds


def ours(network: Network, name: str, size: str, layer: str) -> tuple[Tensor, list[float]]:
    times: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, Stepped):
            times.append(time.perf_counter())

    result = run(DreamRecipe(picture=name, size=size, layers=(layer,)), network, note)
    return result.picture, [after - before for before, after in zip(times[-10:], times[-9:], strict=False)]


def clipped(picture: Tensor) -> float:
    return float(((picture < 0.5 / 255) | (picture > 254.5 / 255)).float().mean())


def peak_of(arguments: list[str]) -> float:
    """Peak memory of a process of its own, in MB."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(spec: str, layer: str, height: int, width: int, how: str) -> None:
    """One step at one size: prints by how much the peak exceeds the process with the network and the picture."""
    network = lanterna.load(spec)
    picture = F.interpolate(pictures.load("coffee"), (height, width), mode="bilinear")
    recipe = DreamRecipe(
        picture="coffee", layers=(layer,), octaves=1, steps=1, native=True, tile=100_000 if how == "whole" else None
    )
    dreamer = Dreamer.prepare(recipe, network, picture)
    before = _peak()
    dreamer.dream(picture, torch.Generator().manual_seed(0), lambda *_: None, steps=1)
    print(_peak() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["efficientnet_lite0", "vgg16_hed"])
    parser.add_argument("--size", default="299x448")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megapixels", nargs="+", type=float, default=[1, 3, 12])
    parser.add_argument("--out", type=Path, default=Path("dream.png"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        spec, layer, height, width, how = arguments.memory
        memory(spec, layer, int(height), int(width), how)
        return
    table, shown, captions = [], [], []
    for spec in arguments.networks:
        network = lanterna.load(spec)
        layer = default_layers(network)[0]
        height, width = (int(side) for side in arguments.size.split("x"))
        picture = pictures.load("coffee", size=(height, width))
        ratios, theirs_all, ours_all = [], [], []
        for _ in range(arguments.rounds):
            theirs, their_seconds = original(network, picture, layer)
            mine, my_seconds = ours(network, "coffee", arguments.size, layer)
            theirs_all.append(sorted(their_seconds)[len(their_seconds) // 2])
            ours_all.append(sorted(my_seconds)[len(my_seconds) // 2])
            ratios.append(ours_all[-1] / theirs_all[-1])
        row = {
            "network": spec,
            "layer": layer,
            "original_seconds": sorted(theirs_all)[len(theirs_all) // 2],
            "lanterna_seconds": sorted(ours_all)[len(ours_all) // 2],
            "ratio": sorted(ratios)[len(ratios) // 2],
            "clipped_before": clipped(picture),
            "original_clipped": clipped(theirs),
            "lanterna_clipped": clipped(mine),
        }
        shown += [theirs, mine]
        captions += [f"{spec}, the original's procedure", f"{spec}, lanterna"]
        print(json.dumps(row), flush=True)
        table.append(row)
    for megapixels in arguments.megapixels:
        side = round((megapixels * 1e6 / 12) ** 0.5)
        for spec in arguments.networks:
            layer = default_layers(lanterna.load(spec))[0]
            for how in ("whole", "tiles") if megapixels <= 1 else ("tiles",):
                peak = peak_of(["--memory", spec, layer, str(3 * side), str(4 * side), how])
                row = {"network": spec, "megapixels": megapixels, "how": how, "peak_mb": round(peak)}
                print(json.dumps(row), flush=True)
                table.append(row)
    pictures.save(pictures.sheet(shown, captions, columns=2), arguments.out)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
