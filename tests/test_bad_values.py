"""Every option that takes a number refuses what is none, in one line and before anything is computed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lanterna.cli.main import app

Run = Callable[..., SimpleNamespace]
TINY = "python:tiny:make"
# What each command needs beside its options.
NEEDS = {
    "tour": ["coffee", "--network", TINY],
    "classify": [TINY, "coffee"],
    "visualize": [TINY, "conv1:0"],
    "patterns": [TINY, "conv1:0"],
    "invert": [TINY, "conv1", "--picture", "coffee"],
    "dream": [TINY, "coffee"],
    "stylize": ["chelsea", "coffee", "--network", TINY],
    "texture": ["gravel", "--network", TINY],
    "style-distance": ["gravel", "grass", "--network", TINY],
    "fool": [TINY, "coffee"],
    "manifold": [],
    "autoencode": [],
}
# A film's camera moves either way; these refuse to be given without a film.
EITHER_WAY = ("--zoom-rotate", "--zoom-right", "--zoom-down")


def number_flags() -> Iterator[tuple[str, str]]:
    for command in NEEDS:
        for argument in app[command].assemble_argument_collection():
            if any(kind in str(argument.hint) for kind in ("int", "float")):
                for name in argument.names:
                    if name.startswith("--"):
                        yield command, name


FLAGS = sorted(number_flags())


def test_there_are_many() -> None:
    assert len(FLAGS) > 80


@pytest.mark.parametrize("value", ["abc", "-1", "nan", ""])
@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_a_value_that_is_no_number_of_its_kind_is_refused(
    lanterna: Run, folder: Path, command: str, flag: str, value: str
) -> None:
    result = lanterna(command, *NEEDS[command], f"{flag}={value}", "--quiet")
    lines = result.err.strip().splitlines()
    assert result.code == 2, result.out
    assert len(lines) == 1 and lines[0].startswith("lanterna: "), result.err
    assert flag in lines[0] or flag in EITHER_WAY, result.err
    assert list(folder.iterdir()) == []
