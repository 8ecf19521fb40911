"""Pictures for autoencoders: one size and mode, split once into training and held out; stand-ins for other kinds of data."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna import data as data_sets
from lanterna import pictures as pictures_io
from lanterna.data import Dataset
from lanterna.errors import InputError, MissingError, PictureError
from lanterna.wording import counted

__all__ = ["OTHERS", "Classed", "Split", "glyphs", "mean_picture_mse", "natural_patches", "noise", "open_split", "other"]

LARGEST = 5000
LEAST = 8
_PATCHES = 4000


def mean_picture_mse(train: Tensor, held_out: Tensor) -> float:
    """The error a pixel of answering with the mean picture of `train`, on `held_out`: what no description at all costs."""
    return float((held_out - train.mean(0)).square().mean())


@dataclass(frozen=True)
class Classed:
    """The pictures (N, C, S, S) of a split that have a class, and their labels (N,), which are places in `classes`."""

    train: Tensor
    train_labels: Tensor
    held_out: Tensor
    held_out_labels: Tensor
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """`train` and `held_out`, (N, C, S, S) in [0, 1]; labels where there are classes, -1 for none; `notes` in words.

    Patches are split by the picture they are from: neighbours of a training patch are not new.
    """

    name: str
    train: Tensor
    held_out: Tensor
    train_labels: Tensor | None = None
    held_out_labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def pixels(self) -> int:
        """Numbers in one picture."""
        return self.train[0].numel()

    @cached_property
    def classed(self) -> Classed | None:
        """The pictures that have a class; None where there are no two classes to learn, or none held out to judge by."""
        if self.train_labels is None or self.held_out_labels is None or len(self.classes) < 2:
            return None
        known, judged = self.train_labels >= 0, self.held_out_labels >= 0
        if len(self.train_labels[known].unique()) < 2 or not bool(judged.any()):
            return None
        return Classed(
            self.train[known], self.train_labels[known], self.held_out[judged], self.held_out_labels[judged], self.classes
        )

    @cached_property
    def mean_mse(self) -> float:
        """The held-out error of the mean training picture."""
        return mean_picture_mse(self.train, self.held_out)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the pixels."""
        found = hashlib.sha256()
        for part in (self.train, self.held_out):
            found.update((part * 255).round().to(torch.uint8).contiguous().numpy().data)
        return found.hexdigest()


def open_split(spec: str, *, side: int = 32, share: float = 0.2, most: int = LARGEST, seed: int = 0) -> Split:
    """The data named `spec`, split by `seed`: `patches`, or whatever `lanterna.data.load` opens.

    28 px grey data stays as it is; everything else becomes `side` x `side` colour, cropped to a square in its middle. Raises
    InputError where fewer than 8 pictures can be read.
    """
    generator = torch.Generator().manual_seed(seed)
    if spec == "patches":
        return _patch_split(side, share, most, generator)
    dataset = data_sets.load(spec)
    order = torch.randperm(len(dataset), generator=generator).tolist()[:most]
    pixels, kept, notes = _same_size(dataset, order, side)
    if len(pixels) < LEAST:
        raise InputError(
            f"{spec} has {counted(len(pixels), 'picture')} to be read; an autoencoder needs {LEAST} or more" + _told(notes)
        )
    labels = None if dataset.labels is None else torch.tensor([dataset.labels[index] for index in kept])
    out = max(round(len(pixels) * share), 1)
    cut = len(pixels) - out
    return Split(
        spec,
        pixels[:cut],
        pixels[cut:],
        None if labels is None else labels[:cut],
        None if labels is None else labels[cut:],
        dataset.classes,
        (*dataset.notes, *notes),
    )


def _told(notes: list[str]) -> str:
    return f" ({notes[0]})" if notes else ""


def _same_size(dataset: Dataset, order: list[int], side: int) -> tuple[Tensor, list[int], list[str]]:
    first: Tensor | None = None
    found: list[Tensor] = []
    kept: list[int] = []
    notes: list[str] = []
    for index in order:
        try:
            picture = dataset.read(index, at_least=side)
        except PictureError as error:
            notes.append(f"left out: {error}")
            continue
        if first is None:
            first = picture
        # Digits and clothes are what they are; all else is brought to one size and mode.
        same = first.shape[1:] == (1, 28, 28) and picture.shape == first.shape
        found.append(picture if same else _square(picture, side))
        kept.append(index)
    if len({picture.shape for picture in found}) > 1:
        found = [_square(picture, side) for picture in found]
    return (torch.cat(found) if found else torch.zeros(0, 3, side, side)), kept, notes


