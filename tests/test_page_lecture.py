"""The page of the tour for a lecture: enlarged for a projector, saved for slides, in the room's language, and on paper."""

import re
import zlib
from pathlib import Path
from typing import Any

import tiny
from browsing import needs_chromium

from lanterna.report import TourRecipe, tour
from lanterna.report.tour import Tour

pytestmark = needs_chromium

# Whether nothing of the enlarged pictures is cut by the screen.
_INSIDE = """() => [...document.querySelectorAll("#zoom figure *")].every(one => {
    const box = one.getBoundingClientRect();
    return box.left >= 0 && box.top >= 0 && box.right <= innerWidth + 1 && box.bottom <= innerHeight + 1;
})"""


def test_made_found_and_seen_stand_large_beside_each_other_on_a_projector(page: Any) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.locator(".unit .made img").first.click()
    figures = page.locator("#zoom figure")
    assert figures.count() == 3
    boxes = figures.evaluate_all("all => all.map(one => one.querySelector('img').getBoundingClientRect().toJSON())")
    assert all(box["width"] > 550 and box["height"] > 550 and box["top"] == boxes[0]["top"] for box in boxes)
    assert boxes[0]["right"] < boxes[1]["left"] and boxes[1]["right"] < boxes[2]["left"]
    for language in ("en", "it"):
        page.evaluate(f"document.getElementById('language-{language}').click()")
        for _ in range(page.locator("figure img").count()):
            assert page.evaluate(_INSIDE), page.locator("#zoom").inner_text()
            page.keyboard.press("ArrowRight")
    # A thirtieth of the screen's height: what is read from the last row.
    assert page.locator("#zoom figcaption").first.evaluate("one => parseFloat(getComputedStyle(one).fontSize)") > 33
    page.keyboard.press("Escape")


def test_a_unit_is_one_place_on_the_way_through_all_pictures(page: Any) -> None:
    page.locator(".unit .made img").nth(1).click()
    names = page.locator("#zoom figcaption").all_inner_texts()
    assert len(names) == 3 and names[1].startswith("found") and names[2].startswith("seen there")
    page.keyboard.press("ArrowRight")
    assert [text.split()[0] for text in page.locator("#zoom figcaption").all_inner_texts()] == ["seen", "control:"]
    page.keyboard.press("ArrowRight")
    assert page.locator("#zoom figure").count() == 3
    assert page.locator(".unit").nth(2).locator(".more").is_visible()


def test_every_enlarged_picture_can_be_saved(page: Any, whole_tour: Tour) -> None:
    page.locator("#best_class figure img").first.click()
    link = page.locator("#zoom .save")
    assert link.inner_text() == "Save as PNG"
    file = whole_tour.page.parent / link.get_attribute("href")
    assert file.is_file() and link.get_attribute("download") == file.name
    page.evaluate("document.getElementById('language-it').click()")
    assert link.inner_text() == "Salva come PNG"


def test_a_page_in_italian_opens_in_italian_whatever_was_chosen_elsewhere(browser: Any, tmp_path: Path) -> None:
    recipe = TourRecipe(steps=2, size=32, chapters=("layers",), language="it", painter="own")
    made = tour(recipe, tiny.network(), tmp_path)
    context = browser.new_context(locale="en-US")
    opened = context.new_page()
    opened.goto(made.page.as_uri())
    opened.click("label[for=language-en]")
    assert opened.locator("h1").inner_text().startswith("What tiny sees")
    opened.reload()
    assert opened.locator("h1").inner_text().startswith("Che cosa vede")
    context.close()


def _pages(pdf: bytes) -> list[tuple[int, int]]:
    """How many pieces of text and pictures each page of the PDF draws."""
    objects = {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\n(.*?)endobj", pdf, re.S)}
    drawn = []
    for body in objects.values():
        if re.search(rb"/Type /Page\b", body):
            contents = re.search(rb"/Contents (\d+) 0 R", body)
            assert contents is not None
            stream = objects[int(contents[1])].partition(b"stream\n")[2].rpartition(b"\nendstream")[0]
            text = zlib.decompress(stream)
            drawn.append((len(re.findall(rb" T[jJ]\b", text)), len(re.findall(rb" Do\b", text))))
    return drawn


def test_on_paper_it_is_short_and_no_page_has_a_few_lines(page: Any) -> None:
    pages = _pages(page.pdf(prefer_css_page_size=True))
    assert 2 <= len(pages) <= 20
    # A line has about a hundred letters, each of which is drawn by itself; a picture is worth as many.
    assert all(letters + 100 * pictures >= 300 for letters, pictures in pages), pages
    page.locator("#paper-all").check()
    assert len(_pages(page.pdf(prefer_css_page_size=True))) > len(pages)
    # What was moved to the end is back in its chapter.
    assert page.locator(".chapter .how").count() >= 6 and page.locator(".appendix").count() == 0


def test_on_paper_no_figure_is_cut(page: Any) -> None:
    page.set_viewport_size({"width": 688, "height": 1000})
    page.emulate_media(media="print")
    # Whatever does not break within a page is no taller than one: 271 mm at 96 px to the inch.
    tall = "all => all.map(one => one.getBoundingClientRect().height)"
    assert max(page.locator("figure, .unit, .plot").evaluate_all(tall)) < 271 / 25.4 * 96
    broken = "all => all.filter(one => getComputedStyle(one).breakInside !== 'avoid').length"
    assert page.locator("figure, .unit, .plot").evaluate_all(broken) == 0
