"""Everything about one data set: train, evaluate on held-out pictures, show."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanterna.autoencode.experiments import EXPERIMENTS
from lanterna.autoencode.model import Autoencoder
from lanterna.autoencode.part import Part
from lanterna.autoencode.pictures import Split, open_split
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.autoencode.variants import make_module
from lanterna.autoencode.workshop import Workshop
from lanterna.errors import StoppedError
from lanterna.events import Listener
from lanterna.progress import Series

__all__ = ["Autoencoded", "run"]

# About how many trainings of the recipe's length each part needs beside those of the sizes.
_TRAININGS = {"specific": 4.0, "regular": 2.0, "loses": 4.0, "manifold": 1.0, "generate": 1.0}


@dataclass(frozen=True)
class Autoencoded:
    """The models by size of the code, the parts that were made, and how it went."""

    recipe: AutoencodeRecipe
    split: Split
    models: dict[int, Autoencoder]
    parts: tuple[Part, ...]
    missing: tuple[str, ...]
    seconds: float
    stopped: bool

    def numbers(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "data": self.split.name,
            "train_pictures": len(self.split.train),
            "held_out_pictures": len(self.split.held_out),
            "shape": list(self.split.train.shape[1:]),
            "notes": [*self.split.notes, *self.missing],
            "models": {str(code): dict(model.numbers) for code, model in self.models.items()},
            "parts": {part.name: part.numbers for part in self.parts},
            "seconds": round(self.seconds, 1),
            "stopped": self.stopped,
        }


def run(
    recipe: AutoencodeRecipe, on_event: Listener | None = None, *, split: Split | None = None, folder: Path | None = None
) -> Autoencoded:
    """Train an autoencoder for each size of the code, and make the recipe's parts.

    `split` takes the place of the recipe's data. Models are kept in `folder`, by default one in the cache. Raises InputError
    before anything is trained for data or sizes that can't be used.
    """
    begun = time.perf_counter()
    split = split or open_split(recipe.data, side=recipe.side, most=recipe.most, seed=recipe.seed)
    channels, side = split.train.shape[1:3]
    for code in recipe.code:
        make_module(recipe.model, channels, side, code, 0)  # says what is wrong with a size before the first is trained
    # Trainings behind each part, of which one is the unit of time.
    planned = {"lossy": len(recipe.code) * (recipe.repeats - 1.0), **_TRAININGS}
    training = float(len(split.train) * recipe.epochs)
    done = len(recipe.code) * training
    series = Series(on_event, done + training * sum(planned.get(part, 0.0) for part in recipe.parts))
    shop = Workshop(recipe, split, series) if folder is None else Workshop(recipe, split, series, folder)
    models: dict[int, Autoencoder] = {}
    parts: list[Part] = []
    missing: list[str] = []
    try:
        for code in recipe.code:
            models[code] = shop.model(code)
        series.reach(done)
        for name, make in EXPERIMENTS.items():
            if name not in recipe.parts or series.stopped:
                continue
            series.enter(name)
            part = make(shop)
            if part is None:
                missing.append(f"{name}: does not apply to {split.name}")
            else:
                parts.append(part)
            done += training * planned.get(name, 0.0)
            series.reach(done)
    except StoppedError:
        pass
    return Autoencoded(recipe, split, models, tuple(parts), tuple(missing), time.perf_counter() - begun, series.stopped)
