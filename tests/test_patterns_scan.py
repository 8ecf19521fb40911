"""The pass over the data: what it finds, whatever the order, the parts and the interruptions."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numba
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lanterna import InputError, data, pictures
from lanterna.events import STOP, Event, Stepped
from lanterna.patterns import Best, Scan, kernels, merge, scan, store
from lanterna.patterns.fields import inside_of, place

LAYERS = ["conv1", "act1", "conv2", "act2", "logits"]


def _array(count: int = 23, classes: int = 0) -> data.PictureArray:
    generator = torch.Generator().manual_seed(5)
    array = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    array[7] = array[3]  # the same picture twice: everything about it is a tie
    labels = [i % classes for i in range(count)] if classes else None
    return data.PictureArray("noise", array, labels, [f"class {i}" for i in range(classes)])


def _features(dataset: data.Dataset, layer: str) -> Tensor:
    network = tiny.network()
    found = network.capture(dataset.pictures(), [layer])[layer]
    return found if found.ndim == 4 else found[:, :, None, None]


_ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([-1.0, 0.0, 0.5, 2.0, 6.0]),
        st.integers(0, 11),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=40,
    unique_by=lambda entry: (entry[0], entry[2]),
)


def _put(best: Best, entries: list[tuple[int, float, int, int, int]], sources: Tensor | None) -> Best:
    if not entries:
        return best
    unit, value, sample, row, column = zip(*entries, strict=True)
    rest = (torch.tensor(part) for part in (sample, row, column))
    return best.with_places(torch.tensor(unit), torch.tensor(value), *rest, sources)


def _same(one: Best, other: Best) -> bool:
    names = ("value", "sample", "row", "column")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


@settings(deadline=None, max_examples=200)
@given(_ENTRIES, st.integers(0, 40), st.integers(1, 4), st.booleans(), st.randoms(use_true_random=False))
def test_two_halves_make_the_whole_in_any_order(entries, cut, k, grouped, random) -> None:
    sources = torch.arange(12) // 3 if grouped else None
    whole = _put(Best.empty(3, k), entries, sources)
    shuffled = list(entries)
    random.shuffle(shuffled)
    one, other = (_put(Best.empty(3, k), part, sources) for part in (shuffled[:cut], shuffled[cut:]))
    assert _same(one.joined(other, sources), whole) and _same(other.joined(one, sources), whole)
    for unit in range(3):
        expected: list[tuple[float, int]] = []
        for _, value, sample, _, _ in sorted((e for e in entries if e[0] == unit), key=lambda e: (-e[1], e[2])):
            if not grouped or sample // 3 not in [held // 3 for _, held in expected]:
                expected.append((value, sample))
        found = list(zip(whole.value[unit].tolist(), whole.sample[unit].tolist(), strict=True))[: whole.count(unit)]
        assert found == expected[:k]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_places_are_those_that_sorting_everything_finds(layer: str) -> None:
    dataset = _array()
    found = scan(tiny.network(), dataset, LAYERS, k=5).layers[layer]
    features = _features(dataset, layer)
    width = features.shape[3]
    peak, place = features.flatten(2).max(2)
    for unit in range(features.shape[1]):
        order = sorted(range(len(dataset)), key=lambda i: (-float(peak[i, unit]), i))[:5]
        assert torch.allclose(found.best.value[unit], peak[order, unit], atol=1e-5)
        for rank, sample in enumerate(found.best.sample[unit].tolist()):
            row, column = int(found.best.row[unit, rank]), int(found.best.column[unit, rank])
            assert float(features[sample, unit, row, column]) == pytest.approx(float(found.best.value[unit, rank]), abs=1e-5)
            if int(found.best.sample[unit, rank]) == order[rank]:
                assert row * width + column == int(place[order[rank], unit])
        assert len(set(found.best.sample[unit].tolist())) == 5, "one place for each picture"


@pytest.mark.parametrize("layer", LAYERS)
def test_places_inside_are_those_that_sorting_all_inside_finds(layer: str) -> None:
    dataset, network = _array(), tiny.network()
    found = scan(network, dataset, LAYERS, k=5).layers[layer]
    features = _features(dataset, layer)
    bounds = inside_of(network.layer(layer), features.shape, network.input_size)
    if bounds is None:
        assert not (found.inside.sample >= 0).any()
        return
    top, bottom, left, right = bounds
    for row, column in ((top, left), (bottom, right)):
        where = place(network.layer(layer), row, column, network.input_size)
        assert where is not None and where.inside(network.input_size) == where
    peak = features[:, :, top : bottom + 1, left : right + 1].flatten(2).amax(2)
    highest = peak.sort(0, descending=True).values[:5].T
    assert torch.allclose(found.inside.value, highest, atol=1e-5)
    assert bool((found.inside.row >= top).all() and (found.inside.row <= bottom).all())
    assert bool((found.inside.column >= left).all() and (found.inside.column <= right).all())


def test_equal_pictures_are_in_the_order_of_their_ids() -> None:
    found = scan(tiny.network(), _array(), ["act1"], k=23).layers["act1"]
    for unit in range(8):
        samples = found.best.sample[unit].tolist()
        assert samples.index(7) == samples.index(3) + 1


def test_statistics() -> None:
    dataset = _array(classes=3)
    found = scan(tiny.network(), dataset, ["act1", "act2"], k=3)
    features, layer = _features(dataset, "act2").double(), found.layers["act2"]
    means = features.mean((2, 3))
    assert torch.allclose(layer.mean, means.mean(0), atol=1e-5)
    assert torch.allclose(layer.highest.double(), means.amax(0), atol=1e-5)
    levels = [0.0, 0.3, 1.0]
    assert torch.allclose(layer.quantiles(levels), means.quantile(torch.tensor(levels).double(), 0), atol=1e-5)
    assert torch.allclose(layer.quantiles([1.0], "peak")[0], features.amax((0, 2, 3)), atol=1e-5)
    per_class = torch.stack([means[i::3].mean(0) for i in range(3)])
    highest = per_class.amax(0)
    others = (per_class.sum(0) - highest) / 2
    assert layer.selectivity is not None
    assert torch.allclose(layer.selectivity, (highest - others) / (highest + others + 1e-12), atol=1e-4)
    assert layer.favourite(2) == int(per_class[:, 2].argmax())
    # The map is 16 x 16: of 256 positions a grid is taken, which for noise tells much the same.
    assert torch.allclose(layer.variance, features.var((0, 2, 3)), rtol=0.3)
    assert torch.allclose(layer.share_active, (features > 0).double().mean((0, 2, 3)), atol=0.08)


def test_a_map_of_few_positions_is_taken_whole() -> None:
    dataset = _array()
    network = tiny.network(size=(8, 8))
    layer = scan(network, dataset, ["conv2"], k=3).layers["conv2"]
    features = network.capture(network.preprocessing.fit(dataset.pictures()), ["conv2"])["conv2"].double()
    assert torch.allclose(layer.variance, features.var((0, 2, 3), unbiased=False), rtol=1e-4)
    assert torch.allclose(layer.share_active, (features > 0).double().mean((0, 2, 3)), atol=1e-6)


def test_without_classes_there_is_no_selectivity() -> None:
    layer = scan(tiny.network(), _array(), ["act2"]).layers["act2"]
    assert layer.selectivity is None and layer.favourite(0) is None


@pytest.mark.parametrize("cut", [1, 4, 11, 22])
def test_merging_two_scans_equals_one_pass(cut: int) -> None:
    dataset, network = _array(classes=2), tiny.network()
    whole = scan(network, dataset, LAYERS, k=4)
    parts = [scan(network, dataset, LAYERS, k=4, part=part) for part in (range(cut), range(cut, len(dataset)))]
    for layer in LAYERS:
        merged, expected = merge(parts[0].layers[layer], parts[1].layers[layer]), whole.layers[layer]
        assert torch.equal(merged.best.sample, expected.best.sample)
        assert torch.allclose(merged.best.value, expected.best.value, atol=1e-5)
        assert (merged.count, merged.places) == (expected.count, expected.places)
        assert torch.equal(merged.kept, expected.kept) and torch.equal(merged.class_count, expected.class_count)
        for name in ("mean", "variance", "share_active", "highest", "kept_values", "class_total"):
            assert torch.allclose(getattr(merged, name), getattr(expected, name), atol=1e-4), name


def test_scans_of_other_shapes_are_not_merged() -> None:
    found = scan(tiny.network(), _array(), ["act1", "logits"])
    with pytest.raises(InputError, match="can't be merged"):
        merge(found.layers["act1"], found.layers["logits"])


def _equal(one: Scan, other: Scan) -> bool:
    sums = ("total", "place_squares", "active", "kept", "kept_values", "highest")
    return all(
        _same(one.layers[name].best, layer.best)
        and all(torch.allclose(getattr(one.layers[name], part), getattr(layer, part)) for part in sums)
        for name, layer in other.layers.items()
    )


def test_stopping_and_going_on_equals_one_pass() -> None:
    dataset, network = _array(), tiny.network()

    def stop_after_nine(event: Event) -> str | None:
        return STOP if isinstance(event, Stepped) and event.step >= 9 else None

    half = scan(network, dataset, ["act1", "conv2"], k=4, on_event=stop_after_nine)
    assert 9 <= half.seen["act1"] < len(dataset) and half.layers["act1"].count == half.seen["act1"]
    counted: list[int] = []
    whole = scan(network, dataset, ["act1", "conv2", "act2"], k=4, known=half, on_event=_count(counted))
    assert _equal(whole, scan(network, dataset, ["act1", "conv2", "act2"], k=4))


def _count(steps: list[int]):
    def listen(event: Event) -> None:
        if isinstance(event, Stepped):
            steps.append(event.step)

    return listen


def test_what_is_known_is_not_computed_again() -> None:
    dataset, network = _array(), tiny.network()
    known = scan(network, dataset, ["act1"], k=4)
    steps: list[int] = []
    again = scan(network, dataset, ["act1"], k=3, known=known, on_event=_count(steps))
    assert steps == [] and again.layers["act1"] is known.layers["act1"]
    scan(network, dataset, ["act1"], k=5, known=known, on_event=_count(steps))
    assert steps[-1] == len(dataset), "more places than are held need a new pass"


def test_the_file_gives_back_what_was_stored(tmp_path: Path) -> None:
    dataset, network = _array(classes=2), tiny.network()
    said = store.about(network, dataset, repeat=False)
    found = scan(network, dataset, [*LAYERS, "flat", "pool"], k=4)
    store.store(found, tmp_path / "scan.safetensors", said)
    back = store.load(tmp_path / "scan.safetensors", said)
    assert back is not None and _equal(back, found) and back.seen == found.seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.json", "scan.safetensors"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"weights_sha256": "0"}, "its weights_sha256 is"),
        ({"network": "other"}, "its network is 'tiny', asked for is 'other'"),
        ({"schema_version": 9}, "its schema_version is 2, asked for is 9"),
        ({"data_sha256": "1"}, "its data_sha256"),
        ({"preprocessing": "none"}, "its preprocessing"),
    ],
)
def test_a_scan_of_something_else_is_refused(tmp_path: Path, change: dict[str, object], match: str) -> None:
    dataset, network = _array(), tiny.network()
    said = store.about(network, dataset, repeat=False)
    store.store(scan(network, dataset, ["act1"]), tmp_path / "scan.safetensors", said)
    assert store.default_file(said) != store.default_file({**said, **change})
    with pytest.raises(InputError, match=match):
        store.load(tmp_path / "scan.safetensors", {**said, **change})


def test_a_damaged_scan_is_refused(tmp_path: Path) -> None:
    said = store.about(tiny.network(), _array(), repeat=False)
    (tmp_path / "scan.safetensors").write_bytes(b"half of it")
    with pytest.raises(InputError, match="no scan that Lanterna wrote, or damaged"):
        store.load(tmp_path / "scan.safetensors", said)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import tiny, torch
    from lanterna.events import Stepped
    from lanterna.patterns import scan, store
    from test_patterns_scan import _array

    torch.set_num_threads(1)
    dataset, network, file = _array(), tiny.network(), Path(sys.argv[1])
    said = store.about(network, dataset, repeat=False)

    def kill(event):
        if isinstance(event, Stepped) and event.step >= 12:
            os.kill(os.getpid(), signal.SIGKILL)

    keep = lambda state: store.store(state, file, said)
    scan(network, dataset, ["act1", "conv2"], k=4, batch=4, save=keep, save_seconds=0, on_event=kill)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_at_once_it_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "scan.safetensors"
    here = Path(__file__).parent
    places = os.pathsep.join([str(here), str(here.parent)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(file)], env={**os.environ, "PYTHONPATH": places}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    dataset, network = _array(), tiny.network()
    known = store.load(file, store.about(network, dataset, repeat=False))
    assert known is not None and known.seen["act1"] == 8
    steps: list[int] = []
    whole = scan(network, dataset, ["act1", "conv2"], k=4, batch=4, known=known, on_event=_count(steps))
    assert steps[-1] == len(dataset) - 8
    assert _equal(whole, scan(network, dataset, ["act1", "conv2"], k=4, batch=4))


def _folder(tmp_path: Path, count: int = 5) -> data.Dataset:
    generator = torch.Generator().manual_seed(2)
    for i in range(count):
        pictures.save(torch.rand((1, 3, 96, 130), generator=generator), tmp_path / f"{i}.png")
    tmp_path.joinpath("2.png").write_bytes(b"no picture")
    return data.load(f"folder:{tmp_path}")


def test_unreadable_files_are_skipped_and_named(tmp_path: Path) -> None:
    found = scan(tiny.network(), _folder(tmp_path), ["act1"], k=9)
    assert list(found.unreadable) == ["2.png"] and "not a picture" in found.unreadable["2.png"]
    assert found.layers["act1"].count == 4 and found.layers["act1"].best.count(0) == 4
    assert 2 not in found.layers["act1"].best.sample[0].tolist()


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    tmp_path.joinpath("0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"no picture of .* can be read \(1 picture\)"):
        scan(tiny.network(), data.load(f"folder:{tmp_path}"), ["act1"])


def test_crops_of_one_picture_give_one_place_unless_asked(tmp_path: Path) -> None:
    crops = data.Crops(_folder(tmp_path))
    once = scan(tiny.network(), crops, ["act1"], k=9)
    many = scan(tiny.network(), crops, ["act1"], k=9, repeat=True)
    assert list(once.unreadable) == ["2.png"]
    for unit in range(8):
        samples = once.layers["act1"].best.sample[unit]
        held = [crops.source(int(sample)) for sample in samples if sample >= 0]
        assert sorted(held) == [0, 1, 3, 4]
        assert many.layers["act1"].best.count(unit) == 9
        assert float(many.layers["act1"].best.value[unit, 0]) == float(once.layers["act1"].best.value[unit, 0])


def test_memory_is_the_same_for_more_pictures() -> None:
    def size(found: Scan) -> int:
        layer = found.layers["act1"]
        return sum(part.numel() for part in (layer.best.value, layer.kept_values, layer.total, layer.highest))

    network = tiny.network()
    assert size(scan(network, _array(300), ["act1"], k=4)) == size(scan(network, _array(600), ["act1"], k=4))


def test_where_nothing_can_be_kept_the_loops_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, asked = numba.njit, []

    def njit(**options: bool) -> Callable[..., object]:
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'look': no locator available")
        return plain(**options)

    monkeypatch.setattr(numba, "njit", njit)
    twice = kernels.compiled(lambda number: 2 * number)
    assert twice(3) == 6 and [options.get("cache", False) for options in asked] == [True, False]
