"""Principal components: the best that any linear encoder and decoder can do, beside every number of a net."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PCA", "fit"]


@dataclass(frozen=True)
class PCA:
    """The mean picture (C, S, S) and components (K, pixels), orthonormal, by falling variance."""

    mean: Tensor
    components: Tensor

    def first(self, code: int) -> "PCA":
        """With the first `code` components only."""
        return PCA(self.mean, self.components[:code])

    def encode(self, pictures: Tensor) -> Tensor:
        """Codes (B, K)."""
        return (pictures - self.mean).flatten(1) @ self.components.T

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures (B, C, S, S), as they come: not clipped, as PCA is judged by its own least squares."""
        return (codes @ self.components).view(-1, *self.mean.shape) + self.mean

    def project(self, pictures: Tensor) -> Tensor:
        """The nearest picture on the plane of the components."""
        return self.decode(self.encode(pictures))

    def mse(self, pictures: Tensor) -> float:
        """The mean squared error a pixel."""
        return float((self.project(pictures) - pictures).square().mean())


def fit(pictures: Tensor, code: int) -> PCA:
    """Exact components of `pictures` (N, C, S, S), as many as there are up to `code`."""
    mean = pictures.mean(0)
    flat = (pictures - mean).flatten(1).double()
    # By eigenvectors, of the pictures' products where they are fewer than pixels: exact, and no more than the fewer squared.
    few = len(flat) < flat.shape[1]
    values, vectors = torch.linalg.eigh(flat @ flat.T if few else flat.T @ flat)
    order = values.argsort(descending=True)[:code]
    if few:
        # Without those that rounding made: one picture is spent on the mean, and pictures may be there twice.
        order = order[: max(int((values > 1e-12 * values.max()).sum()), 1)]
        vectors = flat.T @ vectors / values.clamp(min=1e-30).sqrt()
    return PCA(mean, vectors[:, order].T.float().contiguous())
