"""What each chapter of the tour is made of, in both languages; what is kept; and what random weights look like."""

import html
import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from lanterna import Network, Preprocessing
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.stored import kept
from lanterna.networks.learnt import neighbour_correlation
from lanterna.networks.untrained import untrained
from lanterna.pictures import sample, samples
from lanterna.report import TourRecipe, tour
from lanterna.report.chapters import CHAPTERS
from lanterna.report.chapters.invert import prior_for
from lanterna.report.how import command, command_for
from lanterna.report.pace import affordable_side
from lanterna.report.page import environment
from lanterna.report.prose import LANGUAGES, PIECES
from lanterna.report.tour import SIDE, Tour
from lanterna.techniques.manifold import ManifoldRecipe

QUICK = {"steps": 2, "size": 32, "depths": 2, "units": 2, "painter": "own"}


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    found = samples()
    few = {name: found[name] for name in ("coffee", "chelsea")}
    monkeypatch.setattr("lanterna.data.files.samples", lambda: few)


# -- words -------------------------------------------------------------------------------------------------------------


def _pieces(language: str, name: str) -> set[str]:
    return set(environment().get_template(f"prose/{language}/{name}.html").blocks)


@pytest.mark.parametrize("name", [kind.name for kind in CHAPTERS if kind.number])
def test_every_language_has_every_piece_of_a_chapter(name: str) -> None:
    for language in LANGUAGES:
        assert _pieces(language, name) == set(PIECES), language


@pytest.mark.parametrize("name", ["page", "left_out", "layers"])
def test_every_language_has_the_words_around_the_chapters(name: str) -> None:
    first, *others = (_pieces(language, name) for language in LANGUAGES)
    assert first and all(other == first for other in others)


def test_no_language_has_a_file_that_another_lacks() -> None:
    root = Path(tour.__code__.co_filename).parent / "templates" / "prose"
    files = [{file.name for file in (root / language).iterdir()} for language in LANGUAGES]
    assert files[0] == files[1] and {folder.name for folder in root.iterdir()} == set(LANGUAGES)


def test_the_lecture_is_in_its_order() -> None:
    numbered = [(kind.number, kind.name) for kind in CHAPTERS if kind.number]
    names = ["best_class", "units", "invert", "dream", "style", "fooled", "manifold", "autoencode"]
    assert numbered == list(enumerate(names, 1))


# -- chapters ----------------------------------------------------------------------------------------------------------


def test_each_chapter_has_all_of_its_parts(whole_tour: Tour) -> None:
    for kind, chapter in zip(CHAPTERS, whole_tour.chapters, strict=True):
        assert chapter.name == kind.name
        if kind.number is None or chapter.left_out:
            continue
        for part in ('class="idea"', "<figure", 'class="measure"', "Would be wrong if", "Sarebbe sbagliato se",
                     'class="command"', 'class="python"', 'class="parameters"', 'class="papers"'):  # fmt: skip
            assert part in chapter.html, (kind.name, part)
        english, italian = (chapter.html.count(f'lang="{language}"') for language in LANGUAGES)
        # The one has a line for each thing to know of the data, the other a sentence for all.
        assert english - italian in ((0, 1, 2) if chapter.name == "units" else (0,))
        holds = chapter.numbers["claim_holds"]
        verdict = {True: "The measurement agrees", None: "Not decided here", False: "The measurement contradicts it"}[holds]
        # Of the network, which is untrained, no chapter claims to have found what it learnt; two train networks of their own.
        own = kind.name in ("manifold", "autoencode")
        assert (verdict if own else "No finding of what was learnt") in chapter.html


def test_every_command_on_the_page_works(whole_tour: Tour, lanterna) -> None:
    """With the network that it names; the tour itself, and what trains on digits, are tested elsewhere."""
    commands = re.findall(r'<code class="command">(.*?)</code>', whole_tour.page.read_text(encoding="utf-8"))
    ran = set()
    for one in commands:
        words = shlex.split(html.unescape(one))[1:]
        if words[0] not in ("manifold", "autoencode", "tour"):
            found = lanterna(*("python:tiny:make" if word == "tiny" else word for word in words), "--quiet")
            # An attack that finds nothing in so few steps says so, with a code of its own.
            assert found.code == 0 or (words[0] == "fool" and "not fooled" in found.out), (one, found.err)
            ran.add(words[0])
    assert ran == {"visualize", "patterns", "invert", "dream", "stylize", "fool"}


