"""Lanterna shows what a convolutional network sees.

>>> import lanterna
>>> net = lanterna.load("efficientnet_lite0")          # doctest: +SKIP
>>> net.visualize("logits:sea lion", steps=256)        # doctest: +SKIP
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from lanterna import data, objectives, pictures, priors
from lanterna.ascent import ascend
from lanterna.canvas import FourierCanvas, LatentCanvas, PhaseCanvas, PixelCanvas
from lanterna.errors import (
    InputError,
    LanternaError,
    MissingError,
    NetworkError,
    OutOfMemoryError,
    PictureError,
    UnknownNameError,
)
from lanterna.events import STOP
from lanterna.jitter import Jitter
from lanterna.networks import Layer, Network, Prediction, Preprocessing
from lanterna.networks.capture import capture
from lanterna.networks.sources import load
from lanterna.techniques.dream import Dream, DreamRecipe
from lanterna.techniques.invert import Inversion, InvertRecipe
from lanterna.techniques.visualize import Visualization, VisualizeRecipe

if TYPE_CHECKING:
    from lanterna import autoencode

__version__ = "0.1.0"

__all__ = [
    "STOP",
    "Dream",
    "DreamRecipe",
    "FourierCanvas",
    "InputError",
    "Inversion",
    "InvertRecipe",
    "Jitter",
    "LanternaError",
    "LatentCanvas",
    "Layer",
    "MissingError",
    "Network",
    "NetworkError",
    "OutOfMemoryError",
    "PhaseCanvas",
    "PictureError",
    "PixelCanvas",
    "Prediction",
    "Preprocessing",
    "UnknownNameError",
    "Visualization",
    "VisualizeRecipe",
    "ascend",
    "autoencode",
    "capture",
    "data",
    "load",
    "objectives",
    "pictures",
    "priors",
]


def __getattr__(name: str) -> ModuleType:
    # It brings matplotlib and scikit-learn, seconds that nobody else should wait for.
    if name == "autoencode":
        return import_module("lanterna.autoencode")
    raise AttributeError(f"module 'lanterna' has no attribute {name!r}")
