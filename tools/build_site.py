"""Build the site in _proc/_docs. It asks nothing of the network, built or read.

nbdev prepares the notebooks (signatures, links between names), smalldocs renders them
in Quarto's layout from the same nbs/_quarto.yml. What they would take from elsewhere
is replaced here: equations become MathML, fonts the system's own, addresses of the
published site relative ones. The search index is a script, so that the search works in
pages that are opened from a folder.

Usage: python tools/build_site.py [--workers N]"""

import argparse
import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from latex2mathml.converter import convert
from nbdev.config import get_config
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

from notebooks import ROOT, notebooks
from scorecard import REPORTS, load_scorecard, write_page

PROC = ROOT / "_proc"
SITE = PROC / "_docs"
FORMULA = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>',
                     re.DOTALL)
SOURCE = re.compile(r'<details open=""([^>]*>\s*<summary>Exported source)')
KATEX = re.compile(r'<(?:link|script)\b[^>]*/npm/katex@[^>]*>(?:</script>)?')
FONT = re.compile(r'@import\s*(?:url\([^)]*\)|"[^"]*"|\'[^\']*\')\s*;?')
IN_CSS = re.compile(r'url\(\s*["\']?([^"\')]+)|@import\s*["\']([^"\']+)')
EXPECTED = ("output-file is not read", "unknown key format-links")  # for Quarto alone
LOADING = {"src", "srcset", "poster", "data", "background", "xlink:href"}
NAMING = ("canonical", "license", "alternate")  # a <link> that loads nothing


def spaced(
    match: re.Match,  # a named operator, and the parenthesis after it if there is one
) -> str:  # MathML
    "A named operator with the spaces that TeX gives it: none before a parenthesis."
    word, after = match[1], match[2] or ""
    space = "0" if after else "0.17em"
    return f'<mo lspace="0.17em" rspace="{space}">{word}</mo>{after}'


def mathml(
    tex: str,  # a formula, without its delimiters
    display: str = "inline",  # inline or block
) -> str:  # a <math> element
    "A formula as MathML; ValueError if a command is not known."
    made = convert(re.sub(r"\{aligned\}", "{align*}", tex), display=display)
    if unknown := re.search(r"\\\w+|<mi>&(?=<)", made):
        raise ValueError(f"no MathML for {unknown[0]!r} in {tex!r}: write it otherwise")
    return re.sub(r"<mo>([A-Za-z]{2,})</mo>(<mo[^>]*>&#x00028;)?", spaced, made)


def formula(
    match: re.Match,  # of FORMULA
) -> str:  # what stands in its place
    "One formula of a page; the number of a displayed one stands at the right."
    kind, tex = match[1], html.unescape(match[2])
    if kind == "inline":
        return mathml(tex)
    tag = re.search(r"\\tag\{(.*?)\}", tex)
    number = f'<span class="equation-number">({tag[1]})</span>' if tag else ""
    tex = tex.replace(tag[0], "") if tag else tex
    return f'<span class="equation">{mathml(tex.strip(), "block")}{number}</span>'


def localise(
    page: str,  # the html of a page
    up: str,  # the way from it to the site's root: "" or "../"
    host: str,  # address of the published site, ending in a slash
) -> str:  # the same page, without anything from elsewhere
    "Replace what a page would take from the network; fold the source of functions."
    page = FORMULA.sub(formula, KATEX.sub("", page))
    page = SOURCE.sub(r"<details\1", page)
    page = page.replace(f'href="{host}', f'href="{up}')
    page = re.sub(r'(href="(?!\w+:)[^"#]*)\.ipynb(?=["#])', r"\1.html", page)
    script = f'<script src="{up}site_libs/search-index.js"></script>'
    return page.replace("</head>", f"{script}</head>", 1)


def search_script(
    index: str,  # the text of search.json
) -> str:  # a script
    "The search index for pages opened from a folder, where no file can be fetched."
    safe = index.replace("</", "<\\/")
    return f"""if (location.protocol === "file:") {{
  const index = {safe};
  const fetched = window.fetch;
  window.fetch = (what, ...more) => String(what).endsWith("search.json")
    ? Promise.resolve(new Response(JSON.stringify(index))) : fetched(what, ...more);
}}
"""


