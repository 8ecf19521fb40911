"""The commands, and one place where failures become a line on stderr and an exit code."""

import sys
from collections.abc import Sequence

import cyclopts

from lanterna import __version__
from lanterna.cli import autoencode as autoencode_command
from lanterna.cli import dream as dream_command
from lanterna.cli import fool as fool_command
from lanterna.cli import invert as invert_command
from lanterna.cli import look
from lanterna.cli import patterns as patterns_command
from lanterna.cli import replay as replay_command
from lanterna.cli import tour as tour_command
from lanterna.cli import visualize as visualize_command
from lanterna.cli.console import errors
from lanterna.errors import LanternaError

__all__ = ["app", "main"]

app = cyclopts.App(
    name="lanterna",
    help="Shows what a convolutional network sees.",
    version=__version__,
    help_format="plaintext",
)
for command in (
    tour_command.tour,
    look.networks,
    look.layers,
    look.classify,
    visualize_command.visualize,
    invert_command.invert,
    patterns_command.patterns,
    dream_command.dream,
    fool_command.fool,
    autoencode_command.autoencode,
    replay_command.replay,
    look.fetch,
    look.doctor,
):
    app.command(command)


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 4 something is missing, 130 interrupted."""
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except LanternaError as error:
        errors.print(f"lanterna: {error}", markup=False)
        sys.exit(error.exit_code)
    except cyclopts.CycloptsError as error:
        errors.print(f"lanterna: {' '.join(str(error).split())}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("lanterna: interrupted; nothing half-written was left", markup=False)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
