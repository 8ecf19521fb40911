"""Words that many messages need: a number with its noun, the names that a misspelt one may have meant, names of strangers."""

import difflib
import re
from collections.abc import Iterable

__all__ = ["counted", "duration", "figure_text", "listed", "nearest", "shortened", "spelled", "visible"]

# One slip in three letters comes to two thirds; at a half, "rope" would be meant for "hose".
_ALIKE = 0.65
# Longer than any name; comparing takes the square of it, and a message is read.
_LONG = 160
# Control characters except tab and line feed; marks that turn the direction of the text after them or break its line; and
# halves of surrogate pairs, which stand for the bytes of a file name that is not UTF-8 and can't be written.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")

# A message stays within a few lines of a terminal.
_MOST_NAMES = 8


def counted(count: int, noun: str, nouns: str | None = None) -> str:
    """`count` with its noun: "1 picture", "5,000 pictures"; `nouns` is the plural where it is not `noun` and an s.

    >>> counted(1, "pass", "passes")
    '1 pass'
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """A time as people say it, no finer than it can be foretold: "20 seconds", "12 minutes", "1.5 hours".

    >>> duration(750)
    '12 minutes'
    """
    if seconds < 90:
        # A multiple of five.
        return counted(max(5, 5 * round(seconds / 5)), "second")
    return counted(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def listed(names: Iterable[str], most: int = _MOST_NAMES) -> str:
    """The `names` with commas; of more than `most`, the first and how many more there are.

    >>> listed(["conv1", "conv2", "conv3"], most=2)
    'conv1, conv2 and 1 more'
    """
    every = list(names)
    left = len(every) - most
    return ", ".join(every) if left <= 0 else f"{', '.join(every[:most])} and {left:,} more"


def nearest(given: str, known: Iterable[str]) -> list[str]:
    """Up to three of the `known` names that `given` may have meant, the likeliest first; case does not count.

    >>> nearest("Chelsae", ["chelsea", "coffee"])
    ['chelsea']
    """
    spelled = {name.lower(): name for name in known}
    return [spelled[match] for match in difflib.get_close_matches(given[:_LONG].lower(), spelled, n=3, cutoff=_ALIKE)]


def shortened(value: object) -> str:
    """How `value` is written in a message: as Python does, with the middle left out where it is long.

    >>> shortened("lanterna")
    "'lanterna'"
    """
    try:
        text = repr(value)
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]}...{text[-_LONG // 4 :]}"


def visible(text: str) -> str:
    """`text` with what can't be seen spelled out as in Python: a name of a stranger then changes nothing beside it.

    >>> visible("\\u202egnp.jpg")
    '\\\\u202egnp.jpg'
    """
    return _UNSEEN.sub(lambda match: ascii(match[0])[1:-1], text)


def spelled(json_text: str) -> str:
    """JSON with what can't be seen spelled out, which JSON can do: it says the same."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def figure_text(name: str) -> str:
    """A stranger's name for matplotlib, which takes what stands between two dollars for a formula.

    >>> figure_text("$x$")
    '\\\\$x\\\\$'
    """
    # A label that starts with _ is left out of legends.
    return (" " if name.startswith("_") else "") + visible(name).replace("$", r"\$")
