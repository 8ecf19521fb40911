"""The generative one: a density for each class, and analysis by synthesis at test time.

Each class has a small variational autoencoder of its own (Kingma and Welling 2014). A picture is classified by asking each
class for the code whose decoding explains it best, and how probable code and remainder are (Schott et al., "Towards the
first adversarially robust neural network model on MNIST", 2019).
"""

from math import log, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.events import Listener
from lanterna.manifold.measures import fitted_temperature
from lanterna.manifold.pixel_code import PixelCode
from lanterna.manifold.sets import SIDE, Split
from lanterna.manifold.training import cached, initialise, minimise

__all__ = ["Densities", "trained_densities"]

LATENT, HIDDEN, BANK = 8, 160, 128
PIXELS = SIDE * SIDE
_BATCH, _LR = 48, 4e-3
# Test-time optimisation of the codes: steps of Adam, and the rate it begins with.
CODE_STEPS, _CODE_LR = 30, 0.25
# So that what a step works on stays in the processor's cache.
_AT_ONCE = 50


class Densities(nn.Module):
    """K variational autoencoders side by side; (B, 1, 28, 28) in [0, 1] to log densities (B, K), in nats.

    All matrices are stacks (K, inputs, outputs), so that the classes are trained and asked in one batched product.
    `sigma` is the width of the Gaussian around a decoding, one for all classes and pixels; `widths` (K,) the log volume that
    the posterior of a code takes, constant per class; `bank` (K, BANK, LATENT) codes of training pictures to start from.
    `floor` is the log density below which a picture is none of the classes, and `temperature` divides log densities where
    probabilities are read.
    """

    bank: Tensor
    sigma: Tensor
    widths: Tensor
    prior: Tensor
    floor: Tensor
    temperature: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        shapes = {
            "encode": (PIXELS, HIDDEN), "mean": (HIDDEN, LATENT), "width": (HIDDEN, LATENT),
            "decode": (LATENT, HIDDEN), "paint": (HIDDEN, PIXELS),
        }  # fmt: skip
        self.weights = nn.ParameterDict({name: torch.empty(classes, *shape) for name, shape in shapes.items()})
        self.biases = nn.ParameterDict({name: torch.empty(classes * shape[1]) for name, shape in shapes.items()})
        self.log_sigma = nn.Parameter(torch.tensor(log(0.2)))
        self.classes = classes
        self.pixels = PixelCode()
        buffers = {"bank": (classes, BANK, LATENT), "sigma": (), "widths": (classes,), "prior": (classes,)}
        for name, shape in {**buffers, "floor": (), "temperature": ()}.items():
            self.register_buffer(name, torch.ones(shape))

    def _layer(self, name: str, inputs: Tensor) -> Tensor:
        bias = self.biases[name].view(self.classes, 1, -1)
        return torch.baddbmm(bias, inputs, self.weights[name])

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log width (K, B, LATENT) of the codes of `pixels` (K, B, 784)."""
        hidden = F.silu(self._layer("encode", pixels - 0.5))
        return self._layer("mean", hidden), self._layer("width", hidden)

    def decode(self, codes: Tensor) -> Tensor:
        """Pixels (K, B, 784) in (0, 1) of `codes` (K, B, LATENT)."""
        return torch.sigmoid(self._layer("paint", F.silu(self._layer("decode", codes))))

    def joint(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """log p(picture | code) + log p(code) + log volume of the code, (K, B); `pixels` (B, 784)."""
        distance = (pixels - self.decode(codes)).square().sum(2)
        picture = -distance / (2 * self.sigma**2) - PIXELS * (self.sigma.log() + 0.5 * log(2 * pi))
        return picture - codes.square().sum(2) / 2 + self.widths[:, None]

    def synthesise(self, pixels: Tensor, steps: int = CODE_STEPS) -> Tensor:
        """The codes (K, B, LATENT) that explain `pixels` (B, 784) best: the nearest of the bank, then gradient steps.

        The encoder is not asked: it could be attacked (Schott et al. 2019).
        """
        with torch.no_grad():
            painted = self.decode(self.bank)
            distance = painted.square().sum(2)[:, None] - 2 * pixels @ painted.mT
            value = -distance / (2 * self.sigma**2) - self.bank.square().sum(2)[:, None] / 2
            best = value.argmax(2)[..., None].expand(-1, -1, LATENT)
            codes = self.bank.gather(1, best)
            return self._climbed(pixels, codes, steps)

    def _climbed(self, pixels: Tensor, codes: Tensor, steps: int) -> Tensor:
        first = torch.zeros_like(codes)
        second = torch.zeros_like(codes)
        for step in range(steps):
            slope = self._slope(pixels, codes)
            # Adam by hand: its state belongs to this call, and the rate falls to zero so that the codes settle.
            first = 0.8 * first + 0.2 * slope
            second = 0.95 * second + 0.05 * slope.square()
            corrected = first / (1 - 0.8 ** (step + 1))
            scale = (second / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8
            codes = codes + _CODE_LR * (1 - step / steps) * corrected / scale
        return codes

    def _slope(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """The gradient of `joint` to the codes, by hand: this is where the time goes, and autograd is slower."""
        before = self._layer("decode", codes)
        gate = torch.sigmoid(before)
        hidden = before * gate
        painted = torch.sigmoid(self._layer("paint", hidden))
        error = (pixels - painted) * (painted * (1 - painted)) / self.sigma**2
        back = (error @ self.weights["paint"].mT) * (gate + hidden * (1 - gate))
        found: Tensor = back @ self.weights["decode"].mT - codes
        return found

    def forward(self, pictures: Tensor, code_steps: int = CODE_STEPS) -> Tensor:
        """log p(picture, class) in nats, (B, K).

        Gradients reach the pictures through the decodings at the best codes, which stay fixed: at a maximum over codes the
        value changes with the picture as if they did not move (the envelope theorem), so nothing is unrolled.
        """
        found = []
        for part in pictures.flatten(1).split(_AT_ONCE):
            codes = self.synthesise(part.detach(), code_steps)
            found.append((self.joint(part, codes) + self.prior[:, None]).T)
        return torch.cat(found)

    def code_length(self, pictures: Tensor) -> Tensor:
        """Bits that describe each of the 8-bit `pictures` (B, 1, 28, 28) by class, code and remainder: -log2 p, (B,)."""
        found = []
        for part in pictures.flatten(1).split(_AT_ONCE):
            codes = self.synthesise(part)
            painted = self.decode(codes)
            bits = torch.stack([self.pixels(part, one) for one in painted])
            nats = bits * log(2) + codes.square().sum(2) / 2 - self.widths[:, None] - self.prior[:, None]
            found.append(-torch.logsumexp(-nats, 0) / log(2))
        return torch.cat(found)


def about(split: Split, steps: int, seed: int) -> dict[str, Any]:
    """All that decides the weights."""
    return {
        **split.about, "steps": steps, "seed": seed, "batch": _BATCH, "lr": _LR,
        "latent": LATENT, "hidden": HIDDEN, "bank": BANK, "code_steps": CODE_STEPS, "code_lr": _CODE_LR,
    }  # fmt: skip


def trained_densities(split: Split, steps: int, seed: int, on_event: Listener | None = None) -> tuple[Densities, bool]:
    """The densities for `split`, from the cache where they are there."""

    def train(model: Densities) -> None:
        generator = torch.Generator().manual_seed(seed)
        initialise(model, generator)
        model.log_sigma.data.fill_(log(0.2))
        groups = [split.train[split.train_labels == k].flatten(1) for k in range(len(split.classes))]

        def loss() -> Tensor:
            pixels = torch.stack([_drawn(group, generator) for group in groups])
            mean, width = model.encode(pixels)
            noise = torch.randn(mean.shape, generator=generator)
            decoded = model.decode(mean + noise * width.exp())
            error = (pixels - decoded).square().sum(2)
            picture = error / (2 * (2 * model.log_sigma).exp()) + PIXELS * model.log_sigma
            divergence = (mean.square() + (2 * width).exp() - 1 - 2 * width).sum(2) / 2
            return (picture + divergence).mean()

        minimise(model.parameters(), loss, steps, _LR, on_event)
        with torch.no_grad():
            _finish(model, split, groups, generator)

    return cached("densities", about(split, steps, seed), lambda: Densities(len(split.classes)), train)


def _drawn(group: Tensor, generator: torch.Generator) -> Tensor:
    """A batch of one class, moved as one by up to a pixel: a few hundred pictures are soon known by heart."""
    chosen = torch.randint(len(group), (_BATCH,), generator=generator)
    down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
    pictures = F.pad(group[chosen].view(-1, 1, SIDE, SIDE), (1, 1, 1, 1), mode="replicate")
    return pictures[:, :, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE].flatten(1)


def _finish(model: Densities, split: Split, groups: list[Tensor], generator: torch.Generator) -> None:
    """What is fitted after training: bank, widths and prior on the training part, the rest on the held-out one."""
    model.sigma.copy_(model.log_sigma.exp())
    for k, group in enumerate(groups):
        chosen = torch.randint(len(group), (BANK,), generator=generator)
        mean, width = model.encode(group[chosen].expand(model.classes, -1, -1))
        model.bank[k] = mean[k]
        # Laplace's approximation of the integral over codes, with the width that the encoder gives on average. The half nat a
        # number is more than Laplace has: the same for all classes and pictures, so that it moves no class and no ranking.
        model.widths[k] = width[k].sum(1).mean() + LATENT * 0.5
    model.prior.copy_((torch.tensor([len(group) for group in groups]) / len(split.train)).log())
    # The width that explains the held-out pictures best: on the training pictures it would be too narrow.
    pixels = split.held.flatten(1)
    codes = model.synthesise(pixels)
    squared = (pixels - model.decode(codes)).square().mean(2).amin(0)
    model.sigma.copy_(squared.mean().sqrt())
    codes = model.synthesise(pixels)
    painted = model.decode(codes)
    own = split.held_labels[None, :, None].expand(1, -1, PIXELS)
    model.pixels.fit(pixels, painted.gather(0, own)[0])
    logits = model(split.held)
    model.floor.copy_(logits.logsumexp(1).quantile(0.01))
    model.temperature.fill_(fitted_temperature(logits, split.held_labels))
