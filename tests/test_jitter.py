import pytest
import torch
from torch import Tensor

from lanterna import Jitter
from lanterna.jitter import middle


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(height: int, width: int) -> Tensor:
    """A canvas whose two channels are the row and the column of each pixel."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns]).float()[None]


def test_without_movement_the_view_is_the_middle() -> None:
    canvas = ramp(30, 41)
    assert torch.equal(Jitter.none().view(canvas, (20, 31), seeded()), middle(canvas, (20, 31)))


@pytest.mark.parametrize("size", [(20, 20), (16, 28), (28, 16), (17, 23)])
def test_shift_crops_and_stays_within_its_reach(size: tuple[int, int]) -> None:
    canvas = ramp(size[0] + 12, size[1] + 12).expand(64, -1, -1, -1)
    views = Jitter(6.0, (1.0, 1.0), 0.0).view(canvas, size, seeded())
    moved = views - middle(canvas, size)
    # Every pixel of a view moves alike: nothing is bent and no border is seen.
    assert torch.allclose(moved, moved[:, :, :1, :1].expand_as(moved), atol=1e-3)
    shifts = moved[:, :, 0, 0]
    assert shifts.abs().max() <= 6.001
    # Rows and columns both reach far, in both directions, each its own way.
    assert (shifts.amax(0) > 4).all() and (shifts.amin(0) < -4).all()
    assert not torch.allclose(shifts[:, 0], shifts[:, 1])


def test_rotation_and_zoom_are_right_for_pictures_that_are_not_square() -> None:
    canvas = ramp(80, 120).expand(32, -1, -1, -1)
    views = Jitter(0.0, (0.8, 1.25), 30.0).view(canvas, (32, 48), seeded())
    down = views[:, :, 20, 24] - views[:, :, 12, 24]
    right = views[:, :, 16, 28] - views[:, :, 16, 20]
    # Eight pixels down and eight to the right stay at a right angle and of one length: no shear, no squeeze.
    assert torch.allclose((down * right).sum(1), torch.zeros(32), atol=1e-2)
    assert torch.allclose(down.norm(dim=1), right.norm(dim=1), atol=1e-2)
    zoom = 8 / down.norm(dim=1)
    assert zoom.min() >= 0.799 and zoom.max() <= 1.251 and zoom.max() - zoom.min() > 0.2


def test_each_picture_has_its_own_share_of_the_movement() -> None:
    canvas = ramp(60, 60).expand(2, -1, -1, -1)
    views = Jitter(0.0, (0.7, 1.4), 40.0, amount=(0.0, 1.0)).view(canvas, (32, 32), seeded())
    still, moved = views - middle(canvas, (32, 32))
    assert still.abs().max() < 1e-3 < 1 < moved.abs().max()


def test_crops_shrink_with_the_progress_of_the_run() -> None:
    canvas = ramp(64, 64)
    jitter = Jitter(0.0, (1.0, 1.0), 0.0, crop=(0.9, 0.3))
    spans = [
        float(view.max() - view.min()) for view in (jitter.view(canvas[:, :1], (48, 48), seeded(), p) for p in (0.0, 1.0))
    ]
    assert spans == pytest.approx([0.9 * 47, 0.3 * 47], abs=0.1)


def test_the_generator_decides_everything() -> None:
    canvas, jitter = ramp(40, 40), Jitter(noise=0.1)
    before = torch.get_rng_state()
    one, same, other = (jitter.view(canvas, (24, 24), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
