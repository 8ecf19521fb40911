"""What a recipe from outside may load.

People send each other pictures. A picture's record, a TOML file, or a form names networks, pictures and data, and whoever
made it may have named anything. So what it names is looked at here, in one place and before anything is loaded:

- networks that are built in, or that are here already: yes. Code (`python:`), files (`file:`) and downloads: no.
- pictures that come with the installation, or that lie beside the recipe or in the current folder: yes, where they match the
  hash that was recorded. Files elsewhere: no.
- data that is here already: yes. Folders and downloads: no.

The person at the keyboard can vouch for the rest (`Vouched`). A recipe that comes over a network never is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from lanterna import pictures
from lanterna.data import sources as data_sources
from lanterna.errors import PictureError, UntrustedError
from lanterna.networks import sources as network_sources
from lanterna.networks.catalogue import UNTRAINED
from lanterna.recipe import Named, Recipe

__all__ = ["Admitted", "Vouched", "admit", "network_refusal", "refuse"]


@dataclass(frozen=True)
class Vouched:
    """What the person at the keyboard says to a recipe from outside.

    `everything` is to load whatever it names. `pictures` and `data` are used instead of those that it names.
    """

    everything: bool = False
    pictures: tuple[str, ...] = ()
    data: str | None = None


@dataclass(frozen=True)
class Admitted:
    """What became of a recipe from outside.

    `recipe` has the files that were found in the place of those it names. `refused` says what must not be loaded, and why;
    `warnings` what is used although it differs from what was recorded; `lines` what the recipe would load, for a person.
    """

    recipe: Recipe
    refused: tuple[str, ...]
    warnings: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass
class _Findings:
    """As `Admitted`, while the things are looked at one by one; `chosen` is what is used instead of what is named."""

    chosen: dict[Named, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def network_refusal(spec: str) -> str | None:
    """Why the network that a recipe from outside names is not loaded; None where it may be."""
    kind = spec.partition(":")[0] if ":" in spec else ""
    if kind == "python":
        return "it is code, and code from outside is not run"
    if kind == "file":
        return "it is a file of the recipe's choice"
    if spec.partition("@")[2] in UNTRAINED:
        # The largest architectures take tens of gigabytes, and none of their weights would say that they are not here.
        return "it is an untrained network, of any size"
    return "it is not here and would be downloaded" if network_sources.needs_download(spec) else None


def refuse(refused: Sequence[str], source: str, advice: str) -> None:
    """Raise UntrustedError in one line where anything is refused."""
    if refused:
        raise UntrustedError(f"{source} names what is not loaded from outside: {'; '.join(refused)}. {advice}")


def admit(
    recipe: Recipe,
    *,
    folders: Sequence[Path] = (),
    hashes: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
    vouched: Vouched | None = None,
) -> Admitted:
    """Looks at all that the recipe names, and loads none of it.

    `folders` are where files may lie: beside the recipe, and the current one. `hashes` are those recorded, by name; None
    for a file that records none. `only` are the fields that come from outside, by default all.
    """
    vouched = vouched or Vouched()
    names = [one for one in dict.fromkeys(recipe.named()) if only is None or one.field in set(only)]
    found = _Findings()
    own = _assign(list(vouched.pictures), [one for one in names if one.kind == "picture"], hashes or {})
    for one in names:
        if one.kind == "picture":
            _look_at_picture(one, own.get(one.value), folders, hashes, vouched, found)
        elif one.kind == "network":
            _look_at_network(one, vouched, found)
        else:
            _look_at_data(one, hashes, vouched, found)
    return Admitted(_with(recipe, found.chosen), tuple(found.refused), tuple(found.warnings), tuple(found.lines))


def _with(recipe: Recipe, chosen: Mapping[Named, str]) -> Recipe:
    """`recipe` with other values for what it names, checked again."""
    values = recipe.model_dump()
    for one, value in chosen.items():
        old = values[one.field]
        values[one.field] = tuple(value if part == one.value else part for part in old) if isinstance(old, tuple) else value
    return type(recipe).model_validate(values)


def _assign(given: list[str], names: list[Named], hashes: Mapping[str, str]) -> dict[str, str]:
    """Which of the user's pictures stands for which name: the one with its hash, else in order. Raises UntrustedError."""
    open_names = list(dict.fromkeys(one.value for one in names))
    if len(given) > len(open_names):
        raise UntrustedError(f"{len(given)} pictures were given, and the recipe names {len(open_names)}")
    own: dict[str, str] = {}
    for path in list(given):
        digest = pictures.digest(path)
        name = next((name for name in open_names if hashes.get(name) == digest), None)
        if name is not None:
            own[name] = path
            open_names.remove(name)
            given.remove(path)
    # What is not here needs one of the user's first.
    open_names.sort(key=lambda name: name in pictures.samples())
    return own | dict(zip(open_names, given, strict=False))


