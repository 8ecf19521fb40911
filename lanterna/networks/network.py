"""A network to look at: a module with its own preprocessing, labels and layers, ready to be read at any depth."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lanterna.errors import InputError, NetworkError, UnknownNameError
from lanterna.networks.capture import Capture, Passing, split_call
from lanterna.networks.convolve import keep_no_maps
from lanterna.networks.fold import fold, folded_affine
from lanterna.networks.layer import Layer
from lanterna.networks.preprocessing import Preprocessing
from lanterna.networks.probe import Probe, probe
from lanterna.networks.rectify import ceiling_of, rectify_in_place
from lanterna.networks.same import lean_same
from lanterna.wording import counted, listed

if TYPE_CHECKING:
    from lanterna.techniques.dream import Dream
    from lanterna.techniques.fooled import Fooled
    from lanterna.techniques.found import Patterns
    from lanterna.techniques.inversion import Inversion
    from lanterna.techniques.stylize import Stylized
    from lanterna.techniques.stylize_clip import StylizedClip
    from lanterna.techniques.visualize import Visualization

__all__ = ["LOGITS", "Network", "Prediction"]

# The name of the module's own output, where a class is a unit.
LOGITS = "logits"

# Takes a layer as it passes by.
Visitor = Callable[[Passing], None]

# How modules refuse a picture: torch by the first, timm and many users' own by the others.
_REFUSALS = (RuntimeError, AssertionError, ValueError)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@dataclass(frozen=True)
class Prediction:
    """One class the network sees: its index, label and softmax probability in [0, 1]."""

    index: int
    label: str
    probability: float


class Network:
    """A frozen network with its preprocessing. Make one with `lanterna.load` or `Network.wrap`."""

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        preprocessing: Preprocessing,
        labels: Sequence[str] = (),
        weights_sha256: str = "",
        source: str = "",
    ) -> None:
        self.module = module
        self.name = name
        self.preprocessing = preprocessing
        self.labels = tuple(labels)
        self.weights_sha256 = weights_sha256
        self.source = source or name
        self._optimised: dict[tuple[frozenset[str], ...], nn.Module] = {}

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        *,
        name: str = "network",
        preprocessing: Preprocessing | None = None,
        labels: Sequence[str] = (),
        weights_sha256: str = "",
        source: str = "",
    ) -> "Network":
        """Any `nn.Module` that takes a picture; your module itself is neither changed nor kept: a copy is.

        The input size, channels, mean and std are those of `preprocessing`; without it pictures go in as they are, sRGB in
        [0, 1], at 224 px. Raises NetworkError where a weight is NaN or infinite.

        >>> net = Network.wrap(nn.Conv2d(3, 8, 3), preprocessing=Preprocessing(size=(32, 32)))
        >>> net.layers()[-1].shape
        (8, 30, 30)
        """
        for tensor_name, tensor in module.state_dict().items():
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise NetworkError(
                    f"the weights of {name} have NaN or infinite values, first in {tensor_name!r}; all must be finite"
                )
        # Channels last here, once, so that what is run shares these weights instead of holding a second copy.
        clone = copy.deepcopy(module).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        chosen = preprocessing or Preprocessing()
        return cls(clone, name=name, preprocessing=chosen, labels=labels, weights_sha256=weights_sha256, source=source)

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {self.input_size[0]}x{self.input_size[1]}, {len(self.layers())} layers)"

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the pictures the network was made for."""
        return self.preprocessing.size

    @property
    def channels(self) -> int:
        """Channels of the canvas that is optimised for this network: 1 for a grey network, else 3 or its own number."""
        return self.preprocessing.channels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((tensor.device for tensor in self.module.parameters()), torch.device("cpu"))

    def to(self, device: str | torch.device) -> "Network":
        """The same network on another device."""
        moved = copy.copy(self)
        moved.module = copy.deepcopy(self.module).to(device)
        moved._optimised = {}
        return moved

    # -- layers --------------------------------------------------------------------------------------------------------

    @cached_property
    def _probe(self) -> Probe:
        size = self.input_size
        picture = torch.full((1, self.channels, *size), 0.5, device=self.device)
        try:
            return probe(self.module, self.preprocessing.apply(picture))
        except _REFUSALS as error:
            raise NetworkError(
                f"{self.name} can't take a picture of {size[0]}x{size[1]} with {counted(self.channels, 'channel')}: "
                f"{_first_line(error)}; give its preprocessing the right size and channels"
            ) from error

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        counts, layers = self._probe.counts, {}
        for call in self._probe.calls:
            if call.kind == "Identity" or not call.shape:
                continue
            if not call.name:
                layers[LOGITS] = Layer.from_call(call, LOGITS)
                continue
            name = call.name if counts[call.name] == 1 else f"{call.name}#{call.number}"
            layers[name] = Layer.from_call(call, name)
        return layers

    def layers(self) -> tuple[Layer, ...]:
        """Every layer that runs, in order; a module that runs twice is `name#1` and `name#2`. The output is `logits`."""
        return tuple(self._layers.values())

    def layer(self, name: str) -> Layer:
        """One layer by name; the name of a reused module without `#` is its last call. Raises UnknownNameError."""
        found = self._layers.get(name) or self._layers.get(f"{name}#{self._probe.counts.get(name, 0)}")
        if found is None:
            hint = f"`lanterna layers {self.source}` lists all"
            raise UnknownNameError("layer", name, self._layers, where=self.name, hint=hint)
        return found

    # -- reading -------------------------------------------------------------------------------------------------------

    def _optimise(self, unfolded: Iterable[str], kept: Iterable[str], shown: Iterable[str] = ()) -> nn.Module:
        """The module as it is run, exact to rounding: normalisations folded, ReLUs in place, no maps kept, channels last.

        Convolutions in `unfolded` give their own output, and what layers in `kept` give is not changed after them. What
        layers in `shown` give is mostly kept for the gradient by whoever reads it.
        """
        found = self._probe
        alone = frozenset(unfolded) & {producer for producer, _ in found.foldable}
        untouched = frozenset(kept) & {producer for producer, _ in found.in_place}
        # A map that is changed later is read as a copy; and what is no rectifier makes no difference.
        changed = {split_call(key)[0] for key in found.rewritten}
        rectified = {name for name in set(shown) - changed if ceiling_of(self.module.get_submodule(name)) is not None}
        key = alone, untouched, frozenset(rectified)
        if key not in self._optimised:
            lighter = rectify_in_place(fold(self.module, found.foldable, alone), found.in_place, untouched, key[2])
            self._optimised[key] = keep_no_maps(lean_same(lighter)).to(memory_format=torch.channels_last)
        return self._optimised[key]

    @contextmanager
    def reading(
        self, layers: Sequence[str], passing: Mapping[str, Callable[[Tensor], Any]] | None = None
    ) -> Iterator[Callable[[Tensor], dict[str, Tensor]]]:
        """A function from public pictures (B, 3, H, W) to `layers`; it runs no deeper than the deepest of them.

        Of a layer in `passing` it gives what the function there makes of it, as it comes by. Gradients reach the pictures
        and never the weights. Raises UnknownNameError.
        """
        names = {name: "" if name == LOGITS else self.layer(name).name for name in layers}
        wanted = [split_call(name)[0] for name in names.values()]
        inner_passing = {names[name]: function for name, function in (passing or {}).items()}
        module = self._optimise(unfolded=wanted, kept=wanted, shown={split_call(name)[0] for name in inner_passing})
        reader = Capture(module, list(names.values()), self._probe.counts, self._probe.rewritten, passing=inner_passing)

        def read(pictures: Tensor) -> dict[str, Tensor]:
            inputs = self.preprocessing.apply(pictures).contiguous(memory_format=torch.channels_last)
            found = reader(inputs)
            return {name: found[inner] for name, inner in names.items()}

        with reader.installed():
            yield read

    @contextmanager
    def visiting(self, layers: Sequence[str], visit: Visitor) -> Iterator[Callable[[Tensor], None]]:
        """A function that runs public pictures (B, 3, H, W) and hands each layer to `visit` as soon as it is there.

        Nothing is held, so that all layers of a network can be looked at in one pass. Convolutions stay folded where what
        they give tells what they would have given (`Passing.affine`). Raises UnknownNameError.
        """
        names: dict[str, list[str]] = {}
        for name in layers:
            names.setdefault("" if name == LOGITS else self.layer(name).name, []).append(name)
        wanted = {split_call(inner)[0] for inner in names}
        affine: dict[str, tuple[Tensor, Tensor]] = {}
        for conv, norm in self._probe.foldable:
            if conv in wanted and (found := folded_affine(self.module, conv, norm)) is not None:
                scale, shift = found
                affine[conv] = ((1 / scale).float(), (-shift / scale).float())
        # Looked at as they come: what happens to them later does not matter.
        module = self._optimise(unfolded=wanted - set(affine), kept=())

        def hand_over(passing: Passing) -> None:
            asked = tuple(name for inner in passing.names for name in names[inner])
            # A folded convolution is called once in a pass: its name is the name that it was asked by.
            visit(replace(passing, names=asked, affine=affine.get(passing.names[0])))

        reader = Capture(module, list(names), self._probe.counts, self._probe.rewritten, hand_over)

        def run(pictures: Tensor) -> None:
            reader(self.preprocessing.apply(pictures).contiguous(memory_format=torch.channels_last))

        with reader.installed(), torch.no_grad():
            yield run

    def capture(self, pictures: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The features of `pictures` (B, 3, H, W) at `layers`, each (B, channels, ...), without gradient."""
        self.check_size((pictures.shape[2], pictures.shape[3]), layers)
        with self.reading(layers) as read, torch.no_grad():
            return {name: features.clone() for name, features in read(pictures.to(self.device)).items()}

    def check_size(self, size: tuple[int, int], layers: Sequence[str]) -> None:
        """Raise NetworkError where pictures of `size` (height, width) are too small for the network up to `layers`."""
        smallest = self.preprocessing.min_size
        if min(size) < smallest:
            raise NetworkError(
                f"a picture of {size[0]}x{size[1]} is too small for {self.name}; the least is {smallest}x{smallest}"
            )
        if size == self.input_size:
            return
        try:
            with self.reading(layers) as read, torch.no_grad():
                found = read(torch.full((1, self.channels, *size), 0.5, device=self.device))
        except _REFUSALS as error:
            reason = _first_line(error)
            raise NetworkError(
                f"{self.name} can't take a picture of {size[0]}x{size[1]} ({reason}); it was made for "
                f"{self.input_size[0]}x{self.input_size[1]}"
            ) from error
        if any(features.numel() == 0 for features in found.values()):
            raise NetworkError(f"a picture of {size[0]}x{size[1]} is too small for {self.name}: nothing is left of it")

    def logits(self, pictures: Tensor) -> Tensor:
        """The output (B, classes) for `pictures` (B, 3, H, W) at their own size; with gradient to the pictures."""
        with self.reading([LOGITS]) as read:
            return read(pictures)[LOGITS]

    def classify(self, pictures: Tensor, top: int = 5) -> list[list[Prediction]]:
        """The `top` classes of each picture (B, 3, H, W), best first, after the network's own resize and crop."""
        if len(self._layers[LOGITS].shape) != 1:
            raise NetworkError(
                f"{self.name} is not a classifier: its output is {self._layers[LOGITS].shape}, not one number a class"
            )
        with torch.no_grad():
            fitted = self.preprocessing.fit(pictures.to(self.device))
            return [self.predictions(logits, top) for logits in self.logits(fitted)]

    def predictions(self, logits: Tensor, top: int) -> list[Prediction]:
        """The `top` classes of one picture by its `logits` (classes,), best first."""
        # Of a network that hardly answers, probabilities are the same to the last bit where logits still differ.
        indices = logits.topk(min(top, len(logits))).indices
        probabilities = logits.softmax(0)[indices]
        return [
            Prediction(index, self.label(index), value)
            for index, value in zip(indices.tolist(), probabilities.tolist(), strict=True)
        ]

    def label(self, index: int) -> str:
        """The name of a class, or 'class 7' where the network has no labels."""
        return self.labels[index] if index < len(self.labels) else f"class {index}"

    def class_index(self, name: str) -> int:
        """A class by number or by any unambiguous part of its name. Raises UnknownNameError or InputError (candidates)."""
        classes = self._layers[LOGITS].channels
        if name.removeprefix("-").isdecimal():
            index = int(name)
            if not 0 <= index < classes:
                raise InputError(f"class {index} is out of range; {self.name} has classes 0 to {classes - 1}")
            return index
        wanted = name.strip().lower()
        exact = [i for i, label in enumerate(self.labels) if label.lower() == wanted]
        found = exact or [i for i, label in enumerate(self.labels) if wanted and wanted in label.lower()]
        if not found:
            hint = "classes are given by name or number" if self.labels else "it has no labels: give a number"
            raise UnknownNameError("class", name, [label.lower() for label in self.labels], where=self.name, hint=hint)
        if len(found) > 1:
            candidates = listed(f"{self.labels[i]} ({i})" for i in found)
            raise InputError(f"class {name!r} could be any of {len(found)}: {candidates}; give one by number or full name")
        return found[0]

    def visualize(self, *units: str, **fields: Any) -> "Visualization":
        """Pictures that excite `units`, such as "blocks.4:12" or "logits:sea lion"; see `VisualizeRecipe` for the fields."""
        from lanterna.techniques.visualize import VisualizeRecipe, run

        return run(VisualizeRecipe(units=units, **fields), self)

    def patterns(self, *units: str, **fields: Any) -> "Patterns":
        """The places in real pictures that excite `units` most; `PatternsRecipe` has the fields, such as `data`."""
        from lanterna.techniques.patterns import PatternsRecipe, run

        return run(PatternsRecipe(units=units, **fields), self)

    def dream(self, picture: str, *layers: str, **fields: Any) -> "Dream":
        """More of what `layers`, such as "blocks.4" or "blocks.3:7=0.5", see in `picture`; `DreamRecipe` has the fields."""
        from lanterna.techniques.dream import DreamRecipe, run

        return run(DreamRecipe(picture=picture, layers=layers, **fields), self)

    def invert(self, layers: str | Sequence[str], picture: str | Path | Tensor, **fields: Any) -> "Inversion":
        """Recreate `picture`, a file, a sample's name or a tensor (1, 3, H, W), from `layers`: "relu3_3", say, or "all".

        See `InvertRecipe` for the fields.
        """
        from lanterna.techniques.invert import InvertRecipe, run

        names = (layers,) if isinstance(layers, str) else tuple(layers)
        given = picture if isinstance(picture, Tensor) else None
        # A recipe holds what can be written down: a tensor has no name.
        recipe = InvertRecipe(layers=names, picture="(tensor)" if given is not None else str(picture), **fields)
        return run(recipe, self, picture=given)

    def stylize(self, content: str, *styles: str, **fields: Any) -> "Stylized":
        """`content` painted in `styles`, as files or samples' names; `StylizeRecipe` has the fields."""
        from lanterna.techniques.stylize import StylizeRecipe, run

        return run(StylizeRecipe(content=content, styles=styles, **fields), self)

    def stylize_clip(self, clip: str | Path, *styles: str, folder: str | Path, **fields: Any) -> "StylizedClip":
        """A video, GIF, WebP or folder of frames in `styles`, painted into `folder`; `StylizeClipRecipe` has the fields."""
        from lanterna.techniques.stylize_clip import StylizeClipRecipe, run

        return run(StylizeClipRecipe(content=str(clip), styles=styles, **fields), self, Path(folder))

    def fool(self, picture: str, **fields: Any) -> "Fooled":
        """`picture` changed so little that nobody sees it, until the network sees another class; see `FoolRecipe`."""
        from lanterna.techniques.fool import FoolRecipe, run

        return run(FoolRecipe(picture=picture, **fields), self)
