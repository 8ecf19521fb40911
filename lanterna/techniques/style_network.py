"""Which network styles are taken from where nobody says otherwise: decided here, for `stylize` and for the tour."""

__all__ = ["STYLE_NETWORK"]

STYLE_NETWORK = "vgg16_hed"
