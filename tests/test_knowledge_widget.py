"""The graph's explorer: its numbers, its page, and both forms in a real browser."""

import json
import math

import pytest
from matplotlib.figure import Figure

pytest.importorskip("networkx", reason="needs pip install 'litlab[knowledge]'")

from litlab.core.widgets import front_end, script_json
from litlab.knowledge.explore import METHODS, named, query, word_scores
from litlab.knowledge.explorer import (
    LARGEST, TUNED, explore_graph, page_answer, page_setup, page_table, view)
from litlab.knowledge.forms import frame, pairs
from litlab.knowledge.graphs import KnowledgeGraph
from litlab.knowledge.stories import story

from test_knowledge_explore import NAMES, TEXTS, letters, small
from test_widgets import (
    CELLS, PAGE, browser_page, echo, need_browser, needs_anywidget, notebook_page,
    shot)

COLOURS = {"light": ("#222", "#fff"), "dark": ("#ddd", "#1b1f24")}
QUESTIONS = ["What is dark energy?", "Did an asteroid end the Cretaceous?"]


def explorer(**changed):
    "A small widget, the same at each call."
    return explore_graph(small(), **{"text": QUESTIONS[0], "questions": QUESTIONS,
                                     "encoder": letters, **changed})


# Python

@pytest.mark.parametrize("wrong, words", [
    ({"text": ""}, "text must be a question"), ({"method": "oracle"}, "'oracle'"),
    ({"layers": -1}, "layers must be"), ({"lam": math.nan}, "lam must be"),
    ({"k": 99}, "k must be")])
def test_bad_start(wrong, words):
    "The picture and the widget refuse the same."
    with pytest.raises(ValueError, match=words):
        view(wrong, small())
    if not needs_anywidget.args[0]:
        with pytest.raises(ValueError, match=words):
            explorer(**wrong)


@needs_anywidget
def test_graph_of_one_sentence():
    "As many answers as there are, and no endless question to itself."
    one = KnowledgeGraph(frame("articles", [("Art0", "Bern is a town.", "", "")]),
                         frame("entities"), pairs([]), pairs([]), frame("relations"))
    widget = explore_graph(one, text="Bern?", method="words", questions=["Bern?"])
    assert len(widget.result["found"]) == widget.setup["k"] == 1
    widget.layers = -1
    assert widget.layers == 1 and widget.message.startswith("layers must be")
    for bad in ("Bern?", [3]):
        with pytest.raises(ValueError, match="questions must be a list of texts"):
            explore_graph(one, text="Bern?", questions=bad)


def test_view():
    "Answers above, subgraph below; grey is not connected with the first."
    figure = view({"text": "dark energy", "method": "encoder", "k": 5,
                   "encoder": letters}, small())
    assert isinstance(figure, Figure)
    bars, part = figure.axes
    assert len(bars.patches) == 5 and "dark energy (encoder)" in bars.get_title("left")
    answer = query(small(), "dark energy", 5, "encoder", encoder=letters)
    assert len(part.texts) == len(answer.subgraph)
    greys = sum(p.get_facecolor() == bars.patches[0].get_facecolor()
                for p in bars.patches)
    assert greys == (answer.found["component"] == 0).sum() < 5


def test_page_setup():
    "Numbers of nodes fit, the relations too; a graph that is too large is refused."
    graph, setup = small(), page_setup(small(), questions=QUESTIONS)
    assert [n["name"] for n in setup["nodes"]] == [
        *graph.articles["name"], *graph.entities["name"]]
    assert len(setup["edges"]) == len(graph.mentions) + len(graph.instances)
    [[subject, verb, object_, article]] = setup["relations"]
    assert setup["nodes"][subject]["name"] == "coal" and verb == "come from"
    assert setup["nodes"][object_]["name"] == "Carboniferous" and article == 6
    large = KnowledgeGraph(frame("articles", [(f"Art{i}", "a", "", "")
                                              for i in range(LARGEST + 1)]),
                           frame("entities"), pairs([]), pairs([]), frame("relations"))
    with pytest.raises(ValueError, match=f"at most {LARGEST} nodes.*got {LARGEST + 1}"):
        page_setup(large, questions=QUESTIONS)


