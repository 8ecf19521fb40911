"""Any module as a network: inputs of every kind, classes by name, and folding that changes nothing."""

import copy
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from lanterna.errors import InputError, NetworkError, UnknownNameError
from lanterna.networks import Network
from lanterna.networks.fold import fold
from lanterna.networks.preprocessing import Preprocessing


def _randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Running statistics and affine weights as after training: folding must not rely on zero and one."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.copy_(0.3 * torch.randn(part.num_features, generator=generator))
            part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=generator))
            if part.affine:
                part.weight.data.copy_(0.5 + torch.rand(part.num_features, generator=generator))
                part.bias.data.copy_(0.3 * torch.randn(part.num_features, generator=generator))
    return module.eval()


def _classifier(channels: int = 3, classes: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    features = [nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(True), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)]
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, classes))


LABELS = ["sea lion", "lion", "sea urchin", "tabby cat", "Egyptian cat", "espresso"]


def _wrap(module: nn.Module | None = None, size: tuple[int, int] = (24, 17), channels: int = 3, **fields: Any) -> Network:
    preprocessing = Preprocessing(size=size, channels=channels, min_size=fields.pop("min_size", 1))
    return Network.wrap(module or _classifier(channels), preprocessing=preprocessing, **fields)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(24, 17), (9, 31)])
