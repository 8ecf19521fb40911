"""Make the picture and the numbers of docs/dream.md: `python scripts/dream_pictures.py`, a minute on two cores."""

from pathlib import Path

import lanterna

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
LAYERS = ("blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5.1")


def main() -> None:
    """The cat through five layers, then the controls and a guide, all at 300 px and three octaves."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    network = lanterna.load("efficientnet_lite0")
    common = {"size": "300", "octaves": 3}
    dreams = {layer: network.dream("chelsea", layer, **common) for layer in LAYERS}
    dreams["from noise"] = network.dream("noise", size="200x300", octaves=3)
    dreams["untrained"] = network.dream("chelsea", untrained=True, **common)
    dreams["guided by a dahlia"] = network.dream("chelsea", guide="flower", **common)
    for title, dream in dreams.items():
        print(f"{title}: {dream.start_activation[0]:.2f} to {dream.activation[0]:.2f}")
    sheet = lanterna.pictures.sheet([dream.picture for dream in dreams.values()], list(dreams), columns=4)
    lanterna.pictures.to_pil(sheet).save(FOLDER / "dream.jpg", quality=72, optimize=True)


if __name__ == "__main__":
    main()
