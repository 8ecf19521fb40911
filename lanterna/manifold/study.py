"""Everything that is measured with one seed: both classifiers trained, and asked about all kinds of pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lanterna.errors import StoppedError
from lanterna.events import Listener, Stepped
from lanterna.manifold.classifier import trained_classifier
from lanterna.manifold.densities import trained_densities
from lanterna.manifold.fooling import fooling_pictures
from lanterna.manifold.judges import Judged, Judges
from lanterna.manifold.measures import auroc, calibration_error, compressed_bits, png_bytes, reliability, zlib_bytes
from lanterna.manifold.plane import Plane, around, through_three
from lanterna.manifold.robustness import Robustness, robustness
from lanterna.manifold.sets import Prepared, Split, split
from lanterna.manifold.stimuli import (
    LETTERS,
    MARKS,
    glyphs,
    marginal_noise,
    natural_patches,
    noise,
    phase_scrambled,
    pixel_shuffled,
)
from lanterna.manifold.wall import Wall, noise_wall

__all__ = ["SCORES", "Effort", "Group", "Progress", "Study", "fooled", "study"]

# Higher is more like the data: (key, title).
SCORES = {
    "frontier_confidence": "confidence, discriminative",
    "density_confidence": "confidence, generative",
    "density": "density",
    "code": "code length",
    "corrected": "bits saved against PNG",
}


@dataclass(frozen=True)
class Effort:
    """How much is done: training steps, pictures of each kind, points of a plane's side, attacked pictures and steps."""

    classifier_steps: int
    density_steps: int
    wall: int
    each: int
    plane: int
    attacked: int
    attack_steps: int
    queries: int
    fooling_each: int
    fooling_steps: int


@dataclass(frozen=True)
class Group:
    """One kind of pictures, what both classifiers say about them, the bits that the densities need and those PNG needs."""

    name: str
    pictures: Tensor
    judged: Judged
    code_bits: Tensor
    png_bits: Tensor

    def score(self, name: str) -> Tensor:
        """One of SCORES, (B,)."""
        if name == "code":
            return -self.code_bits
        if name == "corrected":
            return self.png_bits - self.code_bits
        found: Tensor = getattr(self.judged, name)
        return found


@dataclass(frozen=True)
class Study:
    """What one seed gave. `groups` begins with the test set; `from_cache` says whether both models came from the cache."""

    seed: int
    split: Split
    judges: Judges
    accuracy: dict[str, float]
    calibration: dict[str, Any]
    walls: dict[str, Wall]
    groups: tuple[Group, ...]
    fooling: dict[str, tuple[Tensor, Tensor]]
    plane: Plane
    slice: Plane
    robustness: dict[str, Robustness]
    from_cache: bool

    def group(self, name: str) -> Group:
        """The group of that name."""
        return next(group for group in self.groups if group.name == name)

    def shown_fooling(self) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """For each classifier the pictures that make it certain, the classes aimed at, and its confidence."""
        keys = {"discriminative": "frontier_confidence", "generative": "density_confidence"}
        return {name: (*self.fooling[name], self.group(f"fooling_{name}").score(key)) for name, key in keys.items()}

    def aurocs(self) -> dict[str, dict[str, float]]:
        """For each kind of pictures that are none of the data, by score."""
        test = self.groups[0]
        return {
            group.name: {score: auroc(test.score(score), group.score(score)) for score in SCORES} for group in self.groups[1:]
        }

    def numbers(self) -> dict[str, Any]:
        """All numbers of this seed, nested, ready for JSON."""
        return {
            "accuracy": self.accuracy,
            "calibration": {
                name: {key: value for key, value in found.items() if key != "reliability"}
                for name, found in self.calibration.items()
            },
            "noise_wall": {name: wall.numbers() for name, wall in self.walls.items()},
            "groups": {group.name: _averages(group) for group in self.groups},
            "auroc": self.aurocs(),
            "plane": self.plane.numbers(),
            "slice": {**self.slice.numbers(), **self.slice.changes()},
            "robustness": {name: found.numbers() for name, found in self.robustness.items()},
            "sigma": float(self.judges.densities.sigma),
            "temperature": {
                "discriminative": float(self.judges.classifier.temperature),
                "generative": float(self.judges.densities.temperature),
            },
        }


def _averages(group: Group) -> dict[str, float]:
    judged = group.judged
    return {
        "count": len(group.pictures),
        "frontier_confidence": float(judged.frontier_confidence.mean()),
        "frontier_certain_share": float((judged.frontier_confidence > 0.99).float().mean()),
        "density_posterior": float(judged.density_posterior.mean()),
        "density_confidence": float(judged.density_confidence.mean()),
        "density_nats": float(judged.density.mean()),
        "code_bits": float(group.code_bits.mean()),
        "compressed_bits": float(group.png_bits.mean()),
        "zlib_bytes": sum(map(zlib_bytes, group.pictures)) / len(group.pictures),
        "png_bytes": sum(map(png_bytes, group.pictures)) / len(group.pictures),
    }


