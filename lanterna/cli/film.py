"""A film of the iterations, collected from previews."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from lanterna.errors import InputError, PictureError
from lanterna.files import temporary_name
from lanterna.pictures.read import to_pil

__all__ = ["Film", "check_film"]

_MILLISECONDS = 120
_KINDS = {".webp": "WEBP", ".gif": "GIF"}


def check_film(path: Path | None) -> Path | None:
    """The path, if it is a kind of file a film can be in. Raises InputError."""
    if path is not None and path.suffix.lower() not in _KINDS:
        raise InputError(f"--film {path} has to end in .webp or .gif")
    if path is not None and not path.absolute().parent.is_dir():
        raise PictureError(f"can't write the film {str(path)!r}: there is no folder {str(path.absolute().parent)!r}")
    return path


class Film:
    """Frames as they come, all shown at the size of the last one."""

    def __init__(self) -> None:
        self.frames: list[Tensor] = []

    def add(self, picture: Tensor) -> None:
        """One more frame, (1, 3, H, W) in [0, 1]."""
        self.frames.append(picture.detach().cpu())

    def save(self, path: Path) -> Path:
        """Write the film under another name, then rename. Raises PictureError where that fails."""
        size = self.frames[-1].shape[2:]
        images = [to_pil(F.interpolate(frame, size, mode="bilinear", align_corners=False)) for frame in self.frames]
        temporary = temporary_name(path.absolute().parent)
        try:
            images[0].save(
                temporary,
                _KINDS[path.suffix.lower()],
                save_all=True,
                append_images=images[1:],
                duration=_MILLISECONDS,
                loop=0,
            )
            temporary.replace(path)
        except OSError as error:
            raise PictureError(f"can't write the film {str(path)!r}: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return path
