"""The pendulum pages: the essay's recipe, forecasts, the moving drawing, the map."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
import litlab.dynamics.chaos as chaos  # noqa: E402
import litlab.dynamics.forecasts as forecasts  # noqa: E402
import litlab.dynamics.pendulum as pendulum  # noqa: E402
import litlab.dynamics.stability as stability  # noqa: E402
from litlab.core.claims import Run  # noqa: E402
from litlab.dynamics.chaos import (  # noqa: E402
    lyapunov_exponent, perturbed_flow, valid_prediction_time)
from litlab.dynamics.integrators import integrate, starts_at_rest  # noqa: E402
from litlab.dynamics.mechanics import MechanicsRidge, random_paths  # noqa: E402
from litlab.dynamics.recurrent import RecurrentSurrogate  # noqa: E402
from litlab.dynamics.systems import CASES, Pendulum, bobs  # noqa: E402
from litlab.dynamics.trajectories import LinearStep, Surrogate  # noqa: E402

SHORT = 0.005  # of the essay network's steps: 30
PROFILE = SimpleNamespace(dynamics_seconds=SHORT, dynamics_n_random=4,
                          dynamics_n_seeds=1)


class Exact(Surrogate):
    "The law itself by another method, from the last of several states."
    def __init__(self, warm_up=1, until=np.inf, offset=0.0):
        self.warm_up, self.until, self.offset = warm_up, until, offset
        self.dt_, self.components_, self.learned_ = 0.05, 4, {}
        self.names_, self.units_ = Pendulum.names, Pendulum.units
        self.system_ = Pendulum()

    def _roll(self, start, n_steps):
        found = integrate(Pendulum(), start[:, -1], n_steps * 0.05, 0.05, 0.005, "rk4")
        state = found.state[:, 1:] + self.offset
        state[:, found.t[1:] > self.until] = np.nan
        return state


@pytest.fixture(scope="module")
def ridge():
    return MechanicsRidge(order=4).fit(random_paths(20, 7, 0.0125, 4.0))


# side by side

@pytest.mark.parametrize("warm_up", [1, 2, 10])
def test_truth_waits_for_the_model(warm_up):
    "Time is counted from the last state that the model was given."
    start = starts_at_rest(3, 5)
    true, forecast = chaos.side_by_side(Exact(warm_up), start, 2.0)
    whole = integrate(Pendulum(), start, 2.0 + 0.05 * (warm_up - 1), 0.05, 0.00625)
    np.testing.assert_array_equal(true.state, whole.state[:, warm_up - 1:])
    np.testing.assert_array_equal(true.energy, whole.energy[:, warm_up - 1:])
    np.testing.assert_array_equal(forecast.state[:, 0], true.state[:, 0])
    np.testing.assert_allclose(forecast.state, true.state, atol=1e-3)
    assert true.t[0] == forecast.t[0] == 0 and true.t[-1] == forecast.t[-1] == 2
    assert chaos.followed(Exact(warm_up), start, 2.0).tolist() == [2.0] * 3


def test_what_fails_is_lost_when_it_fails():
    start = starts_at_rest(4, 5)
    assert np.allclose(chaos.followed(Exact(until=1.01), start, 3.0), 1.05)
    assert np.allclose(chaos.followed(Exact(offset=9.0), start, 3.0), 0.05)
    cases, random, failed = forecasts.forecast_row(Exact(until=1.01), start, np.ones(4))
    assert len(cases) == 3 and len(random) == 4 and failed == 7
    assert np.allclose(random, 1.05)


def test_forecast_times_are_in_lyapunov_times():
    start, rate = starts_at_rest(3, 8), np.array([0.5, 1.0, 2.0])
    cases, random, failed = forecasts.forecast_row(Exact(until=2.01), start, rate)
    np.testing.assert_allclose(random, 2.05 * rate)
    assert failed == 6 and np.allclose(cases, 2.05)
    calm = pendulum.case_starts()[[0, 0, 0]]
    longer = forecasts.forecast_row(Exact(until=40.01), calm, rate, 50.0)[1]
    np.testing.assert_allclose(longer, 40.05 * rate)


def test_truth_has_a_finer_step_than_the_perturbed_flow():
    "An exact law from a start that is wrong is not followed for ever in chaos."
    start = np.array([[*np.radians(CASES["fails"]), 0, 0]])
    moved = Exact()
    moved._roll = lambda s, n: perturbed_flow(s, 1e-3, t_end=n * 0.05).state[:, 1:]
    assert 3 < chaos.followed(moved, start, 30.0)[0] < 20


# the essay's network

def test_essay_model_learns_one_path_of_its_start():
    "Ten states in, the next one out, 40 s of the case, and no other."
    for i, case in enumerate(CASES):
        model = pendulum.essay_model(case, SHORT, 0)
        path = integrate(Pendulum(), pendulum.case_starts()[i], 40, 0.05, 0.00625).state
        assert isinstance(model, RecurrentSurrogate) and model.predict == "point"
        assert model.warm_up == 10 and model.steps == SHORT * pendulum.ESSAY_STEPS
        np.testing.assert_allclose(model.learned_["out_mean"], path[0, 10:].mean(0))
    assert pendulum.essay_model("calm", SHORT, 0) is pendulum.essay_model(
        "calm", SHORT, 0)
    one, other = (pendulum.essay_model("calm", SHORT, s).learned_ for s in (0, 1))
    assert np.abs(one["answer.weight"] - other["answer.weight"]).max() > 1e-3
    with pytest.raises(ValueError, match="calm, diverges, fails"):
        pendulum.essay_model("upright")


def test_case_starts():
    start = pendulum.case_starts()
    np.testing.assert_allclose(np.degrees(start[:, :2]), list(CASES.values()))
    assert not start[:, 2:].any() and start.shape == (3, 4)


@pytest.mark.parametrize("name, times, value", [
    ("essay_calm", [19.0], 19.0), ("essay_diverges", [5.0], 1.71),
    ("essay_fails", [5.0], 2.84)])
def test_claims_of_the_three_starts(name, times, value, monkeypatch):
    "Seconds for the calm start, Lyapunov times of its own exponent for the others."
    asked = []
    monkeypatch.setattr(pendulum, "essay_model", lambda *a: asked.append(a))
    monkeypatch.setattr(pendulum, "followed", lambda m, start, *t: np.array(times))
    found = getattr(pendulum, name)(Run(3, PROFILE))
    assert asked == [(name[6:], SHORT, 3)] and found.spread is None
    assert found.value == pytest.approx(value, rel=0.05)


def test_several_networks_have_a_mean_and_a_spread(monkeypatch):
    profile = SimpleNamespace(dynamics_seconds=1.0, dynamics_n_seeds=3)
    monkeypatch.setattr(pendulum, "essay_model", lambda case, share, seed: seed)
    monkeypatch.setattr(pendulum, "followed", lambda m, *a: np.array([10.0 * m]))
    found = pendulum.essay_calm(Run(1, profile))
    assert (found.value, found.spread) == (20.0, 10.0)
    assert found.note.startswith("3 networks")
    rule = pendulum.essay_calm.claim.rule
    assert rule.holds(20) and not rule.holds(19.9)


def test_random_claim_is_of_the_best_of_three(monkeypatch):
    held = {"calm": 0.1, "diverges": 0.3, "fails": 0.2}
    monkeypatch.setattr(pendulum, "essay_model", lambda case, *a: case)
    monkeypatch.setattr(pendulum, "followed", lambda m, s, t: np.full(len(s), held[m]))
    monkeypatch.setattr(pendulum, "chaotic_starts", lambda n, seed: (
        starts_at_rest(n, seed), np.full(n, 2.0)))
    found = pendulum.essay_random(Run(0, PROFILE))
    assert found.value == pytest.approx(0.6) and "'diverges'" in found.note
    assert not pendulum.essay_random.claim.rule.holds(1.01)


# figures

def test_way_goes_through_the_bob():
    path = integrate(Pendulum(), pendulum.case_starts()[2:], 5.0)
    way = pendulum.bob_way(path, 2.0, per_step=4)
    assert way.shape == (161, 2)
    np.testing.assert_allclose(way[::4], bobs(path)[0, :41, 1], atol=1e-12)
    fine = integrate(Pendulum(), path.state[0, 0], 2.0, 0.0125)
    np.testing.assert_allclose(way, bobs(fine)[0, :, 1], atol=5e-3)


def test_way_ends_where_the_path_fails():
    path = Exact(until=1.01).rollout(pendulum.case_starts()[:1], 60)
    assert pendulum.bob_way(path, per_step=1).shape == (21, 2)
    with pytest.raises(ValueError, match="at least two moments"):
        pendulum.bob_way(Exact(until=0.01).rollout(pendulum.case_starts()[:1], 60))


def drawing(paths, seconds=3.0, name="swing"):
    "Elements of the drawing, and the frames of its rules."
    page = pendulum.moving_pendulums(paths, seconds, name)
    rules = dict(re.findall(r"@keyframes (\w+)\{((?:[^{}]*\{[^{}]*\})*)\}", page))
    frames = {k: [(float(a), float(b)) for a, b in re.findall(
        r"([\d.]+)%\{transform:rotate\(([-\d.]+)deg\)\}", v)] for k, v in rules.items()}
    svg = ET.fromstring(re.search(r"<svg.*</svg>", page, re.S)[0])
    return page, svg, frames


def test_drawing_turns_as_the_pendulum_does():
    "The upper rod by theta1, the lower one by the rest; down is 0, x to the right."
    path = integrate(Pendulum(), pendulum.case_starts()[2:], 5.0)
    page, svg, frames = drawing({"true": path})
    assert list(frames) == ["swing0a", "swing0b"]
    for name, angle in (("swing0a", -path.state[0, :61, 0]),
                        ("swing0b", path.state[0, :61, 0] - path.state[0, :61, 1])):
        percent, degrees = np.array(frames[name]).T
        np.testing.assert_allclose(percent, 100 * np.arange(61) / 60, atol=0.01)
        np.testing.assert_allclose(degrees, np.degrees(angle), atol=0.051)
    assert page.count("3s linear infinite") == 2
    still = {g.get("class"): g.get("transform") for g in svg.iter("g")}
    assert still["swing0a"] == "rotate(50.0)" and still["swing0b"] == "rotate(-190.0)"
    way = svg.find(".//path").get("d")
    first = np.array(way[1:].split("L")[0].split(), float) / 56
    np.testing.assert_allclose(first, bobs(path)[0, 0, 1] * [1, -1], atol=1e-3)


def test_drawing_stops_when_asked():
    "By a box, and at once for who has asked for less motion; no script."
    path = integrate(Pendulum(), pendulum.case_starts()[:1], 3.0)
    page, svg, frames = drawing({"true": path, "network": path}, name="two")
    assert "@media (prefers-reduced-motion:reduce){.two svg g{animation:none}}" in page
    assert "#two-pause:checked~svg g{animation-play-state:paused}" in page
    parts = [e.tag for e in ET.fromstring(page.replace('-pause"><l', '-pause"/><l'))]
    assert parts == ["style", "input", "label", "svg"]  # a box beside the drawing
    assert "<script" not in page and len(frames) == 4 and set(frames) == {
        "two0a", "two0b", "two1a", "two1b"}
    assert [t.text for t in svg.iter("text")] == ["true", "network"]
    assert svg.get("role") == "img" and svg.find("title").text == "true, network"
    long = integrate(Pendulum(), pendulum.case_starts()[2:], 20.0)
    assert len(pendulum.moving_pendulums({"a": long, "b": long})) < 150_000


def test_drawing_of_a_failed_path_stays_where_it_was():
    path = Exact(until=1.01).rollout(pendulum.case_starts()[:1], 60)
    _, _, frames = drawing({"network": path})
    turns = np.array(frames["swing0a"])[:, 1]
    assert len(turns) == 61 and np.ptp(turns[20:]) == 0 and np.ptp(turns[:20]) > 10


# forecasts

def test_page_network_is_the_stored_one():
    model = forecasts.page_network()
    stored = json.loads((files("litlab.dynamics")
                         / "pendulum_network.json").read_text())
    from litlab.dynamics.fields import evaluate_json
    state = starts_at_rest(5, 3)
    one = model.rollout(state, 1)
    np.testing.assert_allclose(one.state[:, 1], evaluate_json(stored, state), atol=1e-9)
    assert one.energy is not None and one.names == Pendulum.names
    assert model.dt_ == stored["dt"]


def test_calm_claim_is_of_the_regression(monkeypatch):
    asked = []
    monkeypatch.setattr(forecasts, "mechanics_model", lambda seed: ("ridge", seed))
    monkeypatch.setattr(forecasts, "page_network", lambda: ("network", 0))
    monkeypatch.setattr(forecasts, "followed", lambda m, s, t: asked.append(
        (s, t)) or np.array([61.0 if m[0] == "ridge" else 7.0]))
    found = forecasts.calm_followed(Run(5, PROFILE))
    assert found.value == 61 and "7.0 s" in found.note
    for start, t_end in asked:
        np.testing.assert_array_equal(start, pendulum.case_starts()[:1])
        assert t_end > 60
    rule = forecasts.calm_followed.claim.rule
    assert rule.holds(60) and not rule.holds(59.9)


def test_models_of_the_table_learn_other_starts_than_those_of_the_test(monkeypatch):
    "Random paths have seed + 1000, and each model can be rolled out."
    asked = []
    monkeypatch.setattr(forecasts, "random_paths", lambda n, seed, dt: asked.append(
        (n, seed, dt)) or random_paths(4, seed, dt, 2.0))
    monkeypatch.setattr(forecasts, "mechanics_model", lambda seed: LinearStep().fit(
        random_paths(4, seed, 0.05, 2.0)))
    monkeypatch.setattr(forecasts, "trained_network", lambda share, seed: LinearStep(
    ).fit(random_paths(4, seed, 0.05, 2.0)))
    found = forecasts.compared_models.__wrapped__(1e-4, 3)
    assert asked == [(1000, 1003, 0.05)] and len(found) == 9
    assert found["LSTM, differences"].steps == 2
    for model in found.values():
        true, forecast = chaos.side_by_side(model, starts_at_rest(2), 0.5)
        assert forecast.state.shape == true.state.shape
        assert np.isfinite(valid_prediction_time(forecast, true)).all()


# the map

@pytest.mark.parametrize("n", [3, 5, 9])
def test_square(n):
    start = stability.square_starts(n)
    assert start.shape == (n * n, 4) and not start[:, 2:].any()
    np.testing.assert_allclose(start[::-1], -start, atol=1e-15)
    angles = np.degrees(start[:n, 1])
    np.testing.assert_allclose(np.diff(angles), 360 / n)
    np.testing.assert_allclose([angles[0], angles[-1]], [-180 + 180 / n, 180 - 180 / n])
    np.testing.assert_allclose(start[:, 0].reshape(n, n)[:, 0], start[:n, 1])


@pytest.mark.parametrize("n", [2, 30, 1, -3])
def test_square_refuses(n):
    with pytest.raises(ValueError, match="odd number from 3"):
        stability.square_starts(n)


def test_unfold_is_the_mirror_image():
    n = 5
    start = stability.square_starts(n)
    even = np.cos(start[:, 0] - 2 * start[:, 1]) + start[:, 0] * start[:, 1]
    np.testing.assert_allclose(stability.unfold(even[:13], n), even.reshape(n, n))
    with pytest.raises(ValueError, match="13 values"):
        stability.unfold(even[:12], n)


def test_half_is_enough_for_exponents_and_for_the_regression(ridge):
    n = 5
    start = stability.square_starts(n)
    whole = lyapunov_exponent(*start[:, :2].T, t_end=5.0).reshape(n, n)
    np.testing.assert_allclose(whole, whole[::-1, ::-1], rtol=1e-3, atol=1e-3)
    both = [stability.holding_times(ridge, n, 2.0, mirror=m) for m in (False, True)]
    np.testing.assert_allclose(*both, atol=0.05)


def test_chunks_change_nothing(ridge):
    one, many = (stability.holding_times(ridge, 5, 2.0, chunk=c) for c in (256, 8))
    np.testing.assert_array_equal(one, many)
    assert one.shape == (5, 5) and np.unique(one).size > 3
    start = stability.square_starts(5)[[7]]
    assert one[1, 2] == chaos.followed(ridge, start, 2.0)[0]


@pytest.fixture
def small():
    "Four regular starts of nine; one model is right about the border, one isn't."
    exponent = np.array([[0.9, 0.1, 0.5], [0.1, 0.0, 0.1], [0.5, 0.3, 0.9]])
    good = np.where(exponent < 0.2, 20.0, 3.0)
    return stability.StabilityMap(np.array([-120.0, 0, 120]), exponent, {
        "good": good, "still": np.full((3, 3), 1.0)}, 20.0)


def test_shares(small):
    assert small.regular.sum() == 4
    assert small.share("good", 2) == 1 and small.share("good", 10) == 4 / 9
    assert small.share("good", 20) == 4 / 9
    assert small.share("good", 10, ~small.regular) == 0
    assert (small.gap("good"), small.gap("still")) == (1.0, 0.0)
    half = replace(small, held={"half": np.where(small.exponent < 0.05, 20.0, 3.0)})
    assert half.gap("half") == 0.25 and half.gap("half", 2.0) == 0


def test_rank(small):
    assert small.rank("still") == 0 and -1 <= small.rank("good") < -0.7
    up = replace(small, held={"up": small.exponent})
    assert up.rank("up") == pytest.approx(1)
    assert "44% regular" in repr(small)


def test_grid_size():
    assert [stability.grid_size(n) for n in (20, 100)] == [31, 69]
    assert all(stability.grid_size(n) % 2 for n in range(1, 200))


def test_map_has_the_models_and_is_drawn(monkeypatch):
    "The surrogates without a mirror image are asked for the whole square."
    asked = {}
    models = {"page": Exact(), "ridge": Exact(until=1.01), "essay": Exact(10, 0.51)}
    monkeypatch.setattr(stability, "page_network", lambda: models["page"])
    monkeypatch.setattr(stability, "mechanics_model", lambda seed: models["ridge"])
    monkeypatch.setattr(stability, "essay_model", lambda *a: models["essay"])
    real = stability.holding_times
    def spy(model, n, t_end, mirror=False):
        asked[[k for k, m in models.items() if m is model][0]] = mirror
        return real(model, n, t_end, mirror)
    monkeypatch.setattr(stability, "holding_times", spy)
    found = stability.stability_map.__wrapped__(5, 1.0, 0, 2.0)
    assert asked == {"page": False, "ridge": True, "essay": False}
    assert list(found.held) == list(stability.MODELS)
    times = [float(np.median(h)) for h in found.held.values()]
    np.testing.assert_allclose(times, [2.0, 1.05, 0.55])
    start = stability.square_starts(5)
    np.testing.assert_allclose(found.exponent[2, 3], lyapunov_exponent(
        *start[13, :2], t_end=50.0)[0], atol=1e-5)
    mesh = stability.plot_square(found, found.exponent, "exponents")
    np.testing.assert_allclose(mesh.get_array().ravel(), found.exponent.T.ravel())
    assert "θ1" in mesh.axes.get_xlabel() and "θ2" in mesh.axes.get_ylabel()


def test_claims_of_the_border(small, monkeypatch):
    asked = []
    held = {stability.MODELS[0]: small.held["good"],
            stability.MODELS[2]: small.held["still"]}
    monkeypatch.setattr(stability, "stability_map", lambda *a: asked.append(a)
                        or replace(small, held=held))
    network = stability.stable_region(Run(2, PROFILE))
    essay = stability.stable_region_essay(Run(2, PROFILE))
    assert (network.value, essay.value) == (1.0, 0.0)
    assert asked == [(stability.grid_size(4), SHORT, 2)] * 2
    assert "0.00" in network.note and "1.00" in essay.note
    for claim in (stability.stable_region.claim, stability.stable_region_essay.claim):
        assert claim.rule.holds(0.5) and not claim.rule.holds(0.49)


# the pendulum that a model has learned

def test_truth_is_of_the_pendulum_that_was_learned():
    "A regression of another pendulum is judged against that one."
    unit = Pendulum(1, 1, 1, 1)
    paths = integrate(unit, starts_at_rest(20, 7) / 2, 4.0, 0.0125)
    model, start = MechanicsRidge(order=4).fit(paths), starts_at_rest(4, 8) / 2
    true, forecast = chaos.side_by_side(model, start, 2.0)
    exact = integrate(unit, start, 2.0, 0.0125, 0.00625)
    np.testing.assert_array_equal(true.state, exact.state)
    assert true.system == unit
    assert (chaos.followed(model, start, 2.0) == 2.0).all()
    model.system_ = None  # as from a file: the usual one
    assert chaos.side_by_side(model, start, 1.0)[0].system == Pendulum()
    model.system_ = "heavy"
    with pytest.raises(ValueError, match="use Pendulum .got 'heavy'"):
        chaos.followed(model, start)


@pytest.mark.parametrize("t_end", [0, -1, np.nan, None, True, np.inf])
def test_comparisons_need_an_end(t_end):
    for call in (lambda: chaos.side_by_side(Exact(), starts_at_rest(1), t_end),
                 lambda: chaos.followed(Exact(), starts_at_rest(1), t_end),
                 lambda: stability.holding_times(Exact(), 3, t_end),
                 lambda: stability.stability_map(3, 1.0, 0, t_end),
                 lambda: chaos.case_exponent("calm", t_end=t_end)):
        with pytest.raises(ValueError, match="t_end must be"):
            call()


@pytest.mark.parametrize("share", [0, -0.5, np.nan])
def test_shares_are_above_zero(share, monkeypatch):
    monkeypatch.setattr(stability, "lyapunov_exponent", None)  # checked before that
    for call in (lambda: pendulum.essay_model("calm", share),
                 lambda: stability.stability_map(3, share)):
        with pytest.raises(ValueError, match="share must be a finite number above 0"):
            call()


def test_too_large_a_square():
    for n in (1003, 10**9 + 1, 3.0, None):
        with pytest.raises(ValueError, match="n must be a whole number"):
            stability.square_starts(n)
