"""A picture's record is data: what it names is refused or is what it was, and any JSON in it gives one line."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from strangers import EVIL, png, record

from lanterna import pictures
from lanterna.autoencode.recipe import AutoencodeRecipe
from lanterna.cli.replay import TECHNIQUES
from lanterna.errors import PictureError
from lanterna.outside import Vouched, admit
from lanterna.recipe import Names, Recipe
from lanterna.report.tour import TourRecipe
from lanterna.techniques.style_distance import StyleDistanceRecipe
from lanterna.techniques.style_recipe import StylizeClipRecipe, StylizeRecipe
from lanterna.techniques.visualize import VisualizeRecipe
from lanterna.techniques.zoom import ZoomRecipe

Run = Callable[..., SimpleNamespace]
LITE0 = "efficientnet_lite0"


@pytest.fixture
def evil(folder: Path) -> Path:
    """The current folder, with a module in it that leaves a mark when it is imported or called."""
    (folder / "evil.py").write_text(EVIL)
    return folder


# A network, or a field, that a stranger's record may not have loaded, and the words of the refusal.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    (record("python:evil:make"), ["python:evil:make", "code"]),
    (record("python:os:abort"), ["python:os:abort", "code"]),
    (record("python:evil"), ["code"]),
    (record("file:evil.py"), ["file:evil.py"]),
    (record("file:/etc/passwd"), ["file:/etc/passwd"]),
    (record("hf-hub:stranger/weights"), ["hf-hub:stranger/weights", "downloaded"]),
    (record("hf-hub:a/b@../../../../../.."), ["downloaded"]),
    (record("torchvision:resnet18"), ["torchvision:resnet18", "downloaded"]),
    (record("torchvision:resnet18@IMAGENET1K_V1"), ["downloaded"]),
    (record("timm:vit_giant_patch14_clip_224@none"), ["untrained"]),
    (record("torchvision:vit_h_14@random"), ["untrained"]),
    (record("timm:resnet18"), ["timm:resnet18", "downloaded"]),
    (record(start="/etc/hostname"), ["/etc/hostname", "no hash"]),
    (record(start="../secret.png"), ["../secret.png"]),
    (record(start="pipe.png"), ["pipe.png"]),
    (record(technique="invert", layers=["bn1"], picture="coffee", judge="python:evil:make"), ["python:evil:make", "code"]),
    (record(technique="invert", layers=["bn1"], picture="/etc/hostname"), ["/etc/hostname"]),
    (record(technique="fool", picture="coffee", second="python:evil:make"), ["python:evil:make", "code"]),
    (record(technique="fool-noise", classes=["0"], second="python:evil:make"), ["python:evil:make", "code"]),
    (record(technique="dream", picture="/etc/hostname"), ["/etc/hostname"]),
    (record(technique="dream", picture="coffee", guide="/etc/hostname"), ["/etc/hostname"]),
    (record(technique="dream", picture="coffee", mask="/etc/hostname"), ["/etc/hostname"]),
    (record(technique="stylize", content="/etc/hostname", styles=["coffee"]), ["/etc/hostname"]),
    (record(technique="stylize", content="coffee", styles=["/etc/hostname"]), ["/etc/hostname"]),
    (record(technique="stylize", content="coffee", styles=["coffee"], init="/etc/hostname"), ["/etc/hostname"]),
    (record(technique="stylize", content="coffee", styles=["coffee"], masks=["/etc/hostname"]), ["/etc/hostname"]),
    (record(technique="texture", styles=["/etc/hostname"]), ["/etc/hostname"]),
    (record(technique="patterns", units=["bn1:0"], data="folder:/etc"), ["folder:/etc"]),
    (record(technique="patterns", units=["bn1:0"], data="folder:."), ["folder:."]),
    (record(technique="patterns", units=["bn1:0"], data="torchvision:CIFAR10"), ["torchvision:CIFAR10", "downloaded"]),
    (record(None, technique="manifold", data="folder:/etc"), ["folder:/etc"]),
    (record(None, technique="autoencode", data="torchvision:CIFAR10"), ["downloaded"]),
]

# Records that are broken, and the words of the line.
BROKEN: list[tuple[object, list[str]]] = [
    (None, ["not a JSON object"]),
    ([], ["not a JSON object"]),
    ("x", ["not a JSON object"]),
    ({}, ["technique"]),
    ({"recipe": None}, ["technique"]),
    ({"recipe": {"technique": ["visualize"]}}, ["technique"]),
    ({"recipe": {"technique": "x" * 100_000}}, ["technique"]),
    ({"recipe": {"technique": "visualize"}}, ["'network' is missing"]),
    (record(None), ["needs one", "--network"]),
    (record({}), ["network.source"]),
    (record({"source": None}), ["network.source"]),
    (record({"source": 7}), ["network.source"]),
    (record({"source": "no such network"}), ["no such network"]),
    (record({"source": ""}), [""]),
    (record({"source": LITE0, "weights_sha256": 7}), ["weights_sha256"]),
    (record({"source": LITE0, "weights_sha256": "0" * 64}), ["weights", "--trust"]),
    (record(steps="many"), ["steps"]),
    (record(steps=-1), ["steps"]),
    (record(steps=10**400), ["steps"]),
    (record(surplus=1), ["surplus"]),
    (record(units=[]), ["units"]),
    (record(units=["logits:0"] * 5000), ["units"]),
    (record(units=["logits:" + "9" * 5000]), ["units"]),
    (record(seed=True) | {"inputs": []}, ["inputs"]),
    (record() | {"inputs": {"coffee": 3}}, ["inputs"]),
    (record() | {"options": []}, ["options"]),
    (record() | {"options": {"strip": "perhaps"}}, ["options.strip"]),
    (record() | {"threads": "all"}, ["threads"]),
    (record() | {"single": -1}, ["single"]),
    (record() | {"single": "first"}, ["single"]),
    (record() | {"stopped_after": {}}, ["stopped_after"]),
    (record() | {"versions": [1]}, ["versions"]),
    (record() | {"frame": 3}, ["single frame"]),
    (record(technique="stylize-clip", content="x", styles=["coffee"]), ["single frame"]),
    (record(start="coffee"), ["coffee", "no hash"]),
    (record(start="coffee") | {"inputs": {"coffee": "0" * 64}}, ["coffee", "not the file"]),
]


@pytest.mark.parametrize("trusting", [False, True], ids=["", "quiet"])
@pytest.mark.parametrize(("content", "words"), REFUSED, ids=[json.dumps(content)[:90] for content, _ in REFUSED])
def test_what_a_record_names_is_refused(
    lanterna: Run, evil: Path, content: dict[str, Any], words: list[str], trusting: bool
) -> None:
    png(evil / "picture.png", content)
    before = sorted(evil.iterdir())
    result = lanterna("replay", "picture.png", *(["--quiet"] if trusting else []))
    assert result.code == 2 and result.out == "", result.err
    assert "Traceback" not in result.err
    for word in [*words, "--trust"]:
        assert word in result.err.splitlines()[-1], result.err
    assert sorted(evil.iterdir()) == before, "no mark, no output"


@pytest.mark.parametrize(("content", "words"), BROKEN, ids=[json.dumps(content)[:90] for content, _ in BROKEN])
def test_a_broken_record_is_one_line(lanterna: Run, evil: Path, content: object, words: list[str]) -> None:
    png(evil / "picture.png", raw=json.dumps(content))
    before = sorted(evil.iterdir())
    result = lanterna("replay", "picture.png", "--quiet")
    assert result.code == 2 and result.out == "", result.err
    assert len(result.err.splitlines()) == 1 and len(result.err) < 2000, result.err
    for word in words:
        assert word in result.err, result.err
    assert sorted(evil.iterdir()) == before


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nan", '{"a": 1e999}', '{"recipe": ' * 5000, ""])
def test_a_record_that_is_no_json(lanterna: Run, folder: Path, text: str) -> None:
    png(folder / "picture.png", raw=text)
    result = lanterna("replay", "picture.png", "--quiet")
    assert result.code == 2 and len(result.err.splitlines()) == 1 and "Traceback" not in result.err


def test_the_mark_works(evil: Path, lanterna: Run) -> None:
    # Where the user vouches for it the code is run: so the tests above would see it.
    png(evil / "picture.png", record("python:evil:make"))
    lanterna("replay", "picture.png", "--trust")
    assert (evil / "MARK").exists()


def test_says_first_what_it_would_load(lanterna: Run, folder: Path) -> None:
    Image.effect_noise((32, 32), 40).convert("RGB").save(folder / "mine.png")
    made = lanterna("visualize", LITE0, "bn1:0", "--from", "mine.png", "--steps", "1", "--size", "32", "--out", "a.png")
    assert made.code == 0
    result = lanterna("replay", "a.png", "--out", "b.png")
    said = result.err.splitlines()
    weights = pictures.read_recipe("a.png")["network"]["weights_sha256"][:12]
    assert result.code == 0 and said[0].startswith("a.png: visualize")
    assert f"network '{LITE0}', weights '{weights}'" in said[1] and "'mine.png'" in said[2] and said[2].endswith("here")
    with Image.open("a.png") as first, Image.open("b.png") as again:
        assert np.array_equal(np.asarray(first), np.asarray(again))


def test_pictures_are_found_by_their_hash(lanterna: Run, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Image.effect_noise((32, 32), 40).convert("RGB").save(elsewhere / "mine.png")
    command = ["visualize", LITE0, "bn1:0", "--from", str(elsewhere / "mine.png"), "--steps", "1", "--size", "32"]
    assert lanterna(*command, "--out", "a.png").code == 0
    refused = lanterna("replay", "a.png", "--out", "b.png")
    assert refused.code == 2 and "--picture PATH" in refused.err and not (folder / "b.png").exists()
    # The user's own, wherever it lies.
    assert lanterna("replay", "a.png", "--out", "b.png", "--picture", str(elsewhere / "mine.png")).code == 0
    # Beside the picture that has the record, or in the current folder.
    (folder / "mine.png").write_bytes((elsewhere / "mine.png").read_bytes())
    assert lanterna("replay", "a.png", "--out", "c.png").code == 0
    assert (folder / "b.png").exists() and (folder / "c.png").exists()
    # Another one of that name is not it.
    Image.new("RGB", (32, 32)).save(folder / "mine.png")
    changed = lanterna("replay", "a.png", "--out", "d.png")
    assert changed.code == 2 and "not the file that was recorded" in changed.err
    # A link that leads out of the folder is not followed, not even to the right one.
    (folder / "mine.png").unlink()
    (folder / "linked").mkdir()
    (folder / "linked" / "mine.png").symlink_to(elsewhere / "mine.png")
    (folder / "linked" / "a.png").write_bytes((folder / "a.png").read_bytes())
    assert lanterna("replay", "linked/a.png", "--out", "d.png").code == 2


def test_a_network_of_ones_own(lanterna: Run, folder: Path) -> None:
    png(folder / "picture.png", record("python:evil:make", units=["conv1:0"]))
    result = lanterna("replay", "picture.png", "--network", "python:tiny:make", "--out", "again.png")
    assert result.code == 0 and "weights of tiny are not those" in result.err
    many = lanterna("replay", "picture.png", "--network", "python:tiny:make", "--picture", "coffee")
    assert many.code == 2 and "names 0" in many.err


RECIPES: list[type[Recipe]] = [
    *{technique.recipe for technique in TECHNIQUES.values()}, TourRecipe, StyleDistanceRecipe, StylizeClipRecipe, ZoomRecipe,
]  # fmt: skip
# Texts that name nothing outside the recipe: units, layers, sizes, classes.
HARMLESS = {
    "units", "layers", "size", "channels", "region", "spread_at", "classes", "epsilon", "target", "style_layers",
    "content_layers", "parts", "chapters", "pictures", "language",
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
def test_every_field_that_names_something_is_marked(recipe: type[Recipe]) -> None:
    # A new text field is either marked by `Names`, and so looked at, or listed here as harmless.
    for name, field in recipe.model_fields.items():
        free = str(field.annotation).replace("typing.", "")
        marked = any(isinstance(mark, Names) for mark in field.metadata)
        if "str" in free and "Literal" not in free:
            assert marked != (name in HARMLESS), f"{recipe.__name__}.{name}: mark it with Names, or list it as harmless"


def test_nothing_is_trusted_over_http() -> None:
    # As a server calls it: no folders, nothing vouched for.
    for content in (
        VisualizeRecipe(units=("bn1:0",), start="/etc/hostname"),
        StylizeRecipe(content="/etc/hostname", styles=("coffee",)),
        AutoencodeRecipe(data="folder:/etc"),
    ):
        assert admit(content).refused
    assert not admit(VisualizeRecipe(units=("bn1:0",), start="coffee")).refused
    assert not admit(VisualizeRecipe(units=("bn1:0",), start="/etc/hostname"), vouched=Vouched(everything=True)).refused


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("python:os:abort"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PARTS = [
    "recipe",
    "network",
    "versions",
    "threads",
    "device",
    "inputs",
    "options",
    "stopped_after",
    "single",
    "page",
    "figure",
]
FIELDS = sorted({name for technique in TECHNIQUES.values() for name in technique.recipe.model_fields})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.dictionaries(st.sampled_from(PARTS) | st.text(max_size=6), JSON, max_size=4),
    technique=st.sampled_from(sorted(TECHNIQUES)),
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
    source=st.sampled_from(["python:evil:make", "file:evil.py", "hf-hub:a/b", "timm:resnet18", "", "é:è"]),
)
def test_any_json_gives_one_line(
    lanterna: Run, evil: Path, parts: dict[str, Any], technique: str, fields: dict[str, Any], source: str
) -> None:
    content = record(source, technique) | parts
    if isinstance(content["recipe"], dict):
        content["recipe"] = content["recipe"] | fields
    png(evil / "picture.png", content)
    before = sorted(evil.iterdir())
    result = lanterna("replay", "picture.png", "--quiet")
    assert result.code in (2, 4), result.err
    lines = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert "Traceback" not in result.err and len(lines) == 1, result.err
    assert sorted(evil.iterdir()) == before


@settings(max_examples=150, deadline=None)
@given(technique=st.sampled_from(sorted(TECHNIQUES)), fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_recipe_is_refused_or_valid(technique: str, fields: dict[str, Any]) -> None:
    kind = TECHNIQUES[technique].recipe
    try:
        made = kind.model_validate({"technique": technique, **fields})
    except ValueError:
        return
    # What is valid can be written down, and read again as the same.
    assert kind.model_validate_json(made.model_dump_json()) == made


WHOLE = Path(pictures.sample("coffee")).read_bytes()[:20_000]


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 19_999), change=st.binary(min_size=1, max_size=40), cut=st.integers(1, 20_000))
def test_broken_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, place: int, change: bytes, cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.png"
    path.write_bytes((WHOLE[:place] + change + WHOLE[place + len(change) :])[:cut])
    for read in (pictures.load, pictures.read_recipe):
        with pytest.raises(PictureError):
            read(path)
