"""Widgets: their page form, their Python side, and both forms in a real browser."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from litlab.core.widgets import front_end, script_json, standalone_html, widget_base

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which(
    "chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
needs_anywidget = pytest.mark.skipif(
    not importlib.util.find_spec("anywidget"), reason="needs pip install 'litlab[lab]'")
needs_torch = pytest.mark.skipif(
    not importlib.util.find_spec("torch"), reason="needs pip install 'litlab[torch]'")
needs_graphs = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("torch_geometric", "rdkit"))),
    reason="needs pip install 'litlab[graphs]'")
SHOTS = os.environ.get("SCREENSHOTS")  # a folder that keeps pictures


# the page form

def test_standalone_is_deterministic_and_safe():
    "Equal arguments give equal html; nothing in state or source ends the script."
    state = {"b": "</script><script>alert(1)</script><!--", "a": [1, 2.5, None]}
    page = standalone_html("export default {} // </script>", state)
    assert page == standalone_html("export default {} // </script>",
                                   dict(reversed(state.items())))
    assert page != standalone_html("export default {}", state)
    assert page.count("</script>") == 1 and "<!--" not in page
    found = re.search(r"const state = (.*), listeners", page)[1]
    assert json.loads(found) == state
    assert not re.search(r"(?:src|href|url|import)\W{0,3}https?:", page)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("nan")]}])
def test_state_must_be_json(value):
    "No page with nan in it."
    with pytest.raises(ValueError):
        script_json(value)


def test_front_end_is_found_or_named():
    "The .js files come with the package."
    for name in ("attribution.js", "molecule.js"):
        assert "export default" in front_end("litlab.explain", name)
    with pytest.raises(FileNotFoundError, match="no_such.js.*install it again"):
        front_end("litlab.explain", "no_such.js")


def test_core_needs_no_widget_library():
    "Importing the module loads neither anywidget nor its parts; missing, it is named."
    code = ("import sys; sys.modules['anywidget'] = None\n"
            "import litlab.core.widgets as w\n"
            "try: w.widget_base()\nexcept ImportError as error: print(error)\n"
            "assert not {'traitlets', 'ipywidgets'} & set(sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                          check=True)
    assert "anywidget" in done.stdout


# the Python side

def explorer(**changed):
    "A small widget, the same at each call."
    import torch

    from litlab.explain.axioms import random_network
    from litlab.explain.salience import explore_attribution
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    return explore_attribution(random_network(4, n_inputs=3), x, **changed)


@needs_anywidget
@needs_torch
def test_widget_explains():
    "What the widget shows is what integrated_gradients gives."
    import torch

    from litlab.explain.axioms import random_network
    from litlab.explain.salience import integrated_gradients
    widget = explorer(baselines={"zeros": 0, "half": 0.5}, n_steps=7)
    widget.sample, widget.baseline, widget.method = 2, "half", "riemann_left"
    x = torch.tensor(widget.choices["values"]).double()
    want, delta = integrated_gradients(
        random_network(4, n_inputs=3), x, 0.5, n_steps=7, method="riemann_left",
        return_convergence_delta=True)
    assert widget.message == ""
    assert widget.result["attributions"] == pytest.approx(want[2].tolist(), rel=1e-3)
    assert widget.result["delta"] == pytest.approx(float(delta[2]), rel=1e-2, abs=1e-4)
    assert widget.result["baseline"] == 1 and widget.result["n_steps"] == 7


@needs_anywidget
@needs_torch
@pytest.mark.parametrize("trait, value, words", [
    ("n_steps", 1, "n_steps must be at least 2"), ("n_steps", "many", "n_steps"),
    ("n_steps", None, "n_steps"), ("n_steps", 10**7, "at most 10000"),
    ("sample", 99, "between 0 and 2"), ("sample", "first", "sample must"),
    ("baseline", "noon", "baseline must be one of"),
    ("method", "simpson", "method must"), ("method", ["a"], "method must")])
def test_bad_choices_are_messages(trait, value, words):
    "No exception: the words are shown, the last result stays, a good choice clears."
    widget = explorer()
    before = dict(widget.result)
    good = getattr(widget, trait)
    setattr(widget, trait, value)
    assert words in widget.message and widget.result == before
    setattr(widget, trait, good)
    assert widget.message == ""


@needs_anywidget
@needs_torch
def test_a_model_that_breaks_is_a_message():
    "Whatever the model raises, the widget shows it."
    import torch

    from litlab.explain.salience import explore_attribution
    state = {"broken": False}

    def model(x):
        if state["broken"]:
            raise RuntimeError("the dog ate it")
        return x.sum(1)
    widget = explore_attribution(model, torch.ones(1, 2))
    state["broken"] = True
    widget.n_steps = 9
    assert widget.message == "the dog ate it"


@needs_anywidget
@needs_torch
def test_stored_form_has_no_address():
    "Two equal widgets have the same text and html."
    one, two = (explorer()._repr_mimebundle_() for _ in range(2))
    for kind in ("text/html", "text/plain"):
        assert one[kind] == two[kind]
    assert "application/vnd.jupyter.widget-view+json" in one
    assert "http:" not in one["text/html"] and "https:" not in one["text/html"]


@needs_anywidget
@needs_torch
def test_bad_start():
    "A start that can't be explained is refused at once."
    with pytest.raises(ValueError, match="n_steps must be at least 2"):
        explorer(n_steps=1)
    with pytest.raises(ValueError, match="names must be one for each of 3"):
        explorer(names=["a"])


def molecules(**changed):
    "A small molecule widget, the same at each call."
    import torch

    from litlab.explain.explorer import explore_molecule
    from litlab.explain.graphs import molecule_graphs
    from litlab.explain.molecules import parse_smiles
    from litlab.explain.networks import MutagenicityNet
    torch.manual_seed(3)
    lines = ("c1ccccc1[N+](=O)[O-]", "CCN", "CC(=O)O")
    graphs = molecule_graphs([parse_smiles(s) for s in lines], y=[0, 1, 1])
    return explore_molecule(MutagenicityNet(width=16).eval(), graphs, **changed)


@needs_anywidget
@needs_graphs
def test_molecule_widget_explains():
    "Each choice gets its answer; an index and its SMILES have the same."
    widget = molecules()
    seen = [dict(widget.result)]
    for trait, value in (("molecule", 2), ("method", "occlusion"), ("molecule", "NN=O"),
                         ("method", "gnn_explainer"), ("n_steps", 7)):
        setattr(widget, trait, value)
        assert widget.message == "" and widget.result["svg"] != seen[-1]["svg"]
        seen.append(dict(widget.result))
    assert widget.answered == len(seen)
    assert [f["measured"] for f in seen] == ["mutagen", *["nonmutagen"] * 2, *[""] * 3]
    assert seen[0]["groups"][0][0] == "aromatic nitro"
    assert seen[1]["smiles"] == "CC(=O)O"
    assert seen[0]["sum"] - seen[0]["change"] == pytest.approx(
        seen[0]["delta"], abs=1e-4)
    same = molecules(molecule="CC(=O)O").result
    assert {**same, "measured": "nonmutagen"} == seen[1]


@needs_anywidget
@needs_graphs
@pytest.mark.parametrize("trait, value, words", [
    ("molecule", "C1CC", "'C1CC' is no valid SMILES"), ("molecule", "C[Si]", "has Si,"),
    ("molecule", "  ", "smiles must be"), ("molecule", 3, "between 0 and 2"),
    ("molecule", -1, "between 0 and 2"), ("molecule", 0.5, "index between"),
    ("molecule", None, "index between"), ("molecule", True, "index between"),
    ("molecule", "C" * 200, "at most 500 atoms"), ("n_steps", 1, "n_steps must be"),
    ("n_steps", 10**6, "from 2 to 1000"), ("n_steps", "many", "n_steps must be"),
    ("n_steps", True, "n_steps must be"), ("method", "lime", "method must be one of"),
    ("method", None, "method must be")])
def test_bad_molecules_are_messages(trait, value, words):
    "No exception: the words are shown, the last picture stays, a good choice clears."
    widget = molecules()
    before, good = dict(widget.result), getattr(widget, trait)
    setattr(widget, trait, value)
    assert words in widget.message and widget.result == before
    assert widget.answered == 2
    setattr(widget, trait, good)
    assert widget.message == "" and widget.result == before


@needs_anywidget
@needs_graphs
def test_molecule_page_form():
    "No kernel, no address, the same for equal widgets; a bad start is refused."
    one, two = (molecules()._repr_mimebundle_() for _ in range(2))
    page = one["text/html"]
    assert page == two["text/html"] and len(page) < 300_000
    assert "http:" not in page and "https:" not in page
    state = molecules(n_steps=9).standalone_state()
    assert not state["live"] and state["n_steps"] == 9 and state["molecule"] == 0
    assert [e.partition(": ")[0] for e in state["choices"]["examples"]] == list("012")
    own = molecules(examples=["CO"]).standalone_state()
    assert own["choices"]["examples"] == ["CO"] and len(own["table"]["entries"]) == 1
    for start, words in (({"n_steps": 1}, "n_steps"), ({"molecule": 9}, "between")):
        with pytest.raises(ValueError, match=words):
            molecules(**start)


@needs_anywidget
def test_base_class_keeps_own_traits_only():
    "The page form starts from what a widget adds."
    import traitlets

    class Small(widget_base()):
        n = traitlets.Int(3).tag(sync=True)
        hidden = traitlets.Int(4)
    assert Small().standalone_state() == {"n": 3}


# the browser

DEBUGGER = "Could not restore the debugger state"  # JupyterLab's own, on a slow machine


@contextmanager
def browser_page(**options):
    "A page that remembers errors and the requests that leave the machine."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 1000}, **options)
        page.problems = []
        page.on("console", lambda m: m.type == "error" and DEBUGGER not in m.text
                and page.problems.append(m.text))
        page.on("pageerror", lambda e: page.problems.append(str(e)))
        page.on("request", lambda r: page.problems.append(r.url) if not re.match(
            r"(file|blob|data):|(https?|wss?)://127\.0\.0\.1[:/]", r.url)
            else None)
        try:
            yield page
        except Exception:
            shot(page, "failed")
            raise
        finally:
            browser.close()


def need_browser(*modules):
    "Skip, and say what is missing."
    missing = [m for m in modules if not importlib.util.find_spec(m)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'litlab[all]'")
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt install chromium, or set CHROMIUM to its path")


def shot(page, name):
    "Keep a picture if a folder for them is named."
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def numbers(page):
    "The numbers beside the bars."
    return [float(v.replace("\u2212", "-"))
            for v in page.locator("text.value").all_text_contents()]


def state(page):
    "Bars and words that the widget shows."
    box = page.locator(".lab-attribution").first
    bars = box.locator("rect.bar").evaluate_all(
        "all => all.map(e => [+e.getAttribute('x'), +e.getAttribute('width')])")
    return bars, box.locator(".sum").inner_text(), box.locator("svg").get_attribute(
        "aria-label")


def slide(page, to):
    "Move the slider with the keyboard."
    slider = page.locator(".pick-steps").first
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(to):
        page.keyboard.press("ArrowRight")


PAGE = """<!doctype html><meta charset=utf-8><title>page</title>
<style>body{{color:{color};background:{back};margin:2em}}</style>{html}"""


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_without_kernel(tmp_path, theme):
    "From a file: the bars move, the numbers are those of Python, nothing is fetched."
    need_browser("playwright", "anywidget", "torch")
    widget = explorer()
    color, back = {"light": ("#222", "#fff"), "dark": ("#ddd", "#1b1f24")}[theme]
    file = tmp_path / "page.html"
    html = widget._repr_mimebundle_()["text/html"]
    file.write_text(PAGE.format(color=color, back=back, html=html), encoding="utf-8")
    with browser_page(color_scheme=theme) as page:
        page.goto(file.as_uri())
        page.wait_for_selector(".lab-attribution .sum:not(:empty)")
        first = state(page)
        shot(page, f"page_{theme}")
        slide(page, 0)
        assert page.locator("output.steps").inner_text() == "2"
        coarse = state(page)
        assert coarse[0] != first[0] and coarse[1] != first[1]
        assert "2 steps" in coarse[1]
        for name, choice in (("sample", "row 2"), ("baseline", "mean"),
                             ("method", "riemann_left")):
            before = state(page)
            page.locator(f".pick-{name}").select_option(label=choice)
            assert state(page)[0] != before[0], name
        widget.sample, widget.baseline = 2, "mean"
        widget.n_steps, widget.method = 2, "riemann_left"
        assert numbers(page) == pytest.approx(widget.result["attributions"], rel=0.01)
        assert page.locator(".type-steps").count() == 0
        assert page.get_by_label("baseline").count() == 1
        assert page.problems == []


@pytest.mark.browser
def test_two_widgets_on_one_page(tmp_path):
    "Each moves by itself."
    need_browser("playwright", "anywidget", "torch")
    pages = [explorer(n_steps=n)._repr_mimebundle_()["text/html"] for n in (50, 5)]
    file = tmp_path / "page.html"
    html = PAGE.format(color="#222", back="#fff", html="".join(pages))
    file.write_text(html, encoding="utf-8")
    with browser_page() as page:
        page.goto(file.as_uri())
        page.wait_for_function(
            "document.querySelectorAll('.lab-attribution').length == 2")
        second = page.locator(".lab-attribution .sum").nth(1)
        before = second.inner_text()
        slide(page, 0)
        assert "2 steps" in state(page)[1] and second.inner_text() == before
        assert page.problems == []


def drawn(page):
    "Drawing and words that the molecule widget shows."
    box = page.locator(".lab-molecule").first
    return box.locator(".drawing").inner_html(), box.locator(".facts").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_molecule_page_without_kernel(tmp_path, theme):
    "From a file: each choice has its drawing, with the words and numbers of Python."
    need_browser("playwright", "anywidget", "torch_geometric", "rdkit")
    widget = molecules()
    color, back = {"light": ("#222", "#fff"), "dark": ("#ddd", "#1b1f24")}[theme]
    file = tmp_path / "page.html"
    html = widget._repr_mimebundle_()["text/html"]
    file.write_text(PAGE.format(color=color, back=back, html=html), encoding="utf-8")
    with browser_page(color_scheme=theme) as page:
        page.goto(file.as_uri())
        page.wait_for_selector(".lab-molecule .facts:not(:empty)")
        first = drawn(page)
        shot(page, f"molecule_{theme}")
        assert "aromatic nitro" in first[1] and "measured: mutagen" in first[1]
        assert "at 50 steps" in first[1] and "<svg" in first[0]
        for label, choice in (("molecule", "2: CC(=O)O"), ("method", "occlusion"),
                              ("method", "gnn_explainer"),
                              ("method", "integrated_gradients"), ("n_steps", "2")):
            before = drawn(page)
            page.get_by_label(label, exact=True).select_option(label=choice)
            assert drawn(page) != before, choice
            steps = page.get_by_label("n_steps", exact=True)
            assert steps.is_disabled() == (choice == "occlusion")
        widget.molecule, widget.n_steps = 2, 2
        facts = widget.result
        words = drawn(page)[1].replace("\u2212", "-")
        assert f"P(mutagen) = {facts['probability']:.2f}" in words
        shown = [float(x) for x in re.search(
            r"sum (\S+), change of the logit difference (\S+), delta (\S+) at 2 steps",
            words).groups()]
        assert shown == pytest.approx([facts[k] for k in ("sum", "change", "delta")],
                                      rel=0.01)
        assert page.locator(".drawing svg").get_attribute("aria-label").startswith(
            "CC(=O)O. Largest bonds: ")
        smiles = page.get_by_label("or SMILES")
        assert smiles.is_disabled() and "running notebook" in smiles.get_attribute(
            "placeholder")
        assert "In a running notebook" in page.locator(".where").inner_text()
        page.get_by_label("molecule", exact=True).focus()
        page.keyboard.press("ArrowUp")
        page.wait_for_function("document.querySelector('.lab-molecule .facts')"
                               ".textContent.includes('aliphatic amine')")
        assert page.problems == []


@contextmanager
def jupyter_lab(root, home):
    "JupyterLab on a free port, its state in a folder of its own; ended by its own id."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTER_RUNTIME_DIR",
             "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    news = home / "JUPYTERLAB_SETTINGS_DIR/@jupyterlab/apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        f"--port={port}", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=t",
        f"--ServerApp.root_dir={root}", "--ServerApp.port_retries=0",
        "--LabApp.news_url=None", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = (home / "lab.log").open("w")
    server = subprocess.Popen(
        command, env={**os.environ, **{n: str(home / n) for n in names}}, stdout=log,
        stderr=subprocess.STDOUT)
    try:
        for _ in range(360):
            if server.poll() is not None:
                raise RuntimeError((home / "lab.log").read_text()[-2000:])
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token=t",
                                       timeout=2)
                break
            except OSError:
                time.sleep(0.25)
        else:
            raise TimeoutError("JupyterLab did not answer within 90 s")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


CELLS = ["""import torch
from litlab.explain.axioms import random_network
from litlab.explain.salience import explore_attribution""",
         """x = torch.randn(3, 3, generator=torch.Generator().manual_seed(4)).double()
