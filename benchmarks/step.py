"""The time and memory of one step, ours against the bare pass and against the peers. See benchmarks/README.md."""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from peers import HORAMA_CROPS, as_users_have_it, dreamlens, horama, lucent
from torch import Tensor, nn

import lanterna
from lanterna.ascent import ascend
from lanterna.canvas import make_canvas
from lanterna.events import Event, Stepped
from lanterna.networks.network import LOGITS, Network
from lanterna.techniques.units import parse_units
from lanterna.techniques.visualize import VisualizeRecipe, _fields, _jitter, _objective, _shares, canvas_decay, canvas_margin

CASES = (
    ("vgg16_hed", "relu3_3", 128, 1),
    ("vgg16_hed", "relu3_3", 128, 8),
    ("vgg16_hed", "relu5_3", 128, 1),
    ("vgg16_hed", "relu5_3", 128, 8),
    ("efficientnet_lite0", "blocks.3", 224, 1),
    ("efficientnet_lite0", "blocks.3", 224, 8),
    ("efficientnet_lite0", "logits", 224, 1),
    ("efficientnet_lite0", "logits", 224, 8),
)
BARE, OURS = "bare", "lanterna"
# Before the clock starts: the first steps choose algorithms and fill the allocator.
WARM = 2


@dataclass(frozen=True)
class Case:
    network: str
    layer: str
    size: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.network}:{self.layer}:{self.size}:{self.batch}"

    @property
    def channels(self) -> list[int]:
        return list(range(self.batch))


@dataclass
class Clock:
    """Called once in every step; a step lasts from one call to the next."""

    ticks: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        self.ticks.append(time.perf_counter())

    def seconds(self) -> float:
        steps = [after - before for before, after in zip(self.ticks, self.ticks[1:], strict=False)]
        return statistics.median(steps[WARM:])


class _Reached(Exception):  # noqa: N818 - control flow
    pass


