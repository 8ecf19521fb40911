"""The bottlenecks and losses by which autoencoders differ; all stand on the same encoder and decoder.

Two units, named so everywhere: `mse` is the mean squared error a pixel (pixels in [0, 1]); `nats` are natural-log units a
picture, summed over its pixels. KL divergence is in nats a picture and has an explicit weight.
"""

from dataclasses import dataclass
from math import log, pi
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.autoencode.modules import Body, Decoder, Encoder
from lanterna.errors import InputError

__all__ = ["MODELS", "Module", "Passed", "Variant", "VectorQuantizer", "gaussian_nats", "make_module"]

Variant = Literal["dense", "conv", "denoising", "sparse", "vae", "vq"]
MODELS: tuple[Variant, ...] = ("dense", "conv", "denoising", "sparse", "vae", "vq")

# Numbers that one entry of the codebook stands for, and the entries: a code of K numbers is K / 4 bytes.
VQ_LENGTH, VQ_ENTRIES = 4, 256
# van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning", 2017.
_COMMITMENT, _CODEBOOK_DECAY = 0.25, 0.95
_KEPT = 4  # a k-sparse code keeps one in so many


@dataclass(frozen=True)
class Passed:
    """Pictures through the net: `pictures` as reconstructed, `codes` (B, K), `extra` (B,), what the variant adds to the loss.

    For the VAE `extra` is the KL divergence in nats a picture; for VQ the commitment, in squared units of the code, and 0
    outside of training.
    """

    pictures: Tensor
    codes: Tensor
    extra: Tensor


