"""Where in real pictures a unit fires: one pass over the data for all units, kept, and shown with what the unit saw there."""

from lanterna.patterns.best import Best
from lanterna.patterns.layer_scan import LayerScan, merge
from lanterna.patterns.scan import Scan, scan

__all__ = ["Best", "LayerScan", "Scan", "merge", "scan"]
