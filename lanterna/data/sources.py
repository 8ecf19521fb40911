"""Data sets by name."""

import gzip
import hashlib
import inspect
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor

from lanterna.data.dataset import Dataset, PictureArray
from lanterna.data.files import folder, sample_pictures
from lanterna.data.idx import read_idx
from lanterna.errors import InputError, MissingError, UnknownNameError
from lanterna.files import expanded
from lanterna.networks import wheels
from lanterna.networks.builtin import MNIST_5K
from lanterna.pictures.read import from_array

__all__ = ["load", "needs_download"]

FORMS = "data is samples, folder:PATH (a folder or a zip file), mnist_5k, fashion_mnist, or torchvision:NAME[@SPLIT]"

# Debian's package dataset-fashion-mnist puts them here.
FASHION_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"),)
FASHION = (
    "T-shirt or top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def load(spec: str, *, download: bool = True) -> Dataset:
    """The data set that `spec` names; without `download` only if it is on this machine, for what nobody asked for.

    - `samples`: the pictures that come with the installation.
    - `folder:PATH`: a folder with pictures, or a zip file; folders in it are classes.
    - `mnist_5k`: 5,000 digits, (1, 28, 28); `lanterna fetch mnist_5k` brings it.
    - `fashion_mnist`: 60,000 pictures of clothes, (1, 28, 28), and `fashion_mnist@test`, 10,000 more.
    - `torchvision:NAME[@SPLIT]`: one of torchvision's labelled data sets, downloaded when named for the first time.

    Raises UnknownNameError for a name that does not exist, InputError for a folder with nothing in it, MissingError where
    something has to be fetched.

    >>> load("samples").ids[1]
    'brick'
    """
    kind, mark, rest = spec.partition(":")
    name, _, split = spec.partition("@")
    if spec == "samples":
        return sample_pictures()
    if spec == "mnist_5k":
        return _mnist_5k()
    if name == "fashion_mnist" and split in ("", "train", "test"):
        return _fashion_mnist(split or "train", download)
    if kind == "folder" and rest:
        return folder(rest)
    if kind == "torchvision" and rest:
        return _torchvision(spec, rest, download)
    known = ["samples", "mnist_5k", "fashion_mnist", "fashion_mnist@test", "folder:PATH", "torchvision:NAME"]
    # A bare path is the usual slip.
    path = expanded(spec)
    if not mark and path.is_file() and path.suffix.lower() != ".zip":
        raise InputError(f"data {spec!r} is a single file; give its folder, or a zip file of pictures, as folder:PATH")
    if not mark and path.exists():
        raise UnknownNameError("data", spec, [f"folder:{spec}"], hint=f"folder:{spec} reads it; {FORMS}")
    raise UnknownNameError("data", spec, known, hint=FORMS)


def needs_download(spec: str) -> bool:
    """Whether `load(spec)` would download the data: a set of torchvision's that is not here. Goes nowhere itself."""
    if not spec.startswith(("torchvision:", "fashion_mnist")):
        return False
    try:
        load(spec, download=False)
    except MissingError:
        return True
    except InputError:
        # It can't be loaded at all, which `load` says.
        return False
    return False


@lru_cache(maxsize=1)
def _mnist_5k() -> PictureArray:
    text = gzip.decompress(wheels.locate(MNIST_5K).read_bytes()).decode()
    rows = np.fromstring(text.replace("\n", ","), dtype=np.float32, sep=",").reshape(-1, 785)
    array = torch.from_numpy(rows[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28))
    return PictureArray("mnist_5k", array, rows[:, -1].astype(int).tolist(), [str(digit) for digit in range(10)])


@lru_cache(maxsize=2)
def _fashion_mnist(split: str, download: bool) -> PictureArray:
    prefix = "train" if split == "train" else "t10k"
    raw = wheels.cache_dir() / "torchvision" / "FashionMNIST" / "raw"
    name = "fashion_mnist" if split == "train" else "fashion_mnist@test"
    for place in (*FASHION_FOLDERS, raw):
        found = [place / f"{prefix}-{part}.gz" for part in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        if all(path.is_file() for path in found):
            images, labels = (read_idx(path) for path in found)
            if images.ndim != 3 or labels.shape != images.shape[:1] or int(labels.max()) >= len(FASHION):
                raise InputError(f"{place} holds no Fashion-MNIST: {tuple(images.shape)} and {tuple(labels.shape)}")
            return PictureArray(name, images[:, None], labels.tolist(), FASHION)
    made = _built("torchvision:FashionMNIST", torchvision.datasets.FashionMNIST, {"train": split == "train"}, download)
    return PictureArray(name, made.data[:, None], made.targets.tolist(), FASHION)


class _Torchvision(Dataset):
    """One of torchvision's data sets; ids are the places in it."""

    def __init__(self, spec: str, inner: Any) -> None:
        count = len(inner)
        classes = [one if isinstance(one, str) else ", ".join(map(str, one)) for one in getattr(inner, "classes", ())]
        width = max(5, len(str(max(count - 1, 0))))
        super().__init__(spec, [f"{i:0{width}d}" for i in range(count)], _labels(inner), classes)
        self.inner = inner

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the array where the set is one in memory, else over its description and length."""
        said = repr((self.name, len(self), self.labels, self.classes, torchvision.__version__, repr(self.inner)))
        digest = hashlib.sha256(said.encode())
        array = getattr(self.inner, "data", None)
        if isinstance(array, np.ndarray):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def read(self, index: int, at_least: int | None = None) -> Tensor:
        """Picture `index`, (1, 3, H, W)."""
        picture = self.inner[index][0]
        if not isinstance(picture, Image.Image):
            raise InputError(f"{self.name} holds {type(picture).__name__} and no pictures; name a set of labelled pictures")
        return from_array(picture)


def _labels(inner: Any) -> list[int] | None:
    """A class number for each picture, wherever this one of torchvision's sets keeps them; None where it has none."""
    for name in ("targets", "labels", "_labels"):
        found = getattr(inner, name, None)
        found = found.tolist() if isinstance(found, np.ndarray | Tensor) else found
        if isinstance(found, Sequence) and len(found) == len(inner) and all(isinstance(one, int) for one in found):
            return list(found)
    return None


def _torchvision(spec: str, rest: str, download: bool) -> Dataset:
    name, at, split = rest.partition("@")
    sets = torchvision.datasets
    known = [entry for entry in sets.__all__ if inspect.isclass(getattr(sets, entry))]
    if name not in known:
        raise UnknownNameError("data", spec, [f"torchvision:{entry}" for entry in known], hint=FORMS)
    chosen = getattr(sets, name)
    accepted = inspect.signature(chosen.__init__).parameters
    options: dict[str, Any] = {}
    if "train" in accepted:
        if split not in ("", "train", "test"):
            raise InputError(f"{spec} has no split {split!r}; it has train and test")
        options["train"] = split != "test"
    elif "split" in accepted and split:
        options["split"] = split
    elif at:
        raise InputError(f"torchvision:{name} has no splits; leave out @{split}")
    inner = _built(spec, chosen, options, download)
    array = getattr(inner, "data", None)
    if isinstance(array, Tensor) and array.dtype == torch.uint8 and array.ndim == 3:
        return PictureArray(spec, array[:, None], _labels(inner), [str(one) for one in getattr(inner, "classes", ())])
    return _Torchvision(spec, inner)


def _built(spec: str, chosen: Any, options: dict[str, Any], download: bool) -> Any:
    """The set from the cache, downloaded where it is not there yet and may be."""
    accepted = inspect.signature(chosen.__init__).parameters
    root = {"root": str(wheels.cache_dir() / "torchvision")} if "root" in accepted else {}
    fetched = {"download": download} if "download" in accepted else {}
    try:
        made = chosen(**root, **fetched, **options)
        len(made)  # a base class has none
        return made
    except NotImplementedError as error:
        raise InputError(f"{spec} is no set of pictures, only what others are made of; {FORMS}") from error
    except ImportError as error:
        how = f"pip install {error.name}" if error.name else str(error)
        raise MissingError(f"{spec} needs a package that is not here: {how}") from error
    except (OSError, RuntimeError) as error:
        if not download:
            raise MissingError(f"{spec} is not here, and is only downloaded when it is named as the data") from error
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(":")
        raise MissingError(f"{spec} is not here and can't be downloaded ({reason}); connect and run it again") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{spec} can't be opened: {error}") from error
