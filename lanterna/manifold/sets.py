"""The data as both classifiers get it: grey pictures of 28 px, split by a seed into train, held-out and test."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.data import Dataset
from lanterna.errors import InputError
from lanterna.pictures.colour import luminance
from lanterna.wording import counted, listed

__all__ = ["SIDE", "Split", "grey", "prepared", "split"]

SIDE = 28
# Of each class: fewer leave nothing to train, hold out and test with.
LEAST, MOST_CLASSES = 10, 40
_HELD, _TEST = 0.1, 0.2


@dataclass(frozen=True)
class Prepared:
    """All pictures (N, 1, 28, 28) in [0, 1], labels (N,), class names, and what decides them; `notes` in words."""

    name: str
    pictures: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """One seed's split: training pictures, held-out ones (for widths, temperatures and thresholds), and the test set."""

    classes: tuple[str, ...]
    train: Tensor
    train_labels: Tensor
    held: Tensor
    held_labels: Tensor
    test: Tensor
    test_labels: Tensor
    about: dict[str, Any]


def grey(pictures: Tensor, fit: bool = False) -> Tensor:
    """Pictures (B, C, H, W) as grey ones (B, 1, 28, 28), by luma and averaging; `fit` crops the middle to a square."""
    if pictures.shape[1] == 3:
        pictures = luminance(pictures)
    height, width = pictures.shape[2:]
    if fit and height != width:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pictures = pictures[:, :, top : top + side, left : left + side]
    if pictures.shape[2:] == (SIDE, SIDE):
        return pictures
    return F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def prepared(dataset: Dataset, count: int, *, fit: bool = False) -> Prepared:
    """At most `count` pictures of `dataset`, evenly taken from its order, with two classes or more.

    Raises InputError for data without classes, with one class, with too few pictures of any, and with pictures of differing
    sizes or that are not square, unless `fit` says to crop them.
    """
    name = dataset.name
    if dataset.labels is None:
        raise InputError(
            f"{name} has {counted(len(dataset), 'picture')} and no classes; two classifiers need two classes or more, "
            f"as folder:PATH has them with a folder for each"
        )
    labelled = [place for place, label in enumerate(dataset.labels) if label >= 0]
    found = Counter(dataset.labels[place] for place in labelled)
    if len(found) < 2:
        only = f"{dataset.classes[next(iter(found))]!r}" if found and dataset.classes else "one"
        raise InputError(
            f"{name} has {counted(len(labelled), 'picture')} of one class, {only}; two classes or more are needed"
        )
    # Spread over the order, in which classes often follow each other.
    chosen = (
        [labelled[round(i * (len(labelled) - 1) / (count - 1))] for i in range(count)] if len(labelled) > count else labelled
    )
    if len(found) > MOST_CLASSES:
        raise InputError(f"{name} has {len(found)} classes; {MOST_CLASSES} are the most, as each gets a density of its own")
    counts = Counter(dataset.labels[place] for place in chosen)
    kept = sorted(found)
    small = [dataset.classes[label] if dataset.classes else str(label) for label in kept if counts[label] < LEAST]
    if small:
        raise InputError(
            f"{name} has fewer than {LEAST} pictures of {len(small)} of its {len(kept)} classes: "
            + listed(map(repr, small))
            + (f" (of {count} that are used; --pictures takes more)" if len(chosen) < len(labelled) else "")
        )
    places = {label: place for place, label in enumerate(kept)}
    return Prepared(
        name,
        _read(dataset, chosen, fit),
        torch.tensor([places[dataset.labels[place]] for place in chosen]),
        tuple(dataset.classes[label] if dataset.classes else f"class {label}" for label in kept),
        {"data": dataset.fingerprint, "pictures": len(chosen), "fit": fit},
        dataset.notes,
    )


def _read(dataset: Dataset, chosen: list[int], fit: bool) -> Tensor:
    found, first = [], None
    for place in chosen:
        picture = dataset.read(place)
        size = (picture.shape[2], picture.shape[3])
        first = first or size
        if not fit and (size != first or size[0] != size[1]):
            given = f"{size[0]}x{size[1]} ({dataset.ids[place]})"
            also = f" and {first[0]}x{first[1]} ({dataset.ids[chosen[0]]})" if size != first else ""
            raise InputError(
                f"the pictures of {dataset.name} must be squares of one size, there are {given}{also}; "
                f"--fit crops each to its middle square"
            )
        found.append(grey(picture, fit))
    return torch.cat(found)


def split(data: Prepared, seed: int) -> Split:
    """A tenth held out and a fifth for testing, of each class, drawn by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    parts: dict[str, list[Tensor]] = {"held": [], "test": [], "train": []}
    for label in range(len(data.classes)):
        places = torch.nonzero(data.labels == label)[:, 0]
        places = places[torch.randperm(len(places), generator=generator)]
        held, test = max(1, round(_HELD * len(places))), max(1, round(_TEST * len(places)))
        parts["held"].append(places[:held])
        parts["test"].append(places[held : held + test])
        parts["train"].append(places[held + test :])
    chosen = {
        name: torch.cat(places)[torch.randperm(sum(map(len, places)), generator=generator)] for name, places in parts.items()
    }
    pictures, labels = data.pictures, data.labels
    return Split(
        data.classes,
        pictures[chosen["train"]],
        labels[chosen["train"]],
        pictures[chosen["held"]],
        labels[chosen["held"]],
        pictures[chosen["test"]],
        labels[chosen["test"]],
        {**data.about, "split": seed},
    )
