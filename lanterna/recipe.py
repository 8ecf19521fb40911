"""What every technique's recipe has in common: a frozen value that decides the result and can be written down."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Recipe"]


class Recipe(BaseModel):
    """All that decides a result; the same recipe gives the same bits on the same machine with the same threads.

    A technique adds `technique` and `schema_version` as literals, and a description and bounds for each of its fields: flags,
    TOML files and the records inside PNGs are derived from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: Annotated[int, Field(ge=0, le=2**63 - 1, description="decides all chance")] = 0

    def inputs(self) -> tuple[str, ...]:
        """The pictures that go in, as they were named: files, or sample pictures."""
        return ()

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each thing that goes in, by its name: replay warns where it has changed."""
        # Here, as it imports torch, which the help of a command has no need of.
        from lanterna import pictures

        return {name: pictures.digest(name) for name in self.inputs()}
