"""Words that many messages need: a number with its noun, and the names that a misspelt one may have meant."""

import difflib
from collections.abc import Iterable

__all__ = ["counted", "duration", "nearest"]

# One slip in three letters comes to two thirds; at a half, "rope" would be meant for "hose".
_ALIKE = 0.65


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


def nearest(given: str, known: Iterable[str]) -> list[str]:
    """Up to three of the `known` names that `given` may have meant, the likeliest first; case does not count.

    >>> nearest("Chelsae", ["chelsea", "coffee"])
    ['chelsea']
    """
    spelled = {name.lower(): name for name in known}
    return [spelled[match] for match in difflib.get_close_matches(given.lower(), spelled, n=3, cutoff=_ALIKE)]
