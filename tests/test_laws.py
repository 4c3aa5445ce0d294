"""Laws found from data: equal to algebra, alike in batches and files, failures kept."""

import json
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs pip install 'litlab[dynamics]'")
pytest.importorskip("numba", reason="needs pip install 'litlab[dynamics]'")

from litlab.core.claims import Run, claims_of  # noqa: E402
from litlab.dynamics import chaos, energy, fields, mechanics  # noqa: E402
from litlab.dynamics.chaos import valid_prediction_time  # noqa: E402
from litlab.dynamics.comparison import StoredNetwork  # noqa: E402
from litlab.dynamics.energy import (  # noqa: E402
    COSINES, PRODUCTS, TERMS, EnergyLaw, energy_terms, law_of_energy, noisy,
    noisy_medians, null_vector)
from litlab.dynamics.fields import (  # noqa: E402
    LagrangianNet, LagrangianNetwork, ResidualNetwork, evaluate_json, lagrangian_law,
    lagrangian_step, network_json, step_pairs, trained_network, values_and_slopes)
from litlab.dynamics.integrators import (  # noqa: E402
    LANES, energy_drift, integrate, starts_at_rest)
from litlab.dynamics.mechanics import (  # noqa: E402
    FoundLaw, MechanicsRidge, central_difference, chaotic_starts, forecast_times,
    median_result, random_paths, sine_orders, sine_terms)
from litlab.dynamics.systems import (  # noqa: E402
    CASES, Pendulum, accelerations, projectile)
from litlab.dynamics.trajectories import (  # noqa: E402
    LinearStep, load_surrogate, save_surrogate)

careful = settings(deadline=None, max_examples=30, derandomize=True)
size = st.floats(0.2, 5)
pendulums = st.builds(Pendulum, size, size, size, size, st.floats(0.5, 20))
QUICK = {"steps": 30, "width": 8, "batch_size": 32}
MODELS = {
    "ridge": lambda **k: MechanicsRidge(**{"order": 3} | k),
    "energy": lambda **k: EnergyLaw(**k),
    "residual": lambda **k: ResidualNetwork(**QUICK | k),
    "lagrangian": lambda **k: LagrangianNetwork(**QUICK | k),
}
FAILS = [*np.radians(CASES["fails"]), 0.0, 0.0]


@pytest.fixture(scope="module")
def paths():
    "Small swings of five pendulums, fine enough for the regression."
    rng = np.random.default_rng(0)
    start = np.c_[rng.uniform(-0.8, 0.8, (5, 2)), np.zeros((5, 2))]
    return integrate(Pendulum(), start, 3.0, 0.0125)


