"""The content of one picture in the style of another.

Style is the correlation between the maps of a layer, content the maps themselves: Gatys, Ecker and Bethge, "Image Style
Transfer Using Convolutional Neural Networks", CVPR 2016. Coarse to fine after crowsonkb/style-transfer-pytorch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.averaged import resized
from lanterna.bounds import check_reach
from lanterna.errors import InputError
from lanterna.events import Event, Listener, Preview
from lanterna.networks.adapt import Padding, adapted
from lanterna.networks.network import Network
from lanterna.pictures.colour import match_colours, with_colours_of
from lanterna.techniques.masks import load_mask, with_rest_of
from lanterna.techniques.paint import Painted, Scale, Size, Sketch, paint
from lanterna.techniques.studio import WHOLE, Studio, styles_at
from lanterna.techniques.style_layers import StyleLayers, default_layers
from lanterna.techniques.style_recipe import PaintRecipe, StyleRecipe, StylizeRecipe, TextureRecipe

__all__ = [
    "StylizeRecipe",
    "Stylized",
    "TextureRecipe",
    "blend_of",
    "check_masks",
    "check_weights",
    "even",
    "losses_of",
    "noise_start",
    "parse_sides",
    "prepare",
    "run",
    "scales_for",
    "smallest_for",
]

# crowsonkb/style-transfer-pytorch: sizes rise by the root of two, from 128.
_RATIO, _SMALLEST = 2**0.5, 128
# Steps that every size has at least, if there are so many.
_LEAST = 20


@dataclass(frozen=True)
class Stylized:
    """A painted picture (1, 3, H, W) in [0, 1] and how far it got.

    `losses` has, by term, the loss of the saved picture at its full size (where a side is odd, before it was cut);
    `start_losses` that of the start. `steps` of each of `sizes`; `trace` the whole loss of each step.
    """

    recipe: StyleRecipe
    picture: Tensor
    sizes: tuple[Size, ...]
    steps: tuple[int, ...]
    losses: dict[str, float]
    start_losses: dict[str, float]
    trace: Tensor
    stopped: bool

    def _repr_html_(self) -> str:
        return pictures_io.to_html(self.picture, f"painted in the style of {', '.join(self.recipe.styles)}")


def parse_sides(text: str, ratio: float) -> Size:
    """(height, width) from HEIGHTxWIDTH, or from a longer side and the ratio height / width."""
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise InputError(f"size {text!r} is not a size; give the longer side in pixels such as 512, or HEIGHTxWIDTH")
    if len(parts) == 2:
        return int(parts[0]), int(parts[1])
    side = int(text)
    return (side, max(1, round(side / ratio))) if ratio > 1 else (max(1, round(side * ratio)), side)


def even(size: Size) -> Size:
    """The next size with even sides: the last line of an odd one is pooled with nothing beside it, and fills with dots."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def _extended(picture: Tensor, size: Size) -> Tensor:
    """The picture, its last lines repeated up to `size`."""
    more = (0, size[1] - picture.shape[3], 0, size[0] - picture.shape[2])
    return torch.nn.functional.pad(picture, more, "replicate")


def scales_for(size: Size, first: int, *, fewer: float = 1.0, smallest: float = _SMALLEST) -> tuple[list[Size], list[int]]:
    """The sizes up to `size`, smallest first and its longer side about `smallest`, and the steps of each, `fewer` by that."""
    sizes = [size]
    while max(sizes[-1]) / _RATIO > smallest * 0.85:
        factor = _RATIO ** -len(sizes)
        sizes.append(even((max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))))
    sizes.reverse()
    steps = [min(first, max(_LEAST, round(first * fewer**i))) for i in range(len(sizes))]
    return sizes, steps


def smallest_for(recipe: StyleRecipe, styles: list[Tensor], size: Size) -> float:
    """The longer side to begin with: larger for a texture that is small beside the result, which would shrink to nothing."""
    if not isinstance(recipe, TextureRecipe):
        return _SMALLEST
    shown = min(max(style.shape[2:]) for style in styles) * min(recipe.style_scale, 1.0)
    return _SMALLEST * max(1.0, max(size) / shown)


def blend_of(recipe: StyleRecipe) -> list[float]:
    """The share of each style; they sum to 1. Raises InputError."""
    weights = recipe.style_blend_weights or (1.0,) * len(recipe.styles)
    if len(weights) != len(recipe.styles):
        raise InputError(
            f"{len(weights)} --style-blend-weights for {len(recipe.styles)} styles; give one for each, such as "
            + ",".join("1" for _ in recipe.styles)
        )
    if not sum(weights):
        raise InputError(f"--style-blend-weights {','.join(f'{w:g}' for w in weights)} are all 0; at least one must be above")
    return [weight / sum(weights) for weight in weights]


