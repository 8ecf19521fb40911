"""What is optimised: a parametrisation of pictures, and the way from it to pictures.

Every canvas renders (B, C, H, W) in [0, 1] and can start from noise or from given pictures. Ascent in the Fourier basis with
decorrelated colour is preconditioned: all frequencies of a natural picture are within equal reach (Olah, Mordvintsev and
Schubert, "Feature Visualization", Distill 2017).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.errors import InputError
from lanterna.pictures.colour import COLOUR, mixed_colours

__all__ = [
    "Canvas",
    "CanvasName",
    "FourierCanvas",
    "LatentCanvas",
    "PhaseCanvas",
    "PictureCanvas",
    "PixelCanvas",
    "make_canvas",
]

CanvasName = Literal["fourier", "pixels", "maco"]

# Share of the natural magnitude that noise gets: highlights and shadows count for so much before the sigmoid that the whole
# of it, with random phases, gives blown-out colours.
_SOFTER = 0.5

# Pictures are kept this far from 0 and 1, where the sigmoid has no inverse: half of an 8-bit level.
_EDGE = 0.5 / 255


class Canvas(ABC):
    """Parameters that ascent changes, and the pictures they stand for."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = [parameter.detach().requires_grad_(True) for parameter in parameters]

    @abstractmethod
    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1], differentiable in `parameters`."""


def _to_colour(planes: Tensor) -> Tensor:
    if planes.shape[1] != 3:
        return planes
    return mixed_colours(COLOUR, planes)


def _from_colour(planes: Tensor) -> Tensor:
    if planes.shape[1] != 3:
        return planes
    return mixed_colours(torch.linalg.inv(COLOUR.double()), planes)


def _logit(pictures: Tensor) -> Tensor:
    return torch.logit(pictures.clamp(_EDGE, 1 - _EDGE))


class PixelCanvas(Canvas):
    """The pixels themselves, behind a sigmoid that keeps them in [0, 1]."""

    def __init__(self, planes: Tensor) -> None:
        super().__init__([planes])

    @classmethod
    def noise(
        cls, shape: tuple[int, int, int, int], generator: torch.Generator, device: torch.device | None = None
    ) -> "PixelCanvas":
        """Nearly grey: normal noise of standard deviation 0.1 before the sigmoid."""
        return cls(0.1 * torch.randn(shape, generator=generator).to(device))

    @classmethod
    def start(cls, pictures: Tensor) -> "PixelCanvas":
        """From pictures (B, C, H, W) in [0, 1]."""
        return cls(_logit(pictures))

    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1]."""
        return self.parameters[0].sigmoid()


class PictureCanvas(Canvas):
    """The pixels as they are; whoever changes them keeps them in [0, 1]."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__([pictures])

    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1]."""
        return self.parameters[0]


def _frequencies(height: int, width: int) -> Tensor:
    """Cycles per pixel of each coefficient of a real FFT, (H, W // 2 + 1)."""
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])


