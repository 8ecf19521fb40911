"""What turns a public picture into a network's own input: the only place that knows mean, std, BGR and sizes."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.pictures.colour import luminance

__all__ = ["Preprocessing"]


# Longer beside its width than this, a picture loses its ends before it is resized: they would be cropped off anyway, and a
# line of 5,000 pixels would first become 224 pixels high and a million wide. No usual picture is.
_ELONGATED = 8


def _without_far_ends(pictures: Tensor, aspect: float) -> Tensor:
    """The middle of pictures (B, C, H, W) that are much longer, or wider, than `aspect` (height through width) is."""
    height, width = pictures.shape[2:]
    rows = min(height, max(1, round(width * aspect * _ELONGATED)))
    columns = min(width, max(1, round(height / aspect * _ELONGATED)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pictures[:, :, top : top + rows, left : left + columns]


@dataclass(frozen=True)
class Preprocessing:
    """How public pictures (sRGB in [0, 1]) become a network's input: (x * scale - mean) / std.

    `mean` and `std` have one number per channel, or one for all. `scale` is 255 for networks trained on bytes (Caffe's).
    `channels` is what the network takes: 3, 1 (grey, by luma) or any other number, which then takes pictures with
    that many channels as they are. `size` is (height, width) for classification, `crop` the central share of the
    resized picture that is kept, and `min_size` the smallest side the network can take.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False
    scale: float = 1.0
    channels: int = 3
    size: tuple[int, int] = (224, 224)
    min_size: int = 1
    crop: float = 1.0
    interpolation: str = "bicubic"

    def apply(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to the network's input (B, channels, H, W)."""
        if self.channels == 1 and pictures.shape[1] == 3:
            pictures = luminance(pictures)
        elif self.channels == 3 and pictures.shape[1] == 1:
            pictures = pictures.expand(-1, 3, -1, -1)
        if self.bgr:
            pictures = pictures.flip(1)
        mean = pictures.new_tensor(self.mean).view(1, -1, 1, 1)
        std = pictures.new_tensor(self.std).view(1, -1, 1, 1)
        # One multiply-add instead of three passes over the picture: this runs in every step.
        return torch.addcmul(-mean / std, pictures, self.scale / std)

    def fit(self, pictures: Tensor) -> Tensor:
        """Resize and crop the middle, as for the network's own evaluation: (B, C, H, W) to (B, C, *size)."""
        height, width = self.size
        pictures = _without_far_ends(pictures, height / width)
        factor = max(height / pictures.shape[2], width / pictures.shape[3]) / self.crop
        resized = (
            max(height, round(pictures.shape[2] * factor)),
            max(width, round(pictures.shape[3] * factor)),
        )
        mode = "bilinear" if self.interpolation == "bilinear" else "bicubic"
        pictures = F.interpolate(pictures, resized, mode=mode, antialias=True, align_corners=False).clamp(0, 1)
        top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
        return pictures[:, :, top : top + height, left : left + width]
