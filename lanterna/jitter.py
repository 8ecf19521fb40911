"""Random views of a canvas: crop, scale and rotation, another one for every picture, in one resampling.

A picture that excites a unit only when no pixel moves is noise; one that does so through many small movements has shapes.
The canvas is a margin larger than the picture on all sides and the views are cut out of it, so no view shows a border.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Jitter"]


@dataclass(frozen=True)
class Jitter:
    """How far views move: `shift` in pixels, `scale` as (least, greatest) zoom, `rotate` in degrees either way.

    `shift` may be a number for each picture of the batch. `noise` is the standard deviation of normal noise added to the
    view. `crop` as (first, last) makes views that show this share of the picture's side, going from the first share to the
    last as the run goes on (MaCo). `amount` has, for each picture of the batch, the share in [0, 1] of zoom and rotation that
    it gets; without it all get the whole.
    """

    shift: float | tuple[float, ...] = 8.0
    scale: tuple[float, float] = (0.9, 1.1)
    rotate: float = 10.0
    noise: float = 0.0
    crop: tuple[float, float] | None = None
    amount: tuple[float, ...] | None = None

    @staticmethod
    def none() -> "Jitter":
        """Views that are the middle of the canvas, unmoved."""
        return Jitter(0.0, (1.0, 1.0), 0.0)

    @property
    def moves(self) -> bool:
        """Whether any view differs from the middle of the canvas."""
        return bool(torch.tensor(self.shift).any()) or self.scale != (1.0, 1.0) or self.rotate > 0 or self.crop is not None

    def view(self, canvas: Tensor, size: tuple[int, int], generator: torch.Generator, progress: float = 0.0) -> Tensor:
        """Views (B, C, *size) of `canvas` (B, C, H, W) whose middle part of `size` is the picture; `progress` in [0, 1]."""
        views = self._resample(canvas, size, generator, progress) if self.moves else middle(canvas, size)
        if self.noise > 0:
            noise = torch.randn(views.shape, generator=generator).to(views.device)
            views = views + self.noise * noise
        return views

    def _resample(self, canvas: Tensor, size: tuple[int, int], generator: torch.Generator, progress: float) -> Tensor:
        count, (height, width) = len(canvas), size
        full_height, full_width = canvas.shape[2], canvas.shape[3]
        uniform = torch.rand((4, count), generator=generator)
        amount = torch.ones(count) if self.amount is None else torch.tensor(self.amount)
        zoom = (self.scale[0] + (self.scale[1] - self.scale[0]) * uniform[0]) ** amount
        angle = torch.deg2rad((2 * uniform[1] - 1) * self.rotate * amount)
        reach_x = reach_y = shift = torch.tensor(self.shift)
        if self.crop is not None:
            share = self.crop[0] + (self.crop[1] - self.crop[0]) * progress
            zoom = zoom / share
            reach_y, reach_x = (shift + side * (1 - share) / 2 for side in size)
        cos, sin = angle.cos() / zoom, angle.sin() / zoom
        # In units of half a side, as affine_grid has them; rows and columns each by their own side.
        theta = torch.stack(
            [
                torch.stack([cos * width, -sin * height, (2 * uniform[2] - 1) * reach_x * 2], 1) / full_width,
                torch.stack([sin * width, cos * height, (2 * uniform[3] - 1) * reach_y * 2], 1) / full_height,
            ],
            1,
        )
        grid = F.affine_grid(theta.to(canvas.device), [count, canvas.shape[1], height, width], align_corners=False)
        return F.grid_sample(canvas, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def middle(canvas: Tensor, size: tuple[int, int]) -> Tensor:
    """The picture of `size` (height, width) in the middle of a canvas with margins."""
    top, left = (canvas.shape[2] - size[0]) // 2, (canvas.shape[3] - size[1]) // 2
    return canvas[:, :, top : top + size[0], left : left + size[1]]
