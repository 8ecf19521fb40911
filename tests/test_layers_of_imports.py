"""Imports point one way: what a part may use is below it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lanterna"

# From below to above: files and folders of the package. What stands in one line may use each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("wording",),
    ("errors", "files"),
    ("samples",),
    ("events", "pictures"),
    ("progress", "recipe", "tour_recipe"),
    ("networks",),
    ("provenance", "data", "studies"),
    ("outside", "bounds"),
    # The loop and its nouns.
    ("canvas", "objectives", "priors", "jitter", "ascent", "lbfgs", "averaged", "normalized", "moments", "histograms",
     "summaries", "tiles", "cppn", "warmed", "momentum", "motion"),
    # What techniques are made of.
    ("attacks", "patterns"),
    ("manifold", "autoencode"),
    ("techniques",),
    ("report",),
    ("cli",),
)  # fmt: skip
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# `network.visualize(...)` and its like are shorter ways to call what is above; they import it when they are called.
SHORTCUTS = {("lanterna.networks.network", "techniques")}


@dataclass(frozen=True)
class Import:
    """`module` imports `target`; `deferred` where it does so only inside a function."""

    module: str
    target: str
    deferred: bool

    @property
    def parts(self) -> tuple[str, str]:
        return part_of(self.module), part_of(self.target)


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def statements(node: ast.AST, deferred: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import that can happen when the program runs, and whether it waits for a call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, deferred
        else:
            yield from statements(child, deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def imports_of(module: str) -> Iterator[Import]:
    for statement, deferred in statements(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        else:
            assert statement.level == 0, f"{module} has a relative import"
            inner = [f"{statement.module}.{alias.name}" for alias in statement.names]
            names = [name if name in MODULES else str(statement.module) for name in inner]
        yield from (Import(module, name, deferred) for name in names if name.split(".")[0] == "lanterna")


IMPORTS = [found for module in MODULES if module != "lanterna" for found in imports_of(module)]


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module in MODULES} - {""} == set(LEVEL)


def test_imports_point_one_way() -> None:
    wrong = []
    for one in IMPORTS:
        part, used = one.parts
        if used and part != used and LEVEL[used] > LEVEL[part] and not (one.deferred and (one.module, used) in SHORTCUTS):
            wrong.append(f"{one.module} uses {one.target}")
    assert not wrong


def test_the_shortcuts_are_needed() -> None:
    assert {(one.module, one.parts[1]) for one in IMPORTS if one.deferred} >= SHORTCUTS


def test_no_two_files_need_each_other() -> None:
    needs: dict[str, set[str]] = {}
    for one in IMPORTS:
        # A package's own list of names is not a part of what is in it.
        if not one.deferred and one.target != "lanterna" and not one.module.startswith(f"{one.target}."):
            needs.setdefault(one.module, set()).add(one.target)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_file_makes_you_scroll_for_long() -> None:
    for folder in ("lanterna", "tests", "benchmarks", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.relative_to(ROOT)