def test_channels_and_sizes(channels: int, size: tuple[int, int]) -> None:
    module = _randomise(_classifier(channels))
    network = _wrap(module, size, channels)
    pictures = torch.rand(2, channels, *size)
    assert network.input_size == size and network.channels == channels
    assert network.layers()[0].shape == (8, (size[0] - 1) // 2, (size[1] - 1) // 2)
    torch.testing.assert_close(network.logits(pictures), module(pictures), atol=1e-5, rtol=1e-5)
    assert network.capture(torch.rand(1, channels, 50, 33), ["0"])["0"].shape == (1, 8, 24, 16)


def test_grey_networks_take_colour_by_luma() -> None:
    network = _wrap(channels=1)
    colour = torch.rand(1, 3, 24, 17)
    luma = 0.299 * colour[:, :1] + 0.587 * colour[:, 1:2] + 0.114 * colour[:, 2:]
    torch.testing.assert_close(network.logits(colour), network.logits(luma))


def test_preprocessing_is_the_formula() -> None:
    picture = torch.rand(1, 3, 4, 5)
    mean, std = (103.9, 116.8, 123.7), (1.0, 2.0, 4.0)
    found = Preprocessing(mean=mean, std=std, bgr=True, scale=255.0).apply(picture)
    expected = (picture.flip(1) * 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_wrap_leaves_the_module_alone_and_evaluates() -> None:
    module = _classifier().train()
    before = copy.deepcopy(module.state_dict())
    network = _wrap(module)
    pictures = torch.rand(4, 3, 24, 17)
    assert torch.equal(network.logits(pictures), network.logits(pictures))  # Dropout is off
    torch.testing.assert_close(network.logits(pictures)[:1], network.logits(pictures[:1]))  # so are batch statistics
    assert module.training and all(p.requires_grad for p in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    module[0].weight.data.zero_()
    assert not torch.equal(network.module[0].weight, module[0].weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["3.weight", "1.running_var"])
def test_weights_must_be_finite(name: str, value: float) -> None:
    module = _classifier()
    module.state_dict()[name].view(-1)[0] = value
    with pytest.raises(NetworkError, match=name):
        _wrap(module)


@pytest.mark.parametrize(
    ("given", "index"),
    [("sea lion", 0), ("LION", 1), ("urch", 2), (" tabby", 3), ("egyptian", 4), ("5", 5), ("0", 0)],
)
def test_class_by_name_or_number(given: str, index: int) -> None:
    assert _wrap(labels=LABELS).class_index(given) == index


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("cat", InputError, r"tabby cat \(3\), Egyptian cat \(4\)"),
        ("sea", InputError, r"sea lion \(0\), sea urchin \(2\)"),
        ("see lion", UnknownNameError, "did you mean 'sea lion'"),
        ("", UnknownNameError, "name or number"),
        ("6", InputError, "0 to 5"),
        ("-1", InputError, "0 to 5"),
        ("²", UnknownNameError, "name or number"),
        ("--2", UnknownNameError, "name or number"),
    ],
)
def test_class_that_is_not_one(given: str, kind: type[InputError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        _wrap(labels=LABELS).class_index(given)
    assert type(caught.value) is kind and caught.value.exit_code == 2


def test_class_without_labels() -> None:
    network = _wrap()
    assert network.class_index("3") == 3 and network.label(3) == "class 3"
    with pytest.raises(UnknownNameError, match="give a number"):
        network.class_index("lion")


def test_unknown_layer_names_the_nearest() -> None:
    module = nn.Sequential()
    module.add_module("blocks", nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()))
    with pytest.raises(UnknownNameError, match=r"did you mean 'blocks\.1'.*lists all"):
        _wrap(module, name="tiny").layer("block.1")


def test_classify() -> None:
    network = _wrap(labels=LABELS)
    picture = torch.rand(1, 3, 24, 17)
    (found,) = network.classify(picture, top=99)
    probabilities = network.logits(picture)[0].softmax(0)
    assert [p.index for p in found] == probabilities.argsort(descending=True).tolist()
    assert sum(p.probability for p in found) == pytest.approx(1.0, abs=1e-5)
    assert all(p.label == LABELS[p.index] for p in found)
    assert len(network.classify(torch.rand(3, 3, 60, 44), top=2)[2]) == 2
    with pytest.raises(NetworkError, match="not a classifier"):
        _wrap(nn.Conv2d(3, 2, 3)).classify(picture)


@pytest.mark.parametrize(
    ("size", "fields", "message"),
    [((6, 40), {"min_size": 8}, "least is 8x8"), ((4, 4), {}, "24x17"), ((40, 2), {}, "40x2")],
)
def test_pictures_too_small(size: tuple[int, int], fields: dict[str, int], message: str) -> None:
    network = _wrap(**fields)
    network.check_size((40, 40), ["logits"])
    with pytest.raises(NetworkError, match=message):
        network.check_size(size, ["logits"])
    with pytest.raises(NetworkError, match=message):
        network.capture(torch.rand(1, 3, *size), ["logits"])


class _Picky(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 24, "Input height must be 24"
        return x.mean((2, 3))


def test_sizes_that_a_network_refuses_itself() -> None:
    with pytest.raises(NetworkError, match="must be 24"):
        _wrap(_Picky()).check_size((32, 32), ["logits"])
    with pytest.raises(NetworkError, match="32x32 with 3 channels"):
        _wrap(_Picky(), (32, 32)).layers()
    with pytest.raises(NetworkError, match="1 channels"):
        _wrap(_classifier(3), channels=1).layers()


# -- folding ---------------------------------------------------------------------------------------------------------


class _SharedNames(nn.Module):
    """One convolution under two names, called by the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.body = nn.Sequential(self.first, nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class _ReadTwice(nn.Module):
    """The convolution's own output is used beside its normalisation: folding would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.norm(x) + x


class _Returned(_ReadTwice):
    def forward(self, x: Tensor) -> Any:
        x = self.conv(x)
        return x, self.norm(x)


def _conv_bn(**fields: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3, **fields), nn.BatchNorm2d(6), nn.ReLU(True), nn.Conv2d(6, 2, 1))


FOLDED = {
    "bias": (lambda: _conv_bn(), 1),
    "no bias": (lambda: _conv_bn(bias=False), 1),
    "groups": (lambda: _conv_bn(groups=3, padding=1), 1),
    "same": (lambda: _conv_bn(padding="same"), 1),
    "no affine": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, affine=False)), 1),
    "no statistics": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)), 0),
    "wrapped": (lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 6, 3)), nn.BatchNorm2d(6)), 0),
    "two names": (_SharedNames, 1),
    "read twice": (_ReadTwice, 0),
    "returned": (_Returned, 0),
    "relu between": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(True), nn.BatchNorm2d(6)), 0),
}


