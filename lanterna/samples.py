"""Photographs and textures that come inside the packages Lanterna needs anyway."""

import importlib.util
from pathlib import Path

from lanterna.errors import UnknownNameError

__all__ = ["sample", "samples"]

# Only real pictures: no drawings, no test patterns, no scanned text.
_SHIPPED = {
    ("skimage", "data"): (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "moon.png",
        "motorcycle_left.png",
        "retina.jpg",
        "rocket.jpg",
    ),
    ("sklearn", "datasets/images"): ("china.jpg", "flower.jpg"),
    ("matplotlib", "mpl-data/sample_data"): ("grace_hopper.jpg",),
}


def samples() -> dict[str, Path]:
    """The sample pictures that are installed: name to file, sorted by name.

    The names are the files' without suffix: `chelsea` is a cat, `coffee` an espresso, `brick` a texture.
    """
    found: dict[str, Path] = {}
    for (package, folder), files in _SHIPPED.items():
        # The specification says where a package is without the seconds that importing it takes.
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            for file in files:
                path = Path(location, folder, file)
                if path.is_file():
                    found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def sample(name: str) -> Path:
    """The file of one sample picture.

    Raises UnknownNameError, with the nearest matches, for a name that `samples()` does not have.

    >>> sample("chelsea").name
    'chelsea.png'
    """
    known = samples()
    if name not in known:
        raise UnknownNameError("sample picture", name, known, hint="there are: " + ", ".join(known))
    return known[name]
