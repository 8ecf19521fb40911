"""Checkpoints of long runs: kept where the user says, else beside the result once a run takes more than a minute."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from lanterna.cli.console import errors
from lanterna.errors import InputError

__all__ = ["Checkpoint"]

S = TypeVar("S")

# Of shorter runs less is lost than a file beside the result would surprise.
_SECONDS = 60.0


@dataclass
class Checkpoint(Generic[S]):
    """Where a run's state is kept, and when.

    `given` is the user's own file, kept from the first step on; without it the file lies beside `out`. `read` and `write`
    know the format: `read` gives None where there is no file, and raises InputError for one of another run.
    """

    given: Path | None
    out: Path
    read: Callable[[Path], S | None]
    write: Callable[[S, Path], None]
    _begun: float = field(default_factory=time.monotonic)
    stopping: Callable[[], bool] = field(default=lambda: False)

    def __post_init__(self) -> None:
        if self.given is not None and not self.given.absolute().parent.is_dir():
            raise InputError(f"--checkpoint {self.given}: there is no folder {self.given.absolute().parent}")

    @property
    def path(self) -> Path:
        """The file."""
        return self.given or self.out.with_name(f"{self.out.name}.checkpoint")

    def resume(self, *, quiet: bool) -> S | None:
        """The state to go on from, or None. A file of another run is refused where the user named it, else replaced."""
        try:
            state = self.read(self.path)
        except InputError:
            if self.given is not None:
                raise
            return None
        if state is not None and self.given is None and not quiet:
            errors.print(f"going on from {self.path}; delete it to begin anew", markup=False)
        return state

    def keep(self, state: S) -> None:
        """Keep `state` if it is time to. Beside the result, where nobody asked for it, a full disk is no reason to fail."""
        if self.given is not None:
            self.write(state, self.path)
        elif self.stopping() or time.monotonic() - self._begun > _SECONDS:
            # So at most once a minute: of a large picture the state is large.
            self._begun = time.monotonic()
            try:
                self.write(state, self.path)
            except OSError as error:
                errors.print(f"warning: no checkpoint is kept in {self.path}: {error.strerror or error}", markup=False)

    def remove(self) -> None:
        """Remove the file, once the result is safe."""
        self.path.unlink(missing_ok=True)

    def unfinished(self, done: str) -> str:
        """What to tell of a run that was stopped after `done`."""
        if self.path.exists():
            return f"unfinished, {done}: the same command goes on from {self.path}"
        return f"unfinished, {done}; the same command begins anew"