class FourierCanvas(Canvas):
    """Coefficients of a real FFT, each scaled by 1 / frequency ** decay, in decorrelated colour, behind a sigmoid.

    `pace` (B,) is a factor of how far each picture moves in a step of the same length.
    """

    def __init__(self, coefficients: Tensor, size: tuple[int, int], decay: float, pace: Tensor | None = None) -> None:
        paces = torch.ones(1) if pace is None else pace
        paces = paces.to(coefficients.device).view(-1, 1, 1, 1)
        super().__init__([torch.view_as_real(coefficients / paces).clone()])
        self.size = size
        self._scale = self._make_scale(size, decay).to(coefficients.device) * paces

    @staticmethod
    def _make_scale(size: tuple[int, int], decay: float) -> Tensor:
        height, width = size
        lowest = 1.0 / max(height, width)
        # Divided by 4 as in Lucid: noise of standard deviation 0.01 then starts as a faint, soft picture.
        scale: Tensor = (height * width) ** 0.5 / _frequencies(height, width).clamp(min=lowest) ** decay / 4
        return scale

    @classmethod
    def noise(
        cls,
        shape: tuple[int, int, int, int],
        generator: torch.Generator,
        device: torch.device | None = None,
        *,
        decay: float = 1.0,
        deviation: float = 0.01,
        pace: Tensor | None = None,
    ) -> "FourierCanvas":
        """From normal noise of the given deviation per coefficient."""
        batch, channels, height, width = shape
        parts = deviation * torch.randn((batch, channels, height, width // 2 + 1, 2), generator=generator)
        return cls(torch.view_as_complex(parts).to(device), (height, width), decay, pace)

    @classmethod
    def start(cls, pictures: Tensor, decay: float = 1.0, pace: Tensor | None = None) -> "FourierCanvas":
        """From pictures (B, C, H, W) in [0, 1]; rendering gives them back to within an 8-bit level."""
        size = (pictures.shape[2], pictures.shape[3])
        coefficients = torch.fft.rfft2(_from_colour(_logit(pictures)))
        return cls(coefficients / cls._make_scale(size, decay).to(pictures.device), size, decay, pace)

    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1]."""
        # `s` matters: without it a picture of odd width comes back one column short.
        planes = torch.fft.irfft2(torch.view_as_complex(self.parameters[0]) * self._scale, s=self.size)
        return _to_colour(planes).sigmoid()


@cache
def _natural_magnitude() -> tuple[Tensor, Tensor]:
    """Mean log magnitude per root pixel by frequency, and the frequencies: see scripts/natural_spectrum.py."""
    import json

    text = resources.files("lanterna").joinpath("data/natural_spectrum.json").read_text(encoding="utf-8")
    table = json.loads(text)
    return torch.tensor(table["frequency"]), torch.tensor(table["log_magnitude"])


def _interpolate(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    right = torch.searchsorted(xs, x.contiguous()).clamp(1, len(xs) - 1)
    share = ((x - xs[right - 1]) / (xs[right] - xs[right - 1])).clamp(0, 1)
    return torch.lerp(ys[right - 1], ys[right], share)


class PhaseCanvas(Canvas):
    """Only the phase is free; the magnitude is that of natural pictures, or of the picture it starts from.

    MaCo: Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
    Optimization", NeurIPS 2023. The mean spectrum here is that of the sample pictures, by frequency and decorrelated colour.
    """

    def __init__(self, phase: Tensor, magnitude: Tensor, size: tuple[int, int]) -> None:
        super().__init__([phase])
        self.size = size
        self._magnitude = magnitude

    @classmethod
    def noise(
        cls, shape: tuple[int, int, int, int], generator: torch.Generator, device: torch.device | None = None
    ) -> "PhaseCanvas":
        """From uniformly random phases."""
        batch, channels, height, width = shape
        frequencies, table = _natural_magnitude()
        log_frequency = _frequencies(height, width).clamp(min=1.0 / max(height, width)).log()
        planes = [_interpolate(log_frequency, frequencies.log(), row) for row in table[:channels]]
        planes += [planes[0]] * (channels - len(planes))
        magnitude = _SOFTER * torch.stack(planes).exp() * (height * width) ** 0.5
        magnitude[:, 0, 0] = 0.0  # the mean stays grey: its phase could only flip it
        phase = (torch.rand((batch, channels, height, width // 2 + 1), generator=generator) * 2 - 1) * torch.pi
        return cls(phase.to(device), magnitude.to(device), (height, width))

    @classmethod
    def start(cls, pictures: Tensor) -> "PhaseCanvas":
        """From pictures (B, C, H, W) in [0, 1]: their own magnitude is kept."""
        coefficients = torch.fft.rfft2(_from_colour(_logit(pictures)))
        return cls(coefficients.angle(), coefficients.abs(), (pictures.shape[2], pictures.shape[3]))

    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1]."""
        coefficients = torch.polar(self._magnitude.expand_as(self.parameters[0]), self.parameters[0])
        return _to_colour(torch.fft.irfft2(coefficients, s=self.size)).sigmoid()


class LatentCanvas(Canvas):
    """Codes of an autoencoder, behind its decoder: what ascent makes stays among the pictures that the decoder can make.

    Codes are `mean` + `scale` times a whitened code whose length is held to `radius`: beyond where training codes lie, a
    decoder answers with anything. Nguyen et al., "Synthesizing the preferred inputs for neurons in neural networks via deep
    generator networks", NeurIPS 2016.
    """

    def __init__(
        self, decode: Callable[[Tensor], Tensor], whitened: Tensor, mean: Tensor, scale: Tensor, radius: float
    ) -> None:
        super().__init__([whitened])
        self._decode, self._mean, self._scale, self._radius = decode, mean, scale, radius

    @classmethod
    def noise(
        cls,
        decode: Callable[[Tensor], Tensor],
        training: Tensor,
        count: int,
        generator: torch.Generator,
        *,
        device: torch.device | None = None,
    ) -> "LatentCanvas":
        """`count` random codes with the mean and covariance of the `training` codes (N, K), which also give the radius."""
        mean, scale, radius = cls._spread(training)
        whitened = torch.randn((count, training.shape[1]), generator=generator)
        return cls(decode, whitened.to(device), mean.to(device), scale.to(device), radius)

    @classmethod
    def start(cls, decode: Callable[[Tensor], Tensor], training: Tensor, codes: Tensor) -> "LatentCanvas":
        """From `codes` (B, K); one beyond the radius begins at it."""
        mean, scale, radius = cls._spread(training)
        whitened = torch.linalg.solve_triangular(scale, (codes.cpu() - mean).T, upper=False).T
        return cls(decode, whitened.to(codes.device), mean.to(codes.device), scale.to(codes.device), radius)

    @staticmethod
    def _spread(training: Tensor) -> tuple[Tensor, Tensor, float]:
        mean = training.mean(0)
        centred = (training - mean).double()
        covariance = centred.T @ centred / max(len(training) - 1, 1)
        # A number of the code that nothing uses has no spread, and Cholesky needs some.
        floor = 1e-6 * covariance.diagonal().mean().clamp(min=1e-12)
        scale = torch.linalg.cholesky(covariance + floor * torch.eye(len(mean), dtype=torch.float64))
        lengths = torch.linalg.solve_triangular(scale, centred.T, upper=False).norm(dim=0)
        return mean, scale.float(), float(lengths.quantile(0.95))

    def codes(self) -> Tensor:
        """The codes (B, K) as they are decoded."""
        whitened = self.parameters[0]
        held = whitened * (self._radius / whitened.norm(dim=1, keepdim=True).clamp(min=self._radius))
        codes: Tensor = self._mean + held @ self._scale.T
        return codes

    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1]."""
        pictures: Tensor = self._decode(self.codes())
        return pictures


def make_canvas(
    name: CanvasName,
    shape: tuple[int, int, int, int],
    generator: torch.Generator,
    *,
    pictures: Tensor | None = None,
    decay: float = 1.0,
    pace: Tensor | None = None,
    device: torch.device | None = None,
) -> Canvas:
    """A canvas by name for `shape` (B, C, H, W), from noise or from `pictures` of that shape. Raises InputError.

    `decay` and `pace` are the Fourier canvas's.
    """
    if pictures is not None and tuple(pictures.shape) != shape:
        raise InputError(f"the canvas is {shape} but the pictures it starts from are {tuple(pictures.shape)}")
    given = None if pictures is None else pictures.to(device)
    canvas: Canvas
    if name == "pixels":
        canvas = PixelCanvas.noise(shape, generator, device) if given is None else PixelCanvas.start(given)
    elif name == "fourier":
        canvas = (
            FourierCanvas.noise(shape, generator, device, decay=decay, pace=pace)
            if given is None
            else FourierCanvas.start(given, decay, pace)
        )
    else:
        canvas = PhaseCanvas.noise(shape, generator, device) if given is None else PhaseCanvas.start(given)
    return canvas


def pad_reflect(pictures: Tensor, margin: int) -> Tensor:
    """Pictures with a mirrored margin, also where the margin is wider than the picture."""
    while margin > 0:
        width = min(margin, pictures.shape[2] - 1, pictures.shape[3] - 1)
        if width == 0:
            return F.pad(pictures, (margin,) * 4, mode="replicate")
        pictures = F.pad(pictures, (width,) * 4, mode="reflect")
        margin -= width
    return pictures
