"""Sizes, what is refused, digests, arrays, samples."""

import hashlib
import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from lanterna.errors import PictureError, UnknownNameError
from lanterna.pictures import (
    check_writable,
    digest,
    from_array,
    load,
    read_recipe,
    sample,
    samples,
    save,
    to_pil,
    to_png_bytes,
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


@pytest.mark.parametrize(
    ("shape", "expected"), [((40, 60), (20, 30)), ((60, 40), (30, 20)), ((10, 15), (20, 30)), ((1, 200), (1, 30))]
)
def test_one_number_is_the_longer_side(tmp_path: Path, shape: tuple[int, int], expected: tuple[int, int]) -> None:
    save(noise(*shape), tmp_path / "a.png")
    assert load(tmp_path / "a.png", size=30).shape == (1, 3, *expected)


@pytest.mark.parametrize("size", [(16, 16), (16, 40), (40, 16), (7, 5), (90, 91)])
def test_two_numbers_are_exact(tmp_path: Path, size: tuple[int, int]) -> None:
    save(noise(33, 47), tmp_path / "a.png")
    assert load(tmp_path / "a.png", size=size).shape == (1, 3, *size)


def test_the_crop_is_central_and_nothing_is_stretched(tmp_path: Path) -> None:
    picture = torch.zeros(1, 3, 20, 60)
    picture[..., 20:40] = 1
    save(picture, tmp_path / "wide.png")
    assert load(tmp_path / "wide.png", size=(10, 10)).min() > 0.95
    save(picture.transpose(2, 3), tmp_path / "tall.png")
    assert load(tmp_path / "tall.png", size=(10, 10)).min() > 0.95


def test_the_same_size_keeps_every_bit(tmp_path: Path) -> None:
    save(noise(20, 30), tmp_path / "a.png")
    assert torch.equal(load(tmp_path / "a.png"), load(tmp_path / "a.png", size=30))
    assert torch.equal(load(tmp_path / "a.png"), load(tmp_path / "a.png", size=(20, 30)))


def test_shrinking_is_antialiased_and_clamped(tmp_path: Path) -> None:
    # Each pixel is the mean of many: the noise goes. Sampled without antialiasing it would stay, at 0.2.
    save(noise(128, 128), tmp_path / "noise.png")
    assert load(tmp_path / "noise.png", size=16).std() < 0.08
    edge = torch.zeros(1, 3, 16, 16)
    edge[..., 8:] = 1
    save(edge, tmp_path / "edge.png")
    grown = load(tmp_path / "edge.png", size=64)
    assert grown.min() == 0
    assert grown.max() == 1


@pytest.mark.parametrize("size", [0, -5, (0, 5), (5, -1), 10**6])
def test_a_size_that_can_not_be(tmp_path: Path, size: int | tuple[int, int]) -> None:
    save(noise(4, 4), tmp_path / "a.png")
    with pytest.raises(PictureError, match="size"):
        load(tmp_path / "a.png", size=size)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    for name in ("holiday.jpeg", "Garden.PNG", "zzz.txt"):
        (tmp_path / name).touch()
    with pytest.raises(PictureError, match=r"does not exist; did you mean 'holiday.jpeg' in") as caught:
        load(tmp_path / "holiday.jpg")
    assert caught.value.exit_code == 2
    with pytest.raises(PictureError, match=r"did you mean 'Garden.PNG'"):
        load(tmp_path / "garden.png")
    for name in ("qqqqqqqqqqqqqqq", "nope.jpeg", "nope.txt"):
        with pytest.raises(PictureError, match=r"nothing in .* has a similar name"):
            load(tmp_path / name)
    with pytest.raises(PictureError, match="there is no folder"):
        load(tmp_path / "nowhere" / "a.png")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="is a folder"):
        load(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(PictureError, match="empty"):
        load(tmp_path / "a.png")


@pytest.mark.parametrize(
    "content", [b"hello, world\n" * 50, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", bytes(5000)]
)
def test_not_a_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match="not a picture; PNG, JPEG"):
        load(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_picture(tmp_path: Path, suffix: str, part: float) -> None:
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    to_pil(noise(64, 64)).save(buffer, kind)
    content = buffer.getvalue()
    (tmp_path / f"a.{suffix}").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(PictureError, match="truncated"):
        load(tmp_path / f"a.{suffix}")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(
    "error",
    [
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
    ],
)
def test_whatever_a_decoder_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(self: ImageFile.ImageFile) -> None:
        raise error("deep inside")

    save(noise(4, 4), tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(PictureError, match=r"truncated or damaged: .*deep inside"):
        load(tmp_path / "a.png")


def test_damaged_bytes_end_in_our_own_error(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        buffer = io.BytesIO()
        to_pil(noise(24, 24)).save(buffer, kind)
        for _ in range(40):
            content = bytearray(buffer.getvalue())
            for place in random.integers(0, min(len(content), 400), 6):
                content[place] = random.integers(256)
            (tmp_path / "a").write_bytes(content)
            try:
                picture = load(tmp_path / "a")
            except PictureError:
                continue
            assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize(("side", "limit"), [(12, 100), (20, 100)])
def test_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, limit: int) -> None:
    # Pillow warns from its limit on and raises from twice that on: both are refused.
    save(noise(side, side), tmp_path / "a.png", recipe={})
    monkeypatch.setattr("lanterna.pictures.decode.MOST_PIXELS", limit)
    for read in (load, read_recipe):
        with pytest.raises(PictureError, match=rf"{side * side} pixels.* at most {limit} "):
            read(tmp_path / "a.png")


def test_a_bomb_of_the_real_limit_is_refused_unread(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((1, 1), dtype=np.uint8), 0)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = struct.pack(">II", 10000, 9000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match="90,000,000 pixels"):
        load(tmp_path / "a.png")


def test_the_warnings_filter_is_left_alone(tmp_path: Path) -> None:
    save(noise(4, 4), tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"no")
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    load(tmp_path / "a.png")
    with pytest.raises(PictureError):
        load(tmp_path / "bad.png")
    assert list(warnings.filters) == before
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 5000 + ".png"])
def test_a_path_that_can_not_be(path: str) -> None:
    with pytest.raises(PictureError, match="can't be read"):
        load(path)
    with pytest.raises(PictureError, match="can't write"):
        check_writable(path)


def test_reading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    save(noise(8, 8), tmp_path / "a.png")
    load(tmp_path / "a.png", size=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    save(noise(4, 4), tmp_path / "a.png")
    assert digest(tmp_path / "a.png") == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert digest("chelsea") == hashlib.sha256(sample("chelsea").read_bytes()).hexdigest()
    with pytest.raises(PictureError, match="does not exist"):
        digest(tmp_path / "b.png")


def test_from_array() -> None:
    assert from_array(np.array([[0, 255]], dtype=np.uint8)).tolist() == [[[[0.0, 1.0]]] * 3]
    assert from_array(np.array([[[0], [65535]]], dtype=np.uint16)).tolist() == [[[[0.0, 1.0]]] * 3]
    assert from_array(np.array([[False, True]])).tolist() == [[[[0.0, 1.0]]] * 3]
    assert colour(from_array(np.array([[[0.1, 0.2, 0.3]]]))) == pytest.approx([0.1, 0.2, 0.3])
    assert colour(from_array(Image.new("RGBA", (1, 1), (0, 0, 0, 51)))) == pytest.approx([0.8] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 5)), "shape"),
        (np.zeros(4), "shape"),
        (np.zeros((0, 4, 3)), "shape"),
        (np.zeros((4, 4), dtype=np.int64), "int64"),
        (np.full((4, 4), 1.5), r"\[0, 1\]"),
        (np.full((4, 4), np.nan), r"\[0, 1\]"),
    ],
)
def test_arrays_that_are_no_pictures(array: np.ndarray, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        from_array(array)


def test_to_pil_rounds_and_clamps() -> None:
    picture = torch.tensor([0.4 * LEVEL, 0.6 * LEVEL, 1.2, -0.3, 200.4 * LEVEL, 1]).reshape(1, 1, 6).expand(3, 1, 6)
    assert np.asarray(to_pil(picture))[0, :, 0].tolist() == [0, 1, 255, 0, 200, 255]


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (torch.zeros(2, 3, 4, 4), "make a sheet"),
        (torch.zeros(1, 4, 4, 4), "not one picture"),
        (torch.zeros(4, 4), "not one picture"),
        (torch.zeros(1, 3, 0, 4), "not one picture"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "uint8"),
        (torch.full((1, 3, 4, 4), float("nan")), "finite"),
        (torch.full((1, 3, 4, 4), float("inf")), "finite"),
    ],
)
def test_what_can_not_be_saved(tmp_path: Path, picture: torch.Tensor, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        save(picture, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_samples_are_real_pictures() -> None:
    found = samples()
    assert {"astronaut", "brick", "chelsea", "china", "coffee", "flower", "grace_hopper", "rocket"} <= found.keys()
    assert list(found) == sorted(found)
    for path in found.values():
        with Image.open(path) as image:
            assert min(image.size) >= 200
    assert sample("coffee") == found["coffee"]


def test_an_unknown_sample_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'chelsea'") as caught:
        sample("chelsae")
    assert caught.value.exit_code == 2


def test_finding_samples_imports_no_heavy_package() -> None:
    code = (
        "import sys; from lanterna.pictures.samples import samples; samples(); "
        "print([name for name in ('skimage', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_sample_loads_by_name_unless_a_file_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("chelsea", size=(20, 20)).shape == (1, 3, 20, 20)
    assert torch.equal(load(Path("chelsea")), load(sample("chelsea")))
    with pytest.raises(PictureError, match="did you mean 'chelsea'"):
        load("chelsae")
    (tmp_path / "coffee").mkdir()
    assert torch.equal(load("coffee"), load(sample("coffee")))
    with pytest.raises(PictureError, match="folder"):
        load("./coffee")
    (tmp_path / "chelsea").write_bytes(to_png_bytes(torch.ones(3, 2, 2)))
    assert load("chelsea").shape == (1, 3, 2, 2)
