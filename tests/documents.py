"""What the documentation tells a reader to type: found, made small, and ready to be run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

# A fence with the comment above it, if any; or a line that is indented as code.
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|file): (?P<said>[^>]*?) -->\n\n?)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$"
    r"|^ {4}(?P<line>lanterna [^\n]*)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block of a page: its language, its text, and what the comment above it says (`not run` and why, or `file`)."""

    language: str
    text: str
    mark: str | None
    said: str

    @property
    def commands(self) -> list[list[str]]:
        """The command lines of a shell block that start with `lanterna`, each as its arguments."""
        lines = [line.removeprefix("$ ") for line in self.text.replace("\\\n", " ").splitlines()]
        return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("lanterna ")]


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(PAGES[page].read_text(encoding="utf-8")):
        if match["line"]:
            found.append(Block("sh", match["line"], None, ""))
        else:
            found.append(Block(match["language"], match["text"], match["mark"], match["said"] or ""))
    return found


# What makes each command take a second: everything else stays as the page has it.
SMALL: dict[str, dict[str, str]] = {
    "tour": {"--chapters": "layers,units", "--steps": "1", "--size": "64", "--depths": "2"},
    "visualize": {"--steps": "2", "--size": "64"},
    "patterns": {"--steps": "0", "--top": "2", "--data": "folder:photos"},
    "invert": {"--steps": "2", "--samples": "1", "--size": "64"},
    "dream": {"--steps": "1", "--octaves": "1", "--size": "64"},
    "stylize": {"--steps": "1", "--size": "64"},
    "texture": {"--steps": "1", "--size": "64"},
    "style-distance": {"--size": "64"},
    "fool": {"--steps": "1", "--second": "none"},
    "manifold": {
        "--pictures": "120", "--seeds": "1", "--classifier-steps": "10", "--density-steps": "10", "--noise": "50",
        "--each": "10", "--plane": "8", "--attacked": "2", "--attack-steps": "2",
    },
    "autoencode": {"--epochs": "1", "--most": "100", "--parts": "lossy"},
}  # fmt: skip
# Values that mean much work in themselves.
_LESS = {"--zoom": "2", "--class": "zebra"}


def smaller(command: list[str]) -> list[str]:
    """The same command with less to do."""
    done = list(command)
    for flag, value in SMALL.get(command[0], {}).items():
        if flag in done:
            done[done.index(flag) + 1] = value
        else:
            done += [flag, value]
    for flag, value in _LESS.items():
        if flag in done and done[done.index(flag) + 1] in ("100", "all"):
            done[done.index(flag) + 1] = value
    return done
