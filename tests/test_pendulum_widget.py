"""The pendulum's explorer: its numbers, its page, and both forms in a real browser."""

import json
import math
import os
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

pytest.importorskip("numba", reason="needs pip install 'litlab[dynamics]'")

from litlab.core.plots import COLOURS as INKS, PAGES, contrast_ratio
from litlab.core.widgets import front_end, script_json
from litlab.dynamics.chaos import SHIFTS, case_exponent, lyapunov_exponent
from litlab.dynamics.comparison import (
    DT, MODELS, THRESHOLD, StoredNetwork, compare_pendulum, pendulum_model,
    stored_network)
from litlab.dynamics.explorer import (
    explore_pendulum, explore_projectile, page_setup, view_pendulum, view_projectile)
from litlab.dynamics.integrators import integrate
from litlab.dynamics.reservoirs import NextGeneration
from litlab.dynamics.systems import CASES, Pendulum, Projectile, projectile
from litlab.dynamics.trajectories import LinearStep

import pendulum
from test_widgets import (
    CELLS, PAGE, browser_page, echo, need_browser, needs_anywidget, notebook_page,
    shot)

COLOURS = {"light": ("#222", "#fff"), "dark": ("#ddd", "#1b1f24")}


def network(**changed):
    "A tiny network whose output is its only bias."
    return {"kind": "residual network", "dt": DT, "activation": "silu",
            "shift": [0] * 6, "scale": [1] * 6, "change": [1, 1, 1, 1],
            "layers": [{"weight": [[0] * 6] * 4, "bias": [0, 0, 0, 0]}]} | changed


# Python

@pytest.mark.parametrize("wrong, words", [
    ({"model": "oracle"}, "network, perturbed, coarse.*'oracle'"),
    ({"model": None}, "network, perturbed, coarse"),
    ({"theta1": math.nan}, "theta1 must be a number of degrees"),
    ({"theta2": -math.inf}, "theta2 must be a number of degrees"),
    ({"theta1": "60"}, "theta1 must be"), ({"theta2": None}, "theta2 must be"),
    ({"theta2": [1, 2]}, "theta2 must be"), ({"theta1": True}, "theta1 must be"),
    ({"shift": math.nan}, "shift must be"), ({"shift": 0.5}, "shift must be one of"),
    ({"seconds": 0}, "seconds must be"), ({"seconds": 1.5}, "seconds must be"),
    ({"seconds": math.nan}, "seconds must be"), ({"seconds": "30"}, "seconds must be")])
def test_bad_start(wrong, words):
    "The picture and the widget refuse the same."
    functions = [compare_pendulum, view_pendulum]
    for function in functions + [explore_pendulum] * bool(widgets_here()):
        with pytest.raises(ValueError, match=words):
            function(**wrong)


def widgets_here():
    "Whether widgets can be made."
    return not needs_anywidget.args[0]


@needs_anywidget
@pytest.mark.parametrize("trait, value, good", [
    ("model", "oracle", "network"), ("model", None, "network"),
    ("theta1", math.nan, 11), ("theta2", None, 12), ("theta2", "30", 12),
    ("shift", 0.5, 1e-8)])
def test_bad_choices_are_messages(trait, value, good):
    "No exception: the words are there, what was chosen stays, a good choice clears."
    widget = explore_pendulum(10, 20, "coarse")
    setattr(widget, trait, value)
    assert widget.message.startswith(f"{trait} must be")
    before = {"theta1": 10, "theta2": 20, "model": "coarse", "shift": 1e-5,
              "seconds": 30}
    assert widget.params == before
    setattr(widget, trait, good)
    assert widget.message == "" and widget.params == before | {trait: good}


@needs_anywidget
def test_view_of_the_widget():
    "The picture is of what is chosen now."
    widget = explore_pendulum(10, 20, "coarse", seconds=3)
    widget.model = "perturbed"
    figure = widget.view()
    assert isinstance(figure, Figure)
    assert figure.axes[1].get_title("left") == "perturbed: holds for 3 s"


@needs_anywidget
def test_page_form():
    "Small, the same for equal widgets, without an address."
    one, two = (explore_pendulum()._repr_mimebundle_()["text/html"] for _ in range(2))
    assert one == two and len(one) < 300_000
    assert "http:" not in one and "https:" not in one
    state = explore_pendulum(theta1=5, seconds=9).standalone_state()
    assert not state["live"] and state["theta1"] == 5
    assert state["setup"]["seconds"] == 9 and len(state["setup"]["scale"]) == 6
    assert state["setup"]["threshold"] == 0.4


