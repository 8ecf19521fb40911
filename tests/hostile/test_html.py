"""Names that are markup, on every page and view, in a real browser: they are read, and do nothing."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from browsing import chromium, needs_chromium
from torch import nn

from lanterna import Network, Preprocessing, pictures
from lanterna.pictures import to_html
from lanterna.report import TourRecipe, tour
from lanterna.report.how import command
from lanterna.report.tour import Tour
from lanterna.report.words import both
from lanterna.techniques.manifold import FIGURES
from lanterna.wording import figure_text, visible

Run = Callable[..., SimpleNamespace]

SCRIPT, IMAGE = "<script>hit=1</script>", '"><img src=x onerror="hit=1">'
CLOSED = "</title></style></script><img src=x onerror=hit=1>"
# Names of layers hold no dot and names of files no slash of their own; a slash makes folders, which is as good.
NAMES = (
    SCRIPT,
    IMAGE,
    CLOSED,
    "{{7*7}}{% raw %}{# #}",
    "' onload='hit=1",
    "javascript:hit=1",
    "\u202egnp tac\u2066 \u2028\x07\x1b[31m\x7f\r",
)
LABELS = (
    "<!--<script>",
    "&lt;b&gt;&amp;",
    "<img src=x onerror=hit=1>",
    "\u202etac",
    "{{7*7}}</ol></li>",
    "a\nb\x00 'quoted\"",
)
FILES = ("'><img src=x onerror='hit=1'>.png", "a<script>hit=1</script>.png", "#?%41&lt;\n\u202e.png")
CHAPTERS = ("best_class", "units", "invert", "dream", "style", "fooled", "layers")

# How many elements of each kind there are, by what they are called and the names of their attributes.
TALLY = """() => {
    const found = {};
    for (const one of document.querySelectorAll("*")) {
        const kind = [one.localName, ...one.getAttributeNames().sort()].join(" ");
        found[kind] = (found[kind] ?? 0) + 1;
    }
    return found;
}"""
TEXT = """() => [document.documentElement.textContent,
    ...[...document.querySelectorAll("*")].flatMap(one => [...one.attributes].map(named => named.value))].join("\\n")"""


@dataclass(frozen=True)
class Site:
    """A network, and a tour of it through the picture and the data in a folder."""

    made: Tour
    network: Network


def network(layers: tuple[str, ...], name: str, labels: tuple[str, ...]) -> Network:
    """The tiny one under other names."""
    module = nn.Sequential()
    for layer, part in zip(layers, tiny.module(), strict=True):
        module.add_module(layer, part)
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,), size=(32, 32))
    return Network.wrap(module, name=name, source=name, preprocessing=preprocessing, labels=labels)


def site(place: Path, layers: tuple[str, ...], name: str, labels: tuple[str, ...], files: tuple[str, ...]) -> Site:
    """The tour, with a second network under the same names; nothing of this machine takes part."""
    made, second = network(layers, name, labels), network(layers, f"{name} 2", labels)
    for number, (sample, file) in enumerate(zip(("chelsea", "coffee", "rocket"), files, strict=True)):
        target = place / "data" / (name if number else "other") / file
        target.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(pictures.load(sample, size=(48, 48)), target)
    with pytest.MonkeyPatch.context() as patch:
        found = {sample: pictures.samples()[sample] for sample in ("chelsea", "coffee")}
        patch.setattr("lanterna.data.files.samples", lambda: found)
        for module in ("report.chapters.best_class", "report.chapters.invert", "techniques.invert"):
            patch.setattr(f"lanterna.{module}.load_judge", lambda *_: second)
        for module in ("report.chapters.fooled", "techniques.fool"):
            patch.setattr(f"lanterna.{module}.second_network", lambda *_: second)
        for module in ("report.kept", "patterns.store"):
            patch.setattr(f"lanterna.{module}.cache_dir", lambda: place / "cache")
        recipe = TourRecipe(
            picture=str(place / "data" / "other" / files[0]), pictures=str(place / "data"), chapters=CHAPTERS,
            steps=1, size=32, depths=2, units=2, seconds=60,
        )  # fmt: skip
        return Site(tour(recipe, made, place / "page"), made)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site(tmp_path_factory.mktemp("hostile"), NAMES, CLOSED, LABELS, FILES)


@pytest.fixture(scope="module")
def innocent(tmp_path_factory: pytest.TempPathFactory) -> Site:
    layers = ("conv1", "act1", "conv2", "act2", "pool", "flat", "head")
    return site(tmp_path_factory.mktemp("innocent"), layers, "tiny", tiny.LABELS, ("cat.png", "cup.png", "rocket.png"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@contextmanager
def opened(browser: Any, page: Path, *, quiet: bool = True) -> Iterator[Any]:
    """The page, open; with `quiet` it must have said nothing and asked nobody, and in any case no script has run."""
    context = browser.new_context(locale="en-US")
    shown = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(page.as_uri())
    yield shown
    hit = shown.evaluate("typeof hit")
    context.close()
    assert hit == "undefined"
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert not quiet or said == []


def walk_through(page: Any) -> None:
    """Use everything whose script moves names about."""
    for language in ("it", "en"):
        page.click(f"label[for=language-{language}]")
    for summary in page.locator("details summary").all():
        summary.click()
    for slider in page.locator(".compare input").all():
        slider.press("ArrowRight")
    page.locator("figure img").first.click()
    for _ in range(page.locator("figure img").count()):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")


@needs_chromium
def test_a_tour_of_names_that_are_markup_has_the_elements_of_any_other(browser: Any, hostile: Site, innocent: Site) -> None:
    tallies = []
    for one in (innocent, hostile):
        with opened(browser, one.made.page) as page:
            walk_through(page)
            tallies.append(page.evaluate(TALLY))
            text, title, heading = page.evaluate(TEXT), page.title(), page.locator("h1").inner_text()
    # Sentences come and go with what was found in the pictures, which the order of their names decides among equals.
    for tally in tallies:
        assert tally.pop("span lang") > 100
    assert tallies[0] == tallies[1]
    assert tallies[1]["script"] == 1 and sum(tallies[1].values()) > 500
    for name in (*NAMES, FILES[0], *(one.label for one in hostile.made.predictions)):
        assert visible(name) in text, name
    assert heading == f"What {CLOSED} sees in {FILES[0]}" and title == heading
    assert any(visible(LABELS[number]) in text for number in (3, 5)) and "\u202e" not in text and "\x1b" not in text


@needs_chromium
def test_a_script_that_gets_into_the_page_after_all_does_not_run(browser: Any, innocent: Site, tmp_path: Path) -> None:
    text = innocent.made.page.read_text(encoding="utf-8")
    broken = tmp_path / "index.html"
    broken.write_text(
        text.replace('<main id="main">', '<main id="main"><img src="data:," onerror="hit=1"><script>hit=1</script>')
    )
    with opened(browser, broken, quiet=False) as page:
        # The page's own does.
        assert page.evaluate("document.documentElement.className") == "js"


def _data(place: Path, classes: tuple[str, ...], each: int) -> str:
    """A folder with a folder of pictures for each class, 28 px each."""
    generator = torch.Generator().manual_seed(0)
    for number, name in enumerate(classes):
        folder = place / name
        folder.mkdir(parents=True)
        for index in range(each):
            picture = torch.rand(1, 3, 28, 28, generator=generator) * 0.3 + 0.6 * (torch.arange(28) // 7 == number)
            pictures.save(picture.clamp(0, 1), folder / f"{index}{IMAGE}.png")
    return f"folder:{place}"


def _check(browser: Any, page: Path, images: int, names: tuple[str, ...]) -> None:
    with opened(browser, page) as shown:
        tally, text = shown.evaluate(TALLY), shown.evaluate(TEXT)
    kinds = {kind.split(" ")[0] for kind in tally}
    assert not kinds & {"script", "iframe", "object", "form", "a", "svg"}
    assert sum(count for kind, count in tally.items() if kind.startswith("img")) == images
    assert not any(named.startswith("on") for kind in tally for named in kind.split(" ")[1:])
    for name in names:
        assert visible(name) in text


FOLDER = "</title><script>hit=1</script>$a_{$"


@needs_chromium
def test_the_page_of_manifold(browser: Any, lanterna: Run, folder: Path) -> None:
    given = _data(folder / FOLDER, ("<img src=x onerror=hit=1>", "$a_{$", "_\u202e", os.fsdecode(b"\xff")), 10)
    (folder / FOLDER / "empty" / SCRIPT).mkdir(parents=True)
    little = {"seeds": 1, "classifier-steps": 2, "density-steps": 2, "noise": 20, "each": 4, "plane": 5, "attacked": 2,
              "attack-steps": 2}  # fmt: skip
    flags = [part for name, value in little.items() for part in (f"--{name}", str(value))]
    result = lanterna("manifold", "--data", given, *flags, "--out", "here", "--quiet", "--threads", "1")
    assert result.code == 0, result.err
    _check(browser, folder / "here" / "index.html", len(FIGURES), (given, f"empty/{SCRIPT}"))


@needs_chromium
def test_the_page_of_autoencode(browser: Any, lanterna: Run, folder: Path) -> None:
    given = _data(folder / FOLDER, ("<img src=x onerror=hit=1>", "$a_{$", os.fsdecode(b"\xff")), 8)
    (folder / FOLDER / "empty" / SCRIPT).mkdir(parents=True)
    flags = ["--code", "2", "--epochs", "1", "--parts", "lossy,loses,generate", "--side", "32"]
    result = lanterna("autoencode", "--data", given, *flags, "--out", "here", "--quiet", "--threads", "1")
    assert result.code == 0, result.err
    figures = len(list((folder / "here").glob("*.png")))
    _check(browser, folder / "here" / "index.html", figures, (given, f"empty/{SCRIPT}"))


@needs_chromium
def test_the_views_of_notebooks(browser: Any, tmp_path: Path, one_thread: None) -> None:
    net = network(NAMES, CLOSED, LABELS)
    picture = tmp_path / FILES[0]
    pictures.save(pictures.load("chelsea", size=(32, 32)), picture)
    views = [
        net.visualize(f"{NAMES[0]}:1", f"{NAMES[6]}:1", steps=1, size="16"),
        net.invert(NAMES[1], str(picture), steps=1, samples=1),
        net.dream(str(picture), NAMES[2], steps=1, octaves=1),
        net.fool(str(picture), steps=1),
    ]
    page = tmp_path / "notebook.html"
    html = "".join(view._repr_html_() for view in views)
    page.write_text(f"<!doctype html><meta charset=utf-8><link rel=icon href=data:,>{html}", encoding="utf-8")
    with opened(browser, page) as shown:
        tally, text = shown.evaluate(TALLY), shown.evaluate(TEXT)
    assert tally["img alt src"] == len(views)
    assert set(tally) == {"html", "head", "body", "meta charset", "link href rel", "img alt src"}
    for name in (NAMES[0], NAMES[6], NAMES[1], NAMES[2]):
        assert visible(name) in text


def test_a_picture_whose_name_is_not_utf_8_has_its_page(tmp_path: Path, one_thread: None) -> None:
    picture = tmp_path / os.fsdecode(b"\xff'\x1b.png")
    pictures.save(pictures.load("chelsea", size=(32, 32)), picture)
    named = network(("\udcff", "\ud800", *NAMES[2:]), "\udcfe", LABELS)
    made = tour(TourRecipe(picture=str(picture), chapters=("layers",)), named, tmp_path / "page")
    text = made.page.read_text(encoding="utf-8")
    assert r"\udcff&#39;\x1b.png" in text and r"<td>\ud800</td>" in text and r"What \udcfe sees" in text


WORDS = (b"a\nb'\\c", b"\xe2\x80\xaegnp.png", b"\x1b[31m \xff.png", "caf\u00e9\u00a0d".encode(), b"$(id)'`")


@pytest.mark.parametrize("word", WORDS)
def test_a_command_from_a_page_names_the_file_however_it_is_called(word: bytes) -> None:
    line = command("tour", os.fsdecode(word))
    assert line.isprintable()
    shell = line.replace("lanterna tour", "printf %s", 1)
    assert subprocess.run(["bash", "-c", shell], capture_output=True, check=True).stdout == word


def test_what_is_not_seen_is_spelled_out_and_all_else_kept() -> None:
    assert visible("\u202e\x00\r\x85\udcff\ufeff") == r"\u202e\x00\r\x85\udcff\ufeff"
    kept = "a\tb\n\u00e9 \u65e5\u672c \u05d0 \U0001f469\u200d\U0001f4bb \\u202e \u202f\u00a0"
    assert visible(kept) == kept
    assert 'alt="&lt;b&gt; &quot;\\u202e"' in to_html(torch.zeros(1, 3, 4, 4), '<b> "\u202e')
    assert str(both("<b>", "'")) == '<span lang="en">&lt;b&gt;</span><span lang="it">&#39;</span>'


@pytest.mark.parametrize("name", ["$a_{$", "$x$", "\\$x\\$", "_x", "\udcff", "\x07"])
def test_a_class_of_any_name_is_drawn_as_it_is_called(name: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure()
    legend = figure.legend(handles=[Patch(label=figure_text(name))])
    FigureCanvasAgg(figure).draw()
    (shown,) = legend.get_texts()
    text, formula = shown._preprocess_math(shown.get_text())
    assert not formula and text.strip() == visible(name)
