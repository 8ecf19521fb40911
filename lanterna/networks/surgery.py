"""Putting one part of a module in the place of another."""

from torch import nn

__all__ = ["hooked", "put"]


def hooked(part: nn.Module) -> bool:
    """Whether the user has hooks on `part`, which a stand-in would not run."""
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks)


def put(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` is in `module`: a part may be registered under several names, and be called by any of them."""
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                parent._modules[name] = new
