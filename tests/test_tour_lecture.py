"""What a lecture needs of the tour: pictures as files, a page in the room's language, and a command that was typed."""

import json
import re
import shlex
from pathlib import Path

import pytest
import tiny
from jinja2 import Environment

from lanterna import Network, pictures
from lanterna.networks.builtin import imagenet_labels
from lanterna.pictures import samples
from lanterna.report import TourRecipe, tour
from lanterna.report.figures import in_words
from lanterna.report.page import environment
from lanterna.report.tour import Tour
from lanterna.report.words import FILTERS, italian_class, italian_classes

QUICK = {"steps": 2, "size": 32, "depths": 2, "units": 2, "painter": "own"}
FLAGS = ("--network", "python:tiny:make", "--steps", "2", "--size", "32", "--depths", "1", "--units", "1", "--quiet")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    found = samples()
    few = {name: found[name] for name in ("coffee", "chelsea")}
    monkeypatch.setattr("lanterna.data.files.samples", lambda: few)


# -- figures -----------------------------------------------------------------------------------------------------------


def test_every_picture_of_the_page_is_a_file_with_a_recipe(whole_tour: Tour) -> None:
    text = whole_tour.page.read_text(encoding="utf-8")
    named = re.findall(r'data-file="([^"]+)"', text)
    folder = whole_tour.page.parent / "figures"
    assert named and len(set(named)) == len(named)
    assert {file.name for file in folder.iterdir()} == set(named)
    # One picture is no chapter's; the frame that enlarges has none.
    assert len(named) == text.count("<img") - 1
    for name in named:
        assert pictures.read_recipe(folder / name)["recipe"]["technique"]


def test_the_file_has_every_level_and_the_page_stays_light(whole_tour: Tour) -> None:
    text = whole_tour.page.read_text(encoding="utf-8")
    assert "data:image/png" not in text
    fooled = next(chapter for chapter in whole_tour.chapters if chapter.name == "fooled")
    # What fools is so in just these pixels.
    (exact,) = [figure for figure in fooled.figures if "All’occhio" in figure.captions["it"]]
    picture = pictures.load(whole_tour.page.parent / "figures" / exact.name)
    network = tiny.network()
    assert network.classify(picture, 1)[0][0].label == fooled.numbers["after"][0]["label"]


@pytest.mark.parametrize(("chapter", "place"), [("best_class", 1), ("units", 13), ("invert", 2), ("dream", 2), ("style", 4)])
def test_a_figure_is_made_again_from_its_recipe(lanterna, folder: Path, whole_tour: Tour, chapter: str, place: int) -> None:
    figure = whole_tour.page.parent / "figures" / f"{chapter}-{place:02d}.png"
    assert lanterna("replay", str(figure), "--network", "python:tiny:make", "--out", "again.png", "--quiet").code == 0
    assert (pictures.load(figure) - pictures.load("again.png")).abs().max() < 1.5 / 255


def test_figures_go_to_a_folder_with_their_captions(lanterna, folder: Path) -> None:
    call = ("tour", "coffee", *FLAGS, "--chapters", "units", "--figures", "slides")
    assert lanterna(*call).code == 0
    names = sorted(file.stem for file in (folder / "slides").glob("*.png"))
    assert names == sorted(file.stem for file in (folder / "slides").glob("*.txt"))
    assert names == ["picture-01", "units-01", "units-02", "units-03", "units-04"]
    english = (folder / "slides" / "units-01.txt").read_text(encoding="utf-8")
    assert english.startswith("Made for unit ") and re.search(r"made \d+\.\d+", english) and "<" not in english
    assert lanterna(*call, "--language", "it").code == 0
    italian = (folder / "slides" / "units-01.txt").read_text(encoding="utf-8")
    assert italian.startswith("Creata per l’unità ") and re.search(r"creata \d+,\d+", italian)


def test_a_smaller_tour_leaves_no_figures_of_a_larger_one(tmp_path: Path) -> None:
    recipe = {**QUICK, "chapters": ("units",)}
    tour(TourRecipe(**recipe), tiny.network(), tmp_path)
    (tmp_path / "figures" / "mine-01.png").write_bytes(b"a file of the user's")
    made = tour(TourRecipe(**{**recipe, "units": 1}), tiny.network(), tmp_path)
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert names == {"mine-01.png", "picture-01.png", *(figure.name for figure in made.chapters[0].figures)}
    # From the cache they are as they were.
    first = (tmp_path / "figures" / "units-01.png").read_bytes()
    again = tour(TourRecipe(**{**recipe, "units": 1}), tiny.network(), tmp_path)
    assert again.kept == ("units",) and (tmp_path / "figures" / "units-01.png").read_bytes() == first


