"""Files that are written whole or not at all: under a name of their own first, then renamed."""

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

__all__ = ["remove_temporary", "replace_file", "temporary_name"]


def temporary_name(folder: Path) -> Path:
    """A name in `folder` for what is not whole yet."""
    # `secrets`, as the global random generator is the caller's; not made of the target's name, which may be as long as
    # names can be; not mkstemp, whose files are for one user only, where a cache may be shared.
    return folder / f".lanterna-{secrets.token_hex(8)}.tmp"


def remove_temporary(folder: Path) -> None:
    """Remove from `folder` what a kill left half written. Nothing else may be writing there."""
    for file in folder.glob(".lanterna-*.tmp"):
        file.unlink(missing_ok=True)


def replace_file(target: Path, chunks: Iterable[bytes]) -> None:
    """Write `target`, and its folder where there is none: no reader and no crash ever sees half a file.

    A link keeps pointing where it did. Raises OSError, which names `target`; the file that was there before then still is,
    and a folder that was not there is not there.
    """
    real = target.resolve()
    made = [folder for folder in real.parents if not folder.exists()]
    temporary = temporary_name(real.parent)
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(real)
    except OSError as error:
        # A full disk says nothing about the file that did not fit.
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error
    finally:
        # Also on Ctrl-C; after the rename it is gone already.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Of folders, those that are empty: innermost first, and none that somebody else has put something into.
        with contextlib.suppress(OSError):
            for folder in [] if real.exists() else made:
                folder.rmdir()
