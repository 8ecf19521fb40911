"""Crops of pictures, at several scales: with few pictures, they are the data."""

import hashlib
from functools import cached_property
from math import ceil

import torch
from torch import Tensor

from lanterna.data.dataset import Dataset
from lanterna.errors import PictureError

__all__ = ["Crops"]

# Sides as shares of the picture's shorter side; neighbours share a quarter of theirs.
SCALES = (1.0, 0.6, 0.36)
_STEP = 0.75
_SMALLEST = 32


def _starts(length: int, side: int) -> list[int]:
    count = ceil((length - side) / (_STEP * side)) + 1
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


class Crops(Dataset):
    """Square crops of the pictures of `dataset`, at several scales; ids are `PICTURE#TOP,LEFT,SIDE`, in pixels.

    Pictures that can't be read have none; `unreadable` tells them, each with the reason.
    """

    def __init__(self, dataset: Dataset, scales: tuple[float, ...] = SCALES) -> None:
        self.whole = dataset
        places: list[tuple[int, int, int, int]] = []
        self.unreadable: dict[str, str] = {}
        self._kept: tuple[int, Tensor] | None = None
        for picture in range(len(dataset)):
            try:
                height, width = self._picture(picture).shape[2:]
            except PictureError as error:
                self.unreadable[dataset.ids[picture]] = str(error)
                continue
            sides = [min(height, width), *(round(min(height, width) * scale) for scale in scales if scale < 1)]
            for side in dict.fromkeys(side for i, side in enumerate(sides) if i == 0 or side >= _SMALLEST):
                places += [(picture, top, left, side) for top in _starts(height, side) for left in _starts(width, side)]
        self.places = tuple(places)
        labels = None if dataset.labels is None else [dataset.labels[picture] for picture, *_ in places]
        ids = [f"{dataset.ids[picture]}#{top},{left},{side}" for picture, top, left, side in places]
        super().__init__(dataset.name, ids, labels, dataset.classes, dataset.notes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the pictures' and the places."""
        return hashlib.sha256(f"{self.whole.fingerprint} {self.places}".encode()).hexdigest()

    def source(self, index: int) -> int:
        """The number of the picture that the crop is from."""
        return self.places[index][0]

    def read(self, index: int, at_least: int | None = None) -> Tensor:
        """The crop, (1, C, SIDE, SIDE) in [0, 1]."""
        picture, top, left, side = self.places[index]
        return self._picture(picture)[:, :, top : top + side, left : left + side]

    def _picture(self, picture: int) -> Tensor:
        # Crops of one picture follow each other.
        kept = self._kept
        if kept is None or kept[0] != picture:
            kept = self._kept = (picture, self.whole.read(picture))
        return kept[1].to(torch.float32)
