"""A picture from its representation, on networks of milliseconds; quality on the built-in ones at small size."""

from pathlib import Path

import pytest
import tiny
import torch
from pydantic import ValidationError

from lanterna import InputError, InvertRecipe, Network, Preprocessing, UnknownNameError, pictures
from lanterna.events import STOP, Event, Preview, Started, Stepped
from lanterna.techniques.invert import Inversion, resolve_layers, run

QUICK = {"picture": "coffee", "samples": 2, "steps": 30, "judge": "none"}


def invert(*layers: str, network: Network | None = None, **fields: object) -> Inversion:
    return run(InvertRecipe.model_validate({"layers": layers, **QUICK, **fields}), network or tiny.network())


@pytest.mark.parametrize("prior", ["fourier", "tv", "alpha", "none"])
def test_the_pictures_come_to_have_the_same_features(prior: str) -> None:
    before, after = invert("act1", prior=prior, steps=0), invert("act1", prior=prior)
    for start, end in zip(before.recreations[0].feature_error, after.recreations[0].feature_error, strict=True):
        assert end < start / 10


@pytest.mark.parametrize("measure", ["squared", "cosine", "softmax"])
@pytest.mark.parametrize("layer", ["act2", "logits"])
def test_every_measure_lowers_its_own_distance(measure: str, layer: str) -> None:
    trace = invert(layer, measure=measure, weight=0).recreations[0].trace
    assert (trace.max(0).values > trace[0] / 2).all() and (trace[-1] > trace[0]).all()


def test_the_numbers_are_those_of_the_saved_picture(tmp_path: Path) -> None:
    net, made = tiny.network(), invert("act1")
    (found,) = made.recreations
    pictures.save(found.pictures[1], tmp_path / "one.png")
    saved = pictures.load(tmp_path / "one.png")
    reference, features = (net.capture(picture, ["act1"])["act1"] for picture in (made.original, saved))
    distance = float((features - reference).square().sum())
    assert found.feature_error[1] == pytest.approx(distance / float(reference.square().sum()), rel=1e-4)
    everything = torch.cat([net.capture(sample, ["act1"])["act1"] for sample in pictures.samples_at((32, 32))]).flatten(1)
    pairs = torch.cdist(everything.double(), everything.double()).square()
    mean = float(pairs.sum() / (len(pairs) * (len(pairs) - 1)))
    assert found.pair_error[1] == pytest.approx(distance / mean, rel=1e-3)
    assert found.psnr[1] == pytest.approx(-10 * float((saved - made.original).square().mean().log10()), rel=1e-4)
    assert -1 <= found.ssim[1] <= 1
    apart = float((found.pictures[0] - found.pictures[1]).square().mean())
    assert found.pixel_distance == pytest.approx(apart, rel=1e-4)


def test_a_perfect_recreation_has_a_psnr_and_keeps_everything() -> None:
    (found,) = invert("act1", start="coffee", steps=0, judge="python:tiny:make").recreations
    # Eight bits and the sigmoid's ends are all that differs.
    assert min(found.psnr) > 45 and min(found.ssim) > 0.99
    assert found.top1_kept == found.top5_kept == found.judge_agrees == (True, True)


def test_samples_differ_by_seed_alone_and_do_not_depend_on_each_other() -> None:
    # Few steps: a convolution rounds otherwise in another batch, and small differences grow.
    (two,), (three,) = (invert("act2", samples=samples, steps=4).recreations for samples in (2, 3))
    assert not torch.equal(two.pictures[0], two.pictures[1])
    assert torch.allclose(two.pictures[0], three.pictures[0], atol=2 / 255)
    other = invert("act2", steps=4, seed=1).recreations[0]
    assert not torch.equal(two.pictures[0], other.pictures[0])


@pytest.mark.parametrize("where", ["picture", "act1"])
def test_spread_drives_samples_apart(where: str) -> None:
    (near,), (far,) = invert("logits").recreations, invert("logits", spread=0.01, spread_at=where).recreations
    assert near.pixel_distance is not None and far.pixel_distance is not None
    assert far.pixel_distance > 2 * near.pixel_distance


