"""Scans in files: safetensors for the numbers, with JSON in the header for what they are of."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from lanterna.data import Crops, Dataset
from lanterna.errors import InputError
from lanterna.files import check_regular, replace_file
from lanterna.networks.checkpoints import state_digest
from lanterna.networks.network import Network
from lanterna.networks.wheels import cache_dir
from lanterna.patterns.best import Best
from lanterna.patterns.layer_scan import LayerScan
from lanterna.patterns.scan import Scan

__all__ = ["about", "check_writable", "default_file", "load", "store"]

SCHEMA_VERSION = 1
_TENSORS = tuple(part.name for part in fields(LayerScan) if part.name not in ("best", "count", "places"))
_BEST = tuple(part.name for part in fields(Best))


def about(network: Network, dataset: Dataset, *, repeat: bool) -> dict[str, Any]:
    """All that decides a scan: where any of this differs, it is another one."""
    return {
        "schema_version": SCHEMA_VERSION,
        "network": network.name,
        "weights_sha256": network.weights_sha256 or state_digest(network.module),
        "architecture_sha256": hashlib.sha256(repr(network.module).encode()).hexdigest(),
        "preprocessing": repr(network.preprocessing),
        "data": dataset.name,
        "data_sha256": dataset.fingerprint,
        "samples": len(dataset),
        "crops": isinstance(dataset, Crops),
        "repeat": repeat,
    }


def default_file(said: Mapping[str, Any]) -> Path:
    """Where a scan is kept unless a file is named: in the cache, by a hash of what it is of."""
    key = hashlib.sha256(json.dumps(dict(said), sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
    safe = "".join(character if character.isalnum() else "-" for character in f"{said['network']}-{said['data']}")
    return cache_dir() / "scans" / f"{safe[-60:]}-{key[:20]}.safetensors"


def check_writable(path: Path) -> None:
    """Raise InputError, before anything is computed, where a scan can't be kept in `path`."""
    near = next(place for place in path.absolute().parents if place.exists())
    if path.is_dir() or not near.is_dir() or not os.access(near, os.W_OK):
        raise InputError(f"the scan can't be kept in {path}: {near} can't be written; name another file with --scan")


def load(path: Path, said: Mapping[str, Any]) -> Scan | None:
    """The scan in `path`; None where there is none. Raises InputError where it is no scan, or of something else."""
    if not path.exists():
        return None
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            head = json.loads(file.metadata()["lanterna"])
            if head["about"] != dict(said):
                raise InputError(
                    f"the scan {path} is of something else: {_difference(head['about'], said)}; name another file"
                )
            return _scan(head, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no scan that Lanterna wrote, or damaged ({error}); delete it or name another file"
        ) from error


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    for name in here:
        if there.get(name) != here[name]:
            return f"its {name} is {there.get(name)!r}, asked for is {here[name]!r}"
    return "it says more than this version knows"


def _scan(head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Scan:
    layers: dict[str, LayerScan] = {}
    for layer, said in head["layers"].items():
        if "same" in said:
            layers[layer] = layers[said["same"]]
            continue
        best = Best(*(tensors[f"{layer}/best.{name}"] for name in _BEST))
        parts = {name: tensors[f"{layer}/{name}"] for name in _TENSORS}
        layers[layer] = LayerScan(best=best, count=said["count"], places=said["places"], **parts)
    return Scan(layers, {layer: said["seen"] for layer, said in head["layers"].items()}, head["unreadable"])


def store(scan: Scan, path: Path, said: Mapping[str, Any]) -> None:
    """Write `scan` and, beside it, the same head as readable JSON. The scan replaces the old one whole, or not at all."""
    tensors: dict[str, Tensor] = {}
    head: dict[str, Any] = {"about": dict(said), "layers": {}, "unreadable": dict(scan.unreadable)}
    first: dict[int, str] = {}
    for layer, found in scan.layers.items():
        # Layers that are the same tensor under two names share their numbers, here as in memory.
        shared = first.setdefault(id(found), layer)
        if shared != layer:
            head["layers"][layer] = {"same": shared, "seen": scan.seen[layer]}
            continue
        head["layers"][layer] = {"seen": scan.seen[layer], "count": found.count, "places": found.places}
        tensors |= {f"{layer}/best.{name}": getattr(found.best, name).contiguous() for name in _BEST}
        tensors |= {f"{layer}/{name}": getattr(found, name).contiguous() for name in _TENSORS}
    try:
        replace_file(path, [to_bytes(tensors, {"lanterna": json.dumps(head)})])
        replace_file(path.with_suffix(".json"), [json.dumps(head, indent=2).encode()])
    except OSError as error:
        raise InputError(f"the scan can't be kept in {path}: {error.strerror or error}; name another file") from error
