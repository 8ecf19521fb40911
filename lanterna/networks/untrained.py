"""A copy of a network that has learnt nothing: the control for what its pictures are said to show."""

import copy
import math

import torch
from torch import nn

from lanterna.networks.network import Network

__all__ = ["untrained"]


def untrained(network: Network, seed: int = 0) -> Network:
    """The same architecture with random weights.

    Weights of two dimensions and more are normal with variance 2 / fan-in (He et al. 2015), which keeps the scale of the
    features from layer to layer; biases are zero, normalisations do nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    module = copy.deepcopy(network.module).cpu()
    with torch.no_grad():
        for part in module.modules():
            for name, buffer in part.named_buffers(recurse=False):
                buffer.fill_(1.0 if name == "running_var" else 0.0)
            for name, parameter in part.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    deviation = math.sqrt(2 / parameter[0].numel())
                    parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator))
                else:
                    parameter.fill_(1.0 if name == "weight" and not isinstance(part, nn.Linear) else 0.0)
    made = Network.wrap(
        module,
        name=f"{network.name}, untrained",
        preprocessing=network.preprocessing,
        labels=network.labels,
        source=network.source,
    )
    return made.to(network.device)
