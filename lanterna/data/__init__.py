"""Data sets by name: every sample has a stable id, so that what was found in it can be shown again.

>>> import lanterna
>>> digits = lanterna.data.load("mnist_5k")              # doctest: +SKIP
>>> digits.pictures(range(100)).shape, digits.labels[0]  # doctest: +SKIP
(torch.Size([100, 1, 28, 28]), 0)
"""

from lanterna.data.crops import Crops
from lanterna.data.dataset import Dataset, PictureArray, require_readable
from lanterna.data.files import PictureFiles
from lanterna.data.sources import load

__all__ = ["Crops", "Dataset", "PictureArray", "PictureFiles", "load", "require_readable"]