def test_page_table():
    "Each choice that a page offers has its answer, that of `query`."
    setup = page_setup(small(), questions=QUESTIONS)
    graph, asked = small(), tuple(setup["questions"])
    table = page_table(graph, asked, setup["k"], letters)
    assert page_table(graph, asked, setup["k"], letters) is table  # made once
    many = len(setup["layers"]) * len(setup["lams"])
    assert len(table) == len(QUESTIONS) * (3 + 2 * many) and set(TUNED) < set(METHODS)
    answer = query(small(), QUESTIONS[1], 4, "convolved", 2, 0.5, letters)
    assert table["1 convolved 2 0.5"] == page_answer(small(), answer)
    assert table["1 convolved 2 0.5"]["entities"] == [7 + NAMES.index(n) for n in (
        "asteroid", "Cretaceous")]


@needs_anywidget
@pytest.mark.parametrize("trait, value, good", [
    ("question", " ", "coal"), ("question", None, "coal"),
    ("method", "oracle", "words"), ("layers", -1, 2), ("layers", 1.5, 2),
    ("lam", 2, 0.5), ("lam", "half", 0.5), ("lam", math.nan, 1)])
def test_bad_choices_are_messages(trait, value, good):
    "No exception: the words are there, what was chosen stays, a good choice clears."
    widget = explorer()
    before, result, seen = widget.params, dict(widget.result), widget.answered
    setattr(widget, trait, value)
    name = "text" if trait == "question" else trait
    assert widget.message.startswith(f"{name} must be") and widget.answered > seen
    assert widget.params == before and widget.result == result
    setattr(widget, trait, good)
    assert widget.message == "" and widget.params == before | {name: good}
    want = page_answer(small(), query(small(), **widget.params))
    assert widget.result == want


@needs_anywidget
def test_an_encoder_that_breaks_is_a_message():
    "Whatever the encoder raises, the widget shows it; at the start it is an error."
    state = {"broken": False}

    def encoder(texts):
        if state["broken"]:
            raise RuntimeError("the dog ate it")
        return letters(texts)
    widget = explorer(encoder=encoder)
    state["broken"] = True
    widget.question = "something else"
    assert widget.message == "the dog ate it"
    with pytest.raises(ValueError, match="the dog"):
        explorer(encoder=lambda texts: encoder(texts))


@needs_anywidget
def test_page_form():
    "Small, the same for equal widgets, without an address; a picture of the choice."
    one, two = (explorer()._repr_mimebundle_()["text/html"] for _ in range(2))
    assert one == two and len(one) < 150_000
    assert "https:" not in one and "http:" not in one
    state = explorer(layers=2, method="words").standalone_state()
    assert not state["live"] and state["layers"] == 2 and state["method"] == "words"
    assert "graph" not in state and "encoder" not in state
    assert len(explorer().view().axes) == 2


def test_stored_page_is_current(root):
    "The page that the notebook keeps runs the front-end of today."
    text = (root / "nbs/knowledge/explorer.ipynb").read_text(encoding="utf-8")
    outputs = [o for c in json.loads(text)["cells"] for o in c.get("outputs", [])]
    pages = ["".join(o.get("data", {}).get("text/html", "")) for o in outputs]
    source = script_json(front_end("litlab.knowledge", "explorer.js"))
    assert [source in page for page in pages if page] == [True], "make notebooks"


# the page computes like Python

