"""The built site: whole, with working links, and in no need of a network."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import threading
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import build_site
from notebooks import ROOT, notebooks

SITE = ROOT / "_proc/_docs"
CHROMIUM = shutil.which(os.environ.get("CHROMIUM") or "chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update")
LOOKED_AT = ("index", "scorecard", "core/settings", "explain/diagrams")


@pytest.fixture(scope="module")
def site():
    "The folder of the site."
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site in _proc/_docs: run 'make docs' first", False)
    return SITE


class Page(HTMLParser):
    "The ids of a page, where its links lead, its menu, and its words."

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.menu, self.words = set(), [], [], []
        self.in_menu = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        self.in_menu = given.get("class") == "menu-text"
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])

    def handle_data(self, data):
        self.words.append(data)
        if self.in_menu:
            self.menu.append(data)
            self.in_menu = False

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def pages(site):
    "Path below the site: page."
    return {p.relative_to(site).as_posix(): Page(p) for p in site.rglob("*.html")}


def test_every_notebook_has_a_page(site):
    assert build_site.missing_pages(ROOT, site) == []


def test_a_missing_page_is_named(tmp_path):
    (tmp_path / "nbs").mkdir()
    (tmp_path / "nbs/lost.ipynb").write_text("{}")
    assert build_site.missing_pages(tmp_path, tmp_path / "site") == ["nbs/lost.ipynb"]


def test_nothing_comes_from_elsewhere(site):
    assert build_site.external_resources(site) == []


@pytest.mark.parametrize("text", [
    '<script src="https://x.org/a.js"></script>',
    '<script type="module">import a from "https://x.org/a.mjs"</script>',
    '<script type="module">const a = await import("https://x.org/a.mjs")</script>',
    '<link rel="stylesheet" href="//x.org/a.css">',
    '<img src="http://x.org/a.png">',
    '<img srcset="https://x.org/a.png 2x">',
    '<style>@import "https://x.org/a.css";</style>',
    "<style>a { background: url( 'https://x.org/a.png' ) }</style>",
    '<p style="background: url(https://x.org/a.png)">',
    '<iframe src="https://x.org/"></iframe>',
    '<object data="https://x.org/a.svg"></object>',
    '<svg><image href="https://x.org/a.png"/></svg>',
])
def test_what_comes_from_elsewhere_is_found(tmp_path, text):
    (tmp_path / "page.html").write_text(f"<html>{text}</html>")
    found = build_site.external_resources(tmp_path)
    assert len(found) == 1 and "x.org" in found[0]


def test_style_sheets_are_looked_into_and_links_are_not(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url(https://x.org/a.woff2) }")
    (tmp_path / "page.html").write_text('<a href="https://x.org/">x</a> https://x.org/')
    assert build_site.external_resources(tmp_path) == ["a.css: https://x.org/a.woff2"]


def test_sidebar_by_room(pages):
    "Each page has the menu, with the rooms in order and every notebook in it."
    read = yaml.safe_load((ROOT / "nbs/sidebar.yml").read_text(encoding="utf-8"))
    rooms = [part["section"] for part in read["website"]["sidebar"]["contents"]]
    for name, page in pages.items():
        assert [text for text in page.menu if text in rooms] == rooms, name
    links = {link.removeprefix("./") for link in pages["index.html"].links}
    wanted = {p.relative_to(ROOT / "nbs").with_suffix(".html").as_posix()
              for p in notebooks()}
    assert wanted <= links


def test_api_is_shown(pages):
    "Each public function that a notebook exports has its signature on its page."
    missing = []
    for path in notebooks():
        name = path.relative_to(ROOT / "nbs").with_suffix("")
        module = ROOT / "litlab" / name.with_suffix(".py")
        if not module.is_file():
            continue
        functions = re.findall(r"^def ([a-z]\w*)\(", module.read_text(), re.MULTILINE)
        page = pages[f"{name}.html"]
        missing += [f"{name}: {f}" for f in functions if f not in page.ids]
    assert missing == []
    assert "sha256_of" in pages["core/data.html"].ids


def test_scorecard_lists_every_claim(pages):
    read = json.loads((ROOT / "reports/scorecard.json").read_text(encoding="utf-8"))
    page = pages["scorecard.html"]
    assert read["measurements"]
    for row in read["measurements"]:
        assert row["id"] in page.ids
        assert row["verdict"] in page.text


def test_links_lead_somewhere(site, pages):
    bad = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = site / name
            if parts.path:
                target = target.parent / unquote(parts.path)
            if not target.is_file():
                bad.append(f"{name}: {link}")
            elif parts.fragment and target.suffix == ".html":
                ids = pages[target.resolve().relative_to(site).as_posix()].ids
                if unquote(parts.fragment) not in ids:
                    bad.append(f"{name}: {link}")
    assert bad == []


def test_equations_are_mathml(pages, site):
    "No TeX is left in the text of a page, and numbered equations show their number."
    for name in pages:
        html = (site / name).read_text(encoding="utf-8")
        html = re.sub(r"base64,[^\"']*", "", html)  # a picture may spell any word
        assert 'class="math' not in html and "katex" not in html.lower(), name
    text = (site / "explain/diagrams.html").read_text(encoding="utf-8")
    assert text.count('<span class="equation-number">') == 2


def test_source_of_functions_is_folded(pages, site):
    "Their signatures stand in the text; the source is a click away."
    open_ones = {name for name in pages if build_site.SOURCE.search(
        (site / name).read_text(encoding="utf-8"))}
    folded = (site / "core/checks.html").read_text(encoding="utf-8").count(
        "<summary>Exported source")
    assert not open_ones and folded >= 3


def test_formulas():
    made = build_site.FORMULA.sub(build_site.formula, (
        r'<span class="math inline">\(a &lt; b\)</span> <span class="math display">'
        r"\[\operatorname{sign}(G) = \lambda \operatorname{Im}\mu \tag{3}\]</span>"))
    assert made.count("<math") == 2 and "&#x0003C;" in made
    assert '<span class="equation-number">(3)</span>' in made and "tag" not in made
    assert 'rspace="0">sign</mo>' in made and 'rspace="0.17em">Im</mo>' in made
    with pytest.raises(ValueError, match="no MathML for .*nonsense.*: write"):
        build_site.mathml(r"\nonsense{x}")
    lines = r"\begin{aligned} a &= b \\ c &= d \end{aligned}"
    assert build_site.mathml(lines).count("<mtr") == 2


@contextlib.contextmanager
def served(folder):
    "The address of a web server for a folder."
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def chromium():
    "A browser; without one the tests are skipped, with what to install."
    if not CHROMIUM:
        pytest.skip("no Chromium: install Debian's package chromium, or name a browser "
                    "in the variable CHROMIUM")
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(chromium, base, scheme="light", width=1280):
    "A page that notes what it asks for elsewhere and what goes wrong in it."
    context = chromium.new_context(viewport={"width": width, "height": 900},
                                   color_scheme=scheme)
    page = context.new_page()
    page.wrong = []
    page.on("request", lambda r: r.url.startswith((base, "data:", "blob:"))
            or page.wrong.append(f"asks for {r.url}"))
    page.on("console", lambda m: m.type == "error" and page.wrong.append(m.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    yield page
    context.close()


@pytest.fixture(params=["file", "http"])
def base(request, site):
    "The site's address: in a folder, and on a server."
    if request.param == "file":
        yield site.as_uri()
    else:
        with served(site) as address:
            yield address


@pytest.mark.browser
def test_pages_in_a_browser(chromium, base, pages):
    "No page asks for anything elsewhere, or has an error in its scripts."
    with opened(chromium, base) as page:
        for name in pages:
            page.goto(f"{base}/{name}")
        assert page.wrong == []


@pytest.mark.browser
def test_search_in_a_browser(chromium, base):
    "The search finds a word of a notebook, and leads to it."
    with opened(chromium, base) as page:
        page.goto(f"{base}/core/settings.html")
        page.locator("#quarto-search input").fill("Goeritz")
        hit = page.locator(".search-result").first
        hit.wait_for()
        assert "diagrams" in hit.get_attribute("href")
        hit.click()
        page.wait_for_url("**/explain/diagrams.html*")
        assert page.wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_in_a_browser(chromium, site, pages, scheme):
    "On a phone no page is wider than the screen, in light and dark."
    with opened(chromium, site.as_uri(), scheme, width=390) as page:
        wide = []
        for name in pages:
            page.goto(f"{site.as_uri()}/{name}")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(name)
        assert wide == []


@pytest.mark.browser
@pytest.mark.parametrize("name", LOOKED_AT)
def test_dark_is_dark(chromium, site, name):
    "The page follows the reader's choice, and its text stands out in both."
    light = {}
    for scheme in ("light", "dark"):
        with opened(chromium, site.as_uri(), scheme) as page:
            page.goto(f"{site.as_uri()}/{name}.html")
            light[scheme] = page.evaluate("""() => {
                const style = getComputedStyle(document.body);
                const grey = (colour) => colour.match(/\\d+/g).slice(0, 3)
                    .reduce((sum, part) => sum + Number(part), 0) / 3;
                return [grey(style.backgroundColor), grey(style.color)];
            }""")
    assert light["light"][0] > 200 > 100 > light["light"][1]
    assert light["dark"][0] < 60 < 180 < light["dark"][1]