def test_stored_page_is_current(root):
    "The page that the notebook keeps runs the front-end of today."
    text = (root / "nbs/dynamics/explorer.ipynb").read_text(encoding="utf-8")
    outputs = [o for c in json.loads(text)["cells"] for o in c.get("outputs", [])]
    pages = ["".join(o.get("data", {}).get("text/html", "")) for o in outputs]
    source = script_json(front_end("litlab.dynamics", "pendulum.js"))
    assert [source in page for page in pages if page] == [True], "make notebooks"


@pytest.mark.parametrize("model", MODELS)
def test_comparison(model):
    "Equal starts; valid until the first moment beyond the threshold; true energy."
    found = compare_pendulum(-50, 140, model, 1e-3, 20)
    assert found.true.state.shape == (1, 401, 4)
    assert 1e-5 * (model == "perturbed") <= found.separation[0] <= 2e-3
    beyond = np.flatnonzero(~(found.separation <= THRESHOLD))
    assert found.diverges == bool(len(beyond))
    first = found.true.t[beyond[0]] if found.diverges else found.true.t[-1]
    assert found.valid_time == pytest.approx(first, abs=1e-9)
    assert np.ptp(found.true.energy) < 1e-6
    assert found.exponent == case_exponent("fails").value and found.case == "fails"
    assert found.lyapunov_times == found.exponent * found.valid_time


def test_exponent_of_a_start():
    "The essay's starts have the mean of many paths, all others one, and say so."
    assert page_setup()["exponents"] == {k: case_exponent(k).value for k in CASES}
    for name, start in CASES.items():
        found = compare_pendulum(*start, seconds=2)
        assert found.case == name and found.exponent == case_exponent(name).value
        assert f"exponent {found.exponent:.2f}/s)" in repr(found)
    free = compare_pendulum(-50, 139, seconds=2)
    path = lyapunov_exponent(*np.radians([-50, 139]), t_end=1000)
    assert free.case is None and free.exponent == path[0]
    assert f"exponent about {free.exponent:.2f}/s, one path)" in repr(free)


def test_stored_network():
    "A constant output moves the state by the same each step; too much is a failure."
    stored = network(change=[0.1, 0.2, 0, 1], layers=[
        {"weight": [[0] * 6] * 4, "bias": [1, 1, 1, -1]}])
    path = StoredNetwork(stored).rollout([0, 0, 5, 0], 10)
    assert path.state[0, -1] == pytest.approx([1, 2, 5, -10])
    assert not path.failed[0] and path.energy.shape == (1, 11)
    lost = StoredNetwork(stored).rollout([0, 0, 5, 0], 200)
    assert lost.failed[0] and np.isfinite(lost.state[0]).all(-1).sum() == 101
    with pytest.raises(ValueError, match="learned already"):
        StoredNetwork(stored).fit(path)


def test_stored_network_is_the_trained_one():
    "Its steps are those of the network that was written to the lists."
    pytest.importorskip("torch")
    from litlab.dynamics.fields import ResidualNetwork, network_json
    paths = compare_pendulum(-50, 140, "coarse", seconds=10).true
    model = ResidualNetwork(width=8, depth=2, steps=20).fit(paths)
    start = np.random.default_rng(0).uniform(-2, 2, (3, 4))
    ours = StoredNetwork(network_json(model, digits=15)).rollout(start, 20)
    assert np.allclose(ours.state, model.rollout(start, 20).state, atol=1e-9)


@pytest.mark.parametrize("wrong", [
    {"angle": 0}, {"angle": 90}, {"angle": math.nan}, {"speed": -1},
    {"speed": math.inf}, {"speed": "fast"}, {"angle": None}])
def test_bad_shot(wrong):
    "Named, with what was given."
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        view_projectile(**wrong)


def test_projectile():
    "The flight begins at 0, ends on the ground and says where."
    ax = view_projectile(45, 300).axes[0]
    x, y = ax.lines[0].get_data()
    assert x[0] == y[0] == 0 and y[-1] <= 0 < y[1:-1].min()
    land = int(ax.get_legend().get_texts()[0].get_text().split()[-2])
    assert x[-2] <= land + 1 and land - 1 <= x[-1]


