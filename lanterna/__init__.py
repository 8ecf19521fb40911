"""Lanterna shows what a convolutional network sees.

>>> import lanterna
>>> net = lanterna.load("efficientnet_lite0")          # doctest: +SKIP
>>> net.visualize("logits:sea lion", steps=256)        # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lanterna import attacks, autoencode, data, objectives, pictures, priors
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
    "attacks",
    "autoencode",
    "capture",
    "data",
    "load",
    "objectives",
    "pictures",
    "priors",
]

# Where each public name lives. A name is imported when it is first used: torch takes seconds, for which neither
# `lanterna --help` nor a page about the package should wait. The imports above say the same to type checkers.
_HOMES = {
    "ascent": ["ascend"],
    "canvas": ["FourierCanvas", "LatentCanvas", "PhaseCanvas", "PixelCanvas"],
    "errors": [
        "InputError",
        "LanternaError",
        "MissingError",
        "NetworkError",
        "OutOfMemoryError",
        "PictureError",
        "UnknownNameError",
    ],
    "events": ["STOP"],
    "jitter": ["Jitter"],
    "networks": ["Layer", "Network", "Prediction", "Preprocessing"],
    "networks.capture": ["capture"],
    "networks.sources": ["load"],
    "techniques.dream": ["Dream", "DreamRecipe"],
    "techniques.invert": ["Inversion", "InvertRecipe"],
    "techniques.visualize": ["Visualization", "VisualizeRecipe"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("attacks", "autoencode", "data", "objectives", "pictures", "priors")


if not TYPE_CHECKING:  # a type checker would take any misspelt name for one of these

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"lanterna.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'lanterna' has no attribute {name!r}")
        value = getattr(import_module(f"lanterna.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
