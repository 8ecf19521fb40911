"""Tiles give the gradient of the whole."""

import pytest
import tiny
import torch
from torch import Tensor, nn

from lanterna import InputError, Network, Preprocessing
from lanterna.objectives import layer_norm
from lanterna.techniques.dream import Dreamer, DreamRecipe
from lanterna.tiles import Tiles, mirrored, per_position, reach_of


def valid() -> Network:
    """No padding anywhere, strides 2 and 2."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.MaxPool2d(2), nn.Conv2d(5, 4, 3)
        )
    return Network.wrap(module, name="valid", preprocessing=Preprocessing(size=(64, 64)))


def gradient(network: Network, layer: str, picture: Tensor, side: int | None, shift: int = 9) -> tuple[Tensor, Tensor]:
    reach = reach_of([network.layer(layer)])
    objective = per_position(layer_norm(layer), layer)
    with network.reading([layer]) as read:
        return Tiles(reach, shift, side)(picture, read, objective, torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("network", "layer"), [(tiny.network(), "act2"), (tiny.network(), "conv1"), (valid(), "4")])
@pytest.mark.parametrize("size", [(64, 64), (43, 118)])
def test_tiles_have_the_gradient_of_the_whole(network: Network, layer: str, size: tuple[int, int]) -> None:
    picture = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(1))
    whole_value, whole = gradient(network, layer, picture, None)
    least = sum(reach_of([network.layer(layer)]).halo) + 24
    for side in (least, 1000):
        value, parts = gradient(network, layer, picture, side)
        assert torch.allclose(value, whole_value, rtol=1e-4)
        assert float((parts - whole).abs().max()) <= 1e-4 * float(whole.abs().max())


@pytest.mark.parametrize("layer", ["blocks.1", "blocks.3", "blocks.4"])
def test_tiles_are_exact_on_a_network_with_padding_at_one_side(lite0: Network, layer: str) -> None:
    picture = torch.rand((1, 3, 130, 450), generator=torch.Generator().manual_seed(1))
    whole_value, whole = gradient(lite0, layer, picture, None)
    side = sum(reach_of([lite0.layer(layer)]).halo) + 64
    value, parts = gradient(lite0, layer, picture, side)
    assert torch.allclose(value, whole_value, rtol=1e-4)
    assert float((parts - whole).abs().max()) <= 1e-4 * float(whole.abs().max())


def test_too_small_a_halo_would_show() -> None:
    """The control: with half of the halo the gradients differ, so the test above can fail."""
    network = tiny.network()
    reach = reach_of([network.layer("act2")])
    picture = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    objective = per_position(layer_norm("act2"), "act2")
    short = type(reach)(reach.align, (0, 0), True, reach.strides)
    with network.reading(["act2"]) as read:
        _, whole = Tiles(reach, 0)(picture, read, objective, torch.Generator())
        _, parts = Tiles(short, 0, 16)(picture, read, objective, torch.Generator())
    assert float((parts - whole).abs().max()) > 1e-2 * float(whole.abs().max())


def test_the_whole_is_what_autograd_says() -> None:
    network = tiny.network()
    picture = torch.rand((1, 3, 32, 48), generator=torch.Generator().manual_seed(1)).requires_grad_()
    _, found = gradient(network, "act2", picture.detach(), None, shift=0)
    with network.reading(["act2"]) as read:
        objective = per_position(layer_norm("act2"), "act2")
        (expected,) = torch.autograd.grad(objective(read(picture)).sum(), picture)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_layer_that_sees_everything_is_told() -> None:
    assert not reach_of([tiny.network().layer("logits")]).exact
    assert reach_of([tiny.network().layer("act2")]).exact


def test_mirrored_goes_on_without_end() -> None:
    assert mirrored(-3, 8, 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert mirrored(-2, 3, 1).tolist() == [0] * 5


def test_a_tile_smaller_than_its_halo_is_refused() -> None:
    with pytest.raises(InputError, match="too small"):
        Tiles(reach_of([tiny.network().layer("act2")]), 0, 4)


def test_a_tiled_dream_is_the_whole_dream() -> None:
    network = tiny.network()
    fields = {"picture": "coffee", "size": "100x140", "layers": ("act2",), "octaves": 2, "steps": 3}
    made = []
    for tile in (None, 48):
        recipe = DreamRecipe(tile=tile, **fields)
        dreamer = Dreamer.prepare(recipe, network, _picture())
        dream, *_ = dreamer.dream(_picture(), torch.Generator().manual_seed(0), lambda *_: None, steps=3)
        made.append(dream)
    assert float((made[0] - made[1]).abs().max()) < 1e-3


def _picture() -> Tensor:
    return torch.rand((1, 3, 100, 140), generator=torch.Generator().manual_seed(2))
