"""The public names, complete and small: a change here is a change for everyone."""

import lanterna

PUBLIC = [
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


def test_the_public_names_are_exactly_these() -> None:
    assert lanterna.__all__ == PUBLIC


def test_every_public_name_is_there_and_documented() -> None:
    for name in PUBLIC:
        value = getattr(lanterna, name)
        assert name == "STOP" or value.__doc__, name
