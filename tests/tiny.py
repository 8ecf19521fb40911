"""Networks small enough for milliseconds, with fixed random weights; also reached as `python:tiny:make`."""

import signal
from collections import OrderedDict

import torch
from torch import Tensor, nn

from lanterna import Network, Preprocessing

LABELS = ("sea lion", "lion", "lionfish", "tabby, tabby cat", "tiger cat", "espresso")


def module(channels: int = 3, *, dead: bool = False) -> nn.Module:
    """Two convolutions and a classifier of six classes that takes pictures of any size; with `dead`, act1:2 never fires."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers = OrderedDict(
            conv1=nn.Conv2d(channels, 8, 5, padding=2),
            act1=nn.ReLU(),
            conv2=nn.Conv2d(8, 8, 3, stride=2, padding=1),
            act2=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(8, 6),
        )
    # The default initialisation hardly answers to anything.
    for name in ("conv1", "conv2", "head"):
        layers[name].weight.data *= 3
    if dead:
        layers["conv1"].weight.data[2] = 0
        layers["conv1"].bias.data[2] = -1
    return nn.Sequential(layers)


def network(channels: int = 3, size: tuple[int, int] = (32, 32), *, dead: bool = False) -> Network:
    """The module with labels, as a network."""
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,), channels=channels, size=size)
    return Network.wrap(module(channels, dead=dead), name="tiny", preprocessing=preprocessing, labels=LABELS)


def make() -> Network:
    """python:tiny:make."""
    return network()


def make_dead() -> Network:
    """python:tiny:make_dead."""
    return network(dead=True)


def make_five() -> Network:
    """python:tiny:make_five: five channels in."""
    return network(5)


def make_nan() -> nn.Module:
    """python:tiny:make_nan."""
    broken = module()
    broken[0].weight.data[0, 0, 0, 0] = torch.nan
    return broken


def make_deep() -> Network:
    """python:tiny:make_deep: six unpadded poolings, so that 32 pixels are not enough."""
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3)]
    layers += [nn.MaxPool2d(2) for _ in range(6)]
    return Network.wrap(nn.Sequential(*layers), name="deep", preprocessing=Preprocessing(size=(128, 128)))


def make_flat() -> Network:
    """python:tiny:make_flat: no layer has a map, and pictures have one size."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        layers = OrderedDict(flat=nn.Flatten(), hidden=nn.Linear(3 * 32 * 32, 8), act=nn.ReLU(), head=nn.Linear(8, 6))
    preprocessing = Preprocessing(size=(32, 32))
    return Network.wrap(nn.Sequential(layers), name="flat", preprocessing=preprocessing, labels=LABELS)


class _Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cut, self.mix, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 8), nn.Linear(8, 6)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.cut(pictures).flatten(2).transpose(1, 2)
        logits: Tensor = self.head(torch.relu(self.mix(tokens)).mean(1))
        return logits


def make_tokens() -> Network:
    """python:tiny:make_tokens: its middle layer `mix` has (tokens, numbers), as those of transformers do."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return Network.wrap(_Tokens(), name="tokens", preprocessing=Preprocessing(size=(32, 32)), labels=LABELS)


class _Interrupted(nn.Module):
    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.inner = module()

    def forward(self, pictures: Tensor) -> Tensor:
        if pictures.requires_grad:
            _Interrupted.calls += 1
            if _Interrupted.calls == 7:
                signal.raise_signal(signal.SIGINT)
        logits: Tensor = self.inner(pictures)
        return logits


def make_interrupted() -> Network:
    """python:tiny:make_interrupted: somebody presses Ctrl-C in its seventh step, once per process."""
    return Network.wrap(_Interrupted(), name="interrupted", preprocessing=Preprocessing(size=(32, 32)))


def make_vgg() -> Network:
    """python:tiny:make_vgg: a chain of three blocks with max pooling, as VGG is."""
    widths, layers, before = (6, 8, 10), OrderedDict[str, nn.Module](), 3
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for block, width in enumerate(widths, 1):
            if block > 1:
                layers[f"pool{block - 1}"] = nn.MaxPool2d(2)
            for i in (1, 2):
                layers[f"conv{block}_{i}"] = nn.Conv2d(before, width, 3, padding=1)
                layers[f"relu{block}_{i}"] = nn.ReLU()
                before = width
    for part in layers.values():
        if isinstance(part, nn.Conv2d):
            part.weight.data *= 2
    preprocessing = Preprocessing(mean=(0.45,), std=(0.25,), size=(32, 32), min_size=4)
    return Network.wrap(nn.Sequential(layers), name="tiny_vgg", preprocessing=preprocessing)
