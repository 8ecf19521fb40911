"""The same network before it learnt anything: a control."""

import copy

import torch

from lanterna import pictures as pictures_io
from lanterna.networks.network import Network

__all__ = ["untrained"]


def untrained(network: Network, seed: int = 0) -> Network:
    """The network's architecture with fresh weights, its batch statistics measured on the sample pictures.

    Without those statistics the signal of a deep network dies before it reaches the logits, and the control would say
    nothing.
    The global generator is as it was afterwards.
    """
    module = copy.deepcopy(network.module).to("cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers draw their fresh weights from the global generator, and nowhere else
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
        for part in module.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.momentum = None  # the plain mean over what it sees
        module.train()
        # Dropout and the like stay off; only the statistics learn.
        for part in module.modules():
            if not isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.training = False
        shown = torch.cat(pictures_io.samples_at(network.input_size))
        with torch.no_grad():
            module(network.preprocessing.apply(shown))
    return Network.wrap(
        module, name=f"{network.name}, untrained", preprocessing=network.preprocessing, labels=network.labels
    ).to(network.device)
