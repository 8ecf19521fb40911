"""What Lanterna looks at: networks, where they come from, their layers and how they are read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lanterna.networks.layer import Layer
    from lanterna.networks.network import LOGITS, Network, Prediction
    from lanterna.networks.preprocessing import Preprocessing

__all__ = ["LOGITS", "Layer", "Network", "Prediction", "Preprocessing"]

# Where each name lives, imported when it is first used: which networks there are is told without torch.
_HOME = {
    "LOGITS": "network",
    "Layer": "layer",
    "Network": "network",
    "Prediction": "network",
    "Preprocessing": "preprocessing",
}

if not TYPE_CHECKING:  # a type checker would take any misspelt name for one of these

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'lanterna.networks' has no attribute {name!r}")
        value = getattr(import_module(f"lanterna.networks.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
