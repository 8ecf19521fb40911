"""The page of `manifold`: its figures, each with what would prove it wrong, and the tables behind them."""

from pathlib import Path
from typing import Any

from lanterna.manifold import figures
from lanterna.manifold.sets import SIDE
from lanterna.manifold.study import SCORES
from lanterna.report.how import command_for
from lanterna.report.page import render, write_page
from lanterna.techniques.manifold import FIGURES, Manifold

__all__ = ["WRONG_IF", "explained", "manifold_page"]

# With each figure, what would have been seen if what it says were not so.
WRONG_IF = {
    "wall": "some noise picture lay left of the dashed line: as near to a real one as real pictures usually are",
    "ladder": "noise compressed as well as real pictures, or had their density",
    "plane": "the generative one coloured as much of the plane as the discriminative one",
    "slice": "the class changed as soon along a random direction as along the gradient",
    "fooling": "the discriminative one could not be made certain of noise, or the generative one's pictures showed nothing",
    "scores": "density ranked no kind of pictures better than the discriminative one's confidence does",
    "savings": "no other kind were more probable than the test set, or the corrected score ranked every kind right",
    "robustness": "both needed the same distance, or a search without gradients came nearer than gradients did",
    "calibration": "the temperature left confidences no nearer to the accuracy",
}


def explained(made: Manifold) -> dict[str, str]:
    """What each figure shows in this run, in sentences with its numbers; each line is a paragraph."""
    numbers = made.numbers()
    return {
        "wall": _wall(numbers["noise_wall"]),
        "ladder": _ladder(numbers["groups"]),
        "plane": _plane(numbers["plane"]),
        "slice": _slice(numbers["slice"]),
        "fooling": _fooling(numbers["groups"]),
        "scores": "Boxes are quartiles, whiskers 1 % to 99 %, of the first seed. Beside them stands the AUROC against the "
        "test set: 1 where every picture of the test set scores higher, 0.5 where the score tells nothing, less where it is "
        "the wrong way round. The table has the mean over the seeds, with lowest and highest.",
        "savings": _savings(numbers["auroc"]),
        "robustness": _robustness(numbers["robustness"]),
        "calibration": _calibration(numbers["calibration"]),
    }


def _wall(walls: dict[str, Any]) -> str:
    uniform, marginal = walls["uniform"], walls["marginal"]
    count = int(uniform["count"]["mean"])
    text = (
        f"Of {count:,} pictures of noise {_number(uniform['within_median'], '{:.0f}')} are as near to a real picture as the "
        f"median real one; of as many in which every pixel has its own distribution in the data, "
        f"{_number(marginal['within_median'], '{:.0f}')}. "
    )
    if uniform["within_median"]["high"] == 0:
        text += f"None of {count:,} says, with 95 % certainty, that fewer than {300 / count:.2f}\u00a0% of all are (3 / N). "
    return text + (
        f"The nearest uniform one is at {_number(uniform['nearest_distance'], '{:.1f}')}, the nearest of the other kind at "
        f"{_number(marginal['nearest_distance'], '{:.1f}')}, the median real one at "
        f"{_number(uniform['real_median_distance'], '{:.1f}')}. Nearer than the loneliest real picture are "
        f"{_number(uniform['within_largest'], '{:.0f}')} and {_number(marginal['within_largest'], '{:.0f}')}: an odd real "
        "picture is far from all others, so that is no sign of being one."
    )


def _ladder(groups: dict[str, Any]) -> str:
    test, noise = groups["test"], groups["noise"]
    return (
        f"A real picture takes {_number(test['zlib_bytes'], '{:.0f}')} bytes with zlib, noise "
        f"{_number(noise['zlib_bytes'], '{:.0f}')} of {SIDE * SIDE}. Of noise that nobody optimised the discriminative one "
        f"is {_number(noise['frontier_confidence'], '{:.0%}')} confident; the generative one, which may say 'none of them', "
        f"{_number(noise['density_confidence'], '{:.0%}')}."
    )


def _plane(plane: dict[str, Any]) -> str:
    return (
        "Every point is a picture. The discriminative one is over 90 % confident in "
        f"{_number(plane['frontier_confident_share'], '{:.0%}')} of the plane, the generative one in "
        f"{_number(plane['density_confident_share'], '{:.0%}')}. {_number(plane['density_blank_share'], '{:.0%}')} of it has "
        "a density that only 1 % of real pictures are below. Inside the dashed line all pixels are between black and white."
    )


def _slice(plane: dict[str, Any]) -> str:
    return (
        "In the middle is a real picture. The discriminative one is over 90 % confident in "
        f"{_number(plane['frontier_confident_share'], '{:.0%}')} of the square, the generative one in "
        f"{_number(plane['density_confident_share'], '{:.0%}')}. The discriminative one's class changes, along its "
        f"gradient, at L2 {_number(plane['frontier_changes_along_gradient'], '{:.1f}')}; along the random direction "
        f"{_number(plane['frontier_changes_along_random'], '{:.1f}')}. The generative one's: "
        f"{_number(plane['density_changes_along_gradient'], '{:.1f}')}, and "
        f"{_number(plane['density_changes_along_random'], '{:.1f}')}."
    )


