"""Pictures that are noise or pattern to a person and certain to the network.

Nguyen, Yosinski and Clune, "Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable Images",
CVPR 2015.
Their evolution took days for what the gradient does in seconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from lanterna import attacks
from lanterna import pictures as pictures_io
from lanterna.ascent import ascend
from lanterna.attacks import rounded
from lanterna.canvas import Canvas, FourierCanvas, PixelCanvas
from lanterna.cppn import PatternCanvas
from lanterna.errors import InputError
from lanterna.events import STOP, Done, Event, Listener, Started, Stepped
from lanterna.jitter import Jitter
from lanterna.networks.network import LOGITS, Network
from lanterna.networks.untrained import untrained
from lanterna.objectives import Objective
from lanterna.recipe import Recipe
from lanterna.techniques.fool import second_network

__all__ = ["Encoding", "FoolNoiseRecipe", "FoolingPictures", "run"]

Encoding = Literal["pixels", "fourier", "cppn"]

LEARNING_RATE: dict[Encoding, float] = {"pixels": 0.1, "fourier": 0.05, "cppn": 0.03}
# What the loop aims at beyond the confidence asked for, in log odds: rounding to 8 bits takes some of it.
_BEYOND = 0.3
# Steps before those who are certain make room for others.
_ROUND = 24
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
    batch: Annotated[int, Field(ge=1, le=4096, description="classes at a time; those that are certain make room")] = 8
    control: Annotated[bool, Field(description="make some for an untrained network as well")] = True
    second: Annotated[str | None, Field(description="a second network that is shown the same pictures, or none")] = None


@dataclass(frozen=True, eq=False)
class FoolingPictures:
    """Pictures (B, 3, H, W) in [0, 1] with 8 bits, one for each class, beside what the networks say.

    For picture i: `confidence` the probability of class `classes[i]` in the picture as it is saved, `start` that of the
    noise it began
    with, `steps` how many it took; `agreed` whether the second network's best class is the same one. `control` holds the
    confidence that the same
    ascent reaches with an untrained network of the same architecture, for the first classes.
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


def _make(
    recipe: FoolNoiseRecipe, network: Network, classes: Sequence[int], listener: Listener | None
) -> tuple[dict[int, _Made], bool]:
    """A picture for each place in `classes`; those that are certain leave the batch and others come in. And whether it was
    stopped."""
    generator = torch.Generator().manual_seed(recipe.seed)
    waiting, done = list(range(len(classes)))[::-1], dict[int, _Made]()
    inside: list[int] = []
    taken: dict[int, int] = {}
    begun: dict[int, float] = {}
    canvas: Canvas | None = None
    goal = math.log(recipe.confidence / (1 - recipe.confidence)) + _BEYOND
    stopped = listener is not None and listener(Started(len(classes), len(classes))) == STOP
    while (waiting or inside) and not stopped:
        new = [waiting.pop() for _ in range(min(recipe.batch - len(inside), len(waiting)))]
        if new:
            fresh = _canvas(recipe.encoding, len(new), network, generator)
            with torch.no_grad():
                begun |= dict(zip(new, _sure(network, fresh.render(), [classes[i] for i in new]), strict=True))
            canvas = fresh if canvas is None else _joined(canvas, fresh)
            inside += new
        assert canvas is not None
        many = bool(waiting)

        def listen(event: Event, many: bool = many) -> Literal["stop"] | None:
            nonlocal stopped
            if not isinstance(event, Stepped):
                return None
            if listener is not None and listener(Stepped(len(done), len(classes), event.values)) == STOP:
                stopped = True
                return STOP
            certain = int((event.values > goal).sum())
            return STOP if certain == len(event.values) or (many and certain * 2 >= len(event.values)) else None

        ended = ascend(
            canvas,
            _log_odds([classes[i] for i in inside]),
            network,
            size=network.input_size,
            steps=min(_ROUND, recipe.steps - max(taken.get(i, 0) for i in inside)),
            generator=generator,
            lr=LEARNING_RATE[recipe.encoding],
            jitter=Jitter.none(),
            redirected_steps=0,
            on_event=listen,
        )
        shown = rounded(ended.pictures)
        sure = _sure(network, shown, [classes[i] for i in inside])
        stay = []
        for row, place in enumerate(inside):
            taken[place] = taken.get(place, 0) + ended.steps
            if sure[row] > recipe.confidence or taken[place] >= recipe.steps or stopped:
                done[place] = _Made(shown[row].cpu(), sure[row], begun[place], taken[place])
            else:
                stay.append(row)
        inside = [inside[row] for row in stay]
        canvas.parameters = [one.detach()[stay].requires_grad_(True) for one in canvas.parameters]
        if listener is not None and listener(Stepped(len(done), len(classes), torch.zeros(1))) == STOP:
            stopped = True
    if listener is not None:
        listener(Done(len(done), stopped))
    return done, stopped


def _joined(canvas: Canvas, fresh: Canvas) -> Canvas:
    fresh.parameters = [
        torch.cat([old.detach(), new.detach()]).requires_grad_(True)
        for old, new in zip(canvas.parameters, fresh.parameters, strict=True)
    ]
    return fresh


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
    done, stopped = _make(recipe, network, classes, on_event)
    places = sorted(done)
    chosen = [classes[i] for i in places]
    made = [done[i] for i in places]
    if not made:
        raise InputError("stopped before the first picture was made; nothing to show")
    shown = torch.stack([one.picture for one in made]).expand(-1, 3, -1, -1)
    agreed = None
    if second is not None and second.labels == network.labels:
        agreed = tuple(second.classify(one[None], 1)[0][0].index == index for one, index in zip(shown, chosen, strict=True))
    controls: list[_Made] = []
    if recipe.control and not stopped:
        # As many steps as the slowest of these classes needed, so that it has the same chance.
        some = chosen[:_CONTROLS]
        fair = recipe.model_copy(update={"steps": max(one.steps for one in made[: len(some)])})
        against, _ = _make(fair, untrained(network, recipe.seed), some, None)
        controls = [against[i] for i in sorted(against)]
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
