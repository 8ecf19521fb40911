"""The main job: one page that shows what a network sees, for one picture, that opens from disk."""

import base64
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import jinja2
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError, PictureError
from lanterna.events import Done, Event, Listener, Preview, Started, Stepped
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import LOGITS, Layer, Network, Prediction
from lanterna.techniques.visualize import Visualization, VisualizeRecipe, run

__all__ = ["Tour", "TourRecipe", "plan_steps", "tour"]

# Below this many steps shapes are not there yet; above, little changes.
LEAST_STEPS, MOST_STEPS = 48, 256


class TourRecipe(BaseModel):
    """What decides the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    technique: Literal["tour"] = "tour"
    schema_version: Literal[1] = 1
    picture: Annotated[str, Field(description="a file, or the name of a sample picture")] = "chelsea"
    depths: Annotated[int, Field(ge=1, le=24, description="layers to visualise")] = 6
    units: Annotated[int, Field(ge=1, le=24, description="units of each layer")] = 6
    steps: Annotated[int | None, Field(ge=0, description="steps of each picture; by default what `seconds` allows")] = None
    seconds: Annotated[float, Field(gt=0, description="about how long the making may take")] = 180.0
    size: Annotated[int, Field(ge=16, description="side of the layers' pictures, at most the network's own")] = 160
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Row:
    """One depth of the network: the layer and its units' pictures."""

    layer: Layer
    result: Visualization


@dataclass(frozen=True)
class Tour:
    """What the page shows. `stopped` where the reader asked to stop: the page then has what was finished."""

    recipe: TourRecipe
    page: Path
    predictions: tuple[Prediction, ...]
    rows: tuple[Row, ...]
    from_noise: Visualization | None
    from_picture: Visualization | None
    seconds: float
    stopped: bool


class _Whole:
    """Several runs, told to the listener as one, so that its bar knows the time left for all of them."""

    def __init__(self, listener: Listener | None, total: int) -> None:
        self._listener = listener
        self._total, self._done, self.stopped = total, 0, False
        self._tell(Started(total, 1))

    def _tell(self, event: Event) -> Literal["stop"] | None:
        answer = self._listener(event) if self._listener else None
        self.stopped |= answer is not None
        return answer

    def __call__(self, event: Event) -> Literal["stop"] | None:
        if isinstance(event, Stepped):
            return self._tell(Stepped(self._done + event.step, self._total, event.values))
        if isinstance(event, Preview):
            return self._tell(event)
        if isinstance(event, Done):
            self._done += event.step
        return "stop" if self.stopped else None


def _telling_units(network: Network, layers: Sequence[str], picture: Tensor, count: int) -> dict[str, list[int]]:
    """The channels of each layer that this picture excites most, in standard deviations over the sample pictures."""

    def means(pixels: Tensor) -> dict[str, Tensor]:
        return {layer: features[0].flatten(1).mean(1) for layer, features in network.capture(pixels, layers).items()}

    size = (picture.shape[2], picture.shape[3])
    here = means(picture)
    usual = [means(sample) for sample in pictures_io.samples_at(size)]
    telling: dict[str, list[int]] = {}
    for layer in layers:
        others = torch.stack([found[layer] for found in usual])
        # A floor under the deviation: a unit that is off in every sample is no wonder when it is barely on here.
        score = (here[layer] - others.mean(0)) / (others.std(0) + 0.05 * others.std(0).max() + 1e-12)
        telling[layer] = sorted(score.topk(min(count, len(score))).indices.tolist())
    return telling


