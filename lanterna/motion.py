"""How things move from one picture of a clip to the next, and where that can be trusted.

A flow is (2, H, W) float32: for each pixel how many rows down and columns to the right its place in the other picture lies.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["filled", "flicker", "optical_flow", "reliable", "warped"]

# Rec. 709: what is bright for the eye moves for the eye.
_LUMINANCE = (0.2126, 0.7152, 0.0722)
# Pixels: the deviation of the blur before flows are found. Without it a camera's noise moves what stands still: by little,
# but by more than the bound for motion boundaries.
_BLUR = 0.7
# Ruder, Dosovitskiy and Brox 2016: disocclusions, then motion boundaries; a share of the squared motion, and squared pixels.
_OCCLUDED, _BOUNDARY = (0.01, 0.5), (0.01, 0.002)

# Pixels: how far beyond the border the flow of a still picture may lead, for no flow is exact.
_SLACK = 0.1
# Pixels: how far beside what is hidden, and beside what leads out of the picture, nothing is trusted either.
_BESIDE, _MARGIN = 1, 2
# Pixels: means over less would copy the strokes beside a gap into it.
_BLOCK = 8


def optical_flow(here: Tensor, there: Tensor) -> Tensor:
    """Where each pixel of `here` lies in `there`: a flow (2, H, W), in pixels.

    Both are pictures (1, 3, H, W) in [0, 1], on the CPU. By total variation and the L1 norm, coarse to fine: Zach, Pock and
    Bischof, "A duality based approach for realtime TV-L1 optical flow", 2007, as scikit-image has it.
    """
    # Seconds to import, and only clips need it.
    from skimage.registration import optical_flow_tvl1

    first, second = (_blurred(picture).numpy() for picture in (here, there))
    found = optical_flow_tvl1(first, second, dtype=np.float32)  # type: ignore[no-untyped-call]
    return torch.from_numpy(np.asarray(found))


def _blurred(picture: Tensor) -> Tensor:
    """The luminance (H, W) of a picture (1, 3, H, W), a little blurred."""
    grey = (picture.float().cpu() * torch.tensor(_LUMINANCE).view(3, 1, 1)).sum(1, keepdim=True)
    bell = torch.exp(-torch.arange(-2, 3).square() / (2 * _BLUR**2))
    bell = bell / bell.sum()
    padded = F.pad(grey, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, bell.view(1, 1, 1, 5)), bell.view(1, 1, 5, 1))[0, 0]


def _widened(mask: Tensor, by: int) -> Tensor:
    """`mask` (H, W) of booleans as (1, 1, H, W) of zeros and ones, with all that is at most `by` pixels beside it."""
    return F.max_pool2d(mask.float()[None, None], 2 * by + 1, 1, by)


def _places(flow: Tensor) -> Tensor:
    """The rows and columns (2, H, W) that the pixels of a flow come to lie at."""
    height, width = flow.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    return torch.stack([rows, columns]) + flow


def _sampled(values: Tensor, flow: Tensor, mode: str) -> Tensor:
    """`values` (1, C, H, W) read where the flow leads to; the border goes on outside."""
    height, width = flow.shape[1:]
    rows, columns = _places(flow)
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    return F.grid_sample(values, grid[None], mode=mode, padding_mode="border", align_corners=False)


def warped(there: Tensor, flow: Tensor) -> Tensor:
    """`there` (1, 3, H, W) in [0, 1] seen from here: each pixel is what lies where `flow` (2, H, W) leads to.

    Bicubic, for a clip is warped from frame to frame, and bilinear would be a blur after a few.
    """
    return _sampled(there, flow, "bicubic").clamp(0, 1)


def reliable(back: Tensor, forth: Tensor) -> Tensor:
    """Where the flow `back`, from here to there, can be trusted: (1, 1, H, W) of zeros and ones.

    Not where `forth`, the flow (2, H, W) from there to here, does not lead back: there lay something else, in front; not at
    motion boundaries, which no flow finds exactly; and not where `back` leads out of the picture. The first two as in Ruder,
    Dosovitskiy and Brox, "Artistic Style Transfer for Videos", 2016, with derivatives by central differences; other than
    there a pixel beside them is not trusted either, for a flow is smooth and finds the edge of what is hidden too late.
    """
    returned = _sampled(forth[None], back, "bilinear")[0]
    share, least = _OCCLUDED
    length, other = back.square().sum(0), returned.square().sum(0)
    trusted = (returned + back).square().sum(0) <= share * (length + other) + least
    if min(back.shape[1:]) > 1:
        share, least = _BOUNDARY
        steepness = sum(slope.square().sum(0) for slope in torch.gradient(back, dim=(1, 2)))
        trusted &= steepness <= share * length + least
    rows, columns = _places(back)
    height, width = back.shape[1:]
    beyond = torch.maximum(torch.maximum(-rows, rows - height + 1), torch.maximum(-columns, columns - width + 1)) > _SLACK
    # Beside what leads out, pixels are read in part from beyond the border; and a line of single pixels, alone free to change
    # among others that are held, is painted as a row of dots.
    return (1 - _widened(~trusted, _BESIDE)) * (1 - _widened(beyond, _MARGIN))


def filled(values: Tensor, known: Tensor) -> Tensor:
    """`values` (1, C, H, W), and smoothly from around them where `known` (1, 1, H, W), zeros and ones, is zero.

    By the means of what is known in each block, and of blocks of blocks where nothing is; zeros where nothing is at all.
    """
    if bool(known.all()):
        return values
    if not bool(known.any()):
        return torch.zeros_like(values)
    share = F.avg_pool2d(known, _BLOCK, ceil_mode=True)
    means = F.avg_pool2d(values * known, _BLOCK, ceil_mode=True) / share.clamp(min=1e-6)
    coarse = filled(means, (share > 0).float())
    around = F.interpolate(coarse, values.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, values, around)


def flicker(picture: Tensor, before: Tensor, trusted: Tensor) -> float:
    """How much a frame differs from the one before it, where the motion is known: 0 where nothing but the motion changes.

    The root of the mean squared difference of `picture` to `before`, which is warped already, both (1, 3, H, W) in [0, 1],
    over the pixels of `trusted` (1, 1, H, W). 0 where no pixel is trusted.
    """
    squared = ((picture - before).square() * trusted).sum()
    return float((squared / (picture.shape[1] * trusted.sum()).clamp(min=1)).sqrt())
