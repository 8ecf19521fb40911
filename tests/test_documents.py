"""Every command and every Python block of README and docs is run, at a small size, in the order of its page."""

import contextlib
import functools
import io
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torchvision
from documents import PAGES, ROOT, blocks, smaller

import lanterna as package
from lanterna import attacks, networks, pictures
from lanterna.cli.main import COMMANDS
from lanterna.pictures.film import save_film
from lanterna.recipe import Recipe
from lanterna.techniques import dream, fool, invert, manifold, patterns, stylize, stylize_clip, visualize

Run = Callable[..., SimpleNamespace]

# What the pages ask for less of, when Python asks.
LESS: dict[str, dict[str, Any]] = {
    "visualize": {"steps": 2, "size": "64"},
    "patterns": {"steps": 0, "top": 2, "data": "folder:photos"},
    "invert": {"steps": 2, "samples": 2, "size": "64"},
    "dream": {"steps": 1, "octaves": 1, "size": "64"},
    "stylize": {"steps": 1, "size": "64"},
    "stylize-clip": {"steps": 1, "size": "64"},
    "fool": {"steps": 1, "second": "none"},
    "manifold": {
        "pictures": 120, "seeds": 1, "classifier_steps": 10, "density_steps": 10, "noise": 50, "each": 10, "plane": 8,
        "attacked": 2, "attack_steps": 2,
    },
}  # fmt: skip
# Commands that other pages had already; not those that make what the next line of the page reads.
ONCE = ("classify", "doctor", "dream", "fetch", "fool", "invert", "layers", "manifold", "networks", "patterns", "stylize",
        "texture", "tour")  # fmt: skip
DONE: set[tuple[str, ...]] = set()
TECHNIQUES = (visualize, patterns, invert, dream, stylize, stylize_clip, fool, manifold)


def less(run: Callable[..., Any]) -> Callable[..., Any]:
    """The technique with a smaller recipe than it was asked for."""

    @functools.wraps(run)
    def ran(recipe: Recipe, *rest: Any, **named: Any) -> Any:
        return run(recipe.model_copy(update=LESS[recipe.model_dump()["technique"]]), *rest, **named)

    return ran


def same(command: list[str]) -> tuple[str, ...]:
    """The command without the place where its results go."""
    done = smaller(command)
    return tuple(done[: done.index("--out")] + done[done.index("--out") + 2 :] if "--out" in done else done)


@pytest.fixture
def reader(folder: Path, vgg16_hed: networks.Network, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A reader's folder, with the pictures that the pages speak of, and what is called theirs in Python."""
    (folder / "photos").mkdir()
    for name in ("coffee", "chelsea", "rocket"):
        pictures.save(pictures.load(name, size=96), folder / "photos" / f"{name}.png")
    pictures.save(pictures.load("coffee", size=128), folder / "my.jpg")
    save_film([folder / "photos" / f"{name}.png" for name in ("coffee", "chelsea")], folder / "clip.gif")
    return {"my_module": torchvision.models.resnet18(), "my_labels": [f"class {i}" for i in range(1000)]}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_runs(lanterna: Run, reader: dict[str, Any], page: str) -> None:
    for block in blocks(page):
        if block.mark == "file":
            Path(block.said).write_text(block.text, encoding="utf-8")
        if block.mark is not None or block.language not in ("sh", "console", "bash", ""):
            continue
        for command in block.commands:
            if same(command) in DONE:
                continue
            result = lanterna(*smaller(command), "--quiet")
            # `fool` says by its code 1 that a single step fooled nobody.
            allowed = (0, 1) if command[0] == "fool" else (0,)
            assert result.code in allowed, f"lanterna {' '.join(command)}: {result.err}"
            if command[0] in ONCE:
                DONE.add(same(command))


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == "python" for block in blocks(page))])
def test_every_python_block_of_the_page_runs(
    lanterna: Run, reader: dict[str, Any], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for technique in TECHNIQUES:
        monkeypatch.setattr(technique, "run", less(technique.run))
    for name in ("projected_gradient_descent_linf", "carlini_wagner_l2"):
        monkeypatch.setattr(attacks, name, functools.partial(getattr(attacks, name), steps=1))
    names: dict[str, Any] = dict(reader)
    for number, block in enumerate(blocks(page)):
        if block.language in ("sh", "") and page == "docs/autoencode.md" and block.mark is None:
            for command in block.commands:
                assert lanterna(*smaller(command), "--quiet").code == 0
        if block.language == "python" and block.mark != "not run":
            # A function that ends a run may print nothing, and neither may the library.
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(block.text, f"{page}, block {number}", "exec"), names)
            assert printed.getvalue() == ""


def test_what_is_not_run_says_why() -> None:
    """A new entry here is a block that nobody checks: is there no other way?"""
    marked = [(page, block.said) for page in PAGES for block in blocks(page) if block.mark == "not run"]
    assert marked == [
        ("docs/own-network.md", "needs weights of yours"),
        ("docs/own-network.md", "needs a download"),
    ]


def test_the_pages_have_what_is_run() -> None:
    commands = {command[0] for page in PAGES for block in blocks(page) for command in block.commands}
    assert commands >= set(COMMANDS)


def test_other_commands_name_what_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for block in blocks(page):
            for line in block.text.splitlines():
                for target in re.findall(r"^make (\w+)", line):
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page, line)
                for script in re.findall(r"python (benchmarks/\w+\.py)", line):
                    assert (ROOT / script).is_file(), (page, line)


def test_the_version_in_the_changes_is_the_package() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {package.__version__}" in changes
