"""The network that paints and recreates: of some networks the pictures say more than of others."""

from lanterna.networks import wheels
from lanterna.networks.builtin import BUILTIN
from lanterna.networks.network import Network
from lanterna.networks.sources import load
from lanterna.networks.wheels import WheelFile
from lanterna.techniques.style_layers import CHAIN
from lanterna.tour_recipe import TourRecipe

__all__ = ["OWN", "PAINTED", "missing_files", "painter_for"]

# The chapters that are made by it.
PAINTED = ("style",)
# As the recipe's painter: the network that is looked at.
OWN = "own"


def painter_for(recipe: TourRecipe, network: Network) -> Network:
    """The network of the chapters `PAINTED`: as the recipe says, else that of `texture` where it is here, else `network`.

    Raises InputError, or one of its kinds, for a name that is no network, and MissingError where a file of it is not here.
    """
    name = recipe.painter or CHAIN
    if name in (OWN, network.source) or missing_files(recipe, network):
        return network
    return load(name).to(network.device)


def missing_files(recipe: TourRecipe, network: Network) -> tuple[WheelFile, ...]:
    """What has to be fetched for the painter, where nobody chose another and the network is not it."""
    if recipe.painter is not None or network.source == CHAIN:
        return ()
    files = [file for entry in BUILTIN if entry.name == CHAIN for file in entry.wheel_files]
    return tuple(file for file in files if wheels.find(file) is None)
