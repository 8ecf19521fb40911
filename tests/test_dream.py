"""Dreams: what grows, where, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch

from lanterna import InputError, LanternaError, Network, pictures
from lanterna.events import STOP, Done, Event, Expected, Started, Stepped
from lanterna.networks.untrained import untrained
from lanterna.normalized import NormalizedSteps, Shaping
from lanterna.techniques.dream import DreamRecipe, run
from lanterna.techniques.octaves import octave_sizes, steps_at, usual_octaves
from lanterna.techniques.wishes import parse_wishes

Run = Callable[..., SimpleNamespace]
QUICK = {"picture": "coffee", "size": "48x64", "octaves": 2, "steps": 3, "layers": ("act2",)}


def make(**fields: object) -> DreamRecipe:
    return DreamRecipe.model_validate({**QUICK, **fields})


def test_the_layer_is_excited_more_than_before() -> None:
    result = run(make(steps=10), tiny.network())
    assert result.activation[0] > 1.1 * result.start_activation[0]
    assert result.picture.shape == (1, 3, 48, 64)
    assert result.sizes == ((34, 46), (48, 64))


def test_a_unit_is_excited_more_than_before() -> None:
    result = run(make(steps=10, layers=("conv1:3",)), tiny.network())
    assert result.activation[0] > result.start_activation[0]


def test_less_is_a_negative_weight() -> None:
    result = run(make(steps=10, layers=("conv1:3=-1",)), tiny.network())
    assert result.activation[0] < result.start_activation[0]


def test_weights_decide_between_layers() -> None:
    gains = []
    for weight in ("0.05", "20"):
        result = run(make(steps=6, layers=("act1", f"conv2:1={weight}")), tiny.network())
        gains.append(result.activation[1] - result.start_activation[1])
    assert gains[1] > gains[0]


def test_the_same_recipe_gives_the_same_bits_and_another_seed_does_not() -> None:
    first, again, other = (run(make(seed=seed), tiny.network()).picture for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_steps_give_the_picture() -> None:
    result = run(make(steps=0), tiny.network())
    assert float((result.picture - result.start).abs().max()) <= 0.5 / 255 + 1e-6


def test_a_mask_says_where(tmp_path: Path) -> None:
    mask = torch.zeros(1, 3, 48, 64)
    mask[..., :32] = 1
    file = pictures.save(mask, tmp_path / "mask.png")
    result = run(make(mask=str(file)), tiny.network())
    change = (result.picture - result.start).abs().amax(1)[0]
    assert float(change[:, 34:].max()) <= 0.5 / 255 + 1e-6
    assert float(change[:, :30].mean()) > 2 / 255


def test_kept_colours_are_the_pictures_own() -> None:
    free, kept = (run(make(keep_color=keep, steps=8, size="64x96"), tiny.network()) for keep in (False, True))

    def chroma_change(result: object) -> float:
        change = result.picture - result.start  # type: ignore[attr-defined]
        return float((change - change.mean(1, keepdim=True)).abs().mean())

    assert chroma_change(kept) < 0.5 * chroma_change(free)


def test_a_guide_steers() -> None:
    plain, coffee, brick = (run(make(guide=guide), tiny.network()).picture for guide in (None, "flower", "brick"))
    assert not torch.equal(plain, coffee) and not torch.equal(coffee, brick)


def test_a_guide_with_nothing_in_common_is_refused(tmp_path: Path) -> None:
    network = tiny.network()
    # Without biases and in the middle of its range, a grey picture excites nothing.
    network.module[0].bias.data.zero_()
    file = pictures.save(torch.full((1, 3, 32, 32), 0.5), tmp_path / "grey.png")
    network.preprocessing = type(network.preprocessing)(mean=(128 / 255,), std=(0.25,), size=(32, 32))
    with pytest.raises(InputError, match="excites nothing"):
        run(make(guide=str(file), layers=("act1",)), network)


def test_large_pictures_are_dreamt_smaller_unless_native() -> None:
    small = run(make(size="40x2000", octaves=1, steps=1), tiny.network())
    native = run(make(size="40x2000", octaves=1, steps=1, native=True), tiny.network())
    assert small.sizes == ((20, 1024),) and native.sizes == ((40, 2000),)
    assert small.picture.shape == native.picture.shape == (1, 3, 40, 2000)


def test_octaves_follow_the_size_unless_they_are_given() -> None:
    """Whatever the size, the smallest octave is where a picture of 1024 px begins, if the network takes it."""
    large = ((768, 1024), (3000, 4000), (6000, 9000))
    firsts = [octave_sizes(size, usual_octaves(size, 1.4, 32), 1.4)[0][1] for size in large]
    assert firsts[0] == 373 and all(266 <= first <= 373 for first in firsts)
    assert usual_octaves((150, 200), 1.4, 32) == 4 and usual_octaves((40, 60), 1.4, 32) == 1
    made = run(make(size="40x2000", octaves=None, steps=2, native=True), tiny.network())
    assert made.sizes[-1] == (40, 2000) and min(made.sizes[0]) >= 16 and len(made.sizes) == 3
    assert run(make(size="40x2000", octaves=1, steps=2, native=True), tiny.network()).sizes == ((40, 2000),)


def test_the_largest_sizes_have_fewer_steps() -> None:
    sides = (200, 1024, 2048, 4000, 90_000)
    assert [steps_at(10, (side // 2, side)) for side in sides] == [10, 10, 5, 3, 1]
    assert steps_at(0, (3000, 4000)) == 0


def test_the_expected_time_is_told_before_a_large_dream_begins() -> None:
    def events(**fields: object) -> list[Event]:
        seen: list[Event] = []
        run(make(octaves=1, steps=1, **fields), tiny.network(), seen.append)  # type: ignore[arg-type,func-returns-value]
        return seen

    large, usual = events(size="40x2000", native=True), events(size="40x2000")
    assert isinstance(large[0], Expected) and large[0].seconds > 0 and isinstance(large[1], Started)
    assert not any(isinstance(event, Expected) for event in usual)


def test_noise_and_untrained_are_controls() -> None:
    noise = run(make(picture="noise"), tiny.network())
    assert noise.activation[0] > noise.start_activation[0]
    network = tiny.network()
    other = untrained(network, 1)
    assert not torch.equal(other.module[0].weight, network.module[0].weight)
    assert torch.equal(network.module[0].weight, tiny.network().module[0].weight)
    assert not torch.equal(run(make(untrained=True), network).picture, run(make(), network).picture)


def test_events_count_all_octaves_and_stop_is_heard() -> None:
    events: list[Event] = []

    def listen(event: Event) -> str | None:
        events.append(event)
        return STOP if isinstance(event, Stepped) and event.step == 4 else None

    result = run(make(), tiny.network(), listen)  # type: ignore[arg-type]
    assert isinstance(events[0], Started) and events[0].steps == 6
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 2, 3, 4]
    assert isinstance(events[-1], Done)
    assert result.stopped and result.steps == 4 and result.picture.shape == (1, 3, 48, 64)


def test_what_nothing_moves_is_an_error() -> None:
    with pytest.raises(LanternaError, match="nothing moves act1:2"):
        run(make(layers=("act1:2",)), tiny.network(dead=True))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"layers": ("act9",)}, "did you mean 'act"),
        ({"layers": ("act1:99",)}, "channels 0 to 7"),
        ({"layers": ("act1:0-3",)}, "not one channel"),
        ({"layers": ("act1=lots",)}, "not a weight"),
        ({"layers": ("act1=0",)}, "weight 0"),
        ({"layers": ("act1:2",), "guide": "brick"}, "whole layers"),
        ({"guide": "nosuch.png"}, "does not exist"),
        ({"mask": "nosuch.png"}, "does not exist"),
        ({"picture": "chelsee"}, "did you mean 'chelsea'"),
        ({"octaves": 16}, "at most"),
        ({"size": "0"}, "not a size"),
    ],
)
def test_bad_input_is_refused_before_anything_is_dreamt(fields: dict[str, object], words: str) -> None:
    steps: list[Event] = []
    with pytest.raises(InputError, match=words):
        run(make(**fields), tiny.network(), steps.append)  # type: ignore[arg-type,func-returns-value]
    assert not steps


def test_a_black_mask_is_refused(tmp_path: Path) -> None:
    file = pictures.save(torch.zeros(1, 3, 8, 8), tmp_path / "black.png")
    with pytest.raises(InputError, match="black everywhere"):
        run(make(mask=str(file)), tiny.network())


def test_octaves_end_with_the_whole() -> None:
    assert octave_sizes((100, 200), 3, 2.0) == [(25, 50), (50, 100), (100, 200)]


def test_a_plain_step_is_the_originals() -> None:
    picture = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    slope = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    picture.grad = slope.clone()
    NormalizedSteps([picture], 0.01, shaping=Shaping.plain()).step()
    assert torch.allclose(picture.detach() - 0.5, -0.01 * slope / slope.abs().mean(), atol=1e-6)


def test_steps_stay_in_range_and_hold_the_brightness() -> None:
    base = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    picture = base.clone().requires_grad_()
    steps = NormalizedSteps([picture], 0.02, base=base)
    for _ in range(40):
        picture.grad = torch.full_like(picture, -1.0)
        steps.step()
    assert float(picture.detach().min()) >= 0 and float(picture.detach().max()) <= 1
    assert float(picture.detach().mean() - base.mean()) < 0.12, "40 steps of 0.02 are held to a few"


def test_wishes_have_weights() -> None:
    wishes = parse_wishes(("act1=0.5", "conv2:3=-2", "act2"), tiny.network())
    assert [(wish.title, wish.weight) for wish in wishes] == [("act1", 0.5), ("conv2:3", -2.0), ("act2", 1.0)]


def test_the_command_writes_a_dream_that_can_be_replayed(lanterna: Run) -> None:
    flags = ["--size", "48x64", "--octaves", "2", "--steps", "2", "--layer", "act2", "--layer", "conv1:1=0.5"]
    made = lanterna("dream", "python:tiny:make", "coffee", *flags, "--json")
    assert made.code == 0, made.err
    assert lanterna("replay", "dream.png", "--out", "again.png", "--trust").code == 0
    assert torch.equal(pictures.load("dream.png"), pictures.load("again.png"))


@pytest.mark.parametrize(
    "flags",
    [
        ["--octaves", "0"],
        ["--zoom", "0"],
        ["--zoom-factor", "1.1"],
        ["--keep-frames"],
        ["--out", "film.mp4"],
        ["--zoom", "3", "--out", "film.png"],
        ["--zoom", "3", "--fps", "0", "--out", "film.gif"],
        ["--octaves", "12", "--size", "64x64"],
        ["--step-size", "nan"],
    ],
)
def test_bad_flags_say_one_line_and_write_nothing(lanterna: Run, folder: Path, flags: list[str]) -> None:
    result = lanterna("dream", "python:tiny:make", "coffee", *flags)
    assert result.code == 2 and result.out == ""
    assert len(result.err.strip().splitlines()) == 1
    assert not list(folder.iterdir())


def test_deep_blocks_of_lite0_keep_colours_and_contrast(lite0: Network) -> None:
    """What was seen: no blown-out colour, no grain. Fewer than 5 % more of the pixels at the ends than before."""
    result = run(DreamRecipe(picture="coffee", size="160x240", octaves=2), lite0)
    assert result.activation[0] > 1.3 * result.start_activation[0]

    def ends(picture: torch.Tensor) -> float:
        return float(((picture <= 1 / 255) | (picture >= 254 / 255)).float().mean())

    assert ends(result.picture) < ends(result.start) + 0.05
    assert float((result.picture.mean((2, 3)) - result.start.mean((2, 3))).abs().max()) < 0.04


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_2"])
def test_shallow_layers_of_vgg_run_into_no_colour_of_their_own(vgg16_hed: Network, layer: str) -> None:
    """Magenta and blue grew at the right border, where the photograph is palest."""
    made = run(DreamRecipe(picture="chelsea", layers=(layer,), size="128x128", octaves=2), vgg16_hed)
    chroma = [(one.amax(1) - one.amin(1)).flatten().quantile(0.999) for one in (made.picture, made.start)]
    assert float(chroma[0]) < float(chroma[1]) + 0.2
    assert made.activation[0] > 1.3 * made.start_activation[0]