def test_projectile_model():
    "A model's flight is drawn too, down to the ground; one that never lands says so."
    some = LinearStep().fit(projectile([45.0], 300.0).select("x", "y"))
    assert "model: " in view_projectile(45, 300, some).axes[0].lines[1].get_label()
    model = LinearStep().fit(projectile([45.0], 300.0))
    first, second = view_projectile(45, 300, model).axes[0].lines
    assert "lands at" in second.get_label()
    assert second.get_ydata()[-1] <= 0 < second.get_ydata()[1:-1].min()
    model.learned_ = {"map": np.vstack([np.eye(4), [1, 1, 0, 0]])}
    ax = view_projectile(45, 300, model).axes[0]
    assert ax.lines[1].get_label() == "model: never lands"


@needs_anywidget
def test_projectile_widget():
    "A slider draws again."
    box = explore_projectile(30, 400)
    angle, speed, picture = box.children
    seen = [bytes(picture.value)]
    for slider, value in ((angle, 60), (speed, 700)):
        slider.value = value
        seen.append(bytes(picture.value))
    assert len(set(seen)) == 3


# the picture of README.md

def test_moving_picture_is_current():
    "The stored animation is what the tool draws; small, whole, and it can stand still."
    text = pendulum.PICTURE.read_text(encoding="utf-8")
    assert text == pendulum.picture(), "run 'python tools/pendulum.py'"
    assert len(text.encode()) <= 100_000
    root = ElementTree.fromstring(text)
    valid = compare_pendulum(*CASES["fails"]).valid_time
    assert f"{valid:.1f} s" in root.find("{*}title").text
    moves = root.findall(".//{*}animateTransform") + root.findall(".//{*}animate")
    assert len(moves) == 2 * 3 + 1  # two rods and a trace each, and the cursor
    assert "(prefers-reduced-motion: reduce) {\n  .moving { display: none }" in text
    assert set(moves) <= {m for part in root.findall(".//{*}*[@class='moving']")
                                  for m in part.iter()}
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "", 1)


def test_moving_picture_on_both_pages():
    "Its colours are the lab's, which can be seen on the light page and on the dark."
    text = pendulum.PICTURE.read_text(encoding="utf-8")
    used = set(re.findall(r"#[0-9a-f]{6}", text))
    assert used <= set(INKS.values()) and len(used) == 4
    assert all(contrast_ratio(c, page) >= 3 for c in used for page in PAGES.values())


# the page's own physics

NUMBERS = """async ([source, setup, choice, moments]) => {
  const blob = new Blob([source], { type: "text/javascript" });
  const page = await import(URL.createObjectURL(blob));
  const found = page.compare(setup, ...choice);
  const at = path => moments.map(i => path[i]);
  return { truth: at(found.truth), guess: at(found.guess), apart: at(found.apart),
    energy: at(found.energies[1]), valid: found.valid, lost: found.lost };
}"""


@pytest.mark.browser
def test_page_computes_like_python():
    "After 2 s the bobs are where Python has them, to a millionth of a metre or better."
    need_browser("playwright")
    source, setup = front_end("litlab.dynamics", "pendulum.js"), page_setup()
    moments = [0, 1, 20, 40]
    with browser_page() as page:
        for theta1, theta2 in [*CASES.values(), (179, -3)]:
            for model in MODELS:
                choice = [theta1, theta2, model, 1e-3]
                got = page.evaluate(NUMBERS, [source, setup, choice, moments])
                want = compare_pendulum(*choice)
                assert np.allclose(bobs(got["truth"]), bobs(
                    want.true.state[0, moments]), atol=1e-6, rtol=0), choice
                assert np.allclose(bobs(got["guess"]), bobs(
                    want.predicted.state[0, moments]), atol=1e-6, rtol=0), choice
                assert np.allclose(got["apart"], want.separation[moments], rtol=1e-4,
                                   atol=1e-9)
                assert np.allclose(got["energy"], want.predicted.energy[0, moments])
                valid = want.valid_time if want.diverges else None
                assert got["valid"] == pytest.approx(valid, abs=DT * 1.01), choice
        assert page.problems == []


def bobs(states):
    "Where both bobs are, in m."
    a, b = np.asarray(states, float)[:, :2].T
    system = Pendulum()
    x1, y1 = system.l1 * np.sin(a), system.l1 * np.cos(a)
    return np.stack([x1, y1, x1 + system.l2 * np.sin(b), y1 + system.l2 * np.cos(b)])


