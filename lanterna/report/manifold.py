"""The page of `manifold`: its figures, each with what would prove it wrong, and the tables behind them."""

from pathlib import Path
from typing import Any

from lanterna.manifold import figures
from lanterna.manifold.study import SCORES
from lanterna.report.page import render, write_page
from lanterna.techniques.manifold import FIGURES, Manifold

__all__ = ["WRONG_IF", "explained", "manifold_page"]

# With each figure: what it says, and what would have been seen if it were not so.
WRONG_IF = {
    "wall": "some noise picture lay as near to a real one as real pictures usually do (left of the blue median)",
    "ladder": "noise compressed as well as real pictures, or had their density",
    "plane": "the generative one coloured as much of the plane as the discriminative one",
    "slice": "the discriminative one were as sure along the gradient as along the random direction",
    "fooling": "the discriminative one could not be made certain of noise, or the generative one's pictures showed nothing",
    "scores": "density ranked no kind of pictures better than the discriminative one's confidence does",
    "savings": "no other kind of pictures were more probable than the test set, or the corrected score ranked all kinds right",
    "robustness": "both needed the same distance, or a search without gradients came nearer than gradients did",
    "calibration": "the temperature left confidences no nearer to the accuracy",
}


def explained(made: Manifold) -> dict[str, str]:
    """What each figure shows in this run, in a sentence with its numbers."""
    numbers = made.numbers()
    wall, plane, slice_ = numbers["noise_wall"], numbers["plane"], numbers["slice"]
    groups, robust, calibration = numbers["groups"], numbers["robustness"], numbers["calibration"]
    test, first, second = groups["test"], groups["fooling_discriminative"], groups["fooling_generative"]
    higher = [name for name, scores in numbers["auroc"].items() if scores["density"]["mean"] < 0.5]
    repaired = [name for name in higher if numbers["auroc"][name]["corrected"]["mean"] >= 0.5]
    spoilt = [
        name
        for name, scores in numbers["auroc"].items()
        if scores["density"]["mean"] >= 0.5 and scores["corrected"]["mean"] < 0.5
    ]
    count = int(wall["uniform"]["count"]["mean"])
    within = [_number(wall[kind]["within_median"], "{:.0f}") for kind in ("uniform", "marginal")]
    return {
        "wall": f"Of {count:,} pictures of uniform noise {within[0]} lie as near to a real picture as half of the real ones "
        f"do to each other; where every pixel has its own distribution in the data, {within[1]}. 0 of {count:,} says, with 95 % "
        f"certainty, that fewer than {3 / count:.2%} do (3 / N). The nearest uniform one is at "
        f"{_number(wall['uniform']['nearest_distance'], '{:.1f}')}, a real picture typically at "
        f"{_number(wall['uniform']['real_median_distance'], '{:.1f}')}. Noise with each pixel's own values is nearer than "
        f"the loneliest real picture in {_number(wall['marginal']['within_largest'], '{:.0f}')} cases: far from anything, but "
        f"mostly black, as digits are.",
        "ladder": f"A real picture takes {_number(test['zlib_bytes'], '{:.0f}')} bytes, noise "
        f"{_number(groups['noise']['zlib_bytes'], '{:.0f}')} of 784. The discriminative one is "
        f"{_number(groups['noise']['frontier_confidence'], '{:.0%}')} confident of noise that nobody optimised; the "
        f"generative one, which may say 'none of them', {_number(groups['noise']['density_confidence'], '{:.0%}')}.",
        "plane": f"Every point is a picture. The discriminative one is over 90 % confident in "
        f"{_number(plane['frontier_confident_share'], '{:.0%}')} of the plane, the generative one in "
        f"{_number(plane['density_confident_share'], '{:.0%}')}; {_number(plane['density_blank_share'], '{:.0%}')} has a density "
        f"below that of 99 % of real pictures. Inside the dashed line pixels are between black and white.",
        "slice": f"In the middle is a real picture. The discriminative one is over 90 % confident in "
        f"{_number(slice_['frontier_confident_share'], '{:.0%}')} of the square, the generative one in "
        f"{_number(slice_['density_confident_share'], '{:.0%}')}. A short way along the gradient changes the class; the same way "
        f"in a random direction changes nothing.",
        "fooling": f"Ascent from noise makes the discriminative one {_number(first['frontier_confidence'], '{:.1%}')} confident "
        f"of pictures in which nothing can be seen; their log density is {_number(first['density_nats'], '{:.0f}')} nats, that of the "
        f"test set {_number(test['density_nats'], '{:.0f}')}. The generative one can be made "
        f"{_number(second['density_confidence'], '{:.1%}')} confident as well, but by pictures that take on the shape of the class.",
        "scores": "Boxes are quartiles, whiskers 1 % to 99 %; beside them the AUROC against the test set: 1 where every picture "
        "of the test set scores higher, 0.5 where the score tells nothing, less where it is the wrong way round.",
        "savings": f"Density alone ranks these above the test set: {_listed(higher)} (Nalisnick et al. 2019: simple pictures are "
        f"probable). Bits saved against PNG or zlib (Serrà et al. 2020) put right: {_listed(repaired)}; and they put wrong what "
        f"density had right: {_listed(spoilt)}, because a general compressor makes nothing of them.",
        "robustness": f"Median distance at which the class changes: L2 "
        f"{_number(robust['discriminative']['l2_median'], '{:.2f}')} and {_number(robust['generative']['l2_median'], '{:.2f}')}, "
        f"Linf {_number(robust['discriminative']['linf_median'], '{:.3f}')} and "
        f"{_number(robust['generative']['linf_median'], '{:.3f}')} (discriminative, generative). Gradients go through the whole "
        f"generative classifier: the codes are optimised again at every step of the attack, and at their optimum the density "
        f"changes with the picture as if they stayed (envelope theorem), so nothing has to be unrolled. Random search without "
        f"gradients, at 0.9 times those distances, succeeded for "
        f"{_number(robust['generative']['l2_search_nearer_share'], '{:.0%}')} (L2) and "
        f"{_number(robust['generative']['linf_search_nearer_share'], '{:.0%}')} (Linf) of the generative one's pictures, at "
        f"twice the distance for {_number(robust['generative']['l2_search_farther_share'], '{:.0%}')} and "
        f"{_number(robust['generative']['linf_search_farther_share'], '{:.0%}')}.",
        "calibration": f"Expected calibration error of the discriminative one "
        f"{_number(calibration['discriminative']['error_raw'], '{:.3f}')} before and "
        f"{_number(calibration['discriminative']['error'], '{:.3f}')} after its temperature; of the generative one "
        f"{_number(calibration['generative']['error_raw'], '{:.3f}')} and "
        f"{_number(calibration['generative']['error'], '{:.3f}')}. Dots with few pictures jump.",
    }


def _listed(names: list[str]) -> str:
    return ", ".join(figures.title(name) for name in names) or "none"


def _number(found: dict[str, Any], form: str) -> str:
    """Mean, and lowest to highest where the seeds differ as printed."""
    if found["mean"] is None:
        return "not found for all"
    low, high = form.format(found["low"]), form.format(found["high"])
    return form.format(found["mean"]) if low == high else f"{form.format(found['mean'])} ({low} to {high})"


def manifold_page(made: Manifold, page: Path, pictures: dict[str, Any]) -> None:
    """Write the page with `pictures`, by the names of FIGURES."""
    numbers = made.numbers()
    sentences = explained(made)
    rows = [
        {"name": figures.title(name), "cells": [scores[score] for score in SCORES]}
        for name, scores in numbers["auroc"].items()
    ]
    shown = [
        {"name": name, "title": title, "picture": pictures[name], "text": sentences[name], "wrong": WRONG_IF[name]}
        for name, title in FIGURES.items()
    ]
    html = render(
        "manifold.html",
        made=made,
        accuracy={name: _number(found, "{:.1%}") for name, found in numbers["accuracy"].items()},
        shown=shown,
        scores=list(SCORES.values()),
        rows=rows,
        number=_number,
    )
    write_page(page, html)