class Progress:
    """Tells a listener of work in units of its own, and raises where the listener asks to stop."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener

    def stepper(self, start: int, end: int, steps: int, total: int) -> Callable[[int], None]:
        """Counts `steps` between `start` and `end` of `total`."""

        def note(step: int) -> None:
            self.reach(start + round((end - start) * min(step, steps) / max(steps, 1)), total)

        return note

    def reach(self, done: int, total: int = 100) -> None:
        """`done` of `total`."""
        if self._listener is not None and self._listener(Stepped(done, total, torch.zeros(1))) is not None:
            raise StoppedError("stopped; models that were finished are kept")


def study(
    data: Prepared,
    seed: int,
    effort: Effort,
    others: dict[str, Tensor],
    on_event: tuple[Listener | None, Listener | None, Listener | None],
) -> Study:
    """Train or load both classifiers for `seed` and measure everything; `others` are pictures of other data sets, by name.

    `on_event` are the listeners for training the classifier, training the densities, and measuring. Raises
    StoppedError where one asks to stop.
    """
    parts = split(data, seed)
    classifier, first = trained_classifier(parts, effort.classifier_steps, seed, on_event[0])
    densities, second = trained_densities(parts, effort.density_steps, seed, on_event[1])
    judges = Judges(classifier, densities)
    generator = torch.Generator().manual_seed(seed + 1)
    progress = Progress(on_event[2])
    with torch.no_grad():
        logits = {"discriminative": classifier(parts.test), "generative": densities(parts.test)}
    temperatures = {"discriminative": classifier.temperature, "generative": densities.temperature}
    progress.reach(4)
    walls = noise_wall(parts, effort.wall, generator)
    progress.reach(8)
    fooling = fooled(judges, effort.fooling_each, effort.fooling_steps, generator, progress, (8, 20))
    kinds = _kinds(parts, others, fooling, effort.each, generator)
    groups = []
    for number, (name, pictures) in enumerate(kinds.items()):
        with torch.no_grad():
            groups.append(
                Group(name, pictures, judges.judge(pictures), densities.code_length(pictures), compressed_bits(pictures))
            )
        progress.reach(20 + 20 * (number + 1) // len(kinds))
    plane = through_three(judges, parts, effort.plane)
    progress.reach(48)
    across = around(judges, parts, effort.plane, generator)
    progress.reach(56)
    return Study(
        seed,
        parts,
        judges,
        {name: float((found.argmax(1) == parts.test_labels).float().mean()) for name, found in logits.items()},
        {name: _calibration(found, temperatures[name], parts.test_labels) for name, found in logits.items()},
        walls,
        tuple(groups),
        fooling,
        plane,
        across,
        _robust(judges, parts, effort, generator, progress),
        first and second,
    )


def _calibration(logits: Tensor, temperature: Tensor, labels: Tensor) -> dict[str, Any]:
    probabilities = (logits / temperature).softmax(1)
    return {
        "error_raw": calibration_error(logits.softmax(1), labels),
        "error": calibration_error(probabilities, labels),
        "mean_confidence": float(probabilities.amax(1).mean()),
        "reliability": reliability(probabilities, labels),
    }


def fooled(
    judges: Judges, each: int, steps: int, generator: torch.Generator, progress: Progress, share: tuple[int, int]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Fooling pictures of both classifiers and the classes they aim at; `share` is their part of 100 in the progress."""
    found = {}
    aims = {"discriminative": judges.frontier_log_confidence, "generative": judges.density_log_confidence}
    half = (share[1] - share[0]) // 2
    for number, (name, confidence) in enumerate(aims.items()):
        start = share[0] + half * number
        note = progress.stepper(start, start + half, steps, 100)
        found[name] = fooling_pictures(confidence, judges.densities.classes, each, steps, generator, note)
    return found


def _kinds(
    parts: Split,
    others: dict[str, Tensor],
    fooling: dict[str, tuple[Tensor, Tensor]],
    each: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    test = parts.test[:each]
    return {
        "test": test,
        **{name: pictures[:each] for name, pictures in others.items()},
        "letters": glyphs(LETTERS, each, generator, fill=True),
        "marks": glyphs(MARKS, each, generator, fill=False),
        "faint": test * 0.3,
        "patches": natural_patches(each, generator),
        "phase_scrambled": phase_scrambled(test, generator),
        "shuffled": pixel_shuffled(test, generator),
        "marginal_noise": marginal_noise(parts.train, each, generator),
        "noise": noise(each, generator),
        "fooling_discriminative": fooling["discriminative"][0],
        "fooling_generative": fooling["generative"][0],
    }


def _robust(
    judges: Judges, parts: Split, effort: Effort, generator: torch.Generator, progress: Progress
) -> dict[str, Robustness]:
    pictures, labels = parts.test[: effort.attacked], parts.test_labels[: effort.attacked]
    real = (parts.train, parts.train_labels)
    found = {}
    for name, network in judges.attacked(parts.held).items():
        discriminative = name == "discriminative"
        # Queries of the small network cost nothing beside those of the densities.
        queries = effort.queries * (5 if discriminative else 1)
        start, end = (560, 590) if discriminative else (590, 1000)
        # Two attacks by steps, those of DeepFool and projected gradient descent, four searches: about so many events.
        total, count = 2 * effort.attack_steps + 120 + 4 * queries, 0

        def note(_step: int, start: int = start, end: int = end, total: int = total) -> None:
            nonlocal count
            count += 1
            progress.reach(start + round((end - start) * min(count, total) / total), 1000)

        final: Callable[[Tensor], Tensor] = judges.classifier if discriminative else judges.densities
        found[name] = robustness(network, final, pictures, labels, real, effort.attack_steps, queries, generator, note)
    return found
