"""Writing, and the recipe."""

import os
import struct
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lanterna.errors import PictureError
from lanterna.pictures import (
    check_writable,
    load,
    read_recipe,
    save,
    to_jpeg_bytes,
    to_png_bytes,
)

LEVEL = 1 / 255


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_save_and_load_agree_within_half_a_level(tmp_path: Path) -> None:
    picture = noise(9, 11)
    assert save(picture, tmp_path / "a.png") == tmp_path / "a.png"
    assert (load(tmp_path / "a.png") - picture).abs().max() <= LEVEL / 2 + 1e-6
    save(picture[0].requires_grad_(), str(tmp_path / "b.PNG"))
    assert (tmp_path / "b.PNG").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.PNG"]


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_other_formats(tmp_path: Path, suffix: str, kind: str) -> None:
    picture = load("chelsea", size=64)
    save(picture, tmp_path / f"a.{suffix}", recipe={"seed": 1})
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.format == kind
    assert (load(tmp_path / f"a.{suffix}") - picture).abs().mean() < 0.02
    with pytest.raises(PictureError, match=rf"\({kind}\) has no recipe; only PNG"):
        read_recipe(tmp_path / f"a.{suffix}")


def test_too_large_for_the_format(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="20000x1 pixels, as WEBP"):
        save(torch.zeros(3, 1, 20000), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


def test_the_recipe_comes_back(tmp_path: Path) -> None:
    recipe = {
        "technique": "visualize",
        "seed": 3,
        "units": ["blocks.4:12"],
        "lr": 0.05,
        "file": "Käse\udcff.png",
        "none": None,
    }
    save(noise(4, 4), tmp_path / "a.png", recipe=recipe)
    assert read_recipe(tmp_path / "a.png") == recipe
    assert read_recipe(str(tmp_path / "a.png")) == recipe
    content = (tmp_path / "a.png").read_bytes()
    assert b"iTXtlanterna\0" in content
    assert content == to_png_bytes(noise(4, 4), recipe)


def test_a_large_recipe_comes_back(tmp_path: Path) -> None:
    recipe = {"values": list(range(400_000))}
    save(noise(4, 4), tmp_path / "a.png", recipe=recipe)
    assert read_recipe(tmp_path / "a.png") == recipe


def test_a_recipe_behind_the_pixels_is_found(tmp_path: Path) -> None:
    content = to_png_bytes(noise(4, 4), {"seed": 3})
    start = content.index(b"iTXt") - 4
    end = start + 12 + struct.unpack(">I", content[start : start + 4])[0]
    last = content.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(content[:start] + content[end:last] + content[start:end] + content[last:])
    assert read_recipe(tmp_path / "a.png") == {"seed": 3}


@pytest.mark.parametrize("text", ["{", "[1, 2]", "[" * 100_000])
def test_a_damaged_recipe(tmp_path: Path, text: str) -> None:
    info = PngInfo()
    info.add_itxt("lanterna", text)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(PictureError, match="damaged"):
        read_recipe(tmp_path / "a.png")


def test_no_recipe(tmp_path: Path) -> None:
    save(noise(4, 4), tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"\(PNG\) has no recipe"):
        read_recipe(tmp_path / "a.png")
    with pytest.raises(PictureError, match="does not exist"):
        read_recipe(tmp_path / "b.png")


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_a_recipe_json_can_not_hold(tmp_path: Path, value: object) -> None:
    with pytest.raises(PictureError, match="JSON"):
        save(noise(4, 4), tmp_path / "a.png", recipe={"value": value})
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for path, message in [
        (tmp_path / "nowhere" / "a.png", "there is no folder"),
        (tmp_path / "file" / "a.png", "there is no folder|Not a directory"),
        (tmp_path / "folder.png", "is a folder"),
        (tmp_path / "a.xyz", r"'.xyz' is not known; allowed are .png, .jpg"),
        (tmp_path / "a", "no suffix; allowed are .png"),
    ]:
        for act in (check_writable, lambda path: save(noise(4, 4), path)):
            with pytest.raises(PictureError, match=message) as caught:
                act(path)
            assert caught.value.exit_code == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not hold for root")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PictureError, match="Permission denied"):
            check_writable(tmp_path / "a.png")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PictureError, match=r"can't write .*: Permission denied"):
        check_writable(tmp_path / "a.png")


def test_checking_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    assert check_writable(str(tmp_path / "a.png")) == tmp_path / "a.png"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b.jpg").write_bytes(b"old")
    check_writable(tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_bytes() == b"old"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_while_writing_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PictureError if isinstance(error, OSError) else KeyboardInterrupt):
        save(noise(4, 4), tmp_path / "a.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="links and modes are POSIX")
def test_links_and_modes_are_as_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "kept" / "real.png")
    save(noise(4, 4), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    (tmp_path / "plain").touch()
    assert (tmp_path / "kept" / "real.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_noise_in_all_colours_fits_into_a_page() -> None:
    noise = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    assert to_jpeg_bytes(noise)[:2] == b"\xff\xd8"
