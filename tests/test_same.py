""" "Same" padding without a copy: the same sums, at every size."""

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from lanterna import Network, Preprocessing
from lanterna.networks.same import LeanConv2dSame, lean_same


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return found.shape == expected.shape and bool(torch.allclose(found, expected, atol=1e-5))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (4, 3), ((3, 5), 2), (2, 2)])
@pytest.mark.parametrize("size", [(12, 12), (13, 12), (13, 13), (9, 14), (3, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradient_are_those_of_timm(
    kernel: int | tuple[int, int], stride: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(6, 6, kernel, stride=stride, groups=6)
    lean = lean_same(nn.Sequential(conv))[0]
    assert isinstance(lean, LeanConv2dSame)
    given = torch.randn(2, 6, *size).contiguous(memory_format=layout)
    one, other = given.clone().requires_grad_(), given.clone().requires_grad_()
    found, expected = lean(one), conv(other)
    assert _close(found, expected)
    weights = torch.randn(expected.shape)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert one.grad is not None and other.grad is not None and _close(one.grad, other.grad)


def test_even_maps_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Conv2dSame(4, 4, 3, stride=2, groups=4)
    lean = LeanConv2dSame(conv)
    monkeypatch.setattr(Conv2dSame, "forward", lambda *_: pytest.fail("it padded"))
    assert lean(torch.rand(1, 4, 8, 8)).shape == (1, 4, 4, 4)


def test_others_are_left() -> None:
    looked_at = Conv2dSame(4, 4, 3, stride=2, groups=4)
    looked_at.register_forward_hook(lambda *_: None)
    parts = [
        looked_at,
        Conv2dSame(4, 8, 3, stride=2),
        Conv2dSame(8, 8, 3, groups=8),
        Conv2dSame(8, 8, 3, stride=2, groups=8, dilation=2),
        nn.Conv2d(8, 8, 3, stride=2, groups=8),
    ]
    module = lean_same(nn.Sequential(*parts))
    assert all(found is part for found, part in zip(module, parts, strict=True))


def test_a_network_is_the_same_function_and_its_module_is_left() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(Conv2dSame(3, 3, 3, stride=2, groups=3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3)).eval()
    network = Network.wrap(module, preprocessing=Preprocessing(size=(16, 16)))
    for size in (16, 19):
        given = torch.rand(2, 3, size, size)
        for name, found in network.capture(given, ["0", "1", "3"]).items():
            assert _close(found, module[: int(name) + 1](given))
    assert type(module[0]) is Conv2dSame and type(network.module[0]) is Conv2dSame
    assert any(isinstance(part, LeanConv2dSame) for part in network._optimise((), ()).modules())
