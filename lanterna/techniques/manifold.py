"""Why classifiers are easily fooled, and what a generative one does better: both on the same data, with the numbers.

After Nguyen et al. 2015 (fooling pictures), Schott et al. 2019 (analysis by synthesis), Nalisnick et al. 2019 (densities that
rank other data higher) and Serrà et al. 2020 (the score corrected by complexity).
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from lanterna import data as data_sets
from lanterna.errors import MissingError, StoppedError
from lanterna.events import Event, Listener
from lanterna.manifold import figures
from lanterna.manifold.measures import over_seeds
from lanterna.manifold.sets import SIDE, Prepared, grey, prepared
from lanterna.manifold.study import Effort, Study, study
from lanterna.progress import Series
from lanterna.recipe import Names, Recipe

__all__ = ["FIGURES", "Manifold", "ManifoldRecipe", "run"]

# In the order of the page: name and title.
FIGURES = {
    "wall": "The noise wall",
    "ladder": "From real to noise",
    "plane": "A plane through three pictures",
    "slice": "Around one picture",
    "fooling": "What makes each certain",
    "scores": "Confidence and density",
    "savings": "Where density fails",
    "robustness": "How far to the first error",
    "calibration": "How far confidence can be trusted",
}
# Pictures of other data that is tried, where it is here.
_OTHERS = ("mnist_5k", "fashion_mnist@test")


class ManifoldRecipe(Recipe):
    """All that decides the figures and numbers."""

    technique: Literal["manifold"] = "manifold"
    schema_version: Literal[1] = 1
    data: Annotated[
        str, Names("data"), Field(description="mnist_5k, fashion_mnist, torchvision:NAME, folder:PATH with a folder a class")
    ] = "mnist_5k"
    pictures: Annotated[int, Field(ge=40, le=60_000, description="at most this many pictures of the data")] = 5000
    fit: Annotated[bool, Field(description="crop pictures that differ in size to their middle squares")] = False
    seeds: Annotated[int, Field(ge=1, le=10, description="times that everything is done, each with its own split")] = 3
    classifier_steps: Annotated[int, Field(ge=1, le=20_000, description="training steps of the discriminative one")] = 300
    density_steps: Annotated[int, Field(ge=1, le=20_000, description="training steps of the generative one")] = 500
    noise: Annotated[int, Field(ge=10, le=1_000_000, description="random pictures in the noise wall")] = 10_000
    each: Annotated[int, Field(ge=4, le=5000, description="pictures of each kind that are scored")] = 200
    plane: Annotated[int, Field(ge=5, le=201, description="points along each side of a plane")] = 41
    attacked: Annotated[int, Field(ge=2, le=1000, description="pictures that are attacked, with each seed")] = 24
    attack_steps: Annotated[
        int,
        Field(ge=1, le=1000, description="steps of the minimum-norm attack; searches and fooling pictures take a multiple"),
    ] = 30

    def digests(self) -> dict[str, str]:
        """The content of the data."""
        return {self.data: data_sets.load(self.data).fingerprint}

    def effort(self, first: bool) -> Effort:
        """How much is done for one seed; the planes are only drawn for the first."""
        return Effort(
            classifier_steps=self.classifier_steps,
            density_steps=self.density_steps,
            wall=self.noise,
            each=self.each,
            plane=self.plane if first else min(self.plane, 21),
            attacked=self.attacked,
            attack_steps=self.attack_steps,
            queries=2 * self.attack_steps,
            fooling_each=4,
            fooling_steps=3 * self.attack_steps,
        )


@dataclass(frozen=True)
class Manifold:
    """One study for each seed; `notes` says in words what was left out, `stopped` that seeds are missing."""

    recipe: ManifoldRecipe
    data: Prepared
    studies: tuple[Study, ...]
    notes: tuple[str, ...]
    stopped: bool

    def numbers(self) -> dict[str, Any]:
        """Every number with its mean, lowest and highest over the seeds."""
        told: dict[str, Any] = over_seeds([study.numbers() for study in self.studies])
        return told

    def figure(self, name: str) -> Tensor:
        """One of FIGURES as a picture (1, 3, H, W)."""
        first = self.studies[0]
        classes = first.split.classes
        across = "distance in the plane of the three pictures, L2"
        if name == "plane":
            return figures.planes(first.plane, classes, "", (across, "L2"))
        if name == "slice":
            return figures.planes(
                first.slice,
                classes,
                "",
                ("along the gradient of the discriminative one's loss, L2", "a random direction, L2"),
            )
        if name == "fooling":
            return figures.fooling(classes, first.shown_fooling())
        if name == "robustness":
            return figures.walk(self.studies)
        if name == "calibration":
            return figures.calibration(self.studies)
        drawn: Tensor = getattr(figures, name)(first)
        return drawn


def _others(recipe: ManifoldRecipe, notes: list[str]) -> dict[str, Tensor]:
    """Pictures of other data sets, where they are here, by name."""
    found = {}
    for spec in _OTHERS:
        name = spec.partition("@")[0]
        if name == recipe.data.partition("@")[0]:
            continue
        try:
            dataset = data_sets.load(spec, download=False)
        except MissingError as error:
            notes.append(f"{name} is not among the other data: {error}")
            continue
        count = min(recipe.each, len(dataset))
        found[name] = grey(dataset.pictures(round(i * (len(dataset) - 1) / max(count - 1, 1)) for i in range(count)))
    return found


def run(recipe: ManifoldRecipe, on_event: Listener | None = None) -> Manifold:
    """Train what is not in the cache yet, and measure, once for each seed.

    Raises InputError for data that two classifiers can't be trained on, and StoppedError where it was stopped
    before the first seed was done; models that were finished stay in the cache.
    """
    dataset = data_sets.load(recipe.data)
    data = prepared(dataset, recipe.pictures, fit=recipe.fit)
    notes = list(data.notes)
    if dataset.read(0).shape[2:] != (SIDE, SIDE):
        notes.append(f"the pictures were reduced to {SIDE}x{SIDE} and made grey")
    others = _others(recipe, notes)
    # About the seconds that each part takes.
    weights = (0.05 * recipe.classifier_steps, 0.05 * recipe.density_steps, 15 + 0.1 * recipe.attacked * recipe.attack_steps)
    series = Series(on_event, recipe.seeds * sum(weights))
    studies: list[Study] = []
    for number in range(recipe.seeds):
        titles = ("the discriminative one is trained", "the generative one is trained", "both are asked")
        listeners = tuple(
            _entering(series, f"{title}, {number + 1} of {recipe.seeds}", series.part(weight))
            for title, weight in zip(titles, weights, strict=True)
        )
        try:
            made = study(
                data, recipe.seed + number, recipe.effort(number == 0), others, (listeners[0], listeners[1], listeners[2])
            )
        except StoppedError:
            if not studies:
                raise
            break
        studies.append(made)
        series.reach((number + 1) * sum(weights))
    return Manifold(recipe, data, tuple(studies), tuple(notes), len(studies) < recipe.seeds)


def _entering(series: Series, title: str, inner: Listener) -> Listener:
    """`inner`, which says `title` with its first event."""
    entered = False

    def listen(event: Event) -> Literal["stop"] | None:
        nonlocal entered
        if not entered:
            entered = True
            series.enter(title)
        return inner(event)

    return listen
