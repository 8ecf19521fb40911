"""Loses what is not needed: noise, what is strange, and most of a picture, but not its class."""

import warnings
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from lanterna.autoencode.experiments.specific import TRAIN, middle_code
from lanterna.autoencode.figures import COLOURS, axes, drawn, strip
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.pictures import Classed
from lanterna.autoencode.workshop import Workshop
from lanterna.manifold.measures import auroc
from lanterna.wording import counted, figure_text

__all__ = ["make"]

_FEW = (1, 5, 20)
_DRAWS = 5
_SMALL_CODE = 8


def make(shop: Workshop) -> Part:
    """Denoising, anomalies with one class left out of training, and classes from few labels."""
    epochs = max(shop.recipe.epochs // 3, 1)
    picture, denoising, rows = _denoise(shop, epochs)
    figures = [Figure("denoise", "Noise that a net was trained to remove, beside one that was not, and PCA", picture)]
    numbers: dict[str, Any] = {"denoising": denoising}
    says = [
        f"Removing noise of deviation {shop.recipe.noise:g}: MSE "
        + ", ".join(f"{name} {value:.4f}" for name, value in rows)
        + "."
    ]
    if (classed := shop.split.classed) is not None:
        anomalies = numbers["anomalies"] = _anomalies(shop, classed, max(epochs // 2, 1))
        if anomalies:
            figures.append(
                Figure("anomaly", "One class left out of training at a time: how well its pictures stand out by "
                       "their error, and by nothing but the variance of their pixels", _bars(anomalies))
            )  # fmt: skip
            worse = [line["class"] for line in anomalies if line["auroc"] < 0.5]
            beaten = [line["class"] for line in anomalies if line["auroc"] < line["variance_auroc"]]
            says.append(
                f"Worse than chance for: {', '.join(worse) or 'none'}. Beaten by the variance of the pixels for: "
                f"{', '.join(beaten) or 'none'}: a simple picture is easy to give back, however strange it is."
            )
        numbers["few_labels"] = _few_labels(shop, classed)
        figures.append(
            Figure("few_labels", "Logistic regression on codes and on pixels, from few labels; bars are the "
                   "spread over draws", _curves(numbers["few_labels"]))
        )  # fmt: skip
    return Part(
        "loses",
        "It loses what is not needed",
        tuple(figures),
        numbers,
        tuple(says),
        "the error told strange classes no better than the variance of the pixels does, or "
        "codes told classes worse than PCA's.",
    )


def _denoise(shop: Workshop, epochs: int) -> tuple[Tensor, dict[str, Any], list[tuple[str, float]]]:
    code = middle_code(shop)
    held = shop.split.held_out
    generator = torch.Generator().manual_seed(shop.recipe.seed + 3)
    noisy = (held + shop.recipe.noise * torch.randn(held.shape, generator=generator)).clamp(0, 1)
    made = {
        "as it is": noisy,
        "PCA": shop.pca(code).project(noisy),
        "plain net": shop.model(code).project(noisy),
        "denoising net": shop.model(code, variant="denoising", epochs=epochs).project(noisy),
    }
    errors = {name: float((pictures - held).square().mean()) for name, pictures in made.items()}
    rows = [("original", held[:12]), *((name, pictures[:12]) for name, pictures in made.items())]
    return strip(rows), {"noise": shop.recipe.noise, "code": code, "mse": errors}, list(errors.items())


def _anomalies(shop: Workshop, classed: Classed, epochs: int) -> list[dict[str, Any]]:
    found = []
    for label, name in enumerate(classed.classes):
        strange = classed.held_out_labels == label
        kept = classed.train[classed.train_labels != label][:TRAIN]
        usual = classed.held_out[~strange]
        # Nothing to tell apart: the class has no picture held out, or all that are held out are of it.
        if not bool(strange.any()) or not len(usual):
            continue
        # Dense: ten trainings, and no better net is needed to show what goes wrong.
        net = shop.model(
            min(_SMALL_CODE, shop.split.pixels),
            variant="dense",
            train_on=kept,
            judged_on=usual,
            epochs=epochs,
            name=f"without {name}",
        )
        variance = classed.held_out.flatten(1).var(1)
        found.append(
            {
                "class": name,
                "auroc": auroc(net.errors(classed.held_out[strange]), net.errors(usual)),
                "variance_auroc": auroc(variance[strange], variance[~strange]),
                "pictures": int(strange.sum()),
            }
        )
    return found


def _few_labels(shop: Workshop, classed: Classed) -> list[dict[str, Any]]:
    code = middle_code(shop)
    linear, net = shop.pca(code), shop.model(code)
    views = {
        f"{counted(code, 'number')} of the net": (net.encode(classed.train), net.encode(classed.held_out)),
        f"{code} of PCA": (linear.encode(classed.train), linear.encode(classed.held_out)),
        "pixels": (classed.train.flatten(1), classed.held_out.flatten(1)),
    }
    generator = torch.Generator().manual_seed(shop.recipe.seed + 4)
    lines = []
    for few in _FEW:
        scores: dict[str, list[float]] = {name: [] for name in views}
        for _ in range(_DRAWS):
            chosen = torch.cat(
                [
                    members[torch.randperm(len(members), generator=generator)[:few]]
                    for label in classed.train_labels.unique()
                    for members in [torch.nonzero(classed.train_labels == label).flatten()]
                ]
            )
            for name, (train, test) in views.items():
                scores[name].append(_probe(train[chosen], classed.train_labels[chosen], test, classed.held_out_labels))
        for name, values in scores.items():
            one = torch.tensor(values)
            lines.append({"labels": few, "on": name, "accuracy": float(one.mean()), "spread": float(one.std())})
    return lines


def _probe(train: Tensor, labels: Tensor, test: Tensor, wanted: Tensor) -> float:
    # One scale for all numbers, so that the probe sees the code's own proportions.
    scale = train.std().clamp(min=1e-6)
    with warnings.catch_warnings():
        # Few steps are enough to compare, and say so by this warning.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(max_iter=200).fit((train / scale).numpy(), labels.numpy())
    return float(probe.score((test / scale).numpy(), wanted.numpy()))


def _bars(lines: list[dict[str, Any]]) -> Tensor:
    figure, (one,) = axes(7.5, 3.6)
    for shift, (key, name) in enumerate((("auroc", "error of the net"), ("variance_auroc", "variance of the pixels"))):
        one.bar(
            [i + 0.4 * (shift - 0.5) for i in range(len(lines))],
            [line[key] for line in lines],
            0.38,
            color=COLOURS[shift],
            label=name,
        )
    one.axhline(0.5, color=COLOURS[5], linestyle=":", label="chance")
    one.set_xticks(range(len(lines)), [figure_text(line["class"]) for line in lines])
    one.set_ylim(0, 1.18)
    one.set_xlabel("class left out of training")
    one.set_ylabel("AUROC")
    one.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    return drawn(figure)


def _curves(lines: list[dict[str, Any]]) -> Tensor:
    figure, (one,) = axes(6.0, 3.8)
    for colour, name in zip(COLOURS, dict.fromkeys(line["on"] for line in lines), strict=False):
        mine = [line for line in lines if line["on"] == name]
        one.errorbar([line["labels"] for line in mine], [line["accuracy"] for line in mine],
                     yerr=[line["spread"] for line in mine], color=colour, marker="o", capsize=3, label=name)  # fmt: skip
    one.set_xscale("log")
    one.set_xticks(list(_FEW), [str(few) for few in _FEW])
    one.set_xlabel("labels of each class")
    one.set_ylabel("accuracy on held-out pictures")
    one.legend(frameon=False, fontsize=8)
    return drawn(figure)
