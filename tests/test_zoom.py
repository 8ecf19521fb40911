"""Films of an endless zoom: whole or not at all, and continued where they stopped."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lanterna import pictures
from lanterna.pictures import film as films
from lanterna.techniques.zoom import ZoomRecipe, coarse, kept, moved

Run = Callable[..., SimpleNamespace]
FILM = ["dream", "python:tiny:make", "coffee", "--size", "48x64", "--octaves", "1", "--steps", "1", "--layer", "act2"]


def frames(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("frame-*.png"))}


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_a_film_has_its_frames(lanterna: Run, folder: Path, name: str) -> None:
    made = lanterna(*FILM, "--zoom", "4", "--out", name)
    assert made.code == 0, made.err
    assert [file.name for file in folder.iterdir()] == [name], "the frames are gone"
    if name.endswith(".gif"):
        with Image.open(name) as image:
            assert image.n_frames == 4 and image.size == (64, 48)
    else:
        import av

        with av.open(name) as container:
            assert sum(1 for _ in container.decode(video=0)) == 4


def test_an_interrupted_film_goes_on_as_if_it_had_not_been(
    lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lanterna(*FILM, "--zoom", "5", "--out", "whole.gif", "--keep-frames").code == 0
    save, calls = pictures.save, iter(range(100))

    def killed(*arguments: object, **keywords: object) -> Path:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return save(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures, "save", killed)
    assert lanterna(*FILM, "--zoom", "5", "--out", "cut.gif", "--keep-frames").code == 130
    assert not Path("cut.gif").exists() and len(frames(folder / "cut.frames")) == 3
    monkeypatch.setattr(pictures, "save", save)
    again = lanterna(*FILM, "--zoom", "5", "--out", "cut.gif", "--keep-frames", "--json")
    assert again.code == 0 and '"resumed": 3' in again.out
    assert frames(folder / "cut.frames") == frames(folder / "whole.frames")
    assert Path("cut.gif").read_bytes() == Path("whole.gif").read_bytes()


KILLED = """
    import os, signal, sys
    from lanterna.cli.main import main

    replace, calls = os.replace, iter(range(100))

    def killed(*arguments):
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments)

    os.replace = killed
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_while_it_writes_a_frame_a_film_goes_on(lanterna: Run, folder: Path) -> None:
    # As many threads here as in the process that is killed: the same bits.
    film = [*FILM, "--zoom", "5", "--keep-frames", "--quiet", "--threads", str(torch.get_num_threads()), "--out"]
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), *film, "cut.gif"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    # The first file is what says whose frames these are.
    assert not Path("cut.gif").exists() and len(frames(folder / "cut.frames")) == 2
    again = lanterna(*film, "cut.gif", "--json")
    assert again.code == 0 and '"resumed": 2' in again.out, again.err
    assert lanterna(*film, "whole.gif").code == 0
    assert frames(folder / "cut.frames") == frames(folder / "whole.frames")
    assert Path("cut.gif").read_bytes() == Path("whole.gif").read_bytes()
    assert not list((folder / "cut.frames").glob(".*")), "what was half written is gone"


def test_a_full_disk_keeps_the_frames_and_says_so(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(films, "_gif", full)
    result = lanterna(*FILM, "--zoom", "3", "--out", "film.gif")
    assert result.code == 2 and "No space left on device" in result.err
    assert len(frames(folder / "film.frames")) == 3 and not Path("film.gif").exists()
    assert not [file for file in folder.iterdir() if file.suffix == ".tmp"]


def test_frames_of_another_film_are_left_alone(lanterna: Run, folder: Path) -> None:
    assert lanterna(*FILM, "--zoom", "2", "--out", "film.gif", "--keep-frames").code == 0
    before = frames(folder / "film.frames")
    result = lanterna(*FILM, "--zoom", "2", "--seed", "5", "--out", "film.gif")
    assert result.code == 2 and "another film" in result.err
    assert frames(folder / "film.frames") == before


def test_a_film_can_be_made_longer(lanterna: Run, folder: Path) -> None:
    assert lanterna(*FILM, "--zoom", "2", "--out", "film.gif", "--keep-frames").code == 0
    result = lanterna(*FILM, "--zoom", "3", "--out", "film.gif", "--keep-frames", "--json")
    assert result.code == 0 and '"resumed": 2' in result.out


def test_mp4_without_pyav_says_what_to_install(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(films.MissingError, match=r"lanterna\[video\]"):
        films.check_film("film.mp4")


def test_neighbouring_frames_are_alike() -> None:
    """A frame that is moved and not dreamt on is the last one, nearer: its middle stays where it was."""
    recipe = ZoomRecipe(picture="coffee", zoom=3, zoom_factor=1.1, zoom_rotate=0.0)
    picture = pictures.load("coffee", size=(101, 101))
    next_one = moved(picture, recipe)
    assert torch.allclose(next_one[..., 50, 50], picture[..., 50, 50], atol=1e-3)
    # 22 pixels from the middle shows what was 20 pixels from it.
    assert torch.allclose(next_one[..., 50, 72], picture[..., 50, 70], atol=2e-2)


def test_the_way_of_many_frames_is_that_of_one_after_the_other() -> None:
    recipe = ZoomRecipe(picture="coffee", zoom=3, zoom_factor=1.05, zoom_rotate=3.0, zoom_right=2.0)
    smooth = coarse(pictures.load("coffee", size=(90, 120)))
    stepwise = moved(moved(moved(smooth, recipe), recipe), recipe)
    inside = (..., slice(15, -15), slice(15, -15))
    assert float((moved(smooth, recipe, 3)[inside] - stepwise[inside]).abs().mean()) < 5e-3
    assert float((smooth[inside] - stepwise[inside]).abs().mean()) > 2e-2


@pytest.mark.parametrize(("keep", "left"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_what_is_kept_are_the_large_shapes_of_the_first_picture(keep: float, left: float) -> None:
    recipe = ZoomRecipe(picture="coffee", zoom=3, keep=keep)
    first, other = (0.25 + 0.5 * pictures.load(name, size=(96, 144)) for name in ("chelsea", "coffee"))
    target = coarse(moved(first, recipe, 2))
    before, after = (float((coarse(picture) - target).abs().mean()) for picture in (other, kept(other, first, recipe, 2)))
    assert after == pytest.approx(left * before, abs=0.02 * before + 0.15 * keep * before)
    fine = (kept(other, first, recipe, 2) - other) - coarse(kept(other, first, recipe, 2) - other)
    assert float(fine.abs().mean()) < 0.1 * max(before, 1e-9), "small ones are left as they were dreamt"


def test_keep_goes_with_a_film(lanterna: Run, folder: Path) -> None:
    assert "--keep goes with --zoom" in lanterna("dream", "python:tiny:make", "coffee", "--keep", "0.5").err
