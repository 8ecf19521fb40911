"""Contact sheets of style transfer: photographs by paintings, for candidates of the default, to be judged by eye.

    python benchmarks/style_sheet.py --photographs photos/*.jpg --paintings paintings/*.jpg --out sheets \
        --candidates "vgg16_hed" "efficientnet_lite0 content_weight=0.004"

A candidate is a network and fields of the recipe. Each picture is kept in a file of its own and not made again, so a run
that was stopped goes on. Each candidate gets a sheet: the paintings above, one row for each photograph.
With --in-turn each photograph is painted once, in the next of the paintings, and one sheet has all candidates side by side.
"""

import argparse
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import torch
from PIL import Image

import lanterna
from lanterna.networks.network import Network
from lanterna.techniques.style_recipe import StylizeRecipe
from lanterna.techniques.stylize import run


def fields_of(candidate: str) -> tuple[str, dict[str, str]]:
    """The network and the recipe's fields of a candidate such as "vgg16_hed content_weight=0.001 steps=60"."""
    network, *fields = candidate.split()
    return network, dict(field.split("=", 1) for field in fields)


def painted(network: Network, fields: dict[str, str], photograph: Path, painting: Path, size: int, folder: Path) -> Path:
    """The file in `folder` with the picture of the pair, made unless it is there."""
    file = folder / f"{photograph.stem}--{painting.stem}.png"
    if not file.exists():
        # Fields are text here, as in a form; the recipe's own types read them.
        recipe = StylizeRecipe.model_validate(
            {"size": str(size), **fields, "content": str(photograph), "styles": (str(painting),)}, strict=False
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        lanterna.pictures.save(run(recipe, network).picture, file)
        print(file, flush=True)
    return file


def tile(file: Path, side: int) -> Image.Image:
    """The picture in the middle of a square of `side` pixels."""
    square = Image.new("RGB", (side, side), "white")
    picture = Image.open(file).convert("RGB")
    picture.thumbnail((side - 4, side - 4), Image.Resampling.LANCZOS)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def sheet(rows: Sequence[Sequence[Path | None]], side: int) -> Image.Image:
    """The pictures in rows; None is an empty place."""
    whole = Image.new("RGB", (side * max(map(len, rows)), side * len(rows)), "white")
    for i, row in enumerate(rows):
        for j, file in enumerate(row):
            if file is not None:
                whole.paste(tile(file, side), (j * side, i * side))
    return whole


def main() -> None:
    """Makes the pictures and the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", nargs="+", type=Path, required=True)
    parser.add_argument("--paintings", nargs="+", type=Path, required=True)
    parser.add_argument("--candidates", nargs="+", default=["efficientnet_lite0"], metavar="'NETWORK FIELD=VALUE ...'")
    parser.add_argument("--size", type=int, default=256, help="longer side in pixels")
    parser.add_argument("--side", type=int, default=180, help="pixels of a picture on the sheet")
    parser.add_argument("--in-turn", action="store_true", help="each photograph in one painting; candidates side by side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("sheets"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pairs = [(photograph, painting) for photograph in options.photographs for painting in options.paintings]
    if options.in_turn:
        pairs = list(zip(options.photographs, cycle(options.paintings), strict=False))
    made: dict[str, list[Path]] = {}
    for candidate in options.candidates:
        name, fields = fields_of(candidate)
        network = lanterna.load(name)
        folder = options.out / f"{candidate.replace(' ', '-').replace(':', '-')}-{options.size}"
        made[candidate] = [painted(network, fields, *pair, options.size, folder) for pair in pairs]
        if not options.in_turn:
            columns = len(options.paintings)
            rows: list[list[Path | None]] = [[None, *options.paintings]]
            for i, photograph in enumerate(options.photographs):
                rows.append([photograph, *made[candidate][i * columns : (i + 1) * columns]])
            sheet(rows, options.side).save(f"{folder}.jpg", quality=88)
    if options.in_turn:
        turns = [[*pair, *(made[candidate][i] for candidate in options.candidates)] for i, pair in enumerate(pairs)]
        sheet(turns, options.side).save(options.out / f"in-turn-{options.size}.jpg", quality=88)


if __name__ == "__main__":
    main()
