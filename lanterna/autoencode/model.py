"""A trained autoencoder: `encode`, `decode`, `project`, and a file that carries its recipe."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lanterna.autoencode.variants import MODELS, Module, gaussian_nats, make_module
from lanterna.canvas import LatentCanvas
from lanterna.errors import InputError
from lanterna.files import replace_file
from lanterna.wording import listed

__all__ = ["Autoencoder", "load"]

_VERSION = "1"
_AT_ONCE = 512


@dataclass(frozen=True)
class Autoencoder:
    """A trained module and what it was made by: `recipe` and `numbers`, as they are in its file.

    Pictures are (B, C, S, S) in [0, 1] with the `shape` (C, S, S) it was trained for; codes are (B, `code`).
    """

    module: Module
    recipe: Mapping[str, Any]
    numbers: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels and sides of its pictures."""
        return self.module.shape

    @property
    def code(self) -> int:
        """How many numbers describe a picture."""
        return self.module.code

    @property
    def variant(self) -> str:
        """Which of the models it is."""
        return self.module.variant

    def _batches(self, pictures: Tensor) -> Iterator[Tensor]:
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != self.shape:
            wanted = "(B, {}, {}, {})".format(*self.shape)
            raise InputError(f"this autoencoder takes pictures of shape {wanted}; {tuple(pictures.shape)} was given")
        return iter(pictures.split(_AT_ONCE))

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Codes (B, K). Raises InputError for pictures of another shape."""
        return torch.cat([self.module.encode(part) for part in self._batches(pictures)])

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Pictures from codes (B, K). Raises InputError for codes of another length."""
        if codes.ndim != 2 or codes.shape[1] != self.code:
            raise InputError(
                f"this autoencoder's codes have {self.code} numbers, (B, {self.code}); {tuple(codes.shape)} was given"
            )
        return torch.cat([self.module.decode(part) for part in codes.split(_AT_ONCE)])

    def project(self, pictures: Tensor) -> Tensor:
        """Pictures through the bottleneck and back: D(E(x)), on the manifold that was learned."""
        return self.decode(self.encode(pictures))

    def errors(self, pictures: Tensor) -> Tensor:
        """The mean squared error a pixel of each picture, (B,)."""
        return (self.project(pictures) - pictures).square().flatten(1).mean(1)

    def mse(self, pictures: Tensor) -> float:
        """The mean squared error a pixel over all."""
        return float(self.errors(pictures).mean())

    @torch.no_grad()
    def nats(self, pictures: Tensor, kl_weight: float = 1.0) -> dict[str, float]:
        """For the VAE: `reconstruction_nats`, `kl_nats` and their weighted sum `loss_nats`, a picture."""
        kl = torch.cat([self.module(part).extra for part in self._batches(pictures)]).mean()
        reconstruction = gaussian_nats(torch.tensor(self.mse(pictures)), pictures[0].numel())
        return {
            "reconstruction_nats": float(reconstruction),
            "kl_nats": float(kl),
            "loss_nats": float(reconstruction + kl_weight * kl),
        }

    def canvas(self, training: Tensor, count: int, generator: torch.Generator) -> LatentCanvas:
        """`count` random codes as a canvas for `lanterna.ascend`; `training` are pictures whose codes say where to look."""
        return LatentCanvas.noise(self.module.decode, self.encode(training), count, generator)

    def parameters(self, part: str = "") -> int:
        """How many weights, of all or of a part such as `decoder`."""
        return sum(value.numel() for name, value in self.module.named_parameters() if name.startswith(part))

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with weights, recipe and numbers, whole or not at all."""
        target = Path(path)
        tensors = {name: value.contiguous() for name, value in self.module.state_dict().items()}
        about = {
            "variant": self.variant,
            "shape": list(self.shape),
            "code": self.code,
            "noise": self.module.noise,
            "recipe": dict(self.recipe),
            "numbers": dict(self.numbers),
        }
        header = {"lanterna.autoencode": _VERSION, "about": json.dumps(about)}
        replace_file(target, [safetensors.torch.save(tensors, metadata=header)])
        return target


def load(path: str | Path) -> Autoencoder:
    """The autoencoder that `Autoencoder.save` or `lanterna autoencode` wrote.

    Raises InputError for a file that is not there, damaged, or of something else.

    >>> load("autoencode/conv-32.safetensors").code  # doctest: +SKIP
    32
    """
    target = Path(path)
    if not target.is_file():
        there = sorted(entry.name for entry in target.parent.glob("*.safetensors")) if target.parent.is_dir() else []
        raise InputError(f"there is no autoencoder {str(path)!r}" + (f"; there are: {listed(there)}" if there else ""))
    try:
        with safe_open(target, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"{str(path)!r} is no whole safetensors file: {error}") from error
    if header.get("lanterna.autoencode") != _VERSION:
        raise InputError(f"{str(path)!r} holds no autoencoder of this version; `lanterna autoencode` makes one")
    try:
        about = json.loads(header["about"])
        if about["variant"] not in MODELS:
            raise ValueError(f"the model {about['variant']!r} is not one of {', '.join(MODELS)}")
        channels, side, _ = about["shape"]
        module = make_module(about["variant"], channels, side, about["code"], 0, noise=about["noise"])
        module.load_state_dict(tensors)
        return Autoencoder(module.eval().requires_grad_(False), about["recipe"], about["numbers"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{str(path)!r} can't be used: {next(iter(str(error).splitlines()), 'damaged')}") from error
