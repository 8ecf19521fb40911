"""The full runs that come with the package: what is written is what is read, and the chapters need nothing else."""

import re
from pathlib import Path

import pytest
import tiny
import torch
from shapes import bars

from lanterna import data, studies
from lanterna.autoencode import AutoencodeRecipe
from lanterna.autoencode import run as run_autoencode
from lanterna.autoencode import stored as autoencode
from lanterna.autoencode.pictures import Split
from lanterna.manifold import figures
from lanterna.manifold import stored as manifold
from lanterna.manifold.sets import prepared
from lanterna.manifold.study import study
from lanterna.report import TourRecipe, tour
from lanterna.techniques.manifold import ManifoldRecipe

FOLDER = Path(studies.__file__).parent
CHAPTERS = ("manifold", "autoencode")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits_of_manifold() -> manifold.Kept:
    return manifold.kept()


@pytest.fixture(scope="module")
def digits_of_autoencode() -> autoencode.Kept:
    return autoencode.kept()


def test_pictures_and_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    # More than a row of the mosaic, which ends in the middle of another.
    pictures = {
        name: torch.randint(0, 256, (count, 1, 28, 28), generator=generator) / 255 for name, count in (("a", 43), ("b", 2))
    }
    tensors = {"one": torch.randn(3, generator=generator), "two": torch.arange(4)}
    studies.store("some", tmp_path, {"said": "ò"}, pictures, tensors)
    found = studies.stored("some", tmp_path)
    assert found.about["said"] == "ò" and list(found.pictures) == ["a", "b"]
    assert all(torch.equal(found.pictures[name], pictures[name]) for name in pictures)
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)


def test_large_matrices_take_a_byte_a_number_and_keep_two_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    state = {"large": torch.randn(200, 300, generator=generator), "small": torch.randn(5, 5, generator=generator)}
    state["large"][0] = 0
    kept = studies.eight_bits("net", state)
    assert kept["net.large"].dtype == torch.int8 and torch.equal(kept["net.small"], state["small"])
    back = studies.Stored({}, {}, {**kept, "other.large": torch.ones(1)}).state("net")
    assert set(back) == set(state)
    error = (back["large"] - state["large"]).abs().amax(1)
    assert bool((error <= state["large"].abs().amax(1) / 254 + 1e-7).all()) and bool(torch.isfinite(back["large"]).all())


def test_a_run_of_manifold_is_drawn_again_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    recipe = ManifoldRecipe(
        classifier_steps=10, density_steps=10, noise=20, each=12, plane=5, attacked=2, attack_steps=2, data="folder:bars"
    )  # fmt: skip
    # Attacks take the most time, and nothing of them is kept but numbers.
    monkeypatch.setattr("lanterna.manifold.study._robust", lambda *_: {})
    made = study(prepared(bars(), 1000), 0, recipe.effort(True), {}, (None, None, None))
    manifold.keep(made, recipe.model_dump(mode="json"), {"accuracy": {"discriminative": 1.0}}, tmp_path)
    found = manifold.kept(tmp_path)
    titles = ("across", "down")
    drawn = [figures.planes(one, found.classes, "", titles) for one in (found.plane, made.plane)]
    assert torch.equal(*drawn)
    drawn = [figures.fooling(found.classes, one) for one in (found.fooling, made.shown_fooling())]
    assert torch.equal(*drawn)
    assert ManifoldRecipe.model_validate(found.recipe) == recipe and found.numbers["accuracy"]["discriminative"] == 1.0
    assert (found.learned, found.tested) == (84, 24) and len(found.groups["test"]) == len(found.test_labels) == 12
    said, before = found.judges.judge(made.split.test), made.judges.judge(made.split.test)
    assert torch.equal(said.frontier_class, before.frontier_class)
    torch.testing.assert_close(said.density, before.density, rtol=0.02, atol=2)


def test_a_run_of_autoencode_is_shown_again_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    array = bars(each=30)
    pictures, labels = array.pictures(range(90)), torch.tensor(array.labels)
    split = Split("bars", pictures[:60], pictures[60:], labels[:60], labels[60:], ("left", "right", "below"))
    made = run_autoencode(AutoencodeRecipe(code=(2, 30), epochs=2, parts=("lossy", "regular")), split=split)
    autoencode.keep(made, tmp_path)
    found = autoencode.kept(tmp_path)
    numbers = made.numbers()["parts"]
    assert torch.equal((found.originals * 255).round(), (split.held_out[:3] * 255).round())
    assert [(size.code, size.mse, size.pca_mse) for size in found.sizes] == [
        (line["code"], line["mse"], line["pca_mse"]) for line in numbers["lossy"]["sizes"]
    ]
    for size in found.sizes:
        torch.testing.assert_close(
            size.pictures, made.models[size.code].project(split.held_out[:3]), rtol=0, atol=0.5 / 255 + 1e-6
        )
    assert [(kind.name, kind.error) for kind in found.kinds] == [
        (line["pictures"], line["relative_mse"]) for line in numbers["regular"]["kinds"]
    ]
    assert found.kinds_code == found.net.code == 30 and found.pictures == 60
    assert found.net.mse(split.held_out) == found.net.numbers["held_out_mse"]
    assert found.net.mse(split.held_out) == pytest.approx(made.models[30].mse(split.held_out), rel=0.02)


