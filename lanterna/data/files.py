"""Pictures in files: a folder, with folders in it as classes, a zip file, or the samples."""

import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

import torch
from torch import Tensor

from lanterna.data.archives import Archive
from lanterna.data.dataset import Dataset
from lanterna.errors import InputError, PictureError
from lanterna.files import expanded, read_regular
from lanterna.pictures.decode import MOST_BYTES, opened, to_floats
from lanterna.pictures.samples import samples
from lanterna.wording import counted

__all__ = ["SUFFIXES", "PictureFiles", "folder", "sample_pictures"]

# What counts as a picture in a folder; everything else in it, labels or notes, is left alone.
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".ppm", ".pgm",
)  # fmt: skip


# How reading from a folder or a zip file fails; what is damaged inside an archive, or locked, fails in ways of its own.
_UNREADABLE = (OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError, zlib.error, lzma.LZMAError)


class _Store(Protocol):
    def read(self, name: str) -> bytes: ...


class _Files:
    """Bytes by id, from files."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def read(self, name: str) -> bytes:
        return read_regular(self._paths[name], MOST_BYTES)


class PictureFiles(Dataset):
    """A data set of picture files, by id from `store`; a file is opened when its picture is read, and not before."""

    def __init__(
        self,
        name: str,
        store: _Store,
        ids: Sequence[str],
        labels: Sequence[int] | None = None,
        classes: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(name, ids, labels, classes, notes)
        self._store = store

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, labels and the bytes of every file."""
        digest = hashlib.sha256(repr((self.ids, self.labels, self.classes)).encode("utf-8", "surrogatepass"))
        for sample in self.ids:
            try:
                digest.update(hashlib.sha256(self._store.read(sample)).digest())
            except _UNREADABLE as error:
                # A file that can't be read is part of what the data is: once it can be, the data is another.
                digest.update(type(error).__name__.encode())
        return digest.hexdigest()

    def read(self, index: int, at_least: int | None = None) -> Tensor:
        """Picture `index` as people see it, (1, 3, H, W); a JPEG is decoded at a reduced size where `at_least` allows."""
        sample = self.ids[index]
        try:
            content = self._store.read(sample)
        except _UNREADABLE as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise PictureError(f"picture {sample!r} can't be read: {reason}") from error
        with opened(content, sample) as image:
            if at_least is not None and image.format == "JPEG":
                image.draft(None, (at_least, at_least))
            floats = to_floats(image, sample, reduced=True)
        return torch.from_numpy(floats)[None]


def sample_pictures() -> PictureFiles:
    """The pictures that come with the installation, by name."""
    found = samples()
    return PictureFiles("samples", _Files(found), sorted(found))


def folder(given: str) -> PictureFiles:
    """The pictures of a folder or a zip file; the folder a picture lies in is its class, where there are several.

    Ids are the paths inside it, with `/`. Hidden files and files that are no pictures by their suffix are left out. Raises
    InputError where there is no such folder, or nothing in it.
    """
    path = expanded(given)
    name = f"folder:{given}"
    if path.exists() and not path.is_dir():
        try:
            archive = Archive(path)
        except (*_UNREADABLE, struct.error) as error:
            raise InputError(f"{given!r} is neither a folder nor a zip file: {error}") from error
        return _classed(name, archive, archive.names(), archive.folders())
    if not path.is_dir():
        near = next(place for place in path.absolute().parents if place.is_dir())
        there = sorted(entry.name for entry in near.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        inside = f"; in {str(near)!r} are: {', '.join(there[:8])}" if there else ""
        raise InputError(f"there is no folder {given!r}{inside}")
    found = dict(_walk(path))
    folders = [directory for directory, content in found.items() if content is None]
    files = {name: content for name, content in found.items() if content is not None}
    return _classed(name, _Files(files), list(files), folders)


def _walk(root: Path) -> Iterator[tuple[str, Path | None]]:
    """Every file with its path inside `root`, and every folder with None; links to folders are followed once.

    In an order that is not the disk's, and folders before links to them: which of two ways to a picture is its id must be the
    same on every machine.
    """
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort(key=lambda name: (Path(place, name).is_symlink(), name))
        inside = Path(place).relative_to(root)
        if inside.parts:
            yield inside.as_posix(), None
        for name in names:
            yield (inside / name).as_posix(), Path(place, name)


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _classed(name: str, store: _Store, names: Sequence[str], folders: Sequence[str]) -> PictureFiles:
    ids = sorted(entry for entry in names if PurePosixPath(entry).suffix.lower() in SUFFIXES and not _hidden(entry))
    if not ids:
        others = sum(not _hidden(entry) for entry in names)
        what = f"{counted(others, 'file')} in it, but no picture by its suffix" if others else "nothing in it"
        raise InputError(f"{name} has {what}; pictures are {', '.join(SUFFIXES[:7])} and the like")
    parents = [PurePosixPath(entry).parent.as_posix() for entry in ids]
    used = set(parents)
    # A folder that only holds folders is no class that has nothing in it.
    outer = {above.as_posix() for place in (*used, *folders) for above in PurePosixPath(place).parents}
    empty = sorted(place for place in folders if place not in used and place not in outer and not _hidden(place))
    notes = [f"{counted(len(empty), 'folder')} without a picture: {', '.join(empty[:5])}"] if empty else []
    classes = sorted(used - {"."})
    if len(classes) < 2:
        return PictureFiles(name, store, ids, notes=notes)
    numbers = {place: number for number, place in enumerate(classes)}
    return PictureFiles(name, store, ids, [numbers.get(place, -1) for place in parents], classes, notes)