class Plain:
    """The plain module up to a layer: what anyone's step must compute at least."""

    def __init__(self, network: Network, layer: str, memory_format: torch.memory_format) -> None:
        self.module = as_users_have_it(network, frozen=True).to(memory_format=memory_format)
        self.format = memory_format
        target: nn.Module = self.module if layer == LOGITS else self.module.get_submodule(layer)
        self.found: Tensor | None = None
        target.register_forward_hook(self._hook)

    def _hook(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.found = output
        raise _Reached

    def __call__(self, inputs: Tensor) -> Tensor:
        with contextlib.suppress(_Reached):
            self.module(inputs)
        assert self.found is not None
        found, self.found = self.found, None
        return found


def run_bare(plain: Plain, case: Case, steps: int, tick: Callable[[], None]) -> None:
    inputs = torch.randn(case.batch, 3, case.size, case.size).to(memory_format=plain.format).requires_grad_(True)
    rows = torch.arange(case.batch)
    for _ in range(steps):
        tick()
        plain(inputs)[rows, torch.tensor(case.channels)].mean().backward()
        inputs.grad = None


def run_ours(network: Network, case: Case, steps: int, tick: Callable[[], None], redirected: bool = False) -> None:
    """Steps of the loop with the defaults of `visualize`: its canvas, margins, views and priors."""
    units = parse_units(tuple(f"{case.layer}:{channel}" for channel in case.channels), network)
    recipe = VisualizeRecipe(units=("logits:0",))
    size = (case.size, case.size)
    fields = _fields(units, network, size)
    margin = canvas_margin(recipe, fields, size)
    side = case.size + 2 * margin
    generator = torch.Generator().manual_seed(0)

    def listen(event: Event) -> None:
        if isinstance(event, Stepped):
            tick()

    ascend(
        make_canvas(recipe.canvas, (case.batch, 3, side, side), generator, decay=canvas_decay(recipe)),
        _objective(units, [1.0] * case.batch, [1.0] * case.batch, _shares(fields, size), recipe, size, None),
        network,
        size=size,
        steps=steps,
        generator=generator,
        jitter=_jitter(recipe, fields, size),
        # The first 16 steps of a run redirect ReLUs and cost more: they are timed by themselves.
        redirected_steps=steps - 1 if redirected else 0,
        on_event=listen,
    )


def contestants(case: Case, network: Network, frozen: bool) -> dict[str, Callable[[int, Clock], None]]:
    """Each runs a number of steps and calls the clock in every one."""
    plain = Plain(network, case.layer, torch.contiguous_format)
    last = Plain(network, case.layer, torch.channels_last)

    def peer(run: Callable[..., object], **options: object) -> Callable[[int, Clock], None]:
        def timed(steps: int, clock: Clock) -> None:
            # A fresh copy each time: Lucent never removes its hooks.
            run(as_users_have_it(network, frozen), network, case.layer, case.channels, case.size, steps, clock, **options)

        return timed

    runs: dict[str, Callable[[int, Clock], None]] = {
        BARE: lambda steps, clock: run_bare(plain, case, steps, clock),
        "bare, channels last": lambda steps, clock: run_bare(last, case, steps, clock),
        OURS: lambda steps, clock: run_ours(network, case, steps, clock),
        "lanterna, redirected": lambda steps, clock: run_ours(network, case, steps, clock, redirected=True),
        "lucent": peer(lucent, same_size=False),
    }
    if case.size < 224:
        runs["lucent, same size"] = peer(lucent, same_size=True)
    runs["horama"] = lambda steps, clock: horama(plain, network, 0, case.size, steps, clock)
    runs["dreamlens"] = peer(dreamlens)
    return runs


def time_case(case: Case, network: Network, rounds: int, steps: int, only: set[str], frozen: bool) -> dict[str, object]:
    """Seconds a step of each contestant in each round; they take turns, so that a slow minute slows all."""
    seconds: dict[str, list[float]] = {}
    errors: dict[str, str] = {}
    runs = contestants(case, network, frozen)
    for number in range(rounds):
        # Every other round backwards, so that nobody always comes after the same neighbour.
        for name in list(runs) if number % 2 == 0 else list(reversed(runs)):
            if name in errors or (only and not any(name.startswith(start) for start in only)):
                continue
            clock = Clock()
            # horama makes a canvas of 1280 pixels and six views of it: fewer steps tell its time as well.
            count = (max(steps // 4, 2) if name == "horama" else steps) + WARM + 1
            try:
                runs[name](count, clock)
            except Exception as error:  # a peer that can't run here is a result too
                if name.startswith((BARE, OURS)):
                    raise
                errors[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
                continue
            # It makes one picture at a time: a batch is as many runs.
            times = case.batch if name == "horama" else 1
            seconds.setdefault(name, []).append(clock.seconds() * times)
    return {"case": case.name, "seconds": seconds, "errors": errors}


# -- memory --------------------------------------------------------------------------------------------------------------


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"peak memory is read from /proc/self/status, which has no {key} on this system")


def _settle() -> None:
    gc.collect()
    if hasattr(trim := ctypes.CDLL(None), "malloc_trim"):
        trim.malloc_trim(0)


def measure_memory(case: Case, contestant: str, steps: int) -> int:
    """Bytes by which the peak of a few steps exceeds the process after small ones. For a process of its own.

    Libraries and kernels are loaded in the first step of a process, whoever makes it, and are not what a step needs.
    """
    network = lanterna.load(case.network)
    if contestant == OURS:
        run: Callable[[Case], None] = lambda case: run_ours(network, case, steps, lambda: None)  # noqa: E731
    else:
        plain = Plain(network, case.layer, torch.contiguous_format)
        # The copy that stops early is this script's own; the user has one module.
        network.module = plain.module
        run = lambda case: run_bare(plain, case, steps, lambda: None)  # noqa: E731
    run(replace(case, size=64, batch=1))
    _settle()
    start = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    run(case)
    return _status("VmHWM") - start


def memory(case: Case, contestant: str, steps: int) -> float:
    """The median of three processes, in which every large buffer is a mapping of its own.

    By default glibc carves buffers out of a heap with holes, and the peak says how they happened to fit: it varies by a
    fifth from run to run, for the bare step too. This way it is what is held, and varies by less than a hundredth.
    """
    command = [sys.executable, __file__, "--memory-of", case.name, contestant, "--steps", str(steps)]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    runs = [subprocess.run(command, check=True, capture_output=True, text=True, env=environment) for _ in range(3)]
    return statistics.median(int(done.stdout.split()[-1]) for done in runs)


# -- table ---------------------------------------------------------------------------------------------------------------


def ratios(seconds: dict[str, list[float]], over: str, under: str) -> float | None:
    """The median over rounds of the ratio within a round."""
    if over not in seconds or under not in seconds:
        return None
    return statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))


def table(results: list[dict]) -> str:
    names = list(dict.fromkeys(name for row in results for name in (*row["seconds"], *row["errors"])))
    lines = ["| case | contestant | ms a step | times bare | times lanterna | peak MB |", "|---|---|--:|--:|--:|--:|"]
    for row in results:
        for name in names:
            if name in row["errors"]:
                lines.append(f"| {row['case']} | {name} | failed: {row['errors'][name]} | | | |")
            if name not in row["seconds"]:
                continue
            cells = [f"{statistics.median(row['seconds'][name]) * 1000:.1f}"]
            for under in (BARE, OURS):
                ratio = ratios(row["seconds"], name, under)
                cells.append("" if ratio is None else f"{ratio:.2f}")
            peak = row.get("memory", {}).get(name)
            cells.append("" if peak is None else f"{peak / 1e6:.0f}")
            lines.append(f"| {row['case']} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    cases = {case.name: case for case in (Case(*parts) for parts in CASES)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12, help="timed steps of each contestant in a round")
    parser.add_argument("--cases", nargs="*", default=[], help=f"beginnings of: {', '.join(cases)}")
    parser.add_argument("--contestants", nargs="*", default=[], help="beginnings of names; all by default")
    parser.add_argument("--frozen-peers", action="store_true", help="give peers weights that ask for no gradient")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--memory-of", nargs=2, metavar=("CASE", "CONTESTANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        name, contestant = options.memory_of
        print(measure_memory(cases[name], contestant, options.steps))
        return
    chosen = [c for c in cases.values() if not options.cases or any(c.name.startswith(start) for start in options.cases)]
    if not chosen:
        parser.error(f"no case begins with {options.cases}; there are {', '.join(cases)}")
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    results = []
    networks = {name: lanterna.load(name) for name in dict.fromkeys(case.network for case in chosen)}
    for case in chosen:
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        row = time_case(
            case, networks[case.network], options.rounds, options.steps, set(options.contestants), options.frozen_peers
        )
        if not options.no_memory:
            row["memory"] = {name: memory(case, name, 4) for name in (BARE, OURS)}
        results.append(row)
        if options.json:
            options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    print(f"{machine}; {options.rounds} rounds of {options.steps} steps")
    print(f"horama: {HORAMA_CROPS} crops of a 1280 px canvas a step, its default\n")
    print(table(results))


if __name__ == "__main__":
    main()
