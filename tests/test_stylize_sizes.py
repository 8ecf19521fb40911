"""The sizes that a picture is painted through: how they rise, what they ask for, and odd or large ones."""

from pathlib import Path

import pytest
import tiny
import torch

from lanterna import pictures
from lanterna.errors import InputError
from lanterna.events import Event, Preview
from lanterna.techniques import stylize
from lanterna.techniques.paint import Sketch
from lanterna.techniques.studio import Studio, styles_at
from lanterna.techniques.style_layers import default_layers
from lanterna.techniques.style_recipe import StylizeRecipe, TextureRecipe

# Maps this small are slower in two threads.
pytestmark = pytest.mark.usefixtures("one_thread")


NETWORK = tiny.make_vgg()


def recipe(**fields: object) -> StylizeRecipe:
    return StylizeRecipe.model_validate({"content": "chelsea", "styles": ("coffee",), "size": "48", "steps": 12, **fields})


def test_sizes_rise_by_the_root_of_two_and_steps_fall() -> None:
    sizes, steps = stylize.scales_for((384, 512), 100, fewer=0.7)
    assert sizes == [(96, 128), (136, 182), (192, 256), (272, 362), (384, 512)]
    assert steps == [100, 70, 49, 34, 24]
    assert stylize.scales_for((40, 48), 7) == ([(40, 48)], [7])


def test_content_weighs_more_at_small_sizes_and_what_was_asked_for_at_the_last() -> None:
    picture = pictures.load("chelsea", size=512)
    size = (picture.shape[2], picture.shape[3])
    made = recipe(size="512", content_weight=0.01, style_weight=0.0)
    studio = Studio(made, NETWORK, default_layers(NETWORK), [picture], [1.0], picture, [], False, size)
    sizes, _ = stylize.scales_for(size, 1)
    weights = [studio.scale(size, 1).terms[0].weight for size in sizes]
    assert weights == pytest.approx([0.08, 0.08, 0.08, 0.04, 0.01], rel=0.02)


def test_gatys_has_one_weight_of_the_content() -> None:
    picture = pictures.load("chelsea", size=96)
    made = recipe(size="96", preset="gatys", style_weight=0.0)
    studio = Studio(made, NETWORK, default_layers(NETWORK), [picture], [1.0], picture, [], False, (64, 96))
    assert [studio.scale(size, 1).terms[0].weight for size in ((32, 48), (64, 96))] == [5.0, 5.0]


def test_a_style_smaller_than_the_result_is_painted_at_every_size(tmp_path: Path) -> None:
    file = tmp_path / "small.png"
    pictures.save(pictures.load("coffee", size=200), file)
    recipe = stylize.StylizeRecipe(content="chelsea", styles=(str(file),), size="768")
    shown = [styles_at(recipe, [pictures.load(file)], (512, 768), size)[0].shape[3] for size in ((85, 128), (341, 512))]
    assert shown == [128, 200]


def test_a_texture_smaller_than_the_result_begins_where_something_of_it_is_left() -> None:
    recipe = stylize.TextureRecipe(styles=("gravel",), size="1024")
    texture = torch.rand(1, 3, 256, 256)
    smallest = stylize.smallest_for(recipe, [texture], (1024, 1024))
    sizes, _ = stylize.scales_for((1024, 1024), 10, smallest=smallest)
    begun = styles_at(recipe, [texture], (1024, 1024), sizes[0])[0]
    assert len(sizes) > 1 and 100 <= begun.shape[2] <= 180


def test_a_large_picture_is_not_looked_at_as_a_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mask = str(pictures.save(torch.ones(1, 3, 60, 60), tmp_path / "mask.png"))
    largest = 0
    forward = torch.nn.functional.conv2d

    def seen(given: torch.Tensor, *rest: object, **more: object) -> torch.Tensor:
        nonlocal largest
        # Of the network: the mask's edge is softened by a convolution too.
        largest = max(largest, given.shape[2] * given.shape[3] if given.shape[1] > 1 else 0)
        return forward(given, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "conv2d", seen)
    stylize.run(recipe(size="300x300", tile=96, steps=1, masks=(mask,)), NETWORK)
    assert 0 < largest <= 100 * 100


def test_odd_sides_are_not_tileable() -> None:
    with pytest.raises(InputError, match="nearest is 64x64"):
        stylize.run(TextureRecipe(styles=("gravel",), size="63", tileable=True), NETWORK)


@pytest.mark.parametrize("preset", ["multiscale", "gatys"])
def test_odd_sides_are_painted_as_even_ones_and_cut(preset: str) -> None:
    painted, seen = set(), []

    def keep(sketch: Sketch) -> None:
        painted.add(tuple(sketch.picture.shape[2:]))

    def listen(event: Event) -> None:
        if isinstance(event, Preview):
            seen.append(tuple(event.pictures.shape[2:]))

    made = recipe(size="121x181", steps=2, preset=preset, color="luminance")
    result = stylize.run(made, NETWORK, listen, keep=keep, preview_every=2)
    assert painted == {(86, 130), (122, 182)}
    assert tuple(result.picture.shape) == (1, 3, 121, 181) and seen[-1] == result.sizes[-1] == (121, 181)