def _norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize("name", FOLDED)
def test_folding_changes_no_layer(name: str) -> None:
    make, fewer = FOLDED[name]
    torch.manual_seed(0)
    module = _randomise(make())
    network = _wrap(module)
    pictures = torch.rand(2, 3, 24, 17)
    expected: dict[str, Tensor] = {}
    handles = [
        part.register_forward_hook(
            lambda _m, _i, out, key=key: expected.update({key: (out[0] if isinstance(out, tuple) else out).clone()})
        )
        for key, part in module.named_modules()
    ]
    module(pictures)
    for handle in handles:
        handle.remove()
    for layer in network.layers():
        found = network.capture(pictures, [layer.name])[layer.name]
        torch.testing.assert_close(found, expected["" if layer.name == "logits" else layer.name], atol=1e-5, rtol=1e-5)
    with network.reading(["logits"]):
        assert _norms(network._optimised[frozenset(), frozenset(), frozenset()]) == _norms(module) - fewer
    assert _norms(network.module) == _norms(module)


def test_folding_resnet18_is_exact() -> None:
    torch.manual_seed(0)
    module = _randomise(torchvision.models.resnet18(weights=None))
    network = _wrap(module, (33, 33))
    pictures = torch.rand(1, 3, 33, 33)
    with torch.no_grad():
        expected = module(pictures)
        found = network.logits(pictures)
        layer2 = module.layer2(module.layer1(module.maxpool(module.relu(module.bn1(module.conv1(pictures))))))
    assert _norms(network._optimised[frozenset(), frozenset(), frozenset()]) == 0
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    captured = network.capture(pictures, ["conv1", "layer2"])
    torch.testing.assert_close(captured["conv1"], module.conv1(pictures), atol=1e-5, rtol=1e-5)
    assert float((captured["layer2"] - layer2).abs().max() / layer2.abs().max()) < 1e-5


def test_folding_leaves_the_original_and_shares_the_rest() -> None:
    module = _randomise(_conv_bn())
    before = copy.deepcopy(module.state_dict())
    folded = fold(module, [("0", "1")])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert folded[3].weight is module[3].weight and folded[0].weight is not module[0].weight
    assert isinstance(fold(module, [("0", "1")], keep=["0"])[1], nn.BatchNorm2d)


def test_relu_in_place_changes_no_layer_that_is_asked_for() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)
    )
    network = Network.wrap(module, preprocessing=Preprocessing(size=(16, 16)))
    pictures = torch.rand(2, 3, 16, 16)
    expected, features = {}, pictures
    for name, part in module.eval().named_children():
        expected[name] = features = part(features)
    for names in (["0", "1"], ["3"], ["2", "4"], ["0", "3", "5"], ["5"]):
        for name, found in network.capture(pictures, names).items():
            assert torch.allclose(found, expected[name], atol=1e-5), (names, name)
    # The module that was wrapped is as it was, and so is the copy that all else starts from.
    assert not module[1].inplace and not network.module[1].inplace


def test_classes_are_ranked_where_their_probabilities_are_the_same_to_the_last_bit() -> None:
    class Faint(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures.mean((1, 2, 3))[:, None] * torch.tensor([[1.0, 3.0, 2.0]]) * 1e-10

    network = Network.wrap(Faint(), preprocessing=Preprocessing(size=(8, 8)))
    best = network.classify(torch.full((1, 3, 8, 8), 0.5), 3)[0]
    assert [one.index for one in best] == [1, 2, 0] and len({one.probability for one in best}) == 1
