"""Tangent planes: angles, gains and slopes against cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
from scipy.linalg import subspace_angles  # noqa: E402

import litlab.dynamics.tangents as tangents  # noqa: E402
from litlab.core.claims import Run, claims_of, verdict  # noqa: E402
from litlab.core.settings import load_settings  # noqa: E402
from litlab.dynamics.recurrent import RecurrentSurrogate, one_thread  # noqa: E402
from litlab.dynamics.reservoirs import DragFit, random_flights  # noqa: E402
from litlab.dynamics.systems import Projectile, projectile  # noqa: E402
from litlab.dynamics.trajectories import Surrogate  # noqa: E402
from litlab.dynamics.tangents import (  # noqa: E402
    DRAG, GIVEN, X, compare_tangents, contact_at_start, contact_slope, flights,
    followed, line_deviation, neighbours, start_jacobian, tangent_model, tangent_pair)

RUN = Run(seed=0, profile=load_settings().profile)


def turned(first, second, seed=0, n=30):
    "Orthonormal true columns, and the same turned by two angles out of their plane."
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, 4)))[0]
    out = [np.cos(a) * basis[:, i] + np.sin(a) * basis[:, i + 2]
           for i, a in enumerate(np.radians([first, second]))]
    return basis[:, :2], np.stack(out, 1)


# angles, gain, miss

@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.floats(0.01, 89.9), st.floats(0.01, 89.9), st.integers(0, 99))
def test_angles_are_those_that_were_built(first, second, seed):
    true, model = turned(first, second, seed)
    found = compare_tangents(true, model)
    np.testing.assert_allclose(found.angles, sorted([first, second])[::-1], rtol=1e-6)
    cosines = np.cos(np.radians([first, second]))
    np.testing.assert_allclose(found.gains, cosines, atol=1e-9)
    np.testing.assert_allclose(found.gain, cosines.mean(), atol=1e-9)
    half = np.radians(max(first, second) / 2)
    np.testing.assert_allclose(found.miss, 2 * np.sin(half), atol=1e-9)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(0, 999))
def test_units_of_the_start_change_nothing_but_its_own_gains(seed):
    "Degrees or radians, or another pair of numbers: the planes are the same."
    rng = np.random.default_rng(seed)
    true, model = rng.normal(size=(2, 12, 2, 2))
    mixed = rng.normal(size=(2, 2)) + 3 * np.eye(2)
    one, other = compare_tangents(true, model), compare_tangents(
        true @ mixed, model @ mixed)
    for name in ("angles", "gain", "miss"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7)
    expected = np.degrees(subspace_angles(true.reshape(24, 2), model.reshape(24, 2)))
    np.testing.assert_allclose(one.angles, np.sort(expected)[::-1], rtol=1e-9)


@pytest.mark.parametrize("factors", [(1, 1), (0.5, 0.5), (2, -1), (0.02, 0.24)])
def test_gain_of_the_right_plane(factors):
    "Columns of very different size that are not at right angles."
    true = np.random.default_rng(1).normal(size=(40, 2)) @ [[20, 3], [0, 0.1]]
    found = compare_tangents(true, true * factors)
    np.testing.assert_allclose(found.angles, 0, atol=1e-5)
    np.testing.assert_allclose(found.gains, factors)
    np.testing.assert_allclose(found.gain, np.mean(factors))
    assert (found.miss < 1e-12) == (factors == (1, 1))


def test_gain_is_of_the_plane_and_miss_sees_a_swap():
    "Moves that are exchanged stay in the plane: only gain and miss tell."
    true = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 2)))[0]
    found = compare_tangents(true, true[:, ::-1])
    assert found.angles[0] < 1e-5 and abs(found.gain) < 1e-12
    np.testing.assert_allclose(found.miss, 2)


def test_a_forgotten_direction_is_at_right_angles():
    true = np.random.default_rng(3).normal(size=(20, 2))
    half = compare_tangents(true, true * [1, 0])
    np.testing.assert_allclose(half.angles, [90, 0], atol=1e-5)
    none = compare_tangents(true, 0 * true)
    assert none.angles.tolist() == [90, 90] and none.gain == 0
    np.testing.assert_allclose(none.miss, 1)
    assert "90" in repr(half) and "miss 1.00" in repr(none)


@pytest.mark.parametrize("true, model, words", [
    (np.eye(4)[:, :2], np.eye(5)[:, :2], "one shape"),
    (np.eye(4)[:, :2], np.full((4, 2), np.nan), "finite"),
    (np.full((4, 2), np.inf), np.eye(4)[:, :2], "finite"),
    (np.ones((8, 2)), np.eye(8)[:, :2], "independent"),
    (np.ones((1, 2)), np.ones((1, 2)), "independent")])
def test_what_has_no_tangent_plane_is_refused(true, model, words):
    with pytest.raises(ValueError, match=words):
        compare_tangents(true, model)


# Jacobians

def test_jacobian_without_drag_is_the_known_one():
    t, turn = 0.25 * np.arange(flights(X, 0.0).shape[1])[:, None], np.radians(X[0])
    found = start_jacobian(lambda starts: flights(starts, 0.0))
    by_angle = X[1] * t * [-np.sin(turn), np.cos(turn)] * np.pi / 180
    by_speed = t * [np.cos(turn), np.sin(turn)]
    np.testing.assert_allclose(found[..., 0], by_angle, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[..., 1], by_speed, rtol=1e-6, atol=1e-6)


def test_jacobian_is_of_second_order():
    def cubes(starts):
        return np.stack([starts ** 3, 2 * starts], 1)
    off = [start_jacobian(cubes, (1.0, 2.0), (h, h)) for h in (0.2, 0.1)]
    exact = np.array([[[3.0, 0], [0, 12]], [[2, 0], [0, 2]]])
    np.testing.assert_allclose(off[0][1], exact[1], rtol=1e-12)
    np.testing.assert_allclose((off[0] - exact)[0], 4 * (off[1] - exact)[0], atol=1e-12)
    np.testing.assert_allclose(np.diag((off[1] - exact)[0]), 0.01)


@pytest.mark.parametrize("step", [(0.1,), (0.1, 0), (0.1, -1), (0.1, np.nan)])
def test_steps_that_do_not_fit(step):
    with pytest.raises(ValueError, match="step must be above 0"):
        start_jacobian(flights, X, step)


@pytest.mark.parametrize("question", ["point", "difference", "second_difference"])
def test_jacobian_of_a_network_is_that_of_automatic_differentiation(question):
    "The rollout written again, and its derivative carried along."
    one = projectile(*X).select("x", "y")
    model = RecurrentSurrogate(predict=question, width=8, steps=60).fit(one)
    net, known = model.network().requires_grad_(False), model.learned_
    order, scale = ("point", "difference", "second_difference").index(question), {
        k: torch.tensor(v) for k, v in known.items() if "." not in k}

    def rolled(states):
        states = list(states)
        for _ in range(20):
            read = torch.stack(states[-10:])
            read = (torch.diff(read, dim=0) if order else read) - scale["in_mean"]
            new = net((read / scale["in_size"])[None])[0]
            new = new * scale["out_size"] + scale["out_mean"]
            new = new + (states[-1] if order else 0)
            states.append(new + (states[-1] - states[-2] if order == 2 else 0))
        return torch.stack(states)

    def short(starts):
        return flights(starts)[:, :GIVEN + 20]
    fine = {"step": (0.005, 0.05)}
    window, moves = short(X)[0, :GIVEN], start_jacobian(short, **fine)[:GIVEN]
    with one_thread():
        carried = [torch.func.jvp(rolled, (torch.tensor(window),), (
            torch.tensor(moves[..., k].copy()),))[1].numpy() for k in (0, 1)]
    ours = start_jacobian(followed(model, short), **fine)
    error = np.linalg.norm(np.stack(carried, -1) - ours) / np.linalg.norm(ours)
    assert error < 1e-6


# paths of models

class Scaled(Surrogate):
    "Goes on straight from the first state, and fails far away."
    def _fit(self, paths, progress):
        self.learned_ = {"none": np.zeros(1)}

    def _roll(self, start, n_steps):
        moves = (start[:, -1] - start[:, -2])[:, None]
        found = start[:, -1:] + moves * np.arange(1, n_steps + 1)[None, :, None]
        return np.where(np.abs(found) < 1e3, found, np.nan)

    warm_up = GIVEN


def test_followed_begins_with_the_given_moments():
    def lines(starts):
        return np.asarray(starts)[:, None] * np.arange(15.0)[None, :, None]
    model = Scaled().fit(projectile(*X).select("x", "y"))
    model.system_ = None
    found = followed(model, lines)(np.array([[1.0, 2.0], [3.0, -1.0]]))
    np.testing.assert_allclose(found, lines([[1.0, 2.0], [3.0, -1.0]]))
    bent = followed(model, lambda starts: lines(starts) ** 2)(np.array([[1.0, 2.0]]))
    np.testing.assert_allclose(bent[0, :GIVEN, 0], np.arange(10.0) ** 2)
    np.testing.assert_allclose(bent[0, GIVEN:, 0], 81 + 17 * np.arange(1, 6))
    with pytest.raises(ValueError, match="1 rollouts failed"):
        followed(model, lines)(np.array([[1.0, 2.0], [1e3, 0.0]]))


def test_flights_are_as_long_as_the_one_from_x():
    own = projectile(*X).select("x", "y").state
    found = flights([X, (60.0, 300.0)])
    np.testing.assert_allclose(found[:1], own)
    assert found.shape == (2, own.shape[1], 2) and flights(X, 0.0).shape[1] > 200


def test_neighbours_are_where_they_should_be():
    true = start_jacobian(flights)[GIVEN:]
    starts = neighbours(true, X, [0.1, 1.0])
    away = flights(starts.reshape(-1, 2))[:, GIVEN:] - flights(X)[:, GIVEN:]
    far = np.sqrt((away ** 2).sum(-1).mean(-1)).reshape(2, 25)
    np.testing.assert_allclose(far[0], 0.1, rtol=1e-3)
    np.testing.assert_allclose(far[1], 1.0, rtol=1e-2)
    np.testing.assert_allclose(starts[:, 0], starts[:, -1])
    np.testing.assert_allclose(starts.mean(1)[0], X, atol=0.01)


# order of contact

@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_slope_of_maps_of_known_order(order):
    "Two maps that agree at x up to the derivatives below the order."
    h = np.geomspace(1e-4, 1e-1, 20)
    assert abs(contact_slope(h, 3 * h ** order) - order) < 1e-9
    agree = np.exp(h) - sum(h ** k / [1, 1, 2][k] for k in range(order))
    assert abs(contact_slope(h, agree) - order) < 0.05


@pytest.mark.parametrize("scale, tilt, slope", [(1, 0, 2), (1, 0.3, 1), (0, 0, 1)])
def test_slope_and_miss_belong_together(scale, tilt, slope):
    "A surrogate of (a, b) -> curves whose tangent is right, tilted, or forgotten."
    t = np.linspace(0, 1, 20)

    def truth(starts):
        a, b = np.asarray(starts).T[..., None]
        return np.stack([a * t + a * b * t ** 2, b * np.cos(t)], -1)

    def model(starts):
        a, b = scale * np.asarray(starts).T[..., None]
        return np.stack([a * t, b * np.cos(t) + tilt * a * np.sin(5 * t)], -1)
    contact = compare_tangents(*(start_jacobian(f, (0, 0), (1e-4, 1e-4))
                                 for f in (truth, model)))
    h = np.geomspace(1e-3, 1e-1, 9)
    starts = np.multiply.outer(h, [0.6, 0.8])
    apart = np.linalg.norm((truth(starts) - model(starts)).reshape(9, -1), axis=1)
    assert abs(contact_slope(h, apart) - slope) < 0.1
    assert (contact.miss < 1e-6) == (slope == 2)
    assert (contact.gain > 0.99) == (scale == 1)


@pytest.mark.parametrize("h, d", [([1], [1]), ([1, 2], [0, 1]), ([0, 1], [1, 2]),
                                  ([1, 2], [1, np.nan]), ([1, 2, 3], [1, 2])])
def test_no_slope(h, d):
    with pytest.raises(ValueError, match="two or more pairs"):
        contact_slope(h, d)


# flat and bent

def test_lines_deviate_by_nothing_and_parabolas_by_a_known_share():
    t = np.linspace(0, 1, 2001)
    common = np.sin(3 * t)
    lines = np.stack([common, common + 2 - 3 * t, common + 5 * t])[..., None]
    assert line_deviation(lines) < 1e-14
    bent = np.stack([0 * t, t ** 2])[..., None]  # the best line is t - 1/6
    np.testing.assert_allclose(line_deviation(bent), 1 / 6, rtol=1e-2)
    np.testing.assert_allclose(line_deviation(7 * bent), 1 / 6, rtol=1e-2)


def test_flights_without_air_differ_by_lines_and_others_do_not():
    assert line_deviation(random_flights(9, 5, Projectile(0.0)).state) < 1e-11
    assert line_deviation(random_flights(9, 5).state) > 0.01


def test_without_air_the_plane_is_everywhere_the_same():
    far = (70.0, 300.0)
    for drag, flat in ((0.0, True), (DRAG, False)):
        here, there = (start_jacobian(lambda s, d=drag: flights(s, d), p)[GIVEN:]
                       for p in (X, far))
        assert (compare_tangents(here, there).angles[0] < 1e-4) == flat


# the models and the claims

def test_given_terms_have_the_right_plane_nearly():
    found = contact_at_start("terms")
    assert 0.01 < found.angles[0] < 1 and abs(found.gain - 1) < 0.02
    true, model = tangent_pair("terms")
    np.testing.assert_array_equal(true[:GIVEN], model[:GIVEN])
    again = compare_tangents(true, model)  # with the given moments, which are right
    assert again.angles[0] != found.angles[0] and again.miss < found.miss


@pytest.mark.parametrize("kind, flown", [("one", 1), ("four", 4), ("many", 64),
                                         ("around", 4)])
def test_what_a_model_learns_from(kind, flown, monkeypatch):
    "x is among the flights, but for the four around it; others come with the seed."
    seen = []

    def learn(self, data):
        seen.append(data)
        return self
    monkeypatch.setattr(tangents, "RecurrentSurrogate", type(
        "Net", (), {"__init__": lambda self, seed: None, "fit": learn}))
    for seed in (0, 0, 1):
        tangent_model.__wrapped__(kind, seed, DRAG)
    paths = [np.concatenate([p.state[:, :3] for p in data]) for data in seen]
    assert [len(p) for p in paths] == [flown] * 3
    own = flights(X)[0, :3]
    assert (np.abs(paths[0] - own).max((1, 2)) < 1e-9).any() == (kind != "around")
    np.testing.assert_array_equal(paths[0], paths[1])
    assert (len(paths[0]) == 1 or kind == "around") == np.array_equal(*paths[1:])


def test_models_are_shared_and_unknown_ones_refused():
    assert tangent_model("terms", 0, DRAG) is tangent_model("terms", 0, DRAG)
    assert isinstance(tangent_model("terms", 0, DRAG), DragFit)
    with pytest.raises(ValueError, match="essay, one, four"):
        tangent_model("crystal ball", 0, DRAG)


def test_the_claims():
    "Each can fail: a model that is right would turn the first two."
    found = {c.id: c for c in claims_of(tangents)}
    assert set(found) == {f"dynamics.{n}" for n in (
        "tangent_essay", "tangent_gain", "tangent_four_paths", "zero_drag_flat")}
    flat = found["dynamics.zero_drag_flat"]
    assert verdict(flat, flat.measure(RUN))[0] == "reproduced"
    angle, gain = found["dynamics.tangent_essay"], found["dynamics.tangent_gain"]
    results = [c.measure(RUN) for c in (angle, gain)]
    for one, result, right in zip((angle, gain), results, (0.1, 1.01)):
        assert verdict(one, result.value, result.spread)[0] == "refuted"
        assert verdict(one, right)[0] == "reproduced"
        assert "3 networks" in result.note and "gain" in result.note
    assert 60 < results[0].value < 90 and abs(results[1].value) < 0.2
