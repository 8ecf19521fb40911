"""What a picture carries so that it can be made again, and what has changed since."""

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import torch

from lanterna.networks.network import Network
from lanterna.recipe import Recipe

__all__ = ["describe", "warnings_about"]

PACKAGES = ("lanterna", "torch", "torchvision", "timm", "numpy", "pillow")


def describe(recipe: Recipe, network: Network, options: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe, network and weights, versions, threads and the hashes of the input pictures, ready for JSON."""
    return {
        "recipe": recipe.model_dump(mode="json"),
        "network": {"name": network.name, "source": network.source, "weights_sha256": network.weights_sha256},
        "versions": {package: metadata.version(package) for package in PACKAGES},
        "threads": torch.get_num_threads(),
        "device": str(network.device),
        "inputs": recipe.digests(),
        "options": dict(options),
    }


def warnings_about(record: Mapping[str, Any], recipe: Recipe, network: Network) -> Iterator[str]:
    """Why a replay may differ from the picture: other weights, versions, threads or inputs."""
    now = describe(recipe, network, {})
    if record["network"].get("weights_sha256") != network.weights_sha256:
        yield f"the weights of {network.name} are not those the picture was made with"
    for package, version in record.get("versions", {}).items():
        if now["versions"].get(package) != version:
            yield f"made with {package} {version}, here is {now['versions'].get(package)}"
    if record.get("threads") != now["threads"]:
        yield f"made with {record.get('threads')} threads, here are {now['threads']}: add --threads {record.get('threads')}"
    for path, digest in record.get("inputs", {}).items():
        if now["inputs"].get(path) != digest:
            yield f"{path} is not the file the picture was made from"
