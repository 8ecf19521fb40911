"""What `patterns` gives back: patches, projections, and the numbers that say how far to trust them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.patterns.fields import Place
from lanterna.patterns.layer_scan import LayerScan
from lanterna.techniques.panels import unit_panels
from lanterna.techniques.units import Unit
from lanterna.techniques.visualization import Visualization
from lanterna.wording import counted, listed

if TYPE_CHECKING:
    from lanterna.techniques.patterns import PatternsRecipe

__all__ = ["Found", "Patterns", "UnitPatterns"]

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_ROWS = 6  # units on one sheet


@dataclass(frozen=True)
class Found:
    """One place: `value` of the unit at (`row`, `column`) of its map in `sample`.

    `place` is the receptive field in the picture of `size` that the network sees, or None where it exceeds the picture or
    fits inside of it at no position; then `effective` is the part that counts. At a `border` the field reaches beyond the
    picture, and padding excites the unit as well. `patch` (1, C, h, w) in [0, 1] is what the picture has there, `pattern`
    the projection, signed, `control` the same with the layers above shuffled, and `alike` how much the two correlate.
    Checks, which should be zero: `difference` of the activation, computed again, and the share of the projection
    `outside` of the field.
    """

    sample: str
    label: int | None
    value: float
    row: int
    column: int
    place: Place | None
    effective: Place | None
    patch: Tensor
    pattern: Tensor
    control: Tensor
    alike: float
    difference: float
    outside: float
    border: bool
    size: tuple[int, int]


@dataclass(frozen=True)
class UnitPatterns:
    """One unit: its places, those inside of pictures first, each kind best first, and its layer's statistics."""

    unit: Unit
    found: tuple[Found, ...]
    scan: LayerScan
    classes: tuple[str, ...]

    @property
    def class_share(self) -> float | None:
        """The share of the places that are in pictures of the commonest class; None without classes."""
        labels = [place.label for place in self.found if place.label is not None and place.label >= 0]
        return max(Counter(labels).values()) / len(labels) if labels else None

    @property
    def highest(self) -> Found | None:
        """The place with the highest value of all, at a border or not."""
        return max(self.found, key=lambda one: one.value, default=None)

    @property
    def border(self) -> tuple[Found, ...]:
        """The places at a border."""
        return tuple(one for one in self.found if one.border)

    @property
    def alike(self) -> float | None:
        """How much the projections are those of shuffled weights, from 0 to 1; the mean over the places."""
        return sum(place.alike for place in self.found) / len(self.found) if self.found else None

    def numbers(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        channel, scan = self.unit.channel, self.scan
        best, selectivity = scan.favourite(channel), scan.selectivity
        kept = scan.kept.numel() > 0
        return {
            "unit": self.unit.title,
            "layer": self.unit.layer,
            "channel": channel,
            "places": [
                {
                    "sample": one.sample,
                    "class": self.classes[one.label] if one.label is not None and one.label >= 0 else None,
                    "value": one.value,
                    "border": one.border,
                    "row": one.row,
                    "column": one.column,
                    "field": None if one.place is None else [one.place.top, one.place.left, *one.place.size],
                    "effective_field": None
                    if one.effective is None
                    else [one.effective.top, one.effective.left, *one.effective.size],
                    "alike": one.alike,
                    "difference": one.difference,
                    "outside": one.outside,
                }
                for one in self.found
            ],
            "pictures": scan.count,
            "mean": float(scan.mean[channel]),
            "variance": float(scan.variance[channel]),
            "share_active": float(scan.share_active[channel]),
            "highest_mean": float(scan.highest[channel]),
            "quantiles": {
                of: dict(zip(map(str, LEVELS), scan.quantiles(LEVELS, of)[:, channel].tolist(), strict=True)) if kept else {}
                for of in ("mean", "peak", "place")
            },
            "selectivity": None if selectivity is None else float(selectivity[channel]),
            "favourite_class": None if best is None else self.classes[best],
            "class_share": self.class_share,
            "alike": self.alike,
        }


@dataclass(frozen=True)
class Patterns:
    """Units with their patches, and `made`, from unit to the visualisation and the place of its picture in it.

    `samples` were looked at, crops where `crops` is true, of `pictures` pictures; at most `top` places of each unit are
    shown, and `few` says that these are too large a part of all pictures to tell what a unit likes. `unreadable` has those
    that were skipped, with the reason. `stopped` where someone asked to stop.
    """

    recipe: "PatternsRecipe"
    units: tuple[UnitPatterns, ...]
    made: Mapping[Unit, tuple[Visualization, int]]
    dead: frozenset[Unit]
    data: str
    samples: int
    pictures: int
    top: int
    few: bool
    crops: bool
    unreadable: Mapping[str, str]
    notes: tuple[str, ...]
    stopped: bool

    def made_activation(self, unit: Unit) -> float | None:
        """The activation of the picture made for `unit`; None where none was made."""
        if unit not in self.made:
            return None
        result, place = self.made[unit]
        return result.activation[place]

    def says(self) -> list[str]:
        """What a person should know about the data, one line each."""
        said = [f"{self.data}: {self.pictures} pictures"]
        if self.crops:
            said[0] += f"; they are few, so {self.samples} crops of them at several scales count as data"
            if not self.recipe.repeat:
                said[0] += ", and of each picture the best one"
        if self.unreadable:
            names = listed(self.unreadable)
            said.append(f"{len(self.unreadable)} can't be read and were skipped: {names}")
        fewest = min((len(one.found) for one in self.units), default=self.top)
        if self.recipe.top and fewest < self.top:
            said.append(f"{self.top} places were asked for; the data has {fewest}")
        if self.few:
            said.append(
                f"so few pictures show what excites a unit most among {self.pictures}, not what it looks for; some hundreds "
                "of your own tell"
            )
        borders = sum(one.highest is not None and one.highest.border for one in self.units)
        if any(one.border for one in self.units):
            said.append(
                "places at a picture's border, where padding counts as well, come last with a line at the edge"
                + (f"; for {counted(borders, 'unit')} the highest place of all is one of them" if borders else "")
            )
        return said + list(self.notes)

    def sheets(self) -> list[Tensor]:
        """Pages of up to six units, each (1, 3, H, W): the made picture, the patches, the projections, and the control."""
        pages = []
        for start in range(0, len(self.units), _ROWS):
            panels: list[Tensor] = []
            captions: list[str] = []
            titles: list[str] = []
            for one in self.units[start : start + _ROWS]:
                row, said, title = unit_panels(one, self)
                panels += row
                captions += said
                titles.append(title)
            pages.append(pictures_io.sheet(panels, captions, columns=len(panels) // len(titles), row_titles=titles))
        return pages

    def _repr_html_(self) -> str:
        titles = listed(one.unit.title for one in self.units)
        return "".join(pictures_io.to_html(page, f"patterns of {titles}") for page in self.sheets())
