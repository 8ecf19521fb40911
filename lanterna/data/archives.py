"""Zip files of pictures, from anybody: what they claim is checked before anything is unpacked, and what comes out as well."""

import threading
import zipfile
from pathlib import Path

from lanterna.errors import InputError
from lanterna.files import open_regular, zip_list
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


class Archive:
    """Bytes by name, out of a zip file, which stays open; several threads may ask.

    Raises InputError for a list that is too long, OSError and BadZipFile for what is no zip file.
    """

    def __init__(self, path: Path) -> None:
        with open_regular(path) as stream:
            listed = zip_list(stream)[0]
        if listed > _MOST_LISTED:
            raise InputError(
                f"the list of {str(path)!r} has {listed:,} bytes; at most {_MOST_LISTED:,} are read: unpack it to a folder"
            )
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
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The others are unpacked a block at a time, and a block may be as large as memory.
            raise ValueError("it is packed in a way that is not read; stored and deflated members are")
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
