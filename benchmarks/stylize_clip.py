"""Clips painted frame by frame: how much they flicker, and how exact the flow is. See benchmarks/README.md.

The clips are sample photographs that are moved, so that the true flow is known, with noise as a camera has it; and the two
views of a motorcycle that come with scikit-image, photographs of Middlebury with measured depth.
"""

import argparse
import importlib.util
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from skimage.registration import optical_flow_ilk, optical_flow_tvl1
from torch import Tensor

import lanterna
from lanterna import pictures
from lanterna.averaged import resized
from lanterna.motion import flicker, optical_flow, reliable, warped
from lanterna.techniques.stylize_clip import StylizedClip

# Half a percent: what a camera's sensor adds.
NOISE = 0.006
# Pixels of the border that are not judged: there the flow leads out of the picture.
BORDER = 6


@dataclass(frozen=True)
class Move:
    """How a camera moves in one frame: degrees, factor, pixels to the right and down."""

    degrees: float = 0.0
    zoom: float = 1.0
    right: float = 0.0
    down: float = 0.0

    def places(self, points: Tensor, frame: int, *, back: bool = False) -> Tensor:
        """Where `points` (2, H, W) of frame number `frame` lie in the first one; `back` the other way round."""
        middle = torch.tensor([(side - 1) / 2 for side in points.shape[1:]], dtype=torch.float64).view(2, 1, 1)
        shift = torch.tensor([self.down, self.right], dtype=torch.float64).view(2, 1, 1) * frame
        angle, scale = math.radians(self.degrees) * frame, self.zoom**frame
        cos, sin = math.cos(angle), math.sin(angle)
        if back:
            rows, columns = points - middle - shift
            return torch.stack([rows * cos + columns * sin, columns * cos - rows * sin]) * scale + middle
        rows, columns = (points - middle) / scale
        return torch.stack([rows * cos - columns * sin, rows * sin + columns * cos]) + middle + shift


def grid(size: tuple[int, int]) -> Tensor:
    rows, columns = (torch.arange(side, dtype=torch.float64) for side in size)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


def seen(photograph: Tensor, places: Tensor) -> Tensor:
    """The photograph (1, 3, H, W) at `places`, the middle of which is its own middle."""
    offset = [(whole - part) / 2 for whole, part in zip(photograph.shape[2:], places.shape[1:], strict=True)]
    rows, columns = places + torch.tensor(offset, dtype=torch.float64).view(2, 1, 1)
    at = torch.stack([(2 * columns + 1) / photograph.shape[3] - 1, (2 * rows + 1) / photograph.shape[2] - 1], -1)
    return F.grid_sample(photograph, at[None].float(), mode="bicubic", padding_mode="reflection", align_corners=False)


@dataclass(frozen=True)
class Made:
    """A frame (1, 3, H, W), the true flow (2, H, W) to the one before it, and where that one shows the same thing."""

    picture: Tensor
    flow: Tensor
    visible: Tensor


def panned(name: str, move: Move, size: tuple[int, int], frames: int) -> Iterator[Made]:
    """A photograph before a camera that moves."""
    photograph, points = pictures.load(name, size=round(max(size) * 1.6)), grid(size)
    for frame in range(frames):
        places = move.places(points, frame)
        flow = move.places(places, frame - 1, back=True) - points
        yield Made(seen(photograph, places), flow, torch.ones(size, dtype=torch.bool))


def passing(name: str, patch: str, size: tuple[int, int], frames: int) -> Iterator[Made]:
    """A round piece of one photograph that passes before another, whose camera pans the other way."""
    unit = max(size) / 256
    camera, own = Move(right=-1.2 * unit), torch.tensor([1.0, 5.0], dtype=torch.float64).view(2, 1, 1) * unit
    background, foreground = pictures.load(name, size=round(max(size) * 1.6)), pictures.load(patch, size=round(max(size)))
    points = grid(size)
    begin = torch.tensor([size[0] / 2, size[1] / 3]).view(2, 1, 1)
    middle = torch.tensor([(side - 1) / 2 for side in size]).view(2, 1, 1)

    def inside(places: Tensor, frame: int) -> Tensor:
        return (places - begin - own * frame).square().sum(0) < (0.17 * max(size)) ** 2

    for frame in range(frames):
        here = inside(points, frame)
        behind, before = (
            seen(background, camera.places(points, frame)),
            seen(foreground, points - begin - own * frame + middle),
        )
        flow = torch.where(here, -own, camera.places(camera.places(points, frame), frame - 1, back=True) - points)
        hidden = ~here & inside(points + flow, frame - 1)
        yield Made(torch.where(here, before, behind), flow, ~hidden)


