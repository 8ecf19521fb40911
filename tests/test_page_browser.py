"""The page of the tour in a real browser: nothing is asked of the network, every control works, nothing sticks out."""

import re
from pathlib import Path
from typing import Any

import pytest
import tiny
from browsing import needs_chromium
from playwright import sync_api

from lanterna import Network, Preprocessing
from lanterna.report import TourRecipe, tour
from lanterna.report.page import environment
from lanterna.report.tour import Tour

pytestmark = needs_chromium

# Phone, laptop, projector.
WIDTHS = {360: 740, 1280: 800, 1920: 1080}
CHAPTERS = ("best_class", "units", "invert", "dream", "style", "fooled", "manifold", "autoencode", "layers")


def test_every_picture_is_readable(page: Any) -> None:
    broken = page.evaluate("[...document.querySelectorAll('main figure img')].filter(image => !image.naturalWidth).length")
    assert broken == 0 and page.locator("main figure img").count() > 40


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


def test_on_paper_everything_is_unfolded_and_nothing_of_the_screen_is_left(page: Any, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert page.locator(".units").first.locator("img:visible").count() == 3 * 4
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("[...document.querySelectorAll('details')].some(one => one.open)")
    assert page.pdf(path=tmp_path / "page.pdf", format="A4")[:4] == b"%PDF"
