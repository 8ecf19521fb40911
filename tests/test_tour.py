import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tiny
import torch

from lanterna import InputError, Network, Preprocessing
from lanterna.events import STOP, Entered, Event, Started, Stepped
from lanterna.networks.depths import layers_through_depth
from lanterna.pictures import samples, save
from lanterna.report import TourRecipe, tour
from lanterna.report.chapters import CHAPTERS
from lanterna.report.words import value

QUICK = {"steps": 3, "size": 32, "depths": 2, "units": 2, "painter": "own"}
SHORT = {**QUICK, "chapters": ("units", "best_class", "layers")}


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the samples as data: what is tested here is the page."""
    found = samples()
    few = {name: found[name] for name in ("coffee", "chelsea")}
    monkeypatch.setattr("lanterna.data.files.samples", lambda: few)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))
        self.sources += [value for name, value in attrs if name == "src" and value]
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_has_everything_and_needs_nothing_else(tmp_path: Path) -> None:
    made = tour(TourRecipe(**SHORT), tiny.network(), tmp_path / "new" / "folder")
    page = _Page(made.page.read_text(encoding="utf-8"))
    # The photograph; of two layers two units made, found, seen and the control; the class from noise, from the photograph and
    # by an untrained copy; and the frame that enlarges any of them.
    assert len(page.images) == 1 + 2 * 2 * 4 + 3 + 1
    assert all(source.startswith(("data:image/jpeg;base64,", "data:image/webp;base64,")) for source in page.sources)
    # Papers are named, never fetched.
    assert all(link.startswith(("#", "https://")) for link in page.links)
    assert all(image["alt"] and image["data-alt-it"] for image in page.images[:-1])
    for prediction in made.predictions:
        assert prediction.label in page.words
    assert len(made.predictions) == 5
    for layer in tiny.network().layers():
        assert layer.name in page.words and layer.kind in page.words
    for row in made.chapters[1].numbers["layers"]:
        for activation in row["activation"]:
            said = value(activation)
            assert re.search(
                rf"(?:made\s*creata|wants\s*filtro, e ciò che vuole) {said}{said.replace('.', ',')}\s", page.words
            )
    assert sorted(path.name for path in made.page.parent.iterdir()) == ["figures", "index.html"]


def test_text_of_the_user_is_escaped(tmp_path: Path) -> None:
    network = tiny.network()
    network.name = "<script>alert(1)</script>"
    made = tour(TourRecipe(**SHORT), network, tmp_path)
    text = made.page.read_text(encoding="utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_a_network_without_classes_has_its_layers_shown(tmp_path: Path) -> None:
    features = Network.wrap(tiny.module()[:4], name="features", preprocessing=Preprocessing(size=(32, 32)))
    made = tour(TourRecipe(**SHORT), features, tmp_path)
    assert made.predictions == ()
    assert [(chapter.name, chapter.left_out) for chapter in made.chapters] == [
        ("best_class", "no_classes"),
        ("units", None),
        ("layers", None),
    ]
    page = _Page(made.page.read_text(encoding="utf-8"))
    assert len(page.images) == 1 + 2 * 2 * 4 + 1
    assert "features gives maps and no classes, and this chapter asks for one" in page.words
    assert "features dà mappe e non classi" in page.words


def test_one_bar_for_all_runs(tmp_path: Path) -> None:
    events: list[Event] = []
    tour(TourRecipe(**QUICK), tiny.network(), tmp_path, events.append)
    started = [event for event in events if isinstance(event, Started)]
    steps = [event.step for event in events if isinstance(event, Stepped)]
    assert len(started) == 1
    assert steps == sorted(steps) and steps[-1] == started[0].steps
    entered = [event.title for event in events if isinstance(event, Entered)]
    assert entered == [kind.title for kind in CHAPTERS]


def test_stopping_keeps_what_is_finished(tmp_path: Path) -> None:
    def stop_half_way(event: Event) -> str | None:
        return STOP if isinstance(event, Stepped) and event.step > 700 else None

    recipe = TourRecipe(**{**SHORT, "chapters": ("best_class", "invert", "dream", "layers")})
    made = tour(recipe, tiny.network(), tmp_path, stop_half_way)
    assert made.stopped and [chapter.name for chapter in made.chapters] == ["best_class", "invert", "layers"]
    assert "stopped early" in made.page.read_text(encoding="utf-8")
    # What was finished is not made again; what was cut off is.
    again = tour(recipe, tiny.network(), tmp_path)
    assert again.kept == ("best_class",) and not again.stopped
    assert [chapter.name for chapter in again.chapters] == list(recipe.chapters)


def test_steps_follow_from_the_seconds(tmp_path: Path) -> None:
    recipe = {**SHORT, "steps": None, "units": 1, "depths": 1, "chapters": ("units",)}
    short = tour(TourRecipe(**recipe, seconds=1e-6), tiny.network(), tmp_path)
    long = tour(TourRecipe(**recipe, seconds=3600), tiny.network(), tmp_path)
    assert short.chapters[0].numbers["layers"][0]["steps"] == 48
    assert long.chapters[0].numbers["layers"][0]["steps"] == 256


def test_the_command_prints_the_path_and_the_numbers(lanterna, folder: Path) -> None:
    flags = ["--network", "python:tiny:make", "--steps", "2", "--depths", "2", "--units", "2", "--size", "32"]
    flags += ["--chapters", "best_class,units"]
    plain = lanterna("tour", "coffee", *flags, "--out", "here")
    assert plain.code == 0 and Path(plain.out.strip()) == folder / "here" / "index.html"
    told = json.loads(lanterna("tour", "coffee", *flags, "--out", "here", "--json", "--quiet").out)
    assert told["recipe"]["picture"] == "coffee" and len(told["chapters"]["units"]["layers"]) == 2
    assert len(told["predictions"]) == 5


def test_layers_through_depth_are_in_order_and_see_more_and_more(lite0, vgg16_hed) -> None:
    for network in (lite0, vgg16_hed):
        layers = layers_through_depth(network, 6)
        fields = [layer.receptive_field for layer in layers]
        assert len(layers) == 6 and fields == sorted(fields) and len(set(fields)) == 6
    assert [layer.name for layer in layers_through_depth(vgg16_hed, 3)][-1] == "relu5_3"
    # The end of lite0 is its last block and not the ReLU6 behind it, which saturates.
    assert re.fullmatch(r"blocks(\.6)?", layers_through_depth(lite0, 6)[-1].name)


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_layers_through_depth_of_any_number(count: int) -> None:
    layers = layers_through_depth(tiny.network(), count)
    assert 1 <= len(layers) <= count
    assert layers[-1].name == "act2"


def test_chapters_by_name(lanterna, folder: Path) -> None:
    flags = ["--network", "python:tiny:make", "--steps", "2", "--size", "32", "--json", "--quiet"]
    told = json.loads(lanterna("tour", *flags, "--chapters", "layers,best_class").out)
    assert list(told["chapters"]) == ["best_class", "layers"]
    wrong = lanterna("tour", *flags, "--chapters", "unit", "--out", "other")
    assert wrong.code == 2 and "did you mean 'units'" in wrong.err and not (folder / "other").exists()


def test_units_are_shown_made_found_and_seen(tmp_path: Path) -> None:
    made = tour(TourRecipe(**{**QUICK, "chapters": ("units",)}), tiny.network(), tmp_path)
    (chapter,) = made.chapters
    page = _Page(made.page.read_text(encoding="utf-8"))
    # The photograph, and for two layers of two units: made, found, seen, and the control.
    assert len(page.images) == 1 + 2 * 2 * 4 + 1
    assert chapter.numbers["patterns"]["pictures"] == 2 and len(chapter.numbers["patterns"]["units"]) == 4
    assert "crops of them at several scales count as data" in page.words
    # Of a unit that is climbed: those of the first layer are known exactly, at one position.
    quantiles = [unit["quantiles"]["mean"]["0.99"] for unit in chapter.numbers["patterns"]["units"]]
    said = re.search(r'≤ <span lang="en">([\d.]+)</span><span lang="it">[\d,]+</span>', chapter.html)
    assert said is not None and min(abs(float(said[1]) - quantile) for quantile in quantiles) < 0.006


def test_units_are_looked_for_in_a_folder_of_the_readers(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("one", "two"):
        save(torch.rand(1, 3, 50, 60), tmp_path / "mine" / f"{name}.png")
    recipe = {**QUICK, "chapters": ("units",), "pictures": str(tmp_path / "mine")}
    made = tour(TourRecipe(**recipe), tiny.network(), tmp_path / "page")
    assert made.chapters[0].numbers["patterns"]["pictures"] == 2
    with pytest.raises(InputError, match="there is no folder"):
        tour(TourRecipe(**{**recipe, "pictures": str(tmp_path / "nowhere")}), tiny.network(), tmp_path / "other")
    assert not (tmp_path / "other").exists()
