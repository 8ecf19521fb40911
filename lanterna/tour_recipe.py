"""What decides the tour's page: apart from what makes it, so that `lanterna tour --help` need not import torch."""

from typing import Annotated, Literal

from pydantic import Field

from lanterna.recipe import Names, Recipe

__all__ = ["Language", "TourRecipe"]

Language = Literal["auto", "en", "it"]

# Below so many seconds chapters show the lecture's point and leave out its variations.
HURRIED = 120.0


class TourRecipe(Recipe):
    """What decides the page."""

    technique: Literal["tour"] = "tour"
    schema_version: Literal[1] = 1
    picture: Annotated[str, Names("picture"), Field(description="a file, or the name of a sample picture")] = "chelsea"
    pictures: Annotated[str | None, Field(description="a folder to look for patterns in; by default the samples")] = None
    styles: Annotated[
        tuple[str, ...],
        Names("picture"),
        Field(max_length=8, description="a painting for the chapter on style: a file or a sample; can be given again"),
    ] = ()
    painter: Annotated[
        str | None,
        Names("network", ("own",)),
        Field(description="the network that paints and recreates, or own; by default that of textures, where it is here"),
    ] = None
    chapters: Annotated[
        tuple[str, ...], Field(description="the chapters to make, by name or number, with commas; all by default")
    ] = ()
    depths: Annotated[int, Field(ge=1, le=24, description="layers to visualise")] = 6
    units: Annotated[int, Field(ge=1, le=24, description="units of each layer")] = 6
    steps: Annotated[
        int | None, Field(ge=0, le=100_000, description="steps of each picture; by default what `seconds` allows")
    ] = None
    seconds: Annotated[float, Field(gt=0, le=604_800, description="about how long the making may take")] = 300.0
    size: Annotated[
        int | None,
        Field(ge=16, description="side of the layers' pictures, at most the network's own; by default what a pass allows"),
    ] = None
    language: Annotated[Language, Field(description="the language that the page opens in; auto is the reader's own")] = "auto"

    @property
    def hurried(self) -> bool:
        """Whether so little time is given that chapters show the lecture's point and leave out its variations."""
        return self.seconds < HURRIED
