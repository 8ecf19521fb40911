"""Small networks of one's own: what is made exceeds what was real, whatever the channels, norms and scale of weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna import Network, Preprocessing, VisualizeRecipe
from lanterna.techniques.visualize import run

SIDE = 24


def _drawn(count: int, channels: int) -> tuple[Tensor, Tensor]:
    """White bars across and down, discs and rings on black, at random places: (N, C, 24, 24) with classes 0 to 3."""
    generator = torch.Generator().manual_seed(0)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    down, across = (torch.rand((2, count, 1, 1), generator=generator) * 8 - 4) + SIDE / 2
    far = torch.hypot(row - down, column - across)
    shapes = torch.stack([(row - down).abs() < 2, (column - across).abs() < 2, far < 5, (far - 6).abs() < 1.5])
    classes = torch.arange(count) % 4
    chosen = shapes[classes, torch.arange(count)].float()
    return chosen[:, None].expand(-1, channels, -1, -1).contiguous(), classes


def _trained(channels: int, norm: str, scale: float) -> tuple[Network, Tensor]:
    """A network of three layers after some seconds of training, and the pictures that it was trained on."""
    norms = {"batch": nn.BatchNorm2d, "group": lambda width: nn.GroupNorm(4, width), "none": lambda _width: nn.Identity()}
    pictures, classes = _drawn(256, channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = nn.Sequential()
        for index, (before, width) in enumerate([(channels, 8), (8, 16)], 1):
            module.add_module(f"conv{index}", nn.Conv2d(before, width, 3, padding=1))
            module.add_module(f"norm{index}", norms[norm](width))
            module.add_module(f"act{index}", nn.ReLU())
            module.add_module(f"pool{index}", nn.MaxPool2d(2))
        module.add_module("flat", nn.Flatten())
        module.add_module("head", nn.Linear(16 * (SIDE // 4) ** 2, 4))
        tuner = torch.optim.Adam(module.parameters(), lr=3e-3)
        for step in range(60):
            chosen = slice(step * 64 % 256, step * 64 % 256 + 64)
            tuner.zero_grad()
            F.cross_entropy(module(pictures[chosen]), classes[chosen]).backward()
            tuner.step()
    with torch.no_grad():
        for parameter in module.get_submodule("head").parameters():
            parameter *= scale
    return Network.wrap(module, preprocessing=Preprocessing(channels=channels, size=(SIDE, SIDE))), pictures


@pytest.mark.parametrize(
    ("channels", "norm", "scale"),
    [(1, "none", 1.0), (1, "batch", 100.0), (3, "group", 0.01), (4, "none", 1.0)],
)
def test_what_is_made_exceeds_what_is_real(channels: int, norm: str, scale: float) -> None:
    network, pictures = _trained(channels, norm, scale)
    units = [("act2", unit) for unit in range(0, 16, 3)] + [("logits", index) for index in range(4)]
    features = network.capture(pictures, ["act2", "logits"])
    means = {"act2": features["act2"].mean((2, 3)), "logits": features["logits"]}
    real = torch.stack([means[layer][:, unit].max() for layer, unit in units])
    result = run(VisualizeRecipe(units=tuple(f"{layer}:{unit}" for layer, unit in units)), network)
    live = real != 0
    won = torch.tensor(result.activation) > real
    assert int((won & live).sum()) >= 0.9 * int(live.sum())
    assert not any(dead and alive for dead, alive in zip(result.dead, live.tolist(), strict=True))
