"""`manifold` as a whole, on bars instead of digits: training, the cache, the figures, the command, the tour's chapter."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from shapes import bars

from lanterna import InputError, data, pictures
from lanterna.data import sources as data_sources
from lanterna.errors import StoppedError
from lanterna.events import STOP, Event, Stepped
from lanterna.manifold import classifier, densities
from lanterna.manifold.judges import Judges
from lanterna.manifold.sets import prepared, split
from lanterna.manifold.training import cache_file
from lanterna.techniques.manifold import FIGURES, ManifoldRecipe, run

Run = Callable[..., SimpleNamespace]
LITTLE = {
    "seeds": 2, "classifier_steps": 4, "density_steps": 4, "noise": 30, "each": 6, "plane": 5, "attacked": 3,
    "attack_steps": 2,
}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "manifold"


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Judges:
    """Both classifiers, trained long enough for bars."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANTERNA_CACHE", str(tmp_path_factory.mktemp("cache")))
        parts = split(prepared(bars(), 1000), 0)
        return Judges(classifier.trained_classifier(parts, 40, 0)[0], densities.trained_densities(parts, 150, 0)[0])


def test_both_know_bars_and_only_one_knows_noise(judges: Judges) -> None:
    parts = split(prepared(bars(), 1000), 0)
    said = judges.judge(parts.test)
    assert torch.equal(said.frontier_class, parts.test_labels) and torch.equal(said.density_class, parts.test_labels)
    assert float((said.density > judges.floor).float().mean()) > 0.9
    noise = judges.judge(torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    assert float(noise.density.max()) < float(said.density.min())
    assert float(noise.density_confidence.max()) < 0.01 < float(noise.frontier_confidence.min())


def test_a_split_is_whole_and_follows_the_seed() -> None:
    data_ = prepared(bars(), 1000)
    parts, same, other = split(data_, 0), split(data_, 0), split(data_, 1)
    assert [len(parts.train), len(parts.held), len(parts.test)] == [84, 12, 24]
    assert torch.equal(parts.train, same.train) and not torch.equal(parts.train, other.train)
    together = torch.cat([parts.train, parts.held, parts.test]).flatten(1)
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, data_.pictures.flatten(1).tolist()))
    for labels in (parts.train_labels, parts.held_labels, parts.test_labels):
        assert len(set(labels.bincount().tolist())) == 1


def test_the_cache_gives_the_same_bits_and_trains_nothing(cache: Path) -> None:
    parts = split(prepared(bars(), 1000), 0)
    for train in (classifier.trained_classifier, densities.trained_densities):
        first, was_there = train(parts, 3, 0)
        events: list[Event] = []
        second, is_there = train(parts, 3, 0, events.append)
        assert (was_there, is_there) == (False, True) and not events
        assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
        assert not train(parts, 3, 1)[1]
    assert len(list(cache.iterdir())) == 4


def test_an_interrupted_training_leaves_nothing_and_starts_again(cache: Path) -> None:
    parts = split(prepared(bars(), 1000), 0)

    def stop(event: Event) -> str | None:
        return STOP if isinstance(event, Stepped) and event.step == 2 else None

    with pytest.raises(StoppedError, match="starts again"):
        densities.trained_densities(parts, 4, 0, stop)
    assert not cache.exists()
    model, was_there = densities.trained_densities(parts, 4, 0)
    path = cache_file("densities", densities.about(parts, 4, 0))
    assert not was_there and path.is_file()
    path.write_bytes(path.read_bytes()[:1000])
    again, was_there = densities.trained_densities(parts, 4, 0)
    assert not was_there and torch.equal(model.bank, again.bank)
    assert densities.trained_densities(parts, 4, 0)[1]


def test_a_cache_of_another_version_is_left_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = split(prepared(bars(), 1000), 0)
    classifier.trained_classifier(parts, 2, 0)
    (before,) = cache.iterdir()
    content = before.read_bytes()
    monkeypatch.setattr("lanterna.manifold.training.SCHEMA_VERSION", 99)
    assert not classifier.trained_classifier(parts, 2, 0)[1]
    assert before.read_bytes() == content and len(list(cache.iterdir())) == 2


