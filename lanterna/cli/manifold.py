"""`manifold`: two classifiers on the same data, and where the data lives."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna import pictures as pictures_io
from lanterna.cli.console import results, watching
from lanterna.cli.options import Common, FromFile, field_help, make_recipe
from lanterna.cli.outcome import tell
from lanterna.errors import UnknownNameError
from lanterna.files import new_folder, write_json
from lanterna.provenance import describe
from lanterna.report.manifold import manifold_page
from lanterna.report.page import check_folder
from lanterna.techniques.manifold import FIGURES, Manifold, ManifoldRecipe, run

__all__ = ["again", "manifold"]


def _help(field: str) -> str:
    return field_help(ManifoldRecipe, field)


def manifold(
    *,
    data: Annotated[str | None, Parameter(help=_help("data"))] = None,
    pictures: Annotated[int | None, Parameter(help=_help("pictures"))] = None,
    fit: Annotated[bool | None, Parameter(negative=(), help=_help("fit"))] = None,
    seeds: Annotated[int | None, Parameter(help=_help("seeds"))] = None,
    classifier_steps: Annotated[int | None, Parameter(help=_help("classifier_steps"))] = None,
    density_steps: Annotated[int | None, Parameter(help=_help("density_steps"))] = None,
    noise: Annotated[int | None, Parameter(help=_help("noise"))] = None,
    each: Annotated[int | None, Parameter(help=_help("each"))] = None,
    plane: Annotated[int | None, Parameter(help=_help("plane"))] = None,
    attacked: Annotated[int | None, Parameter(help=_help("attacked"))] = None,
    attack_steps: Annotated[int | None, Parameter(help=_help("attack_steps"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    out: Annotated[Path, Parameter(help="the folder for page, figures and numbers")] = Path("manifold"),
    file: FromFile | None = None,
    common: Common | None = None,
) -> int:
    """Why classifiers are easily fooled, and what a generative one does better: figures, numbers, one page.

    Example: lanterna manifold --data mnist_5k --out manifold
    """
    common = common or Common()
    fields: dict[str, Any] = {
        "data": data, "pictures": pictures, "fit": fit, "seeds": seeds, "classifier_steps": classifier_steps,
        "density_steps": density_steps, "noise": noise, "each": each, "plane": plane, "attacked": attacked,
        "attack_steps": attack_steps, "seed": seed,
    }  # fmt: skip
    chosen = make_recipe(ManifoldRecipe, file, fields)
    check_folder(out)
    common.apply_on_cpu("manifold")
    made = _run(chosen, common)
    record = describe(chosen, None, {})
    drawn = {name: made.figure(name) for name in FIGURES}
    numbers = _numbers(made)
    with new_folder(out):
        files = [
            pictures_io.save(picture, out / f"{number + 1}-{name}.png", recipe={**record, "figure": name})
            for number, (name, picture) in enumerate(drawn.items())
        ]
        written = write_json(out / "manifold.json", {"recipe": record, **numbers})
        manifold_page(made, out / "index.html", drawn)
    return _tell(made, record, numbers, [out / "index.html", written, *files], common)


def _run(recipe: ManifoldRecipe, common: Common) -> Manifold:
    with watching("manifold", quiet=common.quiet, share=True) as listen:
        return run(recipe, listen)


def again(
    recipe: ManifoldRecipe, _net: None, common: Common, out: Path, _options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make one figure again from its `record`; what was trained comes from the cache where it is there."""
    name = str(record.get("figure", ""))
    if name not in FIGURES:
        raise UnknownNameError("figure", name, FIGURES)
    made = _run(recipe, common)
    file = pictures_io.save(made.figure(name), out, recipe=record)
    return _tell(made, record, _numbers(made), [file], common)


def _numbers(made: Manifold) -> dict[str, Any]:
    return {
        "data": made.data.name,
        "pictures": len(made.data.pictures),
        "classes": list(made.data.classes),
        "from_cache": [study.from_cache for study in made.studies],
        "seeds": [study.seed for study in made.studies],
        **made.numbers(),
        "notes": list(made.notes),
        "stopped": made.stopped,
    }


def _tell(made: Manifold, record: dict[str, Any], numbers: dict[str, Any], files: list[Path], common: Common) -> int:
    report = partial(_report, made, numbers, files)
    return tell(record, numbers, files, report, as_json=common.json, stopped=made.stopped)


def _report(made: Manifold, numbers: dict[str, Any], files: list[Path]) -> None:
    for note in made.notes:
        results.print(note, markup=False)
    accuracy, robust = numbers["accuracy"], numbers["robustness"]
    for name in ("discriminative", "generative"):
        distance = robust[name]["l2_median"]["mean"]
        moved = "no error within reach" if distance is None else f"first error at L2 {distance:.2f}"
        results.print(f"{name}: {accuracy[name]['mean']:.1%} right, {moved}", markup=False)
    for file in files:
        results.print(str(file), markup=False)
