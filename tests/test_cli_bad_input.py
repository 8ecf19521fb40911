"""Bad input: one clear line, exit code 2, nothing written."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lanterna import pictures

TINY = "python:tiny:make"
VISUALIZE = ["visualize", TINY, "conv1:0"]
ONE_SIZE = ["--size", "32x32", "--octaves", "1"]
Run = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that can't be used, made once: its bomb takes half a second."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("this is no picture")
    (folder / "a_folder").mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "plain.png")
    whole = (folder / "plain.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    (folder / "broken.toml").write_text("steps = = 3")
    (folder / "other.toml").write_text("stepps = 3")
    (folder / "typed.toml").write_text('steps = "many"')
    pictures.save(
        torch.zeros(1, 3, 8, 8), folder / "odd.png", recipe={"recipe": {"units": ["conv1:0"], "technique": "paint"}}
    )
    part = {"recipe": {"technique": "visualize", "units": ["conv1:0"]}}
    pictures.save(torch.zeros(1, 3, 8, 8), folder / "part.png", recipe=part)
    return folder


# Arguments, and the words that the one line on stderr has to contain.
BAD_INPUT: list[tuple[list[str], list[str]]] = [
    (["visualise"], ["visualise", "visualize"]),
    (["visualize"], ["NETWORK"]),
    (["visualize", TINY], ["no unit", "LAYER:CHANNEL"]),
    (["visualize", "eficientnet_lite0", "logits:0"], ["eficientnet_lite0", "did you mean", "'efficientnet_lite0'"]),
    (["visualize", "resnet18", "logits:0"], ["resnet18", "torchvision:resnet18"]),
    (["visualize", "torchvision:resnt18", "logits:0"], ["resnt18", "resnet18"]),
    (["visualize", "python:tinny:make", "conv1:0"], ["tinny", "module"]),
    (["visualize", "python:tiny:mak", "conv1:0"], ["'mak'", "'make'"]),
    (["visualize", "python:tiny:LABELS", "conv1:0"], ["tuple", "nn.Module"]),
    (["visualize", "python:tiny:make_nan", "conv1:0"], ["NaN", "weight"]),
    (["visualize", "file:none.pt", "conv1:0"], ["none.pt", "--arch"]),
    (["visualize", "file:none.pt", "logits:0", "--arch", "torchvision:resnet18"], ["none.pt"]),
    (["layers", "efficientnet_lite9"], ["efficientnet_lite9", "efficientnet_lite0"]),
    (["visualize", TINY, "convv1:0"], ["convv1", "did you mean", "'conv1'", "lanterna layers"]),
    (["visualize", TINY, "conv1"], ["conv1:0 to 7"]),
    (["visualize", TINY, "conv1:8"], ["conv1:8", "out of range", "0 to 7"]),
    (["visualize", TINY, "conv1:5-2"], ["backwards", "conv1:2-5"]),
    (["visualize", TINY, "conv1:1@32,0"], ["32,0", "rows 0 to 31"]),
    (["visualize", TINY, "logits:expresso"], ["expresso", "'espresso'"]),
    (["visualize", TINY, "logits:cat"], ["tabby, tabby cat (3)", "tiger cat (4)"]),
    (["visualize", TINY, "logits:6"], ["class 6", "0 to 5"]),
    ([*VISUALIZE, "--from", "missing.png"], ["missing.png", "does not exist"]),
    ([*VISUALIZE, "--from", "chelsee"], ["chelsee", "'chelsea'"]),
    ([*VISUALIZE, "--from", "empty.png"], ["empty.png", "empty"]),
    ([*VISUALIZE, "--from", "truncated.png"], ["truncated.png"]),
    ([*VISUALIZE, "--from", "text.png"], ["text.png", "not a picture"]),
    ([*VISUALIZE, "--from", "bomb.png"], ["bomb.png", "pixels"]),
    ([*VISUALIZE, "--from", "a_folder"], ["a_folder", "folder"]),
    ([*VISUALIZE, "--from", ""], ["empty", "a sample such as"]),
    (["visualize", "python:tiny:make_five", "conv1:0"], ["5 channels"]),
    (["visualize", "python:tiny:make_five", "conv1:0", "--from", "plain.png"], ["5 channels"]),
    (["visualize", "python:tiny:make_five", "conv1:0", "--data", "samples"], ["5 channels"]),
    (["dream", "python:tiny:make_flat", "plain.png"], ["no layers with maps", "--layer"]),
    (["dream", "python:tiny:make_flat", "coffee", *ONE_SIZE, "--layer", "hidden"], ["64x64", "made for 32x32"]),
    (["dream", "python:tiny:make_tokens", "coffee", *ONE_SIZE, "--layer", "mix"], ["'mix'", "tokens"]),
    (["classify", TINY], ["no picture"]),
    (["classify", TINY, "missing.png"], ["missing.png"]),
    (["classify", TINY, "chelsea", "--top", "0"], ["--top", "1 or more"]),
    (["visualize", "python:tiny:make_deep", "0:0", "--size", "1"], ["1x1"]),
    (["visualize", "python:tiny:make_deep", "6:0", "--size", "32"], ["32x32", "deep"]),
    ([*VISUALIZE, "--size", "0"], ["'0'", "HEIGHTxWIDTH"]),
    ([*VISUALIZE, "--size=-5"], ["'-5'", "HEIGHTxWIDTH"]),
    ([*VISUALIZE, "--size", "10x"], ["'10x'", "HEIGHTxWIDTH"]),
    ([*VISUALIZE, "--out", "nowhere/picture.png"], ["nowhere", "no folder", "make it first"]),
    ([*VISUALIZE, "--out", "a_folder"], ["a_folder", "is a folder"]),
    ([*VISUALIZE, "--out", "picture.bmp"], [".bmp", ".png"]),
    ([*VISUALIZE, "--out", "picture"], ["no suffix", ".png"]),
    ([*VISUALIZE, "--steps", "-1"], ["--steps -1", "0"]),
    ([*VISUALIZE, "--steps", "many"], ["--steps", "many"]),
    ([*VISUALIZE, "--canvas", "paper"], ["--canvas", "paper", "fourier"]),
    ([*VISUALIZE, "--diversity", "0"], ["--diversity 0", "1"]),
    ([*VISUALIZE, "--seed", "-1"], ["--seed -1", "0"]),
    ([*VISUALIZE, "--seed", "99999999999999999999"], ["--seed", "less than"]),
    ([*VISUALIZE, "--lr", "0"], ["--lr 0", "greater than 0"]),
    ([*VISUALIZE, "--lr", "nan"], ["--lr nan"]),
    ([*VISUALIZE, "--shift", "inf"], ["--shift inf"]),
    ([*VISUALIZE, "--zoom", "0.5"], ["--zoom 0.5", "1"]),
    ([*VISUALIZE, "--threads", "0"], ["--threads 0", "1 or more"]),
    ([*VISUALIZE, "--device", "tpu"], ["'tpu'", "cpu"]),
    ([*VISUALIZE, "--colour", "red"], ["--colour"]),
    ([*VISUALIZE, "--recipe", "missing.toml"], ["missing.toml"]),
    ([*VISUALIZE, "--recipe", "broken.toml"], ["broken.toml", "TOML"]),
    ([*VISUALIZE, "--recipe", "other.toml"], ["stepps"]),
    ([*VISUALIZE, "--recipe", "typed.toml"], ["--steps", "many"]),
    ([*VISUALIZE, "--recipe", "a_folder"], ["a_folder"]),
    (["patterns", TINY, "conv1:0", "--out", "sheets/six.png"], ["names a file", "--out sheets/six"]),
    (["fool", TINY, "coffee", "--from", "noise"], ["'coffee' is of no use", "leave it out"]),
    (["replay", "missing.png"], ["missing.png", "does not exist"]),
    (["replay", "plain.png"], ["plain.png", "no recipe"]),
    (["replay", "text.png"], ["text.png", "not a picture"]),
    (["replay", "odd.png"], ["odd.png", "paint"]),
    (["replay", "part.png"], ["part.png", "'network'"]),
    (["tour", "missing.png"], ["missing.png", "does not exist"]),
    (["tour", "--network", "efficientnet_lite9"], ["efficientnet_lite9", "efficientnet_lite0"]),
    (["tour", "--depths", "0"], ["--depths 0", "1"]),
    (["tour", "my", "cat.jpg"], ["'cat.jpg' is more than", "quotes"]),
    (["tour", "--seconds", "0"], ["--seconds 0", "greater than 0"]),
    (["tour", "--steps", "-1"], ["--steps -1", "0"]),
    (["tour", "--out", "plain.png"], ["plain.png"]),
    (["fetch"], ["--all", "vgg16_hed"]),
    (["fetch", "vgg61_hed"], ["vgg61_hed", "'vgg16_hed'"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_INPUT, ids=[" ".join(arguments) for arguments, _ in BAD_INPUT])
def test_bad_input_gives_one_line_and_writes_nothing(
    lanterna: Run, bad_files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(bad_files)
    before = sorted(bad_files.rglob("*"))
    result = lanterna(*arguments)
    assert result.code == 2, result.err
    assert result.out == ""
    assert len(result.err.splitlines()) == 1, result.err
    assert result.err.startswith("lanterna: ") and "Traceback" not in result.err
    for word in words:
        assert word in result.err
    assert sorted(bad_files.rglob("*")) == before


def test_an_error_leaves_the_picture_that_was_there(lanterna: Run, folder: Path) -> None:
    (folder / "old.png").write_bytes(b"old")
    assert lanterna(*VISUALIZE, "--steps", "-1", "--out", "old.png").code == 2
    assert (folder / "old.png").read_bytes() == b"old"
    assert lanterna(*VISUALIZE, "--steps", "1", "--out", "old.png").code == 0
    assert (folder / "old.png").read_bytes() != b"old" and pictures.read_recipe("old.png")["recipe"]["steps"] == 1
