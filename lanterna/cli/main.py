"""The commands, and one place where failures become a line on stderr and an exit code."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import cyclopts

from lanterna import __version__
from lanterna.cli.console import errors, typed
from lanterna.errors import LanternaError, UnknownNameError
from lanterna.wording import shortened

__all__ = ["COMMANDS", "app", "main"]

# Where each command is, and what the list of commands says about it: the first sentence of its own help, said here
# again because finding it there would import torch.
COMMANDS = {
    "tour": ("tour:tour", "One page, for PICTURE and this network, that opens from disk."),
    "networks": ("look:networks", "The networks that are built in, and where others come from."),
    "layers": (
        "look:layers",
        "The layers of NETWORK: name, kind, output shape, receptive field, stride, parameters.",
    ),
    "classify": ("look:classify", "The best classes of each PICTURE, which is a file or the name of a sample picture."),
    "visualize": (
        "visualize:visualize",
        "Pictures that excite each UNIT: LAYER:CHANNEL, LAYER:CHANNEL@ROW,COLUMN, LAYER:0-5, or logits:CLASS.",
    ),
    "patterns": (
        "patterns:patterns",
        "The places in real pictures that excite each UNIT most, and the pattern it sees there: "
        "LAYER:CHANNEL, LAYER:0-5, LAYER.",
    ),
    "invert": (
        "invert:invert",
        "Recreate a picture from what each LAYER of NETWORK says about it; LAYER may be all, a dozen through the depth.",
    ),
    "dream": ("dream:dream", "Ask a layer for more of whatever it sees in PICTURE, again and again."),
    "stylize": (
        "stylize:stylize",
        "Paint CONTENT, a picture or a clip, in the style of each STYLE: files or sample pictures.",
    ),
    "texture": ("stylize:texture", "More of the texture of STYLE, at any size, from noise."),
    "style-distance": (
        "style_distance:style_distance",
        "How far FIRST is from SECOND in style, layer by layer: 0 is the same, about 1 a picture without features.",
    ),
    "fool": (
        "fool:fool",
        "Change PICTURE so little that nobody sees it until the network sees another class, or make noise it is certain of.",
    ),
    "manifold": (
        "manifold:manifold",
        "Why classifiers are easily fooled, and what a generative one does better: figures, numbers, one page.",
    ),
    "autoencode": (
        "autoencode:autoencode",
        "Train autoencoders, judge them on held-out pictures, and show what they keep and lose: one page.",
    ),
    "replay": (
        "replay:replay",
        "Make PICTURE again from the recipe that is inside it: same machine, same thread count, same bits.",
    ),
    "fetch": (
        "look:fetch",
        "Bring networks and data that are not there yet, by pip.",
    ),
    "doctor": (
        "look:doctor",
        "Versions, device, cache, what is fetched, and what is missing with the command that gets it.",
    ),
}

# Of a message about a flag, which repeats what was given.
_LONGEST = 500

app = cyclopts.App(
    name="lanterna",
    help="Shows what a convolutional network sees.",
    version=__version__,
    help_format="plaintext",
    # Or Ctrl-C ends a command without a word.
    suppress_keyboard_interrupt=False,
)
for _name, (_place, _summary) in COMMANDS.items():
    app.command(f"lanterna.cli.{_place}", name=_name, help=_summary)


def _surplus(error: cyclopts.UnusedCliTokensError, verb: str) -> str:
    """What was given beyond what the command takes: a name with a space in it, more often than not."""
    words = error.unused_tokens or []
    listed, are = ", ".join(map(repr, words)), "is" if len(words) == 1 else "are"
    return f"{listed} {are} more than `{verb}` takes; a name with spaces needs quotes around it."


@contextmanager
def _terminated_as_interrupted() -> Iterator[list[int]]:
    """SIGTERM asks to stop as Ctrl-C does, so that what is finished is saved; the list tells that it came."""
    came: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, previous)


def _with_streams() -> None:
    """Give the process streams where it was started without: what it says then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open for as long as the process is.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def _told(error: OSError) -> str:
    """What nobody nearer could foresee: a full disk, a folder that vanished, a reader who went away."""
    if isinstance(error, BrokenPipeError):
        # Or Python complains once more when it ends.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        return "the output was closed before all of it was written"
    where = f" ({shortened(str(error.filename))})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0 done, 1 failed, 2 wrong usage or input, 3 part of it failed, 4 something is missing, 130 interrupted, 143 the same by
    SIGTERM.
    """
    _with_streams()
    given = list(sys.argv[1:] if tokens is None else tokens)
    typed.set(tuple(given))
    with _terminated_as_interrupted() as terminated:
        try:
            code = _run(given)
            # Here, where a failure can still be told.
            sys.stdout.flush()
        except KeyboardInterrupt:
            errors.print("lanterna: interrupted; nothing half-written was left", markup=False)
            code = 130
        except OSError as error:
            errors.print(f"lanterna: {_told(error)}", markup=False)
            # A name that no file can have is the user's slip; the rest is the machine's.
            code = 2 if error.errno == errno.ENAMETOOLONG else 1
    sys.exit(128 + terminated[0] if terminated and code == 130 else code)


def _run(given: Sequence[str]) -> int:
    """Run one command; gives its exit code."""
    try:
        if given and not given[0].startswith("-"):
            if given[0] not in COMMANDS:
                raise UnknownNameError("command", given[0], COMMANDS, hint="`lanterna --help` lists all")
            # The summary is for the list; the command's own help says more.
            app[given[0]].help = None
        code = app(given, exit_on_error=False, print_error=False, result_action="return_value")
    except LanternaError as error:
        errors.print(f"lanterna: {error}", markup=False)
        return error.exit_code
    except cyclopts.CycloptsError as error:
        verb = " ".join(["lanterna", *given[:1]])
        said = _surplus(error, verb) if isinstance(error, cyclopts.UnusedCliTokensError) else " ".join(str(error).split())
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
        errors.print(f"lanterna: {said} `{verb} --help` tells more", markup=False)
        return 2
    except (MemoryError, RuntimeError) as error:
        # torch's allocator raises RuntimeErrors of several kinds.
        if not isinstance(error, MemoryError) and "allocate" not in str(error) and "out of memory" not in str(error):
            raise
        errors.print("lanterna: memory ran out; ask for a smaller --size, or for fewer at a time", markup=False)
        return 1
    return code if isinstance(code, int) else 0
