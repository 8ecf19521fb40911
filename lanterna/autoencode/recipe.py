"""What decides an autoencoder and what is shown with it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lanterna import data as data_sets
from lanterna.autoencode.training import Plan
from lanterna.autoencode.variants import Variant
from lanterna.recipe import Names, Recipe

__all__ = ["PARTS", "AutoencodeRecipe"]

PARTS = ("lossy", "bits", "specific", "regular", "loses", "manifold", "generate")


# Values of a picture of 64 x 64 in color: a longer code is no bottleneck.
_MOST_NUMBERS = 64 * 64 * 3


class AutoencodeRecipe(Recipe):
    """All that decides the models, the numbers and the figures."""

    technique: Literal["autoencode"] = "autoencode"
    schema_version: Literal[1] = 1
    data: Annotated[
        str,
        Names("data", ("patches",)),
        Field(description="mnist_5k, fashion_mnist, folder:PATH, patches, or torchvision:NAME"),
    ] = "mnist_5k"
    model: Annotated[Variant, Field(description="the bottleneck and its loss")] = "conv"
    code: Annotated[tuple[int, ...], Field(min_length=1, max_length=16, description="sizes of the code, with commas")] = (
        2, 8, 32, 128,
    )  # fmt: skip
    epochs: Annotated[int, Field(ge=1, le=10_000, description="passes over the training pictures")] = 30
    patience: Annotated[int, Field(ge=1, description="epochs without a better held-out loss that end the training")] = 15
    batch: Annotated[int, Field(ge=1, le=4096, description="pictures a step; at most as many as there are")] = 64
    lr: Annotated[float, Field(gt=0, le=1, description="highest learning rate")] = 2e-3
    augment: Annotated[
        float, Field(ge=0, le=4, description="how far training pictures are moved and bent; 0 is not at all")
    ] = 0.5
    kl_weight: Annotated[float, Field(ge=0, description="weight of the KL divergence, in nats a picture (vae)")] = 1.0
    noise: Annotated[float, Field(ge=0, le=1, description="deviation of the noise to be removed (denoising)")] = 0.3
    side: Annotated[Literal[32, 64], Field(description="side in pixels of folders' pictures and patches")] = 32
    most: Annotated[int, Field(ge=8, le=1_000_000, description="pictures to use, at most")] = 5000
    repeats: Annotated[int, Field(ge=1, le=20, description="trainings of each size, from other seeds, for the spread")] = 1
    parts: Annotated[tuple[str, ...], Field(description="what to show: " + ",".join(PARTS) + ", or models")] = PARTS

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        for name in self.parts:
            if name not in (*PARTS, "models"):
                raise ValueError(f"there is no part {name!r}; the parts are {', '.join((*PARTS, 'models'))}")
        if any(not 1 <= size <= _MOST_NUMBERS for size in self.code):
            raise ValueError(f"a code has 1 to {_MOST_NUMBERS:,} numbers; a picture here has no more")
        if len(set(self.code)) < len(self.code):
            raise ValueError("a size of the code is given twice")
        return self

    @property
    def plan(self) -> Plan:
        """The training that follows from it."""
        return Plan(epochs=self.epochs, batch=self.batch, lr=self.lr, patience=self.patience)

    def digests(self) -> dict[str, str]:
        """The content of the data."""
        return {} if self.data == "patches" else {self.data: data_sets.load(self.data).fingerprint}
