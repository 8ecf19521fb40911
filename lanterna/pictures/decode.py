"""From the bytes of a file to floats: every mode, profile and orientation a file can have, and every way it can be broken."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from lanterna.errors import PictureError

__all__ = ["DECODER_ERRORS", "opened", "to_floats"]

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


@contextmanager
def opened(content: bytes, name: str) -> Iterator[Image.Image]:
    """Opens the bytes of a picture; every failure, also of decoding inside the block, is a PictureError that names it."""
    if not content:
        raise PictureError(f"picture {name!r} is an empty file")
    Image.init()
    formats = [known for known in _FORMATS if known in Image.OPEN]
    # Local to the block: a damaged file is told by our own error, and Pillow only warns up to twice its limit.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=formats) as image:
                yield image
        except PictureError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise PictureError(_too_large(str(error), name)) from error
        except UnidentifiedImageError as error:
            if content.startswith(_SIGNATURES):
                raise PictureError(f"picture {name!r} is truncated or damaged: it ends within its header") from error
            raise PictureError(f"{name!r} is not a picture; {_READABLE}") from error
        except DECODER_ERRORS as error:
            raise PictureError(f"picture {name!r} is truncated or damaged: {error}") from error


def _too_large(message: str, name: str) -> str:
    numbers = re.findall(r"\d+", message)
    given = f"{int(numbers[0]):,}" if numbers else "too many"
    limit = f"{Image.MAX_IMAGE_PIXELS:,}" if Image.MAX_IMAGE_PIXELS else "fewer"
    return f"picture {name!r} has {given} pixels, which may be a decompression bomb; at most {limit} are read"


def to_floats(image: Image.Image, name: str = "") -> Floats:
    """The first frame as people see it: float32 (H, W, 3), sRGB in [0, 1], upright and on white."""
    # Asked before loading: Pillow drops some of it while it decodes or turns a picture.
    profile = image.info.get("icc_profile")
    inverted = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0
    image.load()
    upright = _upright(image)
    if upright.mode.startswith(("I", "F")):
        grey, alpha = _deep_grey(upright, name)
        return _on_white(_grey_to_srgb(1 - grey if inverted else grey, profile), alpha)
    base, alpha = _split_alpha(upright)
    return _on_white(_to_srgb(base, profile), alpha)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except DECODER_ERRORS:
        # A broken EXIF block says nothing about the pixels, which have been decoded by now.
        return image


def _deep_grey(image: Image.Image, name: str) -> tuple[Floats, Floats | None]:
    """Grey of 16 and more bits; Pillow's own conversion to 8 bits would clip it to white."""
    values = np.asarray(image)
    if image.mode == "F":
        grey, allowed = values.astype(np.float32), "[0, 1]"
    else:
        # Pillow opens some 16-bit formats as 32-bit integers.
        grey, allowed = (values.astype(np.float64) / 65535).astype(np.float32), "[0, 65535]"
    # Written so that NaN fails too.
    if not (grey.min() >= 0 and grey.max() <= 1):
        raise PictureError(f"picture {name!r} has values from {values.min()} to {values.max()}; {allowed} can be read")
    transparent = image.info.get("transparency")
    return grey, (values != transparent).astype(np.float32) if isinstance(transparent, int) else None


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
    return _unit(image.convert("RGB"))


def _unit(image: Image.Image) -> Floats:
    return (np.asarray(image) / np.float32(255)).astype(np.float32)


def _convert(image: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except _PROFILE_ERRORS:
        return None


def _grey_to_srgb(grey: Floats, profile: bytes | None) -> Floats:
    if not profile:
        return np.repeat(grey[..., None], 3, axis=2)
    # The profile machinery takes 8 bits only: its curve is read at 256 points and interpolated, so that no depth is lost.
    curve = _to_srgb(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), profile)[0]
    points = np.linspace(0, 1, 256)
    return np.stack([np.interp(grey, points, curve[:, channel]) for channel in range(3)], axis=2).astype(np.float32)


def _on_white(colours: Floats, alpha: Floats | None) -> Floats:
    # Blended in sRGB values, as browsers and picture viewers do.
    return colours if alpha is None else 1 - alpha[..., None] * (1 - colours)
