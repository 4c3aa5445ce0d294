"Paths of pendulums and projectiles against SciPy and algebra, chaos, and bad input."

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

pytest.importorskip("numba", reason="needs pip install 'litlab[dynamics]'")

from litlab.core.claims import Run, claims_of  # noqa: E402
from litlab.dynamics import chaos, integrators, races  # noqa: E402
from litlab.dynamics.chaos import (  # noqa: E402
    case_exponent, growth, lyapunov_exponent, perturbed_flow, torus_distance,
    torus_features, torus_scale, valid_prediction_time, yardsticks)
from litlab.dynamics.integrators import (  # noqa: E402
    LANES, PENDULUM, PROJECTILE, USUAL, energy_drift, integrate, law_for_scipy,
    sine_cosine, solve, starts_at_rest, total_energy)
from litlab.dynamics.races import by_odeint, race  # noqa: E402
from litlab.dynamics.systems import (  # noqa: E402
    CASES, Pendulum, Projectile, accelerations, bobs, case_start, double_pendulum,
    landing_point, projectile)
from litlab.dynamics.trajectories import Trajectory  # noqa: E402

careful = settings(deadline=None, max_examples=40, derandomize=True)
angle = st.floats(-20, 20)
turning = st.floats(-15, 15)
size = st.floats(0.1, 5)
pendulums = st.builds(Pendulum, size, size, size, size, st.floats(0.5, 20))


# the compiled functions

def test_sine_and_cosine_are_right_to_the_last_digit():
    x = np.concatenate([np.random.default_rng(1).uniform(-s, s, 20000)
                        for s in (1e-8, 1, 50, 1e6)] + [np.arange(-40, 41) * np.pi / 8])
    sine, cosine = np.empty_like(x), np.empty_like(x)
    sine_cosine(x, sine, cosine, len(x))
    assert np.abs(sine - np.sin(x)).max() < 3e-16
    assert np.abs(cosine - np.cos(x)).max() < 3e-16
    bad = np.array([np.nan, np.inf, -np.inf])
    sine_cosine(bad, sine, cosine, 3)
    assert np.isnan(sine[:3]).all() and np.isnan(cosine[:3]).all()


@careful
@given(pendulums, angle, angle, turning, turning)
def test_accelerations_solve_the_equations_of_lagrange(p, a, b, u, v):
    s, c, m = np.sin(a - b), np.cos(a - b), p.m1 + p.m2
    masses = np.array([[m * p.l1 ** 2, p.m2 * p.l1 * p.l2 * c],
                       [p.m2 * p.l1 * p.l2 * c, p.m2 * p.l2 ** 2]])
    forces = np.array([
        -p.m2 * p.l1 * p.l2 * s * v ** 2 - m * p.g * p.l1 * np.sin(a),
        p.m2 * p.l1 * p.l2 * s * u ** 2 - p.m2 * p.g * p.l2 * np.sin(b)])
    assert masses @ accelerations(p, [a, b, u, v]) == pytest.approx(
        forces, rel=1e-9, abs=1e-9 * np.abs(forces).max() + 1e-12)


@careful
@given(pendulums, angle, angle, turning, turning)
def test_the_law_keeps_the_energy(p, a, b, u, v):
    y, h = np.array([a, b, u, v]), 1e-6
    slope = np.r_[u, v, accelerations(p, y)]
    turn = h / (1 + np.abs(slope).max())
    rise = (p.energy(y + turn * slope) - p.energy(y - turn * slope)) / turn
    scale = (np.abs(p.energy(y)) + p.m1 + p.m2) * (1 + np.abs(slope).max())
    assert abs(rise) < 1e-7 * scale


def test_energy_is_that_of_the_bobs():
    p = Pendulum()
    path = double_pendulum([0.5, 2], [-1, 3], t_end=2, dt=1e-3, step=1e-3)
    where = bobs(path)
    v = np.gradient(where, path.t, axis=1)[:, 1:-1]
    moving = np.array([p.m1, p.m2]) * (v ** 2).sum(-1) / 2
    height = np.array([p.m1, p.m2]) * p.g * where[:, 1:-1, :, 1]
    found = (moving + height).sum(-1)
    assert np.allclose(found, path.energy[:, 1:-1], atol=0.05)


# the integrator

