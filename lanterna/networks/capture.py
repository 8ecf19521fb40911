"""Reading layers of a live module, and leaving it as it was found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lanterna.errors import UnknownNameError

__all__ = ["Capture", "Passing", "capture", "first_tensor", "frozen", "split_call"]


class _StopForward(Exception):  # noqa: N818 - control flow, not an error: nothing below the deepest layer is run
    pass


def first_tensor(output: Any) -> Tensor | None:
    """The tensor in a module's output: itself, or the first one in a tuple, list or mapping."""
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, Sequence) else ()
    for part in parts:
        if not isinstance(part, str) and (tensor := first_tensor(part)) is not None:
            return tensor
    return None


def split_call(layer: str) -> tuple[str, int | None]:
    """'relu#2' is the second call of the module 'relu'; 'relu' alone, its last call (None)."""
    name, _, call = layer.rpartition("#")
    # A module may have # in its own name.
    return (name, int(call)) if name and call.isdecimal() else (layer, None)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradient for weights; every flag is as it was afterwards, also on error."""
    modes = [(part, part.training) for part in module.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        module.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@dataclass(frozen=True)
class Passing:
    """A layer as it passes by: `features` (B, C, ...), which are not to be kept or changed, under the `names` asked for.

    `came_from` is what the module computed them from; in place it is the same tensor. With `affine`, (scale, shift), the
    layer's own values are features * scale + shift, channel by channel; no scale is zero.
    """

    names: tuple[str, ...]
    features: Tensor
    module: nn.Module
    came_from: Tensor | None
    affine: tuple[Tensor, Tensor] | None = None


class Capture:
    """The layers of one module, read by forward passes that stop at the deepest of them.

    `calls` says how often each module runs in one forward pass (from `probe`), `rewritten` which outputs a later
    in-place operation changes, so that they are copied when they pass by. With `visit`, a layer is handed over when it is
    computed and not kept: it is still in the processor's cache then, and memory stays small. `passing` has functions by
    layer, what of which is kept in place of the layer.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        calls: Mapping[str, int],
        rewritten: set[str],
        visit: Callable[[Passing], None] | None = None,
        passing: Mapping[str, Callable[[Tensor], Any]] | None = None,
    ) -> None:
        self._module = module
        self._visit, self._passing = visit, passing or {}
        self._wanted: dict[str, dict[int, list[str]]] = {}
        self._parts = dict(module.named_modules())
        for layer in layers:
            name, call = split_call(layer)
            if name not in self._parts or name not in calls:
                raise UnknownNameError("layer", layer, self._parts, where=type(module).__name__)
            self._wanted.setdefault(name, {}).setdefault(call or calls[name], []).append(layer)
        self._total = sum(len(by_call) for by_call in self._wanted.values())
        self._rewritten = rewritten
        self._count: dict[str, int] = {}
        self._found: dict[str, Tensor] = {}
        self._seen = 0
        self._running = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Hook the modules that are wanted, and no others; hooks and flags are as they were afterwards, also on error."""
        handles: list[RemovableHandle] = []
        with frozen(self._module):
            try:
                for name in self._wanted:
                    handles.append(self._parts[name].register_forward_hook(self._hook(name)))
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def _hook(self, name: str) -> Any:
        wanted = self._wanted[name]

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            # The network may also be run by someone else meanwhile, such as a listener that reads the preview.
            if not self._running:
                return
            self._count[name] = self._count.get(name, 0) + 1
            layers = wanted.get(self._count[name])
            if layers is None:
                return
            tensor = first_tensor(output)
            if tensor is not None and self._visit is not None:
                self._visit(Passing(tuple(layers), tensor, module, first_tensor(inputs)))
            elif tensor is not None:
                key = f"{name}#{self._count[name]}"
                tensor = tensor.clone() if key in self._rewritten else tensor
                self._found |= {layer: self._passing[layer](tensor) if layer in self._passing else tensor for layer in layers}
            self._seen += 1
            if self._seen == self._total:
                raise _StopForward

        return hook

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """Run `inputs` (already preprocessed) and return the layers asked for, each (B, C, ...)."""
        self._count, self._found, self._seen = {}, {}, 0
        if not self._wanted:
            return {}
        self._running = True
        # The module stops half-way on purpose; nothing of the exception leaves this call.
        try:
            with suppress(_StopForward):
                self._module(inputs)
        finally:
            found, self._found, self._running = self._found, {}, False
        return found


@contextmanager
def capture(
    module: nn.Module, layers: Sequence[str], calls: Mapping[str, int] | None = None, rewritten: set[str] | None = None
) -> Iterator[Capture]:
    """Read `layers` of `module` by name; hooks and flags are as they were afterwards, also on error.

    The user's own hooks stay and run. Without `calls`, each module is taken to run once in a pass.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    >>> with capture(net, ["1"]) as read:
    ...     read(torch.zeros(1, 3, 8, 8))["1"].shape
    torch.Size([1, 4, 6, 6])
    """
    names = {split_call(layer)[0] for layer in layers}
    reader = Capture(module, layers, calls or dict.fromkeys(names, 1), rewritten or set())
    with reader.installed():
        yield reader
