"""The page of `lanterna autoencode`."""

from markupsafe import Markup

from lanterna.autoencode.run import Autoencoded
from lanterna.report.how import command_for
from lanterna.report.page import render

__all__ = ["page"]


def page(made: Autoencoded) -> Markup:
    """One HTML page with every figure inside."""
    again = command_for("autoencode", made.recipe)
    return render("autoencode.html", made=made, recipe=made.recipe, split=made.split, again=again)