@pytest.fixture(scope="module")
def fitted(paths):
    return {name: make().fit(paths) for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def starts():
    "More than the compiled code takes at once."
    rng = np.random.default_rng(1)
    n = LANES + 3
    return np.c_[rng.uniform(-0.5, 0.5, (n, 2)), rng.uniform(-0.3, 0.3, (n, 2))]


def random_states(n=40, seed=2, speed=8.0):
    rng = np.random.default_rng(seed)
    return np.c_[rng.uniform(-9, 9, (n, 2)), rng.uniform(-speed, speed, (n, 2))]


def with_law(factors, step=0.00125, dt=0.05):
    "An EnergyLaw that knows the factors of an energy, without data."
    model = EnergyLaw(step=step)
    model.learned_, model.dt_ = law_of_energy(factors), dt
    model.names_, model.units_ = Pendulum.names, Pendulum.units
    model.components_, model.system_ = 4, Pendulum()
    return model


def true_factors(p):
    "Those of the energy of a pendulum, (products, cosines)."
    factors, at = np.zeros((4, 5)), {tuple(c): i for i, c in enumerate(COSINES)}
    heavy = p.m1 + p.m2
    factors[0, 0], factors[2, 0] = heavy * p.l1 ** 2 / 2, p.m2 * p.l2 ** 2 / 2
    factors[1, at[1, -1]] = p.m2 * p.l1 * p.l2
    factors[3, at[1, 0]], factors[3, at[0, 1]] = (
        -heavy * p.g * p.l1, -p.m2 * p.g * p.l2)
    return factors


# laws as tables

@careful
@given(pendulums, st.floats(0.1, 9), st.integers(0, 99))
def test_law_of_a_known_energy_is_the_law(p, unit, seed):
    "Exact for random masses and rods, in any unit of energy."
    states = random_states(20, seed)
    found = with_law(unit * true_factors(p)).accelerations(states)
    true = accelerations(p, states)
    np.testing.assert_allclose(found, true, rtol=1e-8, atol=1e-9 * np.abs(true).max())


def test_law_of_any_energy_is_that_of_algebra():
    "All 19 terms at once, by Euler and Lagrange in SymPy."
    sympy = pytest.importorskip("sympy", reason="needs pip install 'litlab[dynamics]'")
    rng = np.random.default_rng(3)
    factors = rng.uniform(-1, 1, (4, 5))
    factors[[0, 2], 0] += 9  # so that the kinetic energy is positive
    a, b, u, v, du, dv = sympy.symbols("a b u v du dv")
    waves = [sympy.cos(int(i) * a + int(j) * b) for i, j in COSINES]
    parts = [float(factors[p, c]) * u ** int(PRODUCTS[p, 0]) * v ** int(PRODUCTS[p, 1])
             * waves[c] for p in range(4) for c in range(5)]
    lagrangian = sum(parts[:15]) - sum(parts[15:])

    def moves(of):
        return sum(of.diff(x) * d for x, d in ((a, u), (b, v), (u, du), (v, dv)))
    equations = [moves(lagrangian.diff(speed)) - lagrangian.diff(turn)
                 for turn, speed in ((a, u), (b, v))]
    rows = [[e.diff(du), e.diff(dv), -e.subs({du: 0, dv: 0})] for e in equations]
    law, states = sympy.lambdify((a, b, u, v), rows, "numpy"), random_states(60)
    solved = [np.linalg.solve(m[:, :2], m[:, 2]) for m in (
        np.array(law(*state), float) for state in states)]
    found = with_law(factors).accelerations(states)
    np.testing.assert_allclose(found, solved, rtol=1e-9, atol=1e-9)


def test_terms_are_the_parts_of_the_energy():
    "Weighted by the factors they sum up to it; all of them are in the blind library."
    p, states = Pendulum(1.3, 0.7, 0.9, 1.6, 9.0), random_states()
    factors = true_factors(p)
    for name, terms in TERMS.items():
        weights = factors[tuple(np.array(terms).T)]
        total = energy_terms(states, name) @ weights
        np.testing.assert_allclose(total - total[0],
                                   p.energy(states) - p.energy(states)[0], atol=1e-8)
        assert energy_terms(states[None], name).shape == (1, 40, len(terms))
    assert len(TERMS["blind"]) == 19 and set(TERMS["given"]) < set(TERMS["blind"])


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 3, 4)])
def test_accelerations_keep_the_shape(shape, fitted):
    states = random_states(6).ravel()[:np.prod(shape)].reshape(shape)
    for name in ("ridge", "energy"):
        found = fitted[name].accelerations(states)
        assert found.shape == (*shape[:-1], 2)
        np.testing.assert_allclose(found.reshape(-1, 2),
                                   fitted[name].accelerations(states.reshape(-1, 4)))


def test_law_without_kinetic_energy():
    factors = true_factors(Pendulum())
    for row in (0, 2):
        wrong = factors.copy()
        wrong[row, 0] *= -1
        with pytest.raises(ValueError, match="kinetic energy must be positive"):
            law_of_energy(wrong)


# the energy's null vector

@settings(deadline=None, max_examples=12, derandomize=True)
@given(st.builds(Pendulum, size, size, size, size),
       st.floats(1, 2.5), st.floats(-2.5, -1))
def test_two_seconds_of_a_random_system(p, theta1, theta2):
    "Masses, rods and the law, from 41 moments of one path."
    path = integrate(p, [theta1, theta2, 0, 0], 2.0, 0.05, 0.000625)
    model = EnergyLaw().fit(path)
    found = model.parameters(p.g)
    for name, true in (("m1/m2", p.m1 / p.m2), ("l1", p.l1), ("l2", p.l2)):
        assert found[name] == pytest.approx(true, rel=1e-5)
    states = random_states(20)
    true = accelerations(p, states)
    np.testing.assert_allclose(model.accelerations(states), true, rtol=1e-4,
                               atol=1e-5 * np.abs(true).max())
    assert model.learned_["singular"].shape == (5,)


def test_found_law_follows_the_path_on():
    "From 2 s of the worst start, for 15 s more, with its energy."
    true = integrate(Pendulum(), FAILS, 17.0, 0.05, 0.00625)
    short = replace(true, t=true.t[:41], state=true.state[:, :41], energy=None)
    for terms, least in (("given", 15.0), ("blind", 12.0)):
        rolled = EnergyLaw(terms).fit(short).rollout(true.state[:, 40], 300)
        rest = replace(true, t=true.t[40:], state=true.state[:, 40:], energy=None)
        assert valid_prediction_time(rolled, rest)[0] >= least
        assert energy_drift(Pendulum().parameters, rolled.state)[0] < 1e-6


