"""`fool`: pictures that fool, from a picture and from noise, on the command line and in the tour."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch

from lanterna import InputError, attacks, pictures
from lanterna.cppn import PatternCanvas
from lanterna.networks.untrained import untrained
from lanterna.report import TourRecipe, tour
from lanterna.techniques.fool import FoolRecipe, run
from lanterna.techniques.fool_noise import FoolingPictures, FoolNoiseRecipe
from lanterna.techniques.fool_noise import run as run_noise

TINY = "python:tiny:make"
FAST = ["--second", "none", "--quiet"]
Run = Callable[..., SimpleNamespace]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("attack", "epsilon"),
    [("fgsm", "0.3"), ("pgd-linf", "0.3"), ("pgd-l2", "20"), ("deepfool", None), ("cw-l2", None), ("noise", "64/255")],
)
def test_the_numbers_are_those_of_the_saved_picture(attack: str, epsilon: str | None) -> None:
    network = tiny.network()
    made = run(FoolRecipe(picture="coffee", attack=attack, epsilon=epsilon, second="none"), network)
    assert torch.equal(made.result, attacks.rounded(made.result))
    assert torch.equal(made.picture, attacks.rounded(network.preprocessing.fit(pictures.load("coffee"))))
    seen = int(network.logits(made.result).argmax(1))
    assert seen == made.after[0].index and made.success == (seen != made.before[0].index)
    assert made.l2 == pytest.approx(float((made.result - made.picture).norm()))
    assert made.success or attack in ("fgsm", "noise")
    noise = float((made.noise - made.picture).norm())
    assert noise == pytest.approx(made.l2, rel=0.25), "the control has another size"
    assert made.figure().shape[1] == 3


@pytest.mark.parametrize("target", [None, "2"])
def test_a_change_that_rounding_undoes_is_made_of_whole_levels(target: str | None) -> None:
    made = run(FoolRecipe(picture="coffee", attack="cw-l2", target=target, second="none"), tiny.network())
    assert made.success_raw and made.success
    assert (made.refined > 0) == (not made.success_rounded)


def test_a_second_network_is_asked(folder: Path) -> None:
    made = run(FoolRecipe(picture="coffee", epsilon="0.3", second="python:tiny:make"), tiny.network())
    assert made.transfer is not None and made.transfer.network == "tiny"
    assert made.transfer.fooled == made.success, "it is the same network"


@pytest.mark.parametrize("encoding", ["pixels", "fourier", "cppn"])
def test_noise_that_the_network_is_certain_of(encoding: str) -> None:
    network = tiny.network()
    recipe = FoolNoiseRecipe(
        classes=("all",), encoding=encoding, confidence=0.5, steps=60, batch=4, second="none", control=False
    )
    made = run_noise(recipe, network)
    assert made.classes == tuple(range(6)) and len(made.pictures) == 6
    sure = network.logits(made.pictures).softmax(1)[range(6), range(6)]
    assert torch.allclose(sure, torch.tensor(made.confidence), atol=1e-5)
    assert max(made.steps) <= 60
    assert sum(made.confidence) > sum(made.start)


def test_those_that_leave_early_do_not_disturb_the_others() -> None:
    network = tiny.network()

    def make(*classes: int) -> FoolingPictures:
        names = tuple(str(index) for index in classes)
        return run_noise(FoolNoiseRecipe(classes=names, confidence=0.6, steps=60, second="none", control=False), network)

    steps = make(*range(6)).steps
    slowest = max(range(6), key=lambda index: steps[index])
    together, alone = make(slowest, *(index for index in range(6) if index != slowest)), make(slowest)
    assert min(together.steps) < together.steps[0] == alone.steps[0] <= 60
    assert together.confidence[0] == pytest.approx(alone.confidence[0], abs=1e-3)
    assert torch.allclose(together.pictures[0], alone.pictures[0], atol=1.5 / 255)


def test_the_untrained_network_is_another_and_the_global_generator_the_same() -> None:
    before = torch.random.get_rng_state()
    network = tiny.network()
    fresh = untrained(network, 3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(fresh.module[0].weight, network.module[0].weight)
    assert torch.equal(untrained(network, 3).module[0].weight, fresh.module[0].weight)


@pytest.mark.parametrize("size", [(17, 30), (32, 32)])
def test_patterns_render_in_range_and_by_seed(size: tuple[int, int]) -> None:
    made = [PatternCanvas.noise((2, 3, *size), torch.Generator().manual_seed(4)).render().detach() for _ in range(2)]
    assert made[0].shape == (2, 3, *size) and torch.equal(made[0], made[1])
    assert float(made[0].min()) >= 0 and float(made[0].max()) <= 1 and float(made[0].std()) > 0.02


def test_the_command_writes_the_bare_picture_and_its_figure(lanterna: Run, folder: Path) -> None:
    result = lanterna("fool", TINY, "coffee", "--epsilon", "0.3", *FAST, "--json")
    told = json.loads(result.out)
    assert result.code == 0 and told["success"] and told["outputs"] == ["fool.png", "fool-figure.png"]
    shown = pictures.load("fool.png")
    assert shown.shape == (1, 3, 32, 32)
    assert int(tiny.network().logits(shown).argmax(1)) == told["after"][0]["index"]
    for file in ("fool.png", "fool-figure.png"):
        assert lanterna("replay", file, "--out", "again.png", "--trust", "--quiet").code == 0
        assert torch.equal(pictures.load(file), pictures.load("again.png"))


def test_the_command_from_noise_and_its_replay(lanterna: Run, folder: Path) -> None:
    flags = ["--from", "noise", "--class", "sea lion", "--class", "5", "--steps", "40", "--confidence", "0.4", *FAST]
    result = lanterna("fool", TINY, *flags, "--json")
    told = json.loads(result.out)
    assert told["labels"] == ["sea lion", "espresso"] and len(told["control_confidence"]) == 2
    assert lanterna("replay", "fool.png", "--out", "again.png", "--trust", "--quiet").code in (0, 1)
    assert torch.equal(pictures.load("fool.png"), pictures.load("again.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coffee", "--epsilon", "two"], "2/255"),
        (["coffee", "--epsilon", "0"], "above 0"),
        (["coffee", "--epsilon", "2"], "2/255"),
        (["coffee", "--attack", "deepfool", "--epsilon", "1/255"], "takes no --epsilon"),
        (["coffee", "--attack", "deepfool", "--target", "espresso"], "takes no --target"),
        (["coffee", "--attack", "fgsm", "--steps", "3"], "takes no --steps"),
        (["coffee", "--target", "espreso"], "espresso"),
        (["coffee", "--confidence", "1"], "confidence"),
        (["coffee", "--class", "lion"], "--target"),
        (["coffee", "--from", "noise", "--class", "lion"], "--from noise"),
        (["--from", "noise"], "--class"),
        (["--from", "noise", "--class", "lionn"], "lion"),
        ([], "no picture"),
        (["cofee"], "coffee"),
        (["coffee", "--out", "a.jpg"], ".png"),
        (["coffee", "--second", "efficientnet_lite9"], "efficientnet_lite"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(lanterna: Run, folder: Path, arguments: list[str], message: str) -> None:
    result = lanterna("fool", TINY, *arguments)
    assert result.code == 2 and message in result.err and len(result.err.splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_a_network_of_five_channels_is_refused() -> None:
    with pytest.raises(InputError, match="5 channels"):
        run(FoolRecipe(picture="coffee", second="none"), tiny.network(5))


def test_the_tour_has_the_strip(tmp_path: Path) -> None:
    made = tour(TourRecipe(steps=3, size=32, chapters=("fooled",)), tiny.network(), tmp_path)
    assert made.chapters[0].name == "fooled" and "label" in made.chapters[0].numbers
    # The photograph, the strip, and the place where pictures are shown large.
    assert made.page.read_text(encoding="utf-8").count("<img") == 1 + 4 + 1