NUMBERS = """async ([source, setup, questions, ends, most]) => {
  const blob = new Blob([source], { type: "text/javascript" });
  const page = await import(URL.createObjectURL(blob));
  const near = page.around(setup), texts = setup.nodes.slice(0, setup.n_articles);
  const at = name => setup.nodes.findIndex(node => node.name === name);
  return { scores: questions.map(q => page.word_scores(texts.map(t => t.text), q)),
    named: questions.map(q => page.named(setup, q)), near,
    stories: ends.map(([a, b]) => page.paths(near, at(a), at(b), most)
      .map(path => page.tell(setup, path))) };
}"""
ENDS = [("asteroid", "coal"), ("Art3", "Art4"), ("Art0", "dark matter"),
        ("period", "Art1"), ("coal", "Art0"), ("universe", "Art5")]


@pytest.mark.browser
def test_page_computes_like_python():
    "Scores by words, entities, neighbours, paths in their order, and their words."
    need_browser("playwright")
    questions = [*QUESTIONS, *TEXTS, "Yucatan_Peninsula DINOSAURS", "Über-naïve 42?"]
    setup = page_setup(small(), questions=QUESTIONS)
    source = front_end("litlab.knowledge", "explorer.js")
    with browser_page() as page:
        got = page.evaluate(NUMBERS, [source, setup, questions, ENDS, 5])
        assert page.problems == []
    for question, scores, found in zip(questions, got["scores"], got["named"]):
        assert scores == pytest.approx(word_scores(TEXTS, question).tolist(), abs=1e-9)
        assert [i - 7 for i in found] == named(small(), question)
    whole = small().to_networkx()
    order = list(whole)
    assert [[order[j] for j in sorted(js)] for js in got["near"]] == [
        sorted(whole[name], key=order.index) for name in order]
    for ends, told in zip(ENDS, got["stories"]):
        assert tuple(map(tuple, told)) == story(small(), *ends).lines, ends


# the built page

def facts(page):
    "What the widget says of itself."
    return page.locator(".lab-graph").first.evaluate("e => ({ ...e.dataset })")


def until(page, condition):
    "Wait until the widget `e` is so."
    page.wait_for_function(
        f"(e => {condition})(document.querySelector('.lab-graph'))", timeout=30_000)


def node(page, name):
    "A node of the picture."
    return page.locator(f'.lab-graph .node[aria-label^="{name},"]')


def answers(page):
    "Names of the sentences that are shown."
    return facts(page)["found"].split()


def lights(page):
    "Whether some of the picture is dimmed since a node is under the pointer."
    return page.locator(".lab-graph svg.dim").count() == 1


@pytest.mark.browser
@needs_anywidget
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_without_kernel(tmp_path, theme):
    "From a file: questions, methods, clicks, stories, the hand and the keys."
    need_browser("playwright", "anywidget")
    color, back = COLOURS[theme]
    html = explorer(method="encoder")._repr_mimebundle_()["text/html"]
    file = tmp_path / "page.html"
    file.write_text(PAGE.format(color=color, back=back, html=html), encoding="utf-8")
    with browser_page(color_scheme=theme) as page:
        page.goto(file.as_uri())
        page.wait_for_selector(".lab-graph .answers li")
        ask(page)
        walk(page, theme)
        by_hand(page)
        own_question(page)
        assert page.problems == []


def ask(page):
    "Every stored choice shows the answers of Python, faint ones marked."
    for number, text in enumerate(QUESTIONS):
        page.get_by_label("question", exact=True).select_option(index=number)
        for method in METHODS:
            page.get_by_label("method", exact=True).select_option(label=method)
            answer = query(small(), text, 4, method, encoder=letters)
            assert answers(page) == answer.found["name"].tolist(), (text, method)
            off = int((answer.found["component"] > 0).sum())
            assert int(facts(page)["off"]) == off
            assert page.locator(".lab-graph .answers .off").count() == off
            assert int(facts(page)["nodes"]) == len(answer.subgraph)
            assert page.get_by_label("layers").is_disabled() == (method not in TUNED)
    page.get_by_label("method", exact=True).select_option(label="convolved")
    page.get_by_label("layers").select_option(label="3")
    page.get_by_label("lambda").select_option(label="0.5")
    answer = query(small(), QUESTIONS[1], 4, "convolved", 3, 0.5, letters)
    assert answers(page) == answer.found["name"].tolist()
    other = query(small(), QUESTIONS[1], 4, "convolved", 1, 0.5, letters)
    shown = page.locator(".lab-graph .answers .about").last.inner_text()
    scores = [f"{a.found['score'].iloc[-1]:.3f}" for a in (answer, other)]
    assert scores[0] in shown and scores[1] not in shown
    assert "In the question: asteroid, Cretaceous." in page.locator(
        ".lab-graph .note").inner_text()