def motorcycle(size: tuple[int, int], _frames: int) -> Iterator[Made]:
    """Right view, then left view; the flow is the measured disparity."""
    data = Path(*(importlib.util.find_spec("skimage").submodule_search_locations or ())) / "data"  # type: ignore[union-attr]
    disparity = torch.from_numpy(np.load(data / "motorcycle_disp.npz")["arr_0"]).float()[None, None]
    known = disparity.isfinite()
    factor = size[1] / disparity.shape[3]
    shape = (round(disparity.shape[2] * factor), size[1])
    columns = F.interpolate(torch.where(known, disparity, 0), shape)[0, 0] * factor
    flow = torch.stack([torch.zeros_like(columns), -columns]).double()
    visible = F.interpolate(known.float(), shape)[0, 0] > 0
    for side in ("right", "left"):
        yield Made(resized(pictures.load(data / f"motorcycle_{side}.png"), shape), flow, visible)


Maker = Callable[[tuple[int, int], int], Iterator[Made]]
CLIPS: dict[str, Maker] = {
    "pan": lambda size, frames: panned("chelsea", Move(right=3.3, down=1.7), size, frames),
    "zoom": lambda size, frames: panned("coffee", Move(zoom=1.03), size, frames),
    "rotation": lambda size, frames: panned("astronaut", Move(degrees=2), size, frames),
    "handheld": lambda size, frames: panned("chelsea", Move(0.6, 1.012, 1.5, 0.6), size, frames),
    "passing": lambda size, frames: passing("china", "astronaut", size, frames),
    "motorcycle": motorcycle,
}
FLOW_CLIPS = ("pan", "zoom", "rotation", "passing", "motorcycle")
PAINTED_CLIPS = ("handheld", "passing", "motorcycle")


def frames_of(name: str, size: tuple[int, int], count: int) -> Iterator[Made]:
    noise = torch.Generator().manual_seed(0)
    for made in CLIPS[name](size, count):
        noisy = made.picture + NOISE * torch.randn(made.picture.shape, generator=noise)
        yield Made((noisy.clamp(0, 1) * 255).round() / 255, made.flow, made.visible)


Flow = Callable[[Tensor, Tensor], Tensor]


def _grey(picture: Tensor) -> np.ndarray:
    grey: np.ndarray = (picture[0] * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0).numpy()
    return grey


def _scikit_image(method: Callable[..., np.ndarray], **options: float) -> Flow:
    return lambda here, there: torch.from_numpy(method(_grey(here), _grey(there), **options))


def methods() -> dict[str, Flow]:
    found: dict[str, Flow] = {
        "lanterna (TV-L1, blur of 0.7 px)": optical_flow,
        "scikit-image TV-L1, its defaults": _scikit_image(optical_flow_tvl1),
        "scikit-image ILK, its defaults": _scikit_image(optical_flow_ilk),
        "scikit-image ILK, radius 4": _scikit_image(optical_flow_ilk, radius=4),
    }
    if importlib.util.find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)

        def levels(picture: Tensor) -> np.ndarray:
            return (_grey(picture) * 255).round().astype(np.uint8)

        def dis(here: Tensor, there: Tensor) -> Tensor:
            made = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(levels(here), levels(there), None)
            return torch.from_numpy(made[..., ::-1].copy()).permute(2, 0, 1)

        def farneback(here: Tensor, there: Tensor) -> Tensor:
            made = cv2.calcOpticalFlowFarneback(levels(here), levels(there), None, 0.5, 5, 15, 5, 7, 1.5, 0)
            return torch.from_numpy(made[..., ::-1].copy()).permute(2, 0, 1)

        found |= {"OpenCV DIS, medium": dis, "OpenCV Farneback": farneback}
    return found


def flows(size: tuple[int, int]) -> list[dict[str, object]]:
    """Mean endpoint error in pixels where the pixel is visible in both, and seconds, by method and clip."""
    rows: list[dict[str, object]] = []
    for title, method in methods().items():
        row: dict[str, object] = {"method": title}
        seconds = 0.0
        for name in FLOW_CLIPS:
            before, now = frames_of(name, size, 2)
            begun = time.perf_counter()
            found = method(now.picture, before.picture)
            seconds += time.perf_counter() - begun
            error = (found.double() - now.flow).square().sum(0).sqrt()
            row[name] = float(error[judged(now)].mean())
        row["seconds"] = seconds / len(FLOW_CLIPS)
        rows.append(row)
    return rows


