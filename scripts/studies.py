"""Make the full runs that come with the package: run `manifold` and `autoencode` at their defaults and keep what pages show.

Run `lanterna fetch mnist_5k` once, then `python scripts/studies.py`; it writes lanterna/studies. That takes as long as the
two commands; models that they have left in the cache are used.
"""

import argparse
from pathlib import Path

import torch

from lanterna.autoencode import AutoencodeRecipe
from lanterna.autoencode import run as autoencode
from lanterna.autoencode.stored import keep as keep_autoencode
from lanterna.manifold.stored import keep as keep_manifold
from lanterna.techniques.manifold import ManifoldRecipe
from lanterna.techniques.manifold import run as manifold

TARGET = Path(__file__).parent.parent / "lanterna" / "studies"
# Of `autoencode` what the tour shows.
PARTS = ("lossy", "regular")


def main() -> None:
    """Run and keep the studies that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", default=["manifold", "autoencode"], help="manifold, autoencode, or both")
    parser.add_argument("--threads", type=int, help="threads for computing; by default as many as cores")
    parser.add_argument("--out", type=Path, default=TARGET, help="the folder to write into")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if "manifold" in given.studies:
        made = manifold(ManifoldRecipe())
        keep_manifold(made.studies[0], made.recipe.model_dump(mode="json"), made.numbers(), given.out)
    if "autoencode" in given.studies:
        keep_autoencode(autoencode(AutoencodeRecipe(parts=PARTS)), given.out)
    for path in sorted(given.out.glob("*.*")):
        print(f"{path.stat().st_size:>9,} {path.name}")


if __name__ == "__main__":
    main()