def _look_at_picture(
    one: Named,
    own: str | None,
    folders: Sequence[Path],
    hashes: Mapping[str, str] | None,
    vouched: Vouched,
    found: _Findings,
) -> None:
    expected = None if hashes is None else hashes.get(one.value)
    hashed = f", {expected[:12]}" if expected else ""
    if own is not None:
        found.chosen[one] = own
        if expected is not None and pictures.digest(own) != expected:
            found.warnings.append(f"{own} is not the file the picture was made from")
        found.lines.append(f"picture {own}: yours, for {one.value!r}")
        return
    if vouched.everything:
        lies, _ = _lying(one.value, folders, expected)
        found.chosen[one] = lies or one.value
        if lies is None:
            found.warnings.append(f"{one.value} is not the file the picture was made from")
        found.lines.append(f"picture {lies or one.value!r}{hashed}: trusted")
        return
    if hashes is not None and expected is None:
        found.refused.append(f"picture {one.value!r} (no hash of it is recorded)")
        return
    lies, reason = _lying(one.value, folders, expected)
    if lies is None:
        found.refused.append(f"picture {one.value!r} ({reason})")
        return
    found.chosen[one] = lies
    found.lines.append(f"picture {one.value!r}{hashed}: here" + ("" if lies == one.value else f", {lies}"))


def _lying(name: str, folders: Sequence[Path], expected: str | None) -> tuple[str | None, str]:
    """The file in `folders` that `name` means, or the sample; else None and why not."""
    reason = "it is not here, beside the recipe or in this folder"
    for candidate in _candidates(name, folders, elsewhere=expected is not None):
        if expected is None:
            return candidate, ""
        try:
            if pictures.digest(candidate) == expected:
                return candidate, ""
        except PictureError as error:
            reason = str(error)
            continue
        reason = "the one that is here is not the file that was recorded"
    return None, reason


def _candidates(name: str, folders: Sequence[Path], *, elsewhere: bool = False) -> Iterator[str]:
    """The sample, and the files in `folders`, that have this name, or lay `elsewhere` where it was recorded."""
    # By Windows' rules as well: a record from another machine has that machine's folders.
    parts = dict.fromkeys((name, PurePosixPath(name).name, PureWindowsPath(name).name) if elsewhere else (name,))
    if name in pictures.samples() and PurePosixPath(name).name == name:
        yield name
    for folder in folders:
        home = folder.resolve()
        for part in parts:
            if not part or "\0" in part:
                continue
            try:
                real = (folder / part).resolve()
                inside = real.is_relative_to(home)
            except (OSError, RuntimeError, ValueError):
                # A name that no file can have.
                continue
            if inside and real.is_file():
                relative = folder == Path() or folder.resolve() == Path.cwd()
                # What begins with ~ would be read from the home folder instead.
                plain = relative and not Path(part).is_absolute() and not part.startswith("~")
                yield part if plain else str(home / part)


def _look_at_network(one: Named, vouched: Vouched, found: _Findings) -> None:
    reason = None if vouched.everything else network_refusal(one.value)
    if reason is not None:
        found.refused.append(f"network {one.value!r} ({reason})")
        return
    found.lines.append(f"network {one.value!r} ({one.field}): {'trusted' if vouched.everything else 'here'}")


def _look_at_data(one: Named, hashes: Mapping[str, str] | None, vouched: Vouched, found: _Findings) -> None:
    if vouched.data is not None:
        found.chosen[one] = vouched.data
        found.lines.append(f"data {vouched.data}: yours, for {one.value!r}")
        return
    if vouched.everything:
        found.lines.append(f"data {one.value!r}: trusted")
    elif one.value.startswith("folder:"):
        # A folder may be large, and links in it may lead anywhere: to compare its hash would read whatever they name.
        found.refused.append(f"data {one.value!r} (it is a folder of the recipe's choice)")
    elif data_sources.needs_download(one.value):
        found.refused.append(f"data {one.value!r} (it is not here and would be downloaded)")
    elif (expected := (hashes or {}).get(one.value)) and data_sources.load(one.value, download=False).fingerprint != expected:
        found.refused.append(f"data {one.value!r} (what is here is not what was recorded)")
    else:
        found.lines.append(f"data {one.value!r}: here")
