"""Flags that several commands share, and how a failure becomes one line and an exit code."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from cyclopts import Parameter
from pydantic import BaseModel, ValidationError

from lanterna.errors import InputError
from lanterna.networks.network import Network
from lanterna.networks.sources import load

__all__ = ["Arch", "Common", "field_help", "load_network", "make_recipe", "readable"]

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
        if self.threads is not None:
            if self.threads < 1:
                raise InputError(f"--threads {self.threads} is too few; give 1 or more")
            torch.set_num_threads(self.threads)

    def apply_on_cpu(self, command: str) -> None:
        """`apply`, for a command that trains models too small for another device to help. Raises InputError for one."""
        if self.device != "cpu":
            raise InputError(f"--device {self.device} is not for {command}: its models are small, and are trained on the cpu")
        self.apply()


def load_network(spec: str, common: Common, arch: str | None = None) -> Network:
    """The network on the device asked for. Raises InputError where there is no such device."""
    common.apply()
    network = load(spec, arch=arch)
    if common.device == "cpu":
        return network
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(common.device.split(":")[0], False):
        here = ", ".join(["cpu", *(name for name, is_there in available.items() if is_there)])
        raise InputError(f"device {common.device!r} is not on this machine; it has: {here}")
    return network.to(common.device)


R = TypeVar("R", bound=BaseModel)


def field_help(recipe: type[BaseModel], field: str) -> str:
    """What the recipe says about a field, with its default, so that the two never differ."""
    about = recipe.model_fields[field]
    if about.is_required() or about.default is None or about.default is False or about.default == ():
        return str(about.description)
    default = f"{about.default:g}" if isinstance(about.default, float) else about.default
    return f"{about.description} [{default}]"


def make_recipe(recipe: type[R], file: Path | None, fields: Mapping[str, Any]) -> R:
    """The recipe from a TOML file, if any, with the flags that were given (not None) on top. Raises InputError."""
    base: dict[str, Any] = {}
    if file is not None:
        try:
            base = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"there is no recipe {file}; give a TOML file") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{file} is not a recipe in TOML: {error}") from error
    try:
        return recipe.model_validate({**base, **{key: value for key, value in fields.items() if value is not None}})
    except ValidationError as error:
        raise InputError(readable(error)) from error


def readable(error: ValidationError) -> str:
    """One line for each field that is wrong: which, what was given, what is allowed."""
    lines: list[str] = []
    for part in error.errors():
        name = ".".join(str(place) for place in part["loc"]) or "recipe"
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
        lines.append(f"{flag} {given!r}: {allowed[0].lower()}{allowed[1:]}")
    return "; ".join(lines)
