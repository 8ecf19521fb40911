"""Training: the same seed gives the same bits, a resumed run as well; failures keep what was good."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from lanterna.autoencode.training import Plan, train
from lanterna.errors import LanternaError
from lanterna.events import STOP, Done, Event, Preview, Started, Stepped

PLAN = Plan(epochs=4, batch=8, lr=0.05)


def line() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(3, 3)


DATA = torch.rand(20, 3, generator=torch.Generator().manual_seed(1))


def loss(net: nn.Linear, batch: Tensor, generator: torch.Generator) -> Tensor:
    return (net(batch + 0.01 * torch.randn(batch.shape, generator=generator)) - batch).square().mean()


def held_out(net: nn.Linear) -> float:
    with torch.no_grad():
        return float((net(DATA) - DATA).square().mean())


def weights(net: nn.Module) -> list[Tensor]:
    return list(net.state_dict().values())


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(weights(first), weights(second), strict=True))


def test_it_learns_and_leaves_the_given_module_and_the_global_generator_alone() -> None:
    module, state = line(), torch.get_rng_state()
    made = train(module, loss, DATA, held_out, Plan(epochs=30, batch=8, lr=0.05), 0)
    assert made.held_out < 0.3 * held_out(module)
    assert same(module, line())
    assert torch.equal(torch.get_rng_state(), state)
    assert not made.module.training
    assert held_out(made.module) == made.held_out == min(made.history)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first, second, other = (train(line(), loss, DATA, held_out, PLAN, seed).module for seed in (3, 3, 4))
    assert same(first, second)
    assert not same(first, other)


def stop_after(step: int) -> "object":
    def listen(event: Event) -> str | None:
        return STOP if isinstance(event, Stepped) and event.step >= step else None

    return listen


def test_a_resumed_training_gives_the_bits_of_an_unbroken_one(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "one.checkpoint"
    whole = train(line(), loss, DATA, held_out, PLAN, 0)
    part = train(line(), loss, DATA, held_out, PLAN, 0, checkpoint=file, on_event=stop_after(8))  # type: ignore[arg-type]
    assert part.stopped and file.is_file() and len(part.history) == 2
    resumed = train(line(), loss, DATA, held_out, PLAN, 0, checkpoint=file)
    assert same(resumed.module, whole.module)
    assert resumed.history == whole.history
    assert not file.exists()


@pytest.mark.parametrize("damage", ["bytes", "empty", "other"])
def test_a_checkpoint_that_does_not_fit_starts_again(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "one.checkpoint"
    if damage == "other":
        train(line(), loss, DATA, held_out, PLAN, 1, checkpoint=file, on_event=stop_after(8))  # type: ignore[arg-type]
    else:
        file.write_bytes(b"" if damage == "empty" else b"no checkpoint at all")
    assert same(
        train(line(), loss, DATA, held_out, PLAN, 0, checkpoint=file).module,
        train(line(), loss, DATA, held_out, PLAN, 0).module,
    )


def test_a_loss_that_is_not_finite_keeps_the_last_good_epoch(tmp_path: Path) -> None:
    file = tmp_path / "one.checkpoint"
    calls = 0

    def breaks(net: nn.Linear, batch: Tensor, generator: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        return loss(net, batch, generator) * (math.nan if calls > 7 else 1.0)

    with pytest.raises(
        LanternaError, match=r"epoch 3; the weights of epoch 2 are kept in .*one.checkpoint; try a smaller --lr"
    ):
        train(line(), breaks, DATA, held_out, PLAN, 0, checkpoint=file)
    content = torch.load(file, weights_only=True)
    assert content["state"]["epoch"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in content["kept"].values())


def test_patience_ends_it_and_the_best_epoch_is_kept() -> None:
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    made = train(line(), loss, DATA, lambda _net: next(losses), Plan(epochs=6, batch=8, patience=2), 0)
    assert made.early and made.history == (3.0, 1.0, 2.0, 2.0) and made.epoch == 2 and made.held_out == 1.0


def test_a_training_that_patience_ended_is_not_taken_up_again(tmp_path: Path) -> None:
    file, plan = tmp_path / "one.checkpoint", Plan(epochs=6, batch=8, patience=2)

    def judged(calls: list[float]) -> Callable[[nn.Linear], float]:
        return lambda _net: calls.pop(0)

    def stop_at_the_end(event: Event) -> Literal["stop"] | None:
        return STOP if isinstance(event, Preview) and event.step == 12 else None

    part = train(
        line(), loss, DATA, judged([3.0, 1.0, 2.0, 2.0]), plan, 0,
        checkpoint=file, preview=lambda _net: torch.zeros(1, 1, 2, 2), on_event=stop_at_the_end,
    )  # fmt: skip
    assert part.stopped and len(part.history) == 4
    resumed = train(line(), loss, DATA, judged([0.0]), plan, 0, checkpoint=file)
    assert resumed.early and resumed.history == part.history and same(resumed.module, part.module)


def test_it_tells_what_it_does() -> None:
    events: list[Event] = []
    train(line(), loss, DATA, held_out, PLAN, 0, preview=lambda _net: torch.zeros(1, 1, 2, 2), on_event=events.append)  # type: ignore[arg-type]
    assert isinstance(events[0], Started) and events[0].steps == 12
    assert [event.step for event in events if isinstance(event, Stepped)] == list(range(1, 13))
    assert sum(isinstance(event, Preview) for event in events) == 4
    assert isinstance(events[-1], Done) and not events[-1].stopped


def test_labels_come_with_their_data() -> None:
    labels = DATA.sum(1)

    def checks(net: nn.Linear, batch: Tensor, generator: torch.Generator) -> Tensor:
        pictures, wanted = batch
        assert torch.equal(pictures.sum(1), wanted)
        return net(pictures).square().mean()

    assert len(train(line(), checks, DATA, held_out, PLAN, 0, labels=labels).history) == 4
