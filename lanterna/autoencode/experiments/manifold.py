"""The manifold: a map of codes, ways between pictures, and going back to it, also as a defence."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.autoencode.experiments.generate import nearest
from lanterna.autoencode.experiments.judges import accuracy, classifier
from lanterna.autoencode.experiments.specific import middle_code
from lanterna.autoencode.figures import COLOURS, axes, drawn, strip
from lanterna.autoencode.model import Autoencoder
from lanterna.autoencode.part import Figure, Part
from lanterna.autoencode.pictures import Classed, noise
from lanterna.autoencode.workshop import Workshop

__all__ = ["attacked", "make"]

EPSILONS = (0.05, 0.1, 0.2)
_STEPS = 20
_ATTACKED = 200
_TIMES = (0, 1, 2, 4, 8, 16, 32)
_PAIRS = 100


def make(shop: Workshop) -> Part:
    """The 2-D map, interpolation, repeated projection, and the defence with an attack that knows of it."""
    code = middle_code(shop)
    net = shop.model(code)
    flat = shop.model(2)
    figures = [
        Figure(
            "map", "Held-out pictures where their two numbers put them; the colour of the dots is the class", _map(shop, flat)
        )
    ]
    picture, between = _between(shop, net)
    figures.append(Figure("between", "From one held-out picture to another: by fading the pixels, and by the code", picture))
    defence: dict[str, Any] | None = None
    attacked_pictures = None
    says = [
        f"The midpoint between pictures of two classes is {between['code']:.3f} from the nearest real picture by the code "
        f"and {between['pixels']:.3f} by pixels (root mean square a pixel, median of {between['pairs']} pairs; real held-out "
        f"pictures: {between['real']:.3f})."
    ]
    table: tuple[tuple[str, ...], ...] = ()
    if (classed := shop.split.classed) is not None:
        defence, attacked_pictures = _defence(shop, classed, net)
        figures.append(
            Figure("defence", "Accuracy under attack, of the classifier alone and behind the projection", _curves(defence))
        )
        lines = defence["lines"]
        table = (
            ("largest change", "noise", "attacked", "attacked, then projected", "attack that knows of it"),
            *(
                (
                    f"{line['epsilon']:g}",
                    f"{line['noise']:.0%}",
                    f"{line['attacked']:.0%}",
                    f"{line['projected']:.0%}",
                    f"{line['aware']:.0%}",
                )
                for line in lines
            ),
        )
        says.append(_verdict(lines))
    picture, drift = _projected(shop, net, attacked_pictures)
    figures.append(Figure("projected", "The same net again and again: x, D(E(x)), D(E(D(E(x)))), ...", picture))
    return Part(
        "manifold",
        "The manifold",
        tuple(figures),
        {"code": code, "map_mse": flat.mse(shop.split.held_out), "between": between, "projected": drift, "defence": defence},
        tuple(says),
        "midpoints by the code were as far from real pictures as those by pixels, or an attack through the projection did no "
        "better than one that does not know of it.",
        table,
    )


def _verdict(lines: list[dict[str, Any]]) -> str:
    last = lines[-1]
    worse = [f"{line['epsilon']:g}" for line in lines if line["aware"] < line["attacked"]]
    return (
        f"Projecting first brings {last['attacked']:.0%} back to {last['projected']:.0%} at a change of {last['epsilon']:g}, "
        f"against an attack on the classifier alone. One that takes its gradient through the projection leaves "
        f"{last['aware']:.0%}"
        + (f", and at {', '.join(worse)} less than without any defence: it is then worse than nothing." if worse else ".")
    )


def _map(shop: Workshop, net: Autoencoder) -> Tensor:
    held = shop.split.held_out
    codes = net.encode(held)
    # By rank halfway: a few far codes would else squeeze the rest into a blot.
    ranks = codes.argsort(0).argsort(0).float() / max(len(codes) - 1, 1)
    low, high = codes.quantile(0.01, 0), codes.quantile(0.99, 0)
    places = 0.5 * ranks + 0.5 * ((codes - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    figure, (one,) = axes(8.2, 8.2)
    one.grid(False)
    labels = shop.split.held_out_labels
    palette = [*COLOURS, "#3fa7a0", "#d48fb0", "#7d7d2e"]
    colours = [palette[0 if labels is None else int(labels[i]) % len(palette)] for i in range(len(held))]
    one.scatter(places[:, 0], places[:, 1], s=14, c=colours, alpha=0.85, linewidths=0)
    taken: list[Tensor] = []
    size = 0.027
    for place, picture, colour in zip(places, held, colours, strict=True):
        if any(bool(((place - other).abs() < 2.3 * size).all()) for other in taken):
            continue
        taken.append(place)
        pixels = picture.expand(3, -1, -1)
        if picture.shape[0] == 1:
            # Ink of the class's colour on white, so that neighbours of other classes stand out.
            ink = torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]).view(3, 1, 1)
            pixels = 1 - pixels * (1 - ink)
        x, y = float(place[0]), float(place[1])
        one.imshow(
            pixels.permute(1, 2, 0).clamp(0, 1).numpy(),
            extent=(x - size, x + size, y - size, y + size),
            zorder=3,
            aspect="auto",
        )
    one.set_xlim(-0.04, 1.04)
    one.set_ylim(-0.04, 1.04)
    one.set_xticks([])
    one.set_yticks([])
    one.set_xlabel("first number of the code (half by rank)")
    one.set_ylabel("second number")
    return drawn(figure)


def _pairs(shop: Workshop) -> tuple[Tensor, Tensor]:
    """Pairs of held-out pictures, of two classes where there are classes."""
    held, labels = shop.split.held_out, shop.split.held_out_labels
    half = len(held) // 2
    first, second = held[:half], held[half : 2 * half]
    if labels is not None:
        differ = labels[:half] != labels[half : 2 * half]
        if bool(differ.any()):
            first, second = first[differ], second[differ]
    return first[:_PAIRS], second[:_PAIRS]


def _between(shop: Workshop, net: Autoencoder) -> tuple[Tensor, dict[str, Any]]:
    first, second = _pairs(shop)
    ends = net.encode(first), net.encode(second)
    middles = net.decode(0.5 * (ends[0] + ends[1]))
    real = shop.split.train
    numbers = {
        "pairs": len(first),
        "pixels": float(nearest(0.5 * (first + second), real).median()),
        "code": float(nearest(middles, real).median()),
        "real": float(nearest(torch.cat([first, second]), real).median()),
    }
    rows: list[tuple[str, Tensor]] = []
    shares = torch.linspace(0, 1, 9)
    for i in range(min(3, len(first))):
        fade = torch.stack([torch.lerp(first[i], second[i], float(share)) for share in shares])
        by_code = net.decode(torch.stack([torch.lerp(ends[0][i], ends[1][i], float(share)) for share in shares]))
        rows += [("pixels", fade), ("code", by_code)]
    return strip(rows), numbers


def _projected(shop: Workshop, net: Autoencoder, attacked_pictures: Tensor | None) -> tuple[Tensor, list[dict[str, Any]]]:
    generator = torch.Generator().manual_seed(shop.recipe.seed + 6)
    held = shop.split.held_out
    starts = {"real": held[:1], "noise": noise(1, tuple(held.shape[1:]), generator)}
    if attacked_pictures is not None:
        starts["attacked"] = attacked_pictures[:1]
    starts |= {
        # Of two that are held out: both.
        "two in one": torch.maximum(held[1:2], held[2:3] if len(held) > 2 else held[:1]),
        "negative": 1 - held[:1],
        "half of it": torch.cat([held[:1, :, : held.shape[2] // 2], torch.zeros_like(held[:1, :, held.shape[2] // 2 :])], 2),
    }
    rows, numbers = [], []
    for name, start in starts.items():
        frames, now = [start], start
        for step in range(1, _TIMES[-1] + 1):
            now = net.project(now)
            if step in _TIMES:
                frames.append(now)
        rows.append((name, torch.cat(frames)))
        away = nearest(torch.cat(frames), shop.split.train)
        numbers.append({"start": name, "times": list(_TIMES), "nearest_real": away.tolist()})
    return strip(rows, columns=[f"{times}x" for times in _TIMES]), numbers


def attacked(
    answer: Callable[[Tensor], Tensor], pictures: Tensor, labels: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    """Pictures changed by up to `epsilon` a pixel so that `answer`, their logits, is wrong.

    Projected gradient descent from a random start: Madry et al., "Towards Deep Learning Models Resistant to Adversarial
    Attacks", 2018; the best step of each picture is kept.
    """
    start = (torch.rand(pictures.shape, generator=generator) * 2 - 1) * epsilon
    now = (pictures + start).clamp(0, 1)
    best, worst = now, torch.full((len(pictures),), -torch.inf)
    for _ in range(_STEPS + 1):
        now = now.detach().requires_grad_(True)
        losses = F.cross_entropy(answer(now), labels, reduction="none")
        (gradient,) = torch.autograd.grad(losses.sum(), now)
        with torch.no_grad():
            won = losses > worst
            worst = torch.where(won, losses, worst)
            best = torch.where(won.view(-1, 1, 1, 1), now, best)
            step = now + 2.5 * epsilon / _STEPS * gradient.sign()
            now = (pictures + (step - pictures).clamp(-epsilon, epsilon)).clamp(0, 1)
    return best.detach()


def _defence(shop: Workshop, classed: Classed, net: Autoencoder) -> tuple[dict[str, Any], Tensor]:
    judge = classifier(shop, classed, 0)
    pictures, labels = classed.held_out[:_ATTACKED], classed.held_out_labels[:_ATTACKED]
    generator = torch.Generator().manual_seed(shop.recipe.seed + 8)

    def through(given: Tensor) -> Tensor:
        projected: Tensor = judge(net.module.decode(net.module.encode(given)))
        return projected

    shop.series.enter("attacks")
    lines = []
    shown = pictures
    for epsilon in EPSILONS:
        random = (pictures + epsilon * (torch.rand(pictures.shape, generator=generator) * 2 - 1).sign()).clamp(0, 1)
        plain = attacked(judge, pictures, labels, epsilon, generator)
        aware = attacked(through, pictures, labels, epsilon, generator)
        lines.append(
            {
                "epsilon": epsilon,
                "noise": accuracy(judge, random, labels),
                "attacked": accuracy(judge, plain, labels),
                "projected": accuracy(judge, net.project(plain), labels),
                "aware": accuracy(judge, net.project(aware), labels),
                "aware_without_projection": accuracy(judge, aware, labels),
            }
        )
        shown = plain
    clean = {"classifier": accuracy(judge, pictures, labels), "projected": accuracy(judge, net.project(pictures), labels)}
    return {"clean": clean, "lines": lines, "pictures": len(pictures), "steps": _STEPS, "norm": "linf"}, shown


def _curves(defence: dict[str, Any]) -> Tensor:
    figure, (one,) = axes(6.4, 3.8)
    at = [0.0, *(line["epsilon"] for line in defence["lines"])]
    clean = defence["clean"]
    kinds = (
        ("noise", "noise of the same size", clean["classifier"]),
        ("attacked", "attacked", clean["classifier"]),
        ("projected", "attacked, then projected", clean["projected"]),
        ("aware", "projected, attack knows of it", clean["projected"]),
    )
    for colour, (key, name, start) in zip((COLOURS[5], *COLOURS[:3]), kinds, strict=True):
        one.plot(at, [start, *(line[key] for line in defence["lines"])], marker="o", color=colour, label=name)
    one.set_ylim(-0.03, 1.03)
    one.set_xlabel("largest change of a pixel")
    one.set_ylabel("accuracy")
    one.legend(frameon=False, fontsize=8)
    return drawn(figure)
