"""Canvases: pictures go in and come out again, at any size; the same seed gives the same start."""

import pytest
import torch
from torch import Tensor

from lanterna.canvas import PhaseCanvas, make_canvas, pad_reflect
from lanterna.errors import InputError

NAMES = ["pixels", "fourier", "maco"]
SIZES = [(16, 16), (17, 23), (31, 8), (1, 5)]


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pictures(batch: int, channels: int, size: tuple[int, int], kind: str = "noise") -> Tensor:
    noise = torch.rand((batch, channels, *size), generator=_seeded())
    return noise if kind == "noise" else noise.round()  # black and white, where the sigmoid has no inverse


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["noise", "extremes"])
def test_round_trip_is_below_one_level(name: str, channels: int, size: tuple[int, int], kind: str) -> None:
    pictures = _pictures(3, channels, size, kind)
    canvas = make_canvas(name, tuple(pictures.shape), _seeded(), pictures=pictures)
    rendered = canvas.render().detach()
    assert rendered.shape == pictures.shape and rendered.dtype == torch.float32
    assert float((rendered - pictures).abs().max()) < 1 / 255


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES[:3])
def test_noise_is_a_soft_picture(name: str, channels: int, size: tuple[int, int]) -> None:
    shape = (2, channels, *size)
    rendered = make_canvas(name, shape, _seeded(1)).render().detach()
    assert rendered.shape == shape
    assert 0 <= float(rendered.min()) < float(rendered.max()) <= 1
    assert 0.3 < float(rendered.mean()) < 0.7
    assert not torch.equal(rendered[0], rendered[1])
    assert torch.equal(rendered, make_canvas(name, shape, _seeded(1)).render())
    assert not torch.equal(rendered, make_canvas(name, shape, _seeded(2)).render())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", [False, True])
def test_gradient_reaches_the_parameters(name: str, start: bool) -> None:
    pictures = _pictures(2, 3, (9, 11)) if start else None
    canvas = make_canvas(name, (2, 3, 9, 11), _seeded(), pictures=pictures)
    rendered = canvas.render()
    rendered[0].square().sum().backward()
    for parameter in canvas.parameters:
        assert parameter.is_leaf and len(parameter) == 2 and parameter.grad is not None
        assert parameter.grad[0].any() and not parameter.grad[1].any()  # pictures of a batch are apart
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_global_randomness_is_untouched(name: str) -> None:
    before = torch.get_rng_state()
    make_canvas(name, (1, 3, 8, 8), _seeded())
    assert torch.equal(before, torch.get_rng_state())


def test_the_given_pictures_are_not_changed() -> None:
    pictures = _pictures(1, 3, (8, 8))
    before = pictures.clone()
    for name in NAMES:
        canvas = make_canvas(name, (1, 3, 8, 8), _seeded(), pictures=pictures)
        with torch.no_grad():
            for parameter in canvas.parameters:
                parameter.add_(1.0)
    assert torch.equal(pictures, before)


def test_maco_moves_only_the_phase() -> None:
    """Whatever the phases, the spectrum before the sigmoid is the natural one."""
    canvas = PhaseCanvas.noise((1, 1, 32, 32), _seeded())

    def magnitude() -> Tensor:
        return torch.fft.rfft2(torch.logit(canvas.render().double())).detach().abs()[..., :16, 1:16]

    first = magnitude()
    with torch.no_grad():
        canvas.parameters[0].add_(torch.randn(canvas.parameters[0].shape, generator=_seeded(3)))
    torch.testing.assert_close(magnitude(), first, rtol=1e-2, atol=1e-3)
    assert float(first[0, 0, 0, 0]) > 10 * float(first[0, 0, 15, 14])  # natural pictures: low frequencies weigh more


def test_pictures_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(1, 3, 8, 8\).*\(1, 3, 9, 8\)"):
        make_canvas("pixels", (1, 3, 8, 8), _seeded(), pictures=torch.rand(1, 3, 9, 8))


@pytest.mark.parametrize(("size", "margin"), [((6, 7), 0), ((6, 7), 3), ((3, 4), 11), ((1, 4), 2)])
def test_margin_mirrors(size: tuple[int, int], margin: int) -> None:
    picture = _pictures(1, 3, size)
    padded = pad_reflect(picture, margin)
    assert padded.shape[2:] == (size[0] + 2 * margin, size[1] + 2 * margin)
    height, width = size
    assert torch.equal(padded[..., margin : margin + height, margin : margin + width], picture)
    if margin and min(size) > 1:
        assert torch.equal(padded[..., margin - 1, margin : margin + width], picture[..., 1, :])
