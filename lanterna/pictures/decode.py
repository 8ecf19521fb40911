"""From the bytes of a file to floats: every mode, profile and orientation a file can have, and every way it can be broken."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from lanterna.errors import PictureError

__all__ = ["DECODER_ERRORS", "MOST_BYTES", "MOST_KEPT", "MOST_PIXELS", "opened", "to_floats"]

Floats = NDArray[np.float32]

# Named one by one: Pillow would also hand PostScript to Ghostscript, and take random bytes for a TGA, which has no signature.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO", "PSD", "PCX", "QOI")
_READABLE = "PNG, JPEG, WebP, GIF, TIFF, BMP and the like can be read"
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")

# What Pillow's decoders have been seen to raise for damaged files.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError)

_TIFF_PHOTOMETRIC = 262
_JPEG_SCAN = b"\xff\xda"
# Progressive pictures have about ten, and their thumbnails some more.
_MOST_SCANS = 100
_EXIF_ORIENTATION = 0x0112


# More may be a decompression bomb. With opacity each takes 9 bytes until it is halved, 0.6 GB in all; the largest sensors of
# ordinary cameras have 61 million.
MOST_PIXELS = 64_000_000
# Pixels that are kept as floats. While they are read each takes 20 bytes, half a gigabyte in all.
MOST_KEPT = 25 << 20
# Of a file: a picture of 50 million pixels without compression, with opacity, has 200 million.
MOST_BYTES = 256 << 20


@contextmanager
def opened(content: bytes | BinaryIO, name: str, formats: Sequence[str] = _FORMATS) -> Iterator[Image.Image]:
    """Opens a picture, its bytes or its file; every failure, also of decoding inside the block, is a PictureError.

    `formats` are those of Pillow's that it may have.
    """
    if not content:
        raise PictureError(f"picture {name!r} is an empty file")
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    Image.init()
    known = [name for name in formats if name in Image.OPEN]
    # Local to the block: a damaged file is told by our own error, and Pillow only warns up to twice its limit.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(stream, formats=known) as image:
                _check_pixels(image, name)
                if image.format == "JPEG":
                    _check_scans(stream, name)
                yield image
        except PictureError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise PictureError(_too_large(str(error), name)) from error
        except UnidentifiedImageError as error:
            stream.seek(0)
            start = stream.read(4)
            if not start:
                raise PictureError(f"picture {name!r} is an empty file") from error
            if start.startswith(_SIGNATURES):
                raise PictureError(f"picture {name!r} is truncated or damaged: it ends within its header") from error
            raise PictureError(f"{name!r} is not a picture; {_READABLE}") from error
        except DECODER_ERRORS as error:
            raise PictureError(f"picture {name!r} is truncated or damaged: {error}") from error


def _check_pixels(image: Image.Image, name: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise PictureError(_too_large(str(image.width * image.height), name))


def _check_scans(stream: BinaryIO, name: str) -> None:
    """Raise PictureError for a JPEG that is decoded over and over: each scan takes as long as a picture."""
    place, found, before = stream.tell(), 0, b""
    stream.seek(0)
    while block := stream.read(1 << 20):
        found += (before + block).count(_JPEG_SCAN)
        before = block[-1:]
    stream.seek(place)
    if found > _MOST_SCANS:
        raise PictureError(f"picture {name!r} is a JPEG of {found:,} scans; at most {_MOST_SCANS} are read")


def _too_large(message: str, name: str) -> str:
    numbers = re.findall(r"\d+", message)
    given = f"{int(numbers[0]):,}" if numbers else "too many"
    return f"picture {name!r} has {given} pixels, which may be a decompression bomb; at most {MOST_PIXELS:,} are read"


def to_floats(image: Image.Image, name: str = "", *, reduced: bool = False) -> Floats:
    """The first frame as people see it: float32 (3, H, W), sRGB in [0, 1], upright and on white.

    A picture of more than `MOST_KEPT` pixels comes at half its sides where it may be `reduced`; else it is a PictureError.
    """
    # Asked before loading: Pillow drops some of it while it decodes or turns a picture.
    profile = image.info.get("icc_profile")
    inverted = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0
    if image.width * image.height > MOST_KEPT:
        if not reduced:
            raise PictureError(
                f"picture {name!r} has {image.width * image.height:,} pixels; at most {MOST_KEPT:,} are used at full size, "
                "so ask for another size, or make it smaller first"
            )
        image = _halved(image)
    image.load()
    upright = _upright(image)
    if upright.mode.startswith(("I", "F")):
        grey, alpha = _deep_grey(upright, name)
        return _on_white(_grey_to_srgb(1 - grey if inverted else grey, profile), alpha)
    base, alpha = _split_alpha(upright)
    return _on_white(_to_srgb(base, profile), alpha)


def _halved(image: Image.Image) -> Image.Image:
    """The picture at half its sides, each pixel the mean of four, with what is known of its orientation."""
    if image.mode.startswith("I;16"):
        image = image.convert("I")
    elif image.mode in ("P", "PA", "1"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    orientation = image.getexif().get(_EXIF_ORIENTATION)
    small = image.reduce(2)
    if orientation is not None:
        small.getexif()[_EXIF_ORIENTATION] = orientation
    return small


def _upright(image: Image.Image) -> Image.Image:
    # A broken EXIF block says nothing about the pixels, which have been decoded by now.
    with suppress(*DECODER_ERRORS):
        # In place: a copy of a large picture would take as much memory again.
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _deep_grey(image: Image.Image, name: str) -> tuple[Floats, Floats | None]:
    """Grey of 16 and more bits; Pillow's own conversion to 8 bits would clip it to white."""
    values = np.asarray(image)
    allowed = "[0, 1]" if image.mode == "F" else "[0, 65535]"
    # Pillow opens some 16-bit formats as 32-bit integers.
    grey = _in_blocks(values, lambda block: block if image.mode == "F" else block.astype(np.float64) / 65535)
    # Written so that NaN fails too.
    if not (grey.min() >= 0 and grey.max() <= 1):
        raise PictureError(f"picture {name!r} has values from {values.min()} to {values.max()}; {allowed} can be read")
    transparent = image.info.get("transparency")
    return grey, (values != transparent).astype(np.float32) if isinstance(transparent, int) else None


