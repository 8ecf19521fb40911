"""Batches of pictures for a network, read and decoded on another core while the first computes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil

import torch
from torch import Tensor

from lanterna.data import Crops, Dataset
from lanterna.errors import PictureError
from lanterna.networks.network import Network

__all__ = ["Batch", "batches", "fitted"]

_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """`pictures` (B, C, H, W) in [0, 1] of `samples`, and the samples that could not be read, with the reason.

    `upto` is the sample after the last one, read or not: where a pass goes on. Where nothing could be read `pictures` is
    empty, (0,).
    """

    pictures: Tensor
    samples: tuple[int, ...]
    unreadable: tuple[tuple[int, str], ...]
    upto: int


def fitted(network: Network, dataset: Dataset, index: int) -> Tensor:
    """Sample `index` as the network sees it, (1, C, H, W) in [0, 1]. Raises PictureError."""
    preprocessing = network.preprocessing
    if isinstance(dataset, Crops):
        # The crop is what is to be seen: its edges are not cut off again.
        preprocessing = replace(preprocessing, crop=1.0)
    # Twice the side that is needed: what draft decoding leaves out is then beyond what the resize keeps.
    picture = dataset.read(index, at_least=ceil(2 * max(preprocessing.size) / preprocessing.crop))
    shown = preprocessing.fit(picture)
    if network.channels == 3 and shown.shape[1] == 1:
        shown = shown.expand(-1, 3, -1, -1)
    return shown


def _read(network: Network, dataset: Dataset, indices: Sequence[int]) -> Batch:
    found: list[Tensor] = []
    samples: list[int] = []
    unreadable: list[tuple[int, str]] = []
    for index in indices:
        try:
            found.append(fitted(network, dataset, index))
        except PictureError as error:
            unreadable.append((index, str(error)))
            continue
        samples.append(index)
    pictures = torch.cat(found) if found else torch.zeros(0)
    return Batch(pictures, tuple(samples), tuple(unreadable), indices[-1] + 1)


def batches(network: Network, dataset: Dataset, indices: range, size: int) -> Iterator[Batch]:
    """The samples of `indices` in order, `size` at a time; the next ones are decoded by a thread of their own meanwhile."""
    pieces = iter([indices[i : i + size] for i in range(0, len(indices), size)])
    with ThreadPoolExecutor(1, thread_name_prefix="lanterna-decode") as pool:
        waiting: list[Future[Batch]] = []
        try:
            for piece in pieces:
                waiting.append(pool.submit(_read, network, dataset, piece))
                if len(waiting) > _AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
