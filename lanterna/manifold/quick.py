"""The two figures that say most, in seconds: from models in the cache, else from small ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lanterna import data as data_sets
from lanterna.events import Listener
from lanterna.manifold import classifier, densities
from lanterna.manifold.judges import Judges
from lanterna.manifold.plane import Plane, through_three
from lanterna.manifold.sets import prepared, split
from lanterna.manifold.study import Progress, fooled
from lanterna.manifold.training import cache_file

__all__ = ["Quick", "quick"]

DATA = "mnist_5k"
# What `manifold` uses by default, and what is trained where that is not in the cache: pictures, steps, steps.
WHOLE, SMALL = (5000, 300, 500), (1200, 120, 200)


@dataclass(frozen=True)
class Quick:
    """A plane and fooling pictures (with their classes and confidences); `from_cache`: by models of `manifold`."""

    plane: Plane
    fooling: dict[str, tuple[Tensor, Tensor, Tensor]]
    classes: tuple[str, ...]
    accuracy: dict[str, float]
    pictures: int
    from_cache: bool


def quick(seed: int, steps: int | None, listeners: tuple[Listener, Listener, Listener]) -> Quick:
    """Both classifiers of digits and their two figures; `steps` limits training and ascent, for tests and hurried readers.

    Raises MissingError where the digits are not fetched, StoppedError where a listener asks to stop.
    """
    dataset = data_sets.load(DATA)
    count, first, second = WHOLE
    parts = split(prepared(dataset, count), seed)
    kept = [
        cache_file("classifier", classifier.about(parts, first, seed)),
        cache_file("densities", densities.about(parts, second, seed)),
    ]
    from_cache = steps is None and all(path.is_file() for path in kept)
    if not from_cache:
        count, first, second = SMALL
        if steps is not None:
            first, second = min(first, max(steps, 1)), min(second, max(steps, 1))
        parts = split(prepared(dataset, count), seed)
    judges = Judges(
        classifier.trained_classifier(parts, first, seed, listeners[0])[0],
        densities.trained_densities(parts, second, seed, listeners[1])[0],
    )
    progress, generator = Progress(listeners[2]), torch.Generator().manual_seed(seed + 1)
    test = parts.test[:300]
    said, labels = judges.judge(test), parts.test_labels[:300]
    progress.reach(10)
    plane = through_three(judges, parts, 31 if steps is None else 9)
    progress.reach(50)
    found = fooled(judges, 1, 60 if steps is None else min(steps, 60), generator, progress, (50, 100))
    shown = {}
    for name, (pictures, aims) in found.items():
        judged = judges.judge(pictures)
        confidence = judged.frontier_confidence if name == "discriminative" else judged.density_confidence
        shown[name] = (pictures, aims, confidence)
    accuracy = {
        "discriminative": float((said.frontier_class == labels).float().mean()),
        "generative": float((said.density_class == labels).float().mean()),
    }
    return Quick(plane, shown, parts.classes, accuracy, count, from_cache)
