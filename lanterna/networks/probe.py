"""One forward pass, watched operation by operation: what the layers are, and how far each one sees.

Receptive fields are computed where they arise, in the operations themselves (convolution, pooling, padding), and not from
the modules' attributes: functional calls, branches, padding that depends on the size, and reused modules come out right
without a tracer that has to understand the model's Python.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lanterna.networks.capture import first_tensor, frozen

__all__ = ["Axis", "Call", "Probe", "View", "probe"]


@dataclass(frozen=True)
class Axis:
    """Position i of a feature map sees input pixels first + i * stride to last + i * stride, both included."""

    first: float = 0.0
    last: float = 0.0
    stride: float = 1.0

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> "Axis":
        """The axis after a convolution or a pooling window."""
        first = self.first - padding * self.stride
        last = self.last + (dilation * (kernel - 1) - padding) * self.stride
        return Axis(first, last, self.stride * stride)

    @property
    def size(self) -> int:
        """Length of the receptive field in pixels."""
        return ceil(self.last) - floor(self.first) + 1


# What a tensor sees: an axis for rows and one for columns, or None where every position sees the whole picture.
View = tuple[Axis, Axis] | None


@dataclass(frozen=True)
class Call:
    """One call of one module in the forward pass."""

    name: str
    number: int
    kind: str
    shape: tuple[int, ...]
    view: View
    parameters: int
    leaf: bool


@dataclass
class Probe:
    """Everything one forward pass tells. `calls` in the order in which they end."""

    calls: list[Call] = field(default_factory=list)
    rewritten: set[str] = field(default_factory=set)
    foldable: list[tuple[str, str]] = field(default_factory=list)
    in_place: list[tuple[str, str]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How often each module runs in one pass."""
        return {call.name: call.number for call in self.calls}


