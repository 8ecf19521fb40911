"""The experiments on data as people have it: few pictures, pictures without a class, classes with nothing held out."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from lanterna.autoencode import Autoencoded, AutoencodeRecipe, run
from lanterna.autoencode.experiments.generate import log_density
from lanterna.autoencode.pictures import Split
from lanterna.autoencode.variants import MODELS, Variant, make_module
from lanterna.events import STOP, Entered, Event, Stepped

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


@pytest.mark.parametrize("title", ["classifier 1", "ascent in pixels and in codes"])
def test_a_stop_is_heard_while_an_experiment_trains_and_climbs(tmp_path: Path, title: str) -> None:
    entered, steps = False, 0

    def listen(event: Event) -> Literal["stop"] | None:
        nonlocal entered, steps
        entered |= isinstance(event, Entered) and event.title == title
        steps += entered and isinstance(event, Stepped)
        return STOP if steps > 1 else None

    recipe = AutoencodeRecipe(code=(2,), epochs=1, batch=32, model="dense", parts=("generate",))
    made = run(recipe, listen, split=split_of([0, 1] * 8, [0, 1]), folder=tmp_path)
    # Two, and the one that says where the stopped run ended.
    assert made.stopped and not made.parts and 1 < steps < 5


def test_density_is_finite_where_every_picture_is_there_twice() -> None:
    points = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    assert bool(torch.isfinite(log_density(points, points)).all())


def test_seeding_a_module_leaves_the_generators_of_other_devices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    first, second = (make_module("dense", 1, 28, 2, 7) for _ in range(2))
    assert not seeded
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("variant", MODELS)
def test_what_a_variant_adds_to_the_loss_is_a_number_for_each_picture(variant: Variant) -> None:
    module, pictures = make_module(variant, 1, 28, 4, 0), bars(3)
    generator = torch.Generator().manual_seed(0)
    assert module(pictures).extra.shape == module(pictures, generator).extra.shape == (3,)
