"""Checkpoints: a run's sketch in a file, written whole or not at all, read back only into the run it belongs to."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from lanterna.errors import InputError
from lanterna.files import check_regular, replace_file
from lanterna.techniques.paint import Sketch

__all__ = ["key_of", "load_sketch", "save_sketch"]


def key_of(record: Mapping[str, Any]) -> str:
    """What identifies a run: recipe, weights and the hashes of the pictures that went in."""
    decisive = {"recipe": record["recipe"], "weights": record["network"]["weights_sha256"], "inputs": record["inputs"]}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def save_sketch(sketch: Sketch, path: Path, key: str) -> None:
    """Write the sketch under a temporary name, then rename."""
    tensors = {"picture": sketch.picture, **{f"state.{name}": part for name, part in sketch.state.items()}}
    about = {"key": key, "scale": str(sketch.scale), "step": str(sketch.step)}
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, [to_bytes(packed, about)])


def load_sketch(path: Path, key: str) -> Sketch | None:
    """The sketch in the file, or None where there is none. Raises InputError where it is another run's, or damaged."""
    if not path.exists():
        return None
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        scale, step, picture = int(about["scale"]), int(about["step"]), tensors.pop("picture")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no checkpoint, or a damaged one ({error}); delete it to begin anew") from error
    if about.get("key") != key:
        raise InputError(f"the checkpoint {path} is of another recipe, network or picture; delete it, or name another")
    return Sketch(scale, step, picture, {name.removeprefix("state."): part for name, part in tensors.items()})
