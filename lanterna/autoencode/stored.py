"""The full run that comes with the package: the strips that it shows, its numbers, and one of its nets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lanterna import studies
from lanterna.autoencode.experiments.regular import kinds_of, net_of
from lanterna.autoencode.experiments.specific import middle_code
from lanterna.autoencode.model import Autoencoder
from lanterna.autoencode.pictures import Split
from lanterna.autoencode.run import Autoencoded
from lanterna.autoencode.variants import make_module
from lanterna.autoencode.workshop import Workshop
from lanterna.progress import Series

__all__ = ["Kept", "Kind", "Size", "keep", "kept"]

_NAME = "autoencode"
_SHOWN = 10


@dataclass(frozen=True)
class Size:
    """Held-out pictures through a code of so many numbers, and through as many of PCA; the mean squared errors of both."""

    code: int
    pictures: Tensor
    mse: float
    pca: Tensor
    pca_mse: float


@dataclass(frozen=True)
class Kind:
    """Pictures of a kind before and after a net that learned that kind; `error` is held out, over the variance."""

    name: str
    before: Tensor
    after: Tensor
    error: float


@dataclass(frozen=True)
class Kept:
    """A run of `autoencode`: `recipe` as the command writes it, and what it shows of ten held-out pictures, `originals`.

    `sizes` are by rising code, `kinds` in the order of the part `regular`, whose nets have `kinds_code` numbers and passed
    `kinds_epochs` times over their pictures. `pictures` were learned from; `mean_mse` is the mean picture's error. `net`
    has `kinds_code` numbers and learned the data, its large matrices rounded to 8 bits; `net.numbers` has its error.
    """

    recipe: Mapping[str, Any]
    pictures: int
    originals: Tensor
    mean_mse: float
    sizes: tuple[Size, ...]
    kinds: tuple[Kind, ...]
    kinds_code: int
    kinds_epochs: int
    net: Autoencoder


def keep(made: Autoencoded, folder: Path) -> None:
    """Write what `kept` reads into `folder`, of a run with the parts `lossy` and `regular`; its nets are in the cache."""
    shop = Workshop(made.recipe, made.split, Series(None, 1))
    split, shown = made.split, _one_of_each(made.split)
    pictures = {"originals": split.held_out[shown]}
    for code in made.models:
        pictures[f"{code} numbers"] = shop.model(code).project(split.held_out[shown])
        pictures[f"{code} of PCA"] = shop.pca(code).project(split.held_out[shown])
    for name, (train, test) in kinds_of(shop).items():
        pictures[f"{name}, before"] = test[shown]
        pictures[f"{name}, after"] = net_of(shop, name, train, test).project(test[shown])
    numbers = made.numbers()
    net = shop.model(middle_code(shop))
    weights = studies.eight_bits("net", net.module.state_dict())
    as_kept = _net(studies.Stored({}, {}, weights), net.shape, net.recipe, {})
    about = {
        "recipe": made.recipe.model_dump(mode="json"),
        "numbers": {key: numbers[key] for key in ("train_pictures", "held_out_pictures", "models", "parts")},
        "net": {
            "shape": net.shape,
            "recipe": dict(net.recipe),
            "numbers": {"held_out_mse": as_kept.mse(split.held_out)},
        },
    }
    studies.store(_NAME, folder, about, pictures, weights)


def kept(folder: Path | None = None) -> Kept:
    """The run of the package, or of another `folder`."""
    found = studies.stored(_NAME, folder)
    numbers, net, pictures = found.about["numbers"], found.about["net"], found.pictures
    lossy, regular = numbers["parts"]["lossy"], numbers["parts"]["regular"]
    return Kept(
        found.about["recipe"],
        numbers["train_pictures"],
        pictures["originals"],
        lossy["mean_picture_mse"],
        tuple(
            Size(code, pictures[f"{code} numbers"], line["mse"], pictures[f"{code} of PCA"], line["pca_mse"])
            for line in lossy["sizes"]
            for code in (line["code"],)
        ),
        tuple(
            Kind(name, pictures[f"{name}, before"], pictures[f"{name}, after"], line["relative_mse"])
            for line in regular["kinds"]
            for name in (line["pictures"],)
        ),
        regular["code"],
        regular["epochs"],
        _net(found, tuple(net["shape"]), net["recipe"], net["numbers"]),
    )


def _net(found: studies.Stored, shape: tuple[int, ...], recipe: Mapping[str, Any], numbers: Mapping[str, Any]) -> Autoencoder:
    (code,) = recipe["code"]
    module = make_module(recipe["model"], shape[0], shape[1], code, 0, noise=recipe["noise"])
    module.load_state_dict(found.state("net"))
    return Autoencoder(module.eval().requires_grad_(False), recipe, numbers)


def _one_of_each(split: Split) -> list[int]:
    """The first held-out picture of each class."""
    labels = split.held_out_labels
    if labels is None:
        return list(range(min(_SHOWN, len(split.held_out))))
    return [int(torch.nonzero(labels == label)[0]) for label in labels.unique().tolist()][:_SHOWN]
