"""The page of the tour in a real browser: nothing is asked of the network, every control works, nothing sticks out."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from browsing import chromium, needs_chromium
from playwright import sync_api

from lanterna import Network, Preprocessing
from lanterna.report import TourRecipe, tour
from lanterna.report.page import environment
from lanterna.report.tour import Tour

pytestmark = needs_chromium

# Phone, laptop, projector.
WIDTHS = {360: 740, 1280: 800, 1920: 1080}
CHAPTERS = ("best_class", "units", "invert", "dream", "style", "fooled", "manifold", "autoencode", "layers")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def page(browser: Any, whole_tour: Tour) -> Iterator[Any]:
    """The page, open; at the end there must have been no error and no request to anywhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US", color_scheme="light")
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(whole_tour.page.as_uri())
    yield opened
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [whole_tour.page.as_uri()]


def test_every_picture_is_readable(page: Any) -> None:
    broken = page.evaluate("[...document.querySelectorAll('figure img')].filter(image => !image.naturalWidth).length")
    assert broken == 0 and page.locator("figure img").count() > 40


@pytest.mark.parametrize("width", [390, 800, 1200])
@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_no_picture_is_left_over_at_the_side(browser: Any, width: int, count: int) -> None:
    style = environment().get_template("page.css").render()
    columns = environment().globals["columns"](count)
    figures = "<figure><img style='aspect-ratio: 1'></figure>" * count
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.set_content(f"<style>{style}</style><main><div class='row' style='--columns: {columns}'>{figures}</div></main>")
    boxes = opened.evaluate("[...document.querySelectorAll('figure')].map(one => one.getBoundingClientRect().toJSON())")
    opened.close()
    assert max(box["width"] for box in boxes) == pytest.approx(boxes[-1]["width"], abs=1)
    if sum(box["top"] == boxes[-1]["top"] for box in boxes) == 1:
        assert (boxes[-1]["left"] + boxes[-1]["right"]) / 2 == pytest.approx(width / 2, abs=10)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["en", "it"])
def test_nothing_sticks_out(page: Any, width: int, language: str) -> None:
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    page.click(f"label[for=language-{language}]")
    for summary in page.locator("details summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sticking = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter(one => !one.closest(".scroll, pre") && one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.outerHTML.slice(0, 80))"""
    )
    assert sticking == []


