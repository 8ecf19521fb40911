"""What is imported when: a question about the package is not worth seconds of torch."""

import inspect
import subprocess
import sys

import pytest
import torch

import lanterna
from lanterna.cli.devices import devices
from lanterna.cli.main import COMMANDS, app

HEAVY = ("torch", "torchvision", "timm", "numpy", "PIL", "matplotlib", "sklearn", "skimage", "pydantic")


def imported_by(program: str) -> set[str]:
    """The modules that a fresh Python has in memory after `program`."""
    told = f"import sys\ntry:\n    {program}\nfinally:\n    print(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("flag", ["--help", "--version", "visualise"])
def test_a_question_to_the_command_line_imports_no_torch(flag: str) -> None:
    found = imported_by(f"from lanterna.cli import main; main([{flag!r}])")
    assert "lanterna.cli.main" in found
    assert not found & set(HEAVY)


@pytest.mark.parametrize("words", [("doctor",), ("networks",), ("networks", "--json"), ("tour", "--help")])
def test_a_question_about_what_there_is_imports_no_torch(words: tuple[str, ...]) -> None:
    found = imported_by(f"from lanterna.cli import main; main({list(words)!r})")
    assert "lanterna.cli.options" in found
    assert not found & {"torch", "torchvision", "timm", "numpy", "PIL", "skimage", "sklearn", "matplotlib"}


def test_what_is_told_without_torch_is_what_torch_tells() -> None:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    assert devices() == [name for name, is_there in there.items() if is_there]


def test_the_package_itself_imports_no_torch() -> None:
    assert not imported_by("import lanterna; lanterna.__version__; dir(lanterna)") & set(HEAVY)


def test_visualize_imports_nothing_that_only_others_need() -> None:
    found = imported_by("import lanterna.cli.visualize")
    assert "torch" in found
    assert not found & {"matplotlib", "sklearn", "skimage", "h5py", "jinja2", "av", "lanterna.report", "lanterna.autoencode"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name: str) -> None:
    command = app[name].default_command
    assert command is not None
    assert COMMANDS[name][1] == (inspect.getdoc(command) or "").splitlines()[0]


def test_an_unknown_attribute_is_refused() -> None:
    misspelt = "visualise"
    with pytest.raises(AttributeError, match="no attribute 'visualise'"):
        getattr(lanterna, misspelt)
