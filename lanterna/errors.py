"""Everything Lanterna raises on purpose.

    LanternaError                 exit code 1
    ├── InputError                exit code 2: wrong usage or input
    │   ├── PictureError              a picture that can't be read or written
    │   ├── UnknownNameError          a name that does not exist, with the nearest matches
    │   ├── UntrustedError            a recipe from outside names what is not loaded without the user's word
    │   └── NetworkError              a network that can't be used as asked
    ├── MissingError              exit code 4: something to install or fetch, the message says the command
    ├── OutOfMemoryError          exit code 1: names the picture size and the batch
    └── StoppedError              exit code 130: a listener asked to stop before there was anything to give back

A message says three things: what was given, what is allowed, the nearest match.
"""

from collections.abc import Iterable

from lanterna.wording import nearest, shortened

__all__ = [
    "InputError",
    "LanternaError",
    "MissingError",
    "NetworkError",
    "OutOfMemoryError",
    "PictureError",
    "StoppedError",
    "UnknownNameError",
    "UntrustedError",
]


class LanternaError(Exception):
    """The root of the tree; `exit_code` is what the command line returns for it."""

    exit_code = 1


class InputError(LanternaError):
    """What was asked can't be done as it was asked."""

    exit_code = 2


class PictureError(InputError):
    """A picture is missing, damaged, not a picture, or can't be written."""


class NetworkError(InputError):
    """A network can't be used as asked: too small an input, NaN in the weights, a wrong shape."""


class UnknownNameError(InputError):
    """A name that does not exist: "layer 'block.5' is not in lite0; did you mean 'blocks.5'? ..."."""

    def __init__(self, kind: str, given: str, known: Iterable[str], *, where: str = "", hint: str = "") -> None:
        self.given = given
        self.matches = nearest(given, known)
        message = f"{kind} {shortened(given)} is not {'in ' + where if where else 'known'}"
        if self.matches:
            message += "; did you mean " + " or ".join(repr(match) for match in self.matches) + "?"
        if hint:
            message += (" " if self.matches else "; ") + hint
        super().__init__(message)


class UntrustedError(InputError):
    """A recipe from outside, a picture's or a file's, names code, files or downloads that the user has not vouched for."""


class MissingError(LanternaError):
    """Something has to be installed or fetched first; the message says the command."""

    exit_code = 4


class OutOfMemoryError(LanternaError):
    """Memory ran out; the message names the picture size and the batch."""


class StoppedError(LanternaError):
    """A listener asked to stop before there was anything to give back, as while a model is trained."""

    exit_code = 130
