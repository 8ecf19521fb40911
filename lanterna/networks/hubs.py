"""Networks of torchvision, timm and the Hugging Face hub, with the preprocessing and labels that they were trained with.

Weights are downloaded the first time such a network is named, into the library's own cache, and read from there afterwards.
"""

import hashlib
import inspect
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub.utils.tqdm import tqdm
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn
from torchvision import models

from lanterna.errors import MissingError, NetworkError, UnknownNameError
from lanterna.networks.builtin import imagenet_labels
from lanterna.networks.catalogue import UNTRAINED
from lanterna.networks.checkpoints import quiet_build, read_state, state_digest
from lanterna.networks.network import Network
from lanterna.networks.preprocessing import Preprocessing
from lanterna.wording import listed

__all__ = [
    "build_timm",
    "build_torchvision",
    "check_torchvision",
    "default_weights",
    "from_hugging_face",
    "from_timm",
    "from_torchvision",
    "is_here",
    "timm_names",
    "timm_preprocessing",
    "torchvision_names",
    "torchvision_preprocessing",
    "wrap",
]

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# ORG/NAME[@REVISION]. Nothing in it leads out of the cache: a revision is joined to a path there.
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w-]+([./][\w-]+)*)?")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Libraries whose exceptions mean that a download failed. They are not all OSErrors, and which one the hub's client uses
# depends on its version.
_DOWNLOADERS = {"urllib", "urllib3", "requests", "httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub"}


def torchvision_names() -> list[str]:
    """Every network of torchvision that has gradients, which its quantized ones have not."""
    return [name for name in models.list_models() if not name.startswith("quantized_")]


def timm_names() -> list[str]:
    """Every architecture of timm."""
    return list(timm.list_models())


def is_here(library: str, name: str) -> bool:
    """Whether `torchvision:NAME`, `timm:NAME` or `hf-hub:NAME` is read without a download. Goes nowhere itself.

    A name that does not exist is "here": saying so downloads nothing either.
    """
    if library == "hf-hub":
        return _local_snapshot(name, "config.json") is not None
    name, _, tag = name.partition("@")
    if tag in UNTRAINED:
        return True
    if library == "torchvision":
        if name not in torchvision_names():
            return True
        weights = models.get_model_weights(name).__members__.get(tag) if tag else default_weights(name)
        return weights is None or _torchvision_path(weights).is_file()
    try:
        config = timm.get_pretrained_cfg(name) if timm.is_model(name.partition(".")[0]) else None
    except RuntimeError:
        # No such weights.
        config = None
    if config is None:
        return True
    # What timm finds in ways of its own may come from anywhere.
    repository = _repository(config)
    return repository is not None and _local_snapshot(repository) is not None


# -- torchvision -------------------------------------------------------------------------------------------------------


def from_torchvision(name: str, spec: str) -> Network:
    """`NAME`, `NAME@WEIGHTS`, or `NAME@none` untrained. Raises UnknownNameError, MissingError, NetworkError."""
    name, _, tag = name.partition("@")
    check_torchvision(name)
    if tag in UNTRAINED:
        module = build_torchvision(name)
        return wrap(module, name, torchvision_preprocessing(default_weights(name)), (), spec)
    members = models.get_model_weights(name).__members__
    if tag and tag not in members:
        hint = f"torchvision has {listed(members) or 'none'}, and `@none` is untrained"
        raise UnknownNameError("weights", tag, members, where=f"torchvision's {name}", hint=hint)
    weights = members[tag] if tag else default_weights(name)
    if weights is None:
        raise NetworkError(f"torchvision has no weights for {name}; `torchvision:{name}@none` is the untrained network")
    # torchvision unpickles without a guard and trusts a file that is there, so the file is checked before it may.
    read_state(_torchvision_file(weights, spec))
    with quiet_build():
        module = models.get_model(name, weights=weights, progress=False)
    labels = weights.meta.get("categories", ())
    return wrap(module, name, torchvision_preprocessing(weights), labels, spec)


def check_torchvision(name: str) -> None:
    """Raise UnknownNameError where torchvision has no such network."""
    if name not in torchvision_names():
        hint = "torchvision's documentation lists all"
        raise UnknownNameError("network", name, torchvision_names(), where="torchvision", hint=hint)


def default_weights(name: str) -> Any:
    """The weights that torchvision recommends for a network, or None."""
    return getattr(models.get_model_weights(name), "DEFAULT", None)


def build_torchvision(name: str, **options: Any) -> nn.Module:
    """A network of torchvision without weights, the same each time."""
    if name in ("googlenet", "inception_v3"):
        # Without a choice they warn that the default will change.
        options["init_weights"] = True
    backbone = {"weights_backbone": None} if "weights_backbone" in _options(name) else {}
    with quiet_build():
        module: nn.Module = models.get_model(name, weights=None, **backbone, **options)
    return module


