"""Files from strangers, made small and once: pictures, archives, recipes and weights that are broken or mean harm."""

import io
import json
import os
import pickle
import socket
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

# What the records below would run. It leaves a mark where it was run.
EVIL = """
from pathlib import Path
Path(__file__).with_name("MARK").write_text("run")
def make():
    Path(__file__).with_name("MARK").write_text("called")
"""


def png(path: Path, record: object = None, size: tuple[int, int] = (32, 32), *, raw: str | None = None) -> Path:
    """A PNG with a record: any JSON, or `raw` text in its place."""
    info = PngInfo()
    text = raw if raw is not None else None if record is None else json.dumps(record)
    if text is not None:
        info.add_itxt("lanterna", text)
    Image.effect_noise(size, 40).convert("RGB").save(path, pnginfo=info)
    return path


def record(network: Any = "efficientnet_lite0", technique: str = "visualize", **fields: Any) -> dict[str, Any]:
    """A record as Lanterna writes it; `network` is its source, or the whole part."""
    recipe: dict[str, Any] = {"technique": technique, **fields}
    if technique == "visualize":
        recipe = {"units": ["logits:0"], "steps": 1, "size": "32", **recipe}
    about = {"name": "x", "source": network, "weights_sha256": "0" * 64} if isinstance(network, str) else network
    return {"recipe": recipe, "network": about, "versions": {}, "threads": 1, "inputs": {}, "options": {"arch": None}}


def bomb_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds rows of zeros that pack to nothing, as many as fit a megabyte."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG whose record unpacks to 64 MB."""
    buffer = io.BytesIO()
    info = PngInfo()
    info.add_itxt("lanterna", "[" * (64 << 20), zip=True)
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


class Harm:
    """What a pickle runs when it is loaded without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch MARK",))


def make(folder: Path) -> None:
    """All of it, in `folder`."""
    _pictures(folder)
    _archives(folder)
    _weights(folder)
    _recipes(folder)
    (folder / "evil.py").write_text(EVIL)


def _pictures(folder: Path) -> None:
    png(folder / "good.png")
    whole = (folder / "good.png").read_bytes()
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("this is no picture")
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "head.png").write_bytes(whole[:12])
    (folder / "swapped.png").write_bytes(whole[:60] + whole[90:60:-1] + whole[90:])
    (folder / "crc.png").write_bytes(whole[:-20] + b"\0" * 8 + whole[-12:])
    (folder / "claims.png").write_bytes(bomb_png(60_000, 60_000))
    (folder / "claims-line.png").write_bytes(bomb_png(2_000_000_000, 1))
    (folder / "claims-some.png").write_bytes(bomb_png(5_000, 5_000))
    (folder / "claims-none.png").write_bytes(bomb_png(0, 0))
    (folder / "text-bomb.png").write_bytes(text_bomb())
    (folder / "postscript.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(MARK) (w) file closefile\n")
    (folder / "svg.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>")
    (folder / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (folder / "gif.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(20))
    (folder / "riff.webp").write_bytes(b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(30))
    (folder / "tiff.tif").write_bytes(b"II*\0" + struct.pack("<I", 0xFFFFFFF0))
    (folder / "nan.tif").write_bytes(_tiff(np.full((16, 16), np.nan, np.float32)))
    (folder / "far.tif").write_bytes(_tiff(np.full((16, 16), 9.0, np.float32)))
    (folder / "bmp.bmp").write_bytes(b"BM" + bytes(40))
    (folder / "ppm.ppm").write_bytes(b"P6 999999999 999999999 255 ")
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe.toml")
    os.mkfifo(folder / "pipe.pt")
    os.mkfifo(folder / "pipe.safetensors")
    os.mkfifo(folder / "pipe.zip")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "zero.toml").symlink_to("/dev/zero")
    (folder / "zero.pt").symlink_to("/dev/zero")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "folder.png").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    # A socket's path has at most 107 bytes; the test's folder may be longer.
    here = Path.cwd()
    os.chdir(folder)
    listener.bind("socket.png")
    os.chdir(here)
    listener.close()
    Image.new("RGB", (1, 400)).save(folder / "line.png")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")


def _deflated_zeros(count: int) -> bytes:
    """A block of a deflate stream that can be repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(bytes(count)) + packer.flush(zlib.Z_FULL_FLUSH)


