"""What `fool` gives back: the picture that fools, what it took, and the controls."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.networks.builtin import imagenet_labels
from lanterna.networks.network import Prediction

if TYPE_CHECKING:
    from lanterna.techniques.fool import FoolRecipe

__all__ = ["Fooled", "Transfer"]

# How much the difference is enlarged to be seen, where it is small enough to stay within black and white.
TIMES = 20


@dataclass(frozen=True)
class Transfer:
    """The best class of a second network for the picture, the result and the control; `fooled` where it sees another one."""

    network: str
    before: Prediction
    after: Prediction
    with_noise: Prediction
    fooled: bool
    noise_fooled: bool


@dataclass(frozen=True, eq=False)
class Fooled:
    """The picture, the result, and noise of the same size, each (1, 3, H, W) in [0, 1] and on the grid of 8 bits.

    `success` is that of `result`; `success_raw` that of the attack before it was rounded to 8 bits, `success_rounded` after
    plain rounding. Where rounding undid it, `refined` is how many values were moved by whole levels until it fools again,
    else 0. `l2` and `linf` are those of `result`, for values in [0, 1]; `noise_success` is the share of draws of the control
    that fool; `passes` how often a gradient was taken.
    """

    recipe: "FoolRecipe"
    network: str
    label: str
    picture: Tensor
    result: Tensor
    noise: Tensor
    success_raw: bool
    success_rounded: bool
    success: bool
    refined: int
    l2: float
    linf: float
    l2_raw: float
    linf_raw: float
    passes: int
    before: tuple[Prediction, ...]
    after: tuple[Prediction, ...]
    with_noise: tuple[Prediction, ...]
    noise_success: float
    transfer: Transfer | None
    stopped: bool

    @property
    def times(self) -> int:
        """How much `difference` is enlarged: 20, or less where that would be only black and white."""
        return max(1, min(TIMES, int(0.5 / max(self.linf, 1e-6))))

    @property
    def difference(self) -> Tensor:
        """The change, `times` as large, around middle grey (1, 3, H, W)."""
        return (0.5 + self.times * (self.result - self.picture)).clamp(0, 1)

    def numbers(self) -> dict[str, Any]:
        """Everything but the pictures, ready for JSON."""
        names = (
            "success", "success_raw", "success_rounded", "refined", "l2", "linf", "l2_raw", "linf_raw", "passes",
            "noise_success", "stopped",
        )  # fmt: skip
        return {
            "label": self.label,
            **{name: getattr(self, name) for name in names},
            "before": [asdict(one) for one in self.before],
            "after": [asdict(one) for one in self.after],
            "with_noise": [asdict(one) for one in self.with_noise],
            "transfer": None if self.transfer is None else asdict(self.transfer),
        }

    def captions(self) -> list[str]:
        """What stands below the four pictures."""
        return [
            "the picture",
            f"difference ×{self.times}; L2 {self.l2:.2f}, at most {255 * self.linf:.0f} of 255",
            "the picture that fools" if self.success else "the result: does not fool",
            f"control: noise of the same size; fools {self.noise_success:.0%} of the time",
        ]

    def figure(self) -> Tensor:
        """Picture, difference, result and control with the network's classes, as one picture (1, 3, H, W)."""
        right = self.before[0].index
        width = max(self.picture.shape[3], 224)
        columns = [
            [(one.label, one.probability, one.index != right) for one in best]
            for best in (self.before, self.after, self.with_noise)
        ]
        second = self.transfer
        beside = (
            []
            if second is None
            else [
                (f"{second.network}, before: {second.before.label}", second.before.probability, False),
                (f"after: {second.after.label}", second.after.probability, second.after.index != second.before.index),
                (
                    f"noise: {second.with_noise.label}",
                    second.with_noise.probability,
                    second.with_noise.index != second.before.index,
                ),
            ]
        )
        rows = [columns[0], beside, columns[1], columns[2]]
        shown = [self.picture, self.difference, self.result, self.noise, *(pictures_io.bars(row, width) for row in rows)]
        # What could be fetched knows the classes of ImageNet.
        helps = self.recipe.second != "none" and self.label in imagenet_labels()
        fetch = "; lanterna fetch efficientnet_lite1 brings one" if helps else ""
        other = "a second network" if second else f"no second network{fetch}"
        return pictures_io.sheet(shown, [*self.captions(), self.network, other, self.network, self.network], columns=4)

    def _repr_html_(self) -> str:
        return pictures_io.to_html(self.figure(), f"{self.label} seen as {self.after[0].label}")
