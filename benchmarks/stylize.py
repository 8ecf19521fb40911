"""Painting in a style: ours beside the two best optimisation-based systems, at equal loss. See benchmarks/README.md."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from step import _settle, _status
from style_baselines import STYLE, NeuralStyle, Wasserstein
from torch import Tensor
from turns import Turn, in_turns

import lanterna
from lanterna import Network, pictures
from lanterna.events import Event, Preview, Stepped
from lanterna.moments import Moments, gram_distance, wasserstein_distance
from lanterna.techniques.likeness import ssim
from lanterna.techniques.stylize import StylizeRecipe, run

PAIRS = (("chelsea", "coffee"), ("china", "hubble_deep_field"), ("astronaut", "flower"))
# Layers that no contestant optimises.
HELD_OUT_STYLE, HELD_OUT_CONTENT = ("relu1_2", "relu2_2", "relu3_2", "relu4_3"), ("relu3_2", "relu5_1")
# Of the pictures, the border that is held against the rest, in pixels.
BORDER = 8
BASELINES = {"gatys": NeuralStyle, "multiscale": Wasserstein}
# Until the memory of L-BFGS is full: of 100 pairs of pictures, and of 10.
MEMORY_STEPS = {"gatys": 102, "lanterna gatys": 12, "multiscale": 2, "lanterna multiscale": 12}


# Both baselines have zeros around their maps, in all convolutions or in all but the first, and so match the style's maps with
# their edges of zeros; ours has no such edges, unless asked for. So their loss is read in both ways, and ours runs twice.
READINGS = ("as they read it", "borders repeated")
BORDERS = {"multiscale": "first", "gatys": "zeros"}


@dataclass
class Course:
    """The losses of a run, one for each reading, over its own time: what scoring takes does not count."""

    score: Callable[[Tensor], tuple[float, ...]]
    turn: Turn
    seconds: list[float] = field(default_factory=list)
    losses: list[tuple[float, ...]] = field(default_factory=list)
    _scoring: float = 0.0

    def note(self, picture: Tensor) -> tuple[float, ...]:
        """The losses of the picture now."""
        now = self.turn.spent
        losses = self.score(picture)
        self.seconds.append(now - self._scoring)
        self.losses.append(losses)
        self._scoring += self.turn.spent - now
        return losses

    def lowest(self, reading: int) -> tuple[float, float]:
        """The lowest loss, and the seconds it took."""
        return min((values[reading], at) for at, values in zip(self.seconds, self.losses, strict=True))

    def until(self, reading: int, loss: float) -> float | None:
        """Seconds until a loss was reached first."""
        return next((at for at, values in zip(self.seconds, self.losses, strict=True) if values[reading] <= loss), None)


def whole(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """The picture at the full size, (1, 3, H, W) in [0, 1]."""
    if tuple(picture.shape[2:]) == size:
        return picture.clamp(0, 1)
    return F.interpolate(picture, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


def contest(network: Network, preset: str, content: str, style: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The baseline and ours with each of the borders, in turns, each to its end."""
    photograph, painting = pictures.load(content, size=options.size), pictures.load(style, size=options.size)
    size = (photograph.shape[2], photograph.shape[3])
    # Aimed at the full size, while the baseline goes through all of them.
    judges = [BASELINES[preset](network, photograph, painting, **borders) for borders in ({}, {"replicated": None})]

    def score(picture: Tensor) -> tuple[float, ...]:
        with torch.no_grad():
            return tuple(float(judge.loss(whole(picture, size))) for judge in judges)

    def theirs(turn: Turn) -> tuple[Tensor, Course]:
        course = Course(score, turn)
        baseline = BASELINES[preset](network, photograph, painting)
        limits = (options.iterations,) if isinstance(baseline, NeuralStyle) else (options.first, options.later)

        def tell(step: int, picture: Tensor) -> None:
            if step % options.every == 0 and tuple(picture.shape[2:]) == size:
                course.note(picture)
            turn.offer()

        made = baseline.run(*limits, tell)
        course.note(made)
        return made, course

    def ours(turn: Turn, padding: str) -> tuple[Tensor, Course]:
        course = Course(score, turn)

        def listen(event: Event) -> None:
            if isinstance(event, Preview) and tuple(event.pictures.shape[2:]) == size:
                course.note(event.pictures)
            if isinstance(event, Stepped):
                turn.offer()

        recipe = StylizeRecipe(
            content=content,
            styles=(style,),
            size=f"{size[0]}x{size[1]}",
            preset=preset,  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            steps=options.our_steps,
        )
        found = run(recipe, network, listen, preview_every=options.every)
        course.note(found.picture)
        return found.picture, course

    borders = dict(zip(READINGS, (BORDERS[preset], "replicate"), strict=True))
    asked = {READINGS.index(reading): borders[reading] for reading in options.readings}
    runs = {"theirs": theirs} | {padding: partial(ours, padding=padding) for padding in asked.values()}
    clock = time.process_time if options.processor_time else time.perf_counter
    made = in_turns(runs, options.slice, clock)
    their_picture, their_course = made["theirs"]
    their_seconds = their_course.seconds[-1]
    rows = []
    for reading, padding in asked.items():
        picture, course = made[padding]
        # Of what neural-style lowers, values beyond [0, 1] are cut off: the loss of its saved pictures falls, and then rises.
        goal, goal_at = their_course.lowest(reading)
        at = course.until(reading, goal)
        with torch.no_grad():
            uncut = float(judges[reading].loss(their_picture))
        row = {
            "preset": preset,
            "pair": f"{content}, {style}",
            "reading": READINGS[reading],
            "padding": padding,
            "their_seconds": their_seconds,
            "their_loss": their_course.losses[-1][reading],
            "their_lowest": goal,
            "seconds_to_it": goal_at,
            "our_seconds": course.seconds[-1],
            "our_loss": course.losses[-1][reading],
            "our_seconds_to_it": at,
            "ratio": None if at is None else at / goal_at,
            "their_loss_before_values_are_cut": uncut,
            "our_seconds_to_that": course.until(reading, uncut),
            "theirs": quality(network, whole(their_picture, size), photograph, painting),
            "ours": quality(network, picture, photograph, painting),
        }
        print(
            f"| {preset}, {row['pair']} | {row['reading']} | {their_seconds:.0f} | {row['their_loss']:.4g} ({uncut:.4g}) "
            f"| {goal_at:.0f} | {goal:.4g} | {course.seconds[-1]:.0f} | {row['our_loss']:.4g} "
            f"| {'never' if at is None else f'{at:.0f}'} | {'' if at is None else f'{at / goal_at:.2f}'} |",
            flush=True,
        )
        if options.out:
            sheet = pictures.sheet([whole(their_picture, size), picture], ["the baseline", "lanterna"], columns=2)
            pictures.save(sheet, options.out / f"{preset}-{content}-{style}-{padding}.png")
        rows.append(row)
    return rows


