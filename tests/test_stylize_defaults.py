"""What stylize does unless told otherwise: its network and weights, what no mask covers, and its advice."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch

from lanterna import Network, Preprocessing, pictures
from lanterna.errors import InputError
from lanterna.networks.adapt import adapted
from lanterna.techniques import stylize
from lanterna.techniques.masks import feathered, load_mask
from lanterna.techniques.style_layers import default_content_weight, usual_network
from lanterna.techniques.style_recipe import StylizeRecipe, TextureRecipe

# Maps this small are slower in two threads.
pytestmark = pytest.mark.usefixtures("one_thread")

Run = Callable[..., SimpleNamespace]
NETWORK = tiny.make_vgg()
SMALL = ["--size", "40", "--steps", "3"]


def recipe(**fields: object) -> StylizeRecipe:
    return StylizeRecipe.model_validate({"content": "chelsea", "styles": ("coffee",), "size": "48", "steps": 12, **fields})


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


def test_a_style_too_narrow_for_the_deepest_usual_layer_is_painted_without_it() -> None:
    narrow = torch.rand(1, 3, 6, 48)
    assert stylize.prepare(recipe(), NETWORK, [narrow], (32, 48)).style == ("relu1_1", "relu2_1")
    with pytest.raises(InputError, match="too small for layer 'relu3_1'"):
        stylize.prepare(recipe(style_layers=("relu3_1",)), NETWORK, [narrow], (32, 48))


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
