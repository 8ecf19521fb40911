"""The experiments on data as people have it: few pictures, pictures without a class, classes with nothing held out."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lanterna.autoencode import Autoencoded, AutoencodeRecipe, run
from lanterna.autoencode.pictures import Split

pytestmark = pytest.mark.usefixtures("one_thread")


def bars(count: int, seed: int = 0) -> Tensor:
    """Pictures (count, 1, 28, 28) of one upright bar each."""
    places = torch.randint(4, 24, (count,), generator=torch.Generator().manual_seed(seed))
    columns = torch.arange(28)
    return (-(columns - places[:, None]).float().square() / 8).exp()[:, None, None, :].expand(-1, 1, 28, -1).contiguous()


def split_of(train: list[int] | None, held_out: list[int] | None, counts: tuple[int, int] = (0, 0)) -> Split:
    """Bars with these labels, or so many without."""
    pictures = bars(len(train or []) or counts[0]), bars(len(held_out or []) or counts[1], 1)
    if train is None or held_out is None:
        return Split("bars", *pictures)
    return Split("bars", *pictures, torch.tensor(train), torch.tensor(held_out), ("left", "right"))


def made_of(split: Split, folder: Path, *parts: str) -> Autoencoded:
    recipe = AutoencodeRecipe(code=(2,), epochs=1, batch=32, model="dense", parts=parts)
    return run(recipe, split=split, folder=folder)


def all_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(all_finite(one) for one in value.values())
    if isinstance(value, list):
        return all(all_finite(one) for one in value)
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("part", ["generate", "loses", "manifold"])
def test_pictures_without_a_class_are_no_class(tmp_path: Path, part: str) -> None:
    """Pictures beside the class folders, as `folder:` reads them."""
    split = split_of([0, 1, -1] * 8, [0, -1, 1] * 3)
    classed = split.classed
    assert classed is not None and len(classed.train) == 16 and len(classed.held_out) == 6
    assert sorted(set(classed.train_labels.tolist())) == [0, 1]
    made = made_of(split, tmp_path, part)
    assert made.parts[0].numbers and not made.missing


def test_nothing_is_strange_where_all_that_is_held_out_is_of_one_class(tmp_path: Path) -> None:
    made = made_of(split_of([0, 1] * 8, [0] * 4), tmp_path, "loses")
    assert made.parts[0].numbers["anomalies"] == [] and made.parts[0].numbers["few_labels"]
    assert [figure.name for figure in made.parts[0].figures] == ["denoise", "few_labels"]


def test_one_class_in_training_is_none_to_learn(tmp_path: Path) -> None:
    made = made_of(split_of([0] * 12, [0, 1, 0]), tmp_path, "loses", "manifold", "generate")
    assert [part.name for part in made.parts] == ["loses", "manifold"] and "generate" in made.missing[0]
    assert "few_labels" not in made.parts[0].numbers and made.parts[1].numbers["defence"] is None


def test_two_pictures_held_out_are_enough(tmp_path: Path) -> None:
    made = made_of(split_of(None, None, (6, 2)), tmp_path, "manifold")
    drift = made.parts[0].numbers["projected"]
    assert all(len(line["nearest_real"]) == len(line["times"]) for line in drift)
