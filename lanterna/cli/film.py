"""A film of the iterations, collected from previews."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from lanterna.pictures.film import save_film
from lanterna.pictures.read import to_pil

__all__ = ["KINDS", "Film"]

KINDS = (".webp", ".gif")
_FPS = 25 / 3


class Film:
    """Frames as they come, all shown at the size of the last one."""

    def __init__(self) -> None:
        self.frames: list[Tensor] = []

    def add(self, picture: Tensor) -> None:
        """One more frame, (1, 3, H, W) in [0, 1]."""
        self.frames.append(picture.detach().cpu())

    def save(self, path: Path) -> Path:
        """Write the film. Raises PictureError where that fails."""
        size = self.frames[-1].shape[2:]
        shown = [F.interpolate(frame, size, mode="bilinear", align_corners=False) for frame in self.frames]
        return save_film([to_pil(frame) for frame in shown], path, fps=_FPS)
