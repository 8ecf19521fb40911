"""The full runs of `manifold` and `autoencode`, kept in the package, so that a page shows them without training.

Each study has three files here: numbers (JSON), the pictures of its figures (one PNG), arrays and weights (safetensors).
`scripts/studies.py` makes them; README.md says what they hold and under which licences.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from lanterna.files import replace_file, write_json
from lanterna.pictures import from_array

__all__ = ["Stored", "eight_bits", "store", "stored"]

_SIDE, _COLUMNS = 28, 40
# Matrices with fewer numbers are kept as they are: they take little room.
_LARGE = 20_000
_SCALE = ".scale"


@dataclass(frozen=True)
class Stored:
    """`about` is what the JSON says; `pictures` (N, 1, 28, 28) in [0, 1] of 8 bits, and `tensors`, by name."""

    about: Mapping[str, Any]
    pictures: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor]

    def state(self, model: str) -> dict[str, Tensor]:
        """The weights of a model that was stored by `eight_bits`, as `load_state_dict` takes them."""
        own = {name.removeprefix(f"{model}."): value for name, value in self.tensors.items() if name.startswith(f"{model}.")}
        return {
            name: value * own[name + _SCALE] if name + _SCALE in own else value
            for name, value in own.items()
            if not name.endswith(_SCALE)
        }


def eight_bits(model: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model for `store`: large matrices as 8-bit integers, with a scale for each row."""
    found = {}
    for name, value in state.items():
        if value.ndim in (2, 3) and value.numel() >= _LARGE:
            scale = value.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
            found[f"{model}.{name}{_SCALE}"] = scale
            value = (value / scale).round().to(torch.int8)
        found[f"{model}.{name}"] = value.contiguous()
    return found


def store(
    name: str, folder: Path, about: Mapping[str, Any], pictures: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Write a study's three files into `folder`; `pictures` are rounded to 8 bits."""
    counts = {title: len(some) for title, some in pictures.items()}
    write_json(folder / f"{name}.json", {**about, "pictures": counts})
    replace_file(folder / f"{name}.png", [_mosaic(torch.cat(list(pictures.values())))])
    # Copies: two names may share one tensor, which the format refuses.
    apart = {title: value.clone().contiguous() for title, value in tensors.items()}
    replace_file(folder / f"{name}.safetensors", [to_bytes(apart)])


def stored(name: str, folder: Path | None = None) -> Stored:
    """The study of that name; from `folder` where it is not that of the package."""
    place = resources.files("lanterna").joinpath("studies") if folder is None else folder
    about = json.loads(place.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    counts: dict[str, int] = about["pictures"]
    with Image.open(io.BytesIO(place.joinpath(f"{name}.png").read_bytes())) as mosaic:
        whole = from_array(mosaic)[0, :1]
    cells = whole.unfold(1, _SIDE, _SIDE).unfold(2, _SIDE, _SIDE).flatten(1, 2).transpose(0, 1)
    pictures = dict(zip(counts, cells[: sum(counts.values())].split(list(counts.values())), strict=True))
    return Stored(about, pictures, from_bytes(place.joinpath(f"{name}.safetensors").read_bytes()))


def _mosaic(pictures: Tensor) -> bytes:
    """A PNG of `pictures`, row by row; the last row is filled with black."""
    rows = -(-len(pictures) // _COLUMNS)
    filled = torch.cat([pictures, pictures.new_zeros(rows * _COLUMNS - len(pictures), 1, _SIDE, _SIDE)])
    grid = filled.view(rows, _COLUMNS, _SIDE, _SIDE).transpose(1, 2).reshape(rows * _SIDE, _COLUMNS * _SIDE)
    buffer = io.BytesIO()
    Image.fromarray((grid.clamp(0, 1) * 255).round().to(torch.uint8).numpy()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
