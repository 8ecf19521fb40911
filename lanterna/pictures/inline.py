"""A picture inside a piece of HTML: how results show themselves in a notebook."""

import base64
import html

from torch import Tensor

from lanterna.pictures.write import to_png_bytes
from lanterna.wording import visible

__all__ = ["to_html"]


def to_html(picture: Tensor, alt: str) -> str:
    """An `<img>` that holds `picture`, (1, 3, H, W) or (3, H, W) in [0, 1]; `alt` says in words what is on it."""
    data = base64.b64encode(to_png_bytes(picture)).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(visible(alt))}">'