def walk(page, theme):
    "A click brings neighbours in; two clicks tell a story, or that there is none."
    page.get_by_label("method", exact=True).select_option(label="words")
    shot(page, f"graph_{theme}_start")
    before = int(facts(page)["nodes"])
    node(page, "dinosaur").hover()
    assert lights(page) and "dinosaur (phrase)" in page.locator(
        ".lab-graph .detail").inner_text()
    page.mouse.move(2, 2)
    assert not lights(page)
    node(page, "mass extinction").click()
    assert int(facts(page)["nodes"]) == before + 1 and node(page, "Art2").count() == 1
    page.locator(".lab-graph .answers button").first.click()
    told = story(small(), "mass extinction", answers(page)[0])
    lines = page.locator(".lab-graph .story li").all_inner_texts()
    assert lines == list(told.lines[0])
    assert page.locator(".lab-graph line.told").count() == len(told.paths[0]) - 1
    shot(page, f"graph_{theme}_story")
    page.get_by_role("button", name="Start again").click()
    assert int(facts(page)["nodes"]) == before
    assert page.locator(".lab-graph .story").inner_text() == ""
    page.get_by_role("button", name="Show what is around").click()
    assert node(page, "Art2").count() == node(page, "period").count() == 1
    page.get_by_label("question", exact=True).select_option(index=0)
    node(page, "Art3").click()
    node(page, "Art4").click()
    again = page.get_by_role("button", name="another way (1 of 2)")
    again.click()
    assert "universe" in page.locator(".lab-graph .story li").nth(1).inner_text()
    assert page.get_by_role("button", name="another way (2 of 2)").count() == 1
    assert facts(page)["story"] == "2"


def by_hand(page):
    "A node that is dragged stays where it is put; arrows go from node to node."
    page.get_by_role("button", name="Start again").click()
    circle = node(page, "dark energy").locator("circle")
    box = circle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y - 20, steps=3)
    page.mouse.move(x + 60, y - 25, steps=3)
    page.mouse.up()
    box = node(page, "dark energy").locator("circle").bounding_box()
    assert box["x"] + box["width"] / 2 == pytest.approx(x + 60, abs=3)
    assert facts(page)["story"] == "0" and page.locator(".node.here").count() == 0
    node(page, "dark energy").focus()
    seen = {"dark energy"}
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown") * 3:
        page.keyboard.press(key)
        label = page.evaluate("document.activeElement.getAttribute('aria-label')")
        seen.add(label.partition(",")[0])
    assert len(seen) > 2
    page.keyboard.press("Enter")
    assert page.locator(".node.here").count() == 1
    assert page.locator(".lab-graph .node[tabindex='0']").count() == 1


