"""How numbers, layers and classes are said on a page, in each of its languages."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.runtime import Context
from markupsafe import Markup

__all__ = ["FILTERS", "both", "italian_class", "italian_classes", "number", "percent", "value"]

_CLASSES = Path(__file__).parent / "templates" / "italian_classes.txt"


def both(english: str, italian: str) -> Markup:
    """A few words in the middle of a figure, in both languages."""
    return Markup('<span lang="en">{}</span><span lang="it">{}</span>').format(english, italian)


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 as a percentage."""
    return f"{100 * share:.{digits}f}\u00a0%"


def number(given: float, form: str = ".2f") -> str:
    """A number with a real minus sign."""
    return format(given, form).replace("-", "\u2212")


def value(given: float) -> str:
    """An activation, of whatever scale a network has."""
    return number(given) if abs(given) >= 0.1 or not given else number(given, ".2g")


def _spoken(form: Callable[..., str]) -> Callable[..., str]:
    """`form` as a filter: Italian has a decimal comma, and what is said for both languages at once has each in its own."""

    @jinja2.pass_context
    def spoken(context: Context, given: Any, *how: Any) -> str:
        english = form(given, *how)
        italian, language = english.replace(".", ","), context.get("language")
        if english == italian or language == "en":
            return english
        return italian if language == "it" else both(english, italian)

    return spoken


def _count(given: int) -> str:
    """Thousands apart by a narrow space, which is right in every language."""
    return f"{given:,}".replace(",", "\u202f")


def _layer(name: str) -> str:
    """A layer within a sentence: those of an `nn.Sequential` are numbers, which would be read as such."""
    return f"layer {name}" if name.isdecimal() else name


def _strato(name: str) -> str:
    return f"strato {name}" if name.isdecimal() else name


@cache
def italian_classes() -> dict[str, str]:
    """ImageNet's classes in Italian, by label; "" where Italian has no name of its own."""
    lines = _CLASSES.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {label: name.strip() for label, _, name in pairs}


def italian_class(label: str) -> str:
    """A class in Italian. What has no name there stays English and says so; a network's own names stay as they are."""
    name = italian_classes().get(label)
    if name is None:
        return re.sub(r"^class (?=\d+$)", "classe ", label)
    return name or f"{label} (in inglese)"


def _listed(values: Sequence[object], last: str) -> str:
    """ "2, 8 and 32": with the word `last` before the last of several."""
    *others, end = map(str, values)
    return f"{', '.join(others)} {last} {end}" if others else end


FILTERS: dict[str, Callable[..., Any]] = {
    "pct": _spoken(percent),
    "num": _spoken(number),
    "value": _spoken(value),
    "count": _count,
    "layer": _layer,
    "strato": _strato,
    "classe": italian_class,
    "listed": _listed,
}