widget = explore_attribution(random_network(4, n_inputs=3), x)
widget""",
         """from pathlib import Path
import json
def note(change):
    keys = ("sample", "baseline", "n_steps", "method", "result", "message")
    text = json.dumps({k: getattr(widget, k) for k in keys})
    Path("echo.part").write_text(text)
    Path("echo.part").rename("echo.json")
widget.observe(note, ["result", "message"])"""]


def run_all(page, timeout=180):
    "Run All, again whenever it was lost (a slow kernel drops it without a word)."
    from playwright.sync_api import TimeoutError as PlaywrightTimeout
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        if prompts and all(re.search(r"\[\d+\]", p) for p in prompts):
            return
        accept = page.locator("dialog .jp-mod-accept")
        try:
            if accept.count():  # such as a kernel to select
                accept.first.click(timeout=2_000)
            elif not any("*" in p for p in prompts):
                for name in ("Run", "Run All Cells"):
                    item = page.get_by_role("menuitem", name=name, exact=True)
                    item.click(timeout=4_000)
        except PlaywrightTimeout:
            page.keyboard.press("Escape")
        page.wait_for_timeout(1_500)
    raise AssertionError(f"the notebook did not run in {timeout} s")


def echo(folder, wanted, timeout=30):
    "What the kernel last noted, as soon as it is what is waited for."
    end, noted = time.monotonic() + timeout, None
    while time.monotonic() < end:
        if (folder / "echo.json").exists():
            noted = json.loads((folder / "echo.json").read_text())
            if wanted(noted):
                return noted
        time.sleep(0.1)
    raise AssertionError(f"the kernel did not answer; last: {noted}")


@contextmanager
def notebook_page(tmp_path, cells):
    "A page with a notebook in JupyterLab, all cells run, in the folder `work`."
    import nbformat.v4 as nb
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    book = nb.new_notebook(cells=[nb.new_code_cell(c) for c in cells], metadata={
        "kernelspec": {"name": "python3", "display_name": "python3"}})
    (folder / "book.ipynb").write_text(json.dumps(book))
    with jupyter_lab(folder, home) as url, browser_page() as page:
        page.goto(f"{url}/lab/tree/book.ipynb?token=t&reset")
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]',
                               timeout=120_000)
        run_all(page)
        yield page


@pytest.mark.browser
def test_in_jupyterlab(tmp_path):
    "Select and slider reach the kernel, whose answer moves the bars."
    need_browser("playwright", "anywidget", "torch", "jupyterlab", "nbformat")
    folder = tmp_path / "work"
    with notebook_page(tmp_path, CELLS) as page:
        page.wait_for_selector(".lab-attribution .sum:not(:empty)", timeout=60_000)
        first = state(page)
        shot(page, "lab_1")
        page.locator(".pick-sample").select_option(label="row 1")
        noted = echo(folder, lambda e: e["sample"] == 1 and e["result"]["sample"] == 1)
        page.wait_for_function("old => document.querySelector('.lab-attribution .sum')"
                               ".textContent !== old", arg=first[1])
        second = state(page)
        assert second[0] != first[0]
        assert numbers(page) == pytest.approx(noted["result"]["attributions"], rel=0.01)
        slide(page, 0)
        noted = echo(folder, lambda e: e["result"]["n_steps"] == 2)
        page.wait_for_function("document.querySelector('.lab-attribution .sum')"
                               ".textContent.includes('at 2 steps')")
        third = state(page)
        assert third[0] != second[0] and third[1] != second[1]
        box = page.locator(".type-steps")
        box.fill("37")  # not on the slider: only the kernel knows it
        echo(folder, lambda e: e["result"]["n_steps"] == 37)
        box.fill("1")
        noted = echo(folder, lambda e: e["message"])
        page.wait_for_selector("text=n_steps must be at least 2 (got 1)")
        assert noted["n_steps"] == 1 and noted["result"]["n_steps"] == 37
        shot(page, "lab_2")
        assert page.locator("text=Traceback").count() == 0
        page.locator(".pick-method").select_option(label="riemann_left")
        box.fill("5")
        echo(folder, lambda e: not e["message"] and e["method"] == "riemann_left")
        page.wait_for_selector("text=at 5 steps")
        shot(page, "lab_3")
        assert page.problems == []


MOLECULE_CELLS = ["""import torch
from litlab.explain.explorer import explore_molecule
from litlab.explain.graphs import molecule_graphs
from litlab.explain.molecules import parse_smiles
from litlab.explain.networks import MutagenicityNet""",
                  """lines = ("c1ccccc1[N+](=O)[O-]", "CCN", "CC(=O)O")
