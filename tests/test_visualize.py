"""What a person gets from `visualize`, on networks of milliseconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
from pydantic import ValidationError
from torch import Tensor

from lanterna import STOP, InputError, LanternaError, Network, PictureError, Visualization, VisualizeRecipe, pictures
from lanterna.events import Event, Stepped
from lanterna.techniques.visualize import canvas_margin, parse_size, run

LEVEL = 1 / 255
NETWORK = tiny.network()
UNITS = ("conv2:1", "act2:4@8,8", "head:2", "logits:sea lion")


def fast(*units: str, network: Network = NETWORK, **fields: object) -> Visualization:
    chosen: dict[str, object] = {
        "units": units,
        "steps": 24,
        "shift": 2.0,
        "rotate": 0.0,
        "zoom": 1.0,
        "smooth": 0.0,
        "restrain": 0.0,
        **fields,
    }
    return run(VisualizeRecipe.model_validate(chosen), network)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On pictures this small, threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A smooth picture of 45x61 with every level from dark to light."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 45), torch.linspace(0, 1, 61), indexing="ij")
    return pictures.save(torch.stack([rows, columns, (rows + columns) / 2])[None], tmp_path / "photo.png")


# With the magnitude of natural pictures held, there is less to win.
@pytest.mark.parametrize(("canvas", "gain"), [("fourier", 0.5), ("pixels", 0.5), ("maco", 0.05)])
def test_the_activation_rises_beyond_the_start(canvas: str, gain: float) -> None:
    result = fast(*UNITS, canvas=canvas, steps=40)
    assert result.pictures.shape == (4, 3, 32, 32)
    assert result.pictures.min() >= 0 and result.pictures.max() <= 1
    for unit, end, start in zip(result.units, result.activation, result.start_activation, strict=True):
        assert end > start + gain, unit


def test_minimize_falls_below_the_start() -> None:
    result = fast("conv2:1", "logits:2", minimize=True)
    assert all(end < start - 0.5 for end, start in zip(result.activation, result.start_activation, strict=True))


def test_one_batch_holds_a_different_unit_per_picture() -> None:
    result = fast("logits:sea lion", "logits:tabby", "logits:espresso", canvas="pixels")
    values = NETWORK.logits(result.pictures)[:, [0, 3, 5]]
    assert values.argmax(0).tolist() == [0, 1, 2]
    assert result.activation == pytest.approx(values.diagonal().tolist(), abs=1e-4)


def test_the_numbers_are_those_of_the_saved_picture(tmp_path: Path) -> None:
    result = fast("conv2:1")
    reread = pictures.load(pictures.save(result.pictures, tmp_path / "saved.png"))
    again = NETWORK.capture(reread, ["conv2"])["conv2"][0, 1].mean()
    assert result.activation[0] == pytest.approx(float(again), abs=1e-5)


def test_sample_pictures_give_the_scale() -> None:
    result = fast("conv2:1", steps=0)
    seen = [
        float(NETWORK.capture(pictures.load(path, size=(32, 32)), ["conv2"])["conv2"][0, 1].mean())
        for path in pictures.samples().values()
    ]
    assert result.sample_activation == pytest.approx((max(seen),), abs=1e-4)


@pytest.mark.parametrize("canvas", ["fourier", "pixels", "maco"])
@pytest.mark.parametrize("size", ["32", "45x61", "33x20"])
def test_no_steps_give_the_picture_it_starts_from(photo: Path, canvas: str, size: str) -> None:
    result = fast("conv2:1", start=str(photo), steps=0, canvas=canvas, size=size)
    given = pictures.load(photo, size=parse_size(size, NETWORK))
    assert (result.pictures - given).abs().max() <= LEVEL + 1e-6
    assert result.steps == 0 and not result.stopped
    assert result.activation == pytest.approx(result.start_activation, abs=0.05)


@pytest.mark.parametrize("canvas", ["fourier", "pixels", "maco"])
@pytest.mark.parametrize(("size", "shape"), [("17", (17, 17)), ("21x40", (21, 40)), ("40x21", (40, 21)), (None, (32, 32))])
def test_any_size_odd_or_not_square(canvas: str, size: str | None, shape: tuple[int, int]) -> None:
    assert fast("conv2:0", canvas=canvas, size=size, steps=2).pictures.shape[2:] == shape


@pytest.mark.parametrize("size", ["0", "0x10", "10x0", "-5", "10x", "x10", "10x10x10", "ten", "1.5", ""])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(InputError, match="HEIGHTxWIDTH"):
        fast("conv2:0", size=size)


def test_diversity_gives_different_pictures_of_one_unit() -> None:
    together, apart = fast("conv2:1", diversity=3), fast("conv2:1", "conv2:1", "conv2:1")

    def spread(found: Tensor) -> float:
        features = NETWORK.capture(found, ["conv2"])["conv2"].flatten(2)
        grams = torch.nn.functional.normalize((features @ features.transpose(1, 2)).flatten(1), dim=1)
        return float(1 - (grams @ grams.T).mean())

    assert len(together.pictures) == 3 and len(together.captions()) == 3
    assert spread(together.pictures) > spread(apart.pictures)


def test_diversity_keeps_to_pictures_of_the_same_unit() -> None:
    result = fast("conv2:1", "logits:2", diversity=2, steps=4)
    assert [(unit.layer, unit.channel) for unit in result.units] == [("conv2", 1)] * 2 + [("logits", 2)] * 2


def test_a_grey_network_gives_grey_pictures_that_can_be_saved(photo: Path) -> None:
    grey = tiny.network(1)
    for start in ("noise", str(photo)):
        result = fast("conv2:1", network=grey, start=start)
        assert result.pictures.shape == (1, 3, 32, 32)
        assert torch.equal(result.pictures[:, 0], result.pictures[:, 2])
        assert result.activation[0] > result.start_activation[0]
        assert pictures.to_png_bytes(result.sheet())


def test_a_network_of_five_channels_starts_from_noise_only(photo: Path) -> None:
    five = tiny.network(5)
    result = fast("conv2:1", network=five)
    assert result.pictures.shape == (1, 5, 32, 32)
    assert result.sample_activation is None
    with pytest.raises(InputError, match="5 channels"):
        fast("conv2:1", network=five, start=str(photo))


@pytest.mark.parametrize("canvas", ["fourier", "pixels", "maco"])
def test_the_same_recipe_gives_the_same_bits_and_leaves_chance_alone(canvas: str) -> None:
    state = torch.get_rng_state()
    first, second = (fast(*UNITS, canvas=canvas, rotate=10.0, zoom=1.1) for _ in range(2))
    assert torch.equal(first.pictures, second.pictures)
    assert torch.equal(first.trace, second.trace)
    assert first.activation == second.activation
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first.pictures, fast(*UNITS, canvas=canvas, rotate=10.0, zoom=1.1, seed=1).pictures)


@pytest.mark.parametrize("smooth", [0.0, 50.0])
def test_a_dead_unit_says_that_it_is_dead(smooth: float) -> None:
    network = tiny.network(dead=True)
    with pytest.raises(LanternaError, match=r"act1:2.*dead unit"):
        fast("act1:2", network=network, steps=40, smooth=smooth)
    result = fast("act1:1", "act1:2", network=network, steps=40, smooth=smooth)
    assert result.dead == (False, True)
    assert result.captions()[1] == "act1:2: dead unit"
    assert result.activation[1] == 0.0


def test_a_unit_that_is_off_for_every_noise_is_woken_up() -> None:
    """Its bias keeps it off for all that is near grey; strong edges wake it."""
    module = tiny.module()
    # Centred weights: at flat grey all that is left is the bias.
    module.conv1.weight.data[1] -= module.conv1.weight.data[1].mean((1, 2), keepdim=True)
    module.conv1.bias.data[1] = -2.0
    network = Network.wrap(module, name="sleepy", preprocessing=NETWORK.preprocessing)
    result = run(VisualizeRecipe(units=("act1:1",), steps=96), network)
    assert result.start_activation[0] == 0 < result.activation[0] and result.dead == (False,)


def test_a_unit_that_priors_keep_off_is_not_dead() -> None:
    result = fast("act1:1", steps=60, restrain=1e9)
    assert result.dead == (False,)


def test_a_unit_that_was_silenced_is_not_dead() -> None:
    result = fast("act1:1", steps=60, minimize=True)
    assert result.activation[0] < result.start_activation[0] and result.dead == (False,)


def test_the_strip_goes_from_the_start_to_the_end() -> None:
    result = fast("conv2:1", "conv2:2", steps=50)
    assert result.strip.shape == (6, 2, 3, 32, 32)
    assert result.strip_steps == (0, 10, 20, 30, 40, 50)
    assert torch.equal(result.strip[-1], result.pictures)
    values = [float(NETWORK.capture(frame, ["conv2"])["conv2"][0, 1].mean()) for frame in result.strip]
    assert values[0] == pytest.approx(result.start_activation[0], abs=1e-4)
    assert values[0] < values[1] < values[-1]


@pytest.mark.parametrize("steps", [0, 1, 3, 7, 13])
def test_a_short_strip_names_its_steps(steps: int) -> None:
    result = fast("conv2:1", steps=steps)
    assert len(result.strip) == len(result.strip_steps) <= 6
    assert result.strip_steps[0] == 0 and result.strip_steps[-1] == steps
    assert list(result.strip_steps[:-1]) == sorted(set(result.strip_steps[:-1]))


def test_stop_is_honoured_within_a_step_and_gives_what_there_is() -> None:
    def listen(event: Event) -> object:
        return STOP if isinstance(event, Stepped) and event.step == 5 else None

    result = run(VisualizeRecipe(units=("conv2:1",), steps=50), NETWORK, listen)  # type: ignore[arg-type]
    assert result.stopped and result.steps == 5 and len(result.trace) == 5
    assert result.strip_steps[-1] == 5


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"units": ("conv2:1@16,0",)}, "rows 0 to 15"),
        ({"units": ("conv2:1@8,8",), "size": "12"}, "rows 0 to 5"),
        ({"units": ("conv9:1",)}, "conv2"),
        ({"units": ("conv2:1",), "start": "no_such_picture.png"}, "no_such_picture"),
    ],
)
def test_bad_input_is_refused_before_the_first_step(fields: dict[str, object], error: str) -> None:
    heard: list[Event] = []
    with pytest.raises(InputError, match=error):
        run(VisualizeRecipe.model_validate(fields), NETWORK, heard.append)  # type: ignore[arg-type]
    assert heard == []


def test_a_position_is_checked_at_the_size_asked_for() -> None:
    assert fast("conv2:1@20,20", size="48", steps=1).pictures.shape[2:] == (48, 48)


def test_a_picture_to_start_from_that_is_none_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(PictureError, match="empty"):
        fast("conv2:1", start=str(empty))


def test_a_recipe_is_frozen_and_takes_no_other_field() -> None:
    recipe = VisualizeRecipe(units=("conv2:1",))
    with pytest.raises(ValidationError):
        recipe.steps = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="step_count"):
        VisualizeRecipe.model_validate({"units": ("conv2:1",), "step_count": 3})
    assert VisualizeRecipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    "field",
    [
        {"steps": -1},
        {"steps": 100_001},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"shift": -1.0},
        {"shift": float("inf")},
        {"rotate": 181.0},
        {"zoom": 0.5},
        {"diversity": 0},
        {"seed": -1},
        {"seed": 2**63},
        {"canvas": "paper"},
        {"units": ()},
    ],
    ids=str,
)
def test_a_field_out_of_range_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VisualizeRecipe.model_validate({"units": ("conv2:1",), **field})


def test_a_notebook_shows_the_picture() -> None:
    html = NETWORK.visualize("conv2:1", steps=1)._repr_html_()
    assert html.startswith('<img src="data:image/png;base64,') and "conv2:1" in html


def test_priors_change_the_picture_as_they_say() -> None:
    def variation(found: Tensor) -> float:
        return float((found.diff(dim=2) ** 2).mean() + (found.diff(dim=3) ** 2).mean())

    plain = fast("conv2:1", canvas="pixels").pictures
    assert variation(fast("conv2:1", canvas="pixels", tv=20.0).pictures) < variation(plain)
    assert variation(fast("conv2:1", canvas="pixels", smooth=20.0).pictures) < variation(plain)


def test_views_of_a_small_picture_are_moved_by_a_part_of_it() -> None:
    """By the default shift two views of a digit of 28 px would have nothing in common."""
    recipe = VisualizeRecipe(units=("0:0",), zoom=1.0)
    assert canvas_margin(recipe, (100,), (28, 28)) < 14 < canvas_margin(recipe, (100,), (160, 160))


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_priors_weigh_the_same_whatever_the_scale_of_the_weights(factor: float) -> None:
    module = tiny.module()
    module.head.weight.data *= factor
    module.head.bias.data *= factor
    scaled = Network.wrap(module, name="scaled", preprocessing=NETWORK.preprocessing)
    recipe = VisualizeRecipe(units=("head:2",), steps=24)
    plain, other = run(recipe, NETWORK), run(recipe, scaled)
    assert (plain.pictures - other.pictures).abs().max() <= 3 * LEVEL
    assert other.activation[0] == pytest.approx(factor * plain.activation[0], rel=0.02)


def test_a_small_picture_moves_as_far_as_a_large_one() -> None:
    plain = VisualizeRecipe(units=("head:2",), steps=48)
    small, large = (run(plain.model_copy(update={"size": size}), NETWORK).pictures.std() for size in ("20", "160"))
    assert small > 0.7 * large
