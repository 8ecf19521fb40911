"""The words of the tour, in every language: one file of named pieces for each chapter and language."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from lanterna.report.page import environment

__all__ = ["LANGUAGES", "PIECES", "plain", "said", "title"]

# By the tags that browsers and speech know them by; the first is what is shown before anybody chooses.
LANGUAGES: Mapping[str, str] = {"en": "English", "it": "Italiano"}
# What every chapter has, in this order.
PIECES = ("title", "idea", "number", "wrong", "verdict")


def said(chapter: str, piece: str, tag: str = "div", **values: Any) -> Markup:
    """One piece of `prose/LANGUAGE/CHAPTER.html` in all languages, each in a `tag` that says which.

    A missing piece or value is an error, so that no language lacks what another has.
    """
    made = Markup("")
    for language in LANGUAGES:
        template = environment().get_template(f"prose/{language}/{chapter}.html")
        text = "".join(template.blocks[piece](template.new_context({**values, "language": language})))
        made += Markup(f'<{tag} lang="{language}">{text.strip()}</{tag}>')
    return made


def plain(chapter: str, piece: str, language: str = "en", **values: Any) -> str:
    """One piece as plain text, for a terminal."""
    template = environment().get_template(f"prose/{language}/{chapter}.html")
    return Markup("".join(template.blocks[piece](template.new_context({**values, "language": language})))).striptags()


def title(chapter: str, language: str = "en") -> str:
    """A chapter's title as plain text."""
    return plain(chapter, "title", language)
