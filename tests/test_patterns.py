"""Patches, projections and sheets: what is shown is what the unit saw."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna import InputError, Network, PictureError, Preprocessing, data, pictures
from lanterna.events import STOP, Event, Stepped
from lanterna.patterns.fields import Place, crop, effective, place
from lanterna.patterns.projection import Method, alike, project, randomised
from lanterna.techniques.panels import marked, shown_pattern
from lanterna.techniques.patterns import PatternsRecipe, open_data, patterns_units, run

METHODS: tuple[Method, ...] = ("deconvnet", "guided", "gradient", "gradient-input")


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of their own for the scans; with one thread, as two do nothing but wait for each other here."""
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "cache" / "scans"
    torch.set_num_threads(threads)


@pytest.fixture
def some(tmp_path: Path) -> str:
    """Six pictures in two classes, as data."""
    generator = torch.Generator().manual_seed(1)
    for i in range(6):
        folder = tmp_path / "data" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pictures.save(torch.rand((1, 3, 70, 90), generator=generator), folder / f"{i}.png")
    return f"folder:{tmp_path / 'data'}"


# -- projections -----------------------------------------------------------------------------------------------------------


class _Chain(nn.Module):
    """One pixel, one channel: x -> w1 x -> relu -> w2 -> relu -> w3, as modules or as functions."""

    def __init__(self, weights: tuple[float, float, float], functional: bool) -> None:
        super().__init__()
        for i, weight in enumerate(weights):
            conv = nn.Conv2d(1, 1, 1, bias=False)
            conv.weight.data.fill_(weight)
            setattr(self, f"conv{i}", conv)
        self.act = nn.ReLU()
        self.functional = functional

    def forward(self, x: Tensor) -> Tensor:
        rectify = torch.relu if self.functional else self.act
        x = rectify(self.conv0(x))
        x = rectify(self.conv1(x)) if not self.functional else F.relu(self.conv1(x), inplace=True)
        out: Tensor = self.conv2(x)
        return out


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        # Everything is on and every gradient positive: all methods agree.
        ((2.0, 3.0, 5.0), {"gradient": 30.0, "guided": 30.0, "deconvnet": 30.0}),
        # The last weight is negative: what comes back into the upper rectifier is, and only the gradient passes.
        ((2.0, 3.0, -5.0), {"gradient": -30.0, "guided": 0.0, "deconvnet": 0.0}),
        # The upper rectifier is off: the deconvnet does not ask, and then meets a negative one below.
        ((2.0, -3.0, 5.0), {"gradient": 0.0, "guided": 0.0, "deconvnet": 0.0}),
        # The lower rectifier is off: only the deconvnet does not ask.
        ((-2.0, 3.0, 5.0), {"gradient": 0.0, "guided": 0.0, "deconvnet": -30.0}),
    ],
)
def test_what_a_rectifier_lets_back(weights, expected, functional: bool) -> None:
    network = Network.wrap(_Chain(weights, functional), preprocessing=Preprocessing(channels=1, size=(1, 1)))
    at = torch.zeros(1, dtype=torch.long)
    for method, value in expected.items():
        found = project(network, torch.full((1, 1, 1, 1), 0.75), "logits", 0, at, at, method)
        assert float(found.pattern) == pytest.approx(value), method
    times = project(network, torch.full((1, 1, 1, 1), 0.75), "logits", 0, at, at, "gradient-input")
    assert float(times.pattern) == pytest.approx(expected["gradient"] * 0.25)


def test_maxima_go_back_to_where_they_came_from() -> None:
    network = Network.wrap(nn.MaxPool2d(2), preprocessing=Preprocessing(channels=1, size=(4, 4)))
    picture = torch.arange(16).reshape(1, 1, 4, 4) / 16
    found = project(network, picture, "logits", 0, torch.tensor([0]), torch.tensor([1]), "deconvnet")
    assert found.pattern.nonzero().tolist() == [[0, 0, 1, 3]]


def test_a_saturated_unit_still_shows_what_it_sees() -> None:
    net = nn.Sequential(nn.Conv2d(3, 1, 3), nn.ReLU6())
    net[0].weight.data.fill_(10.0)
    network = Network.wrap(net, preprocessing=Preprocessing(size=(8, 8)))
    at = torch.tensor([2])
    for method in METHODS[:3]:
        found = project(network, torch.full((1, 3, 8, 8), 0.9), "logits", 0, at, at, method)
        assert float(found.activation) == 6.0 and float(found.pattern.abs().sum()) > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_module_is_as_it_was(method: Method) -> None:
    network = tiny.network()
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    picture, at = torch.rand(1, 3, 32, 32), torch.tensor([3])
    plain = network.capture(picture, ["act2"])["act2"]
    project(network, picture, "act2", 1, at, at, method)
    assert torch.equal(network.capture(picture, ["act2"])["act2"], plain)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.module.state_dict().items())
    assert not any(part._forward_hooks for part in network.module.modules())


