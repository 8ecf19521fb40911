"""One layer of a network, as it is listed."""

from dataclasses import dataclass

from lanterna.networks.probe import Call, View

__all__ = ["Layer"]


@dataclass(frozen=True)
class Layer:
    """One layer as `lanterna layers` lists it.

    `shape` is that of the output without the batch: (channels, height, width) or (channels,). `receptive_field` is the
    (height, width) in pixels that one position sees, None where it sees the whole picture; `stride` the distance in
    pixels between neighbouring positions. `view` places the field exactly: see `probe.Axis`. `leaf` says that the layer is a
    single operation and no block.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    receptive_field: tuple[int, int] | None
    stride: tuple[float, float] | None
    parameters: int
    view: View = None
    leaf: bool = True

    @property
    def channels(self) -> int:
        """How many units the layer has."""
        return self.shape[0]

    @classmethod
    def from_call(cls, call: Call, name: str) -> "Layer":
        """A layer out of what the probe saw."""
        field = stride = None
        if call.view is not None:
            rows, columns = call.view
            field, stride = (rows.size, columns.size), (rows.stride, columns.stride)
        return cls(name, call.kind, call.shape, field, stride, call.parameters, call.view, call.leaf)
