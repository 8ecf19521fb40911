"""What a person gets wrong in the first hour: each ends in one line that says what to do, and leaves nothing behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from lanterna import networks, pictures
from lanterna.errors import InputError, PictureError
from lanterna.files import replace_file
from lanterna.report.page import write_page

# The limit that stands for a full disk is not there on Windows.
resource = pytest.importorskip("resource")

Run = Callable[..., SimpleNamespace]
TINY = "python:tiny:make"


@contextmanager
def full_disk() -> Iterator[None]:
    """Every file that grows beyond a few bytes fails to, as on a full disk: the system's own limit for this process.

    No fixture: pytest writes its dots while fixtures are up, and its output may be such a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_line(result: SimpleNamespace) -> str:
    lines = result.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("lanterna: "), result.err
    return str(lines[0])


# A PDF where a picture belongs, a path that does not exist, a misspelt layer: the same for every technique.
@pytest.mark.parametrize(
    "command",
    [
        "visualize python:tiny:make conv1:0 --from {}",
        "dream python:tiny:make {}",
        "dream python:tiny:make coffee --guide {}",
        "dream python:tiny:make coffee --mask {}",
        "invert python:tiny:make conv1 --picture {}",
        "stylize {} coffee --network python:tiny:make",
        "stylize coffee {} --network python:tiny:make",
        "texture {} --network python:tiny:make",
        "style-distance coffee {} --network python:tiny:make",
        "fool python:tiny:make {}",
        "classify python:tiny:make {}",
        "tour {} --network python:tiny:make",
        "replay {}",
    ],
)
@pytest.mark.parametrize(("given", "said"), [("paper.pdf", "is not a picture"), ("missing.jpg", "does not exist")])
def test_what_is_no_picture_is_refused(lanterna: Run, folder: Path, command: str, given: str, said: str) -> None:
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n")
    result = lanterna(*command.format(given).split())
    assert result.code == 2
    told = one_line(result)
    assert given in told and said in told
    assert sorted(path.name for path in folder.iterdir()) == ["paper.pdf"]


@pytest.mark.parametrize(
    "command",
    [
        "visualize python:tiny:make conv9:0",
        "patterns python:tiny:make conv9:0",
        "dream python:tiny:make coffee --layer conv9",
        "invert python:tiny:make conv9 --picture coffee",
        "stylize coffee coffee --network python:tiny:make --style-layers conv9",
    ],
)
def test_a_misspelt_layer_has_its_nearest(lanterna: Run, folder: Path, command: str) -> None:
    result = lanterna(*command.split())
    assert result.code == 2
    assert "did you mean 'conv" in one_line(result)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("dream python:tiny:make", "no picture was given; give a file, or a sample such as coffee"),
        ("invert python:tiny:make conv1", "no picture was given; give --picture a file"),
        ("visualize", "NETWORK"),
        ("visualise python:tiny:make", "did you mean 'visualize'"),
        ("fool python:tiny:make coffee --epsilon much", "--epsilon 'much': it is a number such as 0.01"),
        ("patterns python:tiny:make conv1:0 --data paper.pdf", "'paper.pdf' is a single file"),
        ("visualize python:tiny:make conv1:0 --steps many", "--steps"),
    ],
)
def test_what_is_missing_or_wrong_is_named(lanterna: Run, folder: Path, command: str, said: str) -> None:
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4")
    result = lanterna(*command.split())
    assert result.code == 2
    assert said in one_line(result)


@pytest.mark.parametrize("command", ["visualize", "visualize python:tiny:make conv1:0 --nosuch 3"])
def test_wrong_usage_says_where_help_is(lanterna: Run, command: str) -> None:
    assert "`lanterna visualize --help`" in one_line(lanterna(*command.split()))


@pytest.mark.parametrize(
    "command",
    [
        "visualize python:tiny:make conv1:0 --steps 1",
        "visualize python:tiny:make conv1:0-2 --steps 1 --singles",
        "dream python:tiny:make coffee --steps 1 --octaves 1 --size 64",
        "dream python:tiny:make coffee --steps 1 --octaves 1 --size 64 --zoom 2 --out dream.gif",
        "invert python:tiny:make conv1 --picture coffee --steps 1 --samples 1 --judge none",
        "fool python:tiny:make coffee --steps 1 --second none",
        "patterns python:tiny:make conv1:0 --steps 0 --scan scan.safetensors",
        "autoencode --epochs 1 --most 40 --code 2 --parts models",
    ],
)
def test_a_full_disk_ends_in_one_line(lanterna: Run, folder: Path, command: str) -> None:
    with full_disk():
        result = lanterna(*command.split(), "--quiet")
    assert result.code in (1, 2)
    one_line(result)
    left = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in left if path.stat().st_size] == []
    assert [path.name for path in left if path.suffix == ".part" or path.name.startswith(".")] == []


def test_ctrl_c_before_the_first_step_says_so(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lanterna.cli import dream

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dream, "load_network", interrupted)
    result = lanterna("dream", "python:tiny:make", "coffee")
    assert result.code == 130 and "interrupted" in one_line(result)


def test_a_film_that_fails_does_not_take_the_picture_with_it(
    lanterna: Run, folder: Path, vgg16_hed: networks.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lanterna.cli import film

    def fails(self: film.Film, path: Path) -> Path:
        raise PictureError(f"can't write the film {str(path)!r}: No space left on device")

    monkeypatch.setattr(film.Film, "save", fails)
    given = ["--size", "64", "--steps", "1", "--film", "film.gif", "--out", "painted.png", "--quiet"]
    result = lanterna("stylize", "chelsea", "coffee", *given)
    assert result.code == 2 and "film.gif" in one_line(result)
    assert pictures.load("painted.png").shape[1] == 3


@pytest.mark.parametrize("command", ["patterns python:tiny:make conv1:0", "manifold", "autoencode", "tour"])
def test_a_folder_that_refuses_files_is_told_before_anything_is_made(
    lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    result = lanterna(*command.split(), "--out", "new/folder")
    assert result.code == 2 and "Read-only file system; give another --out" in one_line(result)
    assert list(folder.iterdir()) == []


def test_a_file_that_does_not_fit_is_named_and_not_left(folder: Path) -> None:
    with full_disk(), pytest.raises(OSError, match=r"kept\.bin"):
        replace_file(folder / "kept.bin", [b"0" * 10_000])
    with full_disk(), pytest.raises(PictureError, match=r"index\.html.*another --out"):
        write_page(folder / "index.html", "0" * 10_000)
    assert list(folder.iterdir()) == []


def test_a_film_on_a_full_disk_is_a_picture_error(folder: Path) -> None:
    from lanterna.cli.film import Film

    film = Film()
    film.add(pictures.load("coffee", size=64))
    with full_disk(), pytest.raises(InputError, match=r"can't write the film 'film\.gif'"):
        film.save(Path("film.gif"))
    assert list(folder.iterdir()) == []