def test_one_sample_has_no_mutual_distance() -> None:
    (found,) = invert("act1", samples=1).recreations
    assert found.pixel_distance is None and found.feature_distance is None
    assert found.real_pixel_distance > 0 and found.real_feature_distance > 0


def test_only_some_channels_or_a_region_are_matched() -> None:
    net = tiny.network()
    made = invert("act1", channels="0-3", weight=0, network=net)
    features = net.capture(made.recreations[0].pictures, ["act1"])["act1"]
    wanted = net.capture(made.original, ["act1"])["act1"]
    off = (features - wanted).square().sum((0, 2, 3)) / wanted.square().sum((0, 2, 3)).clamp(min=1e-6)
    assert off[:4].max() < off[4:].max() / 2
    made = invert("act1", region="4,8,6x10", weight=0, network=net)
    off = (net.capture(made.recreations[0].pictures, ["act1"])["act1"] - wanted).square().sum((0, 1))
    inside = off[4:10, 8:18]
    assert inside.mean() < (off.sum() - inside.sum()) / (off.numel() - inside.numel()) / 10


def test_layers_are_done_one_after_the_other_and_told_as_one_run() -> None:
    told: list[Event] = []
    recipe = InvertRecipe(layers=("act1", "logits"), **{**QUICK, "steps": 4})
    made = run(recipe, tiny.network(), told.append)
    assert [layer.layer for layer in made.recreations] == ["act1", "logits"]
    assert told[0] == Started(8, 2)
    assert [event.step for event in told if isinstance(event, Stepped)] == list(range(1, 9))
    alone = invert("logits", steps=4).recreations[0]
    assert torch.equal(alone.pictures, made.recreations[1].pictures)


def test_stop_is_honoured_within_a_step_and_gives_what_there_is() -> None:
    def listen(event: Event) -> str | None:
        return STOP if isinstance(event, Stepped) and event.step == 6 else None

    recipe = InvertRecipe(layers=("act1", "act2", "logits"), **{**QUICK, "steps": 4})
    made = run(recipe, tiny.network(), listen)  # type: ignore[arg-type]  # STOP is a literal
    assert made.stopped and made.steps == 6 and len(made.recreations) == 2


def test_the_same_recipe_gives_the_same_bits_and_leaves_chance_alone() -> None:
    state = torch.random.get_rng_state()
    first, second = invert("act2", spread=0.01), invert("act2", spread=0.01)
    assert torch.equal(first.recreations[0].pictures, second.recreations[0].pictures)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_picture_divides_nothing_by_zero(value: float) -> None:
    made = tiny.network().invert(["act1", "logits"], torch.full((1, 3, 32, 32), value), samples=2, steps=5, judge="none")
    for found in made.recreations:
        numbers = (*found.feature_error, *found.pair_error, *found.psnr, *found.ssim, found.real_feature_distance)
        assert torch.tensor(numbers).isfinite().all()


def test_a_silent_layer_divides_nothing_by_zero() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    torch.nn.init.constant_(module[0].bias, -100.0)
    silent = Network.wrap(module, preprocessing=Preprocessing(size=(32, 32)))
    (found,) = silent.invert("1", "coffee", samples=2, steps=3, judge="none").recreations
    assert found.feature_error == (0.0, 0.0) and found.pair_error == (0.0, 0.0)


@pytest.mark.parametrize(("given", "shape"), [({}, (32, 32)), ({"size": "20x41"}, (20, 41)), ({"native": True}, (40, 29))])
def test_a_picture_of_another_shape_is_resized_or_kept(
    tmp_path: Path, given: dict[str, object], shape: tuple[int, int]
) -> None:
    pictures.save(torch.rand(1, 3, 40, 29), tmp_path / "odd.png")
    made = invert("act1", "logits", picture=str(tmp_path / "odd.png"), steps=2, **given)
    assert made.original.shape[2:] == made.recreations[1].pictures.shape[2:] == shape


