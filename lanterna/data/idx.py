"""IDX, the format of MNIST and its kin: big-endian sizes, then bytes."""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lanterna.errors import InputError

__all__ = ["read_idx"]

_UNSIGNED_BYTES = 0x08


def read_idx(path: Path) -> Tensor:
    """The array of an IDX file of unsigned bytes, gzipped or not: uint8. Raises InputError for a damaged one."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} is not a whole IDX file: {error}") from error
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if zero or kind != _UNSIGNED_BYTES or len(values) != prod(shape):
        raise InputError(f"{path} is not a whole IDX file of bytes: it says {shape} and has {len(values)} values")
    return torch.from_numpy(values.reshape(shape).copy())
