"""The same network with random weights: the control that says what comes from training and what from the architecture."""

import copy

import torch

from lanterna.networks.network import Network

__all__ = ["untrained"]


def untrained(network: Network, seed: int = 0) -> Network:
    """A copy with weights drawn anew: normal with variance 2 / fan-in (He et al. 2015), no biases, normalisations that pass.

    The network itself is not changed, and the chance is that of `seed` alone.
    """
    generator = torch.Generator().manual_seed(seed)
    module = copy.deepcopy(network.module)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.ndim >= 2:
                fan_in = tensor[0].numel()
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5)
            elif tensor.is_floating_point():
                one = name.endswith(("running_var", "weight"))
                tensor.fill_(1.0 if one else 0.0)
    return Network.wrap(
        module,
        name=f"{network.name}, untrained",
        preprocessing=network.preprocessing,
        labels=network.labels,
        source=network.source,
    )
