"""`autoencode`: a compact description of a data set, and what it shows."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna import pictures
from lanterna.autoencode.experiments import EXPERIMENTS
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.run import Autoencoded, run
from lanterna.autoencode.variants import Variant
from lanterna.cli.console import results, watching
from lanterna.cli.options import Common, FromFile, field_help, make_recipe
from lanterna.cli.outcome import tell
from lanterna.errors import InputError, UnknownNameError
from lanterna.files import new_folder, write_json
from lanterna.provenance import describe
from lanterna.report.autoencode import page
from lanterna.report.page import check_folder, write_page

__all__ = ["again", "autoencode"]


def _help(field: str) -> str:
    return field_help(AutoencodeRecipe, field)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--code {text!r} is no list of sizes; give numbers with commas, such as 2,8,32,128") from error


def autoencode(
    *,
    data: Annotated[str | None, Parameter(help=_help("data"))] = None,
    model: Annotated[Variant | None, Parameter(help=_help("model"))] = None,
    code: Annotated[str | None, Parameter(help="sizes of the code, with commas [2,8,32,128]")] = None,
    epochs: Annotated[int | None, Parameter(help=_help("epochs"))] = None,
    patience: Annotated[int | None, Parameter(help=_help("patience"))] = None,
    batch: Annotated[int | None, Parameter(help=_help("batch"))] = None,
    lr: Annotated[float | None, Parameter(help=_help("lr"))] = None,
    augment: Annotated[float | None, Parameter(help=_help("augment"))] = None,
    kl_weight: Annotated[float | None, Parameter(help=_help("kl_weight"))] = None,
    noise: Annotated[float | None, Parameter(help=_help("noise"))] = None,
    side: Annotated[int | None, Parameter(help=_help("side"))] = None,
    most: Annotated[int | None, Parameter(help=_help("most"))] = None,
    repeats: Annotated[int | None, Parameter(help=_help("repeats"))] = None,
    parts: Annotated[str | None, Parameter(help=str(AutoencodeRecipe.model_fields["parts"].description))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    file: FromFile | None = None,
    out: Annotated[Path, Parameter(help="the folder for models, figures, numbers and the page")] = Path("autoencode"),
    common: Common | None = None,
) -> int:
    """Train autoencoders, judge them on held-out pictures, and show what they keep and lose: one page.

    Example: lanterna autoencode --data mnist_5k --code 2,32 --parts lossy
    """
    common = common or Common()
    fields: dict[str, Any] = {
        "data": data, "model": model, "code": _sizes(code), "epochs": epochs, "patience": patience, "batch": batch, "lr": lr,
        "augment": augment, "kl_weight": kl_weight, "noise": noise, "side": side, "most": most, "repeats": repeats,
        "parts": None if parts is None else tuple(part.strip() for part in parts.split(",")), "seed": seed,
    }  # fmt: skip
    chosen = make_recipe(AutoencodeRecipe, file, fields)
    check_folder(out)
    common.apply_on_cpu("autoencode")
    made = _run(chosen, common)
    record, numbers = describe(chosen, None, {}), made.numbers()
    with new_folder(out):
        files = _write(made, record, numbers, out)
    return _tell(made, record, numbers, files, common)


def _run(recipe: AutoencodeRecipe, common: Common) -> Autoencoded:
    with watching("autoencode", quiet=common.quiet, share=True) as listen:
        return run(recipe, listen)


def again(
    recipe: AutoencodeRecipe, _net: None, common: Common, out: Path, _options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make one figure again from its `record`; models come from the cache where they are there."""
    part, name = str(record.get("part", "")), str(record.get("figure", ""))
    if part not in EXPERIMENTS:
        raise UnknownNameError("part", part, EXPERIMENTS)
    made = _run(recipe.model_copy(update={"parts": (part,)}), common)
    figures = {figure.name: figure for one in made.parts for figure in one.figures}
    if name not in figures and not made.stopped:
        raise UnknownNameError("figure", name, figures)
    files = [pictures.save(figures[name].picture, out, recipe=record)] if name in figures else []
    return _tell(made, record, made.numbers(), files, common)


def _tell(made: Autoencoded, record: dict[str, Any], numbers: dict[str, Any], files: list[Path], common: Common) -> int:
    return tell(record, numbers, files, partial(_report, made, files), as_json=common.json, stopped=made.stopped)


def _write(made: Autoencoded, record: dict[str, Any], numbers: dict[str, Any], out: Path) -> list[Path]:
    files = [model.save(out / f"{model.variant}-{code}.safetensors") for code, model in made.models.items()]
    for part in made.parts:
        files += [
            pictures.save(
                figure.picture,
                out / f"{figure.name}.png",
                recipe={**record, "part": part.name, "figure": figure.name},
            )
            for figure in part.figures
        ]
    files.append(write_json(out / "numbers.json", {"recipe": record, **numbers}))
    files.append(out / "index.html")
    write_page(files[-1], page(made))
    return files


def _report(made: Autoencoded, files: list[Path]) -> None:
    for note in (*made.split.notes, *made.missing):
        results.print(note, markup=False)
    for part in made.parts:
        results.print(part.title, style="bold", markup=False)
        for row in part.table:
            results.print("  " + "  ".join(cell.rjust(14) for cell in row), markup=False)
        for sentence in part.says:
            results.print(f"  {sentence}", markup=False)
    for file in files[-1:]:
        results.print(str(file), markup=False)
