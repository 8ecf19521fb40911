"""Optical flow, what of it can be trusted, and the loss that holds a frame to the one before it."""

import pytest
import torch
from torch import Tensor

from lanterna import pictures
from lanterna.motion import filled, flicker, optical_flow, reliable, warped
from lanterna.objectives import PICTURE
from lanterna.priors import where

SIZE = (72, 96)


def cut(name: str, down: int, right: int) -> Tensor:
    """A piece of a photograph, from that pixel on."""
    whole = pictures.load(name, size=160)
    return whole[..., down : down + SIZE[0], right : right + SIZE[1]]


def passing(frame: int) -> tuple[Tensor, Tensor]:
    """A square that moves 6 pixels to the right in each frame, before a background that stays; and where it is."""
    picture, inside = cut("chelsea", 10, 20).clone(), torch.zeros(SIZE, dtype=torch.bool)
    left = 20 + 6 * frame
    picture[..., 20:52, left : left + 32] = pictures.load("coffee", size=160)[..., 40:72, 60:92]
    inside[20:52, left : left + 32] = True
    return picture, inside


def test_a_flow_leads_to_where_the_thing_is() -> None:
    """What is at (r, c) now was at (r + 2, c + 4): the window moved two down and four to the right."""
    before, now = cut("chelsea", 10, 20), cut("chelsea", 12, 24)
    flow = optical_flow(now, before)
    inner = flow[:, 8:-8, 8:-8]
    torch.testing.assert_close(inner.flatten(1).median(1).values, torch.tensor([2.0, 4.0]), atol=0.1, rtol=0)
    assert float((warped(before, flow) - now)[..., 8:-8, 8:-8].abs().mean()) < 0.02
    assert float((before - now)[..., 8:-8, 8:-8].abs().mean()) > 0.04, "or the line above says nothing"


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -2), (-1, 5)])
def test_warping_by_whole_pixels_is_moving(down: int, right: int) -> None:
    picture = cut("coffee", 0, 0)
    flow = torch.tensor([float(down), float(right)]).view(2, 1, 1).expand(2, *SIZE)
    moved = warped(picture, flow)
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    torch.testing.assert_close(moved[inner], picture.roll((-down, -right), (2, 3))[inner], atol=1e-4, rtol=0)


def test_what_was_hidden_is_not_trusted_and_the_rest_is() -> None:
    (before, was), (now, here) = passing(0), passing(1)
    trusted = reliable(optical_flow(now, before), optical_flow(before, now))[0, 0] > 0
    hidden = was & ~here
    assert float(trusted[hidden].float().mean()) < 0.1
    inner = torch.zeros(SIZE, dtype=torch.bool)
    inner[8:-8, 8:-8] = True
    assert float(trusted[inner & ~was & ~here].float().mean()) > 0.75


def test_what_stands_still_is_trusted_in_spite_of_noise() -> None:
    noise = torch.Generator().manual_seed(0)
    picture = pictures.load("chelsea", size=(144, 192))
    now, before = ((picture + 0.008 * torch.randn(picture.shape, generator=noise)).clamp(0, 1) for _ in range(2))
    assert float(reliable(optical_flow(now, before), optical_flow(before, now)).mean()) > 0.85


def test_known_flows_are_judged_as_the_paper_says() -> None:
    still, moving = torch.zeros(2, 20, 20), torch.zeros(2, 20, 20)
    assert bool((reliable(still, still) == 1).all())
    assert bool((reliable(still - 0.05, still + 0.05) == 1).all()), "a still picture's border is itself"
    moving[1] = 3.0
    # Not where it leads out at the right, nor beside that; and nowhere where the other flow says that nothing moved.
    assert reliable(moving, -moving)[0, 0].sum(0).tolist() == [20.0] * 15 + [0.0] * 5
    assert not bool(reliable(moving, still).any())
    # 0.01 (9 + 5) + 0.5 is the most by which they may differ, squared: 0.8 pixels.
    near, far = -moving + torch.tensor([0.0, 0.75]).view(2, 1, 1), -moving + torch.tensor([0.0, 0.85]).view(2, 1, 1)
    assert bool(reliable(moving, near)[..., :15].all()) and not bool(reliable(moving, far).any())
    # A boundary: the step between still and moving is one where its slope, squared, is above 0.01 of the motion.
    step = torch.zeros(2, 20, 20)
    step[1, :, 10:] = 1.0
    assert reliable(step, -step)[0, 0, 5].tolist()[8:12] == [0.0] * 4


def test_gaps_are_filled_from_around_them() -> None:
    values, known = torch.zeros(1, 3, 40, 50), torch.ones(1, 1, 40, 50)
    values[:, 0] = torch.linspace(0, 1, 50)
    values[:, 1] = 0.3
    known[..., 5:30, 8:44] = 0
    gone = torch.where(known > 0, values, torch.full_like(values, 9.0))
    found = filled(gone, known)
    assert torch.equal(found * known, values * known)
    assert float((found - values).abs().max()) < 0.5, "and nothing of what was in the gap"
    torch.testing.assert_close(found[:, 1], values[:, 1])
    assert not bool(filled(gone, torch.zeros_like(known)).any())


def test_flicker_is_the_root_mean_square_where_trusted() -> None:
    before, now, trusted = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    trusted[..., :2] = 1
    now[..., 0], now[..., 3] = 0.2, 0.9
    assert flicker(now, before, trusted) == pytest.approx((0.2**2 / 2) ** 0.5)
    assert flicker(now, before, torch.zeros_like(trusted)) == 0.0


def test_the_temporal_loss_has_the_right_slope_and_the_same_at_any_size() -> None:
    generator = torch.Generator().manual_seed(0)
    picture, target = (torch.rand(1, 3, 5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    mask = (torch.rand(1, 1, 5, 6, generator=generator) > 0.5).double()
    assert torch.autograd.gradcheck(lambda given: where(mask, target)({PICTURE: given}), picture.requires_grad_())

    def loss(times: int) -> float:
        larger = [part.detach().repeat_interleave(times, 2).repeat_interleave(times, 3) for part in (mask, target, picture)]
        return float(where(larger[0], larger[1])({PICTURE: larger[2]}))

    assert loss(3) == pytest.approx(loss(1))
    (slope,) = torch.autograd.grad(where(mask, target)({PICTURE: picture}), picture)
    assert bool((slope[(mask == 0).expand_as(slope)] == 0).all())
