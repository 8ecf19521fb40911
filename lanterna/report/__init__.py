"""The tour: one self-contained HTML page."""

from lanterna.report.tour import Tour, TourRecipe, tour

__all__ = ["Tour", "TourRecipe", "tour"]
