"""The report and the documentation, opened in a real browser.

Needs playwright and a Chromium on the machine (``apt-get install chromium``, or a path
in ``CHROMIUM``); for the pages of the documentation also ``make docs``.
"""

import functools
import http.server
import os
import pathlib
import shutil
import threading
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from skae.cli import main

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "docs" / "_build" / "html"

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
LOOKS = [(size, scheme) for scheme in ("light", "dark") for size in SIZES]

# What is wider than it should be, by tag and class: than the page, than the column of
# the documentation, which would scroll in its place, or than a link to the page beside.
TOO_WIDE = """() => {
    const rooms = [document.documentElement];
    const column = ".bd-article-container", beside = ".prev-next-area a";
    rooms.push(...document.querySelectorAll(`${column}, ${beside}`));
    const wider = room => {
        const edge = room.getBoundingClientRect().left + room.clientWidth;
        return [...room.querySelectorAll("*")]
            .filter(e => e.getBoundingClientRect().right > edge + 1)
            .map(e => `${e.tagName}.${e.className}`);
    };
    return rooms.filter(room => room.scrollWidth > room.clientWidth + 1).flatMap(wider);
}"""
MISSING_IMAGES = """async () => {
    const images = [...document.images].filter(i => i.checkVisibility());
    images.forEach(i => i.loading = "eager");
    await Promise.all(images.map(i => i.decode().catch(() => null)));
    return images.filter(i => !i.naturalWidth).map(i => i.src.slice(0, 100));
}"""
COLOURS = """async () => {
    // A page hears of another scheme when it is drawn.
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    document.getAnimations().forEach(animation => animation.finish());
    const style = getComputedStyle(document.body);
    const paper = getComputedStyle(document.documentElement).backgroundColor;
    return [style.color, style.backgroundColor, paper];
}"""


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    found = found or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report of a comparison, at fits that are as short as can be."""
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("report")
    words = "compare wine --n-components 2 3 --cv 2 --methods pca autoencoder vae"
    assert main([*words.split(), "--max-iter", "2", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def documentation():
    if not (BUILT / "index.html").exists():
        pytest.skip("the documentation is not built: make docs")
    return BUILT


@pytest.fixture(scope="module")
def pages(documentation):
    """The pages of the documentation, without those of the theme."""
    pages = [
        page.relative_to(documentation).as_posix()
        for page in sorted(documentation.rglob("*.html"))
    ]
    return [page for page in pages if not page.startswith("_")]


class _Anchors(HTMLParser):
    """What a page can be entered at, and where its links lead."""

    def __init__(self, page):
        super().__init__()
        self.names, self.links = {""}, []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """Serve a folder on this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def opened(browser):
    """Open a window, and write down whatever it complains of."""
    window = browser.new_page()
    complaints = []

    def hear(message):
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def see(request):
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            complaints.append(f"asks for {request.url}")

    window.on("console", hear)
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.on("requestfailed", lambda request: complaints.append(request.url))
    window.on("request", see)
    yield window, complaints
    window.close()


def faults(window, complaints, address):
    """Say what is missing on a page, does not fit its window, or cannot be read."""
    window.goto(address, wait_until="load")
    found = []
    for size, scheme in LOOKS:
        width, height = SIZES[size]
        window.set_viewport_size({"width": width, "height": height})
        window.emulate_media(color_scheme=scheme)
        look = {
            "missing images": window.evaluate(MISSING_IMAGES),
            "too wide": window.evaluate(TOO_WIDE),
            "unreadable": unreadable(window, scheme),
        }
        found += [(size, scheme, name, what) for name, what in look.items() if what]
    found += complaints
    complaints.clear()
    return found


def unreadable(window, scheme):
    """Give the brightness of letters and paper where it is not that of the scheme."""
    ink, *papers = map(brightness, window.evaluate(COLOURS))
    paper = next((each for each in papers if each is not None), 1.0)
    is_light, is_dark = ink < 0.4 and paper > 0.8, ink > 0.6 and paper < 0.3
    return [] if (is_light if scheme == "light" else is_dark) else [ink, paper]


def brightness(colour):
    """From 0 to 1; None where a colour is transparent."""
    numbers = colour[colour.index("(") + 1 : -1].split(",")
    if len(numbers) == 4 and float(numbers[3]) == 0:
        return None
    return sum(map(float, numbers[:3])) / (3 * 255)


def test_the_report_reads_well(browser, report):
    with served(report) as address, opened(browser) as (window, complaints):
        assert faults(window, complaints, f"{address}/report.html") == []
        assert window.locator("img").count() >= 5
        assert window.locator("td").count() >= 6


def test_the_documentation_reads_well(browser, documentation, pages):
    assert len(pages) > 20
    with served(documentation) as address, opened(browser) as (window, complaints):
        found = {
            page: faults(window, complaints, f"{address}/{page}") for page in pages
        }
    assert {page: fault for page, fault in found.items() if fault} == {}


def test_the_links_of_the_documentation_lead_somewhere(documentation, pages):
    read = {documentation / page: _Anchors(documentation / page) for page in pages}

    def leads_somewhere(page, link):
        asked = urlsplit(link)
        if asked.scheme:
            return True  # to another site
        path = (page.parent / unquote(asked.path)).resolve() if asked.path else page
        names = read[path].names if path in read else {""}
        return path.exists() and unquote(asked.fragment) in names

    links = {(page, link) for page, found in read.items() for link in found.links}
    assert len(links) > 1000
    assert [each for each in sorted(links) if not leads_somewhere(*each)] == []


def test_what_is_wrong_with_a_page_is_found(browser, tmp_path):
    body = '<img src="none.png"><div style="width: 2000px">wide</div>'
    column = "bd-article-container"
    body += f'<div class="{column}" style="width: 200px; overflow: auto">'
    body += '<p class="long" style="width: 300px">long</p></div>'
    body += "<script>console.error('oh')</script>"
    (tmp_path / "page.html").write_text(f"<!doctype html><body>{body}</body>")
    with served(tmp_path) as address, opened(browser) as (window, complaints):
        found = faults(window, complaints, f"{address}/page.html")
    assert ("phone", "dark", "unreadable", [0.0, 1.0]) in found
    too_wide = ["DIV.", "P.long"]  # the second than its column, not than the page
    assert ("phone", "light", "too wide", too_wide) in found
    assert any(fault[2] == "missing images" for fault in found if len(fault) == 4)
    assert "oh" in found
