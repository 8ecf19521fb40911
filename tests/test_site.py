"""The site out of docs/: it builds without a warning, and opens without asking another host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import chromium, needs_chromium

import lanterna

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return place


def test_every_page_is_there_with_its_pictures(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        html = site / f"{page.stem}.html"
        assert html.is_file()
        for source in re.findall(r'<img[^>]* src="([^"]+)"', html.read_text(encoding="utf-8")):
            assert (site / source).is_file(), (page.name, source)


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    # A link may lead elsewhere; what a page loads by itself may not.
    loads = re.compile(
        r'<(?:script|img|iframe|source)[^>]* src="(?:https?:)?//|<link[^>]* href="(?:https?:)?//(?!$)', re.IGNORECASE
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for html in pages:
        assert not loads.search(html.read_text(encoding="utf-8")), html.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name


@needs_chromium
def test_the_search_works_from_disk(site: Path) -> None:
    """Without a web server, and without asking another host."""
    asked: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.click(".md-search__input")
        page.keyboard.type("octave")
        page.locator('.md-search-result__link[href*="dream.html"]').first.click()
        page.locator("h1", has_text="Dreams").wait_for()
    assert asked and all(url.startswith(("file:", "data:", "about:")) for url in asked)


def test_the_python_page_has_every_public_name(site: Path) -> None:
    html = (site / "python.html").read_text(encoding="utf-8")
    for name in lanterna.__all__:
        assert name in html, name


def test_every_picture_says_what_is_on_it() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for said in re.findall(r"!\[([^\]]*)\]\(", page.read_text(encoding="utf-8")):
            assert len(said.split()) > 3, (page.name, said)


def test_no_table_has_lost_its_head() -> None:
    """A row of a table below a line that is no row needs a head, or it is shown as text."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        lines = page.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines[:-1]):
            if line.startswith("|") and not (number and lines[number - 1].startswith("|")):
                assert re.fullmatch(r"\|[-|: ]+\|", lines[number + 1]), f"{page.name}:{number + 1}"
                assert number and not lines[number - 1].strip(), f"{page.name}:{number + 1}"
