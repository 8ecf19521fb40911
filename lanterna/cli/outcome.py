"""How a command ends: its pictures in files, its numbers for a machine or a person, its exit code."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.cli.console import print_json
from lanterna.errors import InputError

__all__ = ["save_sheet", "tell"]


def save_sheet(
    sheet: Callable[[], Tensor],
    pictures: Sequence[Tensor] | Tensor,
    out: Path,
    record: dict[str, Any],
    *,
    singles: bool,
    single: int | None = None,
) -> list[Path]:
    """Write the sheet to `out` with its `record`, and with `singles` each of its `pictures` beside it; gives the files.

    With `single` only the picture of that number is written, to `out`; the record of one picture has its number as `single`.
    `sheet` is not called for that: to draw one takes time. Raises PictureError where a file can't be written.
    """
    if single is not None:
        if single >= len(pictures):
            raise InputError(f"the record is of picture {single}, counted from 0, and its recipe makes {len(pictures)}")
        return [pictures_io.save(pictures[single], out, recipe={**record, "single": single})]
    files = [pictures_io.save(sheet(), out, recipe=record)]
    if singles:
        for i, picture in enumerate(pictures):
            beside = out.with_name(f"{out.stem}-{i:03d}{out.suffix}")
            files.append(pictures_io.save(picture, beside, recipe={**record, "single": i}))
    return files


def tell(
    record: Mapping[str, Any],
    numbers: Mapping[str, Any],
    files: Sequence[Path],
    report: Callable[[], None],
    *,
    as_json: bool,
    stopped: bool,
) -> int:
    """Print one JSON object, or call `report`, which prints for a person; gives the exit code, 130 where it was stopped."""
    if as_json:
        print_json({"recipe": record, "outputs": [str(file) for file in files], **numbers})
    else:
        report()
    return 130 if stopped else 0