def _checked(network: Network, recipe: StyleRecipe, size: Size) -> StyleLayers:
    """The layers, all of them there and with maps."""
    usual = default_layers(network)
    content = recipe.content_layers if isinstance(recipe, PaintRecipe) else ()
    layers = StyleLayers(recipe.style_layers or usual.style, content or usual.content)
    for name in (*layers.style, *layers.content):
        layer = network.layer(name)
        if len(layer.shape) != 3:
            raise InputError(f"layer {name!r} of {network.name} is no map, so it has no style; choose an earlier one")
    if recipe.tile is not None or size[0] * size[1] > WHOLE:
        # What takes twice its own size takes a larger one; trying that would cost more memory than painting it in tiles.
        most = 2 * max(network.input_size)
        size = min(size[0], most), min(size[1], most)
    network.check_size(size, [*layers.style, *layers.content])
    return layers


def _check_style(network: Network, name: str, picture: Tensor, layers: StyleLayers) -> None:
    deepest = max(layers.style, key=lambda layer: (network.layer(layer).stride or (32.0, 32.0))[0])
    stride = (network.layer(deepest).stride or (32.0, 32.0))[0]
    if min(picture.shape[2:]) < 2 * stride:
        height, width = picture.shape[2:]
        raise InputError(
            f"the style {name!r} is {height}x{width} at this size, too small for layer {deepest!r} with a position "
            f"every {stride:g} px; give a larger picture, --style-scale, or earlier --style-layers"
        )


def check_masks(recipe: PaintRecipe) -> None:
    """Raise InputError where a mask does not fit, before a network is loaded for it."""
    if recipe.masks:
        content = pictures_io.load(recipe.content)
        _masks(recipe, parse_sides(recipe.size, content.shape[2] / content.shape[3]))


def _masks(recipe: PaintRecipe, size: Size) -> list[Tensor]:
    if recipe.masks and len(recipe.masks) != len(recipe.styles):
        raise InputError(f"{len(recipe.masks)} masks for {len(recipe.styles)} styles; give one for each style, or none")
    return [load_mask(name, size) for name in recipe.masks]


def noise_start(recipe: StyleRecipe, styles: list[Tensor], size: Size) -> Tensor:
    """Normal noise with the mean and half the deviation of the first style's colours, (1, 3, H, W) in [0, 1].

    It has the smallest of the sizes that lead to `size`: enlarged it would be another noise, a smooth one.
    """
    sizes, _ = scales_for(size, 1, smallest=smallest_for(recipe, styles, size))
    generator = torch.Generator().manual_seed(recipe.seed)
    flat = styles[0][0].flatten(1)
    noise = torch.randn((1, 3, *sizes[0]), generator=generator)
    return (flat.mean(1).view(1, 3, 1, 1) + 0.5 * flat.std(1).view(1, 3, 1, 1) * noise).clamp(0, 1)


def losses_of(studio: Studio, picture: Tensor, scale: Scale) -> dict[str, float]:
    """The loss of each term for the picture, at the scale's size; without its weight."""
    tiling = scale.tiling
    with studio.network.reading(sorted({term.layer for term in scale.terms})) as read, torch.no_grad():
        given = picture.to(studio.network.device)
        if tiling is None:
            features = read(given)
            return {term.name: float(term(features[term.layer])) for term in scale.terms}
        totals: list[tuple[Tensor, ...]] = []
        for piece in tiling.pieces(read, given):
            found = [term.summarise(*piece[term.layer]) for term in scale.terms]
            totals = [tuple(map(torch.add, a, b)) for a, b in zip(totals, found, strict=True)] if totals else found
        return {term.name: float(term.score(total)) for term, total in zip(scale.terms, totals, strict=True)}


def _paint(
    studio: Studio,
    start: Tensor,
    size: Size,
    *,
    on_event: Listener | None,
    keep: Callable[[Sketch], None] | None,
    keep_every: int,
    resume: Sketch | None,
    preview_every: int,
) -> tuple[Painted, list[Size], dict[str, float], dict[str, float]]:
    recipe = studio.recipe
    preset = recipe.defaults
    first = preset.steps if recipe.steps is None else recipe.steps
    smallest = smallest_for(recipe, studio.styles, size)
    sizes, steps = scales_for(size, first, fewer=preset.fewer, smallest=smallest)
    last: list[Scale] = []

    def scale_at(at: Size, count: int) -> Scale:
        made = studio.scale(at, count)
        if at == size:
            last.append(made)
        return made

    sketch = resume or Sketch(0, 0, resized(start, sizes[0]).clamp(0, 1), {})
    painted = paint(
        studio.network, sizes, steps, scale_at, sketch, lr=recipe.rate, optimizer=recipe.optimizer, keep=keep,
        keep_every=keep_every, preview_every=preview_every, on_event=on_event,
    )  # fmt: skip
    whole = last[0] if last else studio.scale(size, 0)
    final = resized(painted.picture, size).clamp(0, 1)
    if studio.content is not None:
        final = with_rest_of(final, studio.content, studio.masks)
    final = (final * 255).round() / 255
    begun = resized(start, size).clamp(0, 1)
    return (
        Painted(final, painted.trace, painted.steps, painted.stopped),
        sizes,
        losses_of(studio, final, whole),
        losses_of(studio, begun, whole),
    )


