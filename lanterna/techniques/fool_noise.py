"""Pictures that are noise or pattern to a person and certain to the network.

Nguyen, Yosinski and Clune, "Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable Images",
CVPR 2015. Their evolution took days for what the gradient does in seconds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from lanterna import attacks
from lanterna import pictures as pictures_io
from lanterna.ascent import ascend
from lanterna.attacks import rounded
from lanterna.bounds import check_reach
from lanterna.canvas import Canvas, FourierCanvas, PixelCanvas
from lanterna.cppn import PatternCanvas
from lanterna.errors import InputError
from lanterna.events import STOP, Done, Event, Listener, Started, Stepped
from lanterna.jitter import Jitter
from lanterna.networks.network import LOGITS, Network
from lanterna.networks.untrained import untrained
from lanterna.objectives import Objective
from lanterna.recipe import Names, Recipe
from lanterna.techniques.fool import second_network

__all__ = ["Encoding", "FoolNoiseRecipe", "FoolingPictures", "run"]

Encoding = Literal["pixels", "fourier", "cppn"]

LEARNING_RATE: dict[Encoding, float] = {"pixels": 0.1, "fourier": 0.05, "cppn": 0.03}
# What the loop aims at beyond the confidence asked for, in log odds: rounding to 8 bits takes some of it.
_BEYOND = 0.3
# Steps of one try: a pattern whose colours are at their ends has no gradient left, and finds none by going on.
_TRY: dict[Encoding, int] = {"cppn": 96}
# Classes that the control is made for at most.
_CONTROLS = 4


class FoolNoiseRecipe(Recipe):
    """All that decides the fooling pictures."""

    technique: Literal["fool-noise"] = "fool-noise"
    schema_version: Literal[1] = 1
    classes: Annotated[tuple[str, ...], Field(min_length=1, description="classes by name or number, or all")]
    encoding: Annotated[
        Encoding,
        Field(description="what is optimised: pixels, Fourier coefficients, or a small network from place to colour"),
    ] = "pixels"
    confidence: Annotated[float, Field(gt=0, lt=1, description="how sure the network shall be")] = 0.99
    steps: Annotated[int, Field(ge=1, le=100_000, description="steps of ascent for a class at most")] = 384
    batch: Annotated[int, Field(ge=1, le=4096, description="classes at a time")] = 8
    control: Annotated[bool, Field(description="make some for an untrained network as well")] = True
    second: Annotated[
        str | None,
        Names("network", ("none",)),
        Field(description="a second network with the same classes, shown the same pictures, or none"),
    ] = None


@dataclass(frozen=True, eq=False)
class FoolingPictures:
    """Pictures (B, 3, H, W) in [0, 1] with 8 bits, one for each class, beside what the networks say.

    For picture i: `confidence` the probability of class `classes[i]` in the picture as it is saved, `start` that of the
    noise it began with, `steps` how many it took; `agreed` whether the second network's best class is the same one.
    `control` holds the confidence that the same ascent reaches with an untrained network of the same architecture, for the
    first classes.
    """

    recipe: FoolNoiseRecipe
    network: str
    classes: tuple[int, ...]
    labels: tuple[str, ...]
    pictures: Tensor
    confidence: tuple[float, ...]
    start: tuple[float, ...]
    steps: tuple[int, ...]
    second: str | None
    agreed: tuple[bool, ...] | None
    control: tuple[float, ...]
    control_pictures: Tensor
    stopped: bool

    @property
    def share(self) -> float:
        """The share of classes with a confidence above the one asked for."""
        return sum(one > self.recipe.confidence for one in self.confidence) / max(len(self.confidence), 1)

    def numbers(self) -> dict[str, Any]:
        """Everything but the pictures, ready for JSON."""
        return {
            "classes": list(self.classes),
            "labels": list(self.labels),
            "confidence": list(self.confidence),
            "start_confidence": list(self.start),
            "steps": list(self.steps),
            "share_above": self.share,
            "second": self.second,
            "agreed": None if self.agreed is None else list(self.agreed),
            "control_confidence": list(self.control),
            "stopped": self.stopped,
        }

    def sheet(self) -> Tensor:
        """All pictures with class and confidence, then the controls, as one picture (1, 3, H, W)."""
        captions = [f"{label} {100 * sure:.1f} %" for label, sure in zip(self.labels, self.confidence, strict=True)]
        captions += [
            f"control, untrained: {label} {100 * sure:.1f} %" for label, sure in zip(self.labels, self.control, strict=False)
        ]
        return pictures_io.sheet([*self.pictures, *self.control_pictures], captions)

    def _repr_html_(self) -> str:
        return pictures_io.to_html(self.sheet(), f"{len(self.classes)} fooling pictures")


def _canvas(encoding: Encoding, count: int, network: Network, generator: torch.Generator) -> Canvas:
    shape = (count, network.channels, *network.input_size)
    if encoding == "pixels":
        return PixelCanvas.noise(shape, generator, network.device)
    if encoding == "fourier":
        return FourierCanvas.noise(shape, generator, network.device)
    return PatternCanvas.noise(shape, generator, network.device)


def _log_odds(classes: Sequence[int]) -> Objective:
    """The log odds of class i in picture i: what a logit alone does not say, whether others rise with it."""

    def value(features: Any) -> Tensor:
        logits = features[LOGITS]
        own = torch.tensor(classes, device=logits.device)[:, None]
        rest = logits.scatter(1, own, -torch.inf).logsumexp(1)
        odds: Tensor = logits.gather(1, own)[:, 0] - rest
        return odds

    return Objective(value, frozenset([LOGITS]), "log odds")


def _sure(network: Network, pictures: Tensor, classes: Sequence[int]) -> list[float]:
    with torch.no_grad():
        probabilities = network.logits(pictures.to(network.device)).softmax(1)
    return probabilities[torch.arange(len(classes)), torch.tensor(classes)].tolist()


@dataclass
class _Made:
    picture: Tensor
    confidence: float
    start: float
    steps: int


def _adam(
    parameters: list[Tensor], lr: float, before: torch.optim.Optimizer | None, rows: Sequence[int]
) -> torch.optim.Optimizer:
    """Adam that goes on where `before` was, for the `rows` that are left: anew, its first steps would undo the last ones."""
    tuner = torch.optim.Adam(parameters, lr=lr)
    if before is not None:
        for old, new in zip(before.param_groups[0]["params"], parameters, strict=True):
            state = before.state[old]
            tuner.state[new] = {"step": state["step"], **{key: state[key][rows] for key in ("exp_avg", "exp_avg_sq")}}
    return tuner


def _make(
    recipe: FoolNoiseRecipe, network: Network, classes: Sequence[int], listener: Listener | None
) -> tuple[list[_Made], bool]:
    """A picture for each of `classes`, in their order, as far as it came; and whether it was stopped."""
    together, rounds = min(recipe.batch, len(classes)), -(-len(classes) // recipe.batch)
    check_reach(network, network.input_size, pictures=together, steps=recipe.steps * rounds)
    generator = torch.Generator().manual_seed(recipe.seed)
    made: list[_Made] = []
    stopped = listener is not None and listener(Started(len(classes), len(classes))) == STOP
    for first in range(0, len(classes), recipe.batch):
        if stopped:
            break
        some = classes[first : first + recipe.batch]

        def tell(done: int, values: Tensor, first: int = first) -> bool:
            return listener is not None and listener(Stepped(first + done, len(classes), values)) == STOP

        batch, stopped = _persist(recipe, network, some, generator, tell)
        made += batch
    if listener is not None:
        listener(Done(len(made), stopped))
    return made, stopped


def _persist(
    recipe: FoolNoiseRecipe,
    network: Network,
    classes: Sequence[int],
    generator: torch.Generator,
    tell: Callable[[int, Tensor], bool],
) -> tuple[list[_Made], bool]:
    """All of `classes`, those that got stuck begun anew from other noise while steps are left; and whether it was stopped."""
    most = _TRY.get(recipe.encoding, recipe.steps)
    best: dict[int, _Made] = {}
    waiting, spent, stopped = list(range(len(classes))), 0, False
    while waiting and spent < recipe.steps and not stopped:
        steps = min(most, recipe.steps - spent)
        made, stopped = _climb(recipe, network, [classes[place] for place in waiting], steps, generator, tell)
        for place, one in zip(waiting, made, strict=True):
            better = one if place not in best or one.confidence > best[place].confidence else best[place]
            best[place] = replace(better, steps=spent + one.steps)
        waiting = [place for place in waiting if best[place].confidence <= recipe.confidence]
        spent += steps
    return [best[place] for place in sorted(best)], stopped


def _climb(
    recipe: FoolNoiseRecipe,
    network: Network,
    classes: Sequence[int],
    steps: int,
    generator: torch.Generator,
    tell: Callable[[int, Tensor], bool],
) -> tuple[list[_Made], bool]:
    """All of `classes` at once; each leaves as soon as its picture of 8 bits is certain. And whether it was stopped."""
    canvas = _canvas(recipe.encoding, len(classes), network, generator)
    with torch.no_grad():
        begun = _sure(network, canvas.render(), classes)
    goal = math.log(recipe.confidence / (1 - recipe.confidence)) + _BEYOND
    inside, taken, stopped = list(range(len(classes))), 0, False
    done: dict[int, _Made] = {}
    tuner: torch.optim.Optimizer | None = None
    rows: list[int] = []

    def listen(event: Event) -> Literal["stop"] | None:
        nonlocal stopped
        if not isinstance(event, Stepped):
            return None
        stopped = tell(len(done), event.values)
        return STOP if stopped or bool((event.values > goal).any()) else None

    def resume(parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
        nonlocal tuner
        tuner = _adam(parameters, lr, tuner, rows)
        return tuner

    while inside and not stopped:
        ended = ascend(
            canvas,
            _log_odds([classes[i] for i in inside]),
            network,
            size=network.input_size,
            steps=steps - taken,
            generator=generator,
            lr=LEARNING_RATE[recipe.encoding],
            jitter=Jitter.none(),
            optimizer=resume,
            redirected_steps=0,
            on_event=listen,
        )
        taken += ended.steps
        last = stopped or taken >= steps
        # Only those that may be certain are read once more.
        asked = list(range(len(inside))) if last else (ended.trace[-1] > goal).nonzero()[:, 0].tolist()
        shown = rounded(ended.pictures[asked])
        for row, picture, sure in zip(asked, shown, _sure(network, shown, [classes[inside[i]] for i in asked]), strict=True):
            if last or sure > recipe.confidence:
                done[inside[row]] = _Made(picture.cpu(), sure, begun[inside[row]], taken)
        rows = [row for row, place in enumerate(inside) if place not in done]
        inside = [inside[row] for row in rows]
        canvas.parameters = [one.detach()[rows].requires_grad_(True) for one in canvas.parameters]
    return [done[place] for place in sorted(done)], stopped


def run(recipe: FoolNoiseRecipe, network: Network, on_event: Listener | None = None) -> FoolingPictures:
    """A picture for each class, from noise, until the network is as sure as asked. Raises InputError and NetworkError
    before computing."""
    if network.channels not in (1, 3):
        raise InputError(
            f"{network.name} takes {network.channels} channels; only networks for colour or grey pictures are fooled with one"
        )
    grey = torch.full((1, network.channels, *network.input_size), 0.5, device=network.device)
    attacks.check(network, grey, torch.zeros(1, dtype=torch.long, device=network.device))
    count = network.layer(LOGITS).channels
    named = [list(range(count)) if name == "all" else [network.class_index(name)] for name in recipe.classes]
    classes = [index for group in named for index in group]
    second = second_network(recipe.second, network)
    made, stopped = _make(recipe, network, classes, on_event)
    chosen = classes[: len(made)]
    if not made:
        raise InputError("stopped before the first picture was made; nothing to show")
    shown = torch.stack([one.picture for one in made]).expand(-1, 3, -1, -1)
    agreed = None
    if second is not None:
        agreed = tuple(second.classify(one[None], 1)[0][0].index == index for one, index in zip(shown, chosen, strict=True))
    controls: list[_Made] = []
    if recipe.control and not stopped:
        # As many steps as the slowest of these classes needed, so that it has the same chance.
        some = chosen[:_CONTROLS]
        fair = recipe.model_copy(update={"steps": max(one.steps for one in made[: len(some)])})
        controls, _ = _make(fair, untrained(network, recipe.seed), some, None)
    return FoolingPictures(
        recipe=recipe,
        network=network.name,
        classes=tuple(chosen),
        labels=tuple(network.label(index) for index in chosen),
        pictures=shown,
        confidence=tuple(one.confidence for one in made),
        start=tuple(one.start for one in made),
        steps=tuple(one.steps for one in made),
        second=None if agreed is None or second is None else second.name,
        agreed=agreed,
        control=tuple(one.confidence for one in controls),
        control_pictures=torch.stack([one.picture for one in controls]).expand(-1, 3, -1, -1) if controls else shown[:0],
        stopped=stopped,
    )
