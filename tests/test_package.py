"""What is built from the sources: a source archive, the wheel made from it, and Lanterna running from that wheel."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import lanterna

ROOT = Path(__file__).parents[1]
ASIDE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "site", "tour")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source archive and the wheel that is built out of it, by this environment's own setuptools."""
    place = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT, place / "sources", ignore=ASIDE)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place / "dist"), str(place / "sources")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return place / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def files_below(folder: Path) -> set[str]:
    """Every file of the package, from the folder above it."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder.parent).as_posix() for path in found}


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == files_below(ROOT / "lanterna")
    assert {"lanterna/py.typed", "lanterna/data/natural_spectrum.json", "lanterna/report/templates/page.html"} <= inside


def test_the_source_archive_has_what_is_needed_to_work_on_it(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "tests/tiny.py", "docs/commands.md"}
    assert wanted | files_below(ROOT / "lanterna") <= inside


def test_the_metadata_names_the_licence_the_command_and_the_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        commands = archive.read(f"{folder}/entry_points.txt").decode()
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert metadata["Version"] == PROJECT["version"] == lanterna.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert "lanterna = lanterna.cli:main" in commands


def test_everything_for_developing_has_what_the_other_checks_need() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {*extras["video"], *extras["docs"]} <= set(extras["dev"])


def test_a_tour_and_a_picture_are_made_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    shutil.copy(ROOT / "tests" / "tiny.py", tmp_path)
    program = (
        "import lanterna, sys\n"
        "from lanterna.cli import main\n"
        "for given in (['tour', '--network', 'python:tiny:make', '--chapters', 'layers,units', '--steps', '1', '--quiet'],\n"
        "              ['visualize', 'python:tiny:make', 'conv1:0', '--canvas', 'maco', '--steps', '1', '--quiet']):\n"
        "    try:\n"
        "        main(given)\n"
        "    except SystemExit as left:\n"
        "        assert left.code == 0, given\n"
        "print(lanterna.__file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == str(tmp_path / "site" / "lanterna" / "__init__.py")
    assert "<html" in (tmp_path / "tour" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "visualize.png").stat().st_size > 0
