"""Convolutions, pooling and rectifiers that keep no map: the same values and gradient, in a quarter of the memory."""

import pytest
import torch
from tiny import make_vgg
from torch import Tensor, nn

from lanterna import Network, Preprocessing
from lanterna.networks import convolve
from lanterna.networks.convolve import LeanConv2d, LeanMaxPool2d, keep_no_maps
from lanterna.networks.rectify import LeanReLU, lean_relu


def _same(lean: nn.Module, plain: nn.Module, given: Tensor) -> None:
    one, other = given.clone().requires_grad_(), given.clone().requires_grad_()
    # Added to, since what is in place changes its argument, and a leaf can't be.
    found, expected = lean(one + 0), plain(other + 0)
    assert torch.allclose(found, expected, atol=1e-5)
    weights = torch.randn(expected.shape)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert one.grad is not None and other.grad is not None
    assert bool(other.grad.any()) and torch.allclose(one.grad, other.grad, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (3, 5), "padding": (1, 2), "stride": 2},
        {"kernel_size": 3, "stride": (2, 3), "padding": (0, 1)},
        {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2, "bias": False},
        {"kernel_size": 5, "padding": 2, "groups": 4, "stride": 2},
        {"kernel_size": 1, "stride": 3},
    ],
)
@pytest.mark.parametrize("size", [(9, 12), (10, 11)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolutions(settings: dict[str, object], size: tuple[int, int], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, **settings).requires_grad_(False)  # type: ignore[arg-type]
    lean = keep_no_maps(nn.Sequential(conv))[0]
    assert isinstance(lean, LeanConv2d)
    _same(lean, conv, torch.randn(2, 4, *size).contiguous(memory_format=layout))


@pytest.mark.parametrize("strip", [1, 1 << 17])
@pytest.mark.parametrize("window", [2, (2, 3)])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pooling(
    window: int | tuple[int, int], ceil_mode: bool, layout: torch.memory_format, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(convolve, "_CHUNK", strip)
    pool = nn.MaxPool2d(window, ceil_mode=ceil_mode)
    lean = keep_no_maps(nn.Sequential(pool))[0]
    assert isinstance(lean, LeanMaxPool2d)
    # Whole numbers, so that some windows have their maximum twice.
    _same(lean, pool, torch.randn(2, 3, 7, 11).round().contiguous(memory_format=layout))


@pytest.mark.parametrize("ceiling", [float("inf"), 6.0])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 4), (1, 20, 300, 301)])
@pytest.mark.parametrize("turned", [False, True])
def test_rectifiers(ceiling: float, shape: tuple[int, ...], turned: bool) -> None:
    torch.manual_seed(0)
    given = 4 * torch.randn(shape)
    if turned:
        given = given.transpose(0, -1)
    for shown in (False, True):
        _same(LeanReLU(ceiling, shown), nn.ReLU() if ceiling > 6 else nn.ReLU6(), given)


def test_a_map_that_is_read_in_passing_has_no_mask() -> None:
    kept: list[Tensor] = []
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    looking = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t)
    with make_vgg().reading(["relu2_1"], {"relu2_1": lambda maps: maps.square().sum()}) as read, looking:
        read(pictures)["relu2_1"].backward()
    assert pictures.grad is not None and bool(pictures.grad.any())
    # Of relu1_1, relu1_2 and the pooling; and the map of relu2_1, for its square and for its own gradient.
    assert sum(tensor.dtype == torch.uint8 for tensor in kept) == 3


def test_a_map_that_is_changed_after_it_was_read_in_passing() -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.last = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            maps: Tensor = self.relu(self.first(inputs))
            maps += 1
            last: Tensor = self.last(maps)
            return last

    network = Network.wrap(Changed(), preprocessing=Preprocessing(size=(12, 12)))
    slopes = []
    for passing in ({}, {"relu": lambda maps: maps.square().mean()}):
        pictures = torch.linspace(0, 1, 432).view(1, 3, 12, 12).requires_grad_()
        with network.reading(["relu", "last"], passing) as read:
            found = read(pictures)
            value = found["relu"] if passing else found["relu"].square().mean()
            (slope,) = torch.autograd.grad(value + found["last"].mean(), pictures)
        slopes.append(slope)
    torch.testing.assert_close(slopes[0], slopes[1])


def test_gradient_that_is_not_a_number_shows() -> None:
    given = torch.tensor([1.0, -1.0], requires_grad=True)
    lean_relu(given + 0).backward(torch.tensor([float("nan"), 1.0]))
    assert given.grad is not None and bool(given.grad[0].isnan())


def test_what_cannot_be_lean_is_left() -> None:
    looked_at = nn.Conv2d(3, 3, 3)
    looked_at.register_forward_hook(lambda *_: None)
    parts = [
        looked_at,
        nn.Conv2d(3, 3, 3, padding="same"),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"),
        nn.Conv1d(3, 3, 3),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2, 1),
        nn.MaxPool2d(2, return_indices=True),
    ]
    module = keep_no_maps(nn.Sequential(*parts))
    assert all(found is part for found, part in zip(module, parts, strict=True))


def test_weights_that_learn_still_do() -> None:
    conv = LeanConv2d.of(nn.Conv2d(2, 2, 3, padding=1))
    conv(torch.rand(1, 2, 5, 5)).sum().backward()
    assert conv.weight.grad is not None and bool(conv.weight.grad.any())


def test_a_pass_keeps_masks_and_places_and_no_map() -> None:
    kept: list[Tensor] = []
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    looking = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t)
    with make_vgg().reading(["relu2_1"]) as read, looking:
        read(pictures)["relu2_1"].sum().backward()
    assert pictures.grad is not None and bool(pictures.grad.any())
    kinds = {tensor.dtype for tensor in kept}
    assert torch.uint8 in kinds and torch.int32 not in kinds and torch.int64 not in kinds
    # Weights are as large as their kernels; of maps there is none.
    assert not [tensor.shape for tensor in kept if tensor.dtype == torch.float32 and tensor.ndim == 4 and tensor.shape[2] > 3]
