"""Networks by name: built in, from torchvision, timm or the Hugging Face hub, from a file, or from your own Python."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from lanterna.errors import InputError, LanternaError, NetworkError, UnknownNameError
from lanterna.files import expanded
from lanterna.networks.builtin import BUILTIN
from lanterna.networks.checkpoints import state_digest
from lanterna.networks.network import Network

__all__ = ["load", "needs_download", "state_digest"]

_FORMS = (
    "a network is a built-in name (`lanterna networks`), torchvision:NAME[@WEIGHTS], timm:NAME, hf-hub:ORG/NAME, "
    "file:PATH with an architecture, or python:MODULE:FACTORY"
)
_PREFIXES = ("torchvision", "timm", "hf-hub", "file", "python")


def load(spec: str, *, arch: str | None = None) -> Network:
    """The network that `spec` names, ready to be looked at.

    - `efficientnet_lite0`, `efficientnet_lite1`, `vgg16_hed`: built in.
    - `torchvision:resnet18`, `torchvision:resnet50@IMAGENET1K_V1`, `torchvision:resnet18@none` (untrained).
    - `timm:NAME`, `timm:NAME.TAG`, `timm:NAME@none`; `hf-hub:ORG/NAME` through timm.
    - `file:weights.pt` with `arch="torchvision:resnet18"`: a state dict in a `.pt`, `.pth` or `.safetensors` file. The
      number of classes is the file's.
    - `python:my_module:make`: a function without arguments (or a value) that gives an `nn.Module` or a `Network`;
      modules in the current folder are found.

    torchvision, timm and the hub download weights when one of their networks is named for the first time; nothing else
    here uses the internet. Pickles are read with `weights_only=True`. Raises UnknownNameError for names that do not
    exist, NetworkError for weights that do not fit or are not finite, MissingError where something has to be fetched.

    >>> load("efficientnet_lite0").input_size
    (224, 224)
    """
    kind, mark, rest = spec.partition(":")
    if arch is not None and kind != "file":
        raise InputError(f"an architecture ({arch!r}) is only for file:PATH; {spec!r} brings its own")
    if not mark:
        for builtin in BUILTIN:
            if builtin.name == spec:
                return builtin.build()
        raise _unknown(spec)
    if kind not in _PREFIXES:
        raise _unknown(spec)
    if not rest:
        raise InputError(f"{spec!r} names no network; {_FORMS}")
    if kind == "python":
        return _from_python(rest, spec)
    # Both libraries take a second to import, which the built-in names need not pay for.
    from lanterna.networks import hubs

    if kind == "torchvision":
        return hubs.from_torchvision(rest, spec)
    if kind == "timm":
        return hubs.from_timm(rest, spec)
    if kind == "hf-hub":
        return hubs.from_hugging_face(rest, spec)
    if arch is None:
        raise InputError(f"{spec!r} needs an architecture: arch='torchvision:resnet18' (or `--arch torchvision:resnet18`)")
    from lanterna.networks.own_weights import from_file

    return from_file(expanded(rest), arch, spec)


def needs_download(spec: str) -> bool:
    """Whether `load(spec)` would download weights, or might: a network of torchvision, timm or the hub that is not here.

    Goes nowhere itself. Built-in networks are never downloaded by `load`.
    """
    kind, _, rest = spec.partition(":")
    if kind not in ("torchvision", "timm", "hf-hub"):
        return False
    from lanterna.networks import hubs

    return not hubs.is_here(kind, rest)


def _unknown(spec: str) -> UnknownNameError:
    from lanterna.networks import hubs

    known = [builtin.name for builtin in BUILTIN]
    close = spec.partition(":")[2] or spec
    for library, names in (("torchvision", hubs.torchvision_names()), ("timm", hubs.timm_names())):
        known += [f"{library}:{name}" for name in names]
        if close in names:
            return UnknownNameError("network", spec, [], hint=f"say where it is from: {library}:{close}. In full, {_FORMS}")
    if Path(spec).suffix in (".pt", ".pth", ".safetensors"):
        return UnknownNameError("network", spec, [f"file:{spec}"], hint=_FORMS)
    return UnknownNameError("network", spec, known, hint=_FORMS)


@contextmanager
def _current_folder() -> Iterator[None]:
    # Scripts started by an entry point do not have it in the path. It goes first, as with `python -m`.
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _from_python(rest: str, spec: str) -> Network:
    module_name, _, attribute = rest.partition(":")
    if not module_name or not attribute:
        raise InputError(f"{spec!r} must name a module and a factory in it: python:MODULE:FACTORY")
    with _current_folder():
        made = _make(_import(module_name, spec), module_name, attribute)
    if isinstance(made, Network):
        made.source = spec
        made.weights_sha256 = made.weights_sha256 or state_digest(made.module)
        return made
    if not isinstance(made, nn.Module):
        raise NetworkError(
            f"{spec} gave a {type(made).__name__}; a factory gives an nn.Module, or a lanterna Network with its preprocessing"
        )
    return Network.wrap(made, name=attribute, weights_sha256=state_digest(made), source=spec)


def _import(module_name: str, spec: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            found = sorted(path.stem for path in Path.cwd().glob("*.py"))
            hint = "it must be installed or in the current folder"
            raise UnknownNameError("module", module_name, found, hint=hint) from error
        raise NetworkError(f"{spec}: {module_name} needs the module {error.name!r}, which is not installed") from error
    except SystemExit as error:
        raise NetworkError(f"{spec}: importing {module_name} ended the program with sys.exit({error.code!r})") from error
    # The user's file: whatever it raises is told in one line.
    except Exception as error:
        raise NetworkError(f"{spec}: importing {module_name} failed with {type(error).__name__}: {error}") from error


def _make(module: Any, module_name: str, attribute: str) -> Any:
    try:
        factory = getattr(module, attribute)
    except AttributeError:
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UnknownNameError("factory", attribute, names, where=module_name) from None
    # A module is callable too, and is what was asked for.
    if isinstance(factory, nn.Module | Network) or not callable(factory):
        return factory
    try:
        return factory()
    except LanternaError:
        raise
    except SystemExit as error:
        # A script's own end, not ours: without a word the command would end as if it had done its work.
        raise NetworkError(f"{module_name}:{attribute}() ended the program with sys.exit({error.code!r})") from error
    except Exception as error:
        raise NetworkError(f"{module_name}:{attribute}() failed with {type(error).__name__}: {error}") from error
