"""Is this how pictures are generated? Ascent in pixels, ascent in codes, and random codes, for every class."""

from typing import Any

import torch
from torch import Tensor, nn

from lanterna.ascent import ascend
from lanterna.autoencode.experiments.judges import classifier, wrapped
from lanterna.autoencode.experiments.specific import middle_code
from lanterna.autoencode.figures import strip
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.pictures import Classed
from lanterna.autoencode.workshop import Workshop
from lanterna.canvas import Canvas, PixelCanvas
from lanterna.errors import StoppedError
from lanterna.jitter import Jitter
from lanterna.networks.network import Network
from lanterna.objectives import class_logit, each

__all__ = ["log_density", "make", "nearest"]

STEPS = 200
_EACH = 4


def nearest(pictures: Tensor, real: Tensor) -> Tensor:
    """The distance (B,) of pictures (B, C, S, S) to the nearest of `real` (N, C, S, S): root mean square a pixel."""
    distance: Tensor = torch.cdist(pictures.flatten(1), real.flatten(1)).min(1).values / pictures[0].numel() ** 0.5
    return distance


def log_density(points: Tensor, training: Tensor) -> Tensor:
    """Log density (B,) in nats of points (B, K), by normal kernels on `training` (N, K), wide as the median nearest distance.

    The median is that among the first thousand of them.
    """
    sample = training[:1000]
    # Where most are there twice the median is 0, which is no width.
    near = torch.cdist(sample, sample).fill_diagonal_(torch.inf).min(1).values.median().clamp(min=1e-3)
    # A kernel's length is that of its deviation times the root of K: in many dimensions it is a shell.
    deviation = near / points.shape[1] ** 0.5
    exponent = -torch.cdist(points, training).square() / (2 * deviation**2)
    width = points.shape[1] * (deviation.log() + 0.5 * torch.log(torch.tensor(2 * torch.pi)))
    density: Tensor = exponent.logsumexp(1) - torch.log(torch.tensor(float(len(training)))) - width
    return density


def make(shop: Workshop) -> Part | None:
    """A class's picture three ways, judged by density, by the nearest real picture, and by a classifier of its own."""
    split, classed = shop.split, shop.split.classed
    if classed is None:
        return None
    code = middle_code(shop)
    net = shop.model(code)
    maker, judge = wrapped(classifier(shop, classed, 0), shop), classifier(shop, classed, 1)
    wanted = torch.arange(len(classed.classes)).repeat_interleave(_EACH)
    generator = torch.Generator().manual_seed(shop.recipe.seed + 5)
    side = split.train.shape[2]
    shape = (len(wanted), split.train.shape[1], side, side)
    objective = each([class_logit(int(label)) for label in wanted])

    def climb(canvas: Canvas) -> Tensor:
        climbed = ascend(
            canvas, objective, maker, size=(side, side), steps=STEPS, generator=generator, lr=0.05,
            jitter=Jitter.none(), on_event=shop.series.part(0.0),
        )  # fmt: skip
        if climbed.stopped:
            raise StoppedError("stopped while pictures were made for each class")
        return climbed.pictures

    shop.series.enter("ascent in pixels and in codes")
    made = {
        "ascent in pixels": climb(PixelCanvas.noise(shape, generator)),
        "ascent in codes": climb(net.canvas(split.train, len(wanted), generator)),
        "random codes": net.canvas(split.train, len(wanted), generator).render().detach(),
        "real, held out": _real(classed, wanted),
    }
    lines = [_judged(name, pictures, wanted, maker, judge, shop) for name, pictures in made.items()]
    table = (
        ("pictures", "wanted class, its own", "second opinion", "log density", "nearest real"),
        *(
            (
                str(line["pictures"]),
                "-" if line["own_agrees"] is None else f"{line['own_agrees']:.0%}",
                f"{line['judge_agrees']:.0%}" if line["own_agrees"] is not None else f"sure: {line['judge_confidence']:.0%}",
                f"{line['log_density']:.0f}",
                f"{line['nearest']:.3f}",
            )
            for line in lines
        ),
    )
    rows = [(name, pictures[::_EACH]) for name, pictures in made.items()]
    return Part(
        "generate",
        "Is this how pictures are generated?",
        (
            Figure("generate", "For every class: ascent in pixels, ascent in the codes of an autoencoder, "
                   "and random codes, which were made for no class", strip(rows, columns=classed.classes)),
        ),
        {"code": code, "steps": STEPS, "pictures": lines},
        (
            "The loop, the objective and the classifier are the same; only what is changed differs: pixels, or "
            "the code behind a decoder. The second opinion is a classifier that took no part. Density is in all "
            "pixels, by kernels on the training pictures, in nats; the nearest real picture is a training picture, at root "
            "mean square a pixel.",
        ),
        "density, distance and second opinion were the same for pixels and codes.",
        table,
    )  # fmt: skip


def _real(classed: Classed, wanted: Tensor) -> Tensor:
    found = []
    for label in wanted.unique().tolist():
        members = torch.nonzero(classed.held_out_labels == label).flatten()
        # A class that has none held out lends the first of all.
        found.append(members[:_EACH].repeat(_EACH)[:_EACH] if len(members) else torch.zeros(_EACH, dtype=torch.long))
    return classed.held_out[torch.cat(found)]


@torch.no_grad()
def _judged(name: str, pictures: Tensor, wanted: Tensor, maker: Network, judge: nn.Module, shop: Workshop) -> dict[str, Any]:
    # As they would be saved: in 8 bits.
    pictures = (pictures * 255).round() / 255
    opinion = judge(pictures).softmax(1)
    random = name == "random codes"
    return {
        "pictures": name,
        "own_agrees": None if random else float((maker.logits(pictures).argmax(1) == wanted).float().mean()),
        "judge_agrees": None if random else float((opinion.argmax(1) == wanted).float().mean()),
        "judge_confidence": float(opinion.max(1).values.mean()),
        "log_density": float(log_density(pictures.flatten(1), shop.split.train.flatten(1)).median()),
        "nearest": float(nearest(pictures, shop.split.train).median()),
    }
