"""Specific to its data: every net on every kind of picture."""

import torch
from torch import Tensor

from lanterna.autoencode.figures import matrix, strip
from lanterna.autoencode.model import Autoencoder
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.pictures import OTHERS, mean_picture_mse, other
from lanterna.autoencode.workshop import Workshop
from lanterna.wording import counted

__all__ = ["TRAIN", "make", "middle_code"]

# What a data set's pictures are, among the other kinds.
_KIND = {"mnist_5k": "digits", "fashion_mnist": "clothes"}
# Enough to compare kinds of pictures with, and a training takes seconds.
TRAIN, _TEST = 2000, 500


def middle_code(shop: Workshop) -> int:
    """The size of code that side experiments use: 32, or the nearest that the recipe has."""
    return min(shop.recipe.code, key=lambda code: abs(code - 32))


def make(shop: Workshop) -> Part:
    """Train x test: error over that of the test set's own mean picture, so that 1 is no description at all."""
    split, code = shop.split, middle_code(shop)
    shape = shop.model(code).shape
    generator = torch.Generator().manual_seed(shop.recipe.seed + 1)
    own = _KIND.get(split.name, split.name)
    sets: dict[str, tuple[Tensor, Tensor]] = {own: (split.train[:TRAIN], split.held_out)}
    missing = []
    for name in OTHERS:
        if name in sets:
            continue
        made = other(name, min(len(split.train), TRAIN) + _TEST, shape, generator)
        if made is None:
            missing.append(name)
        else:
            sets[name] = (made[:-_TEST], made[-_TEST:])
    epochs = max(shop.recipe.epochs // 3, 1)
    nets: dict[str, Autoencoder] = {}
    for name, (train, test) in sets.items():
        nets[name] = shop.model(code, train_on=train, judged_on=test, epochs=epochs, augmented=name != "noise", name=name)
    floors = {name: mean_picture_mse(*pictures) for name, pictures in sets.items()}
    values = torch.tensor([[net.mse(test) / floors[name] for name, (_, test) in sets.items()] for net in nets.values()])
    names = list(sets)
    own_best = [names[int(column.argmin())] == name for name, column in zip(names, values.T, strict=True)]
    rows = []
    for name, (_, test) in sets.items():
        rows += [(name, test[:8]), (f"by the net of {names[0]}", nets[names[0]].project(test[:8]))]
    numbers = {
        "code": code,
        "epochs": epochs,
        "sets": names,
        "relative_mse": values.tolist(),
        "mean_picture_mse": floors,
        "own_net_is_best": dict(zip(names, own_best, strict=True)),
        "not_available": missing,
    }
    says = [
        f"Rows: what a net of {counted(code, 'number')} learned from, {epochs} epochs each; columns: what it is tested on. "
        "1 is the mean picture's error.",
        "The net of the data itself is best for: "
        + (", ".join(n for n, best in zip(names, own_best, strict=True) if best) or "none")
        + ".",
    ]
    if missing:
        says.append(f"Not on this machine: {', '.join(missing)}.")
    return Part(
        "specific",
        "Specific to its data",
        (
            Figure(
                "specific",
                "Error over the mean picture's, train set by test set",
                matrix(values, names, names, rows_title="trained on", columns_title="tested on"),
            ),
            Figure("specific_strip", f"Other pictures through the net of {names[0]}", strip(rows)),
        ),
        numbers,
        tuple(says),
        "another net were better on the diagonal.",
    )
