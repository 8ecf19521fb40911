"""What a person sees on the terminal: results on stdout, progress and errors on stderr."""

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from lanterna.events import STOP, Done, Entered, Event, Expected, Listener, Started, Stepped
from lanterna.wording import duration, spelled, visible

__all__ = ["Stopper", "errors", "print_json", "results", "stopping_after", "typed", "typed_command", "watching"]


class _Console(Console):
    """A console on which a stranger's name is text: control characters, which could move the cursor, are spelled out."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(visible(one) if isinstance(one, str) else one for one in objects), **options)

    def on_broken_pipe(self) -> None:
        """A reader who goes away is told of where every other failure is."""
        raise BrokenPipeError


results = _Console(highlight=False, soft_wrap=True, emoji=False)
errors = _Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

# What stands behind `lanterna` on the command line, for who repeats it.
typed: ContextVar[tuple[str, ...]] = ContextVar("typed")


def typed_command() -> str | None:
    """The command as it was typed, quoted for a shell; None where no command line runs."""
    words = typed.get(None)
    return None if words is None else shlex.join(["lanterna", *words])


def print_json(value: Any) -> None:
    """One JSON object on stdout, for machines."""
    sys.stdout.write(spelled(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


class Stopper:
    """First Ctrl-C asks to stop after the step that runs; the second stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        errors.print("stopping after this step; Ctrl-C again stops at once")

    @contextmanager
    def installed(self) -> Iterator["Stopper"]:
        """Listen for Ctrl-C inside the block; the previous handler is back afterwards."""
        previous = signal.signal(signal.SIGINT, self._handle)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, previous)


@contextmanager
def watching(title: str, *, quiet: bool, share: bool = False, stopper: Stopper | None = None) -> Iterator[Listener]:
    """A listener that draws a bar with the time left and passes Ctrl-C on to the loop; `share` counts in percent.

    `stopper` is for who wants to know afterwards whether Ctrl-C came.
    """
    stop = stopper or Stopper()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn() if share else MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    progress = Progress(*columns, console=errors, disable=quiet)
    task = progress.add_task(title, total=None)
    # Drawn from the first event on: where the input is wrong, the error is all there is to see.
    started = finished = False

    def listen(event: Event) -> Literal["stop"] | None:
        nonlocal started, finished
        if isinstance(event, Started):
            progress.update(task, total=event.steps)
            progress.start()
            started = True
        elif isinstance(event, Stepped):
            progress.update(task, completed=event.step)
        elif isinstance(event, Entered):
            progress.update(task, description=f"{title}: {event.title}")
        elif isinstance(event, Expected) and not quiet:
            errors.print(f"{title}: about {duration(event.seconds)} on this machine", markup=False)
        elif isinstance(event, Done):
            finished = not event.stopped
        return STOP if stop.asked else None

    with stop.installed():
        try:
            yield listen
            if finished:
                # What was found early leaves steps over.
                progress.update(task, completed=progress.tasks[task].total)
        finally:
            if started:
                progress.stop()


def stopping_after(listen: Listener, steps: int | None) -> Listener:
    """`listen`, which also asks to stop once `steps` are done, as the user once did; None leaves that to `listen`."""

    def listen_until(event: Event) -> Literal["stop"] | None:
        asked = listen(event)
        done = event.step if isinstance(event, Stepped) else 0
        return STOP if isinstance(event, Started | Stepped) and done == steps else asked

    return listen_until
