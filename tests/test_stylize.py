"""Stylize, texture and style-distance, on a tiny network: what they do, what they refuse, and that they can be resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch

from lanterna import Network, Preprocessing, pictures
from lanterna.errors import InputError, LanternaError
from lanterna.events import STOP, Event, Preview, Stepped
from lanterna.networks.adapt import adapted
from lanterna.objectives import PICTURE
from lanterna.pictures.colour import luminance, match_colours, with_colours_of
from lanterna.techniques import style_distance, stylize
from lanterna.techniques.masks import feathered, load_mask
from lanterna.techniques.paint import Sketch, settling
from lanterna.techniques.studio import Studio
from lanterna.techniques.style_layers import (
    StyleLayers,
    default_content_weight,
    default_layers,
    style_weights,
    usual_network,
)
from lanterna.techniques.style_recipe import StylizeRecipe, TextureRecipe

# Maps this small are slower in two threads.
pytestmark = pytest.mark.usefixtures("one_thread")


Run = Callable[..., SimpleNamespace]
NETWORK = tiny.make_vgg()
TINY = ["--network", "python:tiny:make_vgg", "--quiet"]
SMALL = ["--size", "40", "--steps", "3"]


def recipe(**fields: object) -> StylizeRecipe:
    return StylizeRecipe.model_validate({"content": "chelsea", "styles": ("coffee",), "size": "48", "steps": 12, **fields})


def test_style_comes_and_content_stays() -> None:
    result = stylize.run(recipe(steps=60), NETWORK)
    style = [name for name in result.losses if name.startswith("style")]
    assert result.picture.shape[1:] == (3, 32, 48) and float(result.picture.min()) >= 0
    assert sum(result.losses[name] for name in style) < 0.5 * sum(result.start_losses[name] for name in style)
    assert 0 < result.losses["content(relu3_2)"] < 1.0
    assert result.steps == (60,) and not result.stopped and len(result.trace) == 60


def test_content_alone_from_noise_is_the_content() -> None:
    result = stylize.run(recipe(style_weight=0.0, content_weight=1.0, init="noise", steps=80, tv_weight=0.0), NETWORK)
    assert result.losses["content(relu3_2)"] < 0.3 * result.start_losses["content(relu3_2)"]


@pytest.mark.parametrize("statistic", ["gram", "mean_variance", "wasserstein", "histogram", "means"])
def test_every_statistic_falls(statistic: str) -> None:
    result = stylize.run(recipe(statistic=statistic, content_weight=0.0, steps=40), NETWORK)
    assert sum(result.losses.values()) < 0.7 * sum(result.start_losses.values())


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "gatys", "steps": 30},
        {"optimizer": "adam", "lr": 0.02},
        {"content_loss": "self_similarity"},
        {"pooling": "avg"},
        {"tile": 48, "size": "96", "steps": 3},
        {"scramble": True},
    ],
)
def test_the_whole_loss_falls(fields: dict[str, object]) -> None:
    trace = stylize.run(recipe(**fields), NETWORK).trace
    assert float(trace[-1]) < float(trace[0])


def test_tiles_change_nothing_that_can_be_seen() -> None:
    whole = stylize.run(recipe(size="96", steps=6), NETWORK).picture
    tiled = stylize.run(recipe(size="96", steps=6, tile=48), NETWORK).picture
    assert float((whole - tiled).abs().mean()) < 2e-3


def test_a_strided_first_convolution_and_noise_ask_for_more_smoothness_unless_it_is_given() -> None:
    def weight(layers: StyleLayers, **fields: object) -> float:
        picture = pictures.load("coffee", size=48)
        size = (picture.shape[2], picture.shape[3])
        return (
            Studio(recipe(**fields), NETWORK, layers, [picture], [1.0], picture, [], False, size).scale(size, 1).priors[0][0]
        )

    fine, coarse = default_layers(NETWORK), StyleLayers(("relu2_1",), ("relu3_2",))
    assert weight(coarse) == pytest.approx(8 * weight(fine))
    assert weight(fine, init="noise") == pytest.approx(4 * weight(fine))
    assert weight(coarse, tv_weight=0.0002) == weight(fine, tv_weight=0.0002) == weight(fine)


def test_the_rate_settles_in_the_second_half() -> None:
    assert [settling(progress) for progress in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([1.0, 1.0, 0.55, 0.1])


def test_early_layers_weigh_most_however_many_there_are() -> None:
    for count in (1, 3, 5, 7):
        weights = style_weights(count)
        assert sum(weights) == pytest.approx(1) and weights == sorted(weights, reverse=True) and len(weights) == count


@pytest.mark.parametrize("fields", [{}, {"preset": "gatys"}, {"optimizer": "adam"}])
def test_a_run_goes_on_from_its_sketch_with_the_same_bits(fields: dict[str, object]) -> None:
    made = recipe(size="160", steps=3, tv_weight=0.0, **fields)
    whole = stylize.run(made, NETWORK)
    kept: list[Sketch] = []
    stylize.run(made, NETWORK, keep=lambda sketch: kept.append(sketch))
    assert [(sketch.scale, sketch.step) for sketch in kept] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    for sketch in (kept[1], kept[2], kept[4]):
        assert torch.equal(stylize.run(made, NETWORK, resume=sketch).picture, whole.picture)


@pytest.mark.parametrize(("preset", "price"), [("gatys", 1e-3 * 255**2), ("multiscale", 10 / (3 * 32 * 48))])
def test_values_beyond_the_range_cost_with_lbfgs(preset: str, price: float) -> None:
    picture = pictures.load("chelsea", size=48)
    size = (picture.shape[2], picture.shape[3])
    made = recipe(preset=preset, tv_weight=0.0)
    priors = Studio(made, NETWORK, default_layers(NETWORK), [picture], [1.0], picture, [], False, size).scale(size, 1).priors

    def cost(given: torch.Tensor) -> float:
        return float(sum((weight * prior({PICTURE: given}) for weight, prior in priors), start=torch.zeros(1)))

    outside = picture.clone()
    outside[0, 0, 3, 4], outside[0, 2, 5, 6] = -0.2, 1.1
    assert cost(picture) == 0 and cost(outside) == pytest.approx(price * (0.2**2 + 0.1**2))


def test_a_listener_sees_the_picture_and_can_stop() -> None:
    seen: list[Event] = []

    def listen(event: Event) -> str | None:
        seen.append(event)
        return STOP if sum(isinstance(e, Stepped) for e in seen) == 4 else None

    result = stylize.run(recipe(), NETWORK, listen, preview_every=2)  # type: ignore[arg-type]
    assert result.stopped and sum(result.steps) == 4
    assert [event.pictures.shape for event in seen if isinstance(event, Preview)] == [(1, 3, 32, 48)] * 2


def test_masks_put_each_style_in_its_place(tmp_path: Path) -> None:
    left = torch.zeros(1, 3, 32, 48)
    left[..., :24] = 1
    for name, mask in (("left", left), ("right", 1 - left)):
        pictures.save(mask, tmp_path / f"{name}.png")
    pictures.save(torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1) * torch.rand(1, 3, 64, 64), tmp_path / "red.png")
    pictures.save(torch.tensor([0.1, 0.1, 0.9]).view(1, 3, 1, 1) * torch.rand(1, 3, 64, 64), tmp_path / "blue.png")
    made = recipe(
        styles=tuple(str(tmp_path / f"{name}.png") for name in ("red", "blue")),
        masks=tuple(str(tmp_path / f"{name}.png") for name in ("left", "right")),
        content_weight=0.0, steps=80, size="32x48",
    )  # fmt: skip
    picture = stylize.run(made, NETWORK).picture[0]
    redness = (picture[0] - picture[2]).mean(0)
    assert float(redness[:20].mean()) > float(redness[28:].mean()) + 0.1


def test_what_no_mask_covers_stays_the_photograph_with_a_soft_edge(tmp_path: Path) -> None:
    left = torch.zeros(1, 3, 32, 48)
    left[..., :24] = 1
    pictures.save(left, tmp_path / "left.png")
    made = recipe(masks=(str(tmp_path / "left.png"),), steps=20, size="64x96", init="noise")
    result = stylize.run(made, NETWORK)
    change = (result.picture - pictures.load("chelsea", size=(64, 96))).abs().mean((0, 1, 2))
    assert float(change[53:].max()) <= 0.5 / 255 + 1e-6, "beyond the feather it is the photograph, bit for bit"
    assert float(change[:40].mean()) > 0.05
    soft = feathered(load_mask(str(tmp_path / "left.png"), (64, 96)))[0, 0, 0]
    assert bool((soft.diff() <= 0).all()) and 0 < float(soft[24]) < 0.5 < float(soft[23]) < 1


def test_masks_that_cover_all_leave_no_photograph(tmp_path: Path) -> None:
    pictures.save(torch.ones(1, 3, 32, 48), tmp_path / "white.png")
    whole, masked = (
        stylize.run(recipe(masks=masks, steps=3), NETWORK).picture for masks in ((), (str(tmp_path / "white.png"),))
    )
    assert float((whole - masked).abs().mean()) < 2e-3


@pytest.mark.parametrize("command", ["stylize chelsea coffee --network {} --mask gravel", "dream {} chelsea --mask gravel"])
def test_a_mask_of_another_shape_is_refused_before_the_network_is_loaded(
    lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for module in ("stylize", "dream"):
        monkeypatch.setattr(f"lanterna.cli.{module}.load_network", lambda *_: pytest.fail("loaded the network"))
    result = lanterna(*command.format("python:tiny:make_vgg").split())
    assert result.code == 2 and "the mask 'gravel' is 512x512, another shape than the" in result.err
    assert list(folder.iterdir()) == []


def test_blend_weights_lie_between_the_styles() -> None:
    def losses(weights: tuple[float, ...]) -> float:
        result = stylize.run(recipe(styles=("coffee", "hubble_deep_field"), style_blend_weights=weights, steps=0), NETWORK)
        return sum(result.losses.values())

    assert losses((1.0, 0.0)) != losses((0.0, 1.0)) != losses((0.5, 0.5))


def test_colours_of_the_content_are_kept() -> None:
    content = pictures.load("chelsea", size=(32, 48))
    after = stylize.run(recipe(size="32x48", color="luminance"), NETWORK).picture
    assert torch.allclose(luminance(with_colours_of(after, content)), luminance(after), atol=0.05)
    style = pictures.load("coffee", size=64)
    matched = match_colours(style, content)
    assert torch.allclose(matched.mean((2, 3)), content.mean((2, 3)), atol=0.03)
    assert not torch.allclose(style.mean((2, 3)), content.mean((2, 3)), atol=0.03)


def test_a_tileable_texture_has_no_seam() -> None:
    made = TextureRecipe(styles=("gravel",), size="48", steps=8, tileable=True)
    painted = stylize.run(made, NETWORK)
    assert sum(painted.losses.values()) < sum(painted.start_losses.values())
    # Without a border it makes no difference where the picture is cut.
    wrapped = adapted(NETWORK, padding="circular")
    here, there = (
        wrapped.capture(picture, ["relu3_1"])["relu3_1"]
        for picture in (painted.picture, painted.picture.roll((8, 20), (2, 3)))
    )
    torch.testing.assert_close(there, here.roll((2, 5), (2, 3)), rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match=r"multiples of 4.*48x48|multiples of 4.*52x52"):
        stylize.run(made.model_copy(update={"size": "50"}), NETWORK)


def test_a_tileable_texture_is_not_given_the_cut_between_the_borders_of_its_picture(tmp_path: Path) -> None:
    """Dark at the left and bright at the right, a picture has no edge inside; read as if it went on, it has one."""
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous()
    pictures.save(ramp, tmp_path / "ramp.png")
    made = TextureRecipe(styles=(str(tmp_path / "ramp.png"),), size="64", tileable=True)
    studio, _, _ = stylize._texture(made, NETWORK)
    ramp = pictures.load(tmp_path / "ramp.png")
    losses = {}
    for padding in ("replicate", "circular"):
        found = adapted(NETWORK, padding=padding).capture(ramp, studio.layers.style)
        losses[padding] = sum(float(term(found[term.layer])) for term in studio.scale((64, 64), 1).terms)
    assert losses["replicate"] < 1e-3 < 0.1 * losses["circular"]


def test_each_kind_of_network_has_its_own_weight_of_the_content() -> None:
    assert default_content_weight(NETWORK) == default_content_weight(adapted(NETWORK)) == 0.00025
    normalized = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    network = Network.wrap(normalized.eval(), preprocessing=Preprocessing(size=(32, 32)))
    assert default_content_weight(network) == 0.004
    assert usual_network(recipe()) == "efficientnet_lite0"
    assert usual_network(recipe(preset="gatys")) == usual_network(TextureRecipe(styles=("gravel",))) == "vgg16_hed"


def test_layers_are_found_by_place() -> None:
    found = default_layers(NETWORK)
    assert found.style == ("relu1_1", "relu2_1", "relu3_1") and found.content == ("relu3_2",)
    assert default_layers(tiny.network()).style


def test_padding_and_pooling_leave_the_network_alone() -> None:
    before = {name: (type(part), getattr(part, "padding_mode", "")) for name, part in NETWORK.module.named_modules()}
    made = adapted(NETWORK, pooling="avg", padding="circular")
    assert "AvgPool2d" in {layer.kind for layer in made.layers()}
    assert {name: (type(p), getattr(p, "padding_mode", "")) for name, p in NETWORK.module.named_modules()} == before
    # The weights are the same in memory too.
    assert all(own is given for own, given in zip(made.module.parameters(), NETWORK.module.parameters(), strict=True))


def test_what_is_around_the_maps() -> None:
    """Inside, where no layer sees the border, it makes no difference."""
    picture = torch.rand((1, 3, 40, 40), generator=torch.Generator().manual_seed(0))
    maps = {
        padding: adapted(NETWORK, padding=padding).capture(picture, ["relu1_1", "relu2_1"])
        for padding in ("replicate", "first", "zeros")
    }
    torch.testing.assert_close(maps["first"]["relu1_1"], maps["replicate"]["relu1_1"])
    for padding in ("first", "zeros"):
        torch.testing.assert_close(maps[padding]["relu2_1"][..., 3:-3, 3:-3], maps["replicate"]["relu2_1"][..., 3:-3, 3:-3])
        assert not torch.allclose(maps[padding]["relu2_1"], maps["replicate"]["relu2_1"])
    assert not torch.allclose(maps["zeros"]["relu1_1"], maps["first"]["relu1_1"])
    made, other = (stylize.run(recipe(padding=padding, steps=3), NETWORK).picture for padding in ("replicate", "first"))
    assert not torch.equal(made, other)


def test_the_distance_of_a_picture_to_itself_is_nothing() -> None:
    same = style_distance.run(style_distance.StyleDistanceRecipe(first="gravel", second="gravel", size=64), NETWORK)
    other = style_distance.run(style_distance.StyleDistanceRecipe(first="coffee", second="gravel", size=64), NETWORK)
    for layer, distances in same.layers.items():
        for name, value in distances.items():
            assert abs(value) < 1e-4 < other.layers[layer][name]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"style_weight": 0.0, "content_weight": 0.0}, "both 0"),
        ({"style_blend_weights": (1.0, 2.0)}, "2 --style-blend-weights for 1 styles"),
        ({"style_blend_weights": (0.0,)}, "are all 0"),
        ({"style_layers": ("relu9_1",)}, r"relu9_1.*did you mean"),
        ({"content_layers": ("relu3_3",)}, r"relu3_3.*did you mean"),
        ({"style_scale": 0.01}, "too small for layer 'relu3_1'"),
        ({"masks": ("chelsea", "coffee")}, "2 masks for 1 styles"),
        ({"masks": ("gravel",)}, "another shape"),
        ({"size": "12x"}, "is not a size"),
        ({"content": "chelsae"}, "did you mean 'chelsea"),
        ({"statistic": "histogram", "tile": 40, "size": "96"}, "in tiles"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        stylize.run(recipe(**fields), NETWORK, lambda _event: pytest.fail("began"))


def test_masks_in_tiles_are_the_masks_of_the_whole(tmp_path: Path) -> None:
    pictures.save(torch.rand(1, 3, 64, 96).round(), tmp_path / "mask.png")
    fields = {"size": "64x96", "steps": 2, "masks": (str(tmp_path / "mask.png"),)}
    whole, tiled = (stylize.run(recipe(**fields, **more), NETWORK).picture for more in ({}, {"tile": 48}))
    assert float((whole - tiled).abs().mean()) < 2e-3


def test_an_empty_mask_is_refused(tmp_path: Path) -> None:
    pictures.save(torch.zeros(1, 3, 32, 48), tmp_path / "black.png")
    with pytest.raises(InputError, match="black everywhere"):
        stylize.run(recipe(masks=(str(tmp_path / "black.png"),)), NETWORK)


def test_a_loss_that_is_not_a_number_is_said() -> None:
    with pytest.raises(LanternaError, match="the loss became"):
        stylize.run(recipe(style_weight=1e300, statistic="gram"), NETWORK)


def test_the_command_line_paints_and_replays(lanterna: Run, folder: Path) -> None:
    made = lanterna("stylize", "chelsea", "coffee", *TINY, *SMALL, "--json", "--out", "a.png", "--film", "a.webp")
    assert made.code == 0, made.err
    told = json.loads(made.out)
    assert told["outputs"] == ["a.png", "a.webp"] and told["sizes"] == ["27x40"] and set(told["losses"])
    assert lanterna("replay", "a.png", "--out", "b.png", "--trust", "--quiet").code == 0
    assert torch.equal(pictures.load("a.png"), pictures.load("b.png"))
    assert lanterna("texture", "gravel", *TINY, *SMALL, "--out", "t.png").code == 0
    assert lanterna("replay", "t.png", "--out", "u.png", "--trust", "--quiet").code == 0
    assert torch.equal(pictures.load("t.png"), pictures.load("u.png"))
    assert "wasserstein" in lanterna("style-distance", "gravel", "grass", *TINY, "--size", "64").out


@pytest.mark.parametrize(("flags", "weight"), [([], "0.001"), (["--content-weight", "0.01"], "0.04")])
def test_the_output_ends_with_what_shows_more_of_the_subject(
    lanterna: Run, folder: Path, flags: list[str], weight: str
) -> None:
    command = ["stylize", "chelsea", "coffee", "--network", "python:tiny:make_vgg", *SMALL, *flags]
    said = f"for more of the subject: --content-weight {weight}"
    assert lanterna(*command).err.strip().splitlines()[-1] == said
    for silent in ("--quiet", "--json"):
        assert said not in lanterna(*command, silent).err
    assert "for more" not in lanterna(*command, "--style-weight", "0").err


def test_a_killed_run_goes_on_from_its_checkpoint(lanterna: Run, folder: Path) -> None:
    command = ["stylize", "chelsea", "coffee", *TINY, "--size", "40", "--steps", "25", "--checkpoint", "run.ckpt"]
    assert lanterna(*command[:-2], "--out", "whole.png").code == 0

    seen: list[Event] = []

    def killed(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(one, Stepped) for one in seen) == 14:
            raise KeyboardInterrupt

    from lanterna.cli import stylize as command_line
    from lanterna.provenance import describe
    from lanterna.techniques.sketches import key_of, load_sketch, save_sketch

    made = StylizeRecipe(content="chelsea", styles=("coffee",), size="40", steps=25)
    network = command_line.load_network("python:tiny:make_vgg", command_line.Common())
    key = key_of(describe(made, network, {}))

    def keep(sketch: Sketch) -> None:
        if sketch.step % 10 == 0:
            save_sketch(sketch, Path("run.ckpt"), key)

    with pytest.raises(KeyboardInterrupt):
        stylize.run(made, network, killed, keep=keep)
    found = load_sketch(Path("run.ckpt"), key)
    assert found is not None and found.step == 10
    wrong = lanterna(*command, "--seed", "1")
    assert wrong.code == 2 and "another recipe" in wrong.err
    assert lanterna(*command, "--out", "rest.png").code == 0
    assert torch.equal(pictures.load("whole.png"), pictures.load("rest.png"))
    assert not Path("run.ckpt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chelsea"], "no style was given"),
        (["chelsea", "coffee", "--content-weight", "-1"], "--content-weight -1"),
        (["chelsea", "coffee", "--style-blend-weights", "a"], "not numbers"),
        (["chelsea", "coffee", "--out", "a.bmp"], "suffix"),
        (["chelsea", "coffee", "--film", "a.avi"], "allowed are .webp, .gif"),
        (["chelsea", "coffee", "--size", "4"], "too small"),
        (["chelsea", "coffee", "--lr", "0.1"], "add --optimizer adam"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    lanterna: Run, folder: Path, arguments: list[str], message: str
) -> None:
    result = lanterna("stylize", *arguments, *TINY)
    assert result.code == 2 and message in result.err and len(result.err.strip().splitlines()) == 1
    assert list(folder.iterdir()) == []
