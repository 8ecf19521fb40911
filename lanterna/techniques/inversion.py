"""What `invert` gives back: pictures with the same representation, and the numbers that say how far to trust them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from lanterna import pictures as pictures_io

if TYPE_CHECKING:
    from lanterna.techniques.invert import InvertRecipe

__all__ = ["Inversion", "Recreation"]


@dataclass(frozen=True)
class Recreation:
    """The pictures (S, 3, H, W) that were recreated from one layer, one for each sample, and their numbers.

    `feature_error` is the squared distance to the photograph's features over the squared length of those; `pair_error` the
    same distance over the mean squared distance between pairs of sample photographs. `psnr` in dB (at most 100) and `ssim`
    compare with the photograph. `top1_kept` and `top5_kept` say whether its best class is the best, or one of the five
    best, of the recreation, and `judge_agrees` whether a second network gives both the same best class; None where there
    are no classes. The four distances are means over pairs: squared, by pixel, and squared, over the squared length of the
    photograph's features; among the samples (None for one) and among six real photographs.
    """

    layer: str
    pictures: Tensor
    feature_error: tuple[float, ...]
    pair_error: tuple[float, ...]
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    top1_kept: tuple[bool, ...] | None
    top5_kept: tuple[bool, ...] | None
    judge_agrees: tuple[bool, ...] | None
    pixel_distance: float | None
    feature_distance: float | None
    real_pixel_distance: float
    real_feature_distance: float
    trace: Tensor

    def captions(self) -> list[str]:
        """One line for each picture: its feature error and its likeness to the photograph."""
        return [f"error {error:.3f}, {psnr:.1f} dB" for error, psnr in zip(self.feature_error, self.psnr, strict=True)]


@dataclass(frozen=True)
class Inversion:
    """The photograph (1, 3, H, W) as the network was given it, and what was recreated from each layer.

    `steps` counts those of all layers; where a listener asked to stop, `stopped` is true and layers may be missing.
    """

    recipe: "InvertRecipe"
    original: Tensor
    recreations: tuple[Recreation, ...]
    judge: str | None
    steps: int
    stopped: bool

    def pictures(self) -> list[Tensor]:
        """All recreated pictures (1, 3, H, W), layer by layer."""
        return [picture[None] for recreation in self.recreations for picture in recreation.pictures]

    def sheet(self) -> Tensor:
        """The photograph, then the recreations of each layer with their captions, as one picture (1, 3, H, W)."""
        if self.recipe.samples == 1:
            captions = [f"{made.layer}: {made.captions()[0]}" for made in self.recreations]
            return pictures_io.sheet([self.original, *self.pictures()], ["photograph", *captions])
        cells, captions = [], []
        for made in self.recreations:
            cells += [self.original, *(picture[None] for picture in made.pictures)]
            captions += ["photograph", *made.captions()]
        titles = [made.layer for made in self.recreations]
        return pictures_io.sheet(cells, captions, columns=self.recipe.samples + 1, row_titles=titles)

    def _repr_html_(self) -> str:
        return pictures_io.to_html(self.sheet(), f"recreated from {', '.join(made.layer for made in self.recreations)}")
