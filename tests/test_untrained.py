import tiny
import torch

from lanterna import Network
from lanterna.networks.untrained import untrained


def test_an_untrained_copy_is_the_same_architecture_and_another_network() -> None:
    net = tiny.network()
    before = {name: tensor.clone() for name, tensor in net.module.state_dict().items()}
    blank = untrained(net, seed=1)
    assert [layer.shape for layer in blank.layers()] == [layer.shape for layer in net.layers()]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.module.state_dict().items())
    assert not torch.equal(blank.module.state_dict()["conv1.weight"], before["conv1.weight"])


def test_its_chance_is_its_own() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (untrained(tiny.network(), seed).module.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_features_keep_their_scale_through_the_depth(lite0: Network) -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = untrained(lite0).capture(picture, ["blocks.0", "blocks.6", "logits"])
    for features in found.values():
        assert features.isfinite().all() and 1e-3 < float(features.std()) < 1e3
