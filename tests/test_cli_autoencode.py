"""`lanterna autoencode`: what it writes, and what it refuses before anything is made."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lanterna import autoencode, pictures

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures, and a cache of its own."""
    monkeypatch.setenv("LANTERNA_CACHE", str(folder / "cache"))
    (folder / "data").mkdir()
    for index in range(12):
        pictures.save(torch.full((1, 3, 32, 32), index / 12), folder / "data" / f"{index}.png")
    return folder


def test_it_writes_models_figures_numbers_and_a_page(lanterna: Run, small: Path) -> None:
    result = lanterna("autoencode", "--data", "folder:data", "--code", "2,3", "--epochs", "1", "--parts", "lossy", "--json")
    assert result.code == 0, result.err
    numbers = json.loads(result.out)
    assert numbers["train_pictures"] == 10 and set(numbers["models"]) == {"2", "3"}
    assert numbers["parts"]["lossy"]["sizes"][0]["pca_mse"] >= 0
    out = small / "autoencode"
    assert {path.name for path in out.iterdir()} == {
        "conv-2.safetensors", "conv-3.safetensors", "lossy.png", "sizes.png", "numbers.json", "index.html",
    }  # fmt: skip
    assert autoencode.load(out / "conv-3.safetensors").code == 3
    assert pictures.read_recipe(out / "lossy.png")["recipe"]["code"] == [2, 3]
    assert "<img" in (out / "index.html").read_text()
    # A figure is made again from what is inside it, with the models from the cache.
    result = lanterna("replay", "autoencode/sizes.png", "--out", "again.png", "--trust", "--quiet")
    assert result.code == 0, result.err
    assert torch.equal(pictures.load("again.png"), pictures.load(out / "sizes.png"))
    assert pictures.read_recipe("again.png") == pictures.read_recipe(out / "sizes.png")


BAD = [
    (["--model", "transformer"], ["transformer", "conv"]),
    (["--code", "two"], ["two", "2,8,32,128"]),
    (["--code", "0"], ["a code has 1 to 12,288 numbers"]),
    (["--code", "4000"], ["4000", "3072"]),
    (["--code", "2,2"], ["twice"]),
    (["--model", "vq", "--code", "6"], ["6", "multiple of 4"]),
    (["--epochs", "0"], ["--epochs 0"]),
    (["--parts", "lousy"], ["lousy", "lossy"]),
    (["--data", "mnist"], ["mnist", "mnist_5k"]),
    (["--data", "folder:nowhere"], ["nowhere"]),
    (["--side", "48"], ["--side 48"]),
    (["--out", "data/0.png"], ["0.png"]),
    (["--device", "cuda"], ["cuda", "cpu"]),
]


@pytest.mark.parametrize(("flags", "words"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(lanterna: Run, small: Path, flags: list[str], words: list[str]) -> None:
    before = sorted(small.rglob("*"))
    data = [] if "--data" in flags else ["--data", "folder:data"]
    result = lanterna("autoencode", *data, *flags)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1 and all(word in result.err for word in words), result.err
    assert sorted(small.rglob("*")) == before


def test_a_learning_rate_that_is_too_high_says_so(lanterna: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lanterna.autoencode import workshop

    monkeypatch.setattr(workshop, "training_loss", lambda net, batch, *_: net(batch).pictures.sum() * torch.nan)
    result = lanterna("autoencode", "--data", "folder:data", "--code", "2", "--epochs", "1")
    assert result.code == 1 and "not finite in epoch 1" in result.err and not (small / "autoencode").exists()
