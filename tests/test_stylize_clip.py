"""Clips in a style, on a tiny network: how still they are, what they are read from and written to, what is refused."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from lanterna import pictures
from lanterna.errors import InputError, MissingError, PictureError
from lanterna.events import STOP, Entered, Event, Stepped
from lanterna.pictures import clip as clips
from lanterna.pictures.clip import clip_digest, is_clip, open_clip
from lanterna.pictures.film import save_film
from lanterna.techniques import stylize_clip
from lanterna.techniques.stylize_clip import StylizeClipRecipe

Run = Callable[..., SimpleNamespace]
NETWORK = tiny.make_vgg()
TINY = ["--network", "python:tiny:make_vgg", "--quiet"]
SMALL = ["--size", "40", "--steps", "3"]


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Maps this small are slower in two."""


@pytest.fixture(scope="module")
def panned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of a camera that pans over a photograph, a pixel and a half at a time, with a little noise."""
    folder, noise = tmp_path_factory.mktemp("clip"), torch.Generator().manual_seed(0)
    whole = pictures.load("chelsea", size=200)
    for frame in range(4):
        piece = whole[..., 20 : 20 + 72, 20 + 3 * frame : 20 + 3 * frame + 96]
        noisy = pictures.fitted(piece, (36, 48)) + 0.004 * torch.randn((1, 3, 36, 48), generator=noise)
        pictures.save(noisy.clamp(0, 1), folder / f"{frame + 8}.png")
    return folder


def recipe(clip: Path, **fields: object) -> StylizeClipRecipe:
    made = {"content": str(clip), "styles": ("coffee",), "size": "48", "steps": 20, **fields}
    return StylizeClipRecipe.model_validate(made)


def bits(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("frame-*.png"))}


def film(folder: Path, target: Path, fps: float = 10) -> Path:
    return save_film(sorted(folder.glob("*.png"), key=lambda file: int(file.stem)), target, fps=fps)


def test_flicker_is_less_than_half_of_that_of_frames_painted_alone(panned: Path, tmp_path: Path) -> None:
    kept = stylize_clip.run(recipe(panned), NETWORK, tmp_path / "kept")
    alone = stylize_clip.run(recipe(panned, temporal_weight=0.0, warm_start=False), NETWORK, tmp_path / "alone")
    assert sum(kept.flicker) < 0.5 * sum(alone.flicker)
    assert len(kept.flicker) == len(kept.content_flicker) == len(kept.trusted) == 3
    assert kept.content_flicker == alone.content_flicker and min(kept.trusted) > 0.7
    # Not by painting less: the style is about as near as without.
    style = [name for name in kept.losses if name.startswith("style")]
    assert sum(kept.losses[name] for name in style) < 2 * sum(alone.losses[name] for name in style)
    # The first frames have nothing before them.
    assert torch.equal(pictures.load(kept.frames[0]), pictures.load(alone.frames[0]))


def test_the_temporal_loss_helps_also_without_a_warm_start(panned: Path, tmp_path: Path) -> None:
    cold, alone = (
        stylize_clip.run(recipe(panned, frames=2, warm_start=False, **fields), NETWORK, tmp_path / name)
        for name, fields in (("cold", {}), ("alone", {"temporal_weight": 0.0}))
    )
    assert cold.flicker[0] < 0.9 * alone.flicker[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"init": "noise"},
        {"init": "style"},
        {"init": "coffee"},
        {"color": "content"},
        {"color": "luminance"},
        {"preset": "gatys"},
        {"tile": 40, "size": "60"},
    ],
)
def test_what_pictures_can_clips_can(panned: Path, tmp_path: Path, fields: dict[str, object]) -> None:
    made = stylize_clip.run(recipe(panned, frames=2, **{"steps": 3, **fields}), NETWORK, tmp_path / "made")
    assert len(made.frames) == 2 and pictures.load(made.frames[1]).shape[2:] == made.size


def test_an_interrupted_clip_goes_on_with_the_same_bits(panned: Path, tmp_path: Path) -> None:
    made = recipe(panned, steps=4)
    whole = stylize_clip.run(made, NETWORK, tmp_path / "whole")
    entered: list[str] = []

    def listen(event: Event) -> str | None:
        if isinstance(event, Entered):
            entered.append(event.title)
        # In the midst of the third frame.
        return STOP if isinstance(event, Stepped) and len(entered) == 3 else None

    cut = stylize_clip.run(made, NETWORK, tmp_path / "cut", on_event=listen)  # type: ignore[arg-type]
    assert cut.stopped and len(cut.frames) == 2 and entered[-1] == "frame 3 of 4"
    rest = stylize_clip.run(made, NETWORK, tmp_path / "cut")
    assert rest.resumed == 2 and not rest.stopped
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")
    assert (rest.flicker, rest.losses) == (whole.flicker, whole.losses)
    with pytest.raises(InputError, match="another film"):
        stylize_clip.run(recipe(panned, steps=5), NETWORK, tmp_path / "cut")


def test_after_a_cut_nothing_of_the_picture_before_is_left(tmp_path: Path) -> None:
    for name, sample in (("cut", "chelsea"), ("alone", "coffee")):
        (tmp_path / name).mkdir()
        for number, one in enumerate((sample, "coffee")):
            pictures.save(pictures.load(one, size=(36, 48)), tmp_path / name / f"{number}.png")
    cut = stylize_clip.run(recipe(tmp_path / "cut", steps=3), NETWORK, tmp_path / "out")
    alone = stylize_clip.run(recipe(tmp_path / "alone", steps=3), NETWORK, tmp_path / "other")
    assert (cut.trusted, cut.flicker, cut.content_flicker) == ((0.0,), (0.0,), (0.0,))
    assert alone.trusted[0] > 0.9, "what stands still is trusted up to the border"
    assert torch.equal(pictures.load(cut.frames[1]), pictures.load(alone.frames[0]))


def test_more_frames_of_a_clip_begin_with_the_same(panned: Path, tmp_path: Path) -> None:
    stylize_clip.run(recipe(panned, steps=2, frames=2), NETWORK, tmp_path / "out")
    longer = stylize_clip.run(recipe(panned, steps=2, frames=3), NETWORK, tmp_path / "out")
    assert longer.resumed == 2 and len(longer.frames) == 3


@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.mp4"])
def test_every_kind_of_clip_is_read_frame_by_frame(panned: Path, tmp_path: Path, name: str) -> None:
    made = film(panned, tmp_path / name)
    assert is_clip(made)
    clip = open_clip(made)
    assert (clip.count, clip.size) == (4, (36, 48)) and clip.fps == pytest.approx(10)
    for frame, still in zip(clip.frames(), open_clip(panned).frames(), strict=True):
        assert float((frame - still).abs().mean()) < 0.03
    assert open_clip(made, most=3).count == 3 and next(clip.frames(24)).shape == (1, 3, 18, 24)
    assert clip_digest(made) == clip_digest(made)


def test_a_folder_is_read_in_the_order_people_count_in(panned: Path) -> None:
    first = next(open_clip(panned).frames())
    assert torch.equal(first, pictures.load(panned / "8.png")), "8 comes before 10"
    assert open_clip(panned).fps is None


def test_what_is_a_picture_is_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chelsea").mkdir()
    assert not is_clip("chelsea") and is_clip("./chelsea") and is_clip("x.MP4") and not is_clip("x.gif")
    pictures.save(torch.rand(1, 3, 8, 8), "still.webp")
    assert not is_clip("still.webp")


def test_a_video_without_pyav_says_what_to_install(panned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, find_spec = film(panned, tmp_path / "clip.mp4"), importlib.util.find_spec
    monkeypatch.setattr(clips.importlib.util, "find_spec", lambda name: None if name == "av" else find_spec(name))
    with pytest.raises(MissingError, match=r"pip install 'lanterna\[video\]'"):
        open_clip(made)


def test_a_film_that_was_turned_is_read_upright(tmp_path: Path) -> None:
    import av

    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV can't write a turned film")
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32] = 255
    with av.open(str(tmp_path / "turned.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        # Shown a quarter clockwise: what is at the left is to be at the top.
        stream.set_display_rotation(-90)
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    clip = open_clip(tmp_path / "turned.mp4")
    frame = next(clip.frames())
    assert clip.size == (64, 32) and float(frame[..., :28, :].mean()) > 0.9 > 0.1 > float(frame[..., 36:, :].mean())


def test_damaged_clips_are_told(panned: Path, tmp_path: Path) -> None:
    for name in ("clip.gif", "clip.webp"):
        whole = film(panned, tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(PictureError, match=r"truncated or damaged|single picture"):
            open_clip(tmp_path / name)
    (tmp_path / "noise.mp4").write_bytes(b"no video at all" * 50)
    with pytest.raises(PictureError, match="no video"):
        open_clip(tmp_path / "noise.mp4")


@pytest.mark.parametrize("out", ["painted.mp4", "painted.gif", "painted.webp", "painted"])
def test_the_command_line_paints_a_clip(lanterna: Run, folder: Path, panned: Path, out: str) -> None:
    made = lanterna("stylize", str(panned), "coffee", *TINY, *SMALL, "--frames", "3", "--json", "--out", out)
    assert made.code == 0, made.err
    told = json.loads(made.out)
    assert told["outputs"] == [out] and told["frames"] == 3 and told["size"] == "30x40" and len(told["flicker"]) == 2
    assert [file.name for file in folder.iterdir()] == [out], "nothing else is left"
    assert open_clip(out).count == 3
    if out == "painted":
        refused = lanterna("replay", "painted/frame-00001.png", "--out", "again.png")
        assert refused.code == 2 and "single frame" in refused.err


def test_the_film_is_as_fast_as_the_clip(lanterna: Run, folder: Path, panned: Path) -> None:
    film(panned, folder / "clip.gif", fps=5)
    assert lanterna("stylize", "clip.gif", "coffee", *TINY, *SMALL, "--out", "a.gif", "--keep-frames").code == 0
    assert open_clip("a.gif").fps == pytest.approx(5) and len(bits(folder / "a.frames")) == 4
    again = lanterna("stylize", "clip.gif", "coffee", *TINY, *SMALL, "--out", "a.gif", "--fps", "20")
    assert again.code == 0 and open_clip("a.gif").fps == pytest.approx(20) and "flicker" in again.out
    # The first frame alone, where a picture is asked for.
    assert lanterna("stylize", "clip.gif", "coffee", *TINY, *SMALL, "--out", "a.png").code == 0
    assert pictures.read_recipe("a.png")["recipe"]["technique"] == "stylize"


def test_ctrl_c_keeps_whole_frames_and_the_same_command_goes_on(
    lanterna: Run, folder: Path, panned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["stylize", str(panned), "coffee", *TINY, *SMALL, "--out", "a.gif"]
    save, calls = pictures.save, iter(range(100))

    def killed(*arguments: object, **keywords: object) -> Path:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return save(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures, "save", killed)
    assert lanterna(*command).code == 130
    assert len(bits(folder / "a.frames")) == 2 and not Path("a.gif").exists()
    monkeypatch.setattr(pictures, "save", save)
    again = lanterna(*command, "--json")
    assert again.code == 0 and json.loads(again.out)["resumed"] == 2


@pytest.fixture
def wrong(folder: Path, panned: Path) -> Iterator[set[Path]]:
    """A folder with clips that can't be painted; gives what is in it."""
    for name, sizes in (("sizes", ((20, 24), (20, 24), (24, 20))), ("one", ((20, 24),)), ("none", ())):
        (folder / name).mkdir()
        for number, size in enumerate(sizes):
            pictures.save(torch.rand(1, 3, *size), folder / name / f"f{number}.png")
    (folder / "broken").mkdir()
    for number in range(2):
        pictures.save(torch.rand(1, 3, 20, 24), folder / "broken" / f"f{number}.png")
    (folder / "broken" / "f2.png").write_bytes((folder / "broken" / "f0.png").read_bytes()[:300])
    Image.new("RGB", (24, 20)).save(folder / "one.gif")
    (folder / "text.mp4").write_text("no film")
    film(panned, folder / "good.gif")
    yield set(folder.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sizes", "coffee"], "'f2.png' of 'sizes' is 24x20, but 'f0.png' is 20x24"),
        (["one", "coffee"], "has one frame"),
        (["none", "coffee"], "has no frames"),
        (["broken", "coffee"], "f2.png"),
        (["text.mp4", "coffee"], "no video"),
        (["nowhere.mp4", "coffee"], "does not exist"),
        (["one.gif", "coffee", "--out", "a.gif"], "no clip"),
        (["chelsea", "coffee", "--out", "a.mp4"], "no clip"),
        (["good.gif"], "no style was given"),
        (["good.gif", "nothing.png"], "does not exist"),
        (["good.gif", "coffee", "--out", "a.avi"], ".mp4, .gif, .webp"),
        (["text.mp4", "coffee", "--out", "a.png"], "is a picture"),
        (["good.gif", "coffee", "--out", "nowhere/a.gif"], "does not exist"),
        (["good.gif", "coffee", "--out", "a", "--keep-frames"], "keeps them anyway"),
        (["good.gif", "coffee", "--mask", "coffee", "--out", "a.gif"], "--mask"),
        (["good.gif", "coffee", "--checkpoint", "x"], "--checkpoint"),
        (["good.gif", "coffee", "--film", "x.gif"], "--film"),
        (["good.gif", "coffee", "--fps", "0"], "out of range"),
        (["good.gif", "coffee", "--frames", "1"], "--frames"),
        (["good.gif", "coffee", "--temporal-weight", "-1"], "--temporal-weight"),
        (["good.gif", "coffee", "--size", "2"], "too small"),
        (["chelsea", "coffee", "--no-warm-start"], "--warm-start goes with a clip"),
        (["chelsea", "coffee", "--frames", "3"], "--frames goes with a clip"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    lanterna: Run, folder: Path, wrong: set[Path], arguments: list[str], message: str
) -> None:
    result = lanterna("stylize", *arguments, *TINY)
    assert result.code == 2 and message in result.err and len(result.err.strip().splitlines()) == 1, result.err
    assert set(folder.rglob("*")) == wrong


@pytest.mark.parametrize("name", ["sizes", "one", "none", "broken", "text.mp4", "nowhere.mp4"])
@pytest.mark.usefixtures("wrong")
def test_what_is_no_clip_is_refused_before_the_network_is_loaded(
    lanterna: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("the network was loaded first")

    monkeypatch.setattr("lanterna.cli.stylize.load_network", loaded)
    assert lanterna("stylize", name, "coffee", *TINY).code == 2