def plan_steps(recipe: TourRecipe, network: Network, layers: Sequence[str], side: int) -> int:
    """How many steps of all pictures fit into the recipe's seconds, from the time of a few real ones."""
    if recipe.steps is not None:
        return recipe.steps
    cost = 0.0
    for layer in {layers[0], layers[len(layers) // 2], layers[-1]}:
        probe = VisualizeRecipe(units=(f"{layer}:0-{recipe.units - 1}",), size=str(side), steps=2)
        begun: list[float] = []

        def note(event: Event, begun: list[float] = begun) -> None:
            if isinstance(event, Stepped):
                begun.append(time.perf_counter())

        try:
            run(probe, network, note)
        except LanternaError:
            continue  # a narrow layer has fewer channels than that; the others tell enough
        cost += (begun[-1] - begun[0]) * len(layers) / 3
    # The two class pictures at full size cost about one more row.
    cost *= 1 + 1 / len(layers)
    return int(min(max(recipe.seconds / max(cost, 1e-3), LEAST_STEPS), MOST_STEPS))


def _rows(
    recipe: TourRecipe, network: Network, layers: Sequence[Layer], steps: int, side: int, picture: Tensor, whole: _Whole
) -> Iterator[Row]:
    telling = _telling_units(network, [layer.name for layer in layers], picture, recipe.units)
    for layer in layers:
        units = tuple(f"{layer.name}:{unit}" for unit in telling[layer.name])
        result = run(VisualizeRecipe(units=units, size=str(side), steps=steps, seed=recipe.seed), network, whole)
        yield Row(layer, result)
        if whole.stopped:
            return


def tour(recipe: TourRecipe, network: Network, out: str | Path, on_event: Listener | None = None) -> Tour:
    """Make the page in the folder `out` and say what is on it. Raises PictureError, InputError and NetworkError first."""
    begun = time.perf_counter()
    page = check_folder(out) / "index.html"
    picture = pictures_io.load(recipe.picture)
    classifies = len(network.layer(LOGITS).shape) == 1 and network.layer(LOGITS).channels > 1
    predictions = tuple(network.classify(picture, 5)[0]) if classifies else ()
    side = min(recipe.size, *network.input_size)
    layers = layers_through_depth(network, recipe.depths)
    steps = plan_steps(recipe, network, [layer.name for layer in layers], side)
    whole = _Whole(on_event, steps * (len(layers) + (2 if classifies else 0)))
    small = pictures_io.load(recipe.picture, size=(side, side))
    rows = tuple(_rows(recipe, network, layers, steps, side, small, whole))
    made: list[Visualization | None] = [None, None]
    for i, start in enumerate(("noise", recipe.picture)):
        if classifies and not whole.stopped:
            unit = f"{LOGITS}:{predictions[0].index}"
            made[i] = run(VisualizeRecipe(units=(unit,), start=start, steps=steps, seed=recipe.seed), network, whole)
    done = Tour(recipe, page, predictions, rows, made[0], made[1], time.perf_counter() - begun, whole.stopped)
    _write(page, _html(done, network, picture))
    return done


def check_folder(out: str | Path) -> Path:
    """The folder `out`, which need not exist yet. Raises PictureError where it can't be made or written."""
    folder = Path(out)
    near = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not near.is_dir():
        raise PictureError(f"the folder {folder} can't be made: {near} is a file; give another --out")
    if not os.access(near, os.W_OK):
        raise PictureError(f"the folder {folder} can't be written; give another --out")
    return folder


def _write(page: Path, text: str) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=page.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(page)


def _data(picture: Tensor) -> str:
    return "data:image/png;base64," + base64.b64encode(pictures_io.to_png_bytes(picture)).decode()


def _figures(result: Visualization | None) -> list[dict[str, Any]]:
    if result is None:
        return []
    samples = result.sample_activation or (None,) * len(result.units)
    return [
        {
            "image": _data(picture),
            "title": unit.title,
            "unit": f"{unit.layer}:{unit.channel}",
            "activation": activation,
            "start": start,
            "sample": sample,
            "dead": dead,
        }
        for picture, unit, activation, start, sample, dead in zip(
            result.pictures,
            result.units,
            result.activation,
            result.start_activation,
            samples,
            result.dead,
            strict=True,
        )
    ]


def _html(made: Tour, network: Network, picture: Tensor) -> str:
    template = resources.files("lanterna").joinpath("report/tour.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown = pictures_io.load(made.recipe.picture, size=min(640, max(picture.shape[2:])))
    return environment.from_string(template).render(
        network=network,
        recipe=made.recipe,
        name=Path(made.recipe.picture).name,
        photograph=_data(shown),
        predictions=made.predictions,
        layers=network.layers(),
        rows=[{"layer": row.layer, "figures": _figures(row.result)} for row in made.rows],
        noise=_figures(made.from_noise),
        start=_figures(made.from_picture),
        steps=made.rows[0].result.recipe.steps if made.rows else 0,
        seconds=made.seconds,
        stopped=made.stopped,
    )
