"""Colours of even parts, found by trying."""

import pytest
import tiny
import torch

from lanterna import pictures
from lanterna.events import STOP
from lanterna.networks import Network
from lanterna.techniques import invert, invert_even
from lanterna.techniques.invert import InvertRecipe
from lanterna.techniques.invert_even import even_parts

SIZE = (64, 64)
SKY, WALL = torch.tensor([0.1, 0.3, 0.55]).view(3, 1, 1), torch.tensor([0.9, 0.6, 0.3]).view(3, 1, 1)


def scene() -> torch.Tensor:
    """A sky, a wall, and a third of texture below."""
    picture = torch.empty(1, 3, *SIZE)
    picture[..., :40, :32], picture[..., :40, 32:] = SKY, WALL
    picture[..., 40:, :] = torch.rand(3, 24, 64, generator=torch.Generator().manual_seed(0))
    return picture


def test_they_are_those_of_the_picture_and_texture_is_not_trusted(vgg16_hed: Network) -> None:
    reference = vgg16_hed.capture(scene(), ["relu2_2"])
    parts = even_parts(vgg16_hed, reference, SIZE)["relu2_2"]
    for columns, colour in ((slice(8, 24), SKY), (slice(40, 56), WALL)):
        found = parts.colours[0, :, 8:30, columns]
        assert float((found - colour).abs().mean()) < 0.1
        assert float(parts.trust[..., 8:30, columns].min()) > 0.9
    assert float(parts.trust[..., 48:, :].mean()) < 0.1


@pytest.mark.parametrize(("name", "farthest"), [("rocket", 0.13), ("coffee", 0.08)])
def test_even_parts_of_photographs_have_their_colour(name: str, farthest: float, vgg16_hed: Network) -> None:
    # Five levels a channel and distances as they are find an olive sky, 0.16 away, and a table 0.13 away.
    photograph = pictures.load(name, size=(96, 96))
    parts = even_parts(vgg16_hed, vgg16_hed.capture(photograph, ["relu3_3"]), (96, 96))["relu3_3"]
    assert float(parts.trust.mean()) > 0.03
    wrong = ((parts.colours - photograph).square().mean(1, keepdim=True) * parts.trust).sum() / parts.trust.sum()
    assert float(wrong.sqrt()) < farthest


@pytest.mark.parametrize("size", [(64, 64), (101, 94)])
@pytest.mark.parametrize(("network_name", "layer"), [("vgg16_hed", "relu3_3"), ("lite0", "bn1"), ("lite0", "blocks.1.0")])
def test_small_even_pictures_have_all_that_large_ones_have(
    network_name: str, layer: str, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    network = request.getfixturevalue(network_name)
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    reference = network.capture(picture, [layer])[layer]
    colours = torch.tensor([[0.2, 0.4, 0.9], [1.0, 0.7, 0.1]])[:, :, None, None]
    small = invert_even._small(network, layer, size)
    assert small[0] * small[1] < size[0] * size[1]
    few, all_of_it = (network.capture(colours.expand(-1, -1, *sides), [layer])[layer] for sides in (small, size))
    apart = (all_of_it - reference).square().sum(1)
    assert torch.allclose(invert_even._distances(few, reference), invert_even.in_patches(apart), rtol=1e-3)


def test_layers_without_a_map_and_silent_ones_tell_none() -> None:
    network = tiny.network(dead=True)
    references = network.capture(torch.rand(1, 3, 32, 32), ["act1", "logits"])
    parts = even_parts(network, {**references, "act1": torch.zeros_like(references["act1"])}, (32, 32))
    assert set(parts) == {"act1"} and not parts["act1"].trust.any()


def test_a_grey_network_has_greys() -> None:
    network = tiny.network(channels=1)
    picture = torch.full((1, 1, 32, 32), 0.8)
    parts = even_parts(network, network.capture(picture, ["act1"]), (32, 32))["act1"]
    assert parts.colours.shape == (1, 1, 32, 32) and float(parts.trust.mean()) > 0.5
    assert float(((parts.colours - 0.8).abs() * parts.trust).max()) < 0.1


def test_recreated_skies_have_their_colour(vgg16_hed: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def colour_error() -> float:
        recipe = InvertRecipe(layers=("relu3_3",), picture="-", samples=1, size="64", steps=60, judge="none")
        made = invert.run(recipe, vgg16_hed, picture=scene()).recreations[0].pictures
        return float((made - scene())[..., 8:30, :].abs().mean())

    found = colour_error()
    monkeypatch.setattr(invert, "even_parts", lambda *_: {})
    assert found < 0.75 * colour_error()


@pytest.mark.parametrize(
    ("fields", "searched"),
    [
        ({}, True),
        ({"channels": "0-2"}, False),
        ({"region": "0,0,2x2"}, False),
        ({"measure": "cosine"}, False),
        ({"start": "coffee"}, False),
        ({"prior": "fourier"}, False),
        ({"weight": 0}, False),
        ({"steps": 0}, False),
    ],
)
def test_only_whole_layers_from_noise_are_searched(
    fields: dict[str, object], searched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(invert, "even_parts", lambda _network, references, _size: asked.extend(references) or {})
    recipe = {"layers": ("act1", "logits"), "picture": "chelsea", "samples": 1, "steps": 2, "judge": "none", **fields}
    if "region" in fields or "channels" in fields:
        recipe["layers"] = ("act1",)
    invert.run(InvertRecipe.model_validate(recipe), tiny.network())
    # What sees beyond the edges has no even part.
    assert asked == (["act1"] if searched else [])


def test_a_reader_who_stops_at_once_waits_for_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invert, "even_parts", lambda *_: pytest.fail("searched"))
    recipe = InvertRecipe(layers=("act1",), picture="chelsea", samples=1, judge="none")
    assert invert.run(recipe, tiny.network(), lambda _event: STOP).stopped