def test_drawings_with_words_are_read_on_a_phone_by_moving_them(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for plate in page.locator("#manifold .plate").all():
        assert plate.bounding_box()["width"] <= 390 and plate.locator("img:visible").bounding_box()["width"] >= 700
        plate.focus()
        page.keyboard.press("ArrowRight")
        # Waited for in here: the page allows no `eval`, which Playwright waits with.
        moved = """async one => {
            for (let i = 0; i < 120 && !one.scrollLeft; i++) await new Promise(requestAnimationFrame)
            return one.scrollLeft
        }"""
        assert plate.evaluate(moved) > 0
    page.set_viewport_size({"width": 1280, "height": 800})
    whole = "all => all.every(one => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight)"
    for width in (1000, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.locator("#manifold .plate").evaluate_all(whole), f"at {width} px a drawing is cut"


def test_the_language_is_switched(page: Any) -> None:
    title = page.locator("h1")
    assert title.inner_text() == "What tiny sees in chelsea"
    first = page.locator("figure img").first
    english = first.get_attribute("alt")
    page.click("label[for=language-it]")
    assert title.inner_text() == "Che cosa vede tiny in chelsea"
    assert page.evaluate("document.documentElement.lang") == "it" and page.title() == "Che cosa vede tiny in chelsea"
    assert first.get_attribute("alt") != english
    assert page.locator("main [lang=en]:visible").count() == 0 and page.locator("main [lang=it]:visible").count() > 50
    page.click("label[for=language-en]")
    assert page.locator("main [lang=it]:visible").count() == 0 and first.get_attribute("alt") == english


def test_classes_without_names_are_numbered_in_the_language_of_the_page(browser: Any, tmp_path: Path) -> None:
    nameless = Network.wrap(tiny.module(), name="nameless", preprocessing=Preprocessing(size=(32, 32)))
    made = tour(TourRecipe(steps=2, size=32, chapters=("best_class", "fooled")), nameless, tmp_path)
    opened = browser.new_page(locale="en-US")
    opened.goto(made.page.as_uri())
    everything = """() => document.body.innerText
        + [...document.querySelectorAll("img")].map(image => image.alt).join(" ")"""
    counts = []
    for language, word, other in (("it", "classe", "class"), ("en", "class", "classe")):
        opened.click(f"label[for=language-{language}]")
        text = opened.evaluate(everything)
        counts.append(len(re.findall(rf"\b{word} \d", text)))
        assert re.findall(rf".{{20}}\b{other} \d", text) == []
    opened.close()
    assert counts[0] == counts[1] > 20


def test_an_italian_reader_gets_italian_and_a_choice_is_remembered(browser: Any, whole_tour: Tour) -> None:
    context = browser.new_context(locale="it-IT")
    opened = context.new_page()
    opened.goto(whole_tour.page.as_uri())
    assert opened.locator("h1").inner_text().startswith("Che cosa vede")
    opened.click("label[for=language-en]")
    opened.click("label[for=theme-dark]")
    opened.reload()
    assert opened.locator("h1").inner_text().startswith("What tiny sees")
    assert opened.locator("#theme-dark").is_checked()
    context.close()


def _paper(page: Any) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def test_light_and_dark(page: Any) -> None:
    light = _paper(page)
    page.click("label[for=theme-dark]")
    dark = _paper(page)
    page.click("label[for=theme-light]")
    assert dark != light == _paper(page)
    page.click("label[for=theme-auto]")
    page.emulate_media(color_scheme="dark")
    assert _paper(page) == dark


# WCAG 2: the relative luminance, and the contrast of two.
_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (colour) => { const [r, g, b] = rgb(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (one) => { for (let at = one; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor; if (rgb(colour)[3] > 250) return colour; }
    return getComputedStyle(document.body).backgroundColor; };
  const poor = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest("svg, script, style, legend, .skip")) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.push(`${contrast.toFixed(2)} ${one.outerHTML.slice(0, 80)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_have_contrast_aa(page: Any, theme: str) -> None:
    page.click(f"label[for=theme-{theme}]")
    assert page.evaluate(_CONTRAST) == []


def test_pointing_at_a_unit_shows_what_was_found_and_seen(page: Any) -> None:
    row = page.locator(".units").first
    units = row.locator(".unit")
    assert [units.nth(i).locator(".more").is_visible() for i in range(3)] == [True, False, False]
    units.nth(2).locator(".made").hover()
    assert [units.nth(i).locator(".more").is_visible() for i in range(3)] == [False, False, True]
    assert units.nth(2).locator(".more img:visible").count() == 3


def test_arrows_go_from_unit_to_unit(page: Any) -> None:
    units = page.locator(".units").first.locator(".unit")
    units.nth(0).locator(".made").focus()
    page.keyboard.press("ArrowRight")
    assert units.nth(1).locator(".more").is_visible() and not units.nth(0).locator(".more").is_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert units.nth(2).locator(".more").is_visible()


def test_arrows_go_from_chapter_to_chapter(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    for name in CHAPTERS[:3]:
        page.keyboard.press("ArrowRight")
        sync_api.expect(page.locator(f"#{name}")).to_be_focused()
        sync_api.expect(page.locator(".bar [aria-current]")).to_have_attribute("data-chapter", name)
    page.keyboard.press("ArrowLeft")
    sync_api.expect(page.locator(f"#{CHAPTERS[1]}")).to_be_focused()
    # Where there is room, the bar says the chapter's name in the reader's language.
    here = page.locator(".bar .here")
    sync_api.expect(here).to_have_text(page.locator(f"#{CHAPTERS[1]} h2").inner_text(), use_inner_text=True)
    page.click("label[for=language-it]")
    sync_api.expect(here).to_have_text("Gli strati nascosti e i motivi che estraggono", use_inner_text=True)


def test_the_bar_leads_to_every_chapter(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    for name in CHAPTERS:
        page.click(f".bar a[data-chapter={name}]")
        top = page.evaluate(f"document.getElementById('{name}').getBoundingClientRect().top")
        bar = page.evaluate("document.querySelector('.bar').getBoundingClientRect().bottom")
        at_the_end = page.evaluate("innerHeight + scrollY >= document.documentElement.scrollHeight - 2")
        assert at_the_end or bar - 1 <= top < bar + 60, name


def test_a_question_mark_helps(page: Any) -> None:
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.click(".help-button")
    page.locator("#help button").click()
    assert not page.locator("#help").is_visible()


def test_pictures_are_enlarged_by_click_and_by_key(page: Any) -> None:
    image = page.locator("#best_class figure img").first
    image.click()
    zoomed = page.locator("#zoom img")
    assert zoomed.is_visible() and zoomed.get_attribute("src") == image.get_attribute("src")
    assert zoomed.bounding_box()["width"] > 1.3 * 200
    page.keyboard.press("ArrowRight")
    assert zoomed.get_attribute("src") == page.locator("#best_class figure img").nth(1).get_attribute("src")
    page.keyboard.press("Escape")
    assert not zoomed.is_visible()
    image.focus()
    page.keyboard.press("Enter")
    assert zoomed.is_visible() and zoomed.get_attribute("alt")
    page.locator("#zoom button").click()
    assert not zoomed.is_visible()


@pytest.mark.parametrize(("chapter", "afters"), [("invert", 2), ("dream", 2), ("fooled", 3)])
def test_sliders_compare_two_pictures(page: Any, chapter: str, afters: int) -> None:
    compare = page.locator(f"#{chapter} .compare")
    where, which = compare.locator("input").nth(0), compare.locator("input").nth(1)
    after = compare.locator(".stage img").nth(1)
    where.fill("20")
    assert "20%" in compare.locator(".stage").get_attribute("style")
    seen = set()
    for place in range(afters):
        which.fill(str(place))
        seen.add((after.get_attribute("src"), compare.locator("output").inner_text()))
    assert len(seen) == afters
    box = compare.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 10)
    compare.locator(".stage").scroll_into_view_if_needed()
    box = compare.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    assert abs(int(where.input_value()) - 75) <= 2


def test_how_a_chapter_was_made_unfolds(page: Any) -> None:
    details = page.locator("details.how")
    assert details.count() >= 6
    for one in details.all():
        assert not one.locator(".command").first.is_visible()
        one.locator("summary").click()
        assert one.locator(".command").first.inner_text().startswith("lanterna ")
        assert "import" in one.locator(".python").first.inner_text()


def test_nothing_is_lost_without_javascript(browser: Any, whole_tour: Tour) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    opened.goto(whole_tour.page.as_uri())
    units = opened.locator(".units").first
    assert units.locator("img").count() == 3 * 4
    assert all(image.is_visible() for image in units.locator("img").all())
    opened.click("label[for=language-it]")
    assert opened.locator("h1").inner_text().startswith("Che cosa vede")
    assert opened.locator("main [lang=en]:visible").count() == 0
    opened.click("label[for=theme-dark]")
    opened.locator("details.how summary").first.click()
    assert opened.locator("details.how .command").first.is_visible()
    assert opened.locator(".help-button").is_hidden() and opened.locator(".compare").first.is_hidden()
    context.close()


def test_every_picture_and_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("img:not(#zoom img):not(.stage img), button, input, a, summary")]
            .filter(one => !(one.alt || one.getAttribute("aria-label") || one.labels?.length || one.textContent.trim()))
            .map(one => one.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


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


def test_on_paper_everything_is_unfolded_and_nothing_of_the_screen_is_left(page: Any, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert page.locator(".units").first.locator("img:visible").count() == 3 * 4
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("[...document.querySelectorAll('details')].some(one => one.open)")
    assert page.pdf(path=tmp_path / "page.pdf", format="A4")[:4] == b"%PDF"


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
    assert page.locator("figure, .unit, .plot").evaluate_all(broken) == page.locator("#zoom figure").count()
