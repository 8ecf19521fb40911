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
from lanterna.files import open_regular

__all__ = ["read_idx"]

_UNSIGNED_BYTES = 0x08
# EMNIST, the largest of its kin, has 697,932 pictures of 784 bytes.
_MOST_BYTES = 1 << 30


def read_idx(path: Path) -> Tensor:
    """The array of an IDX file of unsigned bytes, gzipped or not: uint8. Raises InputError for a damaged one."""
    try:
        with open_regular(path) as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise OSError(f"it has more than {_MOST_BYTES:,} bytes")
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} is not a whole IDX file: {error}") from error
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if zero or kind != _UNSIGNED_BYTES or len(values) != prod(shape):
        raise InputError(f"{path} is not a whole IDX file of bytes: it says {shape} and has {len(values)} values")
    return torch.from_numpy(values.reshape(shape).copy())