def test_data_that_two_classifiers_cannot_learn(tmp_path: Path) -> None:
    array = bars(12, 2)
    one = data.PictureArray("one", array.array[:20], [0] * 20, ["left"])
    none = data.PictureArray("none", array.array)
    two = data.PictureArray("two", array.array[:2], [0, 1], ["left", "right"])
    many = data.PictureArray("many", array.array.repeat(20, 1, 1, 1), [i // 10 for i in range(480)])
    wide = data.PictureArray("wide", array.array[:, :, :20], array.labels, array.classes)
    for given, match in (
        (one, "20 pictures of one class, 'left'"),
        (none, "no classes"),
        (two, "fewer than 10 pictures of 2 of its 2 classes: 'left', 'right'"),
        (many, "48 classes; 40 are the most"),
        (wide, r"squares of one size, there are 20x28 \(00000\)"),
    ):
        with pytest.raises(InputError, match=match):
            prepared(given, 1000)
    with pytest.raises(InputError, match="--pictures takes more"):
        prepared(array, 12)
    assert prepared(wide, 1000, fit=True).pictures.shape == (24, 1, 28, 28)


def _folder(path: Path, *, sizes: tuple[int, ...] = (28,)) -> str:
    found = bars(12, 2)
    for place in range(len(found)):
        side = sizes[place % len(sizes)]
        picture = torch.nn.functional.interpolate(found.read(place), (side, side)).expand(-1, 3, -1, -1)
        target = path / found.classes[found.labels[place]] / f"{place}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(picture, target)
    return f"folder:{path}"


def test_the_command_writes_figures_numbers_and_a_page(
    lanterna: Run, cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not where this machine may have them.
    monkeypatch.setattr("lanterna.data.sources.FASHION_FOLDERS", ())
    data_sources._fashion_mnist.cache_clear()
    flags = [part for name, value in LITTLE.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    told = lanterna("manifold", "--data", _folder(folder / "in"), *flags, "--out", "here", "--json", "--quiet")
    assert told.code == 0, told.err
    numbers = json.loads(told.out, parse_constant=pytest.fail)
    assert json.loads((folder / "here/manifold.json").read_text()) == {k: v for k, v in numbers.items() if k != "outputs"}
    assert all(Path(file).is_file() for file in numbers["outputs"]) and len(numbers["outputs"]) == 2 + len(FIGURES)
    assert len(numbers["auroc"]["noise"]["density"]["seeds"]) == 2
    assert numbers["noise_wall"]["uniform"]["bound"]["mean"] == pytest.approx(0.1)
    page = (folder / "here/index.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == page.count("<img") == len(FIGURES) == page.count("Would be wrong if")
    # Each can be moved sideways by itself, and the note stands apart from the sentence before it.
    assert page.count('class="scroll plate" tabindex="0"') == len(FIGURES) and '<p class="note">fashion_mnist is not' in page
    assert all(title in page for title in FIGURES.values()) and "is not among the other data" in page
    assert sorted(path.name for path in (folder / "here").iterdir()) == sorted(Path(file).name for file in numbers["outputs"])
    figure = next(file for file in numbers["outputs"] if "plane" in file)
    assert lanterna("replay", figure, "--out", "again.png", "--trust").code == 0
    assert torch.equal(pictures.load("again.png"), pictures.load(figure))


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (["--data", "samples"], "no classes"),
        (["--data", "mnist"], "did you mean 'mnist_5k'"),
        (["--seeds", "0"], "--seeds 0"),
        (["--device", "cuda"], "on the cpu"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    lanterna: Run, cache: Path, folder: Path, flags: list[str], match: str
) -> None:
    told = lanterna("manifold", *flags, "--out", "here")
    assert told.code == 2 and match in told.err and len(told.err.strip().splitlines()) == 1
    assert not (folder / "here").exists() and not cache.exists()


def test_pictures_of_differing_sizes(lanterna: Run, cache: Path, folder: Path) -> None:
    told = lanterna("manifold", "--data", _folder(folder / "in", sizes=(28, 32)), "--out", "here")
    assert told.code == 2 and "28x28" in told.err and "32x32" in told.err and "--fit" in told.err
    assert not (folder / "here").exists()


def test_stopping_keeps_the_seeds_that_are_done(cache: Path, folder: Path) -> None:
    recipe = ManifoldRecipe(data=_folder(folder / "in"), **LITTLE)

    def stop_after(step: int) -> Callable[[Event], str | None]:
        return lambda event: STOP if isinstance(event, Stepped) and event.step > step else None

    with pytest.raises(StoppedError):
        run(recipe, stop_after(0))
    made = run(recipe, stop_after(520))
    assert made.stopped and len(made.studies) == 1
    assert made.figure("robustness").shape[1] == 3