def run(
    recipe: StylizeRecipe | TextureRecipe,
    network: Network,
    on_event: Listener | None = None,
    *,
    keep: Callable[[Sketch], None] | None = None,
    keep_every: int = 1,
    resume: Sketch | None = None,
    preview_every: int = 0,
) -> Stylized:
    """Paint the recipe's content in its styles, or more of the texture of its pictures from noise.

    `keep` is given a sketch after every `keep_every` steps, from which `resume` goes on. Raises InputError before anything is
    computed, and LanternaError where a loss is not finite.
    """
    studio, start, (height, width) = (
        _texture(recipe, network) if isinstance(recipe, TextureRecipe) else _painting(recipe, network)
    )

    def listen(event: Event) -> Literal["stop"] | None:
        if isinstance(event, Preview) and tuple(event.pictures.shape[2:]) == studio.size:
            event = Preview(event.step, event.steps, event.pictures[..., :height, :width])
        return None if on_event is None else on_event(event)

    painted, sizes, losses, begun = _paint(
        studio, start, studio.size, on_event=listen, keep=keep, keep_every=keep_every, resume=resume,
        preview_every=preview_every,
    )  # fmt: skip
    picture = painted.picture
    if studio.content is not None and isinstance(recipe, StylizeRecipe) and recipe.color == "luminance":
        picture = with_rest_of(with_colours_of(picture, studio.content), studio.content, studio.masks)
    picture, sizes = picture[..., :height, :width], [*sizes[:-1], (height, width)]
    return Stylized(recipe, picture, tuple(sizes), painted.steps, losses, begun, painted.trace, painted.stopped)


def check_weights(studio: Studio) -> None:
    """Raise InputError where nothing is asked of the picture."""
    if not (studio.weight("content") or studio.weight("style")):
        raise InputError("--content-weight and --style-weight are both 0, so there is nothing to paint; give one above 0")


def _painting(recipe: StylizeRecipe, network: Network) -> tuple[Studio, Tensor, Size]:
    """What paints the content, what it is painted on, and the size that was asked for."""
    content = pictures_io.load(recipe.content, reduced=True)
    asked = parse_sides(recipe.size, content.shape[2] / content.shape[3])
    size = even(asked)
    check_reach(network, size, steps=recipe.steps or 0, tiled=True)
    content = _extended(pictures_io.load(recipe.content, size=asked), size)
    styles = [pictures_io.load(style, reduced=True) for style in recipe.styles]
    blend, masks = blend_of(recipe), _masks(recipe, asked)
    given = None
    if recipe.init not in ("content", "noise", "style"):
        given = _extended(pictures_io.load(recipe.init, size=asked), size)
    layers = prepare(recipe, network, styles, size)
    if recipe.color == "content":
        styles = [match_colours(style, content) for style in styles]
    painter = adapted(network, pooling=recipe.pooling, padding=recipe.padding)
    studio = Studio(recipe, painter, layers, styles, blend, content, masks, False, size)
    check_weights(studio)
    if recipe.init == "noise":
        return studio, noise_start(recipe, styles, size), asked
    if recipe.init == "style":
        return studio, resized(styles[0], size).clamp(0, 1), asked
    return studio, content if given is None else given, asked


def prepare(recipe: StyleRecipe, network: Network, styles: list[Tensor], size: Size) -> StyleLayers:
    """The layers to match, for a result of `size` (height, width). Raises InputError where network or styles don't fit."""
    if network.channels != 3:
        raise InputError(
            f"{network.name} takes {network.channels} channels; painting needs a network that takes 3, such as vgg16_hed"
        )
    layers = _checked(network, recipe, size)
    begun = smallest_for(recipe, styles, size)
    sizes, _ = scales_for(size, 1, smallest=begun)
    for name, style in zip(recipe.styles, styles_at(recipe, styles, size, sizes[0]), strict=True):
        _check_style(network, name, style, layers)
    return layers


def _texture(recipe: TextureRecipe, network: Network) -> tuple[Studio, Tensor, Size]:
    """What makes more of the texture, the noise that it starts from, and the size that was asked for."""
    styles = [pictures_io.load(style, reduced=True) for style in recipe.styles]
    asked = parse_sides(recipe.size, 1.0)
    size = even(asked)
    check_reach(network, size, steps=recipe.steps or 0, tiled=True)
    blend = blend_of(recipe)
    layers = prepare(recipe, network, styles, size)
    padding: Padding = "circular" if recipe.tileable else "replicate"
    if recipe.tileable:
        stride = max(int((network.layer(name).stride or (32, 32))[0]) for name in layers.style)
        if any(side % stride for side in asked):
            nearest = "x".join(str(max(stride, round(side / stride) * stride)) for side in asked)
            raise InputError(
                f"--tileable needs sides that are multiples of {stride}, not {recipe.size}; nearest is {nearest}"
            )
    painter = adapted(network, pooling=recipe.pooling, padding=padding)
    reader = adapted(network, pooling=recipe.pooling)
    studio = Studio(recipe, painter, layers, styles, blend, None, [], recipe.tileable, size, reader)
    if not studio.weight("style"):
        raise InputError("--style-weight is 0, so there is nothing to make; give one above 0")
    return studio, noise_start(recipe, styles, size), asked
