"""Training of small models: one loop, told as events, and a cache of what is finished."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from lanterna.errors import LanternaError, StoppedError
from lanterna.events import Done, Listener, Started, Stepped
from lanterna.files import replace_in_cache
from lanterna.networks.wheels import cache_dir

__all__ = ["cache_file", "cached", "initialise", "minimise", "shuffled_batches"]

# Raised when what is stored, or how it is trained, changes: files of other versions are then left alone.
SCHEMA_VERSION = 1

M = TypeVar("M", bound=nn.Module)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Fill the weights after He et al. 2015, biases with zero, from `generator` and not from the global one.

    A weight of three dimensions is a stack of matrices (models, inputs, outputs).
    """
    for parameter in module.parameters():
        if parameter.ndim == 3:
            parameter.data.normal_(0, parameter.shape[1] ** -0.5, generator=generator)
        elif parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)
        else:
            parameter.data.zero_()


def shuffled_batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices (size,) without end: every picture once in each round, in a new order."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def minimise(
    parameters: Iterator[nn.Parameter], loss: Callable[[], Tensor], steps: int, lr: float, on_event: Listener | None = None
) -> None:
    """Adam for `steps` steps, with a learning rate that rises in the first tenth and falls to zero.

    Raises StoppedError where the listener asks to stop, LanternaError where the loss is no longer finite.
    """
    tell: Listener = on_event or (lambda _event: None)
    optimiser = torch.optim.Adam(list(parameters), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps + 1, pct_start=0.1)
    asked = tell(Started(steps, 1)) is not None
    for step in range(1, steps + 1):
        if asked:
            raise StoppedError("training was stopped; models that were finished are kept, this one starts again")
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        if not bool(torch.isfinite(value)):
            raise LanternaError(f"training diverged at step {step}: the loss is {float(value)}; try another --seed")
        value.backward()
        optimiser.step()
        schedule.step()
        asked = tell(Stepped(step, steps, value.detach()[None])) is not None
    tell(Done(steps, asked))


def cached(kind: str, about: Mapping[str, Any], build: Callable[[], M], train: Callable[[M], None]) -> tuple[M, bool]:
    """A trained model out of the cache, or trained now and kept; and whether it came from the cache.

    `about` is all that decides the weights (data by its fingerprint, sizes, steps, seed): its hash is the file's name. A
    file is written whole once training is finished, so one that was interrupted starts again; a damaged file is replaced,
    one of another version has another name. A cache that can't be written costs the training each time, nothing else.
    """
    text = _said(kind, about)
    path = cache_file(kind, about)
    model = build()
    if _filled(model, path, text):
        return model.eval().requires_grad_(False), True
    train(model)
    model.eval().requires_grad_(False)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    replace_in_cache(path, [to_bytes(state, {"lanterna": text})])
    return model, False


def _said(kind: str, about: Mapping[str, Any]) -> str:
    said = {"kind": kind, "schema_version": SCHEMA_VERSION, "torch": torch.__version__.split("+")[0], **about}
    return json.dumps(said, sort_keys=True)


def cache_file(kind: str, about: Mapping[str, Any]) -> Path:
    """Where a model is kept, by a hash of all that decides it."""
    digest = hashlib.sha256(_said(kind, about).encode()).hexdigest()
    return cache_dir() / "manifold" / f"{kind}-{digest[:24]}.safetensors"


def _filled(model: nn.Module, path: Path, text: str) -> bool:
    """Whether `path` holds the weights of `model`, which it then has."""
    if not path.is_file():
        return False
    own = model.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("lanterna") != text or set(file.keys()) != set(own):
                return False
            found = {name: file.get_tensor(name) for name in own}
    except (SafetensorError, OSError):
        # Half a disk, another program's file: it is trained again and the file replaced.
        return False
    if any(found[name].shape != own[name].shape for name in own):
        return False
    model.load_state_dict(found)
    return True
