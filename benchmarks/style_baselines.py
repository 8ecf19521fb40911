"""The two optimisation-based systems that `stylize` is held against, written from their descriptions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from peers import as_users_have_it
from torch import Tensor, nn

from lanterna import Network

__all__ = ["CONTENT", "STYLE", "NeuralStyle", "Wasserstein"]

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"

# Told of each step: its number and the picture (1, 3, H, W), in [0, 1] where it is kept there.
Tell = Callable[[int, Tensor], None]


class Maps:
    """The module as both have it: cut behind the deepest layer that is asked for, weights frozen, ReLUs in place."""

    def __init__(self, network: Network, layers: Sequence[str], replicated: int | None = 0) -> None:
        """The first `replicated` convolutions repeat the border, None for all of them; the others have zeros around."""
        self._layers, self._preprocessing = layers, network.preprocessing
        parts = dict(as_users_have_it(network, frozen=True).named_children())
        deepest = max(list(parts).index(layer) for layer in layers)
        self._parts = dict(list(parts.items())[: deepest + 1])
        for part in self._parts.values():
            if isinstance(part, nn.ReLU):
                part.inplace = True
        for part in [part for part in self._parts.values() if isinstance(part, nn.Conv2d)][:replicated]:
            part.padding_mode = "replicate"
            part._reversed_padding_repeated_twice = [part.padding[0]] * 4  # type: ignore[index]

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        found, maps = {}, self._preprocessing.apply(picture)
        for name, part in self._parts.items():
            maps = part(maps)
            if name in self._layers:
                found[name] = maps
        return found


def _gram(features: Tensor) -> Tensor:
    rows = features[0].flatten(1)
    return rows @ rows.T / rows.numel()


@dataclass
class NeuralStyle:
    """neural-style-pt: Gatys, Ecker and Bethge 2016, with its defaults.

    Content 5 x MSE at relu4_2, style 100 x MSE of Gram / (C N) at relu1_1 to relu5_1, variation 1e-3 x sum |dx| + |dy|, all
    on values of 0 to 255; L-BFGS with a history of 100 on the free picture, from the content.
    """

    network: Network
    content: Tensor
    style: Tensor
    # How many convolutions repeat the border, None for all: for scoring what was made with other borders.
    replicated: int | None = 0

    def __post_init__(self) -> None:
        self._maps = Maps(self.network, (*STYLE, CONTENT), self.replicated)
        with torch.no_grad():
            self._wanted = self._maps(self.content)[CONTENT].clone()
            self._grams = {name: _gram(features) for name, features in self._maps(self.style).items() if name in STYLE}

    def loss(self, picture: Tensor) -> Tensor:
        """Of a picture (1, 3, H, W) in [0, 1]."""
        found = self._maps(picture)
        loss = 5 * F.mse_loss(found[CONTENT], self._wanted)
        loss = loss + sum(100 * F.mse_loss(_gram(found[name]), self._grams[name]) for name in STYLE)
        values = picture * 255
        variation = (values[..., 1:] - values[..., :-1]).abs().sum() + (values[..., 1:, :] - values[..., :-1, :]).abs().sum()
        return loss + 1e-3 * variation

    def run(self, iterations: int, tell: Tell) -> Tensor:
        """The picture, (1, 3, H, W), before it is cut to [0, 1] to be saved."""
        values = (self.content * 255).requires_grad_(True)
        tuner = torch.optim.LBFGS(
            [values],
            lr=1.0,
            max_iter=iterations,
            max_eval=iterations,
            history_size=100,
            tolerance_change=-1,
            tolerance_grad=-1,
        )
        taken = 0

        def closure() -> Tensor:
            nonlocal taken
            tuner.zero_grad()
            loss = self.loss(values / 255)
            loss.backward()
            taken += 1
            tell(taken, values.detach() / 255)
            return loss

        tuner.step(closure)
        return values.detach() / 255


# In double precision: beside maps as large as those of vgg16_hed, single leaves much of the loss to rounding.
def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    rows = features[0].flatten(1)
    mean = rows.mean(1)
    # Away from singular, where the root has no slope.
    covariance = rows @ rows.T / rows.shape[1] - torch.outer(mean, mean) + 1e-4 * torch.eye(len(rows))
    return mean.double(), covariance.double()


def _variation(picture: Tensor) -> Tensor:
    """Squared, by nine points: neighbours at the side count a third, those at the corner a twelfth, and twice all of it."""
    padded = F.pad(picture, (1, 1, 1, 1), "replicate")
    here, on = slice(1, -1), slice(2, None)
    side = (padded[..., here, on] - picture).square().mean() + (padded[..., on, here] - picture).square().mean()
    falling = padded[..., 1:, 1:] - padded[..., :-1, :-1]
    rising = padded[..., 1:, :-1] - padded[..., :-1, 1:]
    return 2 * (side / 3 + (falling.square().mean() + rising.square().mean()) / 12)


@dataclass
class Wasserstein:
    """The multi-scale method of crowsonkb/style-transfer-pytorch, with its defaults.

    Content 0.015 x MSE at relu4_2; Wasserstein-2 between Gaussians of the features at relu1_1 to relu5_1, weighted 256, 64,
    16, 4, 1 over their sum; squared variation 2; scales that rise by the root of two from 128 px; Adam 0.02 with (0.9, 0.99),
    values clamped, moments carried on, the picture averaged with 0.99; the first convolution pads by replication. Its roots
    come from 12 Newton-Schulz steps, which leave a loss of 20 of maps as large as those of vgg16_hed, and take longer on a
    processor: here they come from eigenvalues. Beside such maps its variation hardly counts.
    """

    network: Network
    content: Tensor
    style: Tensor
    tv_weight: float = 2.0
    replicated: int | None = 1

    def __post_init__(self) -> None:
        self._maps = Maps(self.network, (*STYLE, CONTENT), self.replicated)
        self._weights = dict(zip(STYLE, (share / 341 for share in (256, 64, 16, 4, 1)), strict=True))
        self.aim((self.content.shape[2], self.content.shape[3]))

    def aim(self, size: tuple[int, int]) -> None:
        """Take content and style at this size."""
        with torch.no_grad():
            self._wanted = self._maps(_sized(self.content, size))[CONTENT].clone()
            factor = max(size) / max(self.style.shape[2:])
            small = (round(self.style.shape[2] * factor), round(self.style.shape[3] * factor))
            found = self._maps(_sized(self.style, small))
            self._targets = {}
            for name in STYLE:
                mean, covariance = _moments(found[name])
                self._targets[name] = (mean, covariance, _root(covariance))

    def loss(self, picture: Tensor) -> Tensor:
        """Of a picture (1, 3, H, W) in [0, 1], at the size that was aimed at."""
        found = self._maps(picture)
        loss = 0.015 * F.mse_loss(found[CONTENT], self._wanted)
        for name, weight in self._weights.items():
            mean, covariance = _moments(found[name])
            wanted_mean, wanted, root = self._targets[name]
            inner = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=1e-12).sqrt().sum()
            distance = (mean - wanted_mean).square().sum() + (covariance + wanted).trace() - 2 * inner
            loss = loss + weight * distance / len(mean)
        return loss + self.tv_weight * _variation(picture)

    def run(self, first: int, later: int, tell: Tell) -> Tensor:
        """The picture, (1, 3, H, W) in [0, 1]; `first` steps at the smallest size and `later` at each larger one."""
        whole = (self.content.shape[2], self.content.shape[3])
        sizes = [whole]
        while round(max(whole) * (factor := 2 ** (-len(sizes) / 2))) >= 128:
            sizes.append((round(whole[0] * factor), round(whole[1] * factor)))
        picture, taken = _sized(self.content, sizes[-1]), 0
        tuner: torch.optim.Adam | None = None
        for index, size in enumerate(reversed(sizes)):
            self.aim(size)
            values = _sized(picture, size).clamp(0, 1).requires_grad_(True)
            before, tuner = tuner, torch.optim.Adam([values], lr=0.02, betas=(0.9, 0.99))
            if before is not None:
                (state,) = before.state.values()
                squares = F.interpolate(state["exp_avg_sq"], size, mode="bilinear").relu()
                tuner.state[values] = {**state, "exp_avg": _sized(state["exp_avg"], size), "exp_avg_sq": squares}
            # The picture that it begins with counts as well.
            average, weight = 0.01 * values.detach(), 0.01
            for _ in range(first if index == 0 else later):
                tuner.zero_grad()
                self.loss(values).backward()
                tuner.step()
                with torch.no_grad():
                    values.clamp_(0, 1)
                    average, weight = 0.99 * average + 0.01 * values, 0.99 * weight + 0.01
                taken += 1
                tell(taken, average / weight)
            picture = average / weight
        return picture.detach().clamp(0, 1)


def _sized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    if picture.shape[2:] == size:
        return picture.detach().clone()
    return F.interpolate(picture.detach(), size, mode="bicubic", align_corners=False, antialias=True)