class Resources(HTMLParser):
    "Collects what a browser loads with a page."

    def __init__(self):
        super().__init__()
        self.found, self.inside = [], ""

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        self.inside = tag
        self.found += [given[name] for name in LOADING & set(given)]
        self.found += in_css(given.get("style", ""))
        if tag in ("link", "image", "use") and given.get("rel") not in NAMING:
            self.found.append(given.get("href", ""))

    def handle_data(self, data):
        if self.inside == "style":
            self.found += in_css(data)
        if self.inside == "script":
            self.found += re.findall(r'(?:from|import)\s*\(?["\']([^"\']+)', data)


def in_css(
    text: str,  # a style sheet
) -> list[str]:  # addresses
    "What a style sheet loads."
    return [a or b for a, b in IN_CSS.findall(text)]


def external_resources(
    site: Path,  # a folder of pages
) -> list[str]:  # "page: address"
    "Every script, style, font and image that a page would take from elsewhere."
    found = []
    for path in sorted(site.rglob("*")):
        if path.suffix not in (".html", ".css"):
            continue
        text, reader = path.read_text(encoding="utf-8"), Resources()
        if path.suffix == ".html":
            reader.feed(text)
        loaded = reader.found if path.suffix == ".html" else in_css(text)
        found += [f"{path.relative_to(site)}: {address}" for address in loaded
                  if re.match(r"\s*(?:https?:|ftp:|//)", address)]
    return found


def missing_pages(
    root: Path = ROOT,  # the repository
    site: Path = SITE,  # the built site
) -> list[str]:  # notebooks
    "Notebooks without a page, for example because an import in them failed."
    return [str(p.relative_to(root)) for p in notebooks(root)
            if not (site / p.relative_to(root / "nbs").with_suffix(".html")).is_file()]


def render(
    workers: int = 2,  # processes that prepare notebooks
) -> None:
    "The pages as nbdev and smalldocs make them."
    refresh_quarto_yml()
    try:
        proc_nbs(n_workers=workers, force=True)
    except Exception as error:  # whatever an import in a notebook raises
        raise ValueError(f"a notebook has no page. {error}") from None
    command = [Path(sys.executable).with_name("smalldocs"), "render", "-q", PROC]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    said = [line for line in done.stderr.splitlines()
            if not any(words in line for words in EXPECTED)]
    print(*said, sep="\n", end="\n" if said else "", file=sys.stderr)
    done.check_returncode()


def finish(
    site: Path,  # what `render` made
    host: str,  # address of the published site, ending in a slash
) -> None:
    "Make the rendered site independent of the network."
    for path in site.rglob("*.html"):
        up = "../" * (len(path.relative_to(site).parts) - 1)
        try:
            page = localise(path.read_text(encoding="utf-8"), up, host)
        except ValueError as error:
            raise ValueError(f"{path.relative_to(site)}: {error}") from None
        path.write_text(page, encoding="utf-8")
    for path in site.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        path.write_text(FONT.sub("", style), encoding="utf-8")
    index = (site / "search.json").read_text(encoding="utf-8")
    script = site / "site_libs/search-index.js"
    script.write_text(search_script(index), encoding="utf-8")


def main(
    workers: int,  # processes that prepare notebooks
) -> str | None:  # what is wrong, None if nothing is
    "Build the site, and check it."
    write_page(load_scorecard(REPORTS))
    render(workers)
    config = get_config()
    finish(SITE, f"{config.doc_host}{config.doc_baseurl}".rstrip("/") + "/")
    if missing := missing_pages():
        return f"no page for {', '.join(missing)}: see the traceback above"
    if external := external_resources(SITE):
        return "the site takes from the network:\n" + "\n".join(external)
    print(f"{len(list(SITE.rglob('*.html')))} pages in {SITE.relative_to(ROOT)}")
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    try:
        sys.exit(main(parser.parse_args().workers))
    except (OSError, ValueError) as problem:
        sys.exit(f"the site is not built: {problem}")
