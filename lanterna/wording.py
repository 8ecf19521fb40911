"""Words that many messages need: a number with its noun, and the names that a misspelt one may have meant."""

import difflib
from collections.abc import Iterable

__all__ = ["counted", "listed", "nearest"]

# One slip in three letters comes to two thirds; at a half, "rope" would be meant for "hose".
_ALIKE = 0.65

# A message stays within a few lines of a terminal.
_MOST_NAMES = 8


def counted(count: int, noun: str, nouns: str | None = None) -> str:
    """`count` with its noun: "1 picture", "5,000 pictures"; `nouns` is the plural where it is not `noun` and an s.

    >>> counted(1, "pass", "passes")
    '1 pass'
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


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
    return [spelled[match] for match in difflib.get_close_matches(given.lower(), spelled, n=3, cutoff=_ALIKE)]
