"""Where models are made: trained once, then taken from the cache by the content of what decides them."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lanterna.autoencode.augment import moved
from lanterna.autoencode.model import Autoencoder, load
from lanterna.autoencode.pca import PCA, fit
from lanterna.autoencode.pictures import Split
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.training import train
from lanterna.autoencode.variants import Module, Variant, gaussian_nats, make_module, training_loss
from lanterna.errors import InputError, StoppedError
from lanterna.networks.wheels import cache_dir
from lanterna.progress import Series
from lanterna.wording import counted

__all__ = ["Workshop"]

# A change of modules or training that changes what comes out: models of another revision are made anew.
_REVISION = 1
_SHOWN = 8


@dataclass
class Workshop:
    """Trains and keeps the models of one run. `series` is told of every step; `seconds` are those of trainings not cached."""

    recipe: AutoencodeRecipe
    split: Split
    series: Series
    folder: Path = field(default_factory=lambda: cache_dir() / "autoencode")
    _made: dict[str, Autoencoder] = field(default_factory=dict)
    _pca: PCA | None = None

    def __post_init__(self) -> None:
        if self.recipe.batch > len(self.split.train):
            # Fewer pictures than a batch: one batch is all of them.
            self.recipe = self.recipe.model_copy(update={"batch": len(self.split.train)})

    def model(
        self,
        code: int,
        *,
        variant: Variant | None = None,
        repeat: int = 0,
        train_on: Tensor | None = None,
        judged_on: Tensor | None = None,
        epochs: int | None = None,
        augmented: bool = True,
        name: str = "",
    ) -> Autoencoder:
        """An autoencoder with this size of code; of the recipe's model on the recipe's data unless said otherwise.

        `repeat` counts trainings from other seeds. Raises StoppedError, and LanternaError where a loss is not finite.
        """
        pictures = self.split.train if train_on is None else train_on
        judged = self.split.held_out if judged_on is None else judged_on
        used = self._used(code, variant, repeat, epochs, augmented)
        if train_on is not None:
            used = used.model_copy(update={"data": name or "given"})
        key = self._key(used, pictures, judged)
        if key not in self._made:
            self._made[key] = self._cached(
                key, used, pictures, judged, f"{used.model}, {counted(code, 'number')}" + (f", {name}" if name else "")
            )
        return self._made[key]

    def _used(
        self, code: int, variant: Variant | None = None, repeat: int = 0, epochs: int | None = None, augmented: bool = True
    ) -> AutoencodeRecipe:
        return self.recipe.model_copy(
            update={
                "model": variant or self.recipe.model,
                "code": (code,),
                "seed": self.recipe.seed + 1000 * repeat,
                "epochs": epochs or self.recipe.epochs,
                "augment": self.recipe.augment if augmented else 0.0,
                # What does not change a model must not miss the cache.
                "parts": ("models",),
                "repeats": 1,
            }
        )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def pca(self, code: int) -> PCA:
        """Principal components of the training pictures."""
        if self._pca is None:
            self._pca = fit(self.split.train, self.split.pixels)
        return self._pca.first(code)

    def _key(self, used: AutoencodeRecipe, pictures: Tensor, judged: Tensor) -> str:
        digest = hashlib.sha256(json.dumps(used.model_dump(mode="json", exclude={"data"}), sort_keys=True).encode())
        digest.update(f"{_REVISION} {torch.__version__} {tuple(pictures.shape)}".encode())
        for part in (pictures, judged):
            digest.update((part * 255).round().to(torch.uint8).contiguous().numpy().data)
        return digest.hexdigest()[:32]

    def _cached(self, key: str, used: AutoencodeRecipe, pictures: Tensor, judged: Tensor, title: str) -> Autoencoder:
        path = self._path(key)
        self.series.enter(title)
        listen = self.series.part(len(pictures) * used.epochs)
        if path.is_file():
            try:
                return load(path)
            except InputError:
                path.unlink(missing_ok=True)  # damaged: made anew
        module = make_module(
            used.model,
            pictures.shape[1],
            pictures.shape[2],
            used.code[0],
            used.seed,
            noise=used.noise,
            mean=float(pictures.mean()),
        )
        augment = None
        if used.augment:
            scale = used.augment
            augment = partial(moved, turn=8 * scale, zoom=0.08 * scale, shift=0.05 * scale, bend=0.04 * scale)
        made = train(
            module,
            lambda net, batch, generator: training_loss(net, batch, generator, used.kl_weight),
            pictures,
            lambda net: _judge(net, judged, used.kl_weight),
            used.plan,
            used.seed,
            augment=augment,
            checkpoint=self.folder / f"{key}.checkpoint",
            key=key,
            preview=lambda net: net.decode(net.encode(judged[:_SHOWN])),
            on_event=listen,
        )
        if made.stopped:
            raise StoppedError("stopped; the next run takes up the training where it was")
        found = Autoencoder(made.module, used.model_dump(mode="json"), {})
        numbers = {
            "held_out_mse": found.mse(judged),
            "train_mse": found.mse(pictures[:1000]),
            "held_out_loss": made.held_out,
            "last_held_out_loss": made.history[-1],
            "best_epoch": made.epoch,
            "epochs": len(made.history),
            "early": made.early,
        }
        if used.model == "vae":
            numbers |= found.nats(judged, used.kl_weight)
        found = Autoencoder(made.module, used.model_dump(mode="json"), numbers)
        found.save(path)
        return found


@torch.no_grad()
def _judge(module: Module, pictures: Tensor, kl_weight: float) -> float:
    """The held-out loss: MSE a pixel, and for the VAE nats a picture."""
    error, kl = 0.0, 0.0
    for part in pictures.split(512):
        passed = module(part)
        error += float((passed.pictures - part).square().sum())
        kl += float(passed.extra.mean()) * len(part)
    mse = error / pictures.numel()
    if module.variant != "vae" or not math.isfinite(mse):
        return mse
    return float(gaussian_nats(torch.tensor(mse), pictures[0].numel())) + kl_weight * kl / len(pictures)
