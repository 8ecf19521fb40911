"""Convolutions that repeat the border: the same values and gradient, and the padded map is not kept."""

import pytest
import torch
from tiny import make_vgg
from torch import Tensor, nn

from lanterna.networks.adapt import adapted
from lanterna.networks.replicate import ReplicateConv2d


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (3, 5), "padding": (1, 2), "stride": 2},
        {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 2, "bias": False},
        {"kernel_size": 5, "padding": "same"},
        {"kernel_size": 1},
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradient_are_those_of_torch(settings: dict[str, object], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, padding_mode="replicate", **settings).requires_grad_(False)  # type: ignore[arg-type]
    lean = ReplicateConv2d.of(nn.Conv2d(4, 6, **settings))  # type: ignore[arg-type]
    lean.load_state_dict(conv.state_dict())
    lean.requires_grad_(False)
    given = torch.randn(2, 4, 9, 12).contiguous(memory_format=layout)
    one, other = given.clone().requires_grad_(), given.clone().requires_grad_()
    found, expected = lean(one), conv(other)
    assert torch.allclose(found, expected, atol=1e-5)
    weights = torch.randn(expected.shape)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert one.grad is not None and other.grad is not None and torch.allclose(one.grad, other.grad, atol=1e-4)


def test_weights_that_learn_still_do() -> None:
    conv = ReplicateConv2d.of(nn.Conv2d(2, 2, 3, padding=1))
    conv(torch.rand(1, 2, 5, 5)).sum().backward()
    assert conv.weight.grad is not None and bool(conv.weight.grad.any())


def test_no_padded_map_is_kept() -> None:
    kept: list[Tensor] = []
    network = adapted(make_vgg())
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    looking = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t)
    with network.reading(["relu1_2"]) as read, looking:
        read(pictures)
    # 18 x 18 is a map with its border repeated.
    assert kept and not any(18 in tensor.shape[2:] for tensor in kept if tensor.ndim == 4)