@pytest.mark.browser
def test_page_knows_a_model_that_fails():
    "One that leaves the domain has lost at that moment, and diverged by then."
    need_browser("playwright")
    source, setup = front_end("litlab.dynamics", "pendulum.js"), page_setup(5)
    setup["network"] = network(layers=[
        {"weight": [[0] * 6] * 4, "bias": [0, 0, 0, 30]}])
    with browser_page() as page:
        got = page.evaluate(NUMBERS, [source, setup, [0, 0, "network", 0], [0, 1, 2]])
        assert got["lost"] == pytest.approx(4 * DT) and got["valid"] == DT
        setup["network"]["layers"][0]["bias"][3] = 3000
        got = page.evaluate(NUMBERS, [source, setup, [0, 0, "network", 0], [0]])
        assert got["lost"] == got["valid"] == DT
        measured = page.evaluate("""async ([source, setup]) => {
          const blob = new Blob([source], { type: "text/javascript" });
          const page = await import(URL.createObjectURL(blob));
          return [[-20, 35], [-50, 140]].map(
            start => [...page.lyapunov(setup, ...start)].pop());
        }""", [source, setup | {"measured": 400}])
        assert measured[0] < 0.1 and 0.45 < measured[1] < 0.75


# the built page

def facts(page):
    "What the widget says of itself."
    box = page.locator(".lab-pendulum").first
    return {**box.evaluate("e => ({ ...e.dataset })"),
            "words": box.locator(".facts").inner_text()}


def pixels(page, of=".stage"):
    "A picture as text, to see whether it changes."
    return page.locator(f".lab-pendulum {of}").nth(0).evaluate("c => c.toDataURL()")


def typed(page, i):
    "The box for an angle."
    return page.get_by_label(f"theta{i} in degrees, as a number")


def until(page, condition):
    "Wait until the widget `e` is so."
    page.wait_for_function(
        f"(e => {condition})(document.querySelector('.lab-pendulum'))", timeout=30_000)


@pytest.mark.browser
@needs_anywidget
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_without_kernel(tmp_path, theme):
    "From a file: sliders, models, play, keys and the hand move both pendulums."
    need_browser("playwright", "anywidget")
    color, back = COLOURS[theme]
    html = explore_pendulum()._repr_mimebundle_()["text/html"]
    file = tmp_path / "page.html"
    file.write_text(PAGE.format(color=color, back=back, html=html), encoding="utf-8")
    with browser_page(color_scheme=theme) as page:
        page.goto(file.as_uri())
        until(page, "e && e.dataset.lyapunov")
        first = facts(page)
        want = compare_pendulum(-60, 60)
        assert float(first["valid"]) == pytest.approx(want.valid_time, abs=DT * 1.1)
        assert f"diverges at {float(first['valid']):.2f} s" in first["words"]
        assert float(first["lyapunov"]) == pytest.approx(want.exponent, abs=1e-4)
        assert f"exponent {want.exponent:.2g}/s, a mean" in first["words"]
        assert first["frames"] == "0"
        shot(page, f"pendulum_{theme}_start")

        still = pixels(page)
        page.get_by_role("button", name="Play").click()
        until(page, "e.dataset.time > 2 && e.dataset.fps")
        page.get_by_role("button", name="Pause").click()
        ran = facts(page)
        assert int(ran["frames"]) > 0 and float(ran["fps"]) > 0
        assert "frames a second" in page.locator(".frames").inner_text()
        assert pixels(page) != still
        shot(page, f"pendulum_{theme}_played")
        page.get_by_role("button", name="Reset").click()
        assert facts(page)["time"] == "0.000" and pixels(page) == still

        page.get_by_label("theta1 in degrees", exact=True).focus()
        page.keyboard.press("ArrowRight")
        assert typed(page, 1).input_value() == "-59"
        moved = facts(page)
        assert float(moved["answerMs"]) > 0 and pixels(page) != still
        assert page.get_by_label("start", exact=True).locator(
            "option:checked").inner_text() == "your own"
        until(page, "e.dataset.lyapunov")
        assert "of one path of 1000 s" in facts(page)["words"]
        typed(page, 2).fill("-200.5")
        assert page.get_by_label("theta2 in degrees", exact=True).input_value() == "160"
        typed(page, 2).fill("")
        assert "finite" in page.locator(".lab-pendulum .message").inner_text()

        page.get_by_label("start", exact=True).select_option(label="fails (-50, 140)")
        assert page.locator(".lab-pendulum .message").inner_text() == ""
        seen = set()
        for label, shifts in (("network", [None]), ("exact, start moved", SHIFTS),
                              ("coarse steps", [None])):
            page.get_by_label("model", exact=True).select_option(label=label)
            pick = page.get_by_label("moved by")
            assert pick.is_disabled() == (shifts == [None])
            for index, shift in enumerate(shifts):
                if shift:
                    pick.select_option(index=index)
                seen.add(facts(page)["words"].partition(" Lyap")[0])
        assert len(seen) == 5
        assert float(facts(page)["lyapunov"]) == pytest.approx(
            compare_pendulum(-50, 140).exponent, abs=1e-4)
        page.get_by_label("time", exact=True).focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert float(facts(page)["time"]) == pytest.approx(3 * DT)
        drag_and_keys(page)
        assert page.problems == []