def _fooling(groups: dict[str, Any]) -> str:
    test, first, second = groups["test"], groups["fooling_discriminative"], groups["fooling_generative"]
    return (
        f"Ascent from noise makes the discriminative one {_number(first['frontier_confidence'], '{:.1%}')} confident of "
        f"pictures in which nothing is to be seen; their log density is {_number(first['density_nats'], '{:.0f}')} nats, "
        f"that of the test set {_number(test['density_nats'], '{:.0f}')}. The generative one can be made "
        f"{_number(second['density_confidence'], '{:.1%}')} confident as well, but by pictures that take on the shape of the "
        f"class: {_number(second['density_nats'], '{:.0f}')} nats."
    )


def _savings(aurocs: dict[str, Any]) -> str:
    wrong = {score: [n for n, found in aurocs.items() if found[score]["mean"] < 0.5] for score in ("density", "corrected")}
    repaired = [name for name in wrong["density"] if name not in wrong["corrected"]]
    spoilt = [name for name in wrong["corrected"] if name not in wrong["density"]]
    return (
        f"Density ranks above the test set: {_listed(wrong['density'])} (Nalisnick et al. 2019; simple pictures are "
        f"probable). The bits that the densities save against PNG or zlib (Serrà et al. 2020) put right: "
        f"{_listed(repaired)}. They put wrong what density had right: {_listed(spoilt)}; a general compressor makes nothing "
        "of such pictures, so everything saves bits there."
    )


def _robustness(found: dict[str, Any]) -> str:
    first, second = found["discriminative"], found["generative"]
    return (
        f"Median distance at which the class changes, discriminative and generative: L2 "
        f"{_number(first['l2_median'], '{:.2f}')} and {_number(second['l2_median'], '{:.2f}')}; Linf "
        f"{_number(first['linf_median'], '{:.3f}')} and {_number(second['linf_median'], '{:.3f}')}. On the straight line to "
        "the nearest real picture of another class the frontier is at L2 "
        f"{_number(first['line_l2_median'], '{:.1f}')} and {_number(second['line_l2_median'], '{:.1f}')}.\n"
        "Gradients go through the whole generative classifier: its codes are optimised again in every step of the attack, "
        "and where they are best the density changes with the picture as if they stood still (the envelope theorem), so "
        "nothing has to be unrolled. "
        "Projected gradient descent at the median distance that the other attacks found fools "
        f"{_number(second['l2_pgd_at_median_share'], '{:.0%}')} (L2) and "
        f"{_number(second['linf_pgd_at_median_share'], '{:.0%}')} (Linf) of the generative one's pictures, about half as it "
        "should.\n"
        "Random search without gradients, a check against masked ones, finds an error at 0.9 times these distances "
        f"for {_number(second['l2_search_nearer_share'], '{:.0%}')} (L2) and "
        f"{_number(second['linf_search_nearer_share'], '{:.0%}')} (Linf) of the generative one's pictures, and at twice the "
        f"distance for {_number(second['l2_search_farther_share'], '{:.0%}')} and "
        f"{_number(second['linf_search_farther_share'], '{:.0%}')}; for the discriminative one, with five times as many "
        f"queries, {_number(first['l2_search_nearer_share'], '{:.0%}')} and "
        f"{_number(first['linf_search_nearer_share'], '{:.0%}')}, {_number(first['l2_search_farther_share'], '{:.0%}')} and "
        f"{_number(first['linf_search_farther_share'], '{:.0%}')}."
    )


def _calibration(found: dict[str, Any]) -> str:
    first, second = found["discriminative"], found["generative"]
    return (
        f"Expected calibration error, before and after the temperature: discriminative "
        f"{_number(first['error_raw'], '{:.3f}')} and {_number(first['error'], '{:.3f}')}, generative "
        f"{_number(second['error_raw'], '{:.3f}')} and {_number(second['error'], '{:.3f}')}. "
        "Dots with fewer than five pictures are left out."
    )


def _listed(names: list[str]) -> str:
    return ", ".join(figures.title(name) for name in names) or "none"


def _number(found: dict[str, Any], form: str) -> str:
    """Mean, and lowest to highest where the seeds differ as printed."""

    def said(value: float) -> str:
        return form.format(value).replace("%", "\u00a0%")

    if found["mean"] is None:
        nowhere = sum(one is None for one in found["seeds"])
        least = "" if found["low"] is None else f" (at {said(found['low'])} the least elsewhere)"
        return f"nowhere within reach for {nowhere} of {len(found['seeds'])} seeds{least}"
    low, high = said(found["low"]), said(found["high"])
    return said(found["mean"]) if low == high else f"{said(found['mean'])} ({low} to {high})"


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
        again=command_for("manifold", made.recipe),
    )
    write_page(page, html)
