"""Equal bits: what a code costs when it is written down, beside PNG, JPEG, WebP and principal components.

Codes are rounded to multiples of a step and written by a range coder (constriction), whose model is a normal distribution for
each number, fitted to the training codes. Bytes are those of the stream, and pictures those decoded from it. The file formats
get all pictures as one mosaic, so that headers do not decide.
"""

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import constriction
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.autoencode.figures import COLOURS, axes, drawn
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.workshop import Workshop

__all__ = ["Coded", "code_bytes", "make", "mosaic", "mosaic_image"]

# In standard deviations of the code's numbers.
STEPS = (2.0, 1.0, 0.5, 0.25, 0.12)
QUALITIES = (0, 2, 5, 10, 20, 35, 50, 70, 85, 95)
_REACH = 1 << 16


@dataclass(frozen=True)
class Coded:
    """A stream's length in bytes, and the codes (B, K) that its reader gets."""

    size: int
    codes: Tensor


def code_bytes(codes: Tensor, training: Tensor, step: float) -> Coded:
    """Codes (B, K) rounded to multiples of `step` standard deviations, written by a range coder and read again.

    Mean and deviation of each number are those of the codes `training` (N, K), which the reader has too.
    """
    mean, deviation = training.mean(0), training.std(0).clamp(min=1e-6)
    unit = step * deviation
    symbols = ((codes - mean) / unit).round().clamp(-_REACH, _REACH).to(torch.int32).numpy()
    model = constriction.stream.model.QuantizedGaussian(-_REACH, _REACH)
    spread = np.full(symbols.size, max(1.0 / step, 0.05), np.float64)
    centre = np.zeros(symbols.size, np.float64)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(symbols.ravel(), model, centre, spread)
    stream = encoder.get_compressed()
    read = constriction.stream.queue.RangeDecoder(stream).decode(model, centre, spread)
    back = torch.from_numpy(np.asarray(read, np.float32).reshape(symbols.shape))
    return Coded(stream.nbytes, mean + back * unit)


def mosaic(pictures: Tensor) -> Tensor:
    """Pictures (N, C, S, S) as one (1, C, rows x S, columns x S); the last row is filled with black."""
    columns = max(int(len(pictures) ** 0.5), 1)
    rows = -(-len(pictures) // columns)
    filled = torch.cat([pictures, pictures.new_zeros(rows * columns - len(pictures), *pictures.shape[1:])])
    grid = filled.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4)
    whole: Tensor = grid.flatten(3, 4).flatten(1, 2)[None]
    return whole


