"""Stated receptive fields against a gradient probe: which pixels really change a position."""

from math import ceil, floor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.networks import Network
from lanterna.networks.layer import Layer
from lanterna.networks.network import LOGITS
from lanterna.networks.preprocessing import Preprocessing

SIZE = (41, 36)


class _Branches(nn.Module):
    """Two strided branches that see differently far, added; then a third, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 2, 1, stride=2)
        self.far = nn.Conv2d(3, 2, 5, stride=2, padding=2)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.near(x) + self.far(x), self.pool(x)], 1)


class _Functional(nn.Module):
    """No module for the padding and the pooling, one convolution for two calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(self.conv(x), (1, 2, 0, 3))
        x = F.max_pool2d(torch.relu(x), 2)
        return F.avg_pool2d(self.conv(F.pad(x, (2, 1, 1, 0), mode="replicate")), (3, 2), stride=1)


EXACT: dict[str, nn.Module] = {
    "conv": nn.Conv2d(3, 2, 3),
    "rectangle": nn.Conv2d(3, 2, (5, 2), stride=(1, 3), padding=(2, 0)),
    "padding": nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 2, 5, padding=2)),
    "dilation": nn.Sequential(nn.Conv2d(3, 2, 3, padding=4, dilation=2), nn.Conv2d(2, 2, 3, stride=2, dilation=(3, 1))),
    "same": nn.Sequential(nn.Conv2d(3, 2, (5, 3), padding="same"), nn.Conv2d(2, 2, 3, padding="same", dilation=2)),
    "strided": nn.Sequential(nn.Conv2d(3, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 1, 1)),
    "max pool": nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, padding=1)),
    "pool defaults": nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(3)),
    "dilated pool": nn.MaxPool2d(3, stride=2, dilation=2),
    "adaptive": nn.Sequential(nn.Conv2d(3, 2, 2), nn.AdaptiveAvgPool2d((20, 7))),
    "branches": _Branches(),
    "functional": _Functional(),
    "batch norm": nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 2, 3, groups=2)),
}
# Fields that differ from one position to the next: stated for all of them at once, so never too small.
COVERING: dict[str, nn.Module] = {
    "transposed": nn.Sequential(nn.Conv2d(3, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 4, 2, 1)),
    "transposed odd": nn.Sequential(nn.Conv2d(3, 2, 3, 3), nn.ConvTranspose2d(2, 2, 5, 3, 2, 1), nn.Conv2d(2, 2, 3)),
    "nearest": nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(3, 2, 3)),
    "bilinear": nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=2, mode="bilinear")),
    "bicubic": nn.Sequential(nn.Conv2d(3, 2, 3), nn.Upsample(scale_factor=1.5, mode="bicubic")),
}


def _network(module: nn.Module, size: tuple[int, int] = SIZE) -> Network:
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.rand_like(parameter) + 0.1
    return Network.wrap(module, preprocessing=Preprocessing(size=size))


def _seen(network: Network, row: int, column: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column with gradient; over many pictures, so that each pixel wins its pool."""
    pictures = torch.rand((96, 3, *SIZE), generator=torch.Generator().manual_seed(1)).requires_grad_()
    features = network.module(pictures)
    (gradient,) = torch.autograd.grad(features[:, :, row, column].sum(), pictures)
    reached = (gradient.abs().sum((0, 1)) > 0).nonzero()
    (top, left), (bottom, right) = reached.amin(0).tolist(), reached.amax(0).tolist()
    return (top, bottom), (left, right)


def _positions(layer: Layer) -> list[tuple[int, int]]:
    height, width = layer.shape[1:]
    return [(0, 0), (height // 2, width // 2), (height // 2 + 1, width // 2 + 1), (height - 1, width - 1)]


@pytest.mark.parametrize("name", EXACT)
def test_field_is_where_the_gradient_is(name: str) -> None:
    network = _network(EXACT[name])
    layer = network.layer(LOGITS)
    assert layer.view is not None and layer.receptive_field is not None and layer.stride is not None
    for position in _positions(layer):
        for axis, at, side, length, seen in zip(
            layer.view, position, SIZE, layer.receptive_field, _seen(network, *position), strict=True
        ):
            first, last = axis.first + at * axis.stride, axis.last + at * axis.stride
            assert last - first + 1 == length
            assert seen == (max(0, first), min(side - 1, last)), f"{name} at {position}"
    assert layer.stride == (layer.view[0].stride, layer.view[1].stride)


@pytest.mark.parametrize("name", COVERING)
def test_field_between_pixels_covers_the_gradient(name: str) -> None:
    network = _network(COVERING[name])
    layer = network.layer(LOGITS)
    assert layer.view is not None
    for position in _positions(layer):
        for axis, at, side, seen in zip(layer.view, position, SIZE, _seen(network, *position), strict=True):
            first, last = floor(axis.first + at * axis.stride), ceil(axis.last + at * axis.stride)
            assert max(0, first) <= seen[0] and seen[1] <= min(side - 1, last)
            assert last - first <= (seen[1] - seen[0]) + 20  # covering by saying everything would be no statement


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1)),
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 39 * 34, 4)),
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.GroupNorm(1, 2)),
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.InstanceNorm2d(2)),
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.Softmax2d(), nn.AdaptiveMaxPool2d((4, 5))),
    ],
    ids=["global pool", "linear", "group norm", "instance norm", "uneven pool"],
)
def test_the_whole_picture_has_no_field(module: nn.Module) -> None:
    network = _network(module)
    assert network.layers()[0].receptive_field == (3, 3)
    assert network.layer(LOGITS).receptive_field is None and network.layer(LOGITS).stride is None


def test_known_fields() -> None:
    """The textbook's numbers for three 3x3 convolutions and a pool."""
    convs = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)]
    network = _network(nn.Sequential(*convs, nn.MaxPool2d(2), nn.Conv2d(3, 3, 3)))
    assert [layer.receptive_field for layer in network.layers()][:5] == [(3, 3), (5, 5), (7, 7), (8, 8), (12, 12)]
    assert [layer.stride for layer in network.layers()][:5] == [(1, 1), (1, 1), (1, 1), (2, 2), (2, 2)]
