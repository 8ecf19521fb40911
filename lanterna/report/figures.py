"""The page's pictures as files: every level as it was made, with the recipe inside and the captions beside it.

They lie in a folder beside the page, which stays as light as its JPEGs: inside it they would make it three times as large.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import PictureError
from lanterna.files import replace_file
from lanterna.networks.network import Network
from lanterna.provenance import describe
from lanterna.recipe import Recipe
from lanterna.tour_recipe import TourRecipe

__all__ = ["FOLDER", "Figure", "collect", "collecting", "in_words", "write_figures"]

# Beside the page.
FOLDER = "figures"


@dataclass(frozen=True)
class Figure:
    """One picture: its file's name, the PNG, and what is to be seen and is said below it, by language."""

    name: str
    png: bytes
    captions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """For the cache."""
        return {"name": self.name, "png": base64.b64encode(self.png).decode(), "captions": dict(self.captions)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Figure":
        """Out of the cache. Raises ValueError, KeyError and TypeError where it is damaged."""
        return cls(str(found["name"]), base64.b64decode(found["png"], validate=True), dict(found["captions"]))


@dataclass
class _Collection:
    """The pictures of one chapter, as its template names them."""

    chapter: str
    network: Network
    arch: str | None
    tour: TourRecipe
    figures: list[Figure] = field(default_factory=list)
    described: dict[str, dict[str, Any]] = field(default_factory=dict)

    def record(self, exact: tuple[Recipe, int | None] | None, name: str) -> dict[str, Any]:
        """What is inside the PNG: the technique's own recipe where it makes just this picture, else the tour's."""
        recipe, single = exact or (self.tour, None)
        # Not as JSON: a name that is not UTF-8 can't be written so.
        known = repr(recipe)
        if known not in self.described:
            self.described[known] = describe(recipe, self.network, {"arch": self.arch})
        also = {"figure": name} if exact is None else {} if single is None else {"single": single}
        return {**self.described[known], **also}


_now: ContextVar[_Collection | None] = ContextVar("_now", default=None)


@contextmanager
def collecting(chapter: str, network: Network, arch: str | None, tour: TourRecipe) -> Iterator[list[Figure]]:
    """The figures that templates render inside the block, in their order."""
    collection = _Collection(chapter, network, arch, tour)
    token = _now.set(collection)
    try:
        yield collection.figures
    finally:
        _now.reset(token)


def collect(
    picture: Tensor, english: str, italian: str, caption: str = "", exact: tuple[Recipe, int | None] | None = None
) -> str:
    """Keep a picture of the page and give its file's name; "" where nobody collects.

    `exact` is the recipe that makes this picture, and its number where that makes several.
    """
    collection = _now.get()
    if collection is None:
        return ""
    name = f"{collection.chapter}-{len(collection.figures) + 1:02d}.png"
    shown = picture if picture.dim() == 4 else picture[None]
    said = {
        language: "\n".join(line for line in (alt, in_words(caption, language)) if line)
        for language, alt in (("en", english), ("it", italian))
    }
    png = pictures_io.to_png_bytes(shown.expand(-1, 3, -1, -1), collection.record(exact, name))
    collection.figures.append(Figure(name, png, said))
    return name


class _Words(HTMLParser):
    """The text of a piece of HTML without what is in another language."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language, self.text = language, ""
        self._open: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("br", "li", "div", "ol", "dl"):
            self.text += " "
        if tag in ("br", "img", "i"):
            return
        said = dict(attrs).get("lang")
        hidden = said is not None and said != self.language
        self._open.append(hidden or bool(self._open and self._open[-1]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("br", "img", "i") and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not (self._open and self._open[-1]):
            self.text += data


def in_words(html: str, language: str) -> str:
    """A caption as plain text in one language."""
    parser = _Words(language)
    parser.feed(html)
    parser.close()
    return re.sub(r"[ \n\t]+", " ", parser.text).strip()


def write_figures(folder: Path, figures: Sequence[Figure], language: str | None = None) -> None:
    """Write the PNGs into `folder`, and what an earlier tour left of the same chapters is gone.

    With a `language` the caption of each is beside it, NAME.txt. Raises PictureError where a file can't be written.
    """
    try:
        for figure in figures:
            replace_file(folder / figure.name, [figure.png])
            if language is not None:
                text = figure.captions[language] + "\n"
                replace_file((folder / figure.name).with_suffix(".txt"), [text.encode("utf-8", "replace")])
        names = {figure.name for figure in figures}
        chapters = {name.rpartition("-")[0] for name in names}
        for file in folder.glob("*-[0-9][0-9]*.png"):
            if file.name not in names and file.stem.rpartition("-")[0] in chapters:
                file.unlink()
    except OSError as error:
        raise PictureError(f"can't write the figures to {folder}: {error.strerror or error}; give another folder") from error
