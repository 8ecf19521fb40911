"""The figures: one style, no global state of matplotlib; each becomes a picture (1, 3, H, W)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.patches
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from lanterna.manifold.plane import Plane
from lanterna.manifold.sets import SIDE
from lanterna.manifold.study import Study
from lanterna.wording import figure_text

__all__ = [
    "DENSE",
    "FRONTIER",
    "TITLES",
    "Words",
    "calibration",
    "fooling",
    "ladder",
    "planes",
    "savings",
    "scores",
    "walk",
    "wall",
]

# The discriminative classifier, the generative one, and everything else.
FRONTIER, DENSE, SOFT, INK = "#b4541a", "#2b6a8f", "#8d877c", "#1c1b19"
PALETTE = ("#c8553d", "#2b6a8f", "#5f8d4e", "#d9a441", "#7a5c99", "#3d9a9a", "#b5739d", "#8a6f4d", "#4d5f8a", "#9aa33c")
TITLES = {
    "test": "test set", "letters": "letters from fonts", "marks": "punctuation from fonts",
    "faint": "test set, contrast × 0.3",
    "patches": "natural patches", "phase_scrambled": "phase-scrambled", "shuffled": "pixels shuffled",
    "marginal_noise": "noise, each pixel's own values", "noise": "uniform noise",
    "fooling_discriminative": "fooling the discriminative", "fooling_generative": "fooling the generative",
}  # fmt: skip
_STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#b9b3a7", "axes.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "xtick.color": "#5c5850", "ytick.color": "#5c5850", "text.color": INK, "legend.frameon": False,
    "figure.facecolor": "#fbfaf7", "axes.facecolor": "#fbfaf7", "savefig.facecolor": "#fbfaf7",
}  # fmt: skip
# For more kinds than classes have colours.
_MANY = (
    "#c8553d", "#5f8d4e", "#d9a441", "#7a5c99", "#3d9a9a", "#b5739d", "#8a6f4d", "#1c1b19", "#9aa33c", "#e08b4f", "#b9b3a7",
    "#6fa8dc",
)  # fmt: skip
_DPI = 120
# A label to the left of a small picture.
_BESIDE: Any = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8}


@dataclass(frozen=True)
class Words:
    """What stands in the two figures that the tour shows, in English where nothing else is said."""

    discriminative: str = "discriminative"
    generative: str = "generative"
    coloured: str = "The discriminative one colours everything"
    blank: str = "The generative one leaves a blank"
    mean: str = "mean"


_ENGLISH = Words()


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _picture(figure: Figure) -> Tensor:
    with matplotlib.rc_context(_STYLE):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def _show(axes: Axes, picture: Tensor, edge: str | None = None) -> None:
    axes.imshow(picture.reshape(SIDE, SIDE).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(edge is not None)
        spine.set_color(edge or INK)
        spine.set_linewidth(2)


def title(name: str) -> str:
    """What a group is called in figures and tables."""
    return TITLES.get(name, name)


def colour(label: int) -> str:
    """The colour of a class, everywhere the same."""
    return PALETTE[label % len(PALETTE)]


def wall(study: Study) -> Tensor:
    """Distances of noise and of real pictures to the nearest real one, above the noise that comes nearest."""
    with _figure(9.0, 5.6) as figure:
        grid = figure.add_gridspec(5, 8, height_ratios=[2.6, 1, 1, 1, 1])
        axes = figure.add_subplot(grid[0, :])
        uniform, marginal = study.walls["uniform"], study.walls["marginal"]
        shown = [
            (uniform.real_distance, DENSE, "real pictures (test set)"),
            (marginal.distance, "#d9a441", "noise, each pixel's own values"),
            (uniform.distance, SOFT, "uniform noise"),
        ]
        last = max(float(values.max()) for values, *_ in shown)
        bins = np.linspace(0, last * 1.02, 90).tolist()
        for values, tint, label in shown:
            axes.hist(values.numpy(), bins=bins, density=True, color=tint, alpha=0.85, label=f"{label}, {len(values):,}")
        axes.set_xlabel("distance to the nearest real picture (L2)")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        found = [wall.numbers() for wall in (uniform, marginal)]
        within = " and ".join(f"{one['within_median']} of {one['count']:,}" for one in found)
        axes.axvline(found[0]["real_median_distance"], color=INK, linewidth=0.8, linestyle="dashed")
        axes.set_title(f"Noise pictures nearer to a real one than the median real picture (dashed): {within}")
        axes.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none")
        rows = [
            ("uniform,\nnearest", uniform.closest),
            ("its nearest\nreal one", uniform.neighbours),
            ("own values,\nnearest", marginal.closest),
            ("its nearest\nreal one", marginal.neighbours),
        ]
        for row, (label, pictures) in enumerate(rows):
            for column, picture in enumerate(pictures[:8]):
                place = figure.add_subplot(grid[row + 1, column])
                _show(place, picture)
                if column == 0:
                    place.set_ylabel(label, **_BESIDE)
        return _picture(figure)


def ladder(study: Study) -> Tensor:
    """From real to noise: compressed size, both confidences, density."""
    names = ["test", "phase_scrambled", "shuffled", "noise"]
    groups = [study.group(name) for name in names]
    told = study.numbers()["groups"]
    numbers = [told[name] for name in names]
    rows: Sequence[tuple[str, str, str, Callable[[float], str]]] = (
        ("zlib, bytes", "zlib_bytes", SOFT, "{:.0f}".format),
        ("PNG, bytes", "png_bytes", SOFT, "{:.0f}".format),
        ("confidence,\ndiscriminative", "frontier_confidence", FRONTIER, "{:.2f}".format),
        ("confidence,\ngenerative", "density_confidence", DENSE, "{:.2f}".format),
        ("log density, nats", "density_nats", DENSE, "{:.0f}".format),
    )
    with _figure(9.0, 5.4) as figure:
        grid = figure.add_gridspec(2 + len(rows), 12, height_ratios=[1.7, 0.1, *([1] * len(rows))])
        for column, group in enumerate(groups):
            for place in range(3):
                axes = figure.add_subplot(grid[0, column * 3 + place])
                _show(axes, group.pictures[place])
                if place == 1:
                    axes.set_title(title(group.name), loc="center", fontsize=9)
        for row, (label, key, tint, form) in enumerate(rows):
            axes = figure.add_subplot(grid[2 + row, :])
            values = [found[key] for found in numbers]
            axes.bar(range(4), values, width=0.45, color=tint)
            axes.axhline(0, color="#b9b3a7", linewidth=0.8)
            reach = max(abs(value) for value in values)
            axes.set_ylim(min(0, min(values) - 0.45 * reach), max(0, max(values)) + 0.45 * reach)
            for column, value in enumerate(values):
                axes.annotate(
                    form(value), (column, value), (0, 2 if value >= 0 else -2), textcoords="offset points",
                    ha="center", va="bottom" if value >= 0 else "top", fontsize=8,
                )  # fmt: skip
            axes.set_xlim(-0.5, 3.5)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_ylabel(label, **_BESIDE)
            for spine in axes.spines.values():
                spine.set_visible(False)
        return _picture(figure)


def _coloured(classes: Tensor, opacity: Tensor) -> Any:
    tints = np.array([to_rgb(colour(label)) for label in range(int(classes.max()) + 1)])
    paper = np.array(to_rgb("#fbfaf7"))
    strength = opacity.clamp(0, 1).numpy()[..., None]
    return tints[classes.numpy()] * strength + paper * (1 - strength)


def _draw_plane(axes: Axes, plane: Plane, tints: Any) -> None:
    across, down = plane.across.numpy(), plane.down.numpy()
    extent = (across[0], across[-1], down[-1], down[0])
    axes.imshow(tints, extent=extent, interpolation="bilinear", aspect="equal")
    inside = plane.inside.float().numpy()
    if 0 < inside.mean() < 1:
        axes.contour(across, down, inside, levels=[0.5], colors=INK, linewidths=0.8, linestyles="dashed")
    for spine in axes.spines.values():
        spine.set_visible(True)


def planes(
    plane: Plane, classes: Sequence[str], heading: str, axes_titles: tuple[str, str], words: Words = _ENGLISH
) -> Tensor:
    """What each classifier says over a plane: colour is the class, strength the confidence; blank is "none of them"."""
    with _figure(9.0, 5.0) as figure:
        grid = figure.add_gridspec(1, 2)
        said = (
            (words.coloured, plane.frontier_class, plane.frontier_confidence),
            (words.blank, plane.density_class, plane.density_confidence),
        )
        for column, (label, found, confidence) in enumerate(said):
            axes = figure.add_subplot(grid[0, column])
            _draw_plane(axes, plane, _coloured(found, confidence))
            axes.set_title(label)
            axes.set_xlabel(axes_titles[0])
            if column == 0:
                axes.set_ylabel(axes_titles[1])
            size = 0.11 * float(plane.across[-1] - plane.across[0])
            for picture, (x, y), one in zip(plane.anchors, plane.places.tolist(), plane.labels, strict=True):
                inset = axes.inset_axes((x - size / 2, y - size / 2, size, size), transform=axes.transData)
                _show(inset, picture, colour(one))
        seen = sorted(set(plane.frontier_class.unique().tolist()) | set(plane.density_class.unique().tolist()))
        handles = [matplotlib.patches.Patch(color=colour(label), label=figure_text(classes[label])) for label in seen]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 10), fontsize=8)
        figure.suptitle(heading, x=0.01, ha="left", fontsize=9)
        return _picture(figure)


def scores(study: Study, shown: Sequence[str] = ("frontier_confidence", "density_confidence", "density")) -> Tensor:
    """How each kind of pictures is scored: the spread over its pictures, and three of them."""
    labels = {
        "frontier_confidence": ("discriminative, confidence", FRONTIER),
        "density_confidence": ("generative, confidence", DENSE),
        "density": ("log density, nats", DENSE),
    }
    count = len(study.groups)
    with _figure(9.5, 0.46 * count + 1.0) as figure:
        grid = figure.add_gridspec(count, 4, width_ratios=[1.6, 2, 2, 2])
        aurocs = study.aurocs()
        for row, group in enumerate(study.groups):
            axes = figure.add_subplot(grid[row, 0])
            strip = torch.cat(list(group.pictures[:6, 0]), 1)
            axes.imshow(strip.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_ylabel(title(group.name), **_BESIDE)
        for column, name in enumerate(shown):
            axes = figure.add_subplot(grid[:, column + 1])
            values = [group.score(name).numpy() for group in study.groups]
            parts = axes.boxplot(
                values, orientation="horizontal", whis=(1, 99), showfliers=False, patch_artist=True, widths=0.5,
                positions=range(count), medianprops={"color": INK},
            )  # fmt: skip
            for number, box in enumerate(parts["boxes"]):
                box.set(facecolor=labels[name][1], alpha=1.0 if number == 0 else 0.45, edgecolor="none")
            axes.set_ylim(count - 0.5, -0.5)
            axes.set_yticks([])
            axes.set_title(labels[name][0], fontsize=9)
            axes.locator_params(axis="x", nbins=4)
            low, high = axes.get_xlim()
            for number, group in enumerate(study.groups[1:], 1):
                axes.text(high + 0.02 * (high - low), number, f"{aurocs[group.name][name]:.2f}", va="center", fontsize=8)
            axes.text(high + 0.02 * (high - low), 0, "AUROC", va="center", fontsize=7, color="#5c5850")
        return _picture(figure)


def savings(study: Study) -> Tensor:
    """Bits by the densities against bits by PNG or zlib: the failure of density, and what the difference says."""
    with _figure(7.4, 4.6) as figure:
        axes = figure.add_subplot()
        for number, group in enumerate(study.groups):
            tint = DENSE if number == 0 else _MANY[(number - 1) % len(_MANY)]
            axes.scatter(
                group.png_bits.numpy(), group.code_bits.numpy(), s=14 if number == 0 else 8, color=tint,
                alpha=0.8 if number == 0 else 0.5, linewidths=0, label=title(group.name), zorder=3 if number == 0 else 2,
            )  # fmt: skip
        limit = max(float(group.code_bits.max()) for group in study.groups) * 1.04
        axes.plot([0, limit], [0, limit], color=SOFT, linewidth=0.8, linestyle="dashed")
        axes.set_xlabel("bits by PNG or zlib, the shorter")
        axes.set_ylabel("bits by the densities")
        axes.set_title("Lower is more probable; below the dashed line, cheaper than PNG")
        # Beside the axes and not the figure: the title above them is wider than they are.
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8)
        return _picture(figure)


def fooling(classes: Sequence[str], found: Mapping[str, tuple[Tensor, Tensor, Tensor]], words: Words = _ENGLISH) -> Tensor:
    """What makes each classifier certain, starting from noise: one picture a class, with the confidence in it."""
    shown = classes[:10]
    with _figure(9.0, 2.9) as figure:
        grid = figure.add_gridspec(2, len(shown))
        rows = (("discriminative", words.discriminative, FRONTIER), ("generative", words.generative, DENSE))
        for row, (name, called, tint) in enumerate(rows):
            pictures, labels, confidence = found[name]
            for column in range(len(shown)):
                place = int(torch.nonzero(labels == column)[0])
                axes = figure.add_subplot(grid[row, column])
                _show(axes, pictures[place], tint)
                axes.set_title(f"{figure_text(shown[column][:9])}\n{float(confidence[place]):.1%}", loc="center", fontsize=8)
                if column == 0:
                    axes.set_ylabel(f"{called}\n{words.mean} {float(confidence.mean()):.1%}", **_BESIDE)
        return _picture(figure)


def walk(studies: Sequence[Study]) -> Tensor:
    """Accuracy against the distance a picture is moved, both norms; and pictures moved just far enough."""
    with _figure(9.0, 5.2) as figure:
        grid = figure.add_gridspec(4, 6, height_ratios=[3, 3, 2, 2])
        tints = {"discriminative": FRONTIER, "generative": DENSE}
        for column, (norm, label) in enumerate((("l2", "L2"), ("linf", "Linf"))):
            axes = figure.add_subplot(grid[:2, column * 3 : column * 3 + 3])
            for name, tint in tints.items():
                for number, study in enumerate(studies):
                    distance = study.robustness[name].distance[norm].sort().values  # type: ignore[index]
                    finite = distance[torch.isfinite(distance)]
                    left = 1 - torch.arange(1, len(finite) + 1) / len(distance)
                    axes.step(
                        [0.0, *finite.tolist()], [1.0, *left.tolist()], where="post", color=tint, linewidth=1.4,
                        alpha=0.9 if number == 0 else 0.45, label=name if number == 0 else None,
                    )  # fmt: skip
            axes.set_ylim(0, 1.02)
            axes.set_xlim(left=0)
            axes.set_xlabel(f"distance, {label}")
            axes.set_title(f"Share still right, {label}")
            axes.legend()
        first = studies[0]
        for row, (name, tint) in enumerate(tints.items()):
            found = first.robustness[name]
            for column in range(min(6, len(found.line))):
                axes = figure.add_subplot(grid[2 + row, column])
                _show(axes, found.moved["l2"][column], tint)
                axes.set_title(f"L2 {float(found.distance['l2'][column]):.1f}", loc="center", fontsize=8)
                if column == 0:
                    axes.set_ylabel(name, **_BESIDE)
        return _picture(figure)


def calibration(studies: Sequence[Study]) -> Tensor:
    """Accuracy against confidence, after the temperature that the held-out pictures gave."""
    with _figure(7.0, 3.4) as figure:
        grid = figure.add_gridspec(1, 2)
        for column, (name, tint) in enumerate((("discriminative", FRONTIER), ("generative", DENSE))):
            axes = figure.add_subplot(grid[0, column])
            axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle="dashed")
            for number, study in enumerate(studies):
                # A handful of pictures says nothing about a share.
                rows = [row for row in study.calibration[name]["reliability"] if row["count"] >= 5]
                axes.plot(
                    [row["confidence"] for row in rows], [row["accuracy"] for row in rows], "o-", color=tint, markersize=4,
                    linewidth=1, alpha=0.9 if number == 0 else 0.45,
                )  # fmt: skip
            axes.set_xlim(0, 1.02)
            axes.set_ylim(0, 1.02)
            axes.set_title(name)
            axes.set_xlabel("confidence")
            if column == 0:
                axes.set_ylabel("accuracy")
        return _picture(figure)