def own_question(page):
    "One that isn't stored is answered by its words; none at all is a message."
    box = page.get_by_label("or your own")
    box.fill("coal and forests of the Carboniferous")
    box.press("Enter")
    until(page, "e.dataset.found === 'Art6'")
    assert page.get_by_label("question", exact=True).locator(
        "option:checked").inner_text() == "(your own)"
    assert page.get_by_label("method", exact=True).is_disabled()
    box.fill("xyzzy")
    box.press("Enter")
    until(page, "e.dataset.found === ''")
    assert "No sentence has a word" in page.locator(".answers").inner_text()
    box.fill("")
    box.press("Enter")
    assert "text must be a question" in page.locator(".lab-graph .message").inner_text()
    page.get_by_label("question", exact=True).select_option(index=1)
    assert page.locator(".lab-graph .message").inner_text() == ""
    assert len(answers(page)) > 1


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_on_the_built_site(root, width):
    "The page of the explorer is alive: it answers, nothing is cut, labels stay inside."
    need_browser("playwright")
    file = root / "_proc/_docs/knowledge/explorer.html"
    if not file.is_file():
        pytest.fail("there is no page of the explorer: run 'make docs' first", False)
    with browser_page(**{"color_scheme": "dark"} if width < 500 else {}) as page:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(file.as_uri())
        page.wait_for_selector(".lab-graph .answers li")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        for method in METHODS:
            page.get_by_label("method", exact=True).select_option(label=method)
            assert len(answers(page)) >= 1 and int(facts(page)["nodes"]) > 1
        picture = page.locator(".lab-graph svg").bounding_box()
        for text in page.locator(".lab-graph svg text").all():
            box = text.bounding_box()
            assert picture["x"] <= box["x"] + 1
            assert box["x"] + box["width"] <= picture["x"] + picture["width"] + 1
            assert box["y"] + box["height"] <= picture["y"] + picture["height"] + 1
        page.locator(".lab-graph").first.scroll_into_view_if_needed()
        shot(page, f"graph_site_{width}")
        assert page.problems == []


# a real JupyterLab

GRAPH_CELLS = ["""from test_knowledge_explore import letters, small
from litlab.knowledge.explorer import explore_graph""",
               """widget = explore_graph(small(), "What is dark energy?",
                       questions=["What is dark energy?"], encoder=letters)
widget""",
               CELLS[2].replace('("sample", "baseline", "n_steps", "method", '
                                '"result", "message")',
                                '("question", "method", "layers", "lam", "clicked", '
                                '"message")').replace(
                   '["result", "message"]',
                   '["question", "method", "layers", "lam", "clicked", "message"]')]


@pytest.mark.browser
@needs_anywidget
def test_in_jupyterlab(tmp_path, root):
    "A question of one's own reaches the kernel, its answer the page; errors are words."
    need_browser("playwright", "anywidget", "jupyterlab", "nbformat")
    folder = tmp_path / "work"
    path = f"import sys\nsys.path.append({str(root / 'tests')!r})\n"
    cells = [path + GRAPH_CELLS[0], *GRAPH_CELLS[1:]]
    with notebook_page(tmp_path, cells) as page:
        page.wait_for_selector(".lab-graph .answers li", timeout=60_000)
        box = page.get_by_label("or your own")
        box.fill("coal and forests of the Carboniferous")
        until(page, "e.dataset.found.startsWith('Art6')")
        echo(folder, lambda e: e["question"].startswith("coal"))
        page.get_by_label("method", exact=True).select_option(label="hybrid")
        echo(folder, lambda e: e["method"] == "hybrid")
        answer = query(small(), "coal and forests of the Carboniferous", 4, "hybrid",
                       encoder=letters)
        page.wait_for_function("names => document.querySelector('.lab-graph').dataset"
                               ".found === names", arg=" ".join(answer.found["name"]))
        page.get_by_label("method", exact=True).select_option(label="convolved")
        lam = page.get_by_label("lambda")
        lam.fill("2")
        lam.press("Enter")
        until(page, "e.querySelector('.message').textContent.includes('lam must be')")
        lam.fill("0.6")
        lam.press("Enter")
        echo(folder, lambda e: e["lam"] == 0.6)
        until(page, "e.querySelector('.message').textContent === ''")
        node(page, "Carboniferous").click()
        node(page, "coal").click()
        echo(folder, lambda e: e["clicked"] == ["Carboniferous", "coal"])
        line = page.locator(".lab-graph .story li").last.inner_text()
        assert line.startswith("coal — come from → Carboniferous, says Art6")
        shot(page, "graph_lab")
        assert page.locator("text=Traceback").count() == 0
        assert page.problems == []
