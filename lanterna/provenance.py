"""What a picture carries so that it can be made again, how that is read back, and what has changed since."""

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from lanterna.networks.network import Network
from lanterna.recipe import Recipe

__all__ = ["NetworkRecord", "Options", "Record", "changes", "describe"]

PACKAGES = ("lanterna", "torch", "torchvision", "timm", "numpy", "pillow")

_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Part(BaseModel):
    # Of what is not known nothing is used: a later version may write more.
    model_config = ConfigDict(frozen=True, extra="ignore")


class NetworkRecord(_Part):
    """The network that a picture was made with."""

    name: str = ""
    source: str
    weights_sha256: str | None = None


class Options(_Part):
    """The choices of the command that are not the recipe's."""

    arch: str | None = None
    strip: bool = False
    singles: bool = False


class Record(_Part):
    """What `describe` wrote, and what a command added to it, after a check of every type.

    `network` is None where the technique trains its own. The rest says which part of the result a picture is: `single`, one
    of a sheet; `page`, one of several sheets; `figure` and `part`, of a study; `frame`, of a film; `stopped_after`, the
    steps of a run that was ended early.
    """

    recipe: dict[str, Any]
    network: NetworkRecord | None
    versions: dict[str, str | None] = {}
    threads: int | None = None
    inputs: dict[str, str] = {}
    options: Options = Options()
    stopped_after: _Count | tuple[_Count, ...] | None = None
    single: _Count | None = None
    page: _Count | None = None
    figure: bool | str | None = None
    part: str | None = None
    frame: _Count | None = None


def describe(recipe: Recipe, network: Network | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe, network (None where the technique trains its own), versions, threads and input hashes, ready for JSON."""
    about = network and {"name": network.name, "source": network.source, "weights_sha256": network.weights_sha256}
    return {
        "recipe": recipe.model_dump(mode="json"),
        "network": about,
        "versions": {package: metadata.version(package) for package in PACKAGES},
        "threads": torch.get_num_threads(),
        "device": str(network.device) if network else "cpu",
        "inputs": recipe.digests(),
        "options": dict(options),
    }


def changes(record: Record) -> Iterator[str]:
    """Why a replay may differ from the picture though all that goes in is the same: other versions, other threads."""
    for package in PACKAGES:
        made, here = record.versions.get(package), metadata.version(package)
        if package in record.versions and made != here:
            yield f"made with {package} {made}, here is {here}"
    threads = torch.get_num_threads()
    if record.threads not in (None, threads):
        yield f"made with {record.threads} threads, here are {threads}: add --threads {record.threads}"
