"""The fields that stylize and texture share, and what their presets stand for."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lanterna import pictures
from lanterna.moments import Normalisation, StatisticName
from lanterna.networks.adapt import Pooling
from lanterna.pictures.clip import clip_digest
from lanterna.recipe import Names, Recipe

__all__ = [
    "PRESETS",
    "Border",
    "Colour",
    "ContentLoss",
    "Optimizer",
    "PaintRecipe",
    "Preset",
    "PresetName",
    "StyleRecipe",
    "StylizeClipRecipe",
    "StylizeRecipe",
    "TextureRecipe",
]

PresetName = Literal["multiscale", "gatys"]
Optimizer = Literal["lbfgs", "adam"]
Colour = Literal["style", "content", "luminance"]
ContentLoss = Literal["features", "self_similarity"]
Border = Literal["replicate", "first", "zeros"]


@dataclass(frozen=True)
class Preset:
    """Defaults that belong together. `relative` losses are 1 where nothing is reached, whatever the network and size.

    The content's weight is None where each network has its own (`style_layers.default_content_weight`).
    Each size has `fewer` times the steps of the one before: it costs twice as much a step, and has less left to do.
    """

    statistic: StatisticName
    content_weight: float | None
    style_weight: float
    tv_weight: float
    steps: int
    fewer: float
    relative: bool
    even_layers: bool
    normalisation: Normalisation | None
    temporal_weight: float


PRESETS: dict[PresetName, Preset] = {
    # Weights found at 256 px on vgg16_hed.
    # Of a clip: with ten times the weight for the frame before, strips that come into view are filled with dots, as all that
    # the style still lacks is made there.
    "multiscale": Preset("wasserstein", None, 1.0, 0.0002, 100, 0.85, True, False, None, 0.03),
    # neural-style-pt: content 5, style 100 on Gram / (C N), both on pixels of 0 to 255; L-BFGS. Its tv of 1e-3 is a sum over
    # such pixels. It has one size; with small ones first its loss is reached sooner (benchmarks/stylize.py). Ruder et al.
    # 2016 have 200 times the content's weight for the frame before, on such pixels too.
    "gatys": Preset("gram", 5.0, 100.0, 1e-3, 150, 0.7, False, True, "all", 1000.0),
}


class StyleRecipe(Recipe):
    """What every way to paint in a style has."""

    schema_version: Literal[1] = 1
    styles: Annotated[
        tuple[str, ...], Names("picture"), Field(min_length=1, max_length=16, description="pictures that have the style")
    ]
    style_blend_weights: Annotated[
        tuple[Annotated[float, Field(ge=0)], ...], Field(description="one weight for each style, at least 0")
    ] = ()
    size: Annotated[str, Field(description="longer side in pixels, or HEIGHTxWIDTH")] = "512"
    preset: Annotated[PresetName, Field(description="defaults that belong together")] = "multiscale"
    statistic: Annotated[
        StatisticName | None, Field(description="what of the style's maps is matched; by default the preset's")
    ] = None
    style_weight: Annotated[float | None, Field(ge=0, description="weight of the style; by default the preset's")] = None
    tv_weight: Annotated[float | None, Field(ge=0, description="weight of total variation; by default the preset's")] = None
    style_scale: Annotated[float, Field(gt=0, le=8, description="size of the style's picture beside the result's")] = 1.0
    style_layers: Annotated[tuple[str, ...], Field(description="layers of the style; by default the network's usual")] = ()
    pooling: Annotated[Pooling, Field(description="how maps are made smaller")] = "max"
    steps: Annotated[
        int | None, Field(ge=0, le=100_000, description="steps at the smallest size; fewer at each larger one")
    ] = None
    # Of the multi-scale loss, 200 steps of Adam at 256 px left a ninth more than as many of L-BFGS.
    optimizer: Annotated[Optimizer, Field(description="L-BFGS, or Adam with an average of the pictures")] = "lbfgs"
    lr: Annotated[
        float | None, Field(gt=0, le=1, description="learning rate of Adam: how far a pixel may move in a step; 0.05")
    ] = None
    tile: Annotated[
        int | None, Field(ge=16, description="side of a tile in pixels; by default the whole where it is small enough")
    ] = None
    scramble: Annotated[bool, Field(description="the control: correlations between the wrong maps")] = False

    @model_validator(mode="after")
    def _only_adam_has_a_rate(self) -> Self:
        if self.lr is not None and self.optimizer == "lbfgs":
            raise ValueError("a learning rate is Adam's, and L-BFGS finds its own steps; add --optimizer adam, or give none")
        return self

    @property
    def rate(self) -> float:
        """The learning rate: of L-BFGS 1, a whole step."""
        # crowsonkb/style-transfer-pytorch has 0.02. At 128 px and 150 steps 0.04 left an eighth and two fifths less of its
        # loss on two pairs of pictures, 0.05 about as much; 0.1 was no better than 0.02.
        return 1.0 if self.optimizer == "lbfgs" else self.lr or 0.05

    @property
    def defaults(self) -> Preset:
        """What the preset's name stands for."""
        return PRESETS[self.preset]


class PaintRecipe(StyleRecipe):
    """What it takes to paint a content, of a picture or of a clip."""

    content: Annotated[
        str, Names("picture"), Field(description="what to paint again: a picture's file, a sample's name, or a clip")
    ]
    masks: Annotated[
        tuple[str, ...],
        Names("picture"),
        Field(max_length=16, description="where each style goes: one grey picture for each style"),
    ] = ()
    content_weight: Annotated[float | None, Field(ge=0, description="weight of the content; by default the preset's")] = None
    content_loss: Annotated[ContentLoss, Field(description="what of the content is kept")] = "features"
    content_layers: Annotated[
        tuple[str, ...], Field(description="layers of the content; by default the network's usual")
    ] = ()
    padding: Annotated[
        Border, Field(description="around the maps: their border again, in the first layer alone, or zeros everywhere")
    ] = "replicate"
    init: Annotated[
        str,
        Names("picture", ("content", "noise", "style")),
        Field(description="content, noise, style, or a picture to start from"),
    ] = "content"
    color: Annotated[
        Colour, Field(description="colours: the style's, the content's (matched before), or its chroma (put back after)")
    ] = "style"


class StylizeRecipe(PaintRecipe):
    """The content of one picture in the style of others."""

    technique: Literal["stylize"] = "stylize"


class StylizeClipRecipe(PaintRecipe):
    """A clip in the style of pictures, each frame beside the one before it; `size`, `steps` and the rest are for each."""

    technique: Literal["stylize-clip"] = "stylize-clip"
    temporal_weight: Annotated[
        float | None,
        Field(ge=0, description="weight of the frame before, where motion is known; by default the preset's"),
    ] = None
    warm_start: Annotated[
        bool, Field(description="each frame starts as the one before it, moved; otherwise as the first one does")
    ] = True
    frames: Annotated[int | None, Field(ge=2, le=100_000, description="at most this many frames, from the first on")] = None

    def digests(self) -> dict[str, str]:
        """The SHA-256 of the clip, a file or a folder of frames, and of the pictures."""
        pictures_of = [name for name in self.inputs() if name != self.content]
        return {self.content: clip_digest(self.content), **{name: pictures.digest(name) for name in pictures_of}}


class TextureRecipe(StyleRecipe):
    """More of a texture, at any size."""

    technique: Literal["texture"] = "texture"
    tileable: Annotated[bool, Field(description="left goes on at right, top at bottom")] = False
