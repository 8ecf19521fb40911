"""Autoencoders: an identity through a bottleneck learns a compact description of where the data lie.

>>> import lanterna
>>> net = lanterna.autoencode.load("autoencode/conv-32.safetensors")  # doctest: +SKIP
>>> net.project(lanterna.data.load("mnist_5k").pictures([0])).shape   # doctest: +SKIP
torch.Size([1, 1, 28, 28])
"""

from lanterna.autoencode.model import Autoencoder, load
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.run import Autoencoded, run

__all__ = ["AutoencodeRecipe", "Autoencoded", "Autoencoder", "load", "run"]
