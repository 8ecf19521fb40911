"""Finished chapters, kept by a hash of all that decides them: a tour made again redoes only what has changed."""

import hashlib
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from markupsafe import Markup

import lanterna
from lanterna import data as data_sets
from lanterna import pictures as pictures_io
from lanterna.files import replace_file
from lanterna.networks import wheels
from lanterna.networks.builtin import BUILTIN, DATA_FILES
from lanterna.networks.checkpoints import state_digest
from lanterna.networks.wheels import cache_dir
from lanterna.report.chapter import Chapter, Context
from lanterna.report.figures import Figure
from lanterna.report.painter import PAINTED

__all__ = ["find", "keep", "key", "surroundings"]

# Chapters have up to some twenty megabytes each, with their figures at full quality; the oldest go first.
_MOST = 40


@cache
def _package() -> str:
    """The version and, for whoever changes the code, its content."""
    digest = hashlib.sha256(lanterna.__version__.encode())
    root = Path(lanterna.__file__).parent
    kinds = (".py", ".html", ".css", ".js", ".json", ".txt", ".png", ".safetensors")
    for file in sorted(path for path in root.rglob("*") if path.suffix in kinds):
        digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()


def surroundings(context: Context) -> str:
    """What all chapters of a tour depend on: package, network, picture, data, and which optional files are here."""
    network, recipe = context.network, context.recipe
    files = [file for entry in BUILTIN for file in entry.wheel_files] + [entry.wheel_file for entry in DATA_FILES]
    said = {
        "package": _package(),
        "torch": torch.__version__,
        "network": [network.name, network.source, context.arch, network.weights_sha256 or state_digest(network.module)],
        "architecture": hashlib.sha256(repr(network.module).encode("utf-8", "surrogatepass")).hexdigest(),
        "preprocessing": repr(network.preprocessing),
        "labels": network.labels,
        "picture": pictures_io.digest(recipe.picture),
        "data": data_sets.load(f"folder:{recipe.pictures}").fingerprint if recipe.pictures else None,
        "here": [file.name for file in files if wheels.find(file) is not None],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def key(name: str, context: Context, surrounding: str) -> str:
    """The hash for one chapter, whose seconds are the context's."""
    # Every chapter is in all languages, and few are painted.
    others = {"chapters", "seconds", "language"} | (set() if name in PAINTED else {"styles", "painter"})
    recipe = context.recipe.model_dump(mode="json", exclude=others)
    paintings = [pictures_io.digest(style) for style in context.recipe.styles] if name in PAINTED else []
    said = json.dumps([name, recipe, paintings, round(context.seconds, 3), context.side, surrounding], sort_keys=True)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find(name: str) -> Chapter | None:
    """The chapter kept under a key; None where there is none, or it is damaged."""
    path = _folder() / f"{name}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        figures = tuple(map(Figure.from_json, found["figures"]))
        chapter = Chapter(found["name"], Markup(found["html"]), found["numbers"], found["left_out"], figures)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        # Half a disk, another program's file: it is made anew and replaced.
        return None
    with suppress(OSError):
        os.utime(path)  # used again, so not among the oldest; in a cache that only reads it stays as it is
    return chapter


def keep(name: str, chapter: Chapter) -> None:
    """Keep a finished chapter. A cache that can't be written costs time the next time, and is no reason to fail."""
    text = json.dumps(
        {
            "name": chapter.name,
            "html": chapter.html,
            "numbers": chapter.numbers,
            "left_out": chapter.left_out,
            "figures": [figure.to_json() for figure in chapter.figures],
        }
    )
    with suppress(OSError):
        replace_file(_folder() / f"{name}.json", [text.encode("utf-8", "surrogatepass")])
        kept = sorted(_folder().glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-_MOST]:
            path.unlink()


def _folder() -> Path:
    return cache_dir() / "tour"
