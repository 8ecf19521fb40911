"""Measure the mean spectrum of natural pictures that PhaseCanvas holds fixed, from pictures in our dependencies' wheels.

Run `python scripts/natural_spectrum.py`; it writes lanterna/data/natural_spectrum.json.
"""

import itertools
import json
from pathlib import Path

import torch

from lanterna import pictures
from lanterna.canvas import _frequencies, _from_colour, _logit

SIDE = 128
# Photographs of the world only: no text, no scientific imaging.
NAMES = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "china", "flower", "grace_hopper")
TARGET = Path(__file__).parent.parent / "lanterna" / "data" / "natural_spectrum.json"


def main() -> None:
    """Average the power by frequency over random crops, as RMS log magnitude per root pixel, for each decorrelated colour."""
    generator = torch.Generator().manual_seed(0)
    total, count = torch.zeros(3, SIDE, SIDE // 2 + 1), 0
    window = torch.hann_window(SIDE, periodic=False)
    window = window[:, None] * window[None, :]
    window = window / window.square().mean().sqrt()
    for name in NAMES:
        picture = pictures.load(name, size=512)
        for _ in range(64):
            top = int(torch.randint(picture.shape[2] - SIDE + 1, (), generator=generator))
            left = int(torch.randint(picture.shape[3] - SIDE + 1, (), generator=generator))
            planes = _from_colour(_logit(picture[:, :, top : top + SIDE, left : left + SIDE]))[0]
            planes = planes - planes.mean((1, 2), keepdim=True)
            # The window keeps the jump between opposite borders out of the spectrum.
            total += torch.fft.rfft2(planes * window).abs().square() / SIDE**2
            count += 1
    power = total / count
    frequencies = _frequencies(SIDE, SIDE)
    edges = torch.logspace(-7, -0.5, 27, base=2)
    centres, rows = [], []
    for low, high in itertools.pairwise(edges):
        ring = (frequencies >= low) & (frequencies < high)
        if ring.any():
            centres.append(round(float(frequencies[ring].log().mean().exp()), 6))
            rows.append(power[:, ring].mean(1).sqrt().log())
    table = torch.stack(rows, 1)
    TARGET.write_text(
        json.dumps({"frequency": centres, "log_magnitude": [[round(v, 4) for v in row] for row in table.tolist()]}) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