def test_a_grey_network_gives_grey_pictures_that_can_be_saved(tmp_path: Path) -> None:
    made = invert("act1", network=tiny.network(1))
    assert made.original.shape == (1, 3, 32, 32)
    found = made.recreations[0].pictures
    assert torch.equal(found[:, 0], found[:, 1]) and max(made.recreations[0].feature_error) < 0.1
    pictures.save(made.sheet(), tmp_path / "sheet.png")


def test_all_is_about_a_dozen_layers_to_the_end(lite0: Network) -> None:
    names = resolve_layers(["all"], lite0)
    assert 6 <= len(names) <= 12 and names[-1] == "logits"
    assert names == sorted(names, key=[layer.name for layer in lite0.layers()].index)


@pytest.mark.parametrize(
    ("layers", "fields", "error"),
    [
        (("act3",), {}, "act1"),
        (("act1:2",), {}, "is a unit"),
        (("all", "act1"), {}, "stands alone"),
        (("act1",), {"channels": "8"}, "channels 0 to 7"),
        (("act1",), {"channels": "3-1"}, "such as 0-31,40"),
        (("act1",), {"channels": "many"}, "such as 0-31,40"),
        (("act1",), {"region": "1,1"}, "ROW,COLUMN,HEIGHTxWIDTH"),
        (("act1",), {"region": "30,30,4x4"}, "map is 32x32"),
        (("logits",), {"region": "0,0,1x1"}, "has no map"),
        (("act1",), {"native": True, "size": "32"}, "give one of them"),
        (("act1",), {"size": "6"}, "the least is 7x7"),
        (("act1",), {"size": "six"}, "not a size"),
        (("act1",), {"spread": 1.0, "spread_at": "act9"}, "act1"),
        (("act1",), {"picture": "cofee"}, "coffee"),
        (("act1",), {"start": "cofee"}, "coffee"),
        (("act1",), {"judge": "efficientnet_lite9"}, "efficientnet_lite"),
    ],
)
def test_bad_input_is_refused_before_the_first_step(layers: tuple[str, ...], fields: dict[str, object], error: str) -> None:
    told: list[Event] = []
    with pytest.raises(InputError, match=error):
        run(InvertRecipe.model_validate({"layers": layers, **QUICK, **fields}), tiny.network(), told.append)
    assert not told


def test_a_network_of_five_channels_has_no_representation_of_a_picture() -> None:
    with pytest.raises(InputError, match="5 channels"):
        invert("act1", network=tiny.network(5))


def test_an_unknown_layer_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError):
        invert("blocks")


@pytest.mark.parametrize(
    "fields", [{"samples": 0}, {"steps": -1}, {"prior": "wavelets"}, {"weight": -1}, {"spread": -0.1}, {"layers": ()}]
)
def test_a_field_out_of_range_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        InvertRecipe.model_validate({"layers": ("act1",), "picture": "coffee", **fields})


def test_a_tensor_outside_the_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        tiny.network().invert("act1", torch.full((1, 3, 32, 32), 200.0))


def test_a_notebook_shows_the_sheet() -> None:
    assert 'alt="recreated from act1"' in invert("act1", steps=1)._repr_html_()


def test_no_preview_is_asked_for() -> None:
    told: list[Event] = []
    run(InvertRecipe(layers=("act1",), **{**QUICK, "steps": 3}), tiny.network(), told.append)
    assert not any(isinstance(event, Preview) for event in told)


def test_shallow_layers_give_the_photograph_back_with_its_colours(lite0: Network) -> None:
    made = lite0.invert(["blocks.1", "blocks.3"], "chelsea", samples=1, size="96", judge="none")
    shallow, deeper = made.recreations
    assert shallow.psnr[0] > 22 and shallow.feature_error[0] < 0.05
    assert deeper.feature_error[0] < 0.1
    # Colours included: each channel's mean is the photograph's.
    assert (shallow.pictures.mean((0, 2, 3)) - made.original.mean((0, 2, 3))).abs().max() < 0.04
    assert shallow.psnr[0] > deeper.psnr[0]