def test_every_python_on_the_page_works(whole_tour: Tour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lanterna.load", lambda _source: tiny.network())
    ran = 0
    for chapter in whole_tour.chapters:
        for found in re.findall(r'<code class="python">(.*?)</code>', chapter.html, re.S):
            program = compile(html.unescape(found), chapter.name, "exec")
            if chapter.name in ("manifold", "autoencode"):
                continue
            values: dict[str, object] = {}
            exec(program, values)
            assert "made" in values
            ran += 1
    assert ran >= 7


def test_a_command_is_quoted_for_the_shell() -> None:
    said = command("dream", "vgg16_hed", "my cat.jpg", layer=("relu4_1", "relu5_1"), steps=0, native=True, arch=None)
    assert said == "lanterna dream vgg16_hed 'my cat.jpg' --layer relu4_1 --layer relu5_1 --steps 0 --native"


def test_a_page_says_the_command_with_all_that_was_asked() -> None:
    assert command_for("autoencode", AutoencodeRecipe()) == "lanterna autoencode"
    asked = AutoencodeRecipe(data="folder:my cats", code=(2, 8), parts=("lossy", "bits"), kl_weight=0.5)
    said = "lanterna autoencode --data 'folder:my cats' --code 2,8 --kl-weight 0.5 --parts lossy,bits"
    assert command_for("autoencode", asked) == said
    assert command_for("manifold", ManifoldRecipe(fit=True, attack_steps=3)) == "lanterna manifold --fit --attack-steps 3"


def test_a_network_of_five_channels_says_why_chapters_are_left_out(tmp_path: Path) -> None:
    made = tour(TourRecipe(**{**QUICK, "chapters": ("best_class", "invert", "dream", "style", "fooled")}), _five(), tmp_path)
    assert {chapter.left_out for chapter in made.chapters} == {"no_classes", "channels"}
    text = made.page.read_text(encoding="utf-8")
    assert "takes 5 channels" in text and "accetta 5 canali" in text


def test_a_network_without_maps_says_which_chapters_need_one(tmp_path: Path) -> None:
    names = ("best_class", "units", "dream")
    made = tour(TourRecipe(picture="coffee", chapters=names, steps=1), tiny.make_flat(), tmp_path)
    assert [chapter.left_out for chapter in made.chapters] == [None, "no_maps", "no_maps"]


def _five() -> Network:
    return Network.wrap(tiny.module(5)[:4], name="five", preprocessing=Preprocessing(channels=5, size=(32, 32)))


@pytest.mark.parametrize(("error", "holds"), [(0.964, True), (0.9, False)])
def test_of_noise_a_code_may_bring_back_its_share_of_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, holds: bool
) -> None:
    found = kept()
    made = replace(found, kinds=(*found.kinds[:-1], replace(found.kinds[-1], error=error)))
    monkeypatch.setattr("lanterna.report.chapters.autoencode.kept", lambda: made)
    chapter = tour(TourRecipe(picture="coffee", chapters=("autoencode",)), tiny.make(), tmp_path).chapters[0]
    assert chapter.numbers["claim_holds"] is holds


def test_autoencoders_are_beside_pca_and_noise(whole_tour: Tour) -> None:
    chapter = next(chapter for chapter in whole_tour.chapters if chapter.name == "autoencode")
    assert [size["code"] for size in chapter.numbers["sizes"]] == [2, 8, 32, 128]
    assert all(0 < size["pca_mse"] < chapter.numbers["mean_picture_mse"] for size in chapter.numbers["sizes"])
    assert chapter.numbers["kinds"][-1]["pictures"] == "noise"


# -- learnt ------------------------------------------------------------------------------------------------------------


def test_trained_networks_have_learnt_and_their_random_copies_have_not(lite0: Network, vgg16_hed: Network) -> None:
    for network in (lite0, vgg16_hed):
        trained, blank = neighbour_correlation(network.module), neighbour_correlation(untrained(network).module)
        assert trained is not None and trained.learnt and trained.correlation > 0.3
        assert blank is not None and not blank.learnt


