"""Files: read only where they are regular and no larger than expected, written whole or not at all."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
import struct
import tempfile
import time
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lanterna.errors import LanternaError

__all__ = [
    "check_regular",
    "claimed",
    "expanded",
    "new_folder",
    "open_regular",
    "read_regular",
    "remove_temporary",
    "replace_file",
    "replace_in_cache",
    "temporary_name",
    "try_folder",
    "write_json",
    "zip_list",
]

# Seconds after which nobody writes to a temporary file any more: the largest takes a minute.
_ABANDONED = 3600.0

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in the place of ~; where there is no such user, ~ is part of the name."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def open_regular(path: Path) -> BufferedReader:
    """The file at `path`, open for reading. Raises OSError at once for a pipe, a device, a socket or a folder.

    Opening a pipe waits for somebody who writes, and a device may never end.
    """
    # A socket can't be opened at all, and Windows has no flag for the rest and no such files.
    _refuse_special(path.stat().st_mode, path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        # Asked again of what was opened: the name may lead elsewhere by now.
        _refuse_special(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def zip_list(stream: BufferedReader) -> tuple[int, int, int]:
    """Of a zip file, the size of its list of members, the place it claims for it, and the place where it lies; or zeros.

    Without reading the list. Programs differ in which of the two places they believe.
    """
    size = os.fstat(stream.fileno()).st_size
    start = max(0, size - (1 << 16) - 22 - 20 - 56)
    stream.seek(start)
    tail = stream.read()
    stream.seek(0)
    end = tail.rfind(b"PK\5\6")
    if not 0 <= end <= len(tail) - 22:
        return 0, 0, 0
    listed, offset = struct.unpack_from("<II", tail, end + 12)
    lies = start + end - listed
    # Zip64 has a record of its own before that, which is believed wherever it is.
    large = tail.rfind(b"PK\6\6", 0, end)
    if 0 <= large <= len(tail) - 56:
        listed, offset = struct.unpack_from("<QQ", tail, large + 40)
        # Found by its place here, and by its address elsewhere.
        address = struct.unpack_from("<Q", tail, end - 12)[0] if tail[end - 20 : end - 16] == b"PK\6\7" else -1
        lies = start + large - listed if address == start + large else -1
    return listed, offset, lies


def check_regular(path: Path) -> None:
    """Raise OSError where `path` is no regular file, for a library that opens it itself."""
    _refuse_special(path.stat().st_mode, path)


def _refuse_special(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(f"{str(path)!r} is {_KINDS.get(stat.S_IFMT(mode), 'something')} and no regular file")


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most`. Raises OSError for another file, and for a larger one."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # The size is what is claimed: files of the kernel claim none and have some.
        content = b"" if size > most else file.read(most + 1)
    if max(size, len(content)) > most:
        raise OSError(f"{str(path)!r} has {max(size, len(content)):,} bytes; at most {most:,} are read")
    return content


def temporary_name(folder: Path) -> Path:
    """A name in `folder` for what is not whole yet."""
    # `secrets`, as the global random generator is the caller's; not made of the target's name, which may be as long as
    # names can be; not mkstemp, whose files are for one user only, where a cache may be shared.
    return folder / f".lanterna-{secrets.token_hex(8)}.tmp"


def try_folder(folder: Path) -> None:
    """Raise OSError where no file can be made in `folder`."""
    # Tried, not asked: permission bits tell little about network drives, full quotas and Windows.
    probe = temporary_name(folder)
    probe.touch(exist_ok=False)
    probe.unlink()


@contextlib.contextmanager
def claimed(target: Path) -> Iterator[None]:
    """`target`, a file or folder, for this process alone while the block runs. Raises LanternaError where another has it."""
    # The lock is not beside the target, whose folder may not be there yet, or may be shown to people.
    name = hashlib.sha256(os.fsencode(expanded(target).resolve())).hexdigest()[:32]
    user = os.getuid() if hasattr(os, "getuid") else ""
    lock = FileLock(Path(tempfile.gettempdir(), f"lanterna-{user}-{name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LanternaError(f"another run is writing to {target}; wait for it, or give another --out") from error
    except OSError:
        # Nowhere to keep a lock: as without one, the last to finish wins.
        yield
        return
    try:
        yield
    finally:
        # While it is held: who opens it later makes a new one.
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def remove_temporary(folder: Path, *, seconds: float = 0.0) -> None:
    """Remove from `folder` what a kill left half written, and has not changed for `seconds`: others may be writing there."""
    for file in folder.glob(".lanterna-*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime >= seconds:
                file.unlink()


def replace_in_cache(target: Path, chunks: Iterable[bytes]) -> None:
    """`replace_file` for what is only kept to save time: a cache that can't be written is no reason to fail."""
    with contextlib.suppress(OSError):
        replace_file(target, chunks)
        remove_temporary(target.parent, seconds=_ABANDONED)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """`folder`, which need not be there, to write into; where the block fails, what was made of folders is gone again."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        # Innermost first, and none that something was put into.
        with contextlib.suppress(OSError):
            for one in made:
                one.rmdir()
        raise


def replace_file(target: Path, chunks: Iterable[bytes]) -> None:
    """Write `target`, and its folder where there is none: no reader and no crash ever sees half a file.

    A link keeps pointing where it did. Raises OSError, which names `target`; the file that was there before then still is,
    and a folder that was not there is not there.
    """
    real = target.resolve()
    temporary = temporary_name(real.parent)
    try:
        with new_folder(real.parent):
            try:
                with temporary.open("xb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(real)
            finally:
                # Also on Ctrl-C; after the rename it is gone already.
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
    except OSError as error:
        # A full disk says nothing about the file that did not fit.
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error


def write_json(target: Path, value: Any) -> Path:
    """Write `value` for people and machines to read; gives `target` back. Raises OSError as `replace_file` does."""
    # The name of a file may hold half a surrogate pair, which JSON can say and UTF-8 can't.
    replace_file(target, [json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")])
    return target
