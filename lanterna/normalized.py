"""Steps of one size, as dreaming takes them: the gradient is divided by its own magnitude, here and there and in each colour.

The original divides by one number, the mean magnitude over the picture; then the finest grain and the strongest edges win,
dark halos grow around them and colours run to the ends. Here each band of frequencies is divided by its magnitude in the
neighbourhood, colours are as correlated as they are in photographs, and the picture is held back a little by what it was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.pictures.colour import COLOUR

__all__ = ["NormalizedSteps", "Shaping"]

# Beside the neighbourhood, the magnitude is held against this share of the mean of the whole: flat parts stay quiet.
_FLOOR = 0.15


@dataclass(frozen=True)
class Shaping:
    """How a gradient becomes a step.

    `bands` are the strengths of the picture's octaves of frequency, finest first, then of all that is coarser; `local` the
    width in pixels over which a magnitude is taken; `colour` the share of a step in the colours of photographs;
    `hold` the share of coarse changes (over more than `coarse` pixels) and `restrain` of all changes that each step
    takes back; `soft` makes steps smaller towards black and white; with `grey` only light and dark change, for a network
    that sees no more. `Shaping.plain()` is the original's.
    """

    bands: tuple[float, ...] = (0.6, 1.0, 0.8, 0.5)
    local: int = 32
    colour: float = 0.7
    hold: float = 0.2
    coarse: int = 16
    restrain: float = 0.02
    soft: bool = True
    grey: bool = False

    @staticmethod
    def plain() -> "Shaping":
        """The gradient over its mean magnitude, and nothing else (Mordvintsev, Olah and Tyka 2015)."""
        return Shaping((1.0,), 0, 0.0, 0.0, 16, 0.0, False)


def _shrink(picture: Tensor, factor: int) -> Tensor:
    size = [max(2, side // factor) for side in picture.shape[2:]]
    return F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)


def _enlarge(picture: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(picture, list(size), mode="bilinear", align_corners=False)


def _planes(*pictures: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Colour by colour, so that what is needed on the way is a third of a large picture."""
    return zip(*(picture.split(1, 1) for picture in pictures), strict=True)


def _natural_colour(gradient: Tensor, share: float) -> None:
    """In place: the gradient in decorrelated colour, brought back; the covariance of photographs' colours prefers grey."""
    if gradient.shape[1] != 3 or not share:
        return
    covariance = COLOUR @ COLOUR.T
    mixed = share * covariance / covariance.sum(1).max() + (1 - share) * 0.3 * torch.eye(3)
    for rows in gradient.split(256, 2):
        rows.copy_(torch.einsum("rc,bchw->brhw", mixed.to(rows), rows))


def _even(band: Tensor, local: int, strength: float) -> None:
    """In place: the band over its magnitude, everywhere `strength`."""
    magnitude = torch.zeros_like(band[:, :1])
    for (plane,) in _planes(band):
        magnitude.add_(plane.abs(), alpha=1 / band.shape[1])
    mean = magnitude.mean((1, 2, 3), keepdim=True)
    if local:
        around = _enlarge(_shrink(magnitude, max(local, 1)), magnitude.shape[2:]).clamp_(min=0)
        magnitude = around.add_(_FLOOR * mean)
    else:
        magnitude = mean
    band.mul_(strength).div_(magnitude.clamp(min=1e-20))


def _even_out(gradient: Tensor, shaping: Shaping) -> None:
    """In place: every band of frequencies at its own strength."""
    bands, rest = [], gradient
    for _ in shaping.bands[1:]:
        if min(rest.shape[2:]) < 8:
            break
        low = _shrink(rest, 2)
        for plane, coarse in _planes(rest, low):
            plane.sub_(_enlarge(coarse, plane.shape[2:]))
        bands.append(rest)
        rest = low
    for level, band in enumerate([*bands, rest]):
        strength = shaping.bands[-1] if band is rest else shaping.bands[level]
        _even(band, shaping.local and max(2, shaping.local >> level), strength)
    for band in reversed(bands):
        for plane, coarse in _planes(band, rest):
            plane.add_(_enlarge(coarse, plane.shape[2:]))
        rest = band


class NormalizedSteps(torch.optim.Optimizer):
    """`lr` is how far a pixel moves in a step, in the mean over the picture (before `soft` and `mask` take from it).

    Steps go downhill, as all of torch's optimisers do, and keep pixels in [0, 1]. `base` (B, C, H, W) is what holds them;
    `mask` (1, 1, H, W) in [0, 1] says where it may change. The gradient is used up.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        shaping: Shaping | None = None,
        base: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__(list(parameters), {"lr": lr})
        self._shaping, self._base, self._mask = shaping or Shaping(), base, mask
        self._coarse = None if base is None else _shrink(base, self._shaping.coarse)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # gives no loss back
        """One step of every picture; `closure` finds the gradient first."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            for picture in group["params"]:
                gradient = picture.grad
                if self._shaping.grey:
                    gradient.copy_(gradient.mean(1, keepdim=True).expand_as(gradient))
                else:
                    _natural_colour(gradient, self._shaping.colour)
                _even_out(gradient, self._shaping)
                mean = torch.linalg.vector_norm(gradient, 1, (1, 2, 3), keepdim=True) / gradient[0].numel()
                gradient.mul_(group["lr"] / mean.clamp(min=1e-20))
                self._move(picture, gradient)

    def _move(self, picture: Tensor, gradient: Tensor) -> None:
        for pixels, change in _planes(picture, gradient):
            if self._shaping.soft:
                change.mul_((4 * pixels * (1 - pixels)).clamp_(min=0).sqrt_())
            if self._mask is not None:
                change.mul_(self._mask)
            pixels.sub_(change)
        if self._base is not None and self._coarse is not None:
            picture.lerp_(self._base, self._shaping.restrain)
            back = self._coarse - _shrink(picture, self._shaping.coarse)
            for pixels, plane in _planes(picture, back):
                pull = _enlarge(plane, pixels.shape[2:]).mul_(self._shaping.hold)
                pixels.add_(pull if self._mask is None else pull.mul_(self._mask))
        picture.clamp_(0, 1)
