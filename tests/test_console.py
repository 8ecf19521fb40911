"""What a person sees on the terminal while a command runs."""

import io

import pytest
import torch
from rich.console import Console

from lanterna.cli import console
from lanterna.events import Done, Started, Stepped


@pytest.mark.parametrize(("stopped", "share"), [(False, "10/10"), (True, "4/10")])
def test_the_bar_reaches_its_end_unless_it_was_stopped(monkeypatch: pytest.MonkeyPatch, stopped: bool, share: str) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "errors", Console(file=screen, width=80))
    with console.watching("fool", quiet=False) as listen:
        for event in (Started(10, 1), Stepped(4, 10, torch.zeros(1)), Done(4, stopped)):
            listen(event)
    assert share in screen.getvalue()
