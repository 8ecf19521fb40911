"""Does `visualize` exceed every real picture on small networks of one's own? See benchmarks/README.md."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lanterna
from lanterna.networks.network import LOGITS, Network
from lanterna.networks.preprocessing import Preprocessing
from lanterna.techniques.visualize import VisualizeRecipe, run

# Pictures that a network is trained on, and others that it is tried on.
TRAINING, OTHERS = slice(0, 4000), slice(4000, 5000)
BATCH = 64


@dataclass(frozen=True)
class Case:
    """A network to be trained: what it looks at, how it is built, and by what its weights are multiplied afterwards.

    `head_scale` multiplies the logits and changes nothing else; `hidden_scale` multiplies the first layer and divides the
    second, so that the logits stay what they were.
    """

    name: str
    data: str
    channels: int
    size: int
    norm: Literal["batch", "group", "none"]
    activation: type[nn.Module] = nn.ReLU
    flat: bool = False
    widths: tuple[int, ...] = (16, 32, 32)
    mean: float = 0.0
    std: float = 1.0
    head_scale: float = 1.0
    hidden_scale: float = 1.0


CASES = (
    Case("grey clothes", "fashion_mnist", 1, 28, "none"),
    Case("grey clothes, logits x 0.01", "fashion_mnist", 1, 28, "none", head_scale=0.01),
    Case("grey clothes, logits x 100", "fashion_mnist", 1, 28, "none", head_scale=100.0),
    Case("grey clothes, first layer x 100", "fashion_mnist", 1, 28, "none", hidden_scale=100.0),
    Case("grey clothes, first layer x 0.01", "fashion_mnist", 1, 28, "none", hidden_scale=0.01),
    Case("grey digits, batch norm", "mnist_5k", 1, 28, "batch", mean=0.1307, std=0.3081),
    Case("grey digits, fully connected end", "mnist_5k", 1, 28, "none", flat=True),
    Case("grey clothes, group norm", "fashion_mnist", 1, 28, "group", flat=True),
    Case("tiny grey clothes, batch norm", "fashion_mnist", 1, 16, "batch"),
    Case("large grey digits, SiLU", "mnist_5k", 1, 64, "group", activation=nn.SiLU, widths=(8, 16, 32, 32)),
    Case("colored clothes, batch norm", "fashion_mnist", 3, 32, "batch", mean=0.5, std=0.25),
    Case("colored digits", "mnist_5k", 3, 32, "none", flat=True, mean=0.5, std=0.5),
    Case("colored digits, group norm", "mnist_5k", 3, 48, "group", activation=nn.GELU),
    Case("large colored clothes, ReLU6", "fashion_mnist", 3, 64, "batch", activation=nn.ReLU6, widths=(8, 16, 32, 32)),
    Case("four-channel clothes, batch norm", "fashion_mnist", 4, 32, "batch"),
    Case("four-channel digits", "mnist_5k", 4, 28, "none", mean=0.5, std=0.5),
)


def pictures_of(case: Case, part: slice) -> tuple[Tensor, Tensor]:
    """Pictures (N, C, size, size) in [0, 1] with their classes; each in two colors; fourth, its mask."""
    generator = torch.Generator().manual_seed(0)
    data = lanterna.data.load(case.data)
    assert data.labels is not None
    chosen = torch.randperm(len(data), generator=generator)[part]
    shapes = F.interpolate(data.pictures(chosen.tolist()), case.size, mode="bilinear", antialias=True, align_corners=False)
    classes = torch.tensor(data.labels)[chosen]
    if case.channels == 1:
        return shapes, classes
    generator.manual_seed(part.start)
    front, back = torch.rand((2, len(shapes), 3, 1, 1), generator=generator)
    colored = back / 2 + (front / 2 + 0.5 - back / 2) * shapes
    return (torch.cat([colored, shapes], 1) if case.channels == 4 else colored), classes


def module_of(case: Case) -> nn.Sequential:
    """Convolutions of 3 x 3 with pooling between them, then a mean over the map or all of it, and one linear layer."""
    layers: dict[str, nn.Module] = {}
    before, side = case.channels, case.size
    for index, width in enumerate(case.widths, 1):
        layers[f"conv{index}"] = nn.Conv2d(before, width, 3, padding=1)
        if case.norm != "none":
            layers[f"norm{index}"] = nn.BatchNorm2d(width) if case.norm == "batch" else nn.GroupNorm(4, width)
        layers[f"act{index}"] = case.activation()
        if index < len(case.widths):
            layers[f"pool{index}"], side = nn.MaxPool2d(2), side // 2
        before = width
    if not case.flat:
        layers["mean"], side = nn.AdaptiveAvgPool2d(1), 1
    layers["flat"] = nn.Flatten()
    layers["head"] = nn.Linear(before * side * side, 10)
    module = nn.Sequential()
    for name, layer in layers.items():
        module.add_module(name, layer)
    return module


def trained(case: Case, epochs: int = 4) -> tuple[Network, float]:
    """The network, and the share of other pictures that it puts in their class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = module_of(case)
        pictures, classes = pictures_of(case, TRAINING)
        inputs = (pictures - case.mean) / case.std
        tuner = torch.optim.AdamW(module.parameters(), lr=4e-3, weight_decay=1e-2)
        steps = epochs * (len(inputs) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(tuner, 4e-3, total_steps=steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(inputs)).split(BATCH)[: len(inputs) // BATCH]:
                tuner.zero_grad()
                F.cross_entropy(module(inputs[chosen]), classes[chosen]).backward()
                tuner.step()
                schedule.step()
    _scale(module, case)
    preprocessing = Preprocessing((case.mean,), (case.std,), channels=case.channels, size=(case.size, case.size))
    network = Network.wrap(module, name=case.name, preprocessing=preprocessing, labels=lanterna.data.load(case.data).classes)
    others, their_classes = pictures_of(case, OTHERS)
    with torch.no_grad():
        right = (network.logits(others).argmax(1) == their_classes).float().mean()
    return network, float(right)


@torch.no_grad()
def _scale(module: nn.Sequential, case: Case) -> None:
    for name, factor in (("head", case.head_scale), ("conv1", case.hidden_scale)):
        for parameter in module.get_submodule(name).parameters():
            parameter *= factor
    module.get_submodule("conv2").weight /= case.hidden_scale  # type: ignore[operator]  # a tensor


def units_of(case: Case, each: int) -> list[tuple[str, int]]:
    """`each` units of the output of every block, evenly over its channels, and all classes."""
    units = []
    for index, width in enumerate(case.widths, 1):
        count = min(each, width)
        units += [(f"act{index}", round(place * width / count)) for place in range(count)]
    return units + [(LOGITS, index) for index in range(10)]


def highest(network: Network, units: Sequence[tuple[str, int]], pictures: Tensor) -> Tensor:
    """For each unit its highest activation over `pictures`, means over the map: (U,)."""
    best = torch.full((len(units),), -torch.inf)
    for part in pictures.split(500):
        features = network.capture(part, sorted({layer for layer, _ in units}))
        means = {layer: found.flatten(2).mean(2) if found.ndim > 2 else found for layer, found in features.items()}
        best = torch.maximum(best, torch.stack([means[layer][:, channel].max() for layer, channel in units]))
    return best


@dataclass(frozen=True)
class Line:
    """What came out for a case: classes and live units whose made picture exceeds all real ones, and those called dead."""

    case: str
    accuracy: float
    classes: int
    classes_won: int
    units: int
    units_won: int
    dead_by_gradient: int
    called_dead: int
    contrast: float
    seconds: float


def tried(case: Case, network: Network, accuracy: float, each: int, steps: int | None) -> tuple[Line, Tensor]:
    """One case with the defaults of `visualize`; the pictures of the classes come beside the numbers."""
    units = units_of(case, each)
    # What the network was trained on counts too: there it is surest.
    real = torch.maximum(*(highest(network, units, pictures_of(case, part)[0]) for part in (TRAINING, OTHERS)))
    # A unit that is off for every picture says nothing of what it likes.
    live = [bool(value != 0) for value in real]
    start = time.perf_counter()
    fields = {} if steps is None else {"steps": steps}
    recipe = VisualizeRecipe(units=tuple(f"{layer}:{channel}" for layer, channel in units), **fields)
    result = run(recipe, network)
    seconds = time.perf_counter() - start
    made = torch.tensor(result.activation)
    won = [bool(above) and alive for above, alive in zip(made > real, live, strict=True)]
    classes = [layer == LOGITS for layer, _ in units]
    line = Line(
        case=case.name,
        accuracy=accuracy,
        classes=sum(classes),
        classes_won=sum(one and kind for one, kind in zip(won, classes, strict=True)),
        units=sum(one and not kind for one, kind in zip(live, classes, strict=True)),
        units_won=sum(one and not kind for one, kind in zip(won, classes, strict=True)),
        dead_by_gradient=len(live) - sum(live),
        called_dead=sum(result.dead),
        contrast=float(result.pictures[torch.tensor(classes)].std((1, 2, 3)).mean()),
        seconds=seconds,
    )
    return line, result.pictures[torch.tensor(classes)]


def main() -> None:
    """Train every case, try it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", help="parts of names of cases; by default all")
    parser.add_argument("--units", type=int, default=8, help="units of each block")
    parser.add_argument("--steps", type=int, help="by default those of visualize")
    parser.add_argument("--out", type=Path, help="a folder for a sheet of the classes of each case")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    lines = []
    print("| network | right | classes above all real | live units above | off for all real pictures | called dead |")
    print("|---|--:|--:|--:|--:|--:|")
    for case in CASES:
        if arguments.cases and not any(part in case.name for part in arguments.cases):
            continue
        network, accuracy = trained(case)
        line, pictures = tried(case, network, accuracy, arguments.units, arguments.steps)
        lines.append(asdict(line))
        print(
            f"| {line.case} | {line.accuracy:.2f} | {line.classes_won} of {line.classes} | {line.units_won} of {line.units} "
            f"| {line.dead_by_gradient} | {line.called_dead} |",
            flush=True,
        )
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            path = arguments.out / f"{case.name.replace(' ', '_').replace(',', '')}.png"
            labels = [network.label(index) for index in range(10)]
            lanterna.pictures.save(lanterna.pictures.sheet(pictures[:, :3], labels), path)
    if arguments.json:
        arguments.json.write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