def test_null_vector_is_what_stays():
    "A known combination, over paths that each have their own constant."
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(3, 50, 4)) * [1, 10, 0.1, 3]
    true = np.array([0.5, -2.0, 30.0, 1.0])
    rows[..., 3] = rng.normal(size=(3, 1)) - rows[..., :3] @ true[:3]
    for given_ in ([rows], [rows[:1], rows[1:, :30]]):
        vector, singular = null_vector(given_)
        np.testing.assert_allclose(vector / vector[3], true, rtol=1e-9)
        assert (np.diff(singular) <= 0).all() and singular[-1] < 1e-9 < singular[-2]


def test_null_vector_refuses():
    "A term that stands still, and two things that are kept."
    rows = np.random.default_rng(5).normal(size=(1, 40, 4))
    rows[..., 1] = 7.0
    with pytest.raises(ValueError, match=r"got 1 that don't\): take a path that moves"):
        null_vector([rows])
    rows[..., 1], rows[..., 2] = rows[..., 0] + 3, 2 * rows[..., 3]
    with pytest.raises(ValueError, match="more than one quantity .* longer path"):
        null_vector([rows])


def test_too_short_or_too_calm():
    with pytest.raises(ValueError, match="at least 7 steps .* integrate longer"):
        EnergyLaw().fit(integrate(Pendulum(), FAILS, 0.25))
    with pytest.raises(ValueError, match="every term must change"):
        EnergyLaw().fit(integrate(Pendulum(), [0.0, 0, 0, 0], 2.0))
    assert EnergyLaw("blind").least_steps() == 21


