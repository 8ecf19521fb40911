"""Words that many messages need: a number with its noun, and the names that a misspelt one may have meant."""

import difflib
from collections.abc import Iterable

__all__ = ["counted", "nearest", "shortened"]

# One slip in three letters comes to two thirds; at a half, "rope" would be meant for "hose".
_ALIKE = 0.65
# Longer than any name; comparing takes the square of it, and a message is read.
_LONG = 160


def counted(count: int, noun: str, nouns: str | None = None) -> str:
    """`count` with its noun: "1 picture", "5,000 pictures"; `nouns` is the plural where it is not `noun` and an s.

    >>> counted(1, "pass", "passes")
    '1 pass'
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


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
    text = repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG // 2]}...{text[-_LONG // 4 :]}"
