"""Flags that several commands share, and how a failure becomes one line and an exit code."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError

from lanterna.errors import InputError
from lanterna.files import expanded, read_regular
from lanterna.recipe import Recipe
from lanterna.wording import shortened

# Torch takes seconds to import, which the help of a command and questions about the installation have no need of: what
# needs it is imported where it is used.
if TYPE_CHECKING:
    from lanterna.networks.network import Network

__all__ = ["Arch", "Common", "FromFile", "field_help", "load_network", "make_recipe", "readable"]

# More for each core than this only wait for each other.
_MOST_THREADS = 16

Arch = Annotated[str | None, Parameter(help="the architecture of file:PATH, such as torchvision:resnet18")]


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Flags of every command."""

    json: Annotated[bool, Parameter(negative=(), help="print one JSON object to stdout")] = False
    quiet: Annotated[bool, Parameter(negative=(), help="no progress")] = False
    device: Annotated[str, Parameter(help="cpu, cuda or mps")] = "cpu"
    threads: Annotated[int | None, Parameter(help="threads for computing; by default as many as cores")] = None

    def apply(self) -> None:
        """Set the number of threads: only the command line does so, never the library."""
        import torch

        if self.threads is not None:
            if self.threads < 1:
                raise InputError(f"--threads {self.threads} is too few; give 1 or more")
            most = _MOST_THREADS * (os.cpu_count() or 1)
            if self.threads > most:
                raise InputError(f"--threads {self.threads} is too many; at most {most} on this machine")
            torch.set_num_threads(self.threads)

    def apply_on_cpu(self, command: str) -> None:
        """`apply`, for a command that trains models too small for another device to help. Raises InputError for one."""
        if self.device != "cpu":
            raise InputError(f"--device {self.device} is not for {command}: its models are small, and are trained on the cpu")
        self.apply()


@Parameter(name="*")
@dataclass(frozen=True)
class FromFile:
    """Flags of every command that reads its recipe from a file."""

    recipe: Annotated[Path | None, Parameter(help="a TOML file with the recipe's fields")] = None
    trust: Annotated[
        bool, Parameter(negative=(), help="load whatever that file names: code, downloads, files of other folders")
    ] = False


# A recipe is a few lines.
_MOST_BYTES = 1 << 16
# A key of many parts: each makes a table, and the time to read them goes by their square.
_DOTTED = re.compile(r"(?:[^.,=#\[\]{}\n]{0,64}\.){10}")


def load_network(spec: str, common: Common, arch: str | None = None) -> "Network":
    """The network on the device asked for. Raises InputError where there is no such device."""
    import torch

    from lanterna.networks.sources import load

    common.apply()
    network = load(spec, arch=arch)
    if common.device == "cpu":
        return network
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(common.device.split(":")[0], False):
        here = ", ".join(["cpu", *(name for name, is_there in available.items() if is_there)])
        raise InputError(f"device {common.device!r} is not on this machine; it has: {here}")
    return network.to(common.device)


R = TypeVar("R", bound=Recipe)
# Of what is wrong with a recipe: more is not read.
_MOST_LINES = 5


def field_help(recipe: type[BaseModel], field: str) -> str:
    """What the recipe says about a field, with its default, so that the two never differ."""
    about = recipe.model_fields[field]
    if about.is_required() or about.default is None or about.default is False or about.default == ():
        return str(about.description)
    default = f"{about.default:g}" if isinstance(about.default, float) else about.default
    return f"{about.description} [{default}]"


def make_recipe(recipe: type[R], source: FromFile | None, fields: Mapping[str, Any]) -> R:
    """The recipe from a TOML file, if any, with the flags that were given (not None) on top.

    What the file names comes from outside; the flags are the user's own. Raises InputError, UntrustedError.
    """
    given = {key: value for key, value in fields.items() if value is not None}
    file = source.recipe if source else None
    base = {} if file is None else _toml(file)
    try:
        made = recipe.model_validate({**base, **given})
    except ValidationError as error:
        raise InputError(readable(error)) from error
    if file is None or source is None or source.trust:
        return made
    from lanterna.outside import admit, refuse

    admitted = admit(made, folders=[Path(), expanded(file).absolute().parent], only=set(base) - set(given))
    refuse(admitted.refused, str(file), "If you trust it, add --trust; or give your own as flags")
    assert isinstance(admitted.recipe, recipe)
    return admitted.recipe


def _toml(file: Path) -> dict[str, Any]:
    try:
        text = read_regular(expanded(file), _MOST_BYTES).decode("utf-8")
        if _DOTTED.search(text):
            raise ValueError("a recipe has plain keys, and none with many dots")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise InputError(f"there is no recipe {file}; give a TOML file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not a recipe in TOML: {error}") from error


def readable(error: ValidationError, *, flags: bool = True) -> str:
    """What is wrong with each field: which, what was given, what is allowed; fields are called by their flags, or not."""
    lines: list[str] = []
    # A stranger's recipe may have any number of wrong fields.
    for part in error.errors()[:_MOST_LINES]:
        name = ".".join(str(place) for place in part["loc"]) or "recipe"
        if not flags:
            wrong = part["msg"].removeprefix("Value error, ")
            lines.append(f"{name[:80]!r} is missing" if part["type"] == "missing" else f"{name[:80]!r}: {wrong}")
            continue
        if name == "units" and part["type"] in ("missing", "too_short"):
            lines.append("no unit was given; a unit is LAYER:CHANNEL, such as logits:0")
            continue
        if name == "styles" and part["type"] in ("missing", "too_short"):
            lines.append("no style was given; give a picture file, or a sample such as coffee")
            continue
        if name == "layers" and part["type"] in ("missing", "too_short"):
            lines.append("no layer was given; `lanterna layers NETWORK` lists them, and all means a dozen")
            continue
        if name == "picture" and part["type"] == "missing":
            how = "--picture " if error.title == "InvertRecipe" else ""
            lines.append(f"no picture was given; give {how}a file, or a sample such as coffee")
            continue
        if not part["loc"]:
            # What the recipe says of several fields at once names them itself.
            lines.append(part["msg"].removeprefix("Value error, "))
            continue
        if part["type"] == "missing":
            lines.append(f"--{name} is needed and was not given")
            continue
        flag = {
            "start": "--from",
            "units": "--units" if error.title == "TourRecipe" else "UNIT",
            "layers": "--layer",
            "picture": "PICTURE",
            "styles": "STYLE",
            "masks": "--mask",
        }.get(name, f"--{name.replace('_', '-')}")
        given: Any = part.get("input")
        allowed = "there is no such field" if part["type"] == "extra_forbidden" else part["msg"].removeprefix("Value error, ")
        lines.append(f"{flag} {shortened(given)}: {allowed[0].lower()}{allowed[1:]}")
    return "; ".join(lines)
