"""Contact sheets."""

import json
from pathlib import Path

import pytest
import torch
from PIL import ImageFont

from lanterna.errors import InputError
from lanterna.pictures import (
    read_recipe,
    save,
    sheet,
)
from lanterna.pictures.sheet import _wrapped, font_for


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_a_sheet_keeps_the_pictures_pixels() -> None:
    pictures = torch.cat([noise(128, 128, seed) for seed in range(5)])
    page = sheet(pictures, [f"unit {index}" for index in range(5)], columns=3)
    assert page.dtype == torch.float32
    windows = {}
    for index, picture in enumerate(pictures):
        rows, columns = torch.where((page[0, 0] == picture[0, 0, 0]) & (page[0, 2] == picture[2, 0, 0]))
        top, left = int(rows[0]), int(columns[0])
        assert torch.equal(page[0, :, top : top + 128, left : left + 128], picture)
        windows[index] = (top, left)
    assert windows[0][0] == windows[1][0] == windows[2][0] < windows[3][0] == windows[4][0]
    assert windows[0][1] == windows[3][1] < windows[1][1] == windows[4][1] < windows[2][1]
    assert windows[1][1] - windows[0][1] - 128 <= 10


def test_a_sheet_is_white_but_for_pictures_and_captions() -> None:
    black = torch.zeros(2, 3, 100, 100)
    page = sheet(black, ["", ""])
    assert (page == 1).sum() + 2 * 3 * 100 * 100 == page.numel()
    captioned = sheet(black, ["left", ""])
    ink = captioned[0, 0, 106:] < 0.5
    assert ink.sum() > 20
    assert not ink[:, ink.shape[1] // 2 :].any()


def test_captions_stay_within_their_cell() -> None:
    page = sheet(torch.ones(3, 3, 120, 120), ["", "W" * 200 + " and " * 50, ""], columns=3)
    ink = torch.where((page[0] < 0.9).any(dim=0).any(dim=0))[0]
    gap = (page.shape[3] - 3 * 120) // 4
    assert ink.min() >= 2 * gap + 120
    assert ink.max() < 2 * gap + 240


def test_wrapping() -> None:
    font = ImageFont.load_default(12)
    assert _wrapped("short", font, 100) == ["short"]
    assert _wrapped("", font, 100) == []
    assert _wrapped("one\ntwo", font, 100) == ["one", "two"]
    lines = _wrapped("a sea lion on a rock in the evening sun of the north", font, 80)
    assert 1 < len(lines) <= 3
    assert all(font.getlength(line) <= 80 for line in lines)
    long = _wrapped("word " * 60, font, 80)
    assert len(long) == 3
    assert long[-1].endswith("...")
    assert all(font.getlength(line) <= 80 for line in long)
    assert "".join(_wrapped("blocks.4.1.conv_pw:112", font, 80)) == "blocks.4.1.conv_pw:112"


def test_letters_beyond_the_default_font_are_drawn() -> None:
    font = font_for(14, "café 3×3")
    missing = bytes(font.getmask("\uffff"))
    assert all(bytes(font.getmask(character)) != missing for character in "é×")


def test_row_titles_stand_above_their_rows() -> None:
    pictures = torch.zeros(6, 3, 100, 100)
    plain = sheet(pictures, columns=3)
    titled = sheet(pictures, row_titles=["early layers", "late layers"])
    assert titled.shape[3] == plain.shape[3]
    assert titled.shape[2] > plain.shape[2] + 20
    first_row = titled.shape[2] - plain.shape[2]
    assert (titled[0, 0, : first_row // 2, : titled.shape[3] // 2] < 0.5).sum() > 20


@pytest.mark.parametrize(("number", "columns"), [(1, 1), (4, 4), (6, 3), (9, 3), (12, 4), (32, 7)])
def test_default_columns(number: int, columns: int) -> None:
    page = sheet(torch.zeros(number, 3, 128, 128))
    changes = (page[0, 0, 64, 1:] != page[0, 0, 64, :-1]).sum()
    assert changes == 2 * columns


def test_pictures_of_many_sizes_and_tiny_ones() -> None:
    page = sheet([noise(28, 28), noise(60, 40)[0], noise(20, 150)], ["seven", "a cat", "wide"])
    assert page.shape[3] >= 3 * 150
    tiny = sheet(torch.zeros(2, 3, 28, 28), ["a seven", "a four"])
    assert tiny.shape[3] > 2 * 96
    # Enlarged by whole factors, with captions or without.
    assert sheet(torch.zeros(2, 3, 28, 28)).shape[3] == tiny.shape[3]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((torch.zeros(2, 3, 8, 8), ["one"]), {}, "1 captions for 2 pictures"),
        (([], []), {}, "at least one picture"),
        ((torch.zeros(2, 3, 8, 8),), {"columns": 0}, "0 columns"),
        ((torch.zeros(4, 3, 8, 8),), {"columns": 2, "row_titles": ["a"]}, "1 row titles for 2 rows"),
        (([torch.zeros(1, 1, 8, 8)],), {}, "not one picture"),
    ],
)
def test_sheets_that_can_not_be(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sheet(*arguments, **options)


def test_a_sheet_can_be_saved_with_its_recipe(tmp_path: Path) -> None:
    save(sheet(torch.rand(3, 3, 16, 16), ["a", "b", "c"]), tmp_path / "sheet.png", recipe={"units": 3})
    assert json.loads(json.dumps(read_recipe(tmp_path / "sheet.png"))) == {"units": 3}


def test_tiny_pictures_are_enlarged_by_whole_factors() -> None:
    tiny = torch.cat([noise(28, 28, seed) for seed in range(10)])
    page = sheet(tiny, ["T-shirt or top: 12.34"] * 10)
    squares = tiny[0].repeat_interleave(5, 1).repeat_interleave(5, 2)
    assert torch.equal(page[0, :, 7:147, 7:147], squares)
    # Ten captions of one line each.
    assert page.shape[2] < 3 * (140 + 40)


def test_pictures_of_100_px_stay_as_they_are() -> None:
    pictures = [noise(100, 40), noise(30, 30)]
    page = sheet(pictures, ["", ""])
    assert page.shape[2] < 130