@pytest.mark.parametrize("seed", range(10))
def test_random_kernels_are_no_learning(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(*(nn.Conv2d(4, 4, size) for size in (2, 3, 3, 5, 7)))
    found = neighbour_correlation(module)
    assert found is not None and not found.learnt


def test_a_smooth_kernel_is_learning_and_points_tell_nothing() -> None:
    smooth = nn.Conv2d(3, 16, 5)
    smooth.weight.data = torch.randn(16, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 5, 5).clone()
    found = neighbour_correlation(smooth)
    assert found is not None and found.learnt and found.correlation > 0.7
    assert neighbour_correlation(nn.Conv2d(3, 16, 1)) is None


def test_a_network_that_has_learnt_nothing_is_called_so(tmp_path: Path, whole_tour: Tour) -> None:
    text = whole_tour.page.read_text(encoding="utf-8")
    assert "This network has learnt nothing." in text and "Questa rete non ha imparato nulla." in text
    assert "These weights are random" in text
    trained = tiny.module()
    trained.conv1.weight.data = trained.conv1.weight.data.mean((2, 3), keepdim=True).expand(-1, -1, 5, 5).clone()
    network = Network.wrap(trained, name="smooth", preprocessing=Preprocessing(size=(32, 32)))
    made = tour(TourRecipe(**{**QUICK, "chapters": ("layers",)}), network, tmp_path)
    text = made.page.read_text(encoding="utf-8")
    assert "has learnt nothing" not in text and "These weights have learnt." in text


# -- kept --------------------------------------------------------------------------------------------------------------

ONE = {**QUICK, "chapters": ("best_class", "dream", "layers")}


def test_a_second_tour_takes_what_is_finished_and_looks_the_same(tmp_path: Path) -> None:
    first = tour(TourRecipe(**ONE), tiny.network(), tmp_path / "one")
    second = tour(TourRecipe(**ONE), tiny.network(), tmp_path / "two")
    assert first.kept == () and second.kept == ("best_class", "dream", "layers")
    assert second.chapters == first.chapters
    assert json.dumps(second.chapters[0].numbers) == json.dumps(first.chapters[0].numbers)


def test_chapters_are_made_anew_where_anything_they_depend_on_has_changed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.png"
    mine.write_bytes(Path(sample("chelsea")).read_bytes())
    recipe = {**ONE, "picture": str(mine)}

    def again(network: Network | None = None, **changed: object) -> tuple[str, ...]:
        return tour(TourRecipe(**{**recipe, **changed}), network or tiny.network(), tmp_path / "page").kept

    everything = ("best_class", "dream", "layers")
    assert again() == () and again() == everything
    assert again(seed=1) == () and again(steps=3) == ()
    other = tiny.network()
    other.module.conv1.weight.data[0, 0, 0, 0] += 1
    assert again(other) == ()
    mine.write_bytes(Path(sample("coffee")).read_bytes())
    assert again() == ()
    assert again() == everything


def test_a_damaged_kept_chapter_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    tour(TourRecipe(**ONE), tiny.network(), tmp_path / "page")
    kept = sorted((tmp_path / "cache" / "tour").iterdir())
    assert len(kept) == 3
    for file in kept:
        file.write_text(file.read_text()[:50])
    assert tour(TourRecipe(**ONE), tiny.network(), tmp_path / "page").kept == ()
    assert len(tour(TourRecipe(**ONE), tiny.network(), tmp_path / "page").kept) == 3


def test_kept_chapters_do_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lanterna.report.kept._MOST", 2)
    for seed in range(3):
        tour(TourRecipe(**{**QUICK, "chapters": ("layers",), "seed": seed}), tiny.network(), tmp_path / "page")
        for place, file in enumerate(sorted((tmp_path / "cache" / "tour").iterdir(), key=os.path.getmtime)):
            os.utime(file, (place, place))
    assert len(list((tmp_path / "cache" / "tour").iterdir())) == 2


# -- efforts -----------------------------------------------------------------------------------------------------------


def test_quick_and_full_are_short_for_flags(lanterna) -> None:
    flags = ["--network", "python:tiny:make", "--chapters", "layers", "--json", "--quiet"]
    plain, quick, full = (json.loads(lanterna("tour", *flags, *more).out)["recipe"] for more in ([], ["--quick"], ["--full"]))
    for name in ("seconds", "depths", "units"):
        assert quick[name] < plain[name] < full[name]
    assert full["size"] > SIDE and plain["size"] is None and quick["size"] is None
    assert TourRecipe.model_validate(quick).hurried and not TourRecipe.model_validate(plain).hurried
    own = json.loads(lanterna("tour", *flags, "--quick", "--depths", "9").out)["recipe"]
    assert own["depths"] == 9 and own["seconds"] == quick["seconds"]
    both = lanterna("tour", *flags, "--quick", "--full")
    assert both.code == 2 and "give one" in both.err


def test_a_picture_is_as_large_as_a_pass_allows() -> None:
    network = Network.wrap(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), name="one", preprocessing=Preprocessing())
    # Multiplications and additions: 2 * 3 * 8 * 9 for each pixel.
    whole = 2 * 3 * 8 * 9 * 160 * 160
    assert affordable_side(network, ["1"], 160, whole) == 160
    assert affordable_side(network, ["1"], 160, 0.9 * whole) == 128
    assert affordable_side(network, ["1"], 160, 1) == 64
    assert affordable_side(network, ["1"], 40, 1) == 40


