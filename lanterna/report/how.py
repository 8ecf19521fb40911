"""How a figure was made, so that a reader can make it again: the command, the Python that does the same, the parameters."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lanterna.networks.network import Network
from lanterna.recipe import Recipe

__all__ = ["How", "command", "command_for", "how"]

_NOT_ASKED = ("technique", "schema_version")


@dataclass(frozen=True)
class How:
    """One run: a shell command, a Python program, and every parameter with its value."""

    command: str
    python: str
    parameters: Mapping[str, str]


def command(*words: str, **flags: Any) -> str:
    """A command of `lanterna`: None is not said, True is the flag alone, a tuple says the flag for each value.

    >>> command("dream", "vgg16_hed", "my cat.jpg", layer=("relu4_1",), steps=10)
    "lanterna dream vgg16_hed 'my cat.jpg' --layer relu4_1 --steps 10"
    """
    parts = ["lanterna", *words]
    for name, value in flags.items():
        flag = "--" + name.strip("_").replace("_", "-")
        for one in value if isinstance(value, tuple) else (value,):
            if one is True:
                parts.append(flag)
            elif one is not None and one is not False:
                parts += [flag, str(one)]
    return " ".join(map(_quoted, parts))


def _quoted(word: str) -> str:
    """`word` for a shell; with characters that can't be seen as $'...', so that what is copied from a page names the file."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_spelled, word))}'"


def _spelled(letter: str) -> str:
    """One character between $' and '."""
    if letter.isprintable():
        return "\\" + letter if letter in "\\'" else letter
    # The bytes of a file name that is not UTF-8 are halves of surrogate pairs; of other halves there is no file.
    errors = "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", errors))


def _given(recipe: Recipe) -> dict[str, Any]:
    """The fields that are not the default."""
    return {
        name: getattr(recipe, name)
        for name, about in type(recipe).model_fields.items()
        if name not in _NOT_ASKED and getattr(recipe, name) != about.default
    }


def command_for(verb: str, recipe: Recipe) -> str:
    """The command that makes the same again, of a verb whose flags are the recipe's fields, several values with commas.

    >>> from lanterna.autoencode.recipe import AutoencodeRecipe
    >>> command_for("autoencode", AutoencodeRecipe(code=(2, 8), kl_weight=0.5))
    'lanterna autoencode --code 2,8 --kl-weight 0.5'
    """
    flags = {name: ",".join(map(str, one)) if isinstance(one, tuple) else one for name, one in _given(recipe).items()}
    return command(verb, **flags)


def how(recipe: Recipe, run: Callable[..., Any], network: Network | None, arch: str | None, said: str) -> How:
    """How `run(recipe, network)` is had from the shell, by `said`, and from Python; without a network where it needs none."""
    given = _given(recipe)
    kind, homes = type(recipe).__name__, (type(recipe).__module__, run.__module__)
    imports = (
        [f"from {homes[0]} import {kind}, {run.__name__}"]
        if homes[0] == homes[1]
        else [f"from {homes[0]} import {kind}", f"from {homes[1]} import {run.__name__}"]
    )
    lines = ["import lanterna", *sorted(imports), ""] if network else [*sorted(imports), ""]
    if network:
        also = f", arch={arch!r}" if arch else ""
        lines.append(f"network = lanterna.load({network.source!r}{also})")
    lines += [f"recipe = {kind}(", *(f"    {name}={value!r}," for name, value in given.items()), ")"]
    lines.append(f"made = {run.__name__}(recipe, network)" if network else f"made = {run.__name__}(recipe)")
    values = recipe.model_dump(mode="json", exclude=set(_NOT_ASKED), exclude_none=True)
    return How(said, "\n".join(lines), {name: _shown(value) for name, value in values.items()})


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
