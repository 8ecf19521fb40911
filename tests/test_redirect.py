"""Redirected ReLU: a unit that is off wakes, one that is on gets its true gradient."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna import Network, Preprocessing
from lanterna.networks.redirect import RedirectedReLU


def _in_place_ignored(x: Tensor) -> Tensor:
    F.relu(x, inplace=True)
    return x


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU inplace": nn.ReLU(inplace=True),
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6 inplace": nn.ReLU6(inplace=True),
    "F.relu": F.relu,
    "F.relu inplace": _in_place_ignored,
    "F.relu6": F.relu6,
    "torch.relu": torch.relu,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "F.hardtanh": lambda x: F.hardtanh(x, min_val=0.0, max_val=6.0),
}


def _gradient(
    relu: Callable[[Tensor], Tensor], inputs: Tensor, redirected: bool, sign: float = -1.0
) -> tuple[Tensor, Tensor]:
    """Output, and gradient of a loss that falls (sign -1) as the output rises."""
    inputs = inputs.clone().requires_grad_()
    if redirected:
        with RedirectedReLU():
            out = relu(inputs * 1)
    else:
        out = relu(inputs * 1)
    (gradient,) = torch.autograd.grad(sign * out.sum(), inputs)
    return out.detach(), gradient


@pytest.mark.parametrize("name", RELUS)
def test_dead_units_wake(name: str) -> None:
    dead = -1 - torch.rand(2, 3, 4, 5)
    out, gradient = _gradient(RELUS[name], dead, redirected=True)
    assert torch.equal(out, torch.zeros_like(out))
    assert torch.equal(gradient, -torch.ones_like(gradient))
    assert not _gradient(RELUS[name], dead, redirected=False)[1].any()
    # What would push the input further down stays blocked.
    assert not _gradient(RELUS[name], dead, redirected=True, sign=1.0)[1].any()


@pytest.mark.parametrize("name", RELUS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_alive_units_are_untouched(name: str, sign: float) -> None:
    alive = 8 * torch.randn((2, 3, 4, 5), generator=torch.Generator().manual_seed(0))
    for redirected, plain in zip(
        _gradient(RELUS[name], alive, True, sign), _gradient(RELUS[name], alive, False, sign), strict=True
    ):
        assert torch.equal(redirected, plain)


def test_each_picture_is_its_own_case() -> None:
    inputs = torch.stack([torch.full((3, 2, 2), -1.0), torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1).expand(3, 2, 2)])
    _, gradient = _gradient(nn.ReLU(), inputs, redirected=True)
    assert bool((gradient[0] == -1).all())
    assert bool((gradient[1, 0] == -1).all()) and not gradient[1, 1:].any()


def test_each_position_is_its_own_case() -> None:
    inputs = torch.full((1, 3, 2, 2), -1.0)
    inputs[0, 1, 0, 0] = 1.0
    pair = inputs.expand(2, -1, -1, -1).clone().requires_grad_()
    with RedirectedReLU(torch.tensor([True, False])):
        (gradient,) = torch.autograd.grad(-nn.ReLU()(pair * 1).sum(), pair)
    assert gradient[0, :, 0, 0].tolist() == gradient[1, :, 0, 0].tolist() == [0, -1, 0]
    assert bool((gradient[0].flatten(1)[:, 1:] == -1).all())
    assert not gradient[1].flatten(1)[:, 1:].any()
    # Pieces of the pictures in the place of the pictures: each is asked as a whole.
    pieces = inputs.expand(4, -1, -1, -1).clone().requires_grad_()
    with RedirectedReLU(torch.tensor([True, False])):
        (gradient,) = torch.autograd.grad(-nn.ReLU()(pieces * 1).sum(), pieces)
    assert not gradient.flatten(2)[..., 1:].any() and bool((gradient[:, 1, 0, 0] == -1).all())


def test_nothing_stays_behind() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    nn.init.constant_(net[0].bias, -100.0)
    before = dict(vars(net[1])), F.relu, torch.relu, net[1].forward
    picture = torch.rand(1, 3, 4, 4, requires_grad=True)
    with pytest.raises(ValueError, match="stop"), RedirectedReLU():
        assert torch.autograd.grad(-net(picture).sum(), picture)[0].any()
        raise ValueError("stop")
    assert not torch.autograd.grad(-net(picture).sum(), picture)[0].any()
    assert (dict(vars(net[1])), F.relu, torch.relu, net[1].forward) == before


def test_inputs_without_gradient_are_left_alone() -> None:
    inputs = torch.tensor([-1.0, 2.0])
    with RedirectedReLU():
        assert torch.equal(F.relu(inputs), torch.tensor([0.0, 2.0]))
        assert F.hardtanh(torch.tensor([-3.0])).item() == -1.0


@pytest.mark.parametrize("inplace", [False, True])
def test_relu6_that_keeps_its_output_only_is_relu6(inplace: bool) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(inplace), nn.Conv2d(4, 2, 3))
    module[0].weight.data *= 20
    network = Network.wrap(module, preprocessing=Preprocessing(size=(12, 12)))
    pictures = torch.rand(2, 3, 12, 12)
    gradients = []
    for run in (network.logits, module):
        given = pictures.clone().requires_grad_(True)
        run(given).square().sum().backward()
        gradients.append(given.grad)
    assert gradients[1].abs().max() > 0
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-4)
