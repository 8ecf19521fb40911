"""Make the pictures of the README: `python scripts/readme_pictures.py`, some five minutes on two cores."""

from pathlib import Path

import torch

import lanterna

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
CLASSES = ("goldfish", "castle", "strawberry", "sports car", "daisy", "monarch", "volcano", "peacock")
LAYERS = ("blocks.1", "blocks.3.0", "blocks.4.1", "blocks.5.1", "blocks.6")


def main() -> None:
    """Everything at the defaults, but for the size of the units' pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    network = lanterna.load("efficientnet_lite0")
    classes = network.visualize(*(f"logits:{name}" for name in CLASSES))
    titles = [unit.title for unit in classes.units]
    lanterna.pictures.save(lanterna.pictures.sheet(classes.pictures, titles, columns=4), FOLDER / "classes.jpg")
    rows = [network.visualize(f"{layer}:0-5", size="144") for layer in LAYERS]
    titles = [unit.title for row in rows for unit in row.units]
    units = torch.cat([row.pictures for row in rows])
    lanterna.pictures.save(lanterna.pictures.sheet(units, titles, columns=6), FOLDER / "layers.jpg")
    start = network.visualize("logits:espresso", start="coffee")
    strip = list(start.strip[:, 0])
    steps = [f"step {step}" for step in start.strip_steps]
    lanterna.pictures.save(lanterna.pictures.sheet(strip, steps, columns=len(strip)), FOLDER / "strip.jpg")


if __name__ == "__main__":
    main()
