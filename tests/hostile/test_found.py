"""Ways in that were found by trying, each with its smallest file: they stay shut."""

import bz2
import io
import json
import lzma
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import resident  # type: ignore[import-not-found]
from PIL import Image
from strangers import png, record

from lanterna import pictures
from lanterna.errors import PictureError
from lanterna.pictures.clip import is_clip, open_clip

av = pytest.importorskip("av")
Run = Callable[..., SimpleNamespace]
TINY = "python:tiny:make"
LITE0 = "efficientnet_lite0"


def film(path: Path, container: str | None = None, side: int = 64) -> Path:
    with av.open(str(path), "w", format=container) as made:
        stream = made.add_stream("mpeg4", rate=5)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for value in range(3):
            made.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (side, side), (value * 80, 0, 0)))))
        made.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_films_are_read(folder: Path, name: str) -> None:
    assert open_clip(film(folder / name)).count == 3


PLAYLISTS = {
    "ffconcat version 1.0\nfile {}\n": "ffconcat",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n": "HLS",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1000\n#EXTINF:1,\n{}\n": "HLS without an end",
}


@pytest.mark.parametrize("text", PLAYLISTS, ids=PLAYLISTS.values())
def test_a_film_is_no_list_of_other_files(folder: Path, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    secret = film(tmp_path_factory.mktemp("elsewhere") / "secret.ts", "mpegts")
    for inner in (str(secret), "list.m3u8"):
        (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
        (folder / "a.mp4").write_text(text.format(inner))
        with pytest.raises(PictureError):
            open_clip(folder / "a.mp4")


def test_the_name_of_a_film_is_no_address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = film(tmp_path_factory.mktemp("elsewhere") / "secret.ts", "mpegts")
    name = Path(f"subfile,,start,0,end,{secret.stat().st_size},,:{secret}")
    name.parent.mkdir(parents=True)
    name.write_text("no film")
    with pytest.raises(PictureError):
        open_clip(name)


def test_frames_of_a_film_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(folder / "a.mp4")
    monkeypatch.setattr("lanterna.pictures.clip.MOST_KEPT", 64 * 64 - 1)
    with pytest.raises(PictureError, match="64x64"):
        open_clip(folder / "a.mp4")


def test_a_pipe_is_no_film(lanterna: Run, folder: Path) -> None:
    os.mkfifo(folder / "a.mp4")
    result = lanterna("stylize", "a.mp4", "coffee", "--network", TINY)
    assert result.code == 2 and "a pipe" in result.err


def test_not_every_frame_is_counted(folder: Path) -> None:
    frames = [Image.new("RGB", (1, 1), (value % 2 * 255, 0, 0)) for value in range(3000)]
    frames[0].save(
        folder / "a.gif", save_all=True, append_images=frames[1:], duration=[20 + 10 * (i % 2) for i in range(3000)]
    )
    seen: list[int] = []
    original = Image.Image.load
    assert is_clip(folder / "a.gif")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: seen.append(1) or original(self))
        assert open_clip(folder / "a.gif", most=10).count == 10
    assert len(seen) < 100


def test_a_page_of_a_tiff_is_no_frame(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "a.gif", "TIFF", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    assert not is_clip(folder / "a.gif")


def test_a_tilde_in_a_folder_is_not_home(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder / "home"
    here = folder / "here"
    (here / "~").mkdir(parents=True)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    Image.new("RGB", (32, 32), "red").save(home / "secret.png")
    Image.new("RGB", (32, 32), "blue").save(here / "~" / "secret.png")
    (here / "a.toml").write_text('start = "~/secret.png"\nsteps = 0\n')
    command = ["visualize", LITE0, "blocks.1:0", "--recipe", "a.toml", "--size", "32", "--canvas", "pixels", "--quiet"]
    result = lanterna(*command)
    assert result.code == 0, result.err
    red, _, blue = pictures.load("visualize.png").mean((0, 2, 3)).tolist()
    assert blue > red, "the one beside the recipe"


def test_a_folder_in_a_recipe_is_the_users_to_give(lanterna: Run, folder: Path) -> None:
    (folder / "pics").mkdir()
    (folder / "pics" / "out").symlink_to("/")
    (folder / "a.toml").write_text('data = "folder:pics"')
    result = lanterna("patterns", TINY, "conv1:0", "--recipe", "a.toml")
    assert result.code == 2 and "--trust" in result.err


@pytest.mark.parametrize("text", ["a." * 30_000 + "b = 1", "[" + "a." * 30_000 + "b]", "seed = 0x" + "f" * 60_000])
def test_keys_and_numbers_without_end(lanterna: Run, folder: Path, text: str) -> None:
    (folder / "a.toml").write_text(text)
    result = lanterna("visualize", TINY, "conv1:0", "--recipe", "a.toml")
    assert result.code == 2 and len(result.err.splitlines()) == 1 and len(result.err) < 2000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_members_that_unpack_by_the_block(lanterna: Run, folder: Path, method: int) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
        archive.writestr("a.png", bytes(1 << 20))
    assert len(bz2.compress(bytes(1 << 20))) < 1000 and len(lzma.compress(bytes(1 << 20))) < 1000
    result = lanterna("patterns", TINY, "conv1:0", "--data", "folder:a.zip", "--steps", "0")
    assert result.code == 2 and "packed in a way" in result.err


def test_a_list_behind_a_list(lanterna: Run, folder: Path) -> None:
    large = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 4, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, 60, 0, 0)
    (folder / "a.zip").write_bytes(b"PK\3\4" + large + locator + end)
    result = lanterna("patterns", TINY, "conv1:0", "--data", "folder:a.zip", "--steps", "0")
    assert result.code == 2 and "list" in result.err


def test_weights_with_two_lists(lanterna: Run, folder: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(3, 512)}, buffer)
    whole = bytearray(buffer.getvalue())
    # The end says that the list lies elsewhere: what one program reads there another does not.
    for mark, offset, kind in ((b"PK\6\6", 48, "<Q"), (b"PK\5\6", 16, "<I")):
        if mark in whole:
            place = whole.rindex(mark) + offset
            struct.pack_into(kind, whole, place, struct.unpack_from(kind, whole, place)[0] - 1)
    (folder / "a.pt").write_bytes(whole)
    result = lanterna("layers", "file:a.pt", "--arch", "torchvision:resnet18")
    assert result.code == 2 and "can't be read as weights" in result.err


ODD: dict[str, Any] = {
    "numbers": {1: torch.zeros(3), (1, 2): torch.zeros(3), b"x": torch.zeros(3)},
    "sparse": {"fc.weight": torch.zeros(3, 512).to_sparse()},
    "meta": {"fc.weight": torch.zeros(3, 512, device="meta")},
    "complex": {"fc.weight": torch.zeros(3, 512, dtype=torch.complex64)},
    "strided": {"fc.weight": torch.zeros(1).expand(1000, 512)},
    "lines": {"fc.weight\nlanterna: ok": torch.zeros(3, 512)},
    "long": {"x" * 100_000: torch.zeros(3)},
}


@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning")
@pytest.mark.parametrize("name", ODD)
def test_odd_weights_are_one_line(lanterna: Run, folder: Path, name: str) -> None:
    torch.save(ODD[name], folder / "a.pt")
    result = lanterna("layers", "file:a.pt", "--arch", "torchvision:resnet18")
    assert result.code == 2 and len(result.err.splitlines()) == 1 and len(result.err) < 1500, result.err


def test_classes_without_weights(lanterna: Run, folder: Path) -> None:
    head = json.dumps({"fc.weight": {"dtype": "F32", "shape": [300_000, 0], "data_offsets": [0, 0]}}).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    before = resident()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    result = lanterna("layers", "file:a.safetensors", "--arch", "torchvision:resnet18")
    assert result.code == 2 and resident("VmHWM") - before < 0.3e9


def test_a_record_without_end(lanterna: Run, folder: Path) -> None:
    png(folder / "a.png", raw=json.dumps(record() | {"more": [{}] * 1_200_000}))
    result = lanterna("replay", "a.png")
    assert result.code == 2 and "characters" in result.err


def test_a_jpeg_of_many_scans(folder: Path) -> None:
    Image.effect_noise((64, 64), 40).save(folder / "a.jpg", progressive=True)
    whole = (folder / "a.jpg").read_bytes()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    assert pictures.load(folder / "a.jpg").shape == (1, 3, 64, 64)
    (folder / "b.jpg").write_bytes(whole[:-2] + last * 200 + whole[-2:])
    with pytest.raises(PictureError, match="scans"):
        pictures.load(folder / "b.jpg")


@pytest.mark.parametrize("spec", ["timm:resnet18.x", "timm:resnet18.", "timm:resnet18.a1_in1k.b"])
def test_weights_that_are_none(lanterna: Run, folder: Path, spec: str) -> None:
    png(folder / "a.png", record(spec))
    result = lanterna("replay", "a.png", "--quiet")
    assert result.code in (2, 4) and len(result.err.splitlines()) == 1


@pytest.mark.parametrize("single", [99, 10**20])
def test_a_picture_that_the_recipe_does_not_make(lanterna: Run, folder: Path, single: int) -> None:
    content = record(LITE0) | {"single": single}
    del content["network"]["weights_sha256"]
    png(folder / "a.png", content)
    result = lanterna("replay", "a.png", "--quiet")
    assert result.code == 2 and len(result.err.splitlines()) == 1 and not (folder / "replay.png").exists()


def test_names_do_not_move_the_cursor(lanterna: Run, folder: Path) -> None:
    name = "a\x1b[31m\x9b31m\u202e:x:.png"
    Image.effect_noise((32, 32), 40).convert("RGB").save(folder / name)
    said = lanterna("classify", TINY, name)
    told = lanterna("classify", TINY, name, "--json")
    missing = lanterna("classify", TINY, "no" + name)
    for text in (said.out, told.out, missing.err):
        assert not set(text) & {"\x1b", "\x9b", "\u202e"} and ":x:" in text
    assert json.loads(told.out)["pictures"][0]["picture"] == name


def test_a_record_says_no_lines_of_its_own(lanterna: Run, folder: Path) -> None:
    content = record("python:evil:make\n  network efficientnet_lite0, weights 0123")
    png(folder / "a.png", content | {"versions": {"lanterna": "0.1\n  network efficientnet_lite0"}})
    result = lanterna("replay", "a.png")
    assert result.code == 2 and not [line for line in result.err.splitlines() if line.startswith("  network efficientnet")]
