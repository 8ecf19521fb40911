"""The pass over the data, through a module as it is run: every layer is what it is alone."""

from collections import OrderedDict

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from lanterna import Network, data
from lanterna.networks.preprocessing import Preprocessing
from lanterna.patterns import scan


class _AddsBefore(nn.Module):
    """Changes what the convolution gave before the ReLU sees it: nothing known of the one tells the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.conv(pictures)
        features += torch.linspace(-0.5, 0.5, 4 * 4).view(4, 4)
        return self.relu(features)


def _noise() -> data.PictureArray:
    array = torch.randint(0, 256, (23, 3, 32, 32), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    return data.PictureArray("noise", array)


def _normed(turned: bool) -> Network:
    """Convolutions that are folded, with rectifiers of several kinds after them; `turned`, with negative scales."""
    torch.manual_seed(3)
    module = nn.Sequential(
        OrderedDict(
            one=nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
            two=nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            three=nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), BatchNormAct2d(8, act_layer=nn.ReLU6)),
            four=nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)),
            five=_AddsBefore(),
        )
    )
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in ((part.weight, 0.5, 4), (part.bias, -1, 1), (part.running_mean, -1, 1)):
                nn.init.uniform_(tensor, low, high)
            nn.init.uniform_(part.running_var, 0.2, 1)
            if turned:
                part.weight.data[2:4] *= -1
    return Network.wrap(module, preprocessing=Preprocessing(size=(4, 4)))


@pytest.mark.parametrize("turned", [False, True])
def test_layers_read_through_folding_and_rectifiers_are_what_each_is_alone(turned: bool) -> None:
    network, dataset = _normed(turned), _noise()
    layers = [layer.name for layer in network.layers()]
    assert {"one.0", "one.1", "one.2", "one", "three.1.act", "five.conv", "logits"} <= set(layers)
    found = scan(network, dataset, layers, k=5)
    inputs = network.preprocessing.fit(dataset.pictures())
    for layer in layers:
        features, have = network.capture(inputs, [layer])[layer], found.layers[layer]
        peaks = features.amax((2, 3))
        assert torch.allclose(have.best.value, peaks.sort(0, descending=True).values[:5].T, atol=2e-5), layer
        at = features[have.best.sample, torch.arange(8)[:, None], have.best.row, have.best.column]
        assert torch.allclose(have.best.value, at, atol=2e-5), layer
        places = features.double()
        assert torch.allclose(have.mean, places.mean((0, 2, 3)), atol=1e-5), layer
        assert torch.allclose(have.variance, places.var((0, 2, 3), unbiased=False), rtol=1e-3, atol=1e-5), layer
        assert torch.allclose(have.share_active, (places > 0).double().mean((0, 2, 3)), atol=2e-3), layer
        assert torch.allclose(have.highest, features.mean((2, 3)).amax(0), atol=2e-5), layer
        assert torch.allclose(have.kept_values[1], peaks, atol=2e-5), layer