@pytest.mark.parametrize("kind, parameters, start, t_end", [
    (PENDULUM, USUAL, [0.4, -0.3, 1, -2], 8.0), (PENDULUM, USUAL, [-1, 2.4, 0, 0], 3.0),
    (PENDULUM, (0.3, 2.0, 0.7, 1.9, 3.3), [3, 1, 0, 4], 1.0),
    (PROJECTILE, (0.00253, 9.8), [0, 0, 300, 400], 20.0),
    (PROJECTILE, (0.0, 1.6), [5, 7, -3, 40], 20.0)])
def test_paths_equal_those_of_scipy(kind, parameters, start, t_end):
    t, ours = solve(kind, parameters, start, t_end, 0.25, 0.0015625)
    law = law_for_scipy(kind, parameters)
    theirs = solve_ivp(lambda t, y: law(y, t), (0, t[-1]), np.array(start, float),
                       "DOP853", t, rtol=1e-13, atol=1e-13).y.T
    assert ours.shape == (1, round(t_end / 0.25) + 1, 4)
    assert ours[0] == pytest.approx(theirs, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("method, order", [("dop853", 8), ("rk4", 4)])
def test_order(method, order):
    start, p = starts_at_rest(20, 3), Pendulum()
    truth = integrate(p, start, 1, 0.1, 0.0025).state[:, -1]
    ends = [integrate(p, start, 1, 0.1, h, method).state[:, -1] for h in (0.05, 0.025)]
    off = [np.median(np.abs(end - truth)) for end in ends]
    assert order - 0.8 < np.log2(off[0] / off[1]) < order + 2


@pytest.mark.parametrize("method", ["dop853", "rk4"])
def test_a_path_alone_is_the_same_to_the_last_bit(method):
    start = starts_at_rest(LANES + 13, 5)
    many = integrate(Pendulum(), start, 5, method=method)
    for i in (0, 1, LANES - 1, LANES, LANES + 12):
        alone = integrate(Pendulum(), start[i], 5, method=method)
        assert np.array_equal(alone.state[0], many.state[i])
    some = integrate(Pendulum(), start[LANES - 5:], 5, method=method)
    assert np.array_equal(some.state, many.state[LANES - 5:])


def test_starts_are_left_as_they_were_and_paths_go_on_from_them():
    start = starts_at_rest(3)
    before = start.copy()
    first = integrate(Pendulum(), start, 2)
    assert np.array_equal(start, before) and np.array_equal(first.state[:, 0], start)
    second = integrate(Pendulum(), first, 2)
    whole = integrate(Pendulum(), start, 4)
    assert np.array_equal(second.state[:, 1:], whole.state[:, 41:])
    assert np.array_equal(whole.energy, Pendulum().energy(whole.state))
    assert whole.t[-1] == 4 and whole.system == Pendulum() and whole.dt == 0.05


def test_moments_up_to_the_end():
    assert [len(solve(PENDULUM, USUAL, [0] * 4, end, 0.1, 0.1)[0])
            for end in (0.1, 0.3, 0.35, 0.7)] == [2, 4, 4, 8]


def test_backwards_by_the_mirror_of_time():
    there = integrate(Pendulum(), starts_at_rest(10), 3).state[:, -1]
    back = integrate(Pendulum(), there * [1, 1, -1, -1], 3).state[:, -1]
    assert np.abs(back - starts_at_rest(10)).max() < 1e-7


@careful
@given(angle, angle, turning, turning)
def test_mirror_image(a, b, u, v):
    start = np.array([[a, b, u, v], [-a, -b, -u, -v]])
    left, right = integrate(Pendulum(), start, 0.5).state
    assert np.allclose(left, -right, rtol=1e-9, atol=1e-9)


def test_energy_drift():
    start = starts_at_rest(100, 2)
    assert energy_drift(USUAL, integrate(Pendulum(), start, 20).state).max() < 1e-8
    worse = integrate(Pendulum(), start, 20, 0.05, 0.05, "rk4").state
    assert energy_drift(USUAL, worse).max() > 1e-4
    made_up = np.zeros((1, 2, 4))
    made_up[0, 1] = [0, 0, 0, 2]
    well = 3 * 9.8 * 1.4 + 9.8
    assert energy_drift(USUAL, made_up)[0] == pytest.approx(2 / well)


def test_a_path_that_overflows_is_flagged():
    lost = integrate(Projectile(drag=0.5), [[0, 0, 1e200, 1], [0, 0, 0, 1]], 5, 1, 0.1)
    assert lost.failed.tolist() == [True, False]
    assert np.isnan(lost.state[0, 1:]).all() and np.isfinite(lost.state[1]).all()


def test_nothing_comes_after_a_failure(monkeypatch):
    state = np.zeros((2, 4, 4))
    state[0, 1, 2] = np.inf
    monkeypatch.setattr(integrators, "solve", lambda *_: (np.arange(4.0), state))
    path = integrate(Pendulum(), [0] * 4)
    assert path.failed.tolist() == [True, False]
    assert np.isnan(path.state[0, 1:]).all() and (path.state[0, 0] == 0).all()


def test_gravity_alone():
    assert accelerations(Projectile(drag=0), np.ones((2, 3, 4))).shape == (2, 3, 2)
    assert total_energy(PROJECTILE, (0, 9.8), [1, 2, 3, 4]) == 12.5 + 19.6


# bad input

@pytest.mark.parametrize("wrong, words", [
    ({"dt": 0.0}, "dt must"), ({"dt": -1}, "dt must"), ({"dt": np.nan}, "dt must"),
    ({"step": 0}, "step must"), ({"step": -0.1}, "step must"),
    ({"step": 0.03}, "whole number of steps"), ({"step": 0.1}, "try step=0.05"),
    ({"t_end": 0.01}, "at least dt"), ({"t_end": np.inf}, "t_end must"),
    ({"method": "euler"}, "dop853, rk4"), ({"kind": 7}, "use Pendulum"),
    ({"parameters": (1.0, 2.0)}, "use Pendulum"), ({"initial": []}, "initial"),
    ({"parameters": (-1, 1, 1, 1, 9.8)}, "parameter 0 must"),
    ({"parameters": (1, 1, 1, 1, 0)}, "parameter 4 must"),
    ({"kind": PROJECTILE, "parameters": (-0.1, 9.8)}, "parameter 0 must"),
    ({"kind": PROJECTILE, "parameters": (0, np.nan)}, "parameter 1 must"),
    ({"initial": [1.1e6, 0, 0, 0]}, "a million rad"),
    ({"initial": [0, -1e7, 0, 0]}, "a million rad"),
    ({"dt": 1e300, "t_end": 1e300}, "a million"),
    ({"dt": 1e5, "t_end": 1e5}, "a million"), ({"t_end": 1e308}, "smaller t_end"),
    ({"initial": [0, 0, 0]}, "initial"), ({"initial": [0, np.nan, 0, 0]}, "finite"),
    ({"initial": [0, 0, -np.inf, 0]}, "finite")])
def test_refused_by_solve(wrong, words):
    usual = {"kind": PENDULUM, "parameters": USUAL, "initial": [0, 0, 0, 1], "t_end": 1,
             "dt": 0.05, "step": 0.05}
    with pytest.raises(ValueError, match=words):
        solve(**usual | wrong)


@pytest.mark.parametrize("name", ["m1", "m2", "l1", "l2", "g"])
@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "one", None])
def test_refused_pendulums(name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        Pendulum(**{name: value})


@pytest.mark.parametrize("wrong", [{"drag": -1e-9}, {"drag": np.nan}, {"drag": "air"},
                                   {"g": 0}, {"g": -9.8}])
def test_refused_projectiles(wrong):
    with pytest.raises(ValueError, match="must be a finite number"):
        Projectile(**wrong)


@pytest.mark.parametrize("shot, words", [
    ((0, 500), "angle"), ((180, 500), "angle"), ((np.nan, 500), "angle"),
    ((30, 0), "speed"), ((30, -5), "speed"), ((30, np.inf), "speed"),
    ((30, 2e4), "speed"), (([1, 2], [1, 2, 3]), "one shape"), (("up", 5), "one shape")])
def test_refused_shots(shot, words):
    with pytest.raises(ValueError, match=words):
        projectile(*shot)


def test_refused_starts():
    for wrong in ((np.nan, 0), (0, np.inf)):
        with pytest.raises(ValueError, match="finite"):
            double_pendulum(*wrong)
        with pytest.raises(ValueError, match="finite"):
            lyapunov_exponent(*wrong)
    with pytest.raises(ValueError, match="one shape"):
        double_pendulum([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="step must be at most"):
        projectile(30, 500, Projectile(drag=10))
    with pytest.raises(ValueError, match="dt"):
        projectile(30, 500, dt=0)
    with pytest.raises(ValueError, match="n must"):
        starts_at_rest(0)


# the systems

def test_many_starts_of_any_shape():
    grid = np.meshgrid([0.1, 0.2], [0.3, 0.4, 0.5])
    paths = double_pendulum(*grid, omega2=1.5, t_end=1)
    assert len(paths) == 6 and (paths.state[:, 0, 3] == 1.5).all()
    assert np.array_equal(paths.state[:, 0, 0], grid[0].ravel())
    assert paths.names == Pendulum.names and paths.units[2] == "rad/s"
    assert list(CASES) == ["calm", "diverges", "fails"]


def test_inside():
    p, state = Pendulum(), np.array([[1e9, 0, 100, -100], [0, 0, 0, 101], [0, 0, 0, 0]])
    assert p.inside(state).tolist() == [True, False, True]
    assert p.inside(state[:, 2:], ("omega1", "omega2")).tolist() == [True, False, True]
    assert p.inside([0, 0, np.nan, 0]) == np.False_
    far = np.array([[1e6, 0, 1e9, 0], [0, -2e6, 0, 0]])
    assert Projectile().inside(far).tolist() == [True, False]


@careful
@given(st.floats(3, 87), st.floats(50, 900))
def test_flights_without_air(turn, speed):
    flown = projectile(turn, speed, Projectile(drag=0), dt=0.25)
    t = speed ** 2 / 9.8 * np.sin(2 * np.radians(turn))
    vx, vy = speed * np.cos(np.radians(turn)), speed * np.sin(np.radians(turn))
    slack = 9.8 * 0.25 ** 2 / 8 * vx / (vy - 9.8 * 0.25 / 2) + 1e-6  # flattest chord
    assert abs(landing_point(flown)[0] - t) <= slack
    assert flown.state[0, -1, 1] < 0 <= flown.state[0, -2, 1]


def test_straight_up_against_the_air():
    k, g, v = 0.00253, 9.8, 250.0
    path = projectile(90, v, dt=0.01, step=0.01)
    peak = np.log(1 + k * v * v / g) / (2 * k)
    rise = np.arctan(v * np.sqrt(k / g)) / np.sqrt(k * g)
    assert path.state[0, :, 1].max() == pytest.approx(peak, rel=1e-6)
    assert path.t[path.state[0, :, 1].argmax()] == pytest.approx(rise, abs=0.011)
    assert (np.diff(path.energy[0]) < 0).all()


def test_all_shots_have_the_same_moments_and_land():
    both = projectile([[20, 70]], [[300, 700]])
    alone = projectile(20, 300)
    assert len(both) == 2 and len(alone.t) < len(both.t)
    assert np.array_equal(both.state[0, :len(alone.t)], alone.state[0])
    assert landing_point(both)[0] == landing_point(alone)[0]
    assert np.isfinite(landing_point(both)).all() and not both.failed.any()
    assert len(projectile(20, 300, t_end=2).t) == 9


def test_landing_point():
    y = [[0, 1, -1], [0, 1, 1], [0, -1, 1], [0, np.nan, np.nan], [2, 0, -4],
         [2, -2, -4]]
    x = [[0, 2, 4], [0, 1, 2], [7, 9, 9], [0, np.nan, np.nan], [0, 1, 2], [0, 2, 4]]
    path = Trajectory(np.arange(3.0), np.stack([y, x], -1), ("y", "x"))
    assert str(landing_point(path)) == "[ 3. nan nan nan  1.  1.]"
    with pytest.raises(ValueError, match="names"):
        landing_point(double_pendulum(0, 1, t_end=1))


# chaos

def test_exponents_of_the_essays_starts():
    calm, diverges, fails = lyapunov_exponent(
        *np.radians(list(CASES.values())).T, t_end=1500)
    assert 0 <= calm < 0.01 and 0.3 < diverges < 0.45 and 0.5 < fails < 0.65
    unit = lyapunov_exponent(*np.radians(CASES["diverges"]), Pendulum(1, 1, 1, 1), 1500)
    assert unit[0] < 0.01


def test_the_exponent_of_a_case_is_that_of_many_paths():
    "A mean with the deviation of one path, over starts that nobody could tell apart."
    found = case_exponent("fails", 3, n=6, t_end=300)
    moved = np.random.default_rng(3).normal(case_start("fails")[:2], 1e-6, (6, 2))
    paths = lyapunov_exponent(*moved.T, t_end=300)
    assert (found.value, found.spread) == (paths.mean(), paths.std(ddof=1))
    assert found.spread > 0.01 and found.value != paths[0]
    assert f"{paths.min():.3f} to {paths.max():.3f}" in found.note
    assert case_exponent("fails", 4, n=6, t_end=300).value != found.value


@pytest.mark.parametrize("p", [Pendulum(), Pendulum(0.5, 2, 1, 0.6, 3)])
def test_the_exponent_of_the_upright_rest_is_an_eigenvalue(p):
    cross = p.m2 * p.l1 * p.l2
    masses = np.array([[(p.m1 + p.m2) * p.l1 ** 2, cross], [cross, p.m2 * p.l2 ** 2]])
    pull = p.g * np.diag([(p.m1 + p.m2) * p.l1, p.m2 * p.l2])
    exact = np.sqrt(np.linalg.eigvals(np.linalg.solve(masses, pull)).max())
    logs = growth([np.pi, np.pi, 0, 0], p, t_end=6, every=0.25)
    assert logs[0, -4:].mean() / 0.25 == pytest.approx(exact, rel=2e-3)


def test_exponents_do_not_depend_on_the_neighbour():
    start = starts_at_rest(6, 4)[:, :2].T
    usual = lyapunov_exponent(*start, t_end=50)
    for other in ({"distance": 1e-8}, {"every": 0.25}):
        found = lyapunov_exponent(*start, t_end=50, **other)
        assert np.allclose(found, usual, atol=0.01)
    assert np.array_equal(lyapunov_exponent(*start[:, 2], t_end=50), usual[2:3])


@pytest.mark.parametrize("wrong", [{"t_end": 0.1}, {"t_end": -1}, {"every": 0.501},
                                   {"t_end": 0.4}, {"every": 1e300, "t_end": 1e300},
                                   {"distance": 0}, {"step": np.nan}])
def test_refused_by_the_exponent(wrong):
    with pytest.raises(ValueError, match="must be"):
        lyapunov_exponent(1, 2, **wrong)


@careful
@given(angle, angle, turning, turning, st.integers(-3, 3), st.integers(-3, 3))
def test_a_whole_turn_is_no_distance(a, b, u, v, m, n):
    state = np.array([a, b, u, v])
    turned = state + 2 * np.pi * np.array([m, n, 0, 0])
    assert torus_distance(turned, state) < 1e-12
    assert torus_features(state).shape == (6,)


def test_the_scale_is_the_spread_of_random_pendulums():
    scale = torus_scale()
    other = integrate(Pendulum(), starts_at_rest(300, 77), 20).state
    assert scale == pytest.approx(torus_features(other).reshape(-1, 6).std(0), rel=0.1)
    assert torus_scale() is scale
    with pytest.raises(ValueError):
        scale[0] = 1.0
    assert torus_distance([0, 0, 0, 0], [0, 0, scale[4], 0]) == pytest.approx(6 ** -0.5)


def test_valid_prediction_time():
    true = double_pendulum([0.1, 0.2, 0.3, 0.4], [0] * 4, t_end=4)
    state = true.state.copy()
    state[0, 30:, 2] += 9
    state[1, 50:] = np.nan
    state[2, 20, 2] += 9  # and back: lost is lost
    guess = Trajectory(true.t, state, true.names, true.units)
    assert valid_prediction_time(guess, true) == pytest.approx([1.5, 2.5, 1, 4])
    assert (valid_prediction_time(guess, true, threshold=1e6)[[0, 2, 3]] == 4).all()
    flat = valid_prediction_time(guess, true, 0.4, np.full(6, 1e6))
    assert flat == pytest.approx([4, 2.5, 4, 4])
    longer = double_pendulum([0.1, 0.2, 0.3, 0.4], [0] * 4, t_end=9)
    assert np.array_equal(valid_prediction_time(guess, longer),
                          valid_prediction_time(guess, true))
    for wrong in (guess[0], double_pendulum([0] * 4, [0] * 4, dt=0.1, t_end=4),
                  guess.select("theta1", "omega1")):
        with pytest.raises(ValueError):
            valid_prediction_time(wrong, true)
    with pytest.raises(ValueError, match="true must be finite"):
        valid_prediction_time(true, guess)
    for bad in ({"threshold": 0}, {"threshold": np.nan}, {"scale": [1] * 5},
                {"scale": [1, 1, 1, 1, 1, 0]}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            valid_prediction_time(true, true, **bad)


def test_a_better_start_is_a_longer_forecast():
    start = np.radians([[*CASES["fails"], 0, 0], [*CASES["calm"], 0, 0]])
    valid = yardsticks(start, t_end=40)
    assert valid.shape == (3, 2) and (np.diff(valid[:, 0]) > 1).all()
    assert (valid[:, 1] == 40).all() and 3 < valid[0, 0] < valid[2, 0] < 40
    moved = perturbed_flow(start, 1e-3, t_end=1)
    assert moved.state[0, 0] - start[0] == pytest.approx([1e-3, 1e-3, 0, 0])
    with pytest.raises(ValueError, match="shift"):
        perturbed_flow(start, np.nan)


# the claims

def test_claims():
    ids = [c.id for m in (races, chaos) for c in claims_of(m)]
    assert ids == ["dynamics.odeint_ratio", "dynamics.solve_ivp_ratio",
                   "dynamics.lyapunov_calm", "dynamics.lyapunov_diverges",
                   "dynamics.lyapunov_fails"]
    for claim in claims_of(chaos):
        result = claim.measure(Run())
        assert claim.rule.holds(result.value) and 0 < result.spread < 0.05


def test_a_race_with_more_drift_counts_nothing():
    start = starts_at_rest(2)

    def exact(start, t, law):
        return np.repeat(start[:, None], len(t), 1)  # it rests: no drift at all
    assert race(exact, start, 1, 1).value == 0
    won = race(by_odeint, start, 1, 1)
    assert won.value > 0 and "drift" in won.note


def test_systems_that_are_too_fast_or_of_another_kind():
    light = Pendulum(0.5, 5, 0.3, 2)
    assert np.isfinite(torus_scale(light)).all()
    with pytest.raises(ValueError, match="smaller step"):
        lyapunov_exponent(1, 1, omega1=1e5, t_end=5)
    for distance in (1e-300, 9e-11, 0.02):
        with pytest.raises(ValueError, match="distance must be from 1e-10 to 0.01"):
            lyapunov_exponent(1, 1, t_end=5, distance=distance)
    for call in (double_pendulum, lyapunov_exponent):
        with pytest.raises(ValueError, match="must be a Pendulum"):
            call(1, 1, system=Projectile())
    with pytest.raises(ValueError, match="at least one shot"):
        projectile([], [])


def test_too_long_paths_are_refused_at_once():
    "More than 2 GiB of states is an error that says what to change."
    with pytest.raises(ValueError, match="smaller t_end.*larger dt"):
        double_pendulum(1, 1, t_end=1e15)
    with pytest.raises(ValueError, match="smaller t_end.*larger dt"):
        projectile(30, 500, Projectile(g=1e-9))


def test_a_system_of_the_other_kind_is_refused():
    "Each function says which system it wants."
    with pytest.raises(ValueError, match="must be a Projectile"):
        projectile(30, 500, Pendulum())
    with pytest.raises(ValueError, match="must be a Pendulum"):
        double_pendulum(1, 1, system=Projectile())


@pytest.mark.parametrize("wrong", [True, 1 + 0j, "1", None, [1.0]])
def test_masses_are_real_numbers(wrong):
    "What only looks like a number is refused."
    with pytest.raises(ValueError, match="m1"):
        Pendulum(m1=wrong)


def test_forecasts_are_trajectories():
    "A forecast that is none is refused by its name."
    true = double_pendulum(1, 1, t_end=1)
    with pytest.raises(ValueError, match="predicted must be a Trajectory"):
        valid_prediction_time(None, true)
    with pytest.raises(ValueError, match="equal rows"):
        integrate(Pendulum(), [[1, 2, 3, 4], [1, 2]])


# what can't be is refused by name

def test_a_system_is_checked_wherever_it_is_taken():
    start = [0.1, 0.2, 0, 0]
    for call in (lambda s: integrate(s, start), lambda s: growth(start, s),
                 lambda s: perturbed_flow(start, system=s), torus_scale,
                 lambda s: yardsticks(start, s), lambda s: accelerations(s, start)):
        with pytest.raises(ValueError, match="system is unknown: use Pendulum"):
            call("heavy")
    for call in (lambda s: perturbed_flow(start, system=s), torus_scale):
        with pytest.raises(ValueError, match="use Pendulum .got Projectile"):
            call(Projectile())
    far = [2e6, 0, 0, 0]
    for call in (lambda: growth(far), lambda: accelerations(Pendulum(), far),
                 lambda: lyapunov_exponent(0, -2e6), lambda: double_pendulum(2e6, 0)):
        with pytest.raises(ValueError, match="a million rad"):
            call()
    assert np.isfinite(integrate(Projectile(), [2e6, 0, 1, 1], 1).state).all()


def test_a_scale_is_that_of_the_true_system():
    "Not that of the usual masses, nor of those of the forecast."
    unit, start = Pendulum(1, 1, 1, 1), starts_at_rest(3)
    true = integrate(unit, start, 10)
    wrong = true.state + 0.5 * true.t[:, None] * [0, 0, 1, 0]
    guess = Trajectory(true.t, wrong, true.names, true.units)
    own, usual = (valid_prediction_time(guess, true, scale=torus_scale(s))
                  for s in (unit, Pendulum()))
    np.testing.assert_array_equal(valid_prediction_time(guess, true), own)
    assert (own != usual).all()


def test_short_and_long_steps_of_flights():
    for wrong in ({"step": None}, {"step": "x"}, {"dt": None}, {"dt": np.nan}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            projectile(30, 500, **wrong)
    with pytest.raises(ValueError, match="dt must be a whole number of steps"):
        projectile(30, 500, dt=1e300)
    with pytest.raises(ValueError, match="fewer steps"):
        projectile(30, 500, Projectile(g=1e-308))
    assert np.isnan(landing_point(projectile(0.1, 300)))  # down within one step
    fine = projectile(0.1, 300, dt=0.0025, step=0.0025)
    finer = projectile(0.1, 300, dt=0.0001, step=0.0001)
    assert landing_point(fine)[0] == pytest.approx(landing_point(finer)[0], rel=1e-3)
    assert landing_point(finer)[0] == pytest.approx(30.4, abs=0.05)


def test_too_long_an_exponent_is_refused_at_once():
    with pytest.raises(ValueError, match="fewer steps"):
        growth([1, 1, 0, 0], t_end=1e300)


@pytest.mark.parametrize("seed", [-1, None, 1.5, True])
def test_seeds_are_whole_numbers_from_zero(seed):
    for call in (lambda: starts_at_rest(3, seed), lambda: case_exponent("calm", seed),
                 lambda: torus_scale.__wrapped__(seed=seed)):
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            call()


def test_ragged_angles():
    with pytest.raises(ValueError, match="one shape"):
        double_pendulum([[1, 2], [3]], 1)


@pytest.mark.parametrize("wrong, words", [
    ({"t": [0, np.nan]}, "t must"), ({"t": [[0, 1]]}, "t must"), ({"t": 3}, "t must"),
    ({"names": ("x",)}, "names must"), ({"names": ("x", "x")}, "names must"),
    ({"energy": np.zeros((2, 2))}, r"energy must be of shape \(3, 2\)"),
    ({"failed": np.zeros(2, bool)}, r"failed must be of shape \(3,\)"),
    ({"failed": True}, "failed must"), ({"t": [0, 1, 2]}, "each of 3 moments")])
def test_parts_of_a_trajectory_belong_together(wrong, words):
    whole = {"t": [0, 1], "state": np.zeros((3, 2, 2)), "names": ("x", "y"),
             "energy": np.zeros((3, 2)), "failed": [False, True, False]}
    path = Trajectory(**whole)
    assert path.t.tolist() == [0, 1] and path.failed.tolist() == [False, True, False]
    assert len(path[[0, 2]]) == 2
    with pytest.raises(ValueError, match=words):
        Trajectory(**whole | wrong)
