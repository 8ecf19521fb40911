"""The two figures that say most, in well under a minute: from models in the cache, else from small ones."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lanterna.autoencode.experiments.regular import kinds_of, net_of, trained_for
from lanterna.autoencode.pictures import Split, mean_picture_mse, open_split
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.workshop import Workshop
from lanterna.events import Listener
from lanterna.progress import Series

__all__ = ["CODES", "Kind", "Quick", "Size", "quick"]

CODES = (2, 8, 32)
# What is trained where `lanterna autoencode` has left nothing in the cache: no convolutions and no moved copies, which
# takes a tenth of the time.
_SMALL: dict[str, Any] = {"model": "dense", "most": 2500, "epochs": 12, "augment": 0.0}
_SMALLEST: dict[str, Any] = {**_SMALL, "most": 100, "epochs": 1}
_SHOWN = 10


@dataclass(frozen=True)
class Size:
    """Held-out pictures through a code of so many numbers, and the mean squared error beside that of PCA."""

    code: int
    pictures: Tensor
    mse: float
    pca_mse: float


@dataclass(frozen=True)
class Kind:
    """Pictures of a kind before and after a net that learned that kind; `error` is held out, over the variance."""

    name: str
    before: Tensor
    after: Tensor
    error: float


@dataclass(frozen=True)
class Quick:
    """Both figures: `sizes` for one set of `originals`, and `kinds`. `pca` is the largest code's, `mean_mse` no code's.

    The nets of `kinds` have `kinds_code` numbers and passed `kinds_epochs` times over their pictures.
    """

    recipe: AutoencodeRecipe
    originals: Tensor
    sizes: tuple[Size, ...]
    pca: Tensor
    mean_mse: float
    kinds: tuple[Kind, ...]
    kinds_code: int
    kinds_epochs: int
    pictures: int
    from_cache: bool


def quick(seed: int, steps: int | None, on_event: Listener) -> Quick:
    """Autoencoders of digits; `steps` limits training, for tests and hurried readers.

    Raises MissingError where the digits are not fetched, StoppedError where a listener asks to stop.
    """
    recipe = AutoencodeRecipe(code=CODES, seed=seed, parts=("lossy", "regular"))
    split = open_split(recipe.data, most=recipe.most, seed=seed)
    shop = Workshop(recipe, split, Series(None, 1))
    from_cache = steps is None and all(shop.has(code) for code in CODES)
    if not from_cache:
        recipe = recipe.model_copy(update=_SMALL if steps is None else _SMALLEST)
        split = open_split(recipe.data, most=recipe.most, seed=seed)
    total = len(CODES) * len(split.train) * recipe.epochs + 3 * min(len(split.train), 2000) * max(recipe.epochs // 3, 1)
    shop = Workshop(recipe, split, Series(on_event, total))
    shown = _one_of_each(split)
    originals = split.held_out[shown]
    sizes = []
    for code in CODES:
        net = shop.model(code)
        sizes.append(Size(code, net.project(originals), net.mse(split.held_out), shop.pca(code).mse(split.held_out)))
    kinds = []
    for name, (train, test) in kinds_of(shop).items():
        net = net_of(shop, name, train, test)
        kinds.append(Kind(name, test[shown], net.project(test[shown]), net.mse(test) / mean_picture_mse(train, test)))
    pca = shop.pca(CODES[-1]).project(originals).clamp(0, 1)
    return Quick(
        recipe, originals, tuple(sizes), pca, split.mean_mse, tuple(kinds), *trained_for(shop), len(split.train), from_cache
    )


def _one_of_each(split: Split) -> list[int]:
    """The first held-out picture of each class."""
    labels = split.held_out_labels
    if labels is None:
        return list(range(min(_SHOWN, len(split.held_out))))
    return [int(torch.nonzero(labels == label)[0]) for label in labels.unique().tolist()][:_SHOWN]
