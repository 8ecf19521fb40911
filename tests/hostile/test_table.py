"""Every command with every kind of bad file: one clear line, the right exit code, nothing left, nothing that hangs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import resident  # type: ignore[import-not-found]

TINY = "python:tiny:make"
Run = Callable[..., SimpleNamespace]
Row = tuple[list[str], int, list[str]]

# Files that no command may take for a picture, and what is said of each.
NOT_PICTURES = {
    "empty.png": "empty",
    "text.png": "not a picture",
    "half.png": "truncated or damaged",
    "head.png": "damaged",
    "swapped.png": "damaged",
    "claims.png": "3,600,000,000 pixels",
    "claims-line.png": "2,000,000,000 pixels",
    "claims-some.png": "damaged",
    "claims-none.png": "damaged",
    "postscript.png": "not a picture",
    "svg.png": "not a picture",
    "half.jpg": "damaged",
    "gif.gif": "",
    "riff.webp": "damaged",
    "tiff.tif": "",
    "nan.tif": "nan",
    "far.tif": "[0, 1]",
    "bmp.bmp": "damaged",
    "ppm.ppm": "",
    "pipe.png": "a pipe",
    "zero.png": "a device",
    "loop.png": "",
    "gone.png": "does not exist",
    "folder.png": "folder",
    "socket.png": "a socket",
    "nowhere/x.png": "no folder",
    "": "empty",
    "~nobody-here/x.png": "",
    "a" * 5000: "",
}

# What a command is asked that takes a picture, with {} for it.
WITH_PICTURE = {
    "classify": ["classify", TINY, "{}"],
    "visualize --from": ["visualize", TINY, "conv1:0", "--from", "{}", "--steps", "1"],
    "invert": ["invert", TINY, "conv1", "--picture", "{}", "--steps", "1"],
    "invert --from": ["invert", TINY, "conv1", "--picture", "good.png", "--from", "{}", "--steps", "1"],
    "dream": ["dream", TINY, "{}", "--layer", "conv2", "--steps", "1"],
    "dream --guide": ["dream", TINY, "good.png", "--guide", "{}", "--layer", "conv2", "--octaves", "1"],
    "dream --mask": ["dream", TINY, "good.png", "--mask", "{}", "--layer", "conv2", "--octaves", "1"],
    "fool": ["fool", TINY, "{}", "--steps", "1"],
    "stylize": ["stylize", "{}", "good.png", "--network", TINY, "--size", "32", "--steps", "1"],
    "stylize STYLE": ["stylize", "good.png", "{}", "--network", TINY, "--size", "32", "--steps", "1"],
    "stylize --init": ["stylize", "good.png", "good.png", "--init", "{}", "--network", TINY, "--size", "32", "--steps", "1"],
    "stylize --mask": ["stylize", "good.png", "good.png", "--mask", "{}", "--network", TINY, "--size", "32", "--steps", "1"],
    "texture": ["texture", "{}", "--network", TINY, "--size", "32", "--steps", "1"],
    "style-distance": ["style-distance", "good.png", "{}", "--network", TINY, "--size", "32"],
    "tour": ["tour", "{}", "--network", TINY],
    "replay": ["replay", "{}"],
}


def picture_rows() -> Iterator[Row]:
    for arguments in WITH_PICTURE.values():
        for name, words in NOT_PICTURES.items():
            if arguments[0] != "replay":
                yield [part.format(name) for part in arguments], 2, [words]
            elif name:
                yield ["replay", name], 2, [""]


# Archives and folders as data.
DATA = {
    "no.zip": "neither a folder nor a zip file",
    "half.zip": "zip file",
    "bomb.zip": "unpacks to 1,610,612,736 bytes",
    "ratio.zip": "times its size",
    "lying.zip": "",
    "huge.zip": "bytes",
    "long.zip": "list",
    "words.zip": "",
    "pipe.zip": "a pipe",
    "zero.png": "a device",
    "socket.png": "a socket",
    "missing": "no folder",
    "~nobody-here": "",
    "a" * 5000: "",
}
WITH_DATA = {
    "patterns": ["patterns", TINY, "conv1:0", "--data", "folder:{}", "--steps", "0"],
    "patterns --strict": ["patterns", TINY, "conv1:0", "--data", "folder:{}", "--steps", "0", "--strict"],
    "visualize --data": ["visualize", TINY, "conv1:0", "--data", "folder:{}", "--steps", "1"],
    "manifold": ["manifold", "--data", "folder:{}"],
    "autoencode": ["autoencode", "--data", "folder:{}"],
    "tour --pictures": ["tour", "good.png", "--pictures", "{}", "--network", TINY, "--chapters", "units"],
}


def data_rows() -> Iterator[Row]:
    for command, arguments in WITH_DATA.items():
        for name, words in DATA.items():
            # Some have something else to say first: that there are no classes.
            yield [part.format(name) for part in arguments], 2, [words if command == "patterns" else ""]


# Weights of strangers. None is unpickled into code, none is unpacked, none is built however many classes it claims.
WEIGHTS = {
    "text.pt": "can't be read as weights",
    "empty.pt": "can't be read as weights",
    "text.safetensors": "safetensors",
    "harm.pt": "holds more than weights",
    "harm-zip.pt": "holds more than weights",
    "list.pt": "no state dict",
    "endless.pt": "no state dict",
    "other.safetensors": "do not fit",
    "header.safetensors": "safetensors",
    "packed.pt": "unpacks to",
    "pipe.pt": "no file",
    "zero.pt": "no file",
    "pipe.safetensors": "no file",
    "folder.png": "no file",
    "missing.pt": "no file",
}


def weight_rows() -> Iterator[Row]:
    for name, words in WEIGHTS.items():
        yield ["layers", f"file:{name}", "--arch", "torchvision:resnet18"], 2, [words]
        yield ["classify", f"file:{name}", "good.png", "--arch", "torchvision:resnet18"], 2, [words]


# Recipes in TOML.
RECIPES = {
    "broken.toml": "TOML",
    "bytes.toml": "TOML",
    "large.toml": "bytes",
    "deep.toml": "TOML",
    "digits.toml": "TOML",
    "table.toml": "steps",
    "pipe.toml": "a pipe",
    "zero.toml": "a device",
    "missing.toml": "no recipe",
    "folder.png": "a folder",
}
WITH_RECIPE = {
    "visualize": ["visualize", TINY, "conv1:0", "--recipe", "{}"],
    "patterns": ["patterns", TINY, "conv1:0", "--recipe", "{}"],
    "invert": ["invert", TINY, "conv1", "--picture", "good.png", "--recipe", "{}"],
    "dream": ["dream", TINY, "good.png", "--recipe", "{}"],
    "fool": ["fool", TINY, "good.png", "--recipe", "{}"],
    "stylize": ["stylize", "good.png", "good.png", "--network", TINY, "--recipe", "{}"],
    "texture": ["texture", "good.png", "--network", TINY, "--recipe", "{}"],
}
# What a recipe names that is not its own to name, and the command that would load it.
NAMED = [
    (["visualize", TINY, "conv1:0", "--recipe", "start.toml"], ["/etc/hostname", "--trust"]),
    (["invert", TINY, "conv1", "--picture", "good.png", "--recipe", "judge.toml"], ["python:evil:make", "code", "--trust"]),
    (["invert", TINY, "conv1", "--recipe", "up.toml"], ["../good.png", "--trust"]),
    (["fool", TINY, "good.png", "--recipe", "second.toml"], ["python:evil:make", "code", "--trust"]),
    (["fool", TINY, "--from", "noise", "--class", "0", "--recipe", "second.toml"], ["python:evil:make", "--trust"]),
    (["dream", TINY, "--recipe", "up.toml"], ["../good.png", "--trust"]),
    (["stylize", "good.png", "--network", TINY, "--recipe", "style.toml"], ["/etc/hostname", "--trust"]),
    (["texture", "--network", TINY, "--recipe", "style.toml"], ["/etc/hostname", "--trust"]),
    (["patterns", TINY, "conv1:0", "--recipe", "data.toml"], ["folder:/etc", "--trust"]),
    (["patterns", TINY, "conv1:0", "--recipe", "fetch.toml"], ["torchvision:CIFAR10", "downloaded"]),
    (["manifold", "--recipe", "data.toml"], ["folder:/etc", "--trust"]),
    (["autoencode", "--recipe", "fetch.toml"], ["torchvision:CIFAR10", "downloaded"]),
]


def recipe_rows() -> Iterator[Row]:
    for arguments in WITH_RECIPE.values():
        for name, words in RECIPES.items():
            yield [part.format(name) for part in arguments], 2, [words]
    for arguments, said in NAMED:
        yield arguments, 2, said


# Numbers out of reach, refused with the estimate.
OUT_OF_REACH: list[Row] = [
    (["visualize", TINY, "conv1:0", "--size", "100000x100000"], 2, ["100000x100000 needs about", "GB; this machine has"]),
    (["visualize", TINY, "conv1:0-7", "--size", "60000", "--diversity", "64"], 2, ["512 pictures", "GB"]),
    (["visualize", TINY, "conv1:0", "--size", "9" * 60], 2, ["GB"]),
    (["visualize", TINY, "conv1:0", "--size", "9" * 5000], 2, ["size"]),
    (["visualize", TINY, "conv1:0", "--size", "18000", "--steps", "100000"], 2, ["about"]),
    (["visualize", TINY, "conv1:0", "--steps", "1" + "0" * 20], 2, ["--steps"]),
    (["visualize", TINY, "conv1:0", "--steps", "1" + "0" * 5000], 2, [""]),
    (["visualize", TINY, "conv1:0", "--threads", "1000000"], 2, ["--threads", "at most"]),
    (["invert", TINY, "conv1", "--picture", "good.png", "--size", "100000"], 2, ["pixels"]),
    (["invert", TINY, "conv1", "--picture", "good.png", "--channels", "0-99999999999"], 2, ["out of range"]),
    (["invert", TINY, "conv1", "--picture", "good.png", "--samples", "9999"], 2, ["--samples"]),
    (["dream", TINY, "noise", "--size", "200000x200000"], 2, ["GB"]),
    (["dream", TINY, "good.png", "--size", "100000"], 2, ["pixels"]),
    (["dream", TINY, "good.png", "--octaves", "100"], 2, ["--octaves"]),
    (["dream", TINY, "noise", "--size", "640", "--zoom", "100000", "--steps", "10000", "--out", "a.gif"], 2, ["days"]),
    (["dream", TINY, "noise", "--zoom", "9999999", "--out", "a.gif"], 2, ["--zoom"]),
    (["stylize", "good.png", "good.png", "--network", TINY, "--size", "100000"], 2, ["GB"]),
    (["stylize", "good.png", "good.png", "--network", TINY, "--style-scale", "900"], 2, ["--style-scale"]),
    (["texture", "good.png", "--network", TINY, "--size", "100000"], 2, ["GB"]),
    (["style-distance", "good.png", "good.png", "--network", TINY, "--size", "99999"], 2, ["--size"]),
    (["fool", TINY, "good.png", "--epsilon", "1e999999999"], 2, ["--epsilon"]),
    (["fool", TINY, "good.png", "--epsilon", "1/0"], 2, ["--epsilon"]),
    (["fool", TINY, "good.png", "--steps", "999999999"], 2, ["--steps"]),
    (["autoencode", "--code", "1000000000"], 2, ["numbers"]),
    (["autoencode", "--epochs", "999999999"], 2, ["--epochs"]),
    (["manifold", "--noise", "999999999"], 2, ["--noise"]),
    (["manifold", "--pictures", "999999999"], 2, ["--pictures"]),
    (["tour", "good.png", "--network", TINY, "--steps", "999999999"], 2, ["--steps"]),
    (["tour", "good.png", "--network", TINY, "--seconds", "1e12"], 2, ["--seconds"]),
    (["layers", "timm:resnet18" + "x" * 100_000], 2, ["not"]),
    (["layers", "x" * 100_000], 2, ["not"]),
    (["layers", "hf-hub:a/b@../../../../etc"], 2, ["repository"]),
    (["layers", "hf-hub:../../etc/x"], 2, ["repository"]),
]  # fmt: skip

ROWS = [*picture_rows(), *data_rows(), *weight_rows(), *recipe_rows(), *OUT_OF_REACH]


def test_the_table_is_long_enough() -> None:
    assert len(ROWS) >= 250 and len({tuple(arguments) for arguments, _, _ in ROWS}) == len(ROWS)


def _name(row: Row) -> str:
    return " ".join(part if len(part) < 40 else f"{part[:10]}-long" for part in row[0])


@pytest.mark.parametrize("row", ROWS, ids=map(_name, ROWS))
def test_one_line_and_nothing_left(guarded: Run, strange: Path, row: Row) -> None:
    arguments, code, words = row
    result = guarded(*arguments)
    assert result.code == code, result.err
    assert result.out == ""
    lines = result.err.splitlines()
    assert lines and lines[0].startswith("lanterna: ") and len(result.err) < 3000, result.err[:500]
    for word in words:
        assert word in result.err, result.err[:500]
    assert not (strange / "MARK").exists()


def test_a_bomb_has_a_line_for_each_member(guarded: Run) -> None:
    result = guarded("patterns", TINY, "conv1:0", "--data", "folder:bomb.zip", "--steps", "0")
    assert [line.split("'")[1] for line in result.err.splitlines()[1:]] == ["first.png", "second.png"]


def test_memory(guarded: Run) -> None:
    # Beside the 0.85 GB of a process that has only loaded its libraries: 1.5 GB in all.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident()
    for name in ("bomb.zip", "huge.zip", "lying.zip", "long.zip"):
        guarded("patterns", TINY, "conv1:0", "--data", f"folder:{name}", "--steps", "0")
    for name in ("endless.pt", "packed.pt", "header.safetensors"):
        guarded("layers", f"file:{name}", "--arch", "torchvision:resnet18")
    for name in ("claims.png", "claims-some.png", "zero.png", "text-bomb.png", "gif.gif"):
        guarded("classify", TINY, name)
    assert resident("VmHWM") - before < 0.65e9