def test_a_caption_is_read_in_one_language() -> None:
    html = '<b><span lang="en">made</span><span lang="it">creata <i></i>qui</span></b><br>1<div>a &amp; b</div>'
    assert in_words(html, "en") == "made 1 a & b" and in_words(html, "it") == "creata qui 1 a & b"


# -- languages ---------------------------------------------------------------------------------------------------------


def test_a_number_has_the_comma_of_its_language() -> None:
    page = environment().from_string("{{ 0.5|num }} {{ 0.124|pct(1) }} {{ 3|num('.0f') }}")
    assert page.render(language="en") == "0.50 12.4\u00a0% 3" and page.render(language="it") == "0,50 12,4\u00a0% 3"
    assert page.render().startswith('<span lang="en">0.50</span><span lang="it">0,50</span> ')
    assert isinstance(environment(), Environment) and set(FILTERS) <= set(environment().filters)


def test_no_decimal_point_is_left_in_italian(whole_tour: Tour) -> None:
    # Without commands and files, and layers named by numbers with points there are none in this network.
    for chapter in whole_tour.chapters:
        html = re.sub(r"<(code|svg|dd|style)\b.*?</\1>", "", chapter.html, flags=re.S)
        shown = re.sub(r"<[^>]*>", " ", re.sub(r'<(\w+)[^>]* lang="en"[^>]*>.*?</\1>', "", html, flags=re.S))
        assert re.findall(r".{0,30}\d\.\d.{0,10}", shown) == [], chapter.name


def test_every_class_of_imagenet_has_its_line() -> None:
    table = italian_classes()
    assert set(table) == set(imagenet_labels()) and len(table) == 1000
    assert italian_class("sea lion") == "leone marino" and italian_class("tiger cat") == "gatto soriano"
    assert all(italian_class(label) == f"{label} (in inglese)" for label, name in table.items() if not name)
    assert sum(not name for name in table.values()) < 20
    # What is not ImageNet's stays as its network has it.
    assert italian_class("my own") == "my own" and italian_class("class 7") == "classe 7"


def test_the_page_opens_in_the_language_that_was_asked_for(tmp_path: Path) -> None:
    recipe = {**QUICK, "chapters": ("layers",)}
    for language, first in (("auto", "en"), ("en", "en"), ("it", "it")):
        text = tour(TourRecipe(**recipe, language=language), _imagenet(), tmp_path).page.read_text(encoding="utf-8")
        assert text.startswith(f'<!doctype html>\n<html lang="{first}"')
        assert ("data-opens-in" in text.partition("<head>")[0]) is (language != "auto")
        checked = re.findall(r'id="language-(\w+)"[^>]* checked', text)
        assert checked == [first]
        assert "gatto" in text


def _imagenet() -> Network:
    """A thousand classes of one layer, whose best for the cat is some cat."""
    import torch

    network = tiny.make_flat()
    network.labels = imagenet_labels()
    named = [i for i, label in enumerate(network.labels) if label in ("tabby", "tiger cat", "Persian cat", "Siamese cat")]
    best = int(network.classify(pictures.load("chelsea"), 1)[0][0].index)
    labels = list(network.labels)
    labels[best] = labels[named[0]]
    network.labels = tuple(labels)
    assert torch.is_tensor(network.module(torch.zeros(1, 3, 32, 32)))
    return network


def test_another_language_makes_no_chapter_anew(tmp_path: Path) -> None:
    recipe = {**QUICK, "chapters": ("best_class",)}
    tour(TourRecipe(**recipe), tiny.network(), tmp_path)
    assert tour(TourRecipe(**recipe, language="it"), tiny.network(), tmp_path).kept == ("best_class",)


# -- what was typed ----------------------------------------------------------------------------------------------------


def test_the_command_on_the_page_is_what_was_typed(lanterna, folder: Path) -> None:
    typed = ["tour", "coffee", *FLAGS, "--quick", "--chapters", "1,layers", "--out", "my page"]
    assert lanterna(*typed).code == 0
    text = (folder / "my page" / "index.html").read_text(encoding="utf-8")
    said = re.findall(r'<code class="command">(lanterna tour .*?)</code>', text)
    assert len(said) == 1 and shlex.split(said[0].replace("&#39;", "'"))[1:] == typed


def test_chapters_by_number(lanterna, folder: Path) -> None:
    told = json.loads(lanterna("tour", *FLAGS, "--chapters", "6,1,layers", "--json").out)
    assert list(told["chapters"]) == ["best_class", "fooled", "layers"]
    wrong = lanterna("tour", *FLAGS, "--chapters", "9", "--out", "other")
    assert wrong.code == 2 and "1 best_class, 2 units" in wrong.err and not (folder / "other").exists()
