"""Possible because data is regular: the same net on noise and on pixels in another order."""

import io
import zlib
from typing import Any

import torch
from torch import Tensor

from lanterna.autoencode.experiments.bits import mosaic_image
from lanterna.autoencode.experiments.specific import TRAIN, middle_code
from lanterna.autoencode.figures import COLOURS, axes, drawn, strip
from lanterna.autoencode.model import Autoencoder
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.pictures import mean_picture_mse, noise
from lanterna.autoencode.workshop import Workshop
from lanterna.manifold.stimuli import pixel_shuffled
from lanterna.wording import counted

__all__ = ["entropies", "kinds_of", "make", "net_of", "trained_for"]


def entropies(pictures: Tensor) -> dict[str, float]:
    """Bytes a picture of (N, C, S, S): by the histogram of levels, by zlib alone, and by PNG of a mosaic of all."""
    levels = (pictures * 255).round().to(torch.uint8)
    share = torch.bincount(levels.flatten().long(), minlength=256).double() / levels.numel()
    bits = float(-(share[share > 0] * share[share > 0].log2()).sum())
    alone = [len(zlib.compress(one.numpy().tobytes(), 9)) for one in levels[:200]]
    buffer = io.BytesIO()
    mosaic_image(pictures).save(buffer, "PNG", optimize=True)
    values = levels[0].numel()
    return {
        "raw": values,
        "histogram": bits * values / 8,
        "zlib": sum(alone) / len(alone),
        "png": buffer.tell() / len(pictures),
    }


def kinds_of(shop: Workshop) -> dict[str, tuple[Tensor, Tensor]]:
    """Pictures to learn from and held out, by kind: the data, its pixels shuffled, and noise."""
    split = shop.split
    train_pictures = split.train[:TRAIN]
    generator = torch.Generator().manual_seed(shop.recipe.seed + 2)
    pure = noise(len(train_pictures) + len(split.held_out), tuple(split.train.shape[1:]), generator)
    return {
        split.name: (train_pictures, split.held_out),
        "pixels shuffled": (pixel_shuffled(train_pictures, generator), pixel_shuffled(split.held_out, generator)),
        "noise": (pure[: len(train_pictures)], pure[len(train_pictures) :]),
    }


def trained_for(shop: Workshop) -> tuple[int, int]:
    """The numbers of the code, and the epochs, of the nets that learn one of the kinds."""
    return middle_code(shop), max(shop.recipe.epochs // 3, 1)


def net_of(shop: Workshop, name: str, train: Tensor, test: Tensor) -> Autoencoder:
    """The net that learned one of the kinds, a third as long as those of the data."""
    code, epochs = trained_for(shop)
    augmented = name == shop.split.name
    return shop.model(code, train_on=train, judged_on=test, epochs=epochs, augmented=augmented, name=name)


def make(shop: Workshop) -> Part:
    """Held-out error over variance, beside how many bytes the pictures hold."""
    code, epochs = trained_for(shop)
    lines: list[dict[str, Any]] = []
    rows: list[tuple[str, Tensor]] = []
    for name, (train, test) in kinds_of(shop).items():
        net = net_of(shop, name, train, test)
        variance = mean_picture_mse(train, test)
        error = net.mse(test)
        lines.append(
            {"pictures": name, "mse": error, "variance": variance, "relative_mse": error / variance, "bytes": entropies(test)}
        )
        rows += [(name, test[:10]), (f"from {counted(code, 'number')}", net.project(test[:10]))]
    table = (
        ("pictures", "error / variance", "histogram, bytes", "zlib, bytes", "PNG, bytes"),
        *(
            (
                str(line["pictures"]),
                f"{line['relative_mse']:.2f}",
                *(f"{line['bytes'][kind]:.0f}" for kind in ("histogram", "zlib", "png")),
            )
            for line in lines
        ),
    )
    return Part(
        "regular",
        "Possible because data is regular",
        (
            Figure(
                "regular",
                f"The same net, {counted(code, 'number')}, {epochs} epochs; 1 is the variance, where nothing was learned",
                _bars(lines),
            ),
            Figure("regular_strip", "What it makes of them", strip(rows)),
        ),
        {"code": code, "epochs": epochs, "kinds": lines},
        (_told(lines, code / shop.split.pixels),),
        "of noise or of shuffled pixels half the variance or more came back.",
        table,
    )


def _told(lines: list[dict[str, Any]], share: float) -> str:
    data, mixed, pure = (float(line["relative_mse"]) for line in lines)
    return (
        f"Noise holds the most bits, and {pure:.0%} of its variance is lost: nothing in one pixel tells of another, and the "
        f"numbers of the code are {share:.0%} of the pixels. With the pixels of each picture in another order {mixed:.0%} is "
        f"lost. As the pictures are, {data:.0%}: they hold fewer bits and tell us more, because their pixels depend on each "
        "other."
    )


def _bars(lines: list[dict[str, Any]]) -> Tensor:
    figure, (left, right) = axes(9.5, 3.6, columns=2)
    names = [line["pictures"] for line in lines]
    left.bar(names, [line["relative_mse"] for line in lines], color=COLOURS[0], width=0.6)
    left.axhline(1.0, color=COLOURS[5], linestyle=":")
    left.set_ylabel("held-out error / variance")
    for shift, kind in enumerate(("histogram", "zlib", "png")):
        places = [i + 0.26 * (shift - 1) for i in range(len(names))]
        right.bar(
            places,
            [line["bytes"][kind] for line in lines],
            width=0.25,
            color=COLOURS[shift + 1],
            label=kind.replace("png", "PNG"),
        )
    right.set_xticks(range(len(names)), names)
    right.axhline(lines[0]["bytes"]["raw"], color=COLOURS[5], linestyle=":", label="raw")
    right.set_ylabel("bytes a picture")
    right.legend(frameon=False, fontsize=8)
    return drawn(figure)
