"""The scan of `lanterna patterns` beside the bare forward pass, and beside a straightforward hook-and-sort script.

    python benchmarks/scan.py --pictures 512 --rounds 3 --json scan.json

All layers of efficientnet_lite0, every channel, on decoded batches, in turns within each round. Then what decoding costs, and
what JPEG draft decoding changes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from PIL import Image

import lanterna
from lanterna import pictures
from lanterna.patterns import scan
from lanterna.patterns.feed import Batch, fitted

CONTESTANTS = ("bare", "lanterna", "hook and sort")


def make_pictures(count: int) -> torch.Tensor:
    """Crops of the sample photographs, turned and mirrored, so that no two are the same: uint8 (N, 3, 224, 224)."""
    generator = torch.Generator().manual_seed(0)
    whole = [pictures.load(path, size=480) for path in pictures.samples()]
    made = []
    for i in range(count):
        one = whole[i % len(whole)]
        side = int(torch.randint(100, min(one.shape[2:]), (1,), generator=generator))
        top, left = (int(torch.randint(0, one.shape[d] - side + 1, (1,), generator=generator)) for d in (2, 3))
        crop = one[:, :, top : top + side, left : left + side]
        crop = torch.nn.functional.interpolate(crop, (224, 224), mode="bilinear", antialias=True)
        crop = crop.flip(3) if torch.rand((), generator=generator) < 0.5 else crop
        made.append((crop * 255).round().to(torch.uint8))
    return torch.cat(made)


def bare(network: lanterna.Network, data: list[torch.Tensor], _k: int) -> None:
    with torch.no_grad():
        for batch in data:
            inputs = network.preprocessing.apply(batch).contiguous(memory_format=torch.channels_last)
            network.module(inputs)


def with_lanterna(network: lanterna.Network, data: list[torch.Tensor], k: int) -> None:
    size = len(data[0])
    batches = [Batch(one, tuple(range(i * size, i * size + len(one))), (), i * size + len(one)) for i, one in enumerate(data)]
    count = batches[-1].upto
    named = lanterna.data.PictureArray("benchmark", torch.zeros(count, 1, 1, 1, dtype=torch.uint8))
    scan(network, named, [layer.name for layer in network.layers()], k=k, feed=lambda _indices: batches)


def hook_and_sort(network: lanterna.Network, data: list[torch.Tensor], k: int) -> None:
    """What one writes first: a hook on every module keeps each channel's maximum and its place; sorted at the end."""
    found: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(_module: object, _inputs: object, output: torch.Tensor) -> None:
            found.setdefault(name, []).append(tuple(output.flatten(2).max(2)) if output.ndim == 4 else (output, output))

        return keep

    handles = [part.register_forward_hook(hook(name)) for name, part in network.module.named_modules()]
    bare(network, data, k)
    for handle in handles:
        handle.remove()
    for values in found.values():
        torch.cat([value for value, _ in values]).sort(0, descending=True)


RUNS = {"bare": bare, "lanterna": with_lanterna, "hook and sort": hook_and_sort}


def speeds(count: int, size: int, rounds: int, k: int) -> dict[str, list[float]]:
    network = lanterna.load("efficientnet_lite0")
    data = list((make_pictures(count).float() / 255).split(size))
    for name in CONTESTANTS:
        RUNS[name](network, data[:2], k)
    result: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name in CONTESTANTS:
            begun = time.perf_counter()
            RUNS[name](network, data, k)
            result[name].append(count / (time.perf_counter() - begun))
    return result


def peak_memory(name: str, count: int, size: int, k: int) -> float:
    """MB by which a run's peak exceeds the process with network and batches, in a process of its own."""
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); import scan, lanterna; from step import _settle, _status\n"
        "from pathlib import Path; torch.set_num_threads(1); name, count, size, k = sys.argv[2], *map(int, sys.argv[3:])\n"
        "network = lanterna.load('efficientnet_lite0')\n"
        "data = list((scan.make_pictures(count).float() / 255).split(size)); scan.bare(network, data[:2], k)\n"
        "_settle(); start = _status('VmRSS'); Path('/proc/self/clear_refs').write_text('5')\n"
        "scan.RUNS[name](network, data, k); print((_status('VmHWM') - start) / 1e6)\n"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), name, str(count), str(size), str(k)]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def decoding() -> dict[str, float]:
    """JPEGs of 12 megapixels: pictures a second with and without draft decoding, and what draft changes."""
    network = lanterna.load("efficientnet_lite0")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("chelsea", "coffee", "astronaut", "rocket", "china", "flower"):
            picture = pictures.to_pil(pictures.load(name)).resize((4000, 3000), Image.Resampling.LANCZOS)
            picture.save(Path(folder, f"{name}.jpg"), quality=92)
        data = lanterna.data.load(f"folder:{folder}")
        begun = time.perf_counter()
        quick = torch.cat([fitted(network, data, i) for i in range(len(data))])
        middle = time.perf_counter()
        exact = torch.cat([network.preprocessing.fit(data.read(i)) for i in range(len(data))])
        end = time.perf_counter()
    layers = [layer.name for layer in network.layers()]
    one, other = network.capture(quick, layers), network.capture(exact, layers)
    peaks = [
        (float((one[layer].flatten(2).amax(2) - other[layer].flatten(2).amax(2)).abs().median() / other[layer].std()))
        for layer in layers
        if one[layer].ndim == 4
    ]
    return {
        "draft_pictures_per_second": len(data) / (middle - begun),
        "full_pictures_per_second": len(data) / (end - middle),
        "pixel_difference": float((quick - exact).abs().mean()),
        "median_change_of_a_peak_in_standard_deviations": median(peaks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--top", type=int, default=9)
    parser.add_argument("--memory", action="store_true", help="also peak memory, for a quarter of the pictures and for all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = speeds(options.pictures, options.batch, options.rounds, options.top)
    print(f"{'':16}{'pictures/s':>12}{'of bare':>10}")
    report: dict[str, object] = {"speed": found, "decoding": decoding()}
    for name, values in found.items():
        ratio = median(value / base for value, base in zip(values, found["bare"], strict=True))
        print(f"{name:16}{median(values):12.1f}{ratio:10.2f}")
    print("decoding:", {name: round(value, 4) for name, value in report["decoding"].items()})  # type: ignore[attr-defined]
    if options.memory:
        counts = (options.pictures // 4, options.pictures)
        report["memory"] = {
            name: [peak_memory(name, count, options.batch, options.top) for count in counts] for name in CONTESTANTS
        }
        for name, values in report["memory"].items():  # type: ignore[attr-defined]
            print(f"{name:16}" + "".join(f"{value:8.0f} MB for {count}" for value, count in zip(values, counts, strict=True)))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