def _options(name: str) -> tuple[str, ...]:
    return tuple(inspect.signature(models.get_model_builder(name)).parameters)


def _torchvision_path(weights: Any) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / str(weights.url).rsplit("/", 1)[-1]


def _torchvision_file(weights: Any, spec: str) -> Path:
    path = _torchvision_path(weights)
    # "resnet18-f37072fd.pth": the published files carry the start of their SHA-256 in the name.
    expected = path.stem.rpartition("-")[2]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # It writes to a temporary name, compares the checksum and renames.
            torch.hub.download_url_to_file(weights.url, str(path), expected, progress=False)
        except (OSError, RuntimeError) as error:
            raise MissingError(
                f"the weights of {spec} could not be downloaded ({_reason(error)}); connect once and try again, "
                f"or put {weights.url} at {path}"
            ) from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected):
        raise NetworkError(
            f"{path} is damaged or not the published file: its SHA-256 starts with {found[: len(expected)]}, not {expected}; "
            "delete it, and it is downloaded again"
        )
    return path


def torchvision_preprocessing(weights: Any) -> Preprocessing:
    """The preprocessing that came with weights of torchvision; ImageNet's usual one where there are none."""
    if weights is None:
        return Preprocessing(mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
    preset = weights.transforms()
    resize = _smallest(getattr(preset, "resize_size", None)) or 224
    size = _smallest(getattr(preset, "crop_size", None)) or resize
    mean, std = getattr(preset, "mean", None), getattr(preset, "std", None)
    if mean is None or std is None:  # detectors normalise inside
        return Preprocessing(size=(size, size))
    return Preprocessing(
        mean=tuple(mean),
        std=tuple(std),
        size=(size, size),
        min_size=max(weights.meta.get("min_size", (1, 1))),
        crop=min(1.0, size / resize),
        interpolation=getattr(getattr(preset, "interpolation", None), "value", "bilinear"),
    )


def _smallest(value: Any) -> int:
    return int(min(value)) if isinstance(value, list | tuple) else int(value or 0)


# -- timm and the Hugging Face hub -------------------------------------------------------------------------------------


def from_timm(name: str, spec: str) -> Network:
    """`NAME`, `NAME.TAG`, or `NAME@none` untrained. Raises UnknownNameError, MissingError, NetworkError."""
    name, _, tag = name.partition("@")
    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture):
        hint = "`timm.list_models()` lists all"
        raise UnknownNameError("network", name, timm_names(), where="timm", hint=hint)
    if tag and tag not in UNTRAINED:
        hint = f"timm's weights follow a dot, as in timm:{architecture}.TAG, and `@none` is untrained"
        raise UnknownNameError("weights", tag, UNTRAINED, where=f"timm's {architecture}", hint=hint)
    known = sorted({*timm.list_pretrained(f"{architecture}.*"), *timm.list_pretrained(architecture)})
    if dot and name not in known:
        raise UnknownNameError("network", name, known, where="timm", hint=f"`timm:{architecture}` takes the default weights")
    if not tag and not known:
        raise NetworkError(f"timm has no weights for {architecture}; `timm:{architecture}@none` is the untrained network")
    module = build_timm(name, spec, pretrained=not tag, **({} if tag else _timm_file(name, spec)))
    return wrap(module, name, timm_preprocessing(module), () if tag else _timm_labels(module, known=True), spec)


def from_hugging_face(name: str, spec: str) -> Network:
    """`ORG/NAME` or `ORG/NAME@REVISION`: a repository with timm's config.json. Raises MissingError, NetworkError."""
    organisation = name.partition("/")[0]
    if not _REPOSITORY.fullmatch(name):
        raise NetworkError(f"{spec!r} is not a repository of the Hugging Face hub; give it as hf-hub:ORG/NAME")
    folder = _snapshot(name, spec, "config.json")
    module = build_timm(f"local-dir:{folder}", spec, pretrained=True)
    labels = _timm_labels(module, known=organisation == "timm")
    return wrap(module, name, timm_preprocessing(module), labels, spec)


def _timm_file(name: str, spec: str) -> dict[str, Any]:
    """Options that make timm read its weights from the hub's cache, or none where timm has its own way to them."""
    config = timm.get_pretrained_cfg(name)
    repository = _repository(config)
    if repository is None:
        return {}
    return {"pretrained_cfg_overlay": {"file": str(_weights_in(_snapshot(repository, spec)))}}


def _repository(config: Any) -> str | None:
    """The hub's repository where timm's weights are a plain file, which can be read from the cache."""
    plain = config and not config.hf_hub_filename and not config.custom_load
    return (config.hf_hub_id or None) if plain else None


