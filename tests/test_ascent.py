"""The loop: it climbs, it listens, it repeats itself to the bit, and it says when memory or a unit is dead."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lanterna import priors
from lanterna.ascent import Ascent, ascend
from lanterna.canvas import make_canvas
from lanterna.errors import OutOfMemoryError
from lanterna.events import STOP, Done, Event, Preview, Started, Stepped
from lanterna.jitter import Jitter, middle
from lanterna.networks import Network
from lanterna.networks.preprocessing import Preprocessing
from lanterna.objectives import Objective, channel, each

SIZE, MARGIN = (16, 14), 4


def _network(*extra: nn.Module, dead: int | None = None) -> Network:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3)
    if dead is not None:
        nn.init.constant_(conv.weight[dead : dead + 1].data, 0.0)
        nn.init.constant_(conv.bias.data[dead : dead + 1], -5.0)
    module = nn.Sequential(conv, nn.ReLU(), *extra, nn.Dropout(0.5))
    return Network.wrap(module, preprocessing=Preprocessing(size=SIZE))


def _run(
    network: Network | None = None,
    objective: Objective | None = None,
    *,
    name: Any = "fourier",
    batch: int = 2,
    seed: int = 0,
    steps: int = 20,
    **fields: Any,
) -> Ascent:
    generator = torch.Generator().manual_seed(seed)
    canvas = make_canvas(name, (batch, 3, SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN), generator)
    fields.setdefault("jitter", Jitter(2.0))
    return ascend(
        canvas, objective or channel("1", 1), network or _network(), size=SIZE, steps=steps, generator=generator, **fields
    )


# Phases are angles: their steps are radians.
@pytest.mark.parametrize(("name", "lr"), [("pixels", 0.05), ("fourier", 0.05), ("maco", 0.3)])
def test_it_rises(name: str, lr: float) -> None:
    # Before the ReLU: with the contrast that phases can't change, the unit may be off throughout.
    found = _run(objective=channel("0", 1), name=name, lr=lr, steps=40)
    assert found.trace.shape == (40, 2) and found.steps == 40 and not found.stopped
    assert bool((found.trace[-5:].mean(0) > found.trace[:5].mean(0) + 0.01).all())
    assert found.pictures.shape == (2, 3, *SIZE) and not found.pictures.requires_grad
    assert float(found.pictures.min()) >= 0 and float(found.pictures.max()) <= 1
    assert found.moved.tolist() == [True, True]


def test_each_picture_follows_its_own_unit() -> None:
    network = _network()
    units = [2, 0, 3]
    found = _run(network, each([channel("1", unit) for unit in units]), batch=3, steps=60, name="pixels")
    activations = network.capture(found.pictures, ["1"])["1"].mean((2, 3))
    for i, unit in enumerate(units):
        assert int(activations[:, unit].argmax()) == i


@pytest.mark.parametrize("jitter", [Jitter.none(), Jitter(), Jitter(crop=(0.5, 0.3), noise=0.1)])
def test_same_seed_same_bits(jitter: Jitter) -> None:
    first, second, other = (_run(seed=seed, jitter=jitter, steps=18) for seed in (5, 5, 6))
    assert torch.equal(first.pictures, second.pictures) and torch.equal(first.trace, second.trace)
    assert not torch.equal(first.pictures, other.pictures)


def test_global_randomness_is_untouched() -> None:
    network = _network()
    before = torch.get_rng_state()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    _run(network, jitter=Jitter(noise=0.1, crop=(0.5, 0.3)))
    assert torch.equal(before, torch.get_rng_state())
    assert (threads, dtype) == (torch.get_num_threads(), torch.get_default_dtype())


@pytest.mark.parametrize("event", [Started, Stepped, Preview])
@pytest.mark.parametrize("keep_best", [False, True])
def test_stop_is_honoured_within_a_step(event: type, keep_best: bool) -> None:
    events: list[Event] = []

    def listen(told: Event) -> Any:
        events.append(told)
        return STOP if isinstance(told, event) and getattr(told, "step", 4) == 4 else None

    found = _run(steps=50, preview_every=2, keep_best=keep_best, on_event=listen)
    expected = 0 if event is Started else 4
    assert (found.steps, found.stopped, len(found.trace)) == (expected, True, expected)
    assert found.pictures.shape == (2, 3, *SIZE)
    assert events[-1] == Done(expected, True)
    assert found.moved.all()  # too early to call a unit dead


def test_events_in_order() -> None:
    events: list[Event] = []
    found = _run(objective=channel("0", 1), steps=5, preview_every=2, on_event=lambda told: events.append(told))
    told = [(type(event).__name__, getattr(event, "step", None)) for event in events]
    assert told == [
        ("Started", None), ("Stepped", 1), ("Stepped", 2), ("Preview", 2), ("Stepped", 3), ("Stepped", 4), ("Preview", 4),
        ("Stepped", 5), ("Done", 5),
    ]  # fmt: skip
    assert events[0] == Started(5, 2) and events[-1] == Done(5, False)
    stepped = [event for event in events if isinstance(event, Stepped)]
    assert torch.equal(torch.stack([event.values for event in stepped]), found.trace)
    previews = [event for event in events if isinstance(event, Preview)]
    assert all(event.pictures.shape == (2, 3, *SIZE) and not event.pictures.requires_grad for event in previews)
    assert not torch.equal(previews[0].pictures, previews[1].pictures)


def test_a_listener_may_read_the_network() -> None:
    network = _network()
    told: list[Tensor] = []

    def listen(event: Event) -> None:
        if isinstance(event, Preview):
            told.append(network.capture(event.pictures, ["0"])["0"])

    assert torch.equal(_run(network, steps=4, preview_every=1, on_event=listen).pictures, _run(network, steps=4).pictures)
    assert len(told) == 4


@pytest.mark.parametrize("keep_best", [False, True])
def test_no_steps_give_the_start(keep_best: bool) -> None:
    found = _run(steps=0, keep_best=keep_best)
    generator = torch.Generator().manual_seed(0)
    start = make_canvas("fourier", (2, 3, SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN), generator).render()
    assert torch.equal(found.pictures, middle(start, SIZE))
    assert (found.steps, found.stopped, found.trace.shape) == (0, False, (0, 2))
    assert found.moved.all()


def test_keep_best_keeps_the_best() -> None:
    """With steps far too long the last picture is not the best; the views are the pictures themselves here."""
    network, unit = _network(), channel("0", 1) - 20 * priors.l2()
    fields: dict[str, Any] = {"jitter": Jitter.none(), "lr": 3.0, "steps": 30, "name": "pixels"}
    best, last = _run(network, unit, keep_best=True, **fields), _run(network, unit, **fields)

    def score(found: Ascent) -> Tensor:
        return network.capture(found.pictures, ["0"])["0"][:, 1].mean((1, 2))

    assert torch.equal(best.trace, last.trace)
    assert not torch.equal(best.pictures, last.pictures)
    plain = _run(network, channel("0", 1), keep_best=True, **fields)
    torch.testing.assert_close(score(plain), plain.trace.amax(0))


def test_dead_units_say_so() -> None:
    found = _run(_network(dead=2), each([channel("1", 2), channel("1", 1)]), steps=24)
    assert found.moved.tolist() == [False, True]
    assert not found.trace[:, 0].any()


def test_sleeping_units_wake() -> None:
    """Off for every start, but not for every picture: the redirected steps carry it over."""
    network = _network()
    with torch.no_grad():
        network.module[0].bias[1] = -0.5 * network.module[0].weight[1].sum() - 0.2
    asleep = _run(network, steps=60, redirected_steps=0, lr=0.1, jitter=Jitter.none())
    awake = _run(network, steps=60, redirected_steps=16, lr=0.1, jitter=Jitter.none())
    assert not asleep.moved.any() and not asleep.trace.any()
    assert awake.moved.all() and bool((awake.trace[-1] > 0.01).all())


class _Hungry(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.armed = error, False

    def forward(self, x: Tensor) -> Tensor:
        if self.armed:
            raise self.error
        return x


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_size_and_batch(error: Exception) -> None:
    network = _network(_Hungry(error))
    network.layers()  # looked at before memory runs out
    network.module[2].armed = True
    with pytest.raises(OutOfMemoryError, match=r"2 pictures of 16x14") as caught:
        _run(network, channel("logits", 1))
    assert caught.value.__cause__ is error or isinstance(caught.value.__cause__, type(error))
    assert not any(part._forward_hooks for part in network.module.modules())


def test_other_errors_pass() -> None:
    network = _network(_Hungry(RuntimeError("shapes differ")))
    network.layers()
    network.module[2].armed = True
    with pytest.raises(RuntimeError, match="shapes differ"):
        _run(network, channel("logits", 1))


def test_priors_alone_need_no_network() -> None:
    network = _network(_Hungry(RuntimeError("the network ran")))
    network.layers()
    network.module[2].armed = True
    found = _run(network, -1 * priors.l2(), name="pixels", lr=0.5, steps=30)
    assert float(found.trace[-1].mean()) > float(found.trace[0].mean())