torch.manual_seed(3)
graphs = molecule_graphs([parse_smiles(s) for s in lines], y=[0, 1, 1])
widget = explore_molecule(MutagenicityNet(width=16).eval(), graphs)
widget""",
                  CELLS[2].replace('"sample", "baseline"', '"molecule"').replace(
                      '["result", "message"]', '["answered"]')]


@pytest.mark.browser
def test_molecule_in_jupyterlab(tmp_path):
    "A SMILES of one's own, method and steps reach the kernel; a bad SMILES gets words."
    need_browser("playwright", "anywidget", "torch_geometric", "rdkit", "jupyterlab",
                 "nbformat")
    folder = tmp_path / "work"
    with notebook_page(tmp_path, MOLECULE_CELLS) as page:
        page.wait_for_selector(".lab-molecule .facts:not(:empty)", timeout=60_000)
        seen = [drawn(page)]
        assert "aromatic nitro" in seen[0][1]

        def answers(wanted, words):
            noted = echo(folder, wanted)
            page.wait_for_function(
                "words => document.querySelector('.lab-molecule .facts').textContent"
                ".includes(words)", arg=words)
            seen.append(drawn(page))
            assert seen[-1] != seen[-2]
            return noted
        smiles = page.get_by_label("or SMILES")
        page.get_by_label("molecule", exact=True).fill("2")
        answers(lambda e: e["result"]["measured"] == "nonmutagen", "C-O-H acid")
        smiles.fill("Oc1ccccc1N")  # not among the graphs: only the kernel knows it
        noted = answers(lambda e: e["result"]["smiles"] == "Nc1ccccc1O",
                        "aromatic amine")
        assert noted["molecule"] == "Oc1ccccc1N" and not noted["message"]
        page.get_by_label("method").select_option(label="gnn_explainer")
        answers(lambda e: e["result"]["method"] == "gnn_explainer",
                "promises none, at 50 steps")
        steps = page.get_by_label("n_steps")
        steps.fill("7")
        answers(lambda e: e["result"]["n_steps"] == 7, "at 7 steps")
        shot(page, "molecule_lab_1")
        smiles.fill("Oc1ccccc1N(")
        noted = echo(folder, lambda e: e["message"])
        page.wait_for_selector("text='Oc1ccccc1N(' is no valid SMILES")
        assert noted["result"]["smiles"] == "Nc1ccccc1O"
        assert drawn(page) == seen[-1]
        assert page.locator(".lab-molecule .answer.stale").count() == 1
        shot(page, "molecule_lab_2")
        steps.fill("1")
        page.wait_for_selector("text=n_steps must be a whole number from 2")
        steps.fill("9")
        smiles.fill("")
        answers(lambda e: e["molecule"] == 2 and not e["message"], "C-O-H acid")
        page.get_by_label("molecule", exact=True).fill("7")
        page.wait_for_selector("text=molecule must be an index between 0 and 2")
        page.get_by_label("molecule", exact=True).fill("1")
        page.get_by_label("method").select_option(label="saliency")
        answers(lambda e: e["molecule"] == 1 and e["result"]["method"] == "saliency",
                "aliphatic amine")
        assert steps.is_disabled()
        assert page.locator(".lab-molecule .stale").count() == 0
        shot(page, "molecule_lab_3")
        assert page.locator("text=Traceback").count() == 0
        assert page.problems == []
