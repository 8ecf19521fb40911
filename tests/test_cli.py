"""The command line: results on stdout, pictures that can be made again."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from lanterna import VisualizeRecipe, load, pictures

TINY = "python:tiny:make"
VISUALIZE = ["visualize", TINY, "conv2:0"]
Run = Callable[..., SimpleNamespace]


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_dead_unit_fails_with_one_line(lanterna: Run, folder: Path) -> None:
    result = lanterna("visualize", "python:tiny:make_dead", "act1:2", "--steps", "40", "--quiet")
    assert result.code == 1
    assert "act1:2" in result.err and "dead" in result.err and len(result.err.splitlines()) == 1
    assert not (folder / "visualize.png").exists()


def test_a_dead_unit_among_others_is_named(lanterna: Run) -> None:
    result = lanterna("visualize", "python:tiny:make_dead", "act1:1-2", "--steps", "40")
    assert result.code == 0
    lines = result.out.splitlines()
    assert "DEAD" not in lines[0] and "DEAD" in lines[1]


def test_what_is_not_fetched_gives_code_4_and_the_command(
    lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(folder / "cache"))
    result = lanterna("layers", "vgg16_hed")
    assert result.code == 4
    assert "lanterna fetch vgg16_hed" in result.err and len(result.err.splitlines()) == 1


def test_one_unit_gives_the_bare_picture(lanterna: Run, folder: Path) -> None:
    result = lanterna(*VISUALIZE, "--steps", "2", "--size", "20x31", "--out", "one.png")
    assert result.code == 0
    assert pixels("one.png").shape == (20, 31, 3)
    assert result.out.splitlines()[0].startswith("conv2:0: activation ")
    assert result.out.splitlines()[-1] == "one.png"
    assert [path.name for path in folder.glob("*.png")] == ["one.png"]


def test_no_steps_give_the_picture_they_start_from(lanterna: Run, folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    assert lanterna(*VISUALIZE, "--from", "noise.png", "--size", "40", "--steps", "0").code == 0
    assert np.abs(pixels("visualize.png").astype(int) - noise).max() <= 1


def test_many_units_give_a_sheet_and_singles_on_request(lanterna: Run, folder: Path) -> None:
    assert lanterna("visualize", TINY, "conv2:0-2", "--steps", "2", "--out", "many.png").code == 0
    assert [path.name for path in folder.glob("*.png")] == ["many.png"]
    height, width, _ = pixels("many.png").shape
    assert height > 32 and width >= 3 * 32
    assert lanterna("visualize", TINY, "conv2:0-2", "--steps", "2", "--out", "many.png", "--singles").code == 0
    singles = sorted(path.name for path in folder.glob("many-*.png"))
    assert singles == ["many-000.png", "many-001.png", "many-002.png"]
    assert all(pixels(single).shape == (32, 32, 3) for single in singles)


def test_a_strip_is_wider_than_its_picture(lanterna: Run) -> None:
    assert lanterna(*VISUALIZE, "--steps", "10", "--strip").code == 0
    assert pixels("visualize.png").shape[1] >= 6 * 32


def test_quiet_says_nothing_on_stderr(lanterna: Run) -> None:
    assert lanterna(*VISUALIZE, "--steps", "2", "--quiet").err == ""


def test_maximize_is_the_opposite_of_minimize(lanterna: Run, folder: Path) -> None:
    (folder / "recipe.toml").write_text('units = ["conv2:0"]\nsteps = 4\nsmooth = 0\nminimize = true\n')
    by_file = json.loads(lanterna("visualize", TINY, "--recipe", "recipe.toml", "--json").out)
    over_it = json.loads(lanterna("visualize", TINY, "--recipe", "recipe.toml", "--maximize", "--json").out)
    assert by_file["recipe"]["recipe"]["minimize"] and not over_it["recipe"]["recipe"]["minimize"]
    assert by_file["recipe"]["recipe"]["steps"] == over_it["steps"] == 4
    assert by_file["activation"][0] < over_it["activation"][0]


# -- JSON ------------------------------------------------------------------------------------------------------------------


def test_json_of_visualize(lanterna: Run) -> None:
    result = lanterna("visualize", TINY, "conv2:0", "logits:sea", "--steps", "3", "--json", "--seed", "5")
    found = json.loads(result.out)
    assert set(found) == {
        "recipe", "outputs", "units", "activation", "start_activation", "sample_activation", "dead", "exact", "steps",
        "stopped",
    }  # fmt: skip
    assert found["outputs"] == ["visualize.png"]
    assert found["units"] == ["conv2:0", "sea lion"]
    for name in ("activation", "start_activation", "sample_activation", "dead"):
        assert len(found[name]) == 2
    assert found["steps"] == 3 and found["stopped"] is False
    record = found["recipe"]
    assert record == pictures.read_recipe("visualize.png")
    assert set(record) == {"recipe", "network", "versions", "threads", "device", "inputs", "options"}
    assert record["recipe"]["seed"] == 5 and record["network"]["source"] == TINY
    assert len(record["network"]["weights_sha256"]) == 64
    assert VisualizeRecipe.model_validate(record["recipe"]).units == ("conv2:0", "logits:sea")


def test_data_tells_how_far_real_pictures_go(lanterna: Run, folder: Path) -> None:
    place = folder / "real"
    place.mkdir()
    shown = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    for number, picture in enumerate(shown):
        pictures.save(picture[None], place / f"{number}.png")
    flags = ["conv2:0", "conv2:1", "--steps", "2", "--data", f"folder:{place}"]
    found = json.loads(lanterna("visualize", TINY, *flags, "--json").out)["real"]
    features = tiny.network().capture((shown * 255).round() / 255, ["conv2"])["conv2"].mean((2, 3))
    assert [one["pictures"] for one in found] == [6, 6]
    for unit, one in enumerate(found):
        assert one["highest"] == pytest.approx(float(features[:, unit].max()), abs=1e-4)
        assert one["quantile_99"] == pytest.approx(float(features[:, unit].double().quantile(0.99)), abs=1e-4)
    said = lanterna("visualize", TINY, *flags)
    assert "99 %" in said.out and "6 real pictures" in said.out
    refused = lanterna("visualize", TINY, "conv2:0", "--data", "folder:nowhere")
    assert refused.code == 2 and "nowhere" in refused.err


def test_json_of_the_commands_that_look(lanterna: Run) -> None:
    networks = json.loads(lanterna("networks", "--json").out)
    assert set(networks) == {"networks", "sources"}
    assert {row["name"] for row in networks["networks"]} >= {"efficientnet_lite0", "vgg16_hed"}
    assert set(networks["networks"][0]) == {"name", "ready", "description", "licence", "paper"}

    layers = json.loads(lanterna("layers", TINY, "--json").out)
    assert layers["network"] == TINY
    assert set(layers["layers"][0]) == {"name", "kind", "shape", "receptive_field", "stride", "parameters"}
    conv2 = next(row for row in layers["layers"] if row["name"] == "conv2")
    assert (conv2["shape"], conv2["receptive_field"], conv2["stride"]) == ([8, 16, 16], [7, 7], [2.0, 2.0])

    classes = json.loads(lanterna("classify", TINY, "chelsea", "coffee", "--top", "3", "--json").out)
    assert [row["picture"] for row in classes["pictures"]] == ["chelsea", "coffee"]
    assert set(classes["pictures"][0]["predictions"][0]) == {"index", "label", "probability"}
    assert len(classes["pictures"][0]["predictions"]) == 3

    doctor = json.loads(lanterna("doctor", "--json").out)
    assert {"python", "versions", "devices", "threads", "cache", "ready", "missing", "samples"} <= set(doctor)
    assert doctor["ready"]["efficientnet_lite0"] is True


def test_tables_for_people(lanterna: Run) -> None:
    assert "python:module:factory" in lanterna("networks").out
    table = lanterna("layers", TINY).out
    assert "receptive field" in table and "conv2" in table and "8x16x16" in table
    classes = lanterna("classify", TINY, "chelsea").out
    assert classes.splitlines()[0] == "chelsea" and "%" in classes
    assert "efficientnet_lite0: ready" in lanterna("doctor").out


def test_a_table_for_another_program_has_a_line_for_each_row(lanterna: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = lanterna("layers", "efficientnet_lite0").out.splitlines()
    assert len(lines) == 1 + len(load("efficientnet_lite0").layers())
    assert any(line.startswith("blocks.1.0.conv_pwl ") for line in lines)


def test_classify_reads_real_pictures(lanterna: Run) -> None:
    out = json.loads(lanterna("classify", "efficientnet_lite0", "chelsea", "coffee", "--top", "1", "--json").out)
    labels = [row["predictions"][0]["label"] for row in out["pictures"]]
    assert "cat" in labels[0] and labels[1] == "espresso"


# -- replay ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--canvas", "pixels", "--minimize", "--tv", "0.1"],
        ["--canvas", "maco", "--size", "25x40"],
        ["--from", "coffee", "--seed", "7"],
        ["--diversity", "2", "--strip"],
    ],
    ids=" ".join,
)
def test_replay_gives_the_same_pixels_and_the_same_recipe(lanterna: Run, flags: list[str]) -> None:
    assert lanterna("visualize", TINY, "conv2:0-1", "logits:tiger", "--steps", "6", "--out", "first.png", *flags).code == 0
    result = lanterna("replay", "first.png", "--out", "again.png", "--quiet", "--trust")
    assert (result.code, result.err) == (0, "")
    assert np.array_equal(pixels("first.png"), pixels("again.png"))
    assert pictures.read_recipe("first.png") == pictures.read_recipe("again.png")
    assert Path("first.png").read_bytes() == Path("again.png").read_bytes()


def test_replay_of_a_single(lanterna: Run) -> None:
    lanterna("visualize", TINY, "conv2:0-2", "--steps", "5", "--out", "all.png", "--singles")
    assert lanterna("replay", "all-001.png", "--out", "again.png", "--trust").code == 0
    assert np.array_equal(pixels("all-001.png"), pixels("again.png"))
    lanterna("replay", "all.png", "--out", "sheet.png", "--trust")
    assert np.array_equal(pixels("all.png"), pixels("sheet.png"))


def test_replay_refuses_to_write_over_its_picture(lanterna: Run) -> None:
    lanterna(*VISUALIZE, "--steps", "1")
    result = lanterna("replay", "visualize.png", "--out", "./visualize.png")
    assert result.code == 2 and "another name" in result.err


def test_replay_warns_about_what_has_changed(lanterna: Run, folder: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(folder / "in.png")
    lanterna(*VISUALIZE, "--steps", "1", "--from", "in.png", "--out", "first.png")
    record = pictures.read_recipe("first.png")
    record["versions"]["torch"] = "1.0"
    record["threads"] = 64
    record["network"]["weights_sha256"] = "0" * 64
    pictures.save(pictures.load("first.png"), "changed.png", recipe=record)
    Image.new("RGB", (32, 32), "blue").save(folder / "in.png")
    result = lanterna("replay", "changed.png", "--quiet", "--trust")
    assert result.code == 0
    lines = result.err.splitlines()
    assert len(lines) == 4 and all(line.startswith("warning: ") for line in lines)
    for word in ("weights of tiny", "torch 1.0", "--threads 64", "in.png"):
        assert word in result.err


def test_ctrl_c_saves_what_there_is_and_replay_stops_there_too(lanterna: Run) -> None:
    result = lanterna("visualize", "python:tiny:make_interrupted", "inner.conv2:1", "--steps", "30", "--json")
    assert result.code == 130
    assert "Ctrl-C again" in result.err
    found = json.loads(result.out)
    # Its seventh gradient: some were taken before the first step, to weigh the priors.
    assert found["stopped"] is True and 0 < found["steps"] < 7
    assert found["recipe"]["stopped_after"] == found["steps"]
    assert lanterna("replay", "visualize.png", "--trust").code == 130
    assert np.array_equal(pixels("visualize.png"), pixels("replay.png"))


def test_threads_are_set_only_where_asked(lanterna: Run) -> None:
    lanterna("layers", TINY)
    assert torch.get_num_threads() == 1
    cores = min(2, os.cpu_count() or 1)
    lanterna("layers", TINY, "--threads", str(cores))
    assert torch.get_num_threads() == cores
