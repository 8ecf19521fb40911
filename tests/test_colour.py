"""What is known of natural colours."""

import pytest
import torch

from lanterna.pictures import samples_at
from lanterna.pictures.colour import natural_colours


def test_powers_of_natural_colours_are_powers() -> None:
    half = natural_colours(0.5)
    assert torch.allclose(half, half.T, atol=1e-6)
    assert torch.allclose(half @ half, natural_colours(1.0), atol=1e-5)
    assert torch.allclose(natural_colours(-0.5) @ half, torch.eye(3), atol=1e-4)
    assert torch.allclose(natural_colours(0.0), torch.eye(3), atol=1e-5)


def test_light_and_dark_come_first_as_in_photographs() -> None:
    values, axes = torch.linalg.eigh(natural_colours(1.0))
    assert float(values[-1]) == pytest.approx(1)
    assert float(values[-2]) < 0.2
    flat = torch.cat([picture.flatten(2)[0] for picture in samples_at((32, 32))], 1)
    photographs = torch.linalg.eigh(torch.cov(flat))[1]
    # The sign of an axis is arbitrary.
    assert float((axes[:, -1] @ photographs[:, -1]).abs()) > 0.97
