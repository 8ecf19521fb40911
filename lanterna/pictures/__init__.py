"""Image in, image out: load, save with its recipe, contact sheets, sample pictures.

A picture is a float32 tensor (1, 3, H, W), sRGB in [0, 1].
"""

from lanterna.pictures.bars import bars
from lanterna.pictures.inline import to_html
from lanterna.pictures.read import digest, fitted, from_array, load, samples_at, to_pil
from lanterna.pictures.samples import sample, samples
from lanterna.pictures.sheet import sheet
from lanterna.pictures.write import check_writable, read_recipe, save, to_jpeg_bytes, to_png_bytes, to_webp_bytes

__all__ = [
    "bars",
    "check_writable",
    "digest",
    "fitted",
    "from_array",
    "load",
    "read_recipe",
    "sample",
    "samples",
    "samples_at",
    "save",
    "sheet",
    "to_html",
    "to_jpeg_bytes",
    "to_pil",
    "to_png_bytes",
    "to_webp_bytes",
]
