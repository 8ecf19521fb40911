"""The real browser of the tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright import sync_api

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# A developer's machine may do without; where CI is set, `chromium` fails instead.
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="no chromium on this machine: scripts/install_chromium.sh installs it",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium, launched for as long as the context lasts."""
    assert CHROMIUM is not None, "pages can't be tested without chromium: run scripts/install_chromium.sh"
    with sync_api.sync_playwright() as playwright:
        # As root, and in containers, there is no sandbox to be had; the only pages it opens are ours.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
