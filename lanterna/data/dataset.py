"""What a data set is: pictures with stable ids, in a fixed order, and classes where it has them."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from lanterna.errors import InputError, PictureError
from lanterna.wording import counted

__all__ = ["Dataset", "PictureArray", "require_readable"]


# Pictures that can't be read, each told with its reason.
_REASONS = 8


def require_readable(dataset: "Dataset") -> None:
    """Raise InputError, with a line for each picture, where none of them can be read."""
    reasons: list[str] = []
    for index in range(len(dataset)):
        try:
            dataset.read(index, at_least=1)
        except PictureError as error:
            reasons.append(str(error))
            continue
        return
    more = [f"and {len(reasons) - _REASONS:,} more"] if len(reasons) > _REASONS else []
    lines = "\n".join([*reasons[:_REASONS], *more])
    raise InputError(f"no picture of {dataset.name} can be read ({counted(len(reasons), 'picture')}):\n{lines}")


class Dataset:
    """Pictures in the order of their ids. `load` makes one; subclasses say how a picture is read.

    `ids` are stable: the same sample has the same id tomorrow. `labels` has a class number for each picture, -1 for none,
    or is None where the data has no classes; `classes` are their names. `notes` says in words what a person should know,
    such as a class folder with nothing in it.
    """

    def __init__(
        self,
        name: str,
        ids: Sequence[str],
        labels: Sequence[int] | None = None,
        classes: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.ids = tuple(ids)
        self.labels = None if labels is None else tuple(int(label) for label in labels)
        self.classes = tuple(classes)
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        classes = counted(len(self.classes), "class", "classes")
        return f"{type(self).__name__}({self.name!r}, {counted(len(self), 'picture')}, {classes})"

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 of all that the pictures and labels are made of: the same content gives the same, and no other."""
        raise NotImplementedError

    def read(self, index: int, at_least: int | None = None) -> Tensor:
        """Picture `index`, (1, C, H, W) in [0, 1], C 1 or 3, at its own size. Raises PictureError where it can't be read.

        With `at_least`, a picture whose sides stay this many pixels or more may come reduced, where that is cheaper (JPEG).
        """
        raise NotImplementedError

    def source(self, index: int) -> int:
        """The number of the picture that sample `index` comes from: its own, unless samples are parts of pictures."""
        return index

    def index(self, sample: str) -> int:
        """The place of the sample with this id. Raises InputError."""
        if sample not in self._places:
            raise InputError(f"{self.name} has no sample {sample!r}; its ids are such as {self.ids[0]!r}")
        return self._places[sample]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {sample: place for place, sample in enumerate(self.ids)}

    def pictures(self, indices: Iterable[int] | None = None) -> Tensor:
        """Some pictures, or all, as one tensor (B, C, H, W) in [0, 1]. Raises InputError where their sizes differ."""
        found = [self.read(index) for index in (range(len(self)) if indices is None else indices)]
        if not found:
            raise InputError(f"no picture of {self.name} was asked for")
        if len({picture.shape for picture in found}) > 1:
            raise InputError(f"the pictures of {self.name} differ in size, so they make no batch; read them one by one")
        return torch.cat(found)


class PictureArray(Dataset):
    """A data set that is one array in memory: uint8 (N, C, H, W), C 1 or 3."""

    def __init__(
        self,
        name: str,
        array: Tensor,
        labels: Sequence[int] | None = None,
        classes: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        if array.ndim != 4 or array.shape[1] not in (1, 3) or array.dtype != torch.uint8:
            given = f"{array.dtype} {tuple(array.shape)}"
            raise InputError(f"{name} is not an array of pictures: {given} was given, uint8 (N, C, H, W) with C 1 or 3 is")
        width = max(5, len(str(max(len(array) - 1, 0))))
        super().__init__(name, [f"{i:0{width}d}" for i in range(len(array))], labels, classes, notes)
        self.array = array

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shape, bytes and labels."""
        digest = hashlib.sha256(repr((tuple(self.array.shape), self.labels, self.classes)).encode())
        digest.update(self.array.contiguous().numpy().data)
        return digest.hexdigest()

    def read(self, index: int, at_least: int | None = None) -> Tensor:
        """Picture `index`, (1, C, H, W) in [0, 1]."""
        # By a number, not by a slice, which would be empty where there is no such picture.
        return self.array[index][None].float() / 255

    def pictures(self, indices: Iterable[int] | None = None) -> Tensor:
        """Some pictures, or all, as one tensor (B, C, H, W) in [0, 1]."""
        chosen = self.array if indices is None else self.array[torch.tensor(list(indices), dtype=torch.long)]
        if not len(chosen):
            raise InputError(f"no picture of {self.name} was asked for")
        return chosen.float() / 255