def _weights_in(folder: Path) -> Path | None:
    return next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)


def _local_snapshot(name: str, *also: str) -> Path | None:
    """The folder of a hub repository in the cache, where it has weights and the files `also`."""
    repository, _, revision = name.partition("@")
    if not _REPOSITORY.fullmatch(name):
        return None
    try:
        folder = Path(huggingface_hub.snapshot_download(repository, revision=revision or None, local_files_only=True))
    except (OSError, ValueError):
        # Not in the cache, or no name that a repository can have.
        return None
    return folder if _weights_in(folder) and all((folder / file).is_file() for file in also) else None


def _snapshot(name: str, spec: str, *also: str) -> Path:
    """The folder of a hub repository's weights and the files `also`, from the cache where it has them, else downloaded.

    timm would ask the server first, file by file, and without a connection wait through all retries although it has all.
    """
    repository, _, revision = name.partition("@")
    reason: BaseException | None = None
    for weights in _WEIGHTS:
        for offline in (True, False):
            try:
                folder = Path(
                    huggingface_hub.snapshot_download(
                        repository,
                        revision=revision or None,
                        allow_patterns=[weights, *also],
                        local_files_only=offline,
                        tqdm_class=_NoBar,
                    )
                )
            except Exception as error:
                # Not being in the cache is no reason yet: the next round downloads.
                reason = reason if offline else error
                continue
            reason = None
            if _weights_in(folder) and all((folder / file).is_file() for file in also):
                return folder
    if reason is not None and not _is_download_failure(reason):
        raise NetworkError(f"the Hugging Face hub refuses {spec}: {_reason(reason)}") from reason
    wanted = " and ".join([" or ".join(_WEIGHTS), *also])
    why = _reason(reason) if reason else f"it has no {wanted}"
    raise MissingError(
        f"{spec} could not be downloaded ({why}); connect once and try again: it is then kept in "
        f"{huggingface_hub.constants.HF_HUB_CACHE}"
    ) from reason


class _NoBar(tqdm):  # type: ignore[misc, unused-ignore]
    """Bars are for the listener, not for the library."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("name", None)
        super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call, unused-ignore]


def build_timm(name: str, spec: str, **options: Any) -> nn.Module:
    """A network of timm. Raises MissingError for a failed download, NetworkError for the rest."""
    try:
        with quiet_build():
            module: nn.Module = timm.create_model(name, **options)
    except Exception as error:
        if _is_download_failure(error):
            raise MissingError(f"{spec} could not be downloaded ({_reason(error)}); connect once and try again") from error
        raise NetworkError(f"timm can't make {spec}: {_reason(error)}") from error
    return module


def timm_preprocessing(module: nn.Module) -> Preprocessing:
    """The preprocessing that timm keeps with its module."""
    config: dict[str, Any] = dict(getattr(module, "pretrained_cfg", None) or {})
    channels, height, width = config.get("input_size") or (3, 224, 224)
    return Preprocessing(
        mean=tuple(config.get("mean") or _IMAGENET_MEAN),
        std=tuple(config.get("std") or _IMAGENET_STD),
        channels=int(channels),
        size=(int(height), int(width)),
        min_size=max((config.get("min_input_size") or (1, 1, 1))[1:]),
        crop=min(1.0, float(config.get("crop_pct") or 1.0)),
        interpolation=config.get("interpolation") or "bicubic",
    )


def _timm_labels(module: nn.Module, *, known: bool) -> tuple[str, ...]:
    config: dict[str, Any] = dict(getattr(module, "pretrained_cfg", None) or {})
    if names := config.get("label_names"):
        described = config.get("label_descriptions") or {}
        return tuple(str(described.get(name, name)) for name in names)
    subset = infer_imagenet_subset(module) if known else None
    if subset == "imagenet-1k":
        return imagenet_labels()
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else ()


# -- all of them -------------------------------------------------------------------------------------------------------


def wrap(module: nn.Module, name: str, preprocessing: Preprocessing, labels: Any, spec: str) -> Network:
    """The network of a module, with the checksum of its weights."""
    return Network.wrap(
        module,
        name=name,
        preprocessing=preprocessing,
        labels=tuple(labels),
        weights_sha256=state_digest(module),
        source=spec,
    )


def _is_download_failure(error: BaseException) -> bool:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__
    kinds = [kind for link in chain for kind in type(link).__mro__]
    return any(isinstance(link, OSError) for link in chain) or any(
        kind.__module__.partition(".")[0] in _DOWNLOADERS for kind in kinds
    )


def _reason(error: BaseException) -> str:
    text = ""
    with suppress(IndexError):
        text = str(error).strip().splitlines()[0].strip().rstrip(".")
    return text or type(error).__name__