def raw_zip(members: dict[str, tuple[bytes, int]]) -> bytes:
    """A zip file of deflated members, each with the size that it claims; checksums are wrong."""
    body, listed = bytearray(), bytearray()
    for name, (packed, size) in members.items():
        common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(packed), size, len(name), 0)
        listed += (
            struct.pack("<4sH", b"PK\x01\x02", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        )
        body += b"PK\x03\x04" + common + name.encode() + packed
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(members), len(members), len(listed), len(body), 0)
    return bytes(body + listed + end)


def _tiff(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    return buffer.getvalue()


def _archives(folder: Path) -> None:
    good = (folder / "good.png").read_bytes()
    (folder / "no.zip").write_text("this is no archive")
    with zipfile.ZipFile(folder / "good.zip", "w") as archive:
        archive.writestr("a/good.png", good)
        archive.writestr("b/good.png", good)
    whole = (folder / "good.zip").read_bytes()
    (folder / "half.zip").write_bytes(whole[: len(whole) // 2])
    zeros, count = _deflated_zeros(16 << 20), 96
    member = b"".join([zeros] * count) + b"\x03\x00"
    (folder / "bomb.zip").write_bytes(raw_zip(dict.fromkeys(("first.png", "second.png"), (member, count << 24))))
    # What it claims is small; what comes out is not.
    (folder / "lying.zip").write_bytes(raw_zip({"a.png": (member, 100)}))
    (folder / "ratio.zip").write_bytes(raw_zip({"a.png": (zeros * 4 + b"\x03\x00", 4 << 24)}))
    (folder / "huge.zip").write_bytes(raw_zip({"a.png": (member, 4_000_000_000)}))
    # A list of members that is longer than any.
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0x7FFFFFFF, 0, 0)
    (folder / "long.zip").write_bytes(b"PK\x03\x04" + bytes(64) + end)
    with zipfile.ZipFile(folder / "up.zip", "w") as archive:
        archive.writestr("../../up.png", good)
        archive.writestr("/etc/up.png", good)
    with zipfile.ZipFile(folder / "words.zip", "w") as archive:
        archive.writestr("notes.txt", "no picture")


def _weights(folder: Path) -> None:
    (folder / "text.pt").write_text("no weights")
    (folder / "empty.pt").touch()
    (folder / "text.safetensors").write_text("no weights")
    (folder / "harm.pt").write_bytes(pickle.dumps(Harm()))
    torch.save({"state_dict": Harm()}, folder / "harm-zip.pt")
    torch.save([1, 2], folder / "list.pt")
    # A tensor that claims 2 to the 40 classes and has one number.
    endless = torch.zeros(1).expand(1 << 40)[:, None].expand(1 << 40, 512)
    torch.save({"fc.weight": endless, "fc.bias": torch.zeros(1).expand(1 << 40)}, folder / "endless.pt")
    save_file({"conv.weight": torch.zeros(4)}, folder / "other.safetensors")
    (folder / "header.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with zipfile.ZipFile(folder / "packed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 << 20))


def _recipes(folder: Path) -> None:
    (folder / "broken.toml").write_text("steps = = 3")
    (folder / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    (folder / "large.toml").write_text("#" * (2 << 20))
    (folder / "deep.toml").write_text("steps = " + "[" * 100_000)
    (folder / "digits.toml").write_text("steps = " + "9" * 5000)
    (folder / "table.toml").write_text("[steps]\na = 1")
    (folder / "judge.toml").write_text('judge = "python:evil:make"')
    (folder / "second.toml").write_text('second = "python:evil:make"')
    (folder / "start.toml").write_text('start = "/etc/hostname"')
    (folder / "up.toml").write_text('picture = "../good.png"')
    (folder / "style.toml").write_text('styles = ["/etc/hostname"]')
    (folder / "data.toml").write_text('data = "folder:/etc"')
    (folder / "fetch.toml").write_text('data = "torchvision:CIFAR10"')
    (folder / "fine.toml").write_text('steps = 1\nstart = "good.png"')
