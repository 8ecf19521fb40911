"""Reading layers: the right values, no deeper than needed, and the module left as it was."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lanterna.errors import UnknownNameError
from lanterna.networks import Network
from lanterna.networks.capture import capture
from lanterna.networks.preprocessing import Preprocessing


class _Boom(nn.Module):
    """The last part: it tells when it runs, and fails where asked."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.fail, self.ran = fail, 0

    def forward(self, x: Tensor) -> Tensor:
        self.ran += 1
        if self.fail:
            raise ValueError("boom")
        return x


def _net(fail: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 4, 3),
            norm=nn.BatchNorm2d(4),
            relu=nn.ReLU(inplace=True),
            block=nn.Sequential(nn.Conv2d(4, 2, 3), nn.Sequential(nn.ReLU())),
            last=_Boom(fail),
        )
    )


def _state(module: nn.Module) -> list[Any]:
    """All that reading could leave behind."""
    parts = [
        (part.training, tuple(part._forward_hooks), tuple(part._forward_pre_hooks), tuple(part._backward_hooks))
        for part in module.modules()
    ]
    return [parts, [p.requires_grad for p in module.parameters()], [p.grad for p in module.parameters()]]


PICTURE = torch.rand((2, 3, 10, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layers", [["conv"], ["block.1.0", "conv"], ["last"], [""]])
@pytest.mark.parametrize("ending", ["ordinary", "failing in the network", "failing outside"])
def test_module_is_as_it_was(layers: list[str], ending: str) -> None:
    net = _net(fail=ending == "failing in the network").train()
    net.norm.eval()
    net.conv.weight.requires_grad_(False)
    fired: list[str] = []
    net.conv.register_forward_hook(lambda *_: fired.append("conv"))
    before = _state(net)
    raised = None
    try:
        with capture(net, layers) as read:
            assert not any(p.requires_grad for p in net.parameters()) and not net.training
            read(PICTURE)
            assert fired == ["conv"]
            if ending == "failing outside":
                raise ValueError("outside")
    except ValueError as error:
        raised = error
    stopped_before = "last" not in layers and "" not in layers
    assert (raised is None) == (ending == "ordinary" or (ending.endswith("network") and stopped_before))
    assert _state(net) == before
    net.last.fail = False
    net(PICTURE)
    assert fired == ["conv", "conv"]


def test_stops_at_the_deepest_layer() -> None:
    net = _net()
    with capture(net, ["block.0", "conv"]) as read:
        assert set(read(PICTURE)) == {"block.0", "conv"}
        assert net.last.ran == 0
    with capture(net, ["last"]) as read:
        read(PICTURE)
    assert net.last.ran == 1


@pytest.mark.parametrize("layers", [["conv", "nope"], ["conv", "block.7"]])
def test_unknown_layer_leaves_no_hooks(layers: list[str]) -> None:
    net = _net()
    before = _state(net)
    with pytest.raises(UnknownNameError), capture(net, layers):
        pass
    assert _state(net) == before


def test_captures_inside_each_other() -> None:
    """A listener that reads the network while a run reads it."""
    net = _net().eval()
    with capture(net, ["conv"]) as outer, capture(net, ["last"]) as inner:
        assert torch.equal(inner(PICTURE)["last"], net(PICTURE))
        assert torch.equal(outer(PICTURE)["conv"], net.conv(PICTURE))
        assert torch.equal(inner(PICTURE)["last"], net(PICTURE))


def _wrap(module: nn.Module) -> Network:
    return Network.wrap(module, preprocessing=Preprocessing(size=(10, 12)))


@pytest.mark.parametrize("inplace", [True, False])
def test_values_before_a_relu_in_place(inplace: bool) -> None:
    net = _net().eval()
    net.relu.inplace = inplace
    found = _wrap(net).capture(PICTURE, ["norm", "relu", "conv"])
    conv = net.conv(PICTURE)
    norm = net.norm(conv)
    assert (norm < 0).any()
    torch.testing.assert_close(found["conv"], conv)
    torch.testing.assert_close(found["norm"], norm)
    torch.testing.assert_close(found["relu"], norm.clamp(min=0))


def test_nested_layers_have_their_paths() -> None:
    net = _net().eval()
    network = _wrap(net)
    assert [layer.name for layer in network.layers()] == [
        "conv", "norm", "relu", "block.0", "block.1.0", "block.1", "block", "last", "logits",
    ]  # fmt: skip
    found = network.capture(PICTURE, ["block.1.0", "block", "logits"])
    for features in found.values():
        torch.testing.assert_close(features, net(PICTURE))


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(self.relu(self.conv(x)))) + 1


def test_a_module_that_runs_twice_has_two_layers() -> None:
    net = _Twice().eval()
    network = _wrap(net)
    assert [layer.name for layer in network.layers()] == ["conv#1", "relu#1", "conv#2", "relu#2", "logits"]
    found = network.capture(PICTURE, ["conv#1", "conv#2", "conv", "relu#1"])
    first = net.conv(PICTURE)
    second = net.conv(first.relu())
    torch.testing.assert_close(found["conv#1"], first)
    torch.testing.assert_close(found["relu#1"], first.relu())
    torch.testing.assert_close(found["conv#2"], second)
    assert torch.equal(found["conv"], found["conv#2"])
    with pytest.raises(UnknownNameError):
        network.capture(PICTURE, ["conv#3"])


class _Output(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.conv, self.form = nn.Conv2d(3, 4, 3), form

    def forward(self, x: Tensor) -> Any:
        features = self.conv(x)
        pooled = features.mean((2, 3))
        forms = {
            "tuple": (pooled, features),
            "dict": {"out": pooled, "aux": features},
            "nested": [{"name": "x", "y": (pooled,)}],
        }
        return forms[self.form]


@pytest.mark.parametrize("form", ["tuple", "dict", "nested"])
def test_the_output_is_the_first_tensor(form: str) -> None:
    net = nn.Sequential(_Output(form))
    network = _wrap(net)
    assert network.layer("logits").shape == (4,) and network.layer("0").shape == (4,)
    torch.testing.assert_close(network.logits(PICTURE), net[0].conv(PICTURE).mean((2, 3)))


def test_gradient_reaches_pictures_and_no_weights() -> None:
    network = _wrap(_net())
    pictures = PICTURE.clone().requires_grad_()
    with network.reading(["block"]) as read:
        read(pictures)["block"].sum().backward()
    assert pictures.grad is not None and bool((pictures.grad != 0).any())
    assert all(p.grad is None and not p.requires_grad for p in network.module.parameters())