def _pair(value: Any, default: int = 1) -> tuple[int, int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    values = values or [default]
    return int(values[0]), int(values[-1])


def _argument(args: tuple[Any, ...], position: int, default: Any) -> Any:
    return args[position] if len(args) > position else default


def _windowed(view: View, kernel: Any, stride: Any, padding: Any, dilation: Any) -> View:
    if view is None:
        return None
    options = list(zip(_pair(kernel), _pair(stride), _pair(padding, 0), _pair(dilation), strict=True))
    return view[0].window(*options[0]), view[1].window(*options[1])


def _convolution(view: View, args: tuple[Any, ...], _out: Tensor) -> View:
    weight, stride, padding, dilation, transposed = args[1], args[3], args[4], args[5], args[6]
    if view is None or weight.ndim != 4:
        return None
    if not transposed:
        return _windowed(view, weight.shape[2:], stride, padding, dilation)
    axes = []
    for axis, k, s, p, d in zip(view, weight.shape[2:], _pair(stride), _pair(padding, 0), _pair(dilation), strict=True):
        # Output o is fed by inputs (o + p - d * j) / s, j in 0..k-1; rounding outwards keeps the field whole.
        step = axis.stride / s
        axes.append(Axis(axis.first + (p - d * (k - 1)) * step, axis.last + p * step, step))
    return axes[0], axes[1]


def _average_pool(view: View, args: tuple[Any, ...], _out: Tensor) -> View:
    kernel = args[1]
    return _windowed(view, kernel, _argument(args, 2, kernel) or kernel, _argument(args, 3, 0), 1)


def _max_pool(view: View, args: tuple[Any, ...], _out: Tensor) -> View:
    kernel = args[1]
    stride = _argument(args, 2, kernel) or kernel
    return _windowed(view, kernel, stride, _argument(args, 3, 0), _argument(args, 4, 1))


def _pad(view: View, args: tuple[Any, ...], _out: Tensor) -> View:
    if view is None:
        return None
    amounts = [*args[1], 0, 0, 0, 0]
    (left, top) = amounts[0], amounts[2]
    rows, columns = view
    return (
        Axis(rows.first - top * rows.stride, rows.last - top * rows.stride, rows.stride),
        Axis(columns.first - left * columns.stride, columns.last - left * columns.stride, columns.stride),
    )


def _adaptive(view: View, args: tuple[Any, ...], out: Tensor) -> View:
    source = args[0].shape[-2:]
    if view is None or source[0] % out.shape[-2] or source[1] % out.shape[-1]:
        return None  # uneven windows: said to see everything rather than a field that is right for some positions only
    window = (source[0] // out.shape[-2], source[1] // out.shape[-1])
    return None if tuple(out.shape[-2:]) == (1, 1) else _windowed(view, window, window, 0, 1)


def _resample(view: View, args: tuple[Any, ...], out: Tensor) -> View:
    if view is None:
        return None
    axes = []
    for axis, before, after in zip(view, args[0].shape[-2:], out.shape[-2:], strict=True):
        step = axis.stride * before / after
        # Half-pixel centres; bicubic reaches two source positions to either side.
        shift = (step - axis.stride) / 2
        axes.append(Axis(axis.first + shift - 2 * axis.stride, axis.last + shift + 2 * axis.stride, step))
    return axes[0], axes[1]


def _everywhere(_view: View, _args: tuple[Any, ...], _out: Tensor) -> View:
    """Statistics of the whole map: every position sees the whole picture."""
    return None


def _batch_norm(view: View, args: tuple[Any, ...], _out: Tensor) -> View:
    # In evaluation with running statistics it is local; instance normalisation calls it with statistics of the map.
    return None if len(args) > 5 and args[5] is True else view


_RULES: dict[str, Callable[[View, tuple[Any, ...], Tensor], View]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
    "constant_pad_nd": _pad,
    "reflection_pad2d": _pad,
    "replication_pad2d": _pad,
    "_adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "native_group_norm": _everywhere,
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
}


def _union(views: list[tuple[View, Tensor]], out: Tensor) -> View:
    """What a position of an elementwise result sees: all that its operands see there."""
    local = []
    for view, tensor in views:
        if view is None or tensor.ndim != 4 or out.ndim != 4 or tensor.shape[-2:] != out.shape[-2:]:
            return None
        local.append(view)
    if len({(view[0].stride, view[1].stride) for view in local}) > 1:
        return None
    axes = [Axis(min(v[i].first for v in local), max(v[i].last for v in local), local[0][i].stride) for i in range(2)]
    return axes[0], axes[1]


class _Watch(TorchDispatchMode):
    """Follows what each tensor sees, and how many operations read it."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.views: dict[int, View] = {id(picture): (Axis(), Axis())}
        self.readers: dict[int, int] = {}
        self.alive: list[Tensor] = [picture]  # an id is only unique while its tensor lives

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        operands = [t for a in (*args, *(kwargs or {}).values()) for t in (a if isinstance(a, list | tuple) else (a,))]
        seen = [t for t in operands if isinstance(t, Tensor) and id(t) in self.views]
        for tensor in seen:
            self.readers[id(tensor)] = self.readers.get(id(tensor), 0) + 1
        result = first_tensor(out)
        if result is None or not seen:
            return out
        if name in _RULES:
            view = _RULES[name](self.views[id(seen[0])], args, result)
        elif name.startswith("upsample") or name.startswith("_upsample"):
            view = _resample(self.views[id(seen[0])], args, result)
        else:
            view = _union([(self.views[id(tensor)], tensor) for tensor in seen], result)
        for part in out if isinstance(out, list | tuple) else [out]:
            if isinstance(part, Tensor):
                self.views[id(part)] = view
                self.alive.append(part)
        return out


def probe(module: nn.Module, picture: Tensor) -> Probe:
    """Run `picture` (1, C, H, W), already preprocessed, once through `module` and report every call.

    The module is as it was afterwards. The convolutions that `foldable` names feed one batch normalisation and nothing else;
    the convolutions and normalisations that `in_place` names feed one ReLU module and nothing else.
    """
    found, watch = Probe(), _Watch(picture)
    versions: list[tuple[str, Tensor, int]] = []
    produced: dict[int, str] = {}
    outputs: dict[int, int] = {}
    consumed: list[tuple[str, str, Tensor]] = []
    counts: dict[str, int] = {}
    handles = []

    def before(name: str) -> Any:
        def hook(_part: nn.Module, inputs: tuple[Any, ...]) -> None:
            if inputs and id(inputs[0]) in produced:
                consumed.append((produced[id(inputs[0])], name, inputs[0]))

        return hook

    def after(name: str) -> Any:
        def hook(part: nn.Module, _inputs: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is None:
                return
            counts[name] = counts.get(name, 0) + 1
            leaf = next(part.children(), None) is None
            parameters = sum(parameter.numel() for parameter in part.parameters())
            view = watch.views.get(id(tensor))
            shape = tuple(tensor.shape[1:])
            found.calls.append(Call(name, counts[name], type(part).__name__, shape, view, parameters, leaf))
            watch.alive.append(tensor)
            outputs[id(tensor)] = outputs.get(id(tensor), 0) + 1
            versions.append((f"{name}#{counts[name]}", tensor, tensor._version))
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
                produced[id(tensor)] = name

        return hook

    try:
        for name, part in module.named_modules():
            if isinstance(part, nn.BatchNorm2d | nn.ReLU | nn.ReLU6):
                handles.append(part.register_forward_pre_hook(before(name)))
            handles.append(part.register_forward_hook(after(name)))
        # Not inference mode: its tensors keep no version counter, and in-place changes are found by that.
        with frozen(module), torch.no_grad(), watch:
            module(picture)
    finally:
        for handle in handles:
            handle.remove()
    found.rewritten = {key for key, tensor, version in versions if tensor._version != version}
    once = {name for name, count in counts.items() if count == 1}
    parts = dict(module.named_modules())
    for producer, consumer, tensor in consumed:
        # A block that ends in the producer has the same output: it would be changed under its other name.
        alone = watch.readers.get(id(tensor)) == 1 and outputs[id(tensor)] == 1
        if alone and producer in once and consumer in once:
            if not isinstance(parts[consumer], nn.BatchNorm2d):
                found.in_place.append((producer, consumer))
            elif isinstance(parts[producer], nn.Conv2d):
                found.foldable.append((producer, consumer))
    return found