def test_the_classifiers_of_the_package_know_its_digits(digits_of_manifold: manifold.Kept) -> None:
    found = digits_of_manifold
    said, labels = found.judges.judge(found.groups["test"]), found.test_labels
    right = {"discriminative": said.frontier_class == labels, "generative": said.density_class == labels}
    for name, shares in right.items():
        # As often as in the run, in which they had all of their digits.
        assert found.as_kept[name] == pytest.approx(found.numbers["accuracy"][name]["seeds"][0], abs=0.003)
        assert float(shares.float().mean()) == pytest.approx(found.as_kept[name], abs=0.04)
    assert ManifoldRecipe.model_validate(found.recipe) == ManifoldRecipe()


def test_the_net_of_the_package_gives_back_what_the_run_gave(digits_of_autoencode: autoencode.Kept) -> None:
    found = digits_of_autoencode
    (size,) = (size for size in found.sizes if size.code == found.net.code)
    # Weights in 8 bits move a pixel by two levels of 255 on average.
    assert float((found.net.project(found.originals) - size.pictures).abs().mean()) < 2 / 255
    assert found.net.numbers["held_out_mse"] == pytest.approx(size.mse, rel=0.03)
    assert size.mse < size.pca_mse / 2
    full = {name: value for name, value in AutoencodeRecipe() if name != "parts"}
    assert {name: value for name, value in AutoencodeRecipe.model_validate(found.recipe) if name != "parts"} == full


def test_the_files_are_small_and_their_licences_said() -> None:
    files = [path for path in FOLDER.iterdir() if path.suffix in (".json", ".png", ".safetensors")]
    assert len(files) == 6 and sum(path.stat().st_size for path in files) < 4_000_000
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in readme and "BSD-3-Clause" in readme and "LeCun" in readme and "scripts/studies.py" in readme


def test_the_chapters_need_no_digits_and_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_more: object) -> None:
        raise AssertionError("the chapters load no data and train nothing")

    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(data, "load", refused)
    monkeypatch.setattr("lanterna.manifold.training.minimise", refused)
    monkeypatch.setattr("lanterna.autoencode.workshop.train", refused)
    made = tour(TourRecipe(picture="coffee", chapters=CHAPTERS), tiny.network(), tmp_path / "page")
    assert [(chapter.name, chapter.left_out) for chapter in made.chapters] == [(name, None) for name in CHAPTERS]
    page = made.page.read_text(encoding="utf-8")
    english, italian = (re.findall(rf'<img lang="{language}" src="([^"]+)"', page) for language in ("en", "it"))
    assert len(english) == len(italian) == 2 and not set(english) & set(italian)
    assert "lanterna autoencode --parts lossy,regular" in page and page.count("computed once") == 2


def test_the_chapters_say_the_numbers_that_were_stored(
    tmp_path: Path, digits_of_manifold: manifold.Kept, digits_of_autoencode: autoencode.Kept
) -> None:
    made = tour(TourRecipe(picture="coffee", chapters=CHAPTERS), tiny.network(), tmp_path)
    first, second = (chapter.numbers for chapter in made.chapters)
    assert first["plane"] == digits_of_manifold.numbers["plane"] and first["claim_holds"]
    assert [size["mse"] for size in second["sizes"]] == [size.mse for size in digits_of_autoencode.sizes]
    assert second["claim_holds"] and 0 <= first["your_picture"]["generative_confidence"] <= 1
    for size in second["sizes"]:
        assert f"{size['mse']:.4f}" in made.chapters[1].html and f"{size['pca_mse']:.4f}" in made.chapters[1].html


def test_another_picture_is_judged_anew(tmp_path: Path) -> None:
    asked = [
        tour(TourRecipe(picture=name, chapters=CHAPTERS), tiny.network(), tmp_path / name).chapters
        for name in ("coffee", "chelsea")
    ]
    for one, other in zip(*asked, strict=True):
        assert one.numbers["your_picture"] != other.numbers["your_picture"]
