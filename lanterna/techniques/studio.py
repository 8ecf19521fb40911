"""What every size of a painting asks for: its losses, made from the style's and the content's pictures at that size."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lanterna.averaged import resized
from lanterna.errors import InputError
from lanterna.moments import DISTANCES, Normalisation, gram_distance, scrambled
from lanterna.networks.network import Network
from lanterna.objectives import PICTURE, Objective
from lanterna.priors import beyond, total_variation
from lanterna.summaries import Term, Tiling, content_term, histogram_term, self_similarity_term, style_term
from lanterna.techniques.paint import Scale, Size
from lanterna.techniques.style_layers import StyleLayers, default_content_weight, style_weights
from lanterna.techniques.style_recipe import PaintRecipe, StyleRecipe, TextureRecipe
from lanterna.techniques.style_targets import features_of, guides_at, mixed, moments_of, rows_of, shrunk
from lanterna.tiles import reach_of

__all__ = ["WHOLE", "Studio", "styles_at"]

# Pixels above which a picture is gone through in tiles, and the side of a tile: 1024 x 1024 still goes whole.
WHOLE, _TILE = 1200 * 1200, 832

# How much more the content weighs at small sizes, and the power of the size's share by which that falls to 1 at the last.
# Small sizes decide what is where, and the last have time enough for the style. As much all along keeps the picture too,
# and less of the style is reached.
_LAYOUT, _LAYOUT_FALL = 8.0, 4

# How much more total variation weighs, unless it is given. Where the first convolution has a stride, a weave is left between
# the positions that it sees alike; eight times as much takes the weave and leaves the strokes (efficientnet_lite0). Of noise
# that a picture begins as, grain is left; four times as much takes it at the same style losses (vgg16_hed).
_STRIDED, _FROM_NOISE = 8.0, 4.0

# L-BFGS does not keep values in [0, 1], and much of its work would be cut off at the end: after 300 evaluations at 256 px the
# loss was 1168, that of the saved picture 3000. With this weight, on squares of 0 to 255, both are the same.
_WITHIN = 1e-3
# The same for losses that are relative, on the mean of squares of 0 to 1.
_WITHIN_RELATIVE = 10.0


def styles_at(recipe: StyleRecipe, styles: list[Tensor], whole: Size, size: Size) -> list[Tensor]:
    """The styles' pictures beside a result of `size`, when the finished one is `whole`.

    A style to paint in is as large as the result, times --style-scale, but never larger than it is; a texture is as large as
    it is, times --style-scale, when the result is finished: a larger result shows more of it.
    """
    out = []
    for style in styles:
        own = max(style.shape[2:])
        beside = own * max(size) / max(whole) if isinstance(recipe, TextureRecipe) else max(size)
        out.append(shrunk(style, min(own, beside * recipe.style_scale)))
    return out


@dataclass(frozen=True)
class Studio:
    """All that is needed to make the losses of any size. `kept` are those of the style by size: a clip needs them often.

    `reader` reads the styles, where that is not `network`: a picture that is to tile is read without border, and a style's
    picture has borders. Read as if it went on at the other side, it has a hard cut there, which is then painted everywhere.
    """

    recipe: StyleRecipe
    network: Network
    layers: StyleLayers
    styles: list[Tensor]
    blend: list[float]
    content: Tensor | None
    masks: list[Tensor]
    wrapped: bool
    size: Size
    reader: Network | None = None
    kept: dict[Size, list[Term]] = field(default_factory=dict)

    def shown(self, size: Size) -> list[Tensor]:
        """The styles as they are at one of the sizes."""
        return styles_at(self.recipe, self.styles, self.size, size)

    def __post_init__(self) -> None:
        statistic = self.recipe.statistic or self.recipe.defaults.statistic
        if statistic == "histogram" and self.masks:
            raise InputError("--statistic histogram ranks all positions, so it knows no --mask; use gram or wasserstein")
        if statistic == "histogram" and self.tiling(self.size) is not None:
            raise InputError(
                f"--statistic histogram ranks all positions at once, so {self.size[0]}x{self.size[1]} can't be had in tiles; "
                "use gram or wasserstein, or a smaller --size"
            )

    def weight(self, name: str) -> float:
        """The recipe's weight of content, style or tv; where it has none, the preset's, or of the content the network's."""
        for source in (self.recipe, self.recipe.defaults):
            weight = getattr(source, f"{name}_weight", None)
            if weight is not None:
                return float(weight)
        return default_content_weight(self.network)

    def tiling(self, size: Size) -> Tiling | None:
        """How a picture of that size is cut into tiles; None for the whole in one."""
        names = [*self.layers.style, *(self.layers.content if self.content is not None else ())]
        small = size[0] * size[1] <= WHOLE
        if self.wrapped or (self.recipe.tile is None and small) or (self.recipe.tile or 0) >= max(size):
            return None
        return Tiling(reach_of([self.network.layer(name) for name in names]), self.recipe.tile or _TILE)

    def _style(self, size: Size) -> list[Term]:
        recipe, network, layers = self.recipe, self.reader or self.network, self.layers.style
        total, preset = self.weight("style"), self.recipe.defaults
        if not total:
            return []
        shares = [1.0] * len(layers) if preset.even_layers else style_weights(len(layers))
        statistic = recipe.statistic or preset.statistic
        shown = self.shown(size)
        if statistic == "histogram":
            rows = [rows_of(network, style, layers) for style in shown]
            return [
                histogram_term(layer, found[layer], weight=total * share * part)
                for layer, share in zip(layers, shares, strict=True)
                for found, part in zip(rows, self.blend, strict=True)
                if part
            ]
        moments = [moments_of(network, style, layers, self.tiling((style.shape[2], style.shape[3]))) for style in shown]
        if recipe.scramble:
            generator = torch.Generator().manual_seed(recipe.seed)
            moments = [{layer: scrambled(found, generator) for layer, found in style.items()} for style in moments]
        distance = DISTANCES[statistic]
        if statistic == "gram" and preset.normalisation is not None:
            distance = _published(preset.normalisation)
        if not self.masks:
            together = mixed(moments, self.blend)
            return [
                style_term(layer, together[layer], distance, weight=total * share)
                for layer, share in zip(layers, shares, strict=True)
            ]
        shapes = _shapes(self.network, size, layers, self.tiling(size))
        terms = []
        for number, (style, mask, part) in enumerate(zip(moments, self.masks, self.blend, strict=True)):
            guides = guides_at(resized(mask, size).clamp(0, 1).to(network.device), shapes)
            for layer, share in zip(layers, shares, strict=True):
                # A region so small that a coarse map has none of it says nothing there.
                if part and float(guides[layer].sum()) > 0:
                    name = f"style{number + 1}({layer})"
                    weight = total * share * part
                    terms.append(style_term(layer, style[layer], distance, weight=weight, guide=guides[layer], name=name))
        return terms

    def _content(self, size: Size) -> list[Term]:
        weight = self.weight("content") if isinstance(self.recipe, PaintRecipe) else 0.0
        if self.content is None or not weight:
            return []
        layers = self.layers.content
        found = features_of(self.network, resized(self.content, size).clamp(0, 1), layers, self.tiling(size))
        part = weight / len(layers)
        if self.recipe.defaults.relative:
            part *= min(_LAYOUT, (max(self.size) / max(size)) ** _LAYOUT_FALL)
        if isinstance(self.recipe, PaintRecipe) and self.recipe.content_loss == "self_similarity":
            return [self_similarity_term(layer, found[layer], weight=part) for layer in layers]
        return [content_term(layer, found[layer], weight=part, relative=self.recipe.defaults.relative) for layer in layers]

    def scale(self, size: Size, steps: int) -> Scale:
        """The losses at `size`."""
        if size not in self.kept:
            self.kept[size] = self._style(size)
        return Scale(size, steps, [*self.kept[size], *self._content(size)], self._priors(size), self.tiling(size))

    def _roughness(self) -> float:
        """How much more smoothness this network and this start need."""
        if (self.network.layer(self.layers.style[0]).stride or (1.0, 1.0))[0] > 1:
            return _STRIDED
        recipe = self.recipe
        return _FROM_NOISE if not isinstance(recipe, PaintRecipe) or recipe.init == "noise" else 1.0

    def _priors(self, size: Size) -> list[tuple[float, Objective]]:
        weight, pixels = self.weight("tv"), size[0] * size[1]
        if not self.recipe.defaults.relative:
            # neural-style-pt: a sum over values of 0 to 255.
            return [(weight * 255 * 3 * pixels, total_variation(1)), (_WITHIN * 255**2 * 3 * pixels, beyond())]
        within = (_WITHIN_RELATIVE, beyond())
        if not weight:
            return [within]
        if self.recipe.tv_weight is None:
            weight *= self._roughness()
        smooth = total_variation(2)
        natural = sum(
            part * float(smooth({PICTURE: style})) for part, style in zip(self.blend, self.shown(size), strict=True)
        )
        # Beside that of the style: what the style itself has costs the same at every size.
        return [(weight / max(natural, 1e-6), smooth), within]


def _published(normalisation: Normalisation) -> Callable[..., Tensor]:
    return lambda found, target: gram_distance(found, target, normalisation)


def _shapes(network: Network, size: Size, layers: tuple[str, ...], tiling: Tiling | None) -> dict[str, Size]:
    """(height, width) of each layer's map, by one look at a grey picture."""
    grey = torch.full((1, 3, *size), 0.5, device=network.device)
    if tiling is None:
        return {layer: (maps.shape[2], maps.shape[3]) for layer, maps in network.capture(grey, layers).items()}
    shapes = dict.fromkeys(layers, (0, 0))
    with network.reading(list(layers)) as read:
        for piece in tiling.pieces(read, grey):
            for layer, (_, place) in piece.items():
                height, width = shapes[layer]
                shapes[layer] = max(height, place.rows.stop), max(width, place.columns.stop)
    return shapes
