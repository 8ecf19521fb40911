"""What `visualize` gives back: pictures, and the numbers that say how far to trust them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.techniques.units import Unit

if TYPE_CHECKING:
    from lanterna.techniques.visualize import VisualizeRecipe

__all__ = ["Visualization"]


@dataclass(frozen=True)
class Visualization:
    """Pictures (B, 3, H, W) in [0, 1] beside the numbers that say how far to trust them.

    For picture i of unit `units[i]`: `activation`, that of the start `start_activation`, and the highest over the sample
    pictures `sample_activation` (None where the network does not take colour pictures). `dead` says that nothing
    moved the unit. `strip` holds the way from start to end, (moments, B, C, H, W), and `strip_steps` how many steps were
    done at each moment.
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

    def captions(self) -> list[str]:
        """One line for each picture: the unit and its activation."""
        return [
            f"{unit.title}: dead unit" if dead else f"{unit.title}: {value:.2f}"
            for unit, value, dead in zip(self.units, self.activation, self.dead, strict=True)
        ]

    def sheet(self) -> Tensor:
        """All pictures with their captions, as one picture (1, 3, H, W)."""
        return pictures_io.sheet(self.pictures, self.captions())

    def _repr_html_(self) -> str:
        shown = self.sheet() if len(self.pictures) > 1 else self.pictures
        return pictures_io.to_html(shown, "; ".join(self.captions()))
