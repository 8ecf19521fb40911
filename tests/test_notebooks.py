"""The notebooks in examples/ run from top to bottom, with less to do, in one kernel."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from lanterna import networks, pictures
from lanterna.networks import builtin, wheels

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = {path.stem: path for path in sorted(EXAMPLES.glob("*.ipynb"))}

# What takes the place of the numbers in the cell tagged `parameters`.
LESS = {
    "visualize": 'steps, size = 2, "64"',
    "patterns": 'data, steps = "folder:photos", 0',
    "invert": 'steps, size, samples = 2, "64", 2',
    "dream": 'octaves, steps, size = 1, 1, "64"',
    "stylize": 'steps, size = 1, "64"',
    "fool": "steps, noise_steps = 1, 1",
    "manifold": (
        "less = dict(pictures=120, seeds=1, classifier_steps=10, density_steps=10, noise=50, each=10, plane=8, "
        "attacked=2, attack_steps=2)"
    ),
    "autoencode": 'less, code = {"epochs": 1, "most": 200}, (2, 4)',
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, vgg16_hed: networks.Network) -> Iterator[KernelManager]:
    """One Python for all notebooks, so that torch is imported once; it starts in an empty folder with a few photos."""
    wheels.fetch(builtin.MNIST_5K)
    place = tmp_path_factory.mktemp("notebooks")
    (place / "photos").mkdir()
    for name in ("coffee", "chelsea"):
        pictures.save(pictures.load(name, size=96), place / "photos" / f"{name}.png")
    manager = KernelManager(kernel_name="python3")
    # What was fetched is there; what is trained goes with the folder.
    (place / "cache").mkdir()
    for fetched in wheels.cache_dir().iterdir():
        if fetched.name not in ("autoencode", "manifold", "scans"):
            (place / "cache" / fetched.name).symlink_to(fetched)
    environment = {
        **os.environ,
        "LANTERNA_CACHE": str(place / "cache"),
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]),
    }
    manager.start_kernel(cwd=str(place), env=environment)
    yield manager
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def shown(notebook: Any) -> list[dict[str, Any]]:
    return [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]


def test_there_is_one_for_each_technique() -> None:
    assert set(NOTEBOOKS) == set(LESS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_kept_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
    assert [cell.metadata.get("tags") for cell in notebook.cells].count(["parameters"]) == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_runs(name: str, kernel: KernelManager) -> None:
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    (parameters,) = [cell for cell in notebook.cells if cell.metadata.get("tags") == ["parameters"]]
    parameters.source = "%reset -f\n" + LESS[name]
    client = NotebookClient(notebook, km=kernel, timeout=300)
    try:
        client.execute()
    finally:
        # The kernel goes on to the next notebook; what listens to it does not.
        client.kc.stop_channels()
        client.kc = None
    assert any("text/html" in output["data"] or "image/png" in output["data"] for output in shown(notebook))