def test_a_grey_network_says_that_style_needs_colour(tmp_path: Path) -> None:
    grey = Network.wrap(tiny.module(1), name="grey", preprocessing=Preprocessing(channels=1, size=(32, 32)))
    made = tour(TourRecipe(**{**QUICK, "chapters": ("style",)}), grey, tmp_path)
    assert made.chapters[0].left_out == "grey"


def _bright(frontier: float) -> Network:
    """White is one class and black the other."""

    class Bright(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            mean = pictures.mean((1, 2, 3)) - frontier
            return 40 * torch.stack([mean, -mean], 1)

    plain = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), size=(32, 32))
    return Network.wrap(Bright(), name="bright", preprocessing=plain, labels=["light", "dark"])


def test_a_network_that_small_changes_do_not_fool_is_given_larger_ones(tmp_path: Path) -> None:
    """The picture is far on one side: 2 of 255 levels are not enough."""
    network = _bright(0.42)
    recipe = TourRecipe(picture="coffee", chapters=("fooled",), size=32, steps=40)
    numbers = tour(recipe, network, tmp_path).chapters[0].numbers
    assert numbers["success"] and 2.5 / 255 < numbers["linf"] < 32.5 / 255
    # Another network with other classes has no say.
    assert numbers["transfer"] is None


def test_a_network_with_its_frontiers_far_away_is_fooled_at_whatever_it_takes(tmp_path: Path) -> None:
    """The frontier is more than 32 of 255 levels away."""
    network = _bright(0.7)
    made = tour(TourRecipe(picture="coffee", chapters=("fooled",), size=32, steps=4), network, tmp_path).chapters[0]
    assert made.numbers["success"] and made.numbers["linf"] > 32.5 / 255
    assert "no change of at most 32 levels" in made.html and "the change can be seen" in made.html
    assert "--attack deepfool" in made.html


def test_a_layer_that_is_a_number_is_called_a_layer() -> None:
    page = environment().from_string("{{ '3'|layer }}, {{ 'conv3'|layer }}; {{ '3'|strato }}, {{ 'conv3'|strato }}")
    assert page.render() == "layer 3, conv3; strato 3, conv3"


def test_a_list_ends_as_a_sentence_does() -> None:
    page = environment().from_string("{{ [2]|listed('and') }}; {{ [2, 8]|listed('e') }}; {{ [2, 8, 32]|listed('and') }}")
    assert page.render() == "2; 2 e 8; 2, 8 and 32"


def test_pixels_go_with_chains_of_convolutions_and_large_pictures(lite0: Network, vgg16_hed: Network) -> None:
    assert prior_for(vgg16_hed, 60, 128) == "tv"
    assert prior_for(vgg16_hed, 60, 28) == prior_for(lite0, 60, 128) == "fourier"
    assert prior_for(lite0, 400, 128) == "tv"


def test_small_activations_are_said_with_their_digits() -> None:
    page = environment().from_string("{{ 12.345|value }}; {{ 0|value }}; {{ -0.000351|value }}; {{ 2e-9|value }}")
    assert page.render(language="en") == "12.35; 0.00; \u22120.00035; 2e\u221209"
    assert page.render(language="it") == "12,35; 0,00; \u22120,00035; 2e\u221209"
