"""What Lanterna looks at: networks, where they come from, their layers and how they are read."""

from lanterna.networks.layer import Layer
from lanterna.networks.network import LOGITS, Network, Prediction
from lanterna.networks.preprocessing import Preprocessing

__all__ = ["LOGITS", "Layer", "Network", "Prediction", "Preprocessing"]
