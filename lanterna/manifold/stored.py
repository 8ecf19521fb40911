"""The full run that comes with the package: what its figures are drawn from, its numbers, and the two classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from lanterna import studies
from lanterna.manifold.classifier import Classifier
from lanterna.manifold.densities import Densities
from lanterna.manifold.judges import Judges
from lanterna.manifold.plane import Plane
from lanterna.manifold.study import Study

__all__ = ["KINDS", "Kept", "keep", "kept"]

_NAME = "manifold"
# The kinds of pictures that are shown, nearer to digits first.
KINDS = ("test", "letters", "faint", "patches", "shuffled", "noise")
# Pictures of each kind; of the test set there are as many as were scored.
_SHOWN = 10
# The halves of the densities that only training asks: a picture's codes are found by ascent.
_ENCODER = ("encode", "mean", "width")


@dataclass(frozen=True)
class Kept:
    """A run of `manifold`: `recipe` and `numbers` (over its seeds) as the command writes them, the rest of its first seed.

    `plane` and `fooling` are what `figures.planes` and `figures.fooling` draw. `groups` has pictures (N, 1, 28, 28) of the
    KINDS by name, `test_labels` (N,) the classes of those of the test set. Classifiers `learned` from so many pictures and
    were `tested` with so many. `judges` are the classifiers, their large
    matrices rounded to 8 bits; `as_kept` says how often they are right on the whole test set.
    """

    recipe: Mapping[str, Any]
    numbers: Mapping[str, Any]
    learned: int
    tested: int
    as_kept: Mapping[str, float]
    classes: tuple[str, ...]
    plane: Plane
    fooling: Mapping[str, tuple[Tensor, Tensor, Tensor]]
    groups: Mapping[str, Tensor]
    test_labels: Tensor
    judges: Judges


def keep(study: Study, recipe: Mapping[str, Any], numbers: Mapping[str, Any], folder: Path) -> None:
    """Write what `kept` reads into `folder`: of a run with this recipe and these numbers, whose first seed is `study`."""
    classifier, densities = study.judges.classifier.state_dict(), study.judges.densities.state_dict()
    weights = {
        **studies.eight_bits("classifier", classifier),
        **studies.eight_bits("densities", {key: value for key, value in densities.items() if not _encodes(key)}),
    }
    plane = {field.name: getattr(study.plane, field.name) for field in fields(Plane)}
    tensors = {f"plane.{name}": value for name, value in plane.items() if isinstance(value, Tensor)}
    groups = {name: study.group(name).pictures[: None if name == "test" else _SHOWN] for name in KINDS}
    for name, (pictures, aims, confidence) in study.shown_fooling().items():
        groups[f"fooling_{name}"] = pictures
        tensors |= {f"{name}.aims": aims, f"{name}.confidence": confidence}
    tensors["test_labels"] = study.split.test_labels[: len(groups["test"])]
    judges = _judges(studies.Stored({}, {}, weights), len(study.split.classes))
    judged = judges.judge(study.split.test)
    about = {
        "recipe": recipe,
        "numbers": numbers,
        "counts": {"learned": len(study.split.train), "tested": len(study.split.test)},
        "as_kept": {
            name: float((said == study.split.test_labels).float().mean())
            for name, said in (("discriminative", judged.frontier_class), ("generative", judged.density_class))
        },
        "classes": study.split.classes,
        "plane": {"floor": study.plane.floor, "labels": study.plane.labels},
    }
    studies.store(_NAME, folder, about, groups, {**tensors, **weights})


def kept(folder: Path | None = None) -> Kept:
    """The run of the package, or of another `folder`."""
    found = studies.stored(_NAME, folder)
    about, tensors = found.about, found.tensors
    arrays = {field.name: tensors[f"plane.{field.name}"] for field in fields(Plane) if f"plane.{field.name}" in tensors}
    return Kept(
        about["recipe"],
        about["numbers"],
        **about["counts"],
        as_kept=about["as_kept"],
        classes=tuple(about["classes"]),
        plane=Plane(**arrays, floor=about["plane"]["floor"], labels=tuple(about["plane"]["labels"])),
        fooling={
            name: (found.pictures[f"fooling_{name}"], tensors[f"{name}.aims"], tensors[f"{name}.confidence"])
            for name in ("discriminative", "generative")
        },
        groups=found.pictures,
        test_labels=tensors["test_labels"],
        judges=_judges(found, len(about["classes"])),
    )


def _encodes(name: str) -> bool:
    return name.split(".")[-1] in _ENCODER


def _judges(found: studies.Stored, classes: int) -> Judges:
    classifier, densities = Classifier(classes), Densities(classes)
    for name in _ENCODER:
        del densities.weights[name], densities.biases[name]
    classifier.load_state_dict(found.state("classifier"))
    densities.load_state_dict(found.state("densities"))
    for model in (classifier, densities):
        model.eval().requires_grad_(False)
    return Judges(classifier, densities)
