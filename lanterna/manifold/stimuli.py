"""Pictures that are none of the data: letters and marks from fonts, patches of photographs, and noise of several kinds."""

from pathlib import Path

import matplotlib
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lanterna import data as data_sets
from lanterna.errors import InputError
from lanterna.manifold.sets import SIDE, grey
from lanterna.pictures import from_array

__all__ = [
    "LETTERS",
    "MARKS",
    "glyphs",
    "marginal_noise",
    "natural_patches",
    "noise",
    "phase_scrambled",
    "pixel_shuffled",
]

# Without those that could pass for a digit: b, B, g, i, I, j, l, O, o, q, s, S, Z, z and the like.
LETTERS = "ACEFGHJKMNPRTUVWXYacdefhkmnpruvwxy"
MARKS = ".,:;'-~^*+"
_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-BoldItalic",
    "cmss10",
    "cmti10",
)
# MNIST fits its digits into 20 px; drawn four times as large, so that edges come out as smooth as there.
_BOX, _FINER = 20, 4


def glyphs(characters: str, count: int, generator: torch.Generator, *, fill: bool) -> Tensor:
    """White characters on black out of matplotlib's fonts, (count, 1, 28, 28); `fill` scales each to 20 px."""
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = [folder / f"{name}.ttf" for name in _FONTS]
    found = []
    for choice in torch.randint(len(characters) * len(fonts), (count,), generator=generator).tolist():
        character, font = characters[choice % len(characters)], fonts[choice // len(characters)]
        found.append(_glyph(character, font, fill))
    return torch.cat(found)


def _glyph(character: str, file: Path, fill: bool) -> Tensor:
    size = _BOX * _FINER
    font = ImageFont.truetype(str(file), size)
    left, top, right, bottom = font.getbbox(character)
    if fill:
        font = ImageFont.truetype(str(file), round(size * size / max(right - left, bottom - top)))
        left, top, right, bottom = font.getbbox(character)
    whole = SIDE * _FINER
    image = Image.new("L", (whole, whole))
    place = ((whole - (right - left)) / 2 - left, (whole - (bottom - top)) / 2 - top)
    ImageDraw.Draw(image).text(place, character, fill=255, font=font)
    return F.avg_pool2d(from_array(image)[:, :1], _FINER)


def natural_patches(count: int, generator: torch.Generator) -> Tensor:
    """Squares out of the sample photographs, of 28 px to the whole height, reduced to 28 px: (count, 1, 28, 28).

    Grey is the mean of the channels. Raises InputError where no sample picture is installed.
    """
    samples = data_sets.load("samples")
    if not len(samples):
        raise InputError("no sample pictures are installed; `lanterna doctor` says what is missing")
    found = []
    for number in range(len(samples)):
        picture = samples.read(number)
        mean = picture.mean(1, keepdim=True)
        height, width = mean.shape[2:]
        share = count // len(samples) + (number < count % len(samples))
        for _ in range(share):
            first, second, third = torch.rand(3, generator=generator).tolist()
            side = round(SIDE * (min(height, width) / SIDE) ** first)
            top, left = round(second * (height - side)), round(third * (width - side))
            found.append(grey(mean[:, :, top : top + side, left : left + side]))
    return torch.cat(found)


def noise(count: int, generator: torch.Generator) -> Tensor:
    """Every pixel uniform in [0, 1] on its own: (count, 1, 28, 28)."""
    return torch.rand(count, 1, SIDE, SIDE, generator=generator)


def marginal_noise(pictures: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Every pixel from its own distribution in `pictures` (N, 1, 28, 28), on its own: noise that comes nearest to them."""
    chosen = torch.randint(len(pictures), (count, 1, *pictures.shape[2:]), generator=generator)
    return pictures.gather(0, chosen)


def phase_scrambled(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """The magnitude of every frequency kept, its phase random; clipped to [0, 1]. Like (B, 1, H, W)."""
    spectrum = torch.fft.rfft2(pictures)
    # The phase of real noise, so that the result is real; the mean stays.
    random = torch.fft.rfft2(torch.randn(pictures.shape, generator=generator))
    turned = spectrum.abs() * random / random.abs().clamp(min=1e-12)
    turned[..., 0, 0] = spectrum[..., 0, 0]
    back: Tensor = torch.fft.irfft2(turned, s=pictures.shape[2:])
    return back.clamp(0, 1)


def pixel_shuffled(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """The pixels of each picture in a random order of its own, channels mixed with them. Like (B, C, H, W)."""
    order = torch.rand(pictures.flatten(1).shape, generator=generator).argsort(1)
    return pictures.flatten(1).gather(1, order).view_as(pictures)