def _high(picture: Tensor) -> float:
    """Mean squared Laplacian of the luminance."""
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]).view(1, 1, 3, 3)
    return float(F.conv2d(picture.mean(1, keepdim=True), kernel).square().mean())


def quality(network: Network, picture: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    """Numbers that need no download. Distances are relative: 1 is as far as nothing."""
    layers = [*HELD_OUT_STYLE, *HELD_OUT_CONTENT]
    found, wanted, kept = (network.capture(one, layers) for one in (picture, style, content))
    moments = {name: (Moments.of(found[name]), Moments.of(wanted[name])) for name in HELD_OUT_STYLE}
    edge = torch.ones_like(picture[:, :1], dtype=torch.bool)
    edge[..., BORDER:-BORDER, BORDER:-BORDER] = False
    grey = picture.mean(1, keepdim=True)
    return {
        "gram": sum(float(gram_distance(*pair)) for pair in moments.values()) / len(moments),
        "wasserstein": sum(float(wasserstein_distance(*pair)) for pair in moments.values()) / len(moments),
        "content": sum(
            float((found[name] - kept[name]).square().sum() / kept[name].square().sum()) for name in HELD_OUT_CONTENT
        )
        / len(HELD_OUT_CONTENT),
        "ssim": ssim(picture.mean(1, keepdim=True), content.mean(1, keepdim=True))[0],
        "high_frequency": _high(picture) / _high(style),
        "border": float(grey[edge].std() / grey[~edge].std()),
    }


def frontier(network: Network, content: str, style: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """Held-out style and content for a sweep of the content's weight."""
    points = []
    for weight in options.weights:
        recipe = StylizeRecipe(content=content, styles=(style,), size=str(options.size), content_weight=weight)
        photograph = pictures.load(content, size=options.size)
        numbers = quality(network, run(recipe, network).picture, photograph, pictures.load(style, size=options.size))
        points.append({"content_weight": weight, **numbers})
    return points


def plot(points: list[dict[str, float]], file: Path) -> None:
    """The frontier as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 4), dpi=120)
    axes.plot([point["content"] for point in points], [point["wasserstein"] for point in points], "o-", color="#b4541a")
    for point in points:
        at = (point["content"], point["wasserstein"])
        axes.annotate(f"{point['content_weight']:g}", at, xytext=(5, 5), textcoords="offset points")
    axes.margins(x=0.25, y=0.1)
    axes.set(xlabel="distance to the content, held-out layers", ylabel="distance to the style, held-out layers")
    figure.tight_layout()
    figure.savefig(file)


def shares(network: Network) -> None:
    """The published weights of the layers as they are on relative distances: times the energy of a channel, the first 200."""
    weights = (256, 64, 16, 4, 1)
    for name in dict.fromkeys(name for pair in PAIRS for name in pair):
        found = network.capture(pictures.load(name, size=256), STYLE)
        moments = [Moments.of(found[layer]) for layer in STYLE]
        raw = [weight * float(one.energy) / len(one.first) for weight, one in zip(weights, moments, strict=True)]
        print(f"{name}: " + ", ".join(f"{200 * one / raw[0]:.1f}" for one in raw))


# -- memory --------------------------------------------------------------------------------------------------------------


def measure_memory(contestant: str, size: int, steps: int) -> float:
    """MB by which the peak of a few steps exceeds the process with the network. For a process of its own."""
    network = lanterna.load("vgg16_hed")
    _settle()
    start = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    if contestant in BASELINES:
        content, style = (pictures.load(name, size=(size, size)) for name in PAIRS[0])
        baseline = BASELINES[contestant](network, content, style)
        if isinstance(baseline, NeuralStyle):
            baseline.run(steps, lambda _step, _picture: None)
        else:
            values = content.clone().requires_grad_(True)
            tuner = torch.optim.Adam([values], lr=0.02)
            for _ in range(steps):
                tuner.zero_grad()
                baseline.loss(values).backward()
                tuner.step()
    else:
        preset = contestant.removeprefix("lanterna ")
        recipe = StylizeRecipe(
            content=PAIRS[0][0],
            styles=(PAIRS[0][1],),
            size=f"{size}x{size}",
            preset=preset,
            steps=steps,  # type: ignore[arg-type]
        )
        run(recipe, network)
    return (_status("VmHWM") - start) / 1e6


def memory(contestant: str, size: int, steps: int) -> float:
    """In a process in which every large buffer is a mapping of its own, so that the peak is what is held: see step.py."""
    command = [sys.executable, __file__, "--memory-of", contestant, str(size), str(steps)]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--parts", nargs="*", default=["speed", "memory", "frontier"], choices=["speed", "memory", "frontier", "shares"]
    )
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many pairs of pictures")
    parser.add_argument("--presets", nargs="*", default=list(BASELINES))
    parser.add_argument("--iterations", type=int, default=1000, help="evaluations of neural-style")
    parser.add_argument("--first", type=int, default=1000, help="steps of the multi-scale method at its smallest size")
    parser.add_argument("--later", type=int, default=500, help="and at each larger one")
    parser.add_argument("--every", type=int, default=5, help="steps between two scores")
    parser.add_argument("--readings", nargs="*", default=list(READINGS), choices=READINGS)
    parser.add_argument("--our-steps", type=int, help="steps of ours at its smallest size; by default the preset's")
    parser.add_argument("--slice", type=float, default=10, help="seconds that each of the runs has in turn")
    parser.add_argument(
        "--processor-time", action="store_true", help="seconds of the processor: for one thread, beside other work"
    )
    parser.add_argument("--weights", type=float, nargs="*", default=[0.0001, 0.00025, 0.001, 0.003, 0.01])
    parser.add_argument("--memory-sizes", type=int, nargs="*", default=[1024])
    parser.add_argument("--contestants", nargs="*", default=list(MEMORY_STEPS), choices=MEMORY_STEPS, help="of the memory")
    parser.add_argument("--out", type=Path, help="a folder for the pictures")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--memory-of", nargs=3, metavar=("CONTESTANT", "SIZE", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        contestant, size, steps = options.memory_of
        print(measure_memory(contestant, int(size), int(steps)))
        return
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    network = lanterna.load("vgg16_hed")
    report: dict[str, object] = {}
    if "speed" in options.parts:
        rows: list[dict[str, Any]] = []
        columns = ("their s", "their last (before values are cut)", "s to their lowest", "their lowest", "our s", "our last")
        columns = ("preset, pair", "their loss read", *columns, "our s to their lowest", "ratio")
        print("| " + " | ".join(columns) + " |\n|---|---|" + "--:|" * (len(columns) - 2))
        for content, style in PAIRS[: options.pairs]:
            for preset in options.presets:
                rows += contest(network, preset, content, style, options)
        print("\n| preset, pair | who | " + " | ".join(rows[0]["ours"]) + " |\n|---|---|" + "--:|" * len(rows[0]["ours"]))
        for row in rows:
            for who in ("theirs", "ours"):
                values = " | ".join(f"{value:.3f}" for value in row[who].values())
                print(f"| {row['preset']}, {row['pair']}, {row['padding']} | {who} | {values} |")
        report["speed"] = rows
    if "shares" in options.parts:
        shares(network)
    if "memory" in options.parts:
        found = {
            f"{name} {size}": memory(name, size, MEMORY_STEPS[name])
            for size in options.memory_sizes
            for name in options.contestants
        }
        print("\n" + "\n".join(f"{name}: {value:.0f} MB" for name, value in found.items()))
        report["memory"] = found
    if "frontier" in options.parts:
        points = frontier(network, *PAIRS[0], options)
        for point in points:
            print({name: round(value, 4) for name, value in point.items()})
        report["frontier"] = points
        if options.out:
            plot(points, options.out / "frontier.png")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
