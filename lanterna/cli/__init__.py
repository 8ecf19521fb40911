"""The command line: thin, over the same functions that Python calls."""

from lanterna.cli.main import main

__all__ = ["main"]
