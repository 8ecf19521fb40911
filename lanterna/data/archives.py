"""Zip files of pictures, from anybody: what they claim is checked before anything is unpacked, and what comes out as well."""

import io
import os
import struct
import threading
import zipfile
from pathlib import Path

from lanterna.errors import InputError
from lanterna.files import open_regular
from lanterna.pictures.decode import MOST_BYTES

__all__ = ["Archive"]

# Pictures in one archive. More are kept in a folder: the list of an archive is read whole before the first picture.
MOST_MEMBERS = 200_000
# Bytes of that list, with 160 for each member: its name and 46 more.
_MOST_LISTED = MOST_MEMBERS * 160
# Pictures hardly compress. Deflate can reach 1,032, which only a bomb does; a scan in black and white may reach this.
_MOST_RATIO = 200
# Below this a bomb is none.
_SMALL = 1 << 20

_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"


class Archive:
    """Bytes by name, out of a zip file, which stays open; several threads may ask.

    Raises InputError for a list that is too long, OSError and BadZipFile for what is no zip file.
    """

    def __init__(self, path: Path) -> None:
        with open_regular(path) as stream:
            _check_list(stream, str(path))
        # By its path: so the archive closes its file itself.
        self._archive = zipfile.ZipFile(path)
        self._entries = {entry.filename: entry for entry in self._archive.infolist()}
        count = len(self._archive.infolist())
        if count > MOST_MEMBERS:
            self._archive.close()
            raise InputError(f"{str(path)!r} has {count:,} members; at most {MOST_MEMBERS:,} are read")
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The files in it."""
        return [name for name, entry in self._entries.items() if not entry.is_dir()]

    def folders(self) -> list[str]:
        """The folders in it."""
        return [name.rstrip("/") for name, entry in self._entries.items() if entry.is_dir()]

    def read(self, name: str) -> bytes:
        """One file. Raises ValueError where it is larger than a picture can be, as it claims or as it comes out."""
        entry = self._entries[name]
        if entry.file_size > MOST_BYTES:
            raise ValueError(f"it unpacks to {entry.file_size:,} bytes; at most {MOST_BYTES:,} are read")
        if entry.file_size > max(_SMALL, _MOST_RATIO * entry.compress_size):
            ratio = entry.file_size // max(entry.compress_size, 1)
            raise ValueError(f"it unpacks to {ratio:,} times its size, which no picture does; at most {_MOST_RATIO} are read")
        with self._lock, self._archive.open(entry) as member:
            # One more than it claims: what comes out counts.
            content = member.read(entry.file_size + 1)
        if len(content) > entry.file_size:
            raise ValueError(f"it claims {entry.file_size:,} bytes and has more")
        return content


def _check_list(stream: io.BufferedReader, name: str) -> None:
    """Raise InputError where the list of members is longer than is read, without reading it."""
    size = os.fstat(stream.fileno()).st_size
    stream.seek(max(0, size - (1 << 16) - 22))
    tail = stream.read()
    stream.seek(0)
    end = tail.rfind(_END)
    listed = struct.unpack_from("<I", tail, end + 12)[0] if 0 <= end <= len(tail) - 22 else 0
    end64 = tail.rfind(_END64, 0, end) if listed == 0xFFFFFFFF else -1
    if 0 <= end64 <= len(tail) - 56:
        listed = struct.unpack_from("<Q", tail, end64 + 40)[0]
    if listed > _MOST_LISTED:
        raise InputError(
            f"the list of {name!r} has {listed:,} bytes; at most {_MOST_LISTED:,} are read, unpack it to a folder"
        )
