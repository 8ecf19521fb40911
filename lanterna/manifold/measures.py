"""Numbers: ranking, calibration, compressed size, and how they spread over seeds."""

import io
import zlib
from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

__all__ = [
    "auroc",
    "calibration_error",
    "compressed_bits",
    "fitted_temperature",
    "over_seeds",
    "png_bytes",
    "reliability",
    "zlib_bytes",
]


def auroc(inside: Tensor, outside: Tensor) -> float:
    """The chance that a score of `inside` is above one of `outside`, ties counted half; 0.5 tells nothing, 0 is the reverse.

    >>> auroc(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.0]))
    0.875
    """
    ordered = outside.double().sort().values
    values = inside.double()
    below = torch.searchsorted(ordered, values, right=False)
    up_to = torch.searchsorted(ordered, values, right=True)
    return float((below + up_to).double().mean() / (2 * len(outside)))


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """The number that `logits` (B, K) have to be divided by for the least cross entropy (Guo et al. 2017).

    Found by looking at 200 values between 0.01 and 1000: a loss without a minimum, as of a perfect classifier, ends at
    the lower bound and fails nowhere.
    """
    candidates = torch.logspace(-2, 3, 200)
    losses = torch.stack([F.cross_entropy(logits / candidate, labels) for candidate in candidates])
    return float(candidates[losses.argmin()])


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 10) -> list[dict[str, float]]:
    """Confidence against accuracy: for each bin of the best probability its mean, the share that is right, the count."""
    confidence, predicted = probabilities.max(1)
    right = (predicted == labels).float()
    place = (confidence * bins).long().clamp(max=bins - 1)
    rows = []
    for one in range(bins):
        inside = place == one
        if bool(inside.any()):
            rows.append(
                {
                    "confidence": float(confidence[inside].mean()),
                    "accuracy": float(right[inside].mean()),
                    "count": int(inside.sum()),
                }
            )
    return rows


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 10) -> float:
    """Expected calibration error: |confidence - accuracy|, averaged over bins by their counts. 0 is best."""
    rows = reliability(probabilities, labels, bins)
    return sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / len(labels)


def _bytes(picture: Tensor) -> Any:
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).reshape(picture.shape[-2:]).numpy()


def zlib_bytes(picture: Tensor) -> int:
    """Bytes of one grey picture (1, H, W), rounded to 8 bits, compressed by zlib at its best."""
    return len(zlib.compress(_bytes(picture).tobytes(), 9))


def png_bytes(picture: Tensor) -> int:
    """Bytes of one grey picture (1, H, W) as a PNG file, header included."""
    buffer = io.BytesIO()
    Image.fromarray(_bytes(picture)).save(buffer, "PNG", optimize=True)
    return len(buffer.getvalue())


def compressed_bits(pictures: Tensor) -> Tensor:
    """How complex pictures (B, 1, H, W) are: bits of the shorter of PNG and zlib, (B,)."""
    return torch.tensor([8.0 * min(zlib_bytes(picture), png_bytes(picture)) for picture in pictures])


def over_seeds(found: Sequence[Any]) -> Any:
    """Trees of numbers, one for each seed, as one tree: every number becomes mean, low, high and the list of all.

    Infinite numbers become None, which JSON can hold; a mean with one of them is None.

    >>> over_seeds([{"a": 1.0}, {"a": 2.0}])
    {'a': {'mean': 1.5, 'low': 1.0, 'high': 2.0, 'seeds': [1.0, 2.0]}}
    """
    if isinstance(found[0], dict):
        return {key: over_seeds([one[key] for one in found]) for key in found[0]}
    values = [None if one is None or not isfinite(one) else one for one in found]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "low": min(known, default=None), "high": None, "seeds": values}
    return {"mean": sum(known) / len(known), "low": min(known), "high": max(known), "seeds": values}
