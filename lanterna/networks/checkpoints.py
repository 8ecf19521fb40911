"""Weights in files: read safely, matched to a module with errors that name what does not fit, and their checksum."""

import hashlib
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lanterna.errors import NetworkError
from lanterna.files import open_regular, zip_list
from lanterna.wording import listed, shortened

__all__ = ["fill", "quiet_build", "read_state", "state_digest"]

_NESTED = ("state_dict", "model_state_dict", "model")
# What DistributedDataParallel and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")


def state_digest(module: nn.Module) -> str:
    """SHA-256 over the bytes of the module's state dict in order: parameters and buffers, names left out."""
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        if isinstance(tensor, Tensor):
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def quiet_build() -> Iterator[None]:
    """Build modules on the CPU with the same initial weights each time; the caller's global generator is untouched."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        yield


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.pt`, `.pth` or `.safetensors` file, also where it is nested or prefixed by a wrapper.

    Pickles are read with `weights_only=True`: a file that holds code is refused. Raises NetworkError.
    """
    if not path.is_file():
        raise NetworkError(f"there is no file {path}; file: takes a .pt, .pth or .safetensors file with a state dict")
    _check_archive(path)
    try:
        content: Any
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged and foreign files fail in every way a parser can.
    except Exception as error:
        advice = (
            "it is damaged, or no safetensors file"
            if path.suffix == ".safetensors"
            else "it is damaged, or holds more than weights; save it with torch.save(model.state_dict(), ...)"
        )
        raise NetworkError(f"{path} can't be read as weights ({type(error).__name__}): {advice}") from error
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {k: v for k, v in content.items() if _plain(k, v)} if isinstance(content, Mapping) else {}
    if not tensors:
        kind = type(content).__name__
        raise NetworkError(f"{path} has no state dict, only a {kind}; save it with torch.save(model.state_dict(), ...)")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensors[name] for name in tensors}
    return tensors


def _plain(name: object, value: object) -> bool:
    """Whether this is a named tensor with numbers of its own: no stride may claim more of them than are there."""
    if not isinstance(name, str) or not isinstance(value, Tensor) or value.is_nested or value.layout != torch.strided:
        return False
    if value.device.type != "cpu" or value.is_quantized or value.is_complex():
        return False
    return value.untyped_storage().nbytes() >= value.numel() * value.element_size()


def _check_archive(path: Path) -> None:
    """Raise NetworkError where a file of weights would unpack to more than it is: torch.save compresses nothing."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with open_regular(path) as stream:
            _, claimed, lies = zip_list(stream)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, struct.error, NotImplementedError):
        # Damaged: torch says how.
        return
    unpacked = sum(entry.file_size for entry in entries)
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or unpacked > path.stat().st_size:
        raise NetworkError(f"{path} can't be read as weights: it unpacks to {unpacked:,} bytes, and torch.save packs nothing")
    if claimed != lies:
        raise NetworkError(f"{path} can't be read as weights: it has two lists of what is in it")


def fill(module: nn.Module, state: Mapping[str, Tensor], *, what: str) -> None:
    """Load `state` into `module`, whole or not at all. Raises NetworkError with the first names that do not fit."""
    own = module.state_dict()
    # A counter that evaluation never reads; old files do not have it.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    misshapen = [
        f"{name} is {tuple(state[name].shape)} in the file and {tuple(own[name].shape)} in the network"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    problems = [_first("missing", missing), _first("unexpected", unexpected), _first("other shape:", misshapen)]
    if any(problems):
        raise NetworkError(f"the weights do not fit {what}: " + "; ".join(problem for problem in problems if problem))
    try:
        module.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError) as error:
        # Of a kind that can't be copied: the first line says which.
        raise NetworkError(f"the weights do not fit {what}: {next(iter(str(error).splitlines()), error)}") from error


def _first(title: str, names: list[str]) -> str:
    if not names:
        return ""
    # A name may hold anything, a line of its own too.
    return f"{title} {listed([shortened(name)[1:-1] for name in names[:4]] + names[4:], most=3)}"
