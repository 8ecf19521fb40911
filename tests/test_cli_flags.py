"""Help, documentation and flags, which can't drift from the recipes."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lanterna import VisualizeRecipe, pictures
from lanterna.cli import visualize as make
from lanterna.cli.main import app

VISUALIZE = ["visualize", "python:tiny:make", "conv1:0"]
COMMANDS = sorted(name for name in app if not name.startswith("-"))
Run = Callable[..., SimpleNamespace]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(lanterna: Run, command: str) -> None:
    result = lanterna(command, "--help")
    assert result.code == 0
    assert f"Example: lanterna {command}" in " ".join(result.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    text = Path(__file__).parents[1].joinpath("docs/commands.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## `lanterna {command}")[2].partition("\n## ")[0]
    common = text.partition("\n## Flags of every command")[2].partition("\n## ")[0]
    assert f"\n    lanterna {command}" in section, "no section with an example"
    for flag in flags_of(command):
        assert f"`{flag}" in section or f"`{flag}" in common, flag


def flags_of(command: str) -> set[str]:
    arguments = app[command].assemble_argument_collection()
    return {name for argument in arguments for name in argument.names if name.startswith("--")}


def test_every_field_of_the_recipe_has_its_flag() -> None:
    parameters = inspect.signature(make.visualize).parameters
    fixed = {"technique", "schema_version"}
    fields = {"unit" if name == "units" else name for name in VisualizeRecipe.model_fields if name not in fixed}
    assert fields <= set(parameters)
    for name in fields - {"unit"}:
        assert parameters[name].default is None, f"--{name} must leave its default to the recipe"


@pytest.mark.parametrize("field", sorted(set(VisualizeRecipe.model_fields) - {"technique", "schema_version", "units"}))
def test_the_help_tells_the_default_of_the_recipe(lanterna: Run, field: str) -> None:
    flag = "--from" if field == "start" else f"--{field}"
    assert flag in flags_of("visualize")
    default = VisualizeRecipe.model_fields[field].default
    if field != "minimize" and default not in (None, ""):
        (argument,) = (one for one in app["visualize"].assemble_argument_collection() if flag in one.names)
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert f"[{shown}]" in (argument.parameter.help or "")


@pytest.mark.parametrize(
    ("field", "flags", "value"),
    [
        ("start", ["--from", "coffee"], "coffee"),
        ("size", ["--size", "20x24"], "20x24"),
        ("steps", ["--steps", "2"], 2),
        ("canvas", ["--canvas", "maco"], "maco"),
        ("diversity", ["--diversity", "2"], 2),
        ("minimize", ["--minimize"], True),
        ("lr", ["--lr", "0.5"], 0.5),
        ("tv", ["--tv", "0.5"], 0.5),
        ("smooth", ["--smooth", "0.5"], 0.5),
        ("shift", ["--shift", "3"], 3.0),
        ("rotate", ["--rotate", "4"], 4.0),
        ("zoom", ["--zoom", "1.1"], 1.1),
        ("seed", ["--seed", "9"], 9),
    ],
)
def test_a_flag_sets_its_field_and_no_other(lanterna: Run, field: str, flags: list[str], value: object) -> None:
    steps = [] if field == "steps" else ["--steps", "1"]
    assert lanterna(*VISUALIZE, *steps, *flags).code == 0
    found = VisualizeRecipe.model_validate(pictures.read_recipe("visualize.png")["recipe"])
    expected = {"units": ("conv1:0",), "steps": 1, field: value}
    assert found == VisualizeRecipe.model_validate(expected)
