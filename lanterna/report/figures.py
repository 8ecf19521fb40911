"""Results as what the templates show."""

from typing import Any

from lanterna.report.page import picture_data
from lanterna.techniques.visualize import Visualization

__all__ = ["figures"]


def figures(result: Visualization) -> list[dict[str, Any]]:
    """One entry for each picture of `result`: the picture as data, its unit and the numbers beside it."""
    samples = result.sample_activation or (None,) * len(result.units)
    return [
        {
            "image": picture_data(picture),
            "title": unit.title,
            "unit": f"{unit.layer}:{unit.channel}",
            "activation": activation,
            "start": start,
            "sample": sample,
            "dead": dead,
        }
        for picture, unit, activation, start, sample, dead in zip(
            result.pictures,
            result.units,
            result.activation,
            result.start_activation,
            samples,
            result.dead,
            strict=True,
        )
    ]
