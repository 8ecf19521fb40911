"""The user's own weights, a state dict in a file, in an architecture of torchvision or timm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from lanterna.errors import NetworkError, UnknownNameError
from lanterna.networks.builtin import imagenet_labels
from lanterna.networks.checkpoints import fill, read_state
from lanterna.networks.hubs import (
    build_timm,
    build_torchvision,
    check_torchvision,
    default_weights,
    timm_names,
    timm_preprocessing,
    torchvision_names,
    torchvision_preprocessing,
    wrap,
)
from lanterna.networks.network import Network

__all__ = ["from_file"]

# The largest labelled sets have some 20,000; the classifier is built before the weights are seen to fit.
_MOST_CLASSES = 1_000_000


def from_file(path: Path, architecture: str, spec: str) -> Network:
    """A state dict in `path` for `architecture`: `torchvision:NAME`, `timm:NAME`, or a NAME that only one of them has."""
    library, name = _architecture(architecture)
    state = read_state(path)
    if library == "torchvision":
        module = build_torchvision(name)
        classes = _classes(module, state, "")
        if classes:
            module = build_torchvision(name, num_classes=classes)
        preprocessing = torchvision_preprocessing(default_weights(name))
    else:
        module = build_timm(name, spec, pretrained=False)
        config: dict[str, Any] = dict(getattr(module, "pretrained_cfg", None) or {})
        head = config.get("classifier")
        classes = _classes(module, state, head if isinstance(head, str) else "")
        preprocessing = timm_preprocessing(module)
        if classes:
            module = build_timm(name, spec, pretrained=False, num_classes=classes)
    fill(module, state, what=architecture)
    labels = () if classes or _outputs(module) != len(imagenet_labels()) else imagenet_labels()
    return wrap(module, path.stem, preprocessing, labels, spec)


def _architecture(given: str) -> tuple[str, str]:
    library, mark, name = given.partition(":")
    if mark and library == "torchvision":
        check_torchvision(name)
        return library, name
    if mark and library != "timm":
        raise UnknownNameError(
            "library", library, ["torchvision", "timm"], hint="an architecture is torchvision:NAME or timm:NAME"
        )
    name = name if mark else given
    in_timm, in_torchvision = bool(timm.is_model(name.partition(".")[0])), name in torchvision_names()
    if mark and not in_timm:
        raise UnknownNameError("network", name, timm_names(), where="timm")
    if mark or (in_timm and not in_torchvision):
        return "timm", name
    if in_timm:
        raise NetworkError(f"torchvision and timm both have a {name}; say which: torchvision:{name} or timm:{name}")
    if in_torchvision:
        return "torchvision", name
    raise UnknownNameError("architecture", name, {*timm_names(), *torchvision_names()}, where="timm or torchvision")


def _head(module: nn.Module, head: str) -> str:
    # Libraries define the classifier last, also where auxiliary ones come before it.
    named = f"{head}.weight"
    weights = [name for name, tensor in module.state_dict().items() if tensor.ndim >= 2]
    return named if named in weights else weights[-1]


def _classes(module: nn.Module, state: Mapping[str, Tensor], head: str) -> int:
    """The number of classes in the file where it differs from the module's, else 0."""
    name = _head(module, head)
    given, own = state.get(name), module.state_dict()[name]
    # Of another width it will not fit, whatever its classes: none are built for it.
    found = given.shape[0] if given is not None and given.ndim and given.shape[1:] == own.shape[1:] else 0
    if found > _MOST_CLASSES:
        raise NetworkError(f"the weights have {found:,} classes in {name!r}; at most {_MOST_CLASSES:,} are built")
    return 0 if found == module.state_dict()[name].shape[0] else int(found)


def _outputs(module: nn.Module) -> int:
    return int(module.state_dict()[_head(module, "")].shape[0])
