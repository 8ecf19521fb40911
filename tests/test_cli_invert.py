"""`lanterna invert`: flags, files, numbers, replay, bad input."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lanterna import InvertRecipe, pictures
from lanterna.cli import invert as command
from lanterna.events import STOP

Run = Callable[..., SimpleNamespace]
INVERT = ["invert", "python:tiny:make", "act1", "logits", "--picture", "coffee", "--samples", "2", "--judge", "none"]
QUICK = [*INVERT, "--steps", "3"]


def test_every_field_of_the_recipe_has_its_flag() -> None:
    parameters = inspect.signature(command.invert).parameters
    fields = {"layer" if name == "layers" else name for name in InvertRecipe.model_fields}
    assert fields - {"technique", "schema_version"} <= set(parameters)
    for name in fields - {"layer", "technique", "schema_version"}:
        assert parameters[name].default is None, f"--{name} must leave its default to the recipe"


@pytest.mark.parametrize(
    ("field", "flags", "value"),
    [
        ("start", ["--from", "chelsea"], "chelsea"),
        ("prior", ["--prior", "tv"], "tv"),
        ("weight", ["--weight", "0.5"], 0.5),
        ("measure", ["--measure", "cosine"], "cosine"),
        ("channels", ["--channels", "0-3"], "0-3"),
        ("spread", ["--spread", "0.1"], 0.1),
        ("spread_at", ["--spread-at", "act1"], "act1"),
        ("size", ["--size", "20x24"], "20x24"),
        ("native", ["--native"], True),
        ("seed", ["--seed", "9"], 9),
    ],
)
def test_a_flag_sets_its_field_and_no_other(lanterna: Run, field: str, flags: list[str], value: object) -> None:
    given = ["--steps", "1", "--samples", "1"]
    assert lanterna("invert", "python:tiny:make", "act1", "--picture", "brick", "--judge", "none", *given, *flags).code == 0
    found = InvertRecipe.model_validate(pictures.read_recipe("invert.png")["recipe"])
    expected = {"layers": ("act1",), "picture": "brick", "judge": "none", "steps": 1, "samples": 1, field: value}
    assert found == InvertRecipe.model_validate(expected)


def test_json_has_the_numbers_of_every_layer(lanterna: Run) -> None:
    found = json.loads(lanterna(*QUICK, "--json", "--singles").out)
    assert [layer["layer"] for layer in found["layers"]] == ["act1", "logits"]
    for layer in found["layers"]:
        for name in ("feature_error", "pair_error", "psnr", "ssim", "top1_kept", "top5_kept"):
            assert len(layer[name]) == 2, name
        assert layer["judge_agrees"] is None
        assert layer["pixel_distance"] >= 0 and layer["real_feature_distance"] > 0
    assert found["outputs"] == ["invert.png", *(f"invert-{i:03d}.png" for i in range(4))]
    assert found["recipe"]["inputs"] == {"coffee": pictures.digest("coffee")}


def test_people_read_both_denominators(lanterna: Run) -> None:
    out = lanterna(*QUICK).out
    assert "of the photograph's own" in out and "of that between photographs" in out and "six photographs by" in out


@pytest.mark.parametrize("picture", ["invert.png", "invert-003.png"])
def test_replay_gives_the_same_bits(lanterna: Run, picture: str) -> None:
    assert lanterna(*QUICK, "--singles").code == 0
    assert lanterna("replay", picture, "--out", "again.png", "--trust").code == 0
    assert torch.equal(pictures.load("again.png"), pictures.load(picture))
    assert pictures.read_recipe("again.png")["recipe"] == pictures.read_recipe(picture)["recipe"]


def test_ctrl_c_saves_what_there_is_and_replay_stops_there_too(lanterna: Run) -> None:
    call = ["invert", "python:tiny:make_interrupted", "inner.act1", "inner.act2", "--picture", "brick", "--samples", "1"]
    result = lanterna(*call, "--steps", "5", "--judge", "none", "--json")
    assert result.code == 130
    found = json.loads(result.out)
    assert found["stopped"] and found["steps"] == 7 and len(found["layers"]) == 2
    assert lanterna("replay", "invert.png", "--out", "again.png", "--trust").code == 130
    assert Path("again.png").read_bytes() == Path("invert.png").read_bytes()


def test_a_stop_before_the_first_step_says_that_nothing_was_saved(lanterna: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "stopping_after", lambda _listen, _until: lambda _event: STOP)
    result = lanterna(*QUICK)
    assert result.code == 130 and "no picture was saved" in result.out and not Path("invert.png").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["invert", "python:tiny:make"], "no layer was given"),
        (["invert", "python:tiny:make", "act1"], "no picture was given; give --picture"),
        ([*QUICK, "--samples", "0"], "--samples"),
        ([*QUICK, "--out", "there/is/no.png"], "there is no folder"),
        (["invert", "python:tiny:make", "act1", "--picture", "cofee"], "coffee"),
        (["invert", "python:tiny:make", "act7", "--picture", "coffee"], "act1"),
        ([*QUICK, "--prior", "wavelets"], "wavelets"),
    ],
)
def test_bad_input_is_one_line_and_code_2(lanterna: Run, folder: Path, arguments: list[str], error: str) -> None:
    result = lanterna(*arguments)
    assert result.code == 2 and error in result.err and len(result.err.strip().splitlines()) == 1
    assert not list(folder.iterdir())
