"""Lossy: what is left at each size of the code, and what is lost, beside principal components."""

from statistics import mean, pstdev
from typing import Any

import torch

from lanterna.autoencode.figures import COLOURS, axes, drawn, residual, strip
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.workshop import Workshop
from lanterna.wording import counted

__all__ = ["make"]

SHOWN = 12


def make(shop: Workshop) -> Part:
    """Originals, reconstructions and residuals; error against code size with the spread over seeds and PCA's curve."""
    split, sizes = shop.split, sorted(shop.recipe.code)
    examples = split.held_out[_varied(shop)]
    rows = [("original", examples)]
    lines = []
    for code in sizes:
        made = [shop.model(code, repeat=repeat) for repeat in range(shop.recipe.repeats)]
        errors = [one.mse(split.held_out) for one in made]
        linear = shop.pca(code)
        back = made[0].project(examples)
        rows += [(counted(code, "number"), back), ("what is lost, x5", residual(examples - back))]
        lines.append(
            {
                "code": code,
                "mse": mean(errors),
                "mse_spread": pstdev(errors),
                "mses": errors,
                "pca_mse": linear.mse(split.held_out),
                "train_mse": made[0].numbers.get("train_mse"),
                "last_loss": made[0].numbers.get("last_held_out_loss"),
                "epochs": made[0].numbers.get("epochs"),
                **{name: value for name, value in made[0].numbers.items() if name.endswith("nats")},
            }
        )
    rows.append((f"PCA, {counted(sizes[-1], 'number')}", shop.pca(sizes[-1]).project(examples)))
    table = (
        ("numbers", "held-out MSE", "spread", "PCA", "train MSE"),
        *(
            (str(line["code"]), f"{line['mse']:.4f}", f"{line['mse_spread']:.4f}" if shop.recipe.repeats > 1 else "one seed",
                 f"{line['pca_mse']:.4f}", f"{line['train_mse']:.4f}")
            for line in lines
        ),
    )  # fmt: skip
    better = [line["code"] for line in lines if line["mse"] < line["pca_mse"]]
    numbers = {"mean_picture_mse": split.mean_mse, "sizes": lines, "pixels": split.pixels, "model": shop.recipe.model}
    return Part(
        "lossy",
        "A compact description loses something",
        (
            Figure("lossy", "Held-out pictures through the bottleneck, and five times what is lost", strip(rows)),
            Figure("sizes", "Held-out error against the size of the code", _curve(shop, numbers)),
        ),
        numbers,
        (
            f"The net's error is below PCA's at {len(better)} of {len(lines)} sizes; "
            f"the mean picture's is {split.mean_mse:.4f}.",
            "Held-out loss also chose the epoch that is kept; numbers.json has that of the last epoch, which nothing chose.",
        ),
        "the net were no better than PCA at every size, or its error reached zero.",
        table,
    )


def _varied(shop: Workshop) -> list[int]:
    """Held-out pictures of all classes in turn, or just the first."""
    labels = shop.split.held_out_labels
    count = min(SHOWN, len(shop.split.held_out))
    if labels is None:
        return list(range(count))
    by_class = [torch.nonzero(labels == label).flatten().tolist() for label in labels.unique().tolist()]
    turns = max(len(members) for members in by_class)
    return [members[turn] for turn in range(turns) for members in by_class if turn < len(members)][:count]


def _curve(shop: Workshop, numbers: dict[str, Any]) -> torch.Tensor:
    lines: list[dict[str, Any]] = numbers["sizes"]
    figure, (one,) = axes()
    codes = [line["code"] for line in lines]
    most = min(max(codes) * 2, shop.split.pixels, len(shop.split.train) - 1)
    dense = sorted({*codes, *(round(1.25**i) for i in range(40) if round(1.25**i) <= most)})
    one.plot(dense, [shop.pca(code).mse(shop.split.held_out) for code in dense], color=COLOURS[1], label="PCA")
    one.errorbar(
        codes, [line["mse"] for line in lines], yerr=[line["mse_spread"] for line in lines], color=COLOURS[0], marker="o",
        capsize=3, label=f"autoencoder ({shop.recipe.model})",
    )  # fmt: skip
    one.axhline(shop.split.mean_mse, color=COLOURS[5], linestyle=":", label="mean picture")
    one.set_xscale("log", base=2)
    one.set_yscale("log")
    one.set_xlabel("numbers in the code")
    one.set_ylabel("held-out MSE a pixel")
    one.legend(frameon=False)
    return drawn(figure)
