"""Photographs and textures that come inside the packages Lanterna needs anyway."""

from lanterna.samples import sample, samples

__all__ = ["sample", "samples"]