def _square(picture: Tensor, side: int) -> Tensor:
    """The middle of a picture as (1, 3, side, side)."""
    height, width = picture.shape[2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    middle = picture[:, :, top : top + short, left : left + short].expand(-1, 3, -1, -1)
    if short == side:
        return middle.clone()
    return F.interpolate(middle, (side, side), mode="bicubic", antialias=short > side, align_corners=False).clamp(0, 1)


def _patch_split(side: int, share: float, most: int, generator: torch.Generator) -> Split:
    names = sorted(pictures_io.samples())
    order = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
    cut = max(round(len(order) * share), 1)
    count = min(most, _PATCHES)
    held = round(count * share)
    return Split(
        "patches",
        natural_patches(count - held, side, generator, names=order[cut:]),
        natural_patches(held, side, generator, names=order[:cut]),
        notes=(f"held-out patches are from {', '.join(order[:cut])}, which training never saw",),
    )


def natural_patches(
    count: int, side: int, generator: torch.Generator, *, channels: int = 3, names: list[str] | None = None
) -> Tensor:
    """Square pieces of the sample pictures, twice as large and reduced: (count, channels, side, side)."""
    chosen = names or sorted(pictures_io.samples())
    per = -(-count // len(chosen))
    found: list[Tensor] = []
    for name in chosen:
        picture = pictures_io.load(pictures_io.sample(name))
        half = F.interpolate(picture, scale_factor=0.5, mode="bilinear", antialias=True, align_corners=False)
        tops = torch.randint(half.shape[2] - side + 1, (per,), generator=generator).tolist()
        lefts = torch.randint(half.shape[3] - side + 1, (per,), generator=generator).tolist()
        found += [half[:, :, top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)]
    pixels = torch.cat(found)[torch.randperm(len(found), generator=generator)[:count]].clamp(0, 1)
    return pixels.mean(1, keepdim=True) if channels == 1 else pixels


def noise(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Every pixel uniform in [0, 1], by itself: (count, *shape)."""
    return torch.rand((count, *shape), generator=generator)


def glyphs(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Letters out of the fonts that come with matplotlib, white on black, centred: (count, 1, side, side)."""
    import matplotlib
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabdefghkmnpqrtuy"
    made: list[Tensor] = []
    for _ in range(count):
        pick = torch.randint(1 << 30, (3,), generator=generator).tolist()
        font = ImageFont.truetype(str(fonts[pick[0] % len(fonts)]), round(side * (0.6 + 0.2 * (pick[2] % 97) / 97)))
        image = Image.new("L", (side, side), 0)
        ImageDraw.Draw(image).text((side / 2, side / 2), letters[pick[1] % len(letters)], fill=255, font=font, anchor="mm")
        made.append(torch.from_numpy(np.array(image)).float()[None, None] / 255)
    return torch.cat(made)


def _drawn(spec: str, count: int, side: int, generator: torch.Generator) -> Tensor:
    dataset = data_sets.load(spec, download=False)
    order = torch.randperm(len(dataset), generator=generator)[:count].tolist()
    return F.interpolate(dataset.pictures(order), (side, side), mode="bilinear", antialias=True, align_corners=False)


OTHERS: dict[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "digits": partial(_drawn, "mnist_5k"),
    "clothes": partial(_drawn, "fashion_mnist"),
    "glyphs": glyphs,
    "natural patches": lambda count, side, generator: natural_patches(count, side, generator, channels=1),
    "noise": lambda count, side, generator: noise(count, (1, side, side), generator),
}


def other(name: str, count: int, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor | None:
    """Pictures of another kind by name, in this shape; None for what is not on this machine."""
    try:
        made = OTHERS[name](count, shape[1], generator)
    except MissingError:
        return None
    return made.expand(-1, shape[0], -1, -1)
