"""Colour between pictures: matched linearly, or taken over."""

import torch
from torch import Tensor

__all__ = ["COLOUR", "luminance", "match_colours", "mixed_colours", "natural_colours", "with_colours_of"]

# Square root of the covariance of colours over ImageNet (Lucid, color_correlation_svd_sqrt), scaled to unit norm of its
# largest row. Rows are R, G, B.
COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOUR = COLOUR / COLOUR.norm(dim=0).max()

# JFIF's YCbCr (ITU-R BT.601), as JPEG has it: rows Y, Cb, Cr.
_YCBCR = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def _moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    flat = picture[0].flatten(1).double()
    mean = flat.mean(1, keepdim=True)
    # A floor for grey pictures, whose colours lie on a line.
    return mean, (flat - mean) @ (flat - mean).T / flat.shape[1] + 1e-5 * torch.eye(3, dtype=torch.float64)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=1e-12) ** exponent) @ vectors.T
    return power


def natural_colours(exponent: float) -> Tensor:
    """A power of the covariance of natural colours, (3, 3), scaled so that light and dark, its largest axis, has weight 1."""
    covariance = COLOUR.double() @ COLOUR.double().T
    return _power(covariance / torch.linalg.eigvalsh(covariance)[-1], exponent).float()


def mixed_colours(matrix: Tensor, pictures: Tensor) -> Tensor:
    """The channels of `pictures` (B, C, H, W) mixed by `matrix` (R, C): (B, R, H, W)."""
    return torch.einsum("rc,bchw->brhw", matrix.to(pictures), pictures)


def match_colours(picture: Tensor, reference: Tensor) -> Tensor:
    """`picture` with the mean and covariance of the colours of `reference`; both (1, 3, H, W) in [0, 1], of any sizes.

    By the symmetric root of the covariances: of all linear ways the one that moves colours least (Gatys et al. 2016,
    "Preserving Color in Neural Artistic Style Transfer"; Pitié and Kokaram 2007).
    """
    mean, covariance = _moments(picture)
    goal_mean, goal = _moments(reference)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    transport = inverse @ _power(root @ goal @ root, 0.5) @ inverse
    flat = picture[0].flatten(1).double() - mean
    return (transport @ flat + goal_mean).clamp(0, 1).to(picture.dtype).reshape(picture.shape)


def luminance(picture: Tensor) -> Tensor:
    """(B, 3, H, W) to (B, 1, H, W): luma of BT.601, what Pillow's convert("L") uses."""
    return (picture * _YCBCR[0].to(picture).view(1, 3, 1, 1)).sum(1, keepdim=True)


def with_colours_of(picture: Tensor, reference: Tensor) -> Tensor:
    """The luminance of `picture` with the chroma of `reference`, (1, 3, H, W) in [0, 1], of the same size."""
    matrix = _YCBCR.to(picture)
    planes = mixed_colours(matrix, picture)
    chroma = mixed_colours(matrix, reference.to(picture))
    mixed = torch.cat([planes[:, :1], chroma[:, 1:]], 1)
    return mixed_colours(torch.linalg.inv(matrix), mixed).clamp(0, 1)