def judged(made: Made) -> Tensor:
    """The pixels whose flow is known, and leads into the picture."""
    height, width = made.flow.shape[1:]
    rows, columns = grid((height, width)) + made.flow
    inner = torch.zeros(height, width, dtype=torch.bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    return made.visible & inner & (rows >= 0) & (columns >= 0) & (rows <= height - 1) & (columns <= width - 1)


def occlusions(size: tuple[int, int]) -> dict[str, float]:
    """Of the hidden pixels of `passing`, the share that is not trusted; of the visible ones, the share that is."""
    before, now = frames_of("passing", size, 2)
    trusted = reliable(optical_flow(now.picture, before.picture), optical_flow(before.picture, now.picture))[0, 0] > 0
    return {
        "hidden_found": float((~trusted)[~now.visible].float().mean()),
        "visible_kept": float(trusted[judged(now)].float().mean()),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def true_flicker(clip: Sequence[Made], files: Sequence[Path]) -> tuple[float, float]:
    """As `flicker`, but by the true flow: over the trusted pixels, and over all that are visible in both frames."""
    trusted, visible = [], []
    for last, made, before, now in zip(clip, clip[1:], files, files[1:], strict=False):
        moved = warped(pictures.load(before), made.flow.float())
        known = judged(made).float()[None, None]
        held = reliable(optical_flow(made.picture, last.picture), optical_flow(last.picture, made.picture))
        trusted.append(flicker(pictures.load(now), moved, known * held))
        visible.append(flicker(pictures.load(now), moved, known))
    return _mean(trusted), _mean(visible)


def painted(name: str, options: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    """The clip in the style, with what the frames know of each other and without; all else the same."""
    network = lanterna.load("vgg16_hed")
    source = folder / name
    source.mkdir(exist_ok=True)
    clip = list(frames_of(name, (round(options.size * 0.75), options.size), options.frames))
    for number, frame in enumerate(clip):
        pictures.save(frame.picture, source / f"{number:03d}.png")
    rows: list[dict[str, object]] = []
    for title, fields in (
        ("each frame alone", {"temporal_weight": 0.0, "warm_start": False}),
        ("warm start alone", {"temporal_weight": 0.0}),
        ("temporal loss alone", {"warm_start": False}),
        ("both", {}),
    ):
        if title not in options.kinds:
            continue
        begun = time.perf_counter()
        made: StylizedClip = network.stylize_clip(
            source, options.style, folder=folder / f"{name}-{title}", size=str(options.size), steps=options.steps, **fields
        )
        rows.append(
            {
                "clip": name, "kind": title, "frames": len(clip), "flicker": _mean(made.flicker),
                "content_flicker": _mean(made.content_flicker), "trusted": _mean(made.trusted),
                "true_flicker": true_flicker(clip, made.frames)[0], "visible_flicker": true_flicker(clip, made.frames)[1],
                "style_loss": sum(loss for term, loss in made.losses.items() if term.startswith("style")),
                "content_loss": sum(loss for term, loss in made.losses.items() if term.startswith("content")),
                "seconds": time.perf_counter() - begun,
            }
        )  # fmt: skip
        for name_of in ("flicker", "true_flicker", "visible_flicker"):
            rows[-1][f"{name_of}_ratio"] = rows[-1][name_of] / rows[0][name_of]  # type: ignore[operator]
        print(told(rows[-1]), flush=True)
    return rows


def told(row: dict[str, object]) -> str:
    """A line of a table in Markdown."""
    cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="longer side of the painted clips")
    parser.add_argument("--flow-size", type=int, default=256, help="longer side for the flows")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--style", default="coffee")
    parser.add_argument("--clips", nargs="*", default=PAINTED_CLIPS, choices=CLIPS)
    parser.add_argument("--kinds", nargs="*", default=["each frame alone", "both"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the frames; by default they go")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    wide = (round(options.flow_size * 0.75), options.flow_size)
    found = flows(wide)
    for row in found:
        print(told(row))
    hidden = occlusions(wide)
    print(hidden)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        for name in options.clips:
            rows += painted(name, options, folder)
    if options.json:
        settings = {name: str(value) for name, value in vars(options).items()}
        options.json.write_text(
            json.dumps({"settings": settings, "flows": found, "occlusions": hidden, "painted": rows}, indent=2)
        )


if __name__ == "__main__":
    main()