def drag_and_keys(page):
    "The lower bob by hand, both rods by keys, the space bar."
    page.get_by_label("start", exact=True).select_option(label="calm (-20, 35)")
    stage = page.locator(".lab-pendulum .stage").first
    box = stage.bounding_box()
    width, height = stage.evaluate("c => [c.clientWidth, c.clientHeight]")
    x0, y0 = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 4
    unit = (min(width, height) / 2 - 18) / 2.4
    a, b = np.radians([-20, 35])
    x1, y1 = x0 + unit * 1.4 * np.sin(a), y0 + unit * 1.4 * np.cos(a)
    page.mouse.move(x1 + unit * np.sin(b), y1 + unit * np.cos(b))
    page.mouse.down()
    page.mouse.move(x1 + 40, y1, steps=4)
    page.mouse.up()
    values = [float(typed(page, i).input_value()) for i in (1, 2)]
    assert values[0] == -20 and abs(values[1] - 90) < 4
    stage.focus()
    for key in ("ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    turned = [float(typed(page, i).input_value()) for i in (1, 2)]
    assert turned == pytest.approx([values[0] - 1, values[1] + 1])
    page.keyboard.press(" ")
    until(page, "e.dataset.time > 0.2")
    page.keyboard.press(" ")
    stopped = facts(page)["time"]
    page.wait_for_timeout(200)
    assert facts(page)["time"] == stopped


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_on_the_built_site(root, width):
    "The page of the explorer is alive: both swing beside each other, nothing is cut."
    need_browser("playwright")
    file = root / "_proc/_docs/dynamics/explorer.html"
    if not file.is_file():
        pytest.fail("there is no page of the explorer: run 'make docs' first", False)
    with browser_page(**{"color_scheme": "dark"} if width < 500 else {}) as page:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(file.as_uri())
        until(page, "e && e.dataset.lyapunov")
        left, right = (page.locator(f".lab-pendulum .{kind}").nth(i).bounding_box()
                       for kind, i in (("stage", 0), ("stage", 1)))
        assert left["y"] == right["y"] and left["x"] + left["width"] < right["x"]
        assert left["width"] == right["width"] > 140
        assert right["x"] + right["width"] <= width
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        page.get_by_label("start", exact=True).select_option(label="fails (-50, 140)")
        page.get_by_role("button", name="Play", exact=True).click()
        until(page, "e.dataset.time > 0.5")
        page.get_by_role("button", name="Pause", exact=True).click()
        want = compare_pendulum(-50, 140).valid_time
        assert float(facts(page)["valid"]) == pytest.approx(want, abs=DT * 1.01)
        still = pixels(page)
        page.evaluate("document.querySelector('.lab-pendulum').parentElement.style"
                      ".color = '#c0ffee'")  # another theme, while nothing moves
        page.wait_for_function("old => document.querySelector('.lab-pendulum .stage')"
                               ".toDataURL() !== old", arg=still)
        page.locator(".lab-pendulum").first.scroll_into_view_if_needed()
        shot(page, f"pendulum_site_{width}")
        assert page.problems == []


# a real JupyterLab

PENDULUM_CELLS = ["from litlab.dynamics.explorer import explore_pendulum",
                  "widget = explore_pendulum(-50, 140, 'coarse')\nwidget",
                  CELLS[2].replace('("sample", "baseline", "n_steps", "method", '
                                   '"result", "message")',
                                   '("theta1", "theta2", "model", "shift", "time")'
                                   ).replace('["result", "message"]',
                                             '["theta1", "theta2", "model", "time"]'),
                  """import os
Path("kernel.pid").write_text(str(os.getpid()))
def answer(change):
    widget.theta2 = 33.0
    widget.model = "oracle"
widget.observe(answer, "shift")"""]


@pytest.mark.browser
@needs_anywidget
def test_in_jupyterlab(tmp_path):
    "Choices reach the kernel, the kernel's reach the page, a restart leaves a still."
    need_browser("playwright", "anywidget", "jupyterlab", "nbformat")
    folder = tmp_path / "work"
    with notebook_page(tmp_path, PENDULUM_CELLS) as page:
        page.wait_for_selector(".lab-pendulum .facts:not(:empty)", timeout=60_000)
        assert "coarse" in page.locator(".stage").nth(1).get_attribute("aria-label")
        page.get_by_label("theta1 in degrees", exact=True).focus()
        page.keyboard.press("ArrowRight")
        echo(folder, lambda e: e["theta1"] == -49 and e["theta2"] == 140)
        page.get_by_label("model", exact=True).select_option(label="network")
        echo(folder, lambda e: e["model"] == "network")
        page.get_by_label("model", exact=True).select_option(
            label="exact, start moved")
        page.get_by_label("moved by").select_option(label="1e-8 rad")
        until(page, "e.querySelector('.type-theta2').value === '33'")  # by the kernel
        until(page, "e.querySelector('.message').textContent.includes('oracle')")
        shot(page, "pendulum_lab_message")
        page.get_by_label("model", exact=True).select_option(label="network")
        until(page, "e.querySelector('.message').textContent === ''")
        page.get_by_role("button", name="Play", exact=True).click()
        until(page, "e.dataset.frames > 20")
        page.get_by_role("button", name="Pause", exact=True).click()
        noted = echo(folder, lambda e: e["time"] > 0)
        before = facts(page)
        assert noted["time"] == pytest.approx(float(before["time"]), abs=1e-3)
        shot(page, "pendulum_lab")
        picture = pixels(page)
        restart(page)
        with pytest.raises(ProcessLookupError):
            os.kill(int((folder / "kernel.pid").read_text()), 0)
        after = facts(page)
        assert after["time"] == before["time"] and after["words"] == before["words"]
        assert pixels(page) == picture
        assert typed(page, 1).input_value() == "-49"
        shot(page, "pendulum_lab_restarted")
        page.get_by_role("button", name="Play", exact=True).click()  # and it runs on
        until(page, f"e.dataset.time > {float(before['time']) + 0.3}")
        assert page.locator("text=Traceback").count() == 0
        assert page.problems == []


def restart(page):
    "Restart the kernel by the menu, and wait until it is there again."
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(re.compile(
        r"^Restart Kernel(…|\.\.\.)$")).click()
    page.locator(".jp-Dialog .jp-mod-accept").first.click()
    page.wait_for_selector(".jp-Dialog", state="detached")
    page.wait_for_timeout(500)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]',
                           timeout=60_000)