def test_randomised_changes_the_upper_half_and_a_copy_only() -> None:
    network = tiny.network()
    changed = randomised(network, "act2", torch.Generator().manual_seed(0))
    one, other = dict(network.module.named_parameters()), dict(changed.module.named_parameters())
    assert torch.equal(one["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(one["conv2.weight"], other["conv2.weight"])
    assert torch.equal(one["conv2.weight"].flatten().sort().values, other["conv2.weight"].flatten().sort().values)


def test_alike_is_one_for_the_same_and_low_for_noise() -> None:
    pattern = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(alike(pattern, -3 * pattern), torch.ones(2), atol=1e-5)
    assert bool((alike(pattern, noise).abs() < 0.2).all())


# -- places ----------------------------------------------------------------------------------------------------------------


def test_a_crop_at_the_edge_shows_what_is_outside_as_such() -> None:
    picture = torch.arange(16).reshape(1, 1, 4, 4) / 16
    made = crop(picture, Place(-1, 1, 2, 4), outside=-1.0)
    assert made[0, 0].tolist() == [[-1, -1, -1], [2 / 16, 3 / 16, -1], [6 / 16, 7 / 16, -1]]


def test_the_effective_field_is_where_the_energy_is() -> None:
    gradient = torch.zeros(1, 3, 40, 50)
    gradient[:, :, 10:20, 30:35] = 1.0
    assert effective(gradient) == Place(10, 19, 30, 34)


def test_a_field_that_exceeds_the_picture_has_no_place() -> None:
    layer = Network.wrap(nn.Conv2d(3, 1, 9, padding=4), preprocessing=Preprocessing(size=(32, 32))).layer("logits")
    assert place(layer, 0, 5, (32, 32)) == Place(-4, 4, 1, 9)
    assert place(layer, 0, 0, (8, 32)) is None


@pytest.mark.parametrize("layer", ["conv1", "act1", "conv2", "act2"])
def test_the_recorded_place_is_exact(scans: Path, some: str, layer: str) -> None:
    """The activation there equals the recorded value, and its gradient vanishes outside of the crop."""
    result = run(PatternsRecipe(units=(layer,), data=some, steps=0, projection="gradient", crops=False), tiny.network())
    assert len(result.units) == 8
    for one in result.units:
        assert len(one.found) == 6
        for found in one.found:
            assert found.difference < 1e-4 and found.place is not None
            assert found.outside == pytest.approx(0, abs=1e-5)
            assert found.patch.shape[2:] == found.place.size == tiny.network().layer(layer).receptive_field


def test_a_unit_of_the_whole_picture_has_an_effective_field(scans: Path, some: str) -> None:
    (one,) = run(PatternsRecipe(units=("logits:espresso",), data=some, steps=0, crops=False), tiny.network()).units
    for found in one.found:
        assert found.place is None and found.effective is not None and found.difference < 1e-4
        assert found.patch.shape == (1, 3, 32, 32)


# -- the figure ------------------------------------------------------------------------------------------------------------


def test_a_pattern_is_shown_around_grey() -> None:
    pattern = torch.zeros(1, 3, 9, 9)
    pattern[0, 0, 4, 4], pattern[0, 1, 2, 2] = 3.0, -3.0
    made = shown_pattern(pattern)
    assert float(made[0, 2].mean()) == 0.5 and float(made[0, 0, 4, 4]) > 0.9 and float(made[0, 1, 2, 2]) < 0.1
    assert bool((shown_pattern(torch.zeros(1, 3, 5, 5)) == 0.5).all())


def test_the_mark_leaves_what_is_inside_alone() -> None:
    picture = torch.rand(1, 3, 40, 40)
    made = marked(picture, Place(10, 29, 5, 24))
    assert torch.equal(made[:, :, 12:28, 7:23], picture[:, :, 12:28, 7:23])
    assert not torch.equal(made[:, :, 0], picture[:, :, 0])


def test_made_and_found_are_on_one_sheet(scans: Path, some: str) -> None:
    result = run(PatternsRecipe(units=("act2:0-6",), data=some, steps=3), tiny.network())
    assert [len(result.units), len(result.made), len(result.sheets())] == [7, 7, 2]
    first = result.units[0].numbers()
    assert first["class_share"] is not None and first["selectivity"] is not None and first["favourite_class"] in ("a", "b")
    assert set(first["quantiles"]) == {"mean", "peak", "place"}
    assert "crops of them at several scales count as data" in result.says()[0]


def test_a_dead_unit_is_told_and_its_layer_still_shown(scans: Path, some: str) -> None:
    result = run(PatternsRecipe(units=("act1:2",), data=some, steps=40), tiny.network(dead=True))
    assert {unit.channel for unit in result.dead} == {2} and not result.made
    assert len(result.sheets()) == 1


def test_grey_networks_take_colour_data(scans: Path, some: str) -> None:
    result = run(PatternsRecipe(units=("act1:0",), data=some, steps=2), tiny.network(1))
    assert result.units[0].found[0].difference < 1e-4 and len(result.sheets()) == 1


def test_the_second_time_there_is_no_scan(scans: Path, some: str) -> None:
    events: list[Event] = []
    recipe = PatternsRecipe(units=("act2:0",), data=some, steps=0)
    first = run(recipe, tiny.network(), events.append)
    assert any(isinstance(event, Stepped) for event in events)
    events.clear()
    again = run(recipe.model_copy(update={"units": ("act2:3",)}), tiny.network(), events.append)
    assert not any(isinstance(event, Stepped) for event in events)
    assert first.units[0].scan.best.value.equal(again.units[0].scan.best.value)
    assert len(list(scans.glob("*.safetensors"))) == 1


def test_stopping_shows_what_was_found_and_goes_on_later(scans: Path, some: str) -> None:
    recipe = PatternsRecipe(units=("act2:0",), data=some, steps=2)
    stopped = run(recipe, tiny.network(), lambda event: STOP if isinstance(event, Stepped) else None)
    assert stopped.stopped and 0 < stopped.units[0].scan.count < len(open_data(recipe))
    assert not run(recipe, tiny.network()).stopped


def test_more_asked_than_there_is(scans: Path, some: str) -> None:
    result = run(PatternsRecipe(units=("act2:0",), data=some, top=50, steps=0), tiny.network())
    assert len(result.units[0].found) == 6
    assert "50 places were asked for; the data has 6" in result.says()


def test_one_picture_only(scans: Path, tmp_path: Path) -> None:
    pictures.save(torch.rand(1, 3, 120, 120), tmp_path / "one.png")
    recipe = PatternsRecipe(units=("act2:0",), data=f"folder:{tmp_path}", steps=0)
    assert len(run(recipe, tiny.network()).units[0].found) == 1
    assert len(run(recipe.model_copy(update={"repeat": True}), tiny.network()).units[0].found) == 9


# -- what is refused -------------------------------------------------------------------------------------------------------


def test_a_layer_alone_is_all_of_its_units() -> None:
    assert len(patterns_units(["act1", "conv2:1"], tiny.network())) == 9
    with pytest.raises(InputError, match="looked for everywhere: act1:1"):
        patterns_units(["act1:1@2,2"], tiny.network())


def test_strict_names_what_can_not_be_read(some: str) -> None:
    folder = Path(some.removeprefix("folder:"))
    folder.joinpath("a", "bad.jpg").write_bytes(b"no")
    folder.joinpath("c").mkdir()
    with pytest.raises(InputError, match=r"1 of 7 pictures can't be read: a/bad\.jpg; 1 folder without a picture: c"):
        open_data(PatternsRecipe(units=("act1:0",), data=some, strict=True))


def test_a_network_of_other_channels_takes_no_pictures() -> None:
    with pytest.raises(InputError, match="takes 5 channels"):
        run(PatternsRecipe(units=("act1:0",)), tiny.network(5))


def _command(lanterna, *arguments: str) -> SimpleNamespace:
    return lanterna("patterns", "python:tiny:make", *arguments)


def test_the_command_writes_sheets_that_can_be_made_again(lanterna, scans: Path, folder: Path, some: str) -> None:
    told = _command(lanterna, "act2:0-1", "logits:0", "--data", some, "--steps", "2", "--json", "--quiet")
    assert told.code == 0, told.err
    made = json.loads(told.out)
    assert [Path(file).name for file in made["outputs"]] == ["patterns.png", "patterns.json"]
    assert [one["unit"] for one in made["units"]] == ["act2:0", "act2:1", "sea lion"]
    assert made["units"][0]["places"][0]["value"] >= made["units"][0]["places"][1]["value"]
    again = lanterna("replay", "patterns/patterns.png", "--out", "again.png", "--trust")
    assert again.code == 0 and again.err.count("warning") == 0
    assert Path("again.png").read_bytes() == Path("patterns/patterns.png").read_bytes()


def test_the_command_says_what_was_skipped(lanterna, scans: Path, folder: Path, some: str) -> None:
    Path(some.removeprefix("folder:"), "a", "bad.jpg").write_bytes(b"no")
    told = _command(lanterna, "act2:0", "--data", some, "--steps", "0")
    assert told.code == 0 and "1 can't be read and were skipped: a/bad.jpg" in told.out


def test_a_class_has_no_positions_and_no_mean_over_a_map(lanterna, scans: Path, folder: Path, some: str) -> None:
    told = _command(lanterna, "act2:0", "logits:0", "--data", some, "--steps", "1").out
    unit, of_class = (next(line for line in told.splitlines() if line.startswith(name)) for name in ("act2:0", "sea lion"))
    assert "of all positions; mean over the map" in unit
    assert "of all crops; " in of_class and "map" not in of_class and "in the picture made for it" in of_class


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["act1:99"], "channels 0 to 7"),
        (["act9:0"], "did you mean 'act"),
        (["act1:0", "--data", "folder:nowhere"], "there is no folder 'nowhere'"),
        (["act1:0", "--data", "folder:empty"], "has nothing in it"),
        (["act1:0", "--top", "0"], "--top 0"),
        (["act1:0", "--scan", "scan.txt"], "ends in .safetensors"),
        (["act1:0", "--scan", "other.safetensors"], "no scan that Lanterna wrote"),
        (["act1:0", "--out", "file"], "is a file"),
        (["act1:0", "--size", "big", "--data", "folder:good"], "is not a size"),
        ([], "no unit was given"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    lanterna, scans: Path, folder: Path, arguments: list[str], match: str
) -> None:
    for name in ("empty", "good"):
        folder.joinpath(name).mkdir()
    pictures.save(torch.rand(1, 3, 40, 40), folder / "good" / "one.png")
    folder.joinpath("file").write_text("")
    folder.joinpath("other.safetensors").write_text("not a scan")
    before = sorted(folder.rglob("*"))
    told = _command(lanterna, *arguments)
    assert told.code == 2 and match in told.err and len(told.err.strip().splitlines()) == 1, told.err
    assert sorted(folder.rglob("*")) == before and not scans.exists()


def test_unreadable_data_is_an_input_error(scans: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("one.png").write_bytes(b"no")
    for crops in (True, False):
        with pytest.raises(InputError, match=r"no picture of .* can be read \(1 picture\)"):
            run(PatternsRecipe(units=("act1:0",), data=f"folder:{tmp_path}", crops=crops), tiny.network())
    with pytest.raises(PictureError):
        data.load(f"folder:{tmp_path}").read(0)


@pytest.mark.parametrize("kind", [nn.Hardswish, nn.SiLU, nn.ELU, nn.LeakyReLU])
@pytest.mark.parametrize("method", ["guided", "deconvnet"])
def test_rectifiers_in_place_project_as_others_do(kind: type[nn.Module], method: Method) -> None:
    patterns = []
    for inplace in (False, True):
        module = nn.Sequential(nn.Conv2d(3, 4, 3), kind(inplace=inplace), nn.Conv2d(4, 4, 3), kind(inplace=inplace))
        values = torch.Generator().manual_seed(2)
        for parameter in module.parameters():
            parameter.data.normal_(generator=values)
        network = Network.wrap(module, name="smooth", preprocessing=Preprocessing(size=(16, 16)))
        pictures = torch.rand(1, 3, 16, 16, generator=values)
        at = torch.tensor([5])
        patterns.append(project(network, pictures, "2", 1, at, at, method).pattern)
    assert torch.allclose(*patterns, atol=1e-5) and bool(patterns[0].any())


def test_tokens_are_found_and_projected_where_they_are(scans: Path, some: str) -> None:
    made = run(PatternsRecipe(units=("mix:2", "logits:1"), data=some, top=2, steps=0, crops=False), tiny.make_tokens())
    for found in made.units[0].found:
        assert found.row == 0 and 0 <= found.column < 8
        assert found.difference < 1e-5 and float(found.pattern.abs().sum()) > 0