class VectorQuantizer(nn.Module):
    """The nearest entry of a codebook for each group of a code; entries are moving means of what chose them.

    Entries that nothing chooses any more are put where codes are. Gradients pass straight through.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, code: int) -> None:
        super().__init__()
        self.length = min(VQ_LENGTH, code)
        if code % self.length:
            raise InputError(f"a vq code has groups of {self.length} numbers; {code} is no multiple of {self.length}")
        groups = code // self.length
        self.register_buffer("entries", torch.zeros(groups, VQ_ENTRIES, self.length))
        self.register_buffer("sums", torch.zeros(groups, VQ_ENTRIES, self.length))
        self.register_buffer("counts", torch.ones(groups, VQ_ENTRIES))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def indices(self, codes: Tensor) -> Tensor:
        """The nearest entry of each group: (B, G) of 0 to 255."""
        grouped = codes.unflatten(1, (-1, self.length)).transpose(0, 1)
        return torch.cdist(grouped, self.entries).argmin(2).T

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes (B, K) from indices (B, G)."""
        groups = torch.arange(self.entries.shape[0], device=indices.device)
        return self.entries[groups, indices].flatten(1)

    def forward(self, codes: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Quantised codes, and the commitment (B,); with a generator the codebook learns."""
        if generator is not None:
            self._learn(codes.detach(), generator)
        near = self.lookup(self.indices(codes.detach()))
        commitment = (codes - near).square().sum(1)
        return codes + (near - codes).detach(), commitment

    @torch.no_grad()
    def _learn(self, codes: Tensor, generator: torch.Generator) -> None:
        grouped = codes.unflatten(1, (-1, self.length)).transpose(0, 1)
        if not bool(self.begun):
            self._replant(torch.ones_like(self.counts, dtype=torch.bool), grouped, generator)
            self.begun.fill_(True)
        chosen = F.one_hot(self.indices(codes), VQ_ENTRIES).transpose(0, 1).to(codes.dtype)
        self.counts.lerp_(chosen.sum(1), 1 - _CODEBOOK_DECAY)
        self.sums.lerp_(chosen.transpose(1, 2) @ grouped, 1 - _CODEBOOK_DECAY)
        dead = self.counts < 0.02
        if bool(dead.any()):
            self._replant(dead, grouped, generator)
        self.entries.copy_(self.sums / self.counts.clamp(min=1e-5)[..., None])

    def _replant(self, dead: Tensor, grouped: Tensor, generator: torch.Generator) -> None:
        picked = torch.randint(grouped.shape[1], dead.shape, generator=generator).to(grouped.device)
        fresh = torch.gather(grouped, 1, picked[..., None].expand(-1, -1, self.length))
        # Two entries on one code would never part.
        fresh = fresh + 1e-3 * torch.randn(fresh.shape, generator=generator).to(fresh)
        self.counts[dead] = 1.0
        self.sums[dead] = fresh[dead]
        self.entries[dead] = fresh[dead]


class Module(nn.Module):
    """Encoder, bottleneck, decoder."""

    def __init__(self, variant: Variant, channels: int, side: int, code: int, *, noise: float, mean: float) -> None:
        super().__init__()
        body: Body = "dense" if variant == "dense" else "conv"
        self.variant, self.code, self.noise = variant, code, noise
        self.shape = (channels, side, side)
        self.encoder = Encoder(body, channels, side)
        self.bottleneck = nn.Linear(self.encoder.features, 2 * code if variant == "vae" else code)
        self.decoder = Decoder(body, channels, side, code, mean)
        self.quantizer = VectorQuantizer(code) if variant == "vq" else None

    def encode(self, pictures: Tensor) -> Tensor:
        """Codes (B, K), without chance: the VAE's are its means, the k-sparse and VQ codes as the decoder gets them."""
        codes: Tensor = self.bottleneck(self.encoder(pictures))
        if self.variant == "vae":
            return codes[:, : self.code]
        if self.variant == "sparse":
            return self._sparse(codes)
        return codes if self.quantizer is None else self.quantizer(codes)[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures (B, C, S, S) in [0, 1]."""
        pictures: Tensor = self.decoder(codes)
        return pictures

    def _sparse(self, codes: Tensor) -> Tensor:
        # Makhzani and Frey, "k-Sparse Autoencoders", 2013.
        kept = max(self.code // _KEPT, 1)
        threshold = codes.abs().topk(kept, dim=1).values[:, -1:]
        return codes * (codes.abs() >= threshold)

    def forward(self, pictures: Tensor, generator: torch.Generator | None = None) -> Passed:
        """Through the net; with a generator as in training, with the chance that the variant has."""
        if generator is None:
            extra = self._kl(pictures) if self.variant == "vae" else pictures.new_zeros(len(pictures))
            codes = self.encode(pictures)
            return Passed(self.decode(codes), codes, extra)
        seen = pictures
        if self.variant == "denoising":
            seen = (pictures + self.noise * torch.randn(pictures.shape, generator=generator).to(pictures)).clamp(0, 1)
        codes = self.bottleneck(self.encoder(seen))
        extra = codes.new_zeros(len(codes))
        if self.variant == "vae":
            mean, log_variance = _posterior(codes)
            extra = _divergence(mean, log_variance)
            codes = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator).to(mean)
        elif self.variant == "sparse":
            codes = self._sparse(codes)
        elif self.quantizer is not None:
            codes, extra = self.quantizer(codes, generator)
        return Passed(self.decode(codes), codes, extra)

    def _kl(self, pictures: Tensor) -> Tensor:
        return _divergence(*_posterior(self.bottleneck(self.encoder(pictures))))


def _posterior(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log variance (B, K) out of what the VAE's bottleneck gives, (B, 2 K)."""
    mean, log_variance = codes.chunk(2, 1)
    return mean, log_variance.clamp(-10, 5)


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence to the standard normal distribution, in nats a picture: (B,)."""
    kl: Tensor = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return kl


def gaussian_nats(mse: Tensor, pixels: int) -> Tensor:
    """Nats a picture under a normal distribution around it whose variance is the error itself.

    Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated Decoders", 2021: with the variance
    that fits best, the KL weight of 1 is the right one and no number has to be guessed.
    """
    variance = mse.detach().clamp(min=1e-6)
    nats: Tensor = 0.5 * pixels * (log(2 * pi) + variance.log() + mse / variance)
    return nats


def training_loss(module: Module, pictures: Tensor, generator: torch.Generator, kl_weight: float) -> Tensor:
    """What training lowers: a scalar. Squared error summed over a picture's pixels, or nats a picture for the VAE."""
    passed = module(pictures, generator)
    mse = (passed.pictures - pictures).square().mean()
    pixels = pictures[0].numel()
    loss: Tensor
    if module.variant == "vae":
        loss = gaussian_nats(mse, pixels) + kl_weight * passed.extra.mean()
    elif module.variant == "vq":
        loss = mse * pixels + _COMMITMENT * passed.extra.mean()
    else:
        loss = mse * pixels
    return loss


def make_module(
    variant: Variant, channels: int, side: int, code: int, seed: int, *, noise: float = 0.3, mean: float = 0.5
) -> Module:
    """A module with weights from `seed`. Raises InputError for a code that is larger than the picture.

    torch's initialisation knows only the global generator: it runs in a fork of it, which the caller never sees. Seeded is
    that of the CPU alone: `torch.manual_seed` would reach those of other devices as well, of which there is no fork.
    """
    pixels = channels * side * side
    if not 1 <= code <= pixels:
        raise InputError(
            f"a code of {code} numbers is no bottleneck for pictures of {pixels}; give 1 to {pixels}, such as 2,8,32,128"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Module(variant, channels, side, code, noise=noise, mean=mean)
