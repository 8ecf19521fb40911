"""What `visualize` gives back: pictures, and the numbers that say how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.events import STOP, Done, Listener, Started
from lanterna.techniques.filters import ExactUnit, enlarged
from lanterna.techniques.units import Unit

if TYPE_CHECKING:
    from lanterna.techniques.visualize import VisualizeRecipe

__all__ = ["Visualization", "exactly", "with_exact"]


@dataclass(frozen=True)
class Visualization:
    """Pictures (B, 3, H, W) in [0, 1] beside the numbers that say how far to trust them.

    For picture i of unit `units[i]`: `activation`, that of the start `start_activation`, and the highest over the sample
    pictures `sample_activation` (None where the network does not take colour pictures). `dead` says that nothing
    moved the unit. `strip` holds the way from start to end, (moments, B, C, H, W), and `strip_steps` how many steps were
    done at each moment.

    `filters[i]` is None, or the filter (1, 3, H, W) of a unit that only weighs the pixels it sees, grey where it weighs
    nothing. Picture i is then the patch that it wants, enlarged by a whole factor; `activation` is that of one position with
    the patch there on grey, `start_activation` that of grey, `sample_activation` the highest at any place of the samples.
    """

    recipe: "VisualizeRecipe"
    units: tuple[Unit, ...]
    pictures: Tensor
    activation: tuple[float, ...]
    start_activation: tuple[float, ...]
    sample_activation: tuple[float, ...] | None
    dead: tuple[bool, ...]
    steps: int
    stopped: bool
    trace: Tensor
    strip: Tensor
    strip_steps: tuple[int, ...]
    filters: tuple[Tensor | None, ...] = ()

    @property
    def exact(self) -> tuple[bool, ...]:
        """For each picture, whether it is the answer in closed form."""
        return tuple(one is not None for one in self.filters) or (False,) * len(self.units)

    def captions(self) -> list[str]:
        """One line for each picture: the unit and its activation."""
        return [
            f"{unit.title}: dead unit" if dead else f"{unit.title}{' wants' if exact else ''}: {value:.2f}"
            for unit, value, dead, exact in zip(self.units, self.activation, self.dead, self.exact, strict=True)
        ]

    def sheet(self) -> Tensor:
        """All pictures with their captions, each after its filter where it has one, as one picture (1, 3, H, W)."""
        cells: list[Tensor] = []
        captions: list[str] = []
        for i, caption in enumerate(self.captions()):
            if self.exact[i]:
                cells.append(self.filters[i])  # type: ignore[arg-type]  # exact: it has one
                captions.append(f"{self.units[i].title}: filter")
            cells.append(self.pictures[i : i + 1])
            captions.append(caption)
        # Filter and answer stay in one row.
        columns = min(6, len(cells)) if all(self.exact) else None
        return pictures_io.sheet(cells, captions, columns=columns)

    def _repr_html_(self) -> str:
        shown = self.sheet() if len(self.pictures) > 1 or any(self.exact) else self.pictures
        return pictures_io.to_html(shown, "; ".join(self.captions()))


def exactly(
    recipe: "VisualizeRecipe",
    units: Sequence[Unit],
    exact: Sequence[ExactUnit],
    size: tuple[int, int],
    on_event: Listener | None,
) -> Visualization:
    """What `visualize` gives where all units are known in closed form: there is nothing to climb, so there is no step."""
    listening = on_event or (lambda _event: None)
    stopped = listening(Started(0, len(units))) == STOP
    listening(Done(0, stopped))
    pictures = torch.cat([_shown(enlarged(one.patch, size)) for one in exact])
    samples = [one.sample for one in exact if one.sample is not None]
    return Visualization(
        recipe=recipe,
        units=tuple(units),
        pictures=pictures,
        activation=tuple(one.activation for one in exact),
        start_activation=tuple(one.start for one in exact),
        sample_activation=tuple(samples) if len(samples) == len(exact) else None,
        dead=(False,) * len(units),
        steps=0,
        stopped=stopped,
        trace=torch.zeros(0, len(units)),
        strip=torch.stack([torch.full_like(pictures, 0.5), pictures]),
        strip_steps=(0, 0),
        filters=tuple(_shown(enlarged(one.filter(), size)) for one in exact),
    )


def with_exact(climbed: Visualization, exact: Sequence[ExactUnit | None]) -> Visualization:
    """`climbed` with the answers in closed form in place of what was climbed for their units."""
    known = {i: one for i, one in enumerate(exact) if one is not None}
    if not known:
        return climbed
    size = (climbed.pictures.shape[2], climbed.pictures.shape[3])
    pictures, strip = climbed.pictures.clone(), climbed.strip.clone()
    for i, one in known.items():
        patch = enlarged(one.patch, size)
        pictures[i], strip[:-1, i], strip[-1, i] = _shown(patch)[0], 0.5, patch[0]

    def replaced(values: tuple[float, ...], field: str) -> tuple[float, ...]:
        return tuple(getattr(known[i], field) if i in known else value for i, value in enumerate(values))

    return replace(
        climbed,
        pictures=pictures,
        activation=replaced(climbed.activation, "activation"),
        start_activation=replaced(climbed.start_activation, "start"),
        sample_activation=climbed.sample_activation and replaced(climbed.sample_activation, "sample"),
        dead=tuple(dead and i not in known for i, dead in enumerate(climbed.dead)),
        strip=strip,
        filters=tuple(_shown(enlarged(known[i].filter(), size)) if i in known else None for i in range(len(pictures))),
    )


def _shown(picture: Tensor) -> Tensor:
    return picture.expand(-1, 3, -1, -1) if picture.shape[1] == 1 else picture
