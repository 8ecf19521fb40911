"""Reading right: every mode, profile and orientation."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import lanterna.pictures
from lanterna.errors import PictureError
from lanterna.pictures import (
    load,
    save,
)

LEVEL = 1 / 255


def colour(picture: torch.Tensor, row: int = 0, column: int = 0) -> list[float]:
    return picture[0, :, row, column].tolist()


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def write_png(path: Path, values: np.ndarray, colour_type: int, *chunks: tuple[bytes, bytes]) -> None:
    """A PNG of the array's own depth: Pillow writes no 16-bit colours."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 8 * values.itemsize, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def test_the_package_names_what_it_offers() -> None:
    assert lanterna.pictures.__all__ == sorted(lanterna.pictures.__all__)
    assert all(hasattr(lanterna.pictures, name) for name in lanterna.pictures.__all__)


def test_rgb_is_read_exactly(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = load(tmp_path / "a.png")
    assert picture.shape == (1, 3, 5, 7)
    assert picture.dtype == torch.float32
    assert torch.equal(picture[0], torch.from_numpy(values).permute(2, 0, 1).float() / 255)
    assert torch.equal(load(str(tmp_path / "a.png")), picture)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_keeps_its_depth(tmp_path: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(values).save(tmp_path / f"grey.{suffix}")
    picture = load(tmp_path / f"grey.{suffix}")
    assert len(picture.unique()) == 600
    assert torch.allclose(picture[0, 1], torch.from_numpy(values / 65535).float(), atol=1e-6)


def test_16_bit_tiff_where_zero_is_white(tmp_path: Path) -> None:
    values = np.array([[0, 65535, 16384]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "grey.tif", tiffinfo={262: 0})
    assert load(tmp_path / "grey.tif")[0, 0, 0].tolist() == pytest.approx([1, 0, 0.75], abs=1e-4)


def test_32_bit_grey_within_16_bits_and_beyond(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], dtype=np.int32)).save(tmp_path / "a.tif")
    assert load(tmp_path / "a.tif")[0, 0, 0].tolist() == [0, 1]
    Image.fromarray(np.array([[0, 70000]], dtype=np.int32)).save(tmp_path / "b.tif")
    with pytest.raises(PictureError, match=r"from 0 to 70000; \[0, 65535\]"):
        load(tmp_path / "b.tif")


def test_float_tiff(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.25, 0.7]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert load(tmp_path / "a.tif")[0, 2, 0].tolist() == pytest.approx([0.25, 0.7])
    Image.fromarray(np.array([[0.25, np.nan]], dtype=np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(PictureError, match="nan"):
        load(tmp_path / "b.tif")


def test_16_bit_rgb_png(tmp_path: Path) -> None:
    values = np.array([[[65535, 32768, 0], [1000, 20000, 60000]]], dtype=np.uint16)
    write_png(tmp_path / "a.png", values, 2)
    expected = torch.from_numpy(values / 65535).float().permute(2, 0, 1)
    assert (load(tmp_path / "a.png")[0] - expected).abs().max() <= LEVEL


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_rgb_tiff(tmp_path: Path, order: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.array([[[65535, 32768, 0], [1000, 20000, 60000]]], dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", byteorder=order)
    expected = torch.from_numpy(values / 65535).float().permute(2, 0, 1)
    assert (load(tmp_path / "a.tif")[0] - expected).abs().max() <= LEVEL


def test_16_bit_alpha_is_laid_on_white(tmp_path: Path) -> None:
    write_png(tmp_path / "rgba.png", np.array([[[65535, 0, 0, 32768]]], dtype=np.uint16), 6)
    assert colour(load(tmp_path / "rgba.png")) == pytest.approx([1, 0.5, 0.5], abs=LEVEL)
    write_png(tmp_path / "la.png", np.array([[[0, 16384]]], dtype=np.uint16), 4)
    assert colour(load(tmp_path / "la.png")) == pytest.approx([0.75] * 3, abs=LEVEL)


def test_16_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.array([[1000, 2000]], dtype=np.uint16), 0, (b"tRNS", struct.pack(">H", 1000)))
    assert load(tmp_path / "a.png")[0, 0, 0].tolist() == pytest.approx([1, 2000 / 65535], abs=1e-5)


def test_cmyk_is_not_inverted(tmp_path: Path) -> None:
    # No ink is paper white; full cyan is blue-green; full black ink is black.
    for ink, expected in [((0, 0, 0, 0), [1, 1, 1]), ((255, 0, 0, 0), [0, 1, 1]), ((0, 0, 0, 255), [0, 0, 0])]:
        for suffix in ("jpg", "tif"):
            Image.new("CMYK", (16, 16), ink).save(tmp_path / f"a.{suffix}")
            assert colour(load(tmp_path / f"a.{suffix}"), 8, 8) == pytest.approx(expected, abs=4 * LEVEL)


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 20, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "plain.png")
    assert colour(load(tmp_path / "plain.png")) == pytest.approx([200 / 255, 10 / 255, 20 / 255])
    image.save(tmp_path / "index.png", transparency=1)
    image.save(tmp_path / "index.gif", transparency=1)
    for name in ("index.png", "index.gif"):
        assert colour(load(tmp_path / name)) == pytest.approx([200 / 255, 10 / 255, 20 / 255])
        assert colour(load(tmp_path / name), 0, 1) == [1, 1, 1]
    image.save(tmp_path / "bytes.png", transparency=bytes([255, 51]))
    assert colour(load(tmp_path / "bytes.png"), 0, 1) == pytest.approx([0.8] * 3, abs=1e-6)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 51))
    image.putpixel((2, 0), (1, 2, 3, 0))
    image.save(tmp_path / "a.png")
    picture = load(tmp_path / "a.png")
    assert colour(picture, 0, 0) == [1, 0, 0]
    assert colour(picture, 0, 1) == pytest.approx([1, 0.8, 0.8], abs=1e-6)
    assert colour(picture, 0, 2) == [1, 1, 1]


def test_grey_with_alpha(tmp_path: Path) -> None:
    Image.new("LA", (2, 2), (0, 102)).save(tmp_path / "a.png")
    assert colour(load(tmp_path / "a.png")) == pytest.approx([0.6] * 3, abs=1e-6)


@pytest.mark.parametrize(("mode", "key"), [("1", 255), ("L", 255), ("RGB", (255, 255, 255))])
def test_a_transparent_colour_is_laid_on_white(tmp_path: Path, mode: str, key: int | tuple[int, ...]) -> None:
    image = Image.new("L", (2, 1), 0)
    image.putpixel((1, 0), 255)
    # Black made transparent shows as white; that is what tells.
    transparent = 0 if isinstance(key, int) else (0, 0, 0)
    image.convert(mode).save(tmp_path / "black.png", transparency=transparent)
    image.convert(mode).save(tmp_path / "white.png", transparency=key)
    assert load(tmp_path / "black.png")[0, 0, 0].tolist() == [1, 1]
    assert load(tmp_path / "white.png")[0, 0, 0].tolist() == [0, 1]


def test_one_bit(tmp_path: Path) -> None:
    image = Image.new("1", (2, 1), 0)
    image.putpixel((1, 0), 1)
    for suffix in ("png", "tif", "bmp"):
        image.save(tmp_path / f"a.{suffix}")
        assert load(tmp_path / f"a.{suffix}")[0, 1, 0].tolist() == [0, 1]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), shade) for shade in ("red", "lime", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=50, **options)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.n_frames == 3
    assert colour(load(tmp_path / f"a.{suffix}"), 4, 4) == [1, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((4, 6, 3), dtype=np.uint8)
    upright[0, 0], upright[0, 5], upright[3, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("png", "tif"):
        Image.fromarray(np.ascontiguousarray(undo(upright))).save(tmp_path / f"a.{suffix}", exif=exif)
        picture = load(tmp_path / f"a.{suffix}")
        assert torch.equal(picture[0], torch.from_numpy(upright).permute(2, 0, 1).float() / 255)


def test_16_bit_grey_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.array([[0, 30000, 65535]], dtype=np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert load(tmp_path / "a.png")[0, 0, :, 0].tolist() == pytest.approx([0, 30000 / 65535, 1])


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert colour(load(tmp_path / "a.png")) == [1, 0, 0]


def icc(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """A matrix profile (ICC 2.1), big-endian, with the given columns in XYZ (D50)."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = [(b"wtpt", b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1) + fixed(0.8249))]
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags.append((name, b"XYZ " + bytes(4) + b"".join(map(fixed, column))))
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    header += bytes(28) + fixed(0.9642) + fixed(1) + fixed(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))


def srgb(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def test_an_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    # Linear light: half the light is 0.735 in sRGB.
    linear = icc(SRGB_PRIMARIES, 1.0)
    swapped = icc((SRGB_PRIMARIES[1], SRGB_PRIMARIES[0], SRGB_PRIMARIES[2]), 1.0)
    for suffix in ("png", "tif", "jpg"):
        Image.new("RGB", (16, 16), (128, 128, 128)).save(tmp_path / f"a.{suffix}", icc_profile=linear)
        assert colour(load(tmp_path / f"a.{suffix}"), 8, 8) == pytest.approx([srgb(128 / 255)] * 3, abs=2 * LEVEL)
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "b.png", icc_profile=swapped)
    assert colour(load(tmp_path / "b.png")) == pytest.approx([0, 1, 0], abs=3 * LEVEL)
    Image.new("RGBA", (4, 4), (128, 128, 128, 51)).save(tmp_path / "c.png", icc_profile=linear)
    assert colour(load(tmp_path / "c.png")) == pytest.approx([1 - 0.2 * (1 - srgb(128 / 255))] * 3, abs=2 * LEVEL)


def test_a_profile_of_a_grey_picture(tmp_path: Path) -> None:
    linear = icc(SRGB_PRIMARIES, 1.0)
    Image.new("L", (4, 4), 128).save(tmp_path / "a.png", icc_profile=linear)
    assert colour(load(tmp_path / "a.png")) == pytest.approx([srgb(128 / 255)] * 3, abs=2 * LEVEL)
    values = np.linspace(30000, 40000, 200).astype(np.uint16)[None]
    Image.fromarray(values).save(tmp_path / "b.png", icc_profile=linear)
    picture = load(tmp_path / "b.png")
    assert picture[0, 0, 0, 0].item() == pytest.approx(srgb(30000 / 65535), abs=2 * LEVEL)
    assert len(picture[0, 0].unique()) > 100  # in 8 bits: 40


def test_an_srgb_profile_changes_nothing_that_can_be_seen(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(noise(16, 16), tmp_path / "plain.png")
    Image.open(tmp_path / "plain.png").save(tmp_path / "profile.png", icc_profile=profile)
    assert (load(tmp_path / "plain.png") - load(tmp_path / "profile.png")).abs().max() <= 1.01 * LEVEL


def test_a_broken_profile_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 0, 51)).save(tmp_path / "a.png", icc_profile=b"not a profile")
    assert colour(load(tmp_path / "a.png")) == pytest.approx([1, 0, 0.2])


def test_lab_tiff(tmp_path: Path) -> None:
    Image.new("LAB", (4, 4), (255, 128, 128)).save(tmp_path / "white.tif")
    Image.new("LAB", (4, 4), (0, 128, 128)).save(tmp_path / "black.tif")
    assert colour(load(tmp_path / "white.tif")) == pytest.approx([1, 1, 1], abs=3 * LEVEL)
    assert colour(load(tmp_path / "black.tif")) == pytest.approx([0, 0, 0], abs=3 * LEVEL)
    # sRGB's red, seen from D50.
    Image.new("LAB", (4, 4), (138, 128 + 81, 128 + 70)).save(tmp_path / "red.tif")
    assert colour(load(tmp_path / "red.tif")) == pytest.approx([1, 0, 0], abs=0.06)
