"""Training of any small module on tensors in memory: seeds, events, checkpoints, early stopping, resume.

All chance comes from one generator, and a resumed training gives the bits that an unbroken one would have given.
"""

import copy
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from lanterna.errors import LanternaError
from lanterna.events import STOP, Done, Event, Listener, Preview, Started, Stepped
from lanterna.files import replace_in_cache

__all__ = ["Plan", "Trained", "train"]

M = TypeVar("M", bound=nn.Module)

# The format of checkpoints; one of another version starts again.
_VERSION = 1


@dataclass(frozen=True)
class Plan:
    """How long and how fast: `epochs` over the data in batches of `batch` with AdamW and one cosine cycle up to `lr`.

    Judged and kept are the weights' moving mean, which is worth several epochs. Training ends early after `patience` epochs
    without a better held-out loss.
    """

    epochs: int = 60
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.01
    warm: float = 0.1
    average: float = 0.99
    patience: int = 20


@dataclass(frozen=True)
class Trained(Generic[M]):
    """A trained module, with its best weights and in evaluation mode.

    `history` has the held-out loss after each epoch; `epoch` is the best one's number, from 1; `stopped` where a listener
    asked for it, `early` where patience ended it.
    """

    module: M
    history: tuple[float, ...]
    epoch: int
    stopped: bool
    early: bool

    @property
    def held_out(self) -> float:
        """The best held-out loss."""
        return self.history[self.epoch - 1] if self.history else math.nan


@dataclass
class _State:
    epoch: int = 0
    best: float = math.inf
    best_epoch: int = 0
    history: list[float] = field(default_factory=list)


def _rate(step: int, steps: int, warm: float) -> float:
    """The share of the highest learning rate: up along a line, down along a cosine."""
    rise = max(int(steps * warm), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(steps - rise, 1))


def train(
    module: M,
    loss: Callable[[M, Tensor, torch.Generator], Tensor],
    data: Tensor,
    held_out: Callable[[M], float],
    plan: Plan,
    seed: int,
    *,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    labels: Tensor | None = None,
    checkpoint: Path | None = None,
    key: str = "",
    preview: Callable[[M], Tensor] | None = None,
    on_event: Listener | None = None,
) -> Trained[M]:
    """Train a copy of `module` on `data` (N, ...) and give it back with the weights of its best epoch.

    `loss(module, batch, generator)` is a scalar; with `labels` (N, ...) the batch is a pair `(data, labels)`.
    `held_out(module)` judges an epoch, lower is better. `preview(module)` makes the pictures of a `Preview` event, after
    every epoch. A `checkpoint` is written after every epoch, resumed if it is there and has the same `key` and plan, and
    gone once training has ended by itself. Raises LanternaError where a loss is not finite; the checkpoint of the last good
    epoch then stays.
    """
    work = copy.deepcopy(module).train()
    mean = copy.deepcopy(work).eval()
    kept = copy.deepcopy(mean)
    tuner = torch.optim.AdamW(work.parameters(), lr=plan.lr, weight_decay=plan.weight_decay, fused=True)
    generator = torch.Generator().manual_seed(seed)
    batches = math.ceil(len(data) / plan.batch)
    steps = plan.epochs * batches
    state = _State()
    identity = f"{_VERSION} {plan} {seed} {tuple(data.shape)} {key}"
    if checkpoint is not None:
        _resume(checkpoint, identity, work, mean, kept, tuner, generator, state)
    listening = on_event or _deaf
    stopped = listening(Started(steps, len(data))) == STOP
    # Stopped in the epoch that patience ended: there is nothing to go on with.
    early = bool(state.history) and state.epoch - state.best_epoch >= plan.patience
    while state.epoch < plan.epochs and not stopped and not early:
        order = torch.randperm(len(data), generator=generator)
        for index, chosen in enumerate(order.split(plan.batch)):
            step = state.epoch * batches + index
            for group in tuner.param_groups:
                group["lr"] = plan.lr * _rate(step, steps, plan.warm)
            batch = data[chosen]
            if augment is not None:
                batch = augment(batch, generator)
            tuner.zero_grad(set_to_none=True)
            value = loss(work, batch if labels is None else (batch, labels[chosen]), generator)  # type: ignore[arg-type]  # as documented
            value.backward()
            tuner.step()
            _follow(mean, work, min(plan.average, (step + 1) / (step + 10)))
            stopped = listening(Stepped(step + 1, steps, value.detach()[None])) == STOP
            if stopped:
                break
        if stopped:
            break
        judged = held_out(mean)
        if not math.isfinite(judged) or not math.isfinite(value.item()):
            where = f"; the weights of epoch {state.epoch} are kept in {checkpoint}" if checkpoint and state.epoch else ""
            raise LanternaError(f"the loss was not finite in epoch {state.epoch + 1}{where}; try a smaller --lr")
        state.epoch += 1
        state.history.append(judged)
        if judged < state.best:
            state.best, state.best_epoch = judged, state.epoch
            kept.load_state_dict(mean.state_dict())
        early = state.epoch - state.best_epoch >= plan.patience
        if checkpoint is not None:
            _save(checkpoint, identity, work, mean, kept, tuner, generator, state)
        if preview is not None:
            with torch.no_grad():
                stopped |= listening(Preview(state.epoch * batches, steps, preview(mean))) == STOP
    if checkpoint is not None and not stopped:
        checkpoint.unlink(missing_ok=True)
    if not state.epoch:
        # Stopped in the first epoch: what there is is better than nothing.
        kept.load_state_dict(mean.state_dict())
    listening(Done(state.epoch * batches, stopped))
    return Trained(kept.eval().requires_grad_(False), tuple(state.history), state.best_epoch, stopped, early)


def _deaf(_event: Event) -> None:
    return None


@torch.no_grad()
def _follow(mean: nn.Module, work: nn.Module, decay: float) -> None:
    averaged: list[Tensor] = [*mean.parameters()]
    current: list[Tensor] = [*work.parameters()]
    torch._foreach_lerp_(averaged, current, 1 - decay)
    for old, new in zip(mean.buffers(), work.buffers(), strict=True):
        old.copy_(new)


def _save(
    path: Path,
    identity: str,
    work: nn.Module,
    mean: nn.Module,
    kept: nn.Module,
    tuner: torch.optim.Optimizer,
    generator: torch.Generator,
    state: _State,
) -> None:
    content = {
        "identity": identity,
        "work": work.state_dict(),
        "mean": mean.state_dict(),
        "kept": kept.state_dict(),
        "tuner": tuner.state_dict(),
        "generator": generator.get_state(),
        "state": vars(state),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    replace_in_cache(path, [buffer.getvalue()])


def _resume(
    path: Path,
    identity: str,
    work: nn.Module,
    mean: nn.Module,
    kept: nn.Module,
    tuner: torch.optim.Optimizer,
    generator: torch.Generator,
    state: _State,
) -> None:
    """Take up the training that `path` was saved by; one of another recipe, or a damaged file, starts again."""
    if not path.is_file():
        return
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception:  # torch raises what its unpickler met: a damaged file has many ways
        return
    if not isinstance(content, dict) or content.get("identity") != identity:
        return
    for module, name in ((work, "work"), (mean, "mean"), (kept, "kept")):
        module.load_state_dict(content[name])
    tuner.load_state_dict(content["tuner"])
    generator.set_state(content["generator"])
    for name, value in content["state"].items():
        setattr(state, name, value)