def _in_blocks(values: NDArray[np.generic], function: Callable[[Any], Any]) -> Floats:
    """`function` of each value as float32, a block at a time: doubles of a whole picture would take twice its memory."""
    made = np.empty(values.shape, np.float32)
    given, flat = values.reshape(-1), made.reshape(-1)
    for start in range(0, len(flat), 1 << 20):
        block = slice(start, start + (1 << 20))
        flat[block] = function(given[block])
    return made


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Floats | None]:
    """The colours alone, in mode L, RGB, CMYK or LAB, and the opacity (H, W) in [0, 1] if there is any."""
    if image.mode == "1":
        image = image.convert("LA" if "transparency" in image.info else "L")
    if image.mode in ("P", "PA", "RGBa", "RGB") and (image.mode != "RGB" or "transparency" in image.info):
        image = image.convert("RGBA")
    elif image.mode == "La" or (image.mode == "L" and "transparency" in image.info):
        image = image.convert("LA")
    elif image.mode in ("RGBX", "YCbCr", "HSV"):
        image = image.convert("RGB")
    if image.mode not in ("RGBA", "LA"):
        return image, None
    alpha = _unit(image.getchannel("A"))
    return image.convert("L" if image.mode == "LA" else "RGB"), alpha


def _to_srgb(image: Image.Image, profile: bytes | None) -> Floats:
    """Eight-bit colours by their embedded profile; without one, or with one that can't be used, they are taken as sRGB."""
    if profile:
        # A profile for RGB is found in grey files too.
        image = _convert(image, profile) or (_convert(image.convert("RGB"), profile) if image.mode == "L" else None) or image
    rgb = image if image.mode in ("RGB", "L") else image.convert("RGB")
    planes = np.empty((3, rgb.height, rgb.width), np.float32)
    for channel, plane in enumerate(planes):
        np.divide(np.asarray(rgb if rgb.mode == "L" else rgb.getchannel(channel)), np.float32(255), out=plane)
    return planes


def _unit(image: Image.Image) -> Floats:
    made = np.empty((image.height, image.width), np.float32)
    np.divide(np.asarray(image), np.float32(255), out=made)
    return made


def _convert(image: Image.Image, profile: bytes) -> Image.Image | None:
    in_place = image.mode == "RGB"
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            # A copy of a large picture would take as much memory again.
            inPlace=in_place,
        )
    except _PROFILE_ERRORS:
        return None
    return image if in_place else converted


def _grey_to_srgb(grey: Floats, profile: bytes | None) -> Floats:
    planes = np.empty((3, *grey.shape), np.float32)
    if not profile:
        planes[:] = grey
        return planes
    # The profile machinery takes 8 bits only: its curve is read at 256 points and interpolated, so that no depth is lost.
    curve = _to_srgb(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), profile)[:, 0]
    points = np.linspace(0, 1, 256)
    for plane, values in zip(planes, curve, strict=True):
        plane[:] = _in_blocks(grey, partial(np.interp, xp=points, fp=values))
    return planes


def _on_white(colours: Floats, alpha: Floats | None) -> Floats:
    # Blended in sRGB values, as browsers and picture viewers do: 1 - alpha (1 - colour), in place.
    if alpha is not None:
        np.subtract(1, colours, out=colours)
        colours *= alpha
        np.subtract(1, colours, out=colours)
    return colours