def test_flights_too_short_for_a_model():
    "The truth alone is drawn, and says so; it is fine enough to land where it does."
    model = NextGeneration(degree=1).fit(projectile(30, 500).select("x", "y"))
    for angle, speed, land in ((1, 500, 401), (2, 100, 64), (0.1, 300, 30)):
        lines = view_projectile(angle, speed, model).axes[0].lines
        assert [line.get_label() for line in lines] == [
            f"true: lands at {land} m", "flight too short for the model"]
    alone = view_projectile(0.1, 300).axes[0].lines
    assert alone[0].get_label() == "true: lands at 30 m" and len(alone) == 1
    assert len(alone[0].get_xdata()) > 30
    assert len(view_projectile(30, 500, model).axes[0].lines) == 2
    for system in ([], 0):
        with pytest.raises(ValueError, match="system must be a Projectile"):
            view_projectile(system=system)


@needs_anywidget
def test_a_slider_may_ask_for_too_short_a_flight():
    model = NextGeneration(degree=1).fit(projectile(30, 500).select("x", "y"))
    angle, _, picture = explore_projectile(30, 500, model).children
    seen = bytes(picture.value)
    angle.value = 1
    assert bytes(picture.value) != seen


def test_unknown_models_and_systems():
    true = integrate(Pendulum(), [0.1, 0.2, 0, 0], 1)
    with pytest.raises(ValueError, match="model must be one of network.*'lstm'"):
        pendulum_model("lstm", true, 1e-5)
    for system in ("heavy", Projectile()):
        with pytest.raises(ValueError, match="system is unknown: use Pendulum"):
            StoredNetwork(stored_network(), system)