def mosaic_image(pictures: Tensor) -> Image.Image:
    """The mosaic of `pictures` in 8 bits, grey or in colour as they are."""
    pixels = (mosaic(pictures)[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _file(image: Image.Image, kind: str, **options: Any) -> tuple[int, float]:
    """Bytes, and the mean squared error a pixel."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    with Image.open(io.BytesIO(buffer.getvalue())) as found:
        back = np.asarray(found.convert(image.mode), np.float32)
    return buffer.tell(), float(np.square((back - np.asarray(image, np.float32)) / 255).mean())


def _half(decode: torch.nn.Module) -> torch.nn.Module:
    """The decoder with weights as they are in half precision: what is charged is also what is used."""
    made = copy.deepcopy(decode)
    for value in made.parameters():
        value.data = value.data.half().float()
    return made


def _curve(
    held: Tensor, codes: Tensor, training: Tensor, decode: Callable[[Tensor], Tensor], weights: int, code: int
) -> list[dict[str, float]]:
    found = []
    for step in STEPS:
        coded = code_bytes(codes, training, step)
        error = float((decode(coded.codes).clamp(0, 1) - held).square().mean())
        found.append({"code": code, "step": step, "bytes": coded.size, "mse": error, "decoder_bytes": weights})
    return found


def make(shop: Workshop) -> Part:
    """Bits a pixel against error, with and without the decoder's weights."""
    split = shop.split
    held, training = split.held_out, split.train[:2000]
    values = held.numel()
    curves: dict[str, list[dict[str, float]]] = {"autoencoder": [], "PCA": []}
    for code in shop.recipe.code:
        net, linear = shop.model(code), shop.pca(code)
        decoder = _half(net.module.decoder)

        @torch.no_grad()
        def decode(codes: Tensor, decoder: torch.nn.Module = decoder) -> Tensor:
            made: Tensor = decoder(codes)
            return made

        charged = 2 * sum(value.numel() for value in decoder.parameters()) + 8 * code
        curves["autoencoder"] += _curve(held, net.encode(held), net.encode(training), decode, charged, code)
        # Half precision for the components as well, and a mean and deviation for each number.
        flat = 2 * (linear.components.numel() + linear.mean.numel()) + 8 * code
        curves["PCA"] += _curve(held, linear.encode(held), linear.encode(training), linear.decode, flat, code)
    image = mosaic_image(held)
    for kind, options in (("JPEG", {}), ("WEBP", {"method": 6})):
        curves[kind] = []
        for quality in QUALITIES:
            size, error = _file(image, kind, quality=quality, **options)
            curves[kind].append({"quality": quality, "bytes": size, "mse": error, "decoder_bytes": 0})
    lossless = {"PNG": _file(image, "PNG", optimize=True)[0], "WEBP": _file(image, "WEBP", lossless=True, method=6)[0]}
    for found in curves.values():
        for point in found:
            point["bits_per_pixel"] = 8 * point["bytes"] / values
            point["bits_per_pixel_with_decoder"] = 8 * (point["bytes"] + point["decoder_bytes"]) / values
    compared = _compared(curves, len(held))
    numbers = {
        "curves": curves,
        "lossless_bits_per_pixel": {name: 8 * size / values for name, size in lossless.items()},
        "pictures": len(held),
        "at_equal_error": compared,
    }
    table = (
        ("MSE", "net, bytes a picture", "PCA", "JPEG", "WebP", "pictures that pay for the decoder"),
        *(
            tuple(_cell(line[name]) for name in ("mse", "autoencoder", "PCA", "JPEG", "WEBP", "break_even"))
            for line in compared
        ),
    )
    return Part(
        "bits",
        "At equal bits",
        (
            Figure("bits", "Rate and distortion of the held-out pictures, all in one mosaic or one stream; left without, "
                   "right with the weights of the decoder (half precision) among the bits", _plot(curves, numbers)),
            Figure("mosaic", "A part of the mosaic", pictures_io.sheet([mosaic(held[:48]).expand(-1, 3, -1, -1)])),
        ),
        numbers,
        (
            "Bytes are those of a range coder's stream; a picture's share of it is its cost.",
            f"Without loss, PNG takes {numbers['lossless_bits_per_pixel']['PNG']:.2f} and WebP "  # type: ignore[index]
            f"{numbers['lossless_bits_per_pixel']['WEBP']:.2f} bits a pixel.",  # type: ignore[index]
        ),
        "the net needed as many bits as JPEG, WebP and PCA at equal error, or the decoder cost nothing.",
        table,
    )  # fmt: skip


def _cell(value: float | None) -> str:
    if value is None:
        return "not reached"
    return f"{value:.4f}" if value < 1 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _compared(curves: dict[str, list[dict[str, float]]], pictures: int) -> list[dict[str, float | None]]:
    """The least bytes a picture that each needs for an error, and how many pictures pay for the decoder beside WebP."""
    lines = []
    for error in (0.04, 0.02, 0.01, 0.006):
        line: dict[str, float | None] = {"mse": error}
        chosen = {}
        for name, points in curves.items():
            reached = [point for point in points if point["mse"] <= error]
            best = min(reached, key=lambda point: point["bytes"], default=None)
            chosen[name] = best
            line[name] = None if best is None else best["bytes"] / pictures
        net, file = line["autoencoder"], line["WEBP"]
        best = chosen["autoencoder"]
        saved = None if net is None or file is None else file - net
        line["break_even"] = None if saved is None or saved <= 0 or best is None else best["decoder_bytes"] / saved
        lines.append(line)
    return lines


def _plot(curves: dict[str, list[dict[str, float]]], numbers: dict[str, Any]) -> Tensor:
    figure, both = axes(10.5, 4.2, columns=2)
    for one, key in zip(both, ("bits_per_pixel", "bits_per_pixel_with_decoder"), strict=True):
        for colour, (name, points) in zip(COLOURS, curves.items(), strict=False):
            best = _frontier([(point[key], point["mse"]) for point in points])
            one.plot(*zip(*best, strict=True), marker="o", markersize=3, color=colour, label=name.replace("WEBP", "WebP"))
        one.axvline(numbers["lossless_bits_per_pixel"]["PNG"], color=COLOURS[5], linestyle=":", label="PNG, without loss")
        one.set_xscale("log")
        one.set_yscale("log")
        one.set_xlabel("bits a pixel" + (", decoder charged" if "with" in key else ""))
        one.set_ylabel("MSE a pixel")
    both[0].legend(frameon=False, fontsize=8)
    return drawn(figure)


def _frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What no other point beats in both."""
    found: list[tuple[float, float]] = []
    for point in sorted(points):
        if not found or point[1] < found[-1][1]:
            found.append(point)
    return found
