"""One pass over data for every unit of all chosen layers; kept in a file, and taken up where it was left."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lanterna.data import Crops, Dataset
from lanterna.errors import InputError
from lanterna.events import Done, Listener, Started, Stepped
from lanterna.networks.capture import Passing
from lanterna.networks.network import Network
from lanterna.patterns.feed import Batch, batches
from lanterna.patterns.fields import inside_of
from lanterna.patterns.layer_scan import LayerScan, kept_samples
from lanterna.patterns.watch import Batched, Summary, Watch
from lanterna.wording import counted

__all__ = ["BATCH", "Scan", "scan"]

# More cost memory and gain little; with fewer, what every batch costs whatever its size counts.
BATCH = 16


@dataclass(frozen=True)
class Scan:
    """What was found, by layer. `seen`: how many samples each layer has passed; `unreadable`: what was skipped, and why."""

    layers: Mapping[str, LayerScan] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def lacking(self, layers: Sequence[str], k: int, until: int) -> dict[str, int]:
        """The layers of which not all is known yet, with the sample to go on from."""
        lacking = {}
        for layer in layers:
            usable = layer in self.layers and self.layers[layer].best.k >= k
            start = self.seen.get(layer, 0) if usable else 0
            if start < until or not usable:
                lacking[layer] = start
        return lacking


def scan(
    network: Network,
    dataset: Dataset,
    layers: Sequence[str],
    *,
    k: int = 9,
    repeat: bool = False,
    known: Scan | None = None,
    part: range | None = None,
    batch: int = BATCH,
    save: Callable[[Scan], None] | None = None,
    save_seconds: float = 20.0,
    on_event: Listener | None = None,
    feed: Callable[[range], "Sequence[Batch]"] | None = None,
) -> Scan:
    """Run the data through the network once and say, for each unit of `layers`, where it fires most, with its statistics.

    `k` places are held for each unit, one for each picture unless `repeat` lets crops of the same picture come several
    times. `known` is what an earlier, perhaps interrupted scan left: only what it lacks is computed. `part` limits the
    pass to some of the samples; scans of disjoint parts can be merged. `save` gets the state every `save_seconds` and at
    the end. `feed` gives the batches where they do not come from `dataset`. Memory does not depend on the number of
    pictures.

    A listener that answers STOP ends it after the batch that runs. Raises InputError where no picture can be read, and
    UnknownNameError for a layer that does not exist.
    """
    state = known or Scan()
    indices = part if part is not None else range(len(dataset))
    lacking = state.lacking(layers, k, indices.stop)
    # Crops know what they could not be made of; else files are found out as they are read.
    failed = dict(state.unreadable) | (dict(dataset.unreadable) if isinstance(dataset, Crops) else {})
    total = sum(len(indices) - max(start - indices.start, 0) for start in set(lacking.values()))
    steps, stopped, done = total, False, 0
    if on_event and lacking:
        stopped = on_event(Started(steps, len(indices))) is not None
    for start in sorted(set(lacking.values())):
        if stopped:
            break
        chosen = [layer for layer, at in lacking.items() if at == start]
        empty = {layer: LayerScan.empty(network.layer(layer).channels, k, len(dataset.classes)) for layer in chosen}
        run = _Pass(network, dataset, {layer: state.layers[layer] if start else empty[layer] for layer in chosen}, repeat)
        rest = range(max(start, indices.start), indices.stop)
        told, saved = 0, time.monotonic()
        with network.visiting(chosen, run.visit) as forward:
            for piece in feed(rest) if feed else batches(network, dataset, rest, batch):
                failed |= {dataset.ids[index]: reason for index, reason in piece.unreadable}
                run.take(piece, forward)
                done, told = done + piece.upto - rest.start - told, piece.upto - rest.start
                stopped = on_event is not None and on_event(Stepped(done, steps, torch.zeros(0))) is not None
                # Also after a whole number of batches only, so that going on computes the same batches.
                due = save is not None and time.monotonic() - saved > save_seconds
                if due and save is not None:
                    save(_with(state, run, piece.upto, failed))
                    saved = time.monotonic()
                if stopped:
                    break
        state = _with(state, run, rest.start + told, failed)
        if save is not None:
            save(state)
    if on_event and lacking:
        on_event(Done(done, stopped))
    counts = [state.layers[layer].count for layer in layers if layer in state.layers]
    if not stopped and indices and counts and not any(counts):
        first = next(iter(failed.values()), "no reason was given")
        raise InputError(f"no picture of {dataset.name} can be read ({counted(len(indices), 'picture')}); the first: {first}")
    return state


def _with(state: Scan, run: "_Pass", upto: int, failed: Mapping[str, str]) -> Scan:
    found = run.found()
    return Scan({**state.layers, **found}, {**state.seen, **dict.fromkeys(found, upto)}, dict(failed))


@dataclass(frozen=True)
class _Passed:
    """The layer that came before, and what was seen of it."""

    passing: Passing
    version: int
    seen: Summary

    def holds(self, features: Tensor) -> bool:
        """Whether these are the same values: the same tensor, and nothing has changed it since."""
        return features is self.passing.features and features._version == self.version


class _Pass:
    """Some layers over one stretch of the data."""

    def __init__(self, network: Network, dataset: Dataset, scans: Mapping[str, LayerScan], repeat: bool) -> None:
        self._network = network
        crops = isinstance(dataset, Crops) and not repeat
        self._sources = (
            torch.tensor([dataset.source(i) for i in range(len(dataset))]) if crops else torch.arange(len(dataset))
        )
        self._labels = torch.full((len(dataset),), -1) if dataset.labels is None else torch.tensor(dataset.labels)
        self._scans = scans
        self._watches: dict[str, Watch] = {}
        self._same: dict[str, str] = {}
        self._kept = set(kept_samples(dataset.ids))
        self._device = network.device
        self._last: _Passed | None = None
        self._first = True
        self._batch: Batched | None = None

    def visit(self, passing: Passing) -> None:
        """Called by the network with each layer as it comes."""
        assert self._batch is not None
        last = self._last
        if self._first:
            self._meet(passing, last)
        if passing.names[0] not in self._same:
            watch = self._watches[passing.names[0]]
            known = last.seen if last is not None and last.holds(passing.features) else None
            seen = watch.summary(passing.features, known)
            watch.see(seen, self._batch)
            self._last = _Passed(passing, passing.features._version, seen)

    def _meet(self, passing: Passing, last: "_Passed | None") -> None:
        name, *others = passing.names
        # A block ends in its last operation: the same values under two names are looked at once.
        if last is not None and last.holds(passing.features) and last.passing.affine is passing.affine:
            name, others = last.passing.names[0], list(passing.names)
        else:
            inside = inside_of(self._network.layer(name), passing.features.shape, self._network.input_size)
            self._watches[name] = Watch(self._scans[name], passing.affine, self._sources, len(self._kept), inside)
        self._same |= dict.fromkeys(others, name)

    def take(self, batch: Batch, forward: Callable[[Tensor], None]) -> None:
        """Look at one batch."""
        if not batch.samples:
            return
        samples = torch.tensor(batch.samples)
        kept = tuple((place, sample) for place, sample in enumerate(batch.samples) if sample in self._kept)
        sources, labels = self._sources[samples].numpy(), self._labels[samples].numpy()
        self._batch = Batched(samples.numpy(), sources, labels, kept)
        forward(batch.pictures.to(self._device))
        self._first, self._last = False, None

    def found(self) -> dict[str, LayerScan]:
        """Every layer's scan so far; layers that are the same tensor share theirs."""
        scans = {name: watch.scan for name, watch in self._watches.items()}
        return {layer: scans.get(self._same.get(layer, layer), scan) for layer, scan in self._scans.items()}
