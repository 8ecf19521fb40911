"""A folder of strangers' files, and commands that are run in it under guard."""

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace

import pytest
import strangers
import torch

from lanterna.cli import main

# Nothing that is refused takes longer, and nothing may hang.
SECONDS = 10


class Late(BaseException):
    """Above all that a command may catch."""


def resident(field: str = "VmRSS") -> int:
    """Bytes of memory that this process has, or had at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no {field}")


@pytest.fixture(scope="session")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `strangers`, made once. Nobody writes there: every test looks whether anything changed."""
    folder = tmp_path_factory.mktemp("strange") / "f"
    folder.mkdir()
    strangers.make(folder)
    return folder


@pytest.fixture
def guarded(strange: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    """Runs a command in that folder: code, out, err. It may leave nothing, say no traceback, and take no more than 10 s."""
    monkeypatch.chdir(strange)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    monkeypatch.setenv("LANTERNA_CACHE", str(strange.parent / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def late(_number: int, _frame: FrameType | None) -> None:
        raise Late(f"it takes longer than {SECONDS} s")

    def run(*arguments: str) -> SimpleNamespace:
        before = sorted(strange.iterdir())
        previous = signal.signal(signal.SIGALRM, late)
        signal.alarm(SECONDS)
        try:
            with pytest.raises(SystemExit) as exit_:
                main(arguments)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)
        captured = capsys.readouterr()
        assert sorted(strange.iterdir()) == before, "nothing is left"
        assert "Traceback" not in captured.err
        return SimpleNamespace(code=exit_.value.code, out=captured.out, err=captured.err)

    yield run
    torch.set_num_threads(threads)
