"""The report page in headless Chromium: every plot is there, and nothing else is."""

import base64
import os
import shutil

import pytest

from kdjax.reporting import blocks
from kdjax.reporting.page import write_page
from kdjax.reporting.runs import read_runs
from kdjax.reporting.sections import run_sections
from tests.reporting.workdirs import demo

REQUIRED = "KDJAX_CHROMIUM"  # is set where the browser has to be there
CHROMIUM = shutil.which(os.environ.get(REQUIRED) or "chromium")
SIZES = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
# All that JavaScript draws: (width, height, marks) of each chart.
DRAWN = """() => [...document.querySelectorAll('.chart')].map((chart) => {
  const svg = chart.querySelector('.vega-embed svg'), box = svg.getBoundingClientRect();
  const marks = svg.querySelectorAll('.role-mark :is(path, line, text)');
  return [box.width, box.height, marks.length];
})"""
TEXT = """() => {
  const of = (one) => getComputedStyle(one).fill;
  return [...new Set([...document.querySelectorAll('.role-axis-label text')].map(of))];
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a teacher and five methods with two seeds each."""
    root = tmp_path_factory.mktemp("demo")
    sections = run_sections(read_runs(demo(root / "runs", seeds=2)))
    images = [blocks.Image(ONE_PIXEL, "a pixel", "cat -> dog")] * 20
    sections.append(blocks.Section("Images", [blocks.Gallery(images, "pixels")]))
    write_page(root / "index.html", "Five ways to teach", sections)
    return f"file://{root / 'index.html'}"


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        assert REQUIRED not in os.environ, "no chromium; install Debian's package"
        pytest.skip("there is no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] * (os.getuid() == 0)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


def opened(chromium, page, width, scheme, **options):
    """The page in a window of its own, and what it said and requested."""
    size = {"width": width, "height": 800}
    context = chromium.new_context(viewport=size, color_scheme=scheme, **options)
    tab, said, requested = context.new_page(), [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: requested.append(request.url))
    tab.goto(page)
    return tab, said, requested


@pytest.mark.parametrize("width, scheme", SIZES)
def test_every_plot_is_visible_and_nothing_is_fetched(chromium, page, width, scheme):
    tab, said, requested = opened(chromium, page, width, scheme)
    tab.wait_for_selector("html[data-drawn]")
    assert said == []
    assert [url for url in requested if not url.startswith("data:")] == [page]
    wide, inner = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner == width
    drawn = tab.evaluate(DRAWN)
    assert len(drawn) == 13 and tab.locator(".still").count() == 0
    for chart_width, height, marks in drawn:
        assert 250 < chart_width <= width and height > 60 and marks >= 2
    light = scheme == "light"
    assert tab.evaluate(TEXT) == ["rgb(29, 33, 39)" if light else "rgb(230, 232, 235)"]
    tab.context.close()


def test_a_pointer_shows_values_and_a_click_shows_one_line(chromium, page):
    tab, said, _ = opened(chromium, page, 1280, "light")
    tab.wait_for_selector("html[data-drawn]")
    figure = tab.locator("figure", has_text="Test accuracy. Click").locator("svg")
    figure.scroll_into_view_if_needed()
    figure.hover()
    tooltip = tab.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    text = tooltip.inner_text()
    assert "network" in text and "epoch" in text and "test top-1 %" in text
    lines = figure.locator(".mark-line path")
    assert lines.count() == 11
    figure.locator(".role-legend-label text", has_text="mse").click()
    tab.wait_for_timeout(200)
    opacities = lines.evaluate_all("all => all.map(one => one.getAttribute('opacity'))")
    assert sum(float(one or 1) == 1 for one in opacities) == 2  # of two seeds
    assert said == []
    tab.context.close()


def test_without_javascript_the_pictures_are_there(chromium, page):
    tab, said, _ = opened(chromium, page, 390, "dark", java_script_enabled=False)
    boxes = [
        still.bounding_box() for still in tab.locator(".still > :is(svg, img)").all()
    ]
    assert len(boxes) == 13
    assert all(250 < box["width"] <= 390 and box["height"] > 40 for box in boxes)
    tab.context.close()


def test_a_page_that_is_loaded_anew_stays_where_it_was(chromium, tmp_path):
    image = blocks.Image(ONE_PIXEL, "a pixel", "cat -> dog")
    sections = [blocks.Section(f"{i}", [blocks.Gallery([image])]) for i in range(20)]
    write_page(tmp_path / "a.html", "watched", sections, refresh=1.0)
    tab, said, requested = opened(
        chromium, f"file://{tmp_path / 'a.html'}", 390, "light"
    )
    tab.evaluate("scrollTo(0, 700)")
    with tab.expect_event("load"):
        write_page(tmp_path / "a.html", "watched again", sections)
    tab.wait_for_selector("html[data-drawn]")
    assert tab.evaluate("[document.title, scrollY]") == ["watched again", 700]
    assert said == [] and len(requested) == 2
    tab.context.close()


def test_print_is_dark_on_white(chromium, page):
    tab, *_ = opened(chromium, page, 1280, "dark")
    tab.wait_for_selector("html[data-drawn]")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate(TEXT) == ["rgb(29, 33, 39)"]
    assert not tab.locator("nav").is_visible()
    tab.set_viewport_size({"width": 718, "height": 1000})  # of A4, without margins
    assert tab.evaluate("document.documentElement.scrollWidth") <= 718
    tab.context.close()