def test_noise():
    "Of the size that was asked for, decided by its seed; energy is no longer known."
    path = integrate(Pendulum(), FAILS, 20.0, 0.0125)
    one, two, other = (noisy(path, 0.01, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.state, two.state)
    assert not np.array_equal(one.state, other.state)
    assert np.std(one.state - path.state) == pytest.approx(0.01, rel=0.05)
    assert one.energy is None and one.names == path.names
    np.testing.assert_array_equal(noisy(path, 0.0).state, path.state)
    for wrong in (-1e-3, np.nan, np.inf):
        with pytest.raises(ValueError, match="noise must be a finite number from 0"):
            noisy(path, wrong)


def test_noise_costs_and_what_is_not_found_counts(monkeypatch):
    "More noise, shorter forecasts; a draw without a law is a forecast of 0."
    start, rate = chaotic_starts(8, 1)
    low, high = (noisy_medians(n, start, rate, range(2)) for n in (1e-5, 1e-2))
    assert low.shape == (2,) and (low > 1.5 * high).all() and (high > 0.5).all()
    draws, real = [], EnergyLaw.fit

    def fit(self, *given_):
        draws.append(1)
        if len(draws) == 2:
            raise ValueError("the kinetic energy must be positive")
        return real(self, *given_)
    monkeypatch.setattr(EnergyLaw, "fit", fit)
    found = noisy_medians(1e-2, start, rate, range(3))
    assert len(found) == 3 and found[1] == 0 and found[0] == high[0]


# the regression on sines

def test_difference_is_exact_for_polynomials():
    "Up to degree 8; one more and it is not."
    n = np.arange(-15.0, 15.0)
    for degree, exact in ((8, True), (9, False)):
        found = central_difference((n ** degree)[None, :, None], 0.01)[0, :, 0]
        true = degree * n[4:-4] ** (degree - 1) / 0.01
        assert found.shape == (22,)
        assert np.allclose(found, true, rtol=0, atol=1e-9 * true.max()) == exact
    with pytest.raises(ValueError, match="at least 9 steps"):
        central_difference(np.zeros((1, 8, 2)), 0.01)


@pytest.mark.parametrize("order", [1, 2, 7])
def test_each_order_once(order):
    found = sine_orders(order)
    both = {tuple(o) for o in np.r_[found, -found]}
    assert len(found) == order * (order + 1) and len(both) == 2 * len(found)
    assert (np.abs(found).sum(1) <= order).all() and (found[:, 0] >= 0).all()
    assert (0, 0) not in both and {(order, 0), (0, order)} < both


def test_regression_is_the_sum_of_its_terms(fitted):
    model, states = fitted["ridge"], random_states()
    weights = model.learned_["force"][..., 1:].reshape(2, -1).T
    np.testing.assert_allclose(model.accelerations(states),
                               sine_terms(states, sine_orders(3)) @ weights, atol=1e-9)


def test_regression_learns_what_it_can_say():
    "A law of sines is found to rounding by the terms that hold it, and continued."
    truth = MechanicsRidge(order=2, step=0.00125)
    force = np.random.default_rng(6).uniform(-0.05, 0.05, (2, 4, 7))
    force[:, 0] = 0
    orders = np.vstack([[[0, 0]], sine_orders(2)])
    for row, (order, pull) in enumerate((((1, 0), -9), ((0, 1), -7))):
        force[row, 0, (orders == order).all(1)] = pull
    truth.learned_ = {"orders": orders, "force": force,
                      "mass": np.array([[1.0], [0.0], [1.0]])}
    truth.dt_, truth.names_, truth.units_ = 0.0125, Pendulum.names, Pendulum.units
    truth.components_, truth.system_ = 4, Pendulum()
    data = truth.rollout(np.c_[np.random.default_rng(7).uniform(-2, 2, (60, 2)),
                               np.zeros((60, 2))], 200)
    model = MechanicsRidge(order=2, ridge=1e-12).fit(data)
    states = data.state[:, ::40].reshape(-1, 4)
    assert np.abs(model.accelerations(states)
                  - truth.accelerations(states)).max() < 1e-4


def test_regression_of_the_pendulum():
    "More terms are closer to the law, away from the paths that it learned from."
    data = random_paths(60, 8, 0.0125, 5.0)
    states = random_paths(20, 9, 0.5, 4.0).state.reshape(-1, 4)
    true = accelerations(Pendulum(), states)
    errors = [np.linalg.norm(MechanicsRidge(k).fit(data).accelerations(states) - true)
              / np.linalg.norm(true) for k in (2, 5, 8)]
    assert errors[0] > 2 * errors[1] > 3 * errors[2] and errors[2] < 0.05


def test_fewer_samples_are_taken_evenly(paths):
    many, few = (MechanicsRidge(order=2, samples=n).fit(paths) for n in (10**6, 300))
    states = paths.state[:, ::20].reshape(-1, 4)
    true = many.accelerations(states)
    assert 0 < np.abs(few.accelerations(states) - true).max() < 0.2 * np.abs(true).max()


def test_data_too_coarse(paths):
    coarse = integrate(Pendulum(), FAILS, 2.0, 0.025)
    with pytest.raises(ValueError, match="at most 0.0125 s .* integrate with dt"):
        MechanicsRidge().fit(coarse)
    short = replace(paths, t=paths.t[:8], state=paths.state[:, :8], energy=None)
    with pytest.raises(ValueError, match="at least 9 steps .* integrate longer"):
        MechanicsRidge().fit(short)


# networks

def test_pairs_of_steps(paths):
    state, change = step_pairs([paths.state, paths.state[:2, :9]], mirror=False)
    assert len(state) == 5 * 240 + 2 * 8
    np.testing.assert_allclose(state[0] + change[0], paths.state[0, 1])
    np.testing.assert_allclose(state[-1] + change[-1], paths.state[1, 8])
    both = step_pairs([paths.state, paths.state[:2, :9]])
    np.testing.assert_array_equal(both[0], np.r_[state, -state])
    np.testing.assert_array_equal(both[1], np.r_[change, -change])


def layers_of(depth=2, seed=0):
    torch.manual_seed(seed)
    net = LagrangianNet(6, depth, 0.05, np.ones(4))
    return [(w.double().detach(), b.double().detach()) for w, b in net.layers()]


@pytest.mark.parametrize("depth", [1, 3])
def test_slopes_are_those_of_torch(depth):
    layers, angles = layers_of(depth), torch.randn(7, 2, dtype=torch.float64)
    value, slope = values_and_slopes(layers, angles)
    jacobian = torch.stack([torch.func.jacrev(
        lambda x: values_and_slopes(layers, x[None])[0][0])(a) for a in angles])
    assert value.shape == (7, 4) and slope.shape == (2, 7, 4)
    assert torch.allclose(slope, jacobian.permute(2, 0, 1), atol=1e-12)


def test_learned_lagrangian_keeps_its_energy():
    "Kinetic and potential energy of any weights, along any path."
    layers, state = layers_of(), torch.randn(5, 4, dtype=torch.float64)

    def total(state):
        p, q, r, potential = values_and_slopes(layers, state[:, :2])[0].unbind(-1)
        p, r, (u, v) = fields.soft(p), fields.soft(r), state[:, 2:].T
        kinetic = (p * p + 1e-3) * u * u + 2 * p * q * u * v
        kinetic = kinetic + (q * q + r * r + 1e-3) * v * v
        return kinetic / 2 + potential
    before = total(state)
    for _ in range(200):
        state = lagrangian_step(layers, state, 0.005)
    assert torch.allclose(total(state), before, atol=1e-7)
    still = lagrangian_law(layers, torch.zeros(1, 4, dtype=torch.float64))
    assert torch.allclose(still, torch.zeros_like(still), atol=1e-12)  # by symmetry


def test_a_step_has_order_four():
    "Half the step, a sixteenth of the error."
    layers, start = layers_of(), torch.randn(5, 4, dtype=torch.float64)

    def after(n):
        state = start
        for _ in range(n):
            state = lagrangian_step(layers, state, 0.8 / n)
        return state
    errors = [(after(n) - after(512)).abs().max() for n in (8, 16)]
    assert 10 < errors[0] / errors[1] < 24


@pytest.mark.parametrize("name", ["residual", "lagrangian"])
def test_training(name, paths, starts):
    "It learns, its seed decides, and other random numbers are left alone."
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = MODELS[name](steps=150).fit(paths)
    assert torch.equal(torch.rand(3), expected) and len(one.losses_) == 150
    assert np.mean(one.losses_[-20:]) < 0.5 * np.mean(one.losses_[:5])
    two, other = (MODELS[name](steps=150, seed=s).fit(paths) for s in (0, 1))
    rolled = [m.rollout(starts[:3], 4).state for m in (one, two, other)]
    np.testing.assert_array_equal(rolled[0], rolled[1])
    assert np.abs(rolled[0] - rolled[2]).max() > 1e-6


def test_networks_follow_small_swings(paths, starts):
    "For half a second, closer than if nothing moved."
    true = integrate(Pendulum(), starts, 0.5, 0.0125)
    stays = np.abs(true.state - true.state[:, :1])[..., :2].mean()
    for name in ("residual", "lagrangian"):
        model = MODELS[name](steps=300, width=16).fit(paths)
        assert np.abs(model.rollout(starts, 40).state - true.state)[
            ..., :2].mean() < 0.3 * stays


def test_a_component_that_never_moves(paths):
    "Is an error where it would be divided by."
    still = replace(paths, state=paths.state * [1, 0, 1, 0], energy=None)
    with pytest.raises(ValueError, match="must move in both angles"):
        ResidualNetwork(**QUICK).fit(still)
    assert np.isfinite(LagrangianNetwork(**QUICK).fit(still).losses_).all()


def test_trained_network(monkeypatch):
    "A share of 90 000 steps, its own paths, settings handed on."
    asked = []
    monkeypatch.setattr(fields, "random_paths", lambda *given_: asked.append(given_))
    monkeypatch.setattr(ResidualNetwork, "fit", lambda self, paths: self)
    model = trained_network(0.25, 3, width=9)
    assert (model.steps, model.seed, model.width) == (22_500, 3, 9)
    assert trained_network(1e-9).steps == 2 and trained_network().steps == 90_000
    assert asked[0] == (1000, 1003, 0.05)


# all of them

@pytest.mark.parametrize("name", MODELS)
def test_many_paths_are_as_one_by_one(name, fitted, starts):
    together = fitted[name].rollout(starts, 30)
    alone = [fitted[name].rollout(s, 30).state[0] for s in starts]
    np.testing.assert_allclose(together.state, np.stack(alone), rtol=1e-9, atol=1e-9)
    assert together.state.shape == (LANES + 3, 31, 4)
    assert together.names == Pendulum.names
    np.testing.assert_array_equal(together.state[:, 0], starts)


@pytest.mark.parametrize("name", MODELS)
def test_a_rollout_can_be_cut_in_two(name, fitted, starts):
    whole = fitted[name].rollout(starts[:3], 30)
    rest = fitted[name].rollout(whole.state[:, :16], 15)
    np.testing.assert_allclose(rest.state, whole.state[:, 15:], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_file_gives_the_same_rollout(name, fitted, starts, tmp_path):
    model, path = fitted[name], tmp_path / "folder" / "model.npz"
    save_surrogate(path, model)
    assert [p.name for p in path.parent.iterdir()] == ["model.npz"]
    back = load_surrogate(path, type(model), Pendulum())
    one, two = (m.rollout(starts[:4], 20) for m in (model, back))
    np.testing.assert_array_equal(one.state, two.state)
    np.testing.assert_array_equal(one.energy, two.energy)
    assert (back.dt_, back.names_, back.units_) == (0.0125, Pendulum.names,
                                                    Pendulum.units)
    with pytest.raises(ValueError, match=f"holds a {type(model).__name__}"):
        load_surrogate(path, LinearStep)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="no whole surrogate"):
        load_surrogate(path, type(model))
    with pytest.raises(ValueError, match="call fit"):
        save_surrogate(path, MODELS[name]())


@pytest.mark.parametrize("name", MODELS)
def test_full_turns_change_nothing(name, fitted, starts):
    "Of either bob."
    turn = np.array([2 * np.pi, -4 * np.pi, 0, 0])
    plain, turned = (fitted[name].rollout(s, 15).state for s in (
        starts[:5], starts[:5] + turn))
    np.testing.assert_allclose(turned, plain + turn, atol=1e-7)


@pytest.mark.parametrize("name", ["ridge", "energy", "lagrangian"])
def test_mirror_image(name, fitted, starts):
    "What swings to the left swings alike to the right, in all but the plain network."
    plain, mirrored = (fitted[name].rollout(s, 15).state for s in (
        starts[:5], -starts[:5]))
    np.testing.assert_allclose(mirrored, -plain, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_energy_of_a_rollout(name, fitted, starts):
    rolled = fitted[name].rollout(starts[:3], 10)
    np.testing.assert_allclose(rolled.energy, Pendulum().energy(rolled.state))


@pytest.mark.parametrize("name", MODELS)
def test_bad_input(name, fitted, paths, starts):
    "Each error names the cure."
    model = fitted[name]
    with pytest.raises(ValueError, match="learned nothing yet: call fit"):
        MODELS[name]().rollout(starts, 5)
    for bad in (np.nan, np.inf):
        wrong = starts.copy()
        wrong[2, 1] = bad
        with pytest.raises(ValueError, match="initial must be finite"):
            model.rollout(wrong, 5)
    for n_steps in (0, 2.5, True):
        with pytest.raises(ValueError, match="n_steps must be"):
            model.rollout(starts, n_steps)
    with pytest.raises(ValueError, match=r"initial must be \(paths, 4\)"):
        model.rollout(starts[:, :3], 5)
    finer = integrate(Pendulum(), FAILS, 2.0, 0.00625, 0.00625)
    with pytest.raises(ValueError, match="one step of time .* one dt"):
        MODELS[name]().fit([paths, finer])
    wild = paths.state.copy()
    wild[1, 5, 2] = np.nan
    with pytest.raises(ValueError, match="leave the failed paths out"):
        MODELS[name]().fit(replace(paths, state=wild))
    for other in (paths.select("theta1", "omega1"), projectile(30.0, 500.0)):
        with pytest.raises(ValueError, match="theta1, theta2, omega1, omega2 .got"):
            MODELS[name]().fit(replace(other, t=0.0125 * np.arange(len(other.t))))


@pytest.mark.parametrize("wrong, message", [
    (lambda: MechanicsRidge(order=0), "order must be a whole number from 1"),
    (lambda: MechanicsRidge(ridge=0), "ridge must be a finite number above 0"),
    (lambda: MechanicsRidge(ridge=np.nan), "ridge must be a finite"),
    (lambda: MechanicsRidge(step=-1), "step must be"),
    (lambda: MechanicsRidge(samples=0), "samples must be"),
    (lambda: MechanicsRidge().accelerations(FAILS), "call fit"),
    (lambda: EnergyLaw("some"), "terms must be 'given' or 'blind'"),
    (lambda: EnergyLaw(step=0), "step must be"),
    (lambda: EnergyLaw().parameters(), "call fit"),
    (lambda: EnergyLaw().accelerations(FAILS), "call fit"),
    (lambda: ResidualNetwork(width=0), "width must be"),
    (lambda: ResidualNetwork(depth=0), "depth must be"),
    (lambda: ResidualNetwork(lr=np.inf), "lr must be"),
    (lambda: ResidualNetwork(steps=1), "steps must be a whole number from 2"),
    (lambda: ResidualNetwork(batch_size=0), "batch_size must be"),
    (lambda: ResidualNetwork().network(), "call fit"),
    (lambda: network_json(ResidualNetwork()), "call fit"),
    (lambda: LagrangianNetwork(width=-2), "width must be"),
    (lambda: LagrangianNetwork(steps=0), "steps must be a whole number from 2"),
    (lambda: LagrangianNetwork().layers(), "call fit"),
])
def test_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_gravity_must_be_positive(fitted):
    with pytest.raises(ValueError, match="g must be"):
        fitted["energy"].parameters(g=0)


# failures count

def test_a_law_that_blows_up_is_flagged(fitted, starts):
    "From the first step outside, all is nan; others go on."
    model = EnergyLaw(step=0.0125)
    model.__dict__.update(fitted["energy"].__dict__)
    broken = model.learned_["force"].copy()
    broken *= -1e3  # it falls upwards, and fast
    model.learned_ = model.learned_ | {"force": broken}
    some = np.vstack([np.zeros(4), starts[:4] + [0, 0, 30, 0]])
    lost = model.rollout(some, 400)
    assert not lost.failed[0] and lost.failed[1:].all()
    gone = np.isnan(lost.state).all(-1)
    assert (np.diff(gone.astype(int), axis=1) >= 0).all() and not gone[:, 0].any()
    assert np.isfinite(lost.state[~gone]).all()
    assert (np.abs(lost.state[~gone][:, 2:]) <= 100).all()


class Breaks(LinearStep):
    "Right until a moment of each path, and then gone."
    def __init__(self, until, dt=0.0125):
        self.until, self.dt_, self.components_ = until, dt, 4
        self.names_, self.units_ = Pendulum.names, Pendulum.units
        self.system_, self.learned_ = Pendulum(), {}

    def _roll(self, start, n_steps):
        true = integrate(Pendulum(), start[:, -1], n_steps * self.dt_, self.dt_,
                         min(self.dt_, 0.0125))
        state = true.state[:, 1:].copy()
        for path, k in zip(state, self.until):
            path[k - 1:] = np.nan
        return state


def test_nothing_comes_after_a_failure():
    "A path that leaves the domain for one step is lost from there on."
    model, start = Breaks([10**6] * 2), starts_at_rest(2, 3)
    whole = model._roll(start[:, None], 8)
    whole[1, 3, 2] = 101.0
    model._roll = lambda start, n_steps: whole
    lost = model.rollout(start, 8)
    assert lost.failed.tolist() == [False, True]
    assert np.isfinite(lost.state[0]).all() and np.isfinite(lost.state[1, :4]).all()
    assert np.isnan(lost.state[1, 4:]).all() and np.isnan(lost.energy[1, 4:]).all()


def test_forecasts_that_blow_up_count_until_then():
    start = starts_at_rest(4, 3)
    rate = np.array([0.5, 1.0, 2.0, 1.0])
    until = np.array([1, 80, 160, 10**6])
    times = forecast_times(Breaks(until), start, rate, 4.0)
    np.testing.assert_allclose(times, rate * np.minimum(until * 0.0125, 4.0))
    result = median_result(times, "some fail")
    assert result.value == np.median(times) and result.note == (
        "4 chaotic starts; some fail")
    lost = median_result(forecast_times(Breaks([1, 1, 1, 320]), start, rate, 4.0))
    assert lost.value == pytest.approx(1.5 * 0.0125) and np.isfinite(lost.spread)


def test_median_and_its_spread():
    times = np.random.default_rng(9).exponential(size=41)
    one, two = median_result(times), median_result(times, seed=1)
    assert one.value == two.value == np.median(times) and one.spread != two.spread
    assert 0.5 * 1 / np.sqrt(41) < one.spread < 2 / np.sqrt(41)
    assert median_result(np.zeros(9)).value == 0
    assert one.note == "41 chaotic starts"


def test_truth_has_another_step():
    "At most 0.00625 s, whatever the model's dt; an exact model holds to the end."
    seen, start = [], starts_at_rest(2, 4)

    def watched(system, initial, t_end, dt, step):
        seen.append((dt, step))
        return integrate(system, initial, t_end, dt, step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chaos, "integrate", watched)
        for dt in (0.05, 0.0125, 0.005):
            times = forecast_times(Breaks([10**6] * 2, dt), start, np.ones(2), 1.0)
            np.testing.assert_allclose(times, 1.0)
    np.testing.assert_allclose(seen, [(0.05, 0.00625), (0.0125, 0.00625),
                                      (0.005, 0.005)])


def test_chaotic_starts():
    start, rate = chaotic_starts(20, 1)
    assert len(start) == len(rate) and (rate > 0.1).all() and len(rate) < 20
    everything = {tuple(s) for s in starts_at_rest(20, 1)}
    assert {tuple(s) for s in start} < everything
    calm = next(s for s in range(99) if np.abs(starts_at_rest(1, s)).max() < 0.6)
    with pytest.raises(ValueError, match="none of 1 starts is chaotic"):
        chaotic_starts(1, calm)


# the stored network

def test_json_gives_the_same_steps(fitted, starts):
    model = fitted["residual"]
    stored = json.loads(json.dumps(network_json(model)))
    ahead = model.rollout(starts, 1).state[:, 1]
    np.testing.assert_allclose(evaluate_json(stored, starts), ahead, atol=1e-5)
    exact = json.loads(json.dumps(network_json(model, digits=17)))
    np.testing.assert_allclose(evaluate_json(exact, starts), ahead, atol=1e-12)
    assert network_json(model, digits=2)["layers"][0]["weight"] != (
        stored["layers"][0]["weight"])
    assert len(stored["layers"]) == 4 and stored["dt"] == 0.0125


def test_json_by_hand():
    "One unit, silu: x sigmoid(x)."
    stored = {"shift": [0, 0, 0, 0, 1, 0], "scale": [1, 1, 1, 1, 2, 1],
              "change": [1, 2, 3, 4], "layers": [
                  {"weight": [[0, 0, 0, 0, 1, 0]], "bias": [1.5]},
                  {"weight": [[1], [1], [0], [-1]], "bias": [0, 0, 5, 0]}]}
    unit = 2 / (1 + np.exp(-2))  # of (2 - 1) / 2 + 1.5
    np.testing.assert_allclose(evaluate_json(stored, np.array([[0.3, 0, 2, 0]])),
                               [[0.3 + unit, 2 * unit, 17, -4 * unit]])


@pytest.fixture(scope="module")
def stored():
    return json.loads((files("litlab.dynamics") / "pendulum_network.json").read_text())


def test_stored_network_has_the_form_that_the_page_reads(stored):
    assert (stored["kind"], stored["dt"], stored["activation"]) == (
        "residual network", 0.05, "silu")
    sizes = [6] + [len(layer["bias"]) for layer in stored["layers"]]
    assert sizes[-1] == 4 and max(sizes) <= 64 and len(sizes) <= 5
    for layer, inputs in zip(stored["layers"], sizes):
        assert np.shape(layer["weight"]) == (len(layer["bias"]), inputs)
    assert [len(stored[k]) for k in ("shift", "scale", "change")] == [6, 6, 4]
    assert min(stored["scale"] + stored["change"]) > 0
    assert len(json.dumps(stored, separators=(",", ":"))) < 100_000
    assert set(stored) == set(network_json(MODELS["residual"]().fit(
        random_paths(2, 0, 0.05, 1.0))))


def test_stored_network_knows_the_pendulum(stored):
    "A step is right to a hundredth of its size, and chaos holds for some time."
    data = random_paths(30, 77, 0.05, 10.0)
    now, then = data.state[:, :-1].reshape(-1, 4), data.state[:, 1:].reshape(-1, 4)
    error = np.abs(evaluate_json(stored, now) - then).mean(0)
    assert (error < 0.01 * np.abs(then - now).mean(0)).all()
    model = StoredNetwork(stored)
    assert np.median(forecast_times(model, *chaotic_starts(20, 1))) > 3


# claims

def test_claims(monkeypatch):
    "Each measures what it says, with the profile's sizes and seeds."
    used = []

    def seen(model, start, rate, t_end=30.0):
        used.append((model, len(start), t_end))
        return rate * np.minimum(t_end, 40.0)
    for module in (mechanics, energy, fields):
        monkeypatch.setattr(module, "forecast_times", seen)
    monkeypatch.setattr(MechanicsRidge, "fit", lambda self, data: self)
    monkeypatch.setattr(fields, "trained_network", lambda share, seed: (share, seed))
    run = Run(1, SimpleNamespace(dynamics_n_random=8, dynamics_seconds=0.5,
                                 dynamics_n_seeds=2))
    start, rate = chaotic_starts(8, 2)
    values = {c.id: c.measure(run) for m in (mechanics, energy, fields)
              for c in claims_of(m)}
    assert set(values) == {f"dynamics.{name}_vpt" for name in (
        "mechanics_ridge", "energy_law", "energy_law_noise", "network")}
    held = {"energy_law": 40, "energy_law_noise": 40, "mechanics_ridge": 30,
            "network": 30}  # s; laws that hold for long are compared for 60 s
    for name, seconds in held.items():
        assert values[f"dynamics.{name}_vpt"].value == pytest.approx(
            seconds * np.median(rate))
    assert "0 not lost at 60 s" in values["dynamics.energy_law_vpt"].note
    assert all(n == len(start) for _, n, _ in used) and len(used) == 1 + 1 + 5 + 2
    assert used[0][0].order == 20 and [u[0] for u in used[-2:]] == [(0.5, 1), (0.5, 2)]
    assert all(isinstance(u[0], FoundLaw) for u in used[:7])
    assert values["dynamics.energy_law_noise_vpt"].spread < 1e-12


# what can't be is refused by name

def test_chaotic_is_above_a_tenth(monkeypatch):
    rates = np.array([0.09, 0.11, 0.2, 0.29, 0.5])
    monkeypatch.setattr(mechanics, "lyapunov_exponent", lambda *angles: rates)
    start, rate = chaotic_starts.__wrapped__(5, 3)
    np.testing.assert_array_equal(rate, rates[1:])
    np.testing.assert_array_equal(start, starts_at_rest(5, 3)[1:])


@pytest.mark.parametrize("dt", [0, -1, np.nan, True, None])
def test_differences_need_a_step(dt):
    with pytest.raises(ValueError, match="dt must be"):
        central_difference(np.zeros((1, 9, 2)), dt)


def test_no_median_of_nothing():
    with pytest.raises(ValueError, match="times must be a whole number from 1"):
        median_result([])


@pytest.mark.parametrize("seed", [-1, None, 1.5])
def test_seeds_are_whole_numbers_from_zero(seed, paths):
    for call in (lambda: random_paths(2, seed), lambda: chaotic_starts(3, seed),
                 lambda: noisy(paths, 0.1, seed)):
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            call()


@pytest.mark.parametrize("t_end", [0, -1, np.nan, None, True, np.inf])
def test_forecasts_need_an_end(t_end):
    with pytest.raises(ValueError, match="t_end must be"):
        forecast_times(Breaks([1]), starts_at_rest(1), np.ones(1), t_end)
