"""The commands, and one place where failures become a line on stderr and an exit code."""

import sys
from collections.abc import Sequence

import cyclopts

from lanterna import __version__
from lanterna.cli.console import errors, typed
from lanterna.errors import LanternaError, UnknownNameError

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


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 3 part of it failed, 4 something is missing, 130
    interrupted."""
    given = list(sys.argv[1:] if tokens is None else tokens)
    typed.set(tuple(given))
    try:
        if given and not given[0].startswith("-"):
            if given[0] not in COMMANDS:
                raise UnknownNameError("command", given[0], COMMANDS, hint="`lanterna --help` lists all")
            # The summary is for the list; the command's own help says more.
            app[given[0]].help = None
        code = app(given, exit_on_error=False, print_error=False, result_action="return_value")
    except LanternaError as error:
        errors.print(f"lanterna: {error}", markup=False)
        sys.exit(error.exit_code)
    except cyclopts.CycloptsError as error:
        verb = " ".join(["lanterna", *given[:1]])
        said = _surplus(error, verb) if isinstance(error, cyclopts.UnusedCliTokensError) else " ".join(str(error).split())
        told = f"{said} `{verb} --help` tells more"
        errors.print(f"lanterna: {told}", markup=False)
        sys.exit(2)
    except OSError as error:
        # A full disk, a folder that vanished: what nobody nearer could foresee.
        where = f" ({error.filename})" if error.filename else ""
        errors.print(f"lanterna: {error.strerror or error}{where}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("lanterna: interrupted; nothing half-written was left", markup=False)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
