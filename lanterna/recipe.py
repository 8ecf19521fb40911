"""What every technique's recipe has in common: a frozen value that decides the result and can be written down."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Named", "Names", "Recipe"]

# Characters of a text, and entries of a list: a recipe may be a stranger's. A path has at most so many, and Python reads no
# number of more than 4,300 digits.
_LONGEST = 4096

Kind = Literal["picture", "data", "network"]


@dataclass(frozen=True)
class Names:
    """Marks a field of a recipe that names something to load: a picture (or a clip), a data set, or a network.

    `words` are values that name nothing, such as "noise". Every field that names something has this mark, for it is what
    decides whether a recipe from a stranger may be used (`lanterna.outside`).
    """

    kind: Kind
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Named:
    """One thing that a recipe names: in which field, of which kind, and how it is called there."""

    field: str
    kind: Kind
    value: str


class Recipe(BaseModel):
    """All that decides a result; the same recipe gives the same bits on the same machine with the same threads.

    A technique adds `technique` and `schema_version` as literals, and a description and bounds for each of its fields: flags,
    TOML files and the records inside PNGs are derived from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: Annotated[int, Field(ge=0, le=2**63 - 1, description="decides all chance")] = 0

    @model_validator(mode="after")
    def _nothing_endless(self) -> Self:
        # Not by pydantic's own limit, which refuses names of files that are not UTF-8.
        for field in type(self).model_fields:
            value = getattr(self, field)
            if isinstance(value, tuple) and len(value) > _LONGEST:
                raise ValueError(f"{field} has {len(value):,} entries; at most {_LONGEST:,} are allowed")
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and len(text) > _LONGEST:
                    raise ValueError(f"{field} has {len(text):,} characters; at most {_LONGEST:,} are allowed")
        return self

    def named(self) -> Iterator[Named]:
        """Everything outside the recipe that it names, in the order of its fields."""
        for field, about in type(self).model_fields.items():
            for mark in about.metadata:
                if isinstance(mark, Names):
                    value = getattr(self, field)
                    values = value if isinstance(value, tuple) else () if value is None else (value,)
                    yield from (Named(field, mark.kind, one) for one in values if one not in mark.words)

    def inputs(self) -> tuple[str, ...]:
        """The pictures that go in, as they were named: files, or sample pictures."""
        return tuple(dict.fromkeys(one.value for one in self.named() if one.kind == "picture"))

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each thing that goes in, by its name: replay warns where it has changed."""
        # Here, as it imports torch, which the help of a command has no need of.
        from lanterna import pictures

        return {name: pictures.digest(name) for name in self.inputs()}
