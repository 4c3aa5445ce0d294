"""Recurrent networks and reservoirs: what they learn from, how they go on, errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
import litlab.dynamics.recurrent as recurrent  # noqa: E402
from litlab.dynamics.fields import (  # noqa: E402
    LagrangianNetwork, ResidualNetwork)
from litlab.dynamics.mechanics import MechanicsRidge  # noqa: E402
from litlab.dynamics.recurrent import (  # noqa: E402
    QUESTIONS, RecurrentNet, RecurrentSurrogate, essay_surrogate, one_thread,
    recurrent_windows)
from litlab.dynamics.reservoirs import (  # noqa: E402
    DragFit, EchoState, NextGeneration, encode_angles, flight_grid, landing_errors,
    polynomials, random_flights, ridge_solve)
from litlab.dynamics.systems import (  # noqa: E402
    Projectile, double_pendulum, landing_point, projectile)
from litlab.dynamics.trajectories import (  # noqa: E402
    LinearStep, Trajectory, load_surrogate, save_surrogate, start_states)

QUICK = {"steps": 40, "width": 8, "batch_size": 32}
MODELS = {
    "point": lambda **k: RecurrentSurrogate(predict="point", **QUICK | k),
    "difference": lambda **k: RecurrentSurrogate(predict="difference", **QUICK | k),
    "second": lambda **k: RecurrentSurrogate(**QUICK | k),
    "polynomials": lambda **k: NextGeneration(**k),
    "echo": lambda **k: EchoState(n_units=60, **k),
    "drag": lambda **k: DragFit(**k),
}
RANDOM = ("point", "difference", "second", "echo")


@pytest.fixture(scope="module")
def flights():
    return random_flights(12, seed=3)


@pytest.fixture(scope="module")
def grid():
    return flight_grid()


@pytest.fixture(scope="module")
def fitted(flights):
    with one_thread():
        return {name: make().fit(flights) for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def pendulums():
    rng = np.random.default_rng(0)
    return double_pendulum(*rng.uniform(-0.6, 0.6, (2, 8)), t_end=5.0, dt=0.05)


# all kinds

@pytest.mark.parametrize("name", MODELS)
def test_many_paths_are_as_one_by_one(name, fitted, grid):
    start = grid.state[:9, :10]
    together = fitted[name].rollout(start, 25)
    alone = [fitted[name].rollout(s[None], 25).state[0] for s in start]
    np.testing.assert_allclose(together.state, np.stack(alone), rtol=1e-9, atol=1e-7)
    assert together.state.shape == (9, 26, 2) and together.names == ("x", "y")
    np.testing.assert_array_equal(together.state[:, 0], start[:, -1])


@pytest.mark.parametrize("name", MODELS)
def test_goes_on_from_the_last_states(name, fitted, grid):
    "More states than needed change nothing, and a rollout can be cut in two."
    model, start = fitted[name], grid.state[:3]
    whole = model.rollout(start[:, 2:12], 30).state
    np.testing.assert_array_equal(model.rollout(start[:, :12], 30).state, whole)
    if name != "echo":  # whose memory is longer than its warm-up
        seen = np.concatenate([start[:, 2:11], whole[:, :16]], 1)
        rest = model.rollout(seen, 15).state
        np.testing.assert_allclose(rest, whole[:, 15:], rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_file_gives_the_same_rollout(name, fitted, grid, tmp_path):
    model, path = fitted[name], tmp_path / "model.npz"
    save_surrogate(path, model)
    back = load_surrogate(path, type(model))
    start = grid.state[:4, :10]
    np.testing.assert_array_equal(back.rollout(start, 20).state,
                                  model.rollout(start, 20).state)
    with pytest.raises(ValueError, match=f"holds a {type(model).__name__}"):
        load_surrogate(path, LinearStep)


@pytest.mark.parametrize("name", MODELS)
def test_seed_decides(name, fitted, flights, grid):
    start = grid.state[:2, :10]
    before = fitted[name].rollout(start, 5).state
    torch.manual_seed(99)
    again = MODELS[name]().fit(flights).rollout(start, 5).state
    np.testing.assert_array_equal(again, before)
    if name in RANDOM:
        other = MODELS[name](seed=1).fit(flights).rollout(start, 5).state
        assert np.abs(other - before).max() > 1e-9


@pytest.mark.parametrize("name", MODELS)
def test_bad_input(name, fitted, flights, grid):
    "Each error names the cure."
    model, short = fitted[name], replace(flights, t=flights.t[:5],
                                         state=flights.state[:, :5])
    start = grid.state[:2, :10].copy()
    with pytest.raises(ValueError, match="call fit"):
        MODELS[name]().rollout(start, 5)
    for bad in (np.nan, np.inf):
        start[1, 4, 0] = bad
        with pytest.raises(ValueError, match="initial must be finite"):
            model.rollout(start, 5)
    with pytest.raises(ValueError, match="last 10 states"):
        model.rollout(grid.state[:2, 0], 5)
    with pytest.raises(ValueError, match="n_steps must be"):
        model.rollout(grid.state[:2, :10], 0)
    slower = projectile([30.0], [500.0], dt=0.5).select("x", "y")
    with pytest.raises(ValueError, match="one step of time .* one dt"):
        MODELS[name]().fit([flights, slower])
    with pytest.raises(ValueError, match="at least 11 steps .* integrate longer"):
        MODELS[name]().fit(short)
    wild = replace(flights, state=np.where(flights.state > 900, np.nan, flights.state))
    with pytest.raises(ValueError, match="leave the failed paths out"):
        MODELS[name]().fit(wild)


def test_several_trajectories_are_learned_from(flights, grid):
    "A list of flights of unequal length teaches the same as their windows together."
    short = replace(flights[6:], t=flights.t[:60], state=flights.state[6:, :60])
    for name in ("polynomials", "drag", "echo"):
        one = MODELS[name]().fit([flights[:6], short])
        two = MODELS[name]().fit([short, flights[:6]])
        rolled = [m.rollout(grid.state[:, :10], 20).state for m in (one, two)]
        np.testing.assert_allclose(*rolled, rtol=1e-4)


def test_blown_up_rollout_is_flagged(fitted, grid):
    "No nan stays unseen, and the path counts as one that never landed."
    model = NextGeneration()
    model.__dict__.update(fitted["polynomials"].__dict__)
    model.learned_ = model.learned_ | {"weights": -1e3 * model.learned_["weights"]}
    lost = model.rollout(grid.state[:, :10], 60)
    assert lost.failed.all() and np.isnan(lost.state[:, -1]).all()
    errors = landing_errors(model, grid)
    assert np.isinf(errors).all()  # this one blew up into the sky


# flights

def test_flights_and_their_errors(grid):
    again, other = random_flights(5, seed=4), random_flights(5, seed=5)
    assert np.array_equal(again.state, random_flights(5, seed=4).state)
    assert not np.array_equal(again.state[:, 1], other.state[:, 1])
    assert grid.dt == 0.25 and np.isfinite(landing_point(grid)).all()
    near = landing_point(random_flights(5, 4, Projectile(drag=0.01)))
    assert (near < landing_point(again)).all()
    with pytest.raises(ValueError, match="n must be a whole number from 1"):
        random_flights(0)
    cut = replace(grid, t=grid.t[:20], state=grid.state[:, :20])
    with pytest.raises(ValueError, match="flights must land"):
        landing_errors(LinearStep().fit(grid), cut)


def test_landing_error_of_a_known_model(grid):
    "A model that is right has none; one that is 1 % too long has 1 %."
    class Replay(LinearStep):
        def _roll(self, start, n_steps):
            rest = self.factor * grid.state[:, 10:]
            hold = np.repeat(rest[:, -1:], n_steps - rest.shape[1], 1)
            return np.concatenate([rest, hold], 1)
    model = Replay().fit(grid)
    for model.factor, error in ((1.0, 0.0), (1.01, 1.0)):
        np.testing.assert_allclose(landing_errors(model, grid), error, atol=1e-9)
    model._roll = lambda start, n: np.full((len(start), n, 2), 1.0)  # never lands
    assert np.isinf(landing_errors(model, grid)).all()


# recurrent networks

@pytest.mark.parametrize("question", QUESTIONS)
def test_windows_hold_the_answers(question):
    "Each answer and the window before it give the next state again."
    rng = np.random.default_rng(1)
    paths = [rng.normal(size=(3, 14, 2)), rng.normal(size=(1, 11, 2))]
    windows, answers = recurrent_windows(paths, ("x", "y"), 10, question, "raw")
    assert len(windows) == len(answers) == 3 * 4 + 1
    assert windows.shape[1] == (10 if question == "point" else 9)
    state, index = paths[0][1], 4 + 2  # the third window of the second path
    before, move = state[11], state[11] - state[10]
    back = {"point": 0, "difference": before, "second_difference": before + move}
    np.testing.assert_allclose(answers[index] + back[question], state[12])
    last = before if question == "point" else move
    np.testing.assert_allclose(windows[index, -1], last)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("window", [2, 10])
def test_first_step_is_the_network(question, window, flights):
    "A rollout step is what training sees: the whole window, from silence."
    model = RecurrentSurrogate(predict=question, window=window, **QUICK).fit(flights)
    windows, answers = recurrent_windows([flights.state], ("x", "y"), window, question,
                                         "raw")
    net, known = model.network(), model.learned_
    with torch.no_grad():
        said = net(torch.tensor((windows[:1] - known["in_mean"]) / known["in_size"]))
    said = said.numpy() * known["out_size"] + known["out_mean"]
    found = model.rollout(flights.state[:1, :window], 1).state[0, 1]
    true = flights.state[0, window]
    np.testing.assert_allclose(found - true, (said - answers[:1])[0], atol=1e-8)
    assert all(p.dtype == torch.float64 for p in net.parameters())


def test_angles_are_read_by_sine_and_cosine(pendulums):
    "A full turn of the whole pendulum changes what is said by a full turn."
    model = RecurrentSurrogate(predict="difference", angles="sin_cos", **QUICK)
    model.fit(pendulums)
    assert model.learned_["in_mean"].shape == (4 + 6,)
    turn = np.array([2 * np.pi, -4 * np.pi, 0, 0])
    start = pendulums.state[:3, :10]
    plain, turned = (model.rollout(s, 20).state for s in (start, start + turn))
    np.testing.assert_allclose(turned, plain + turn, atol=1e-9)
    assert model.rollout(start, 20).energy.shape == (3, 21)
    raw = RecurrentSurrogate(predict="difference", **QUICK).fit(pendulums)
    assert raw.learned_["in_mean"].shape == (4,)


def test_standing_component_is_no_division_by_zero(flights):
    still = replace(flights, state=flights.state * [1.0, 0.0] + [0.0, 3.0])
    model = RecurrentSurrogate(**QUICK).fit(still)
    rolled = model.rollout(still.state[:, :10], 5)
    assert np.isfinite(rolled.state).all() and not rolled.failed.any()


def test_training_learns_and_leaves_random_numbers_alone(flights):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = RecurrentSurrogate(steps=200).fit(flights)
    assert torch.equal(torch.rand(3), expected)
    assert len(model.losses_) == 200
    assert np.mean(model.losses_[-20:]) < 0.05 * np.mean(model.losses_[:5])


def test_stopped_by_hand_keeps_what_is_learned(flights, grid, monkeypatch):
    "As far as it came, it is the run that was not stopped."
    whole = RecurrentSurrogate(**QUICK).fit(flights)
    clip, calls = torch.nn.utils.clip_grad_norm_, []

    def stop(*given):
        calls.append(1)
        if len(calls) == 31:
            raise KeyboardInterrupt
        return clip(*given)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", stop)
    try:
        model = RecurrentSurrogate(**QUICK).fit(flights)
    except KeyboardInterrupt:
        pytest.fail("what was learned is lost")
    assert model.losses_ == whole.losses_[:30]
    assert np.isfinite(model.rollout(grid.state[:, :10], 5).state).all()


def test_progress_is_shown_only_if_asked(flights, monkeypatch):
    shown = []
    monkeypatch.setattr(recurrent, "tqdm",
                        lambda steps, disable: shown.append(disable) or steps)
    model = RecurrentSurrogate(**QUICK | {"steps": 2})
    model.fit(flights)
    model.fit(flights, progress=True)
    assert shown == [True, False]


def test_essay_recipe():
    model, one = essay_surrogate(steps=300, seed=2), projectile(30.0, 500.0)
    assert (model.window, model.predict, model.angles, model.seed) == (
        10, "point", "raw", 2)
    model.fit(one.select("x", "y"))
    assert landing_errors(model, one.select("x", "y"))[0] < 2
    far = projectile([60.0], [500.0]).select("x", "y")
    assert landing_errors(model, far)[0] > 5


def test_network_is_an_lstm():
    "The answer is a linear map of the last output of torch's own cells."
    net = RecurrentNet(3, 5, 2)
    windows = torch.rand(4, 7, 3)
    hidden = torch.zeros(4, 5), torch.zeros(4, 5)
    cell = torch.nn.LSTMCell(3, 5)
    cell.load_state_dict({k.removesuffix("_l0"): v
                          for k, v in net.cells.state_dict().items()})
    for k in range(7):
        hidden = cell(windows[:, k], hidden)
    assert torch.allclose(net(windows), net.answer(hidden[0]), atol=1e-6)


@pytest.mark.parametrize("wrong, message", [
    ({"predict": "speed"}, "predict must be one of point, difference"),
    ({"angles": "degrees"}, "angles must be 'raw' or 'sin_cos'"),
    ({"predict": "point", "angles": "sin_cos"}, "angles must be 'raw' for"),
    ({"window": 1}, "window must be a whole number from 2"),
    ({"width": 0}, "width must be"), ({"steps": 1}, "steps must be"),
    ({"batch_size": 0}, "batch_size must be"), ({"lr": 0.0}, "lr must be a finite"),
])
def test_recurrent_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        RecurrentSurrogate(**wrong)


def test_network_before_fit():
    with pytest.raises(ValueError, match="call fit"):
        RecurrentSurrogate().network()


def test_second_differences_reach_the_grid(grid):
    "The lesson of the notebook, with a short training: no flight is lost."
    errors = landing_errors(RecurrentSurrogate(steps=700, seed=1).fit(
        random_flights(64, seed=7)), grid)
    assert np.median(errors) < 0.5 and errors.max() < 3


# reservoirs

def test_ridge_is_least_squares_with_a_price():
    "Against NumPy with added rows; scales of features don't matter."
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 4)) * [1, 10, 1e3, 1e-3], rng.normal(size=(50, 2))
    size = np.sqrt((x**2).sum(0))
    rows = np.vstack([x / size, np.sqrt(0.3) * np.eye(4)])
    expected = np.linalg.lstsq(rows, np.vstack([y, np.zeros((4, 2))]), rcond=None)[0]
    found = ridge_solve(x.T @ x, x.T @ y, 0.3)
    np.testing.assert_allclose(found, expected / size[:, None], rtol=1e-8)
    x[:, 2] = 0
    assert np.isfinite(ridge_solve(x.T @ x, x.T @ y, 1e-6)).all()
    with pytest.raises(ValueError, match="ridge must be a finite number above 0"):
        ridge_solve(x.T @ x, x.T @ y, 0.0)


def test_polynomials_count_and_values():
    from math import comb
    values = np.random.default_rng(3).normal(size=(5, 3))
    for degree in (1, 2, 4):
        assert polynomials(values, degree).shape == (5, comb(3 + degree, degree))
    assert np.allclose(polynomials(values, 2)[:, -1], values[:, 2] ** 2)


def test_polynomial_law_is_found_exactly():
    "A law that is a polynomial of the last difference, quadratic, to rounding."
    rng = np.random.default_rng(4)
    moves = [rng.uniform(-1, 1, (20, 2))]
    for _ in range(40):
        d = moves[-1]
        change = np.c_[-d[:, 0] * d[:, 1], d[:, 0] ** 2 - d[:, 1]]
        moves.append(d + 0.1 * change)
    state = np.cumsum(np.stack(moves, 1), 1)
    law = Trajectory(0.1 * np.arange(41), state, ("x", "y"))
    model = NextGeneration(lags=1, degree=2, ridge=1e-13, warm_up=3).fit(law)
    rolled = model.rollout(state[:, :3], 38).state
    np.testing.assert_allclose(rolled, state[:, 2:], atol=1e-6)


def test_drag_terms_are_found_exactly():
    "Equation (4) itself, with known coefficients."
    model, moves = DragFit(warm_up=2), [np.random.default_rng(5).uniform(1, 9, (9, 2))]
    size = np.array([0.1, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])[:, None]
    true = -size * np.random.default_rng(6).uniform(0.1, 1, (7, 2))
    for _ in range(30):
        d, v = moves[-1], np.hypot(*moves[-1].T)[:, None]
        moves.append(d + np.hstack([v**0, d, v * d, v * v * d]) @ true)
    state = np.cumsum(np.stack(moves, 1), 1)
    model.fit(Trajectory(0.25 * np.arange(31), state, ("x", "y")))
    np.testing.assert_allclose(model.learned_["weights"], true, atol=1e-7)
    with pytest.raises(ValueError, match="select"):
        DragFit().fit(projectile(30.0, 500.0))


def test_echo_fades_and_wires_are_sparse(flights):
    model = EchoState(n_units=200, radius=0.7).fit(flights)
    inner = model.learned_["inner"]
    assert np.isclose(np.abs(np.linalg.eigvals(inner)).max(), 0.7)
    assert 0.03 < (inner != 0).mean() < 0.07
    heard = np.diff(flights.state[:3], axis=1)
    memory = model._listen(heard[:, :4])
    far = memory[0] + 5.0, memory[1]
    start = np.linalg.norm(far[0] - memory[0])
    for k in range(4, 60):
        memory, far = model._hear(memory, heard[:, k]), model._hear(far, heard[:, k])
    assert np.linalg.norm(memory[0] - far[0]) < 1e-3 * start


def test_states_as_input_know_no_full_turns(pendulums):
    for model in (NextGeneration(degree=2, inputs="states"),
                  EchoState(n_units=80, inputs="states")):
        model.fit(pendulums)
        turn = np.array([2 * np.pi, 2 * np.pi, 0, 0])
        start = pendulums.state[:3, :10]
        plain, turned = (model.rollout(s, 10).state for s in (start, start + turn))
        np.testing.assert_allclose(turned, plain + turn, atol=1e-6)
        assert np.abs(plain - pendulums.state[:3, 9:20]).max() < 0.5


def test_encoding_names():
    state = np.arange(8.0).reshape(2, 4)
    names = ("theta1", "theta2", "omega1", "omega2")
    found = encode_angles(state, names)
    np.testing.assert_allclose(found[:, :2], np.c_[np.sin([0, 4]), np.cos([0, 4])])
    np.testing.assert_array_equal(found[:, 4:], state[:, 2:])
    np.testing.assert_array_equal(encode_angles(state, ()), state)


@pytest.mark.parametrize("make, message", [
    (lambda: NextGeneration(lags=0), "(lags|degree) must be a whole number from 1"),
    (lambda: NextGeneration(degree=0), "(lags|degree) must be a whole number from 1"),
    (lambda: NextGeneration(lags=4, warm_up=4), "warm_up must be a whole .* from 5"),
    (lambda: NextGeneration(inputs="speeds"), "inputs must be 'differences'"),
    (lambda: EchoState(radius=1.0), "radius must be from 0 to below 1"),
    (lambda: EchoState(n_units=0), "n_units must be a whole number from 1"),
    (lambda: EchoState(leak=0.0), "leak must be a finite number above 0"),
    (lambda: EchoState(warm_up=1), "warm_up must be a whole number from 2"),
    (lambda: DragFit(warm_up=1), "warm_up must be a whole number from 2"),
])
def test_reservoir_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_reservoirs_reach_the_target(grid):
    "0.1 % in the median and 0.5 % at worst, with flights of another seed."
    flights = random_flights(64, seed=8)
    for model in (NextGeneration(), EchoState(seed=4)):
        errors = landing_errors(model.fit(flights), grid)
        assert np.median(errors) <= 0.1 and errors.max() <= 0.5


def test_training_data_that_make_no_sense():
    flights = random_flights(3)
    for wrong in (None, 3, "abc", flights.state, [flights, None]):
        with pytest.raises(ValueError, match="a Trajectory or a list of them"):
            LinearStep().fit(wrong)
    for t in (-flights.t, flights.t * 0, flights.t ** 2):
        with pytest.raises(ValueError, match="equal steps of time above 0"):
            LinearStep().fit(Trajectory(t, flights.state, flights.names))


def test_starts_of_another_kind_or_step():
    flights = random_flights(4)
    model = NextGeneration().fit(flights)
    other = Trajectory(2 * flights.t, flights.state, flights.names)
    with pytest.raises(ValueError, match="steps of 0.25 s, .*got 0.5 s"):
        model.rollout(other, 3)
    with pytest.raises(ValueError, match="must have x, y .got a, b.: use select"):
        model.rollout(Trajectory(flights.t, flights.state, ("a", "b")), 3)
    for wrong in ("a", None, np.nan, np.inf, [3], True, 2.5):
        with pytest.raises(ValueError, match="n_steps must be"):
            model.rollout(flights, wrong)
    with pytest.raises(ValueError, match="last 1000 states"):
        landing_errors(model, flights, given=1000)


def test_a_model_before_fit_says_so():
    with pytest.raises(AttributeError, match="dt_.*call fit"):
        LinearStep().dt_  # noqa: B018


def test_files_that_are_not_whole(tmp_path):
    path = tmp_path / "model.npz"
    model = LinearStep().fit(random_flights(3))
    model.learned_ = {"map": model.learned_["map"] * np.nan}
    save_surrogate(path, model)
    with pytest.raises(ValueError, match="fit again"):
        load_surrogate(path, LinearStep)
    np.savez(path, about=np.array("{}"))
    with pytest.raises(ValueError, match="fit again"):
        load_surrogate(path, LinearStep)


@pytest.mark.parametrize("kind, setting, wrong", [
    (NextGeneration, "lags", 1.5), (NextGeneration, "degree", "4"),
    (NextGeneration, "ridge", np.nan), (NextGeneration, "warm_up", 2),
    (EchoState, "n_units", 10.5), (EchoState, "scale", np.inf), (EchoState, "seed", -1),
    (EchoState, "leak", 1.5), (EchoState, "radius", None), (EchoState, "ridge", True),
    (RecurrentSurrogate, "lr", np.inf), (RecurrentSurrogate, "steps", 2.5),
    (RecurrentSurrogate, "seed", "a"), (RecurrentSurrogate, "window", 1),
    (ResidualNetwork, "steps", 1), (ResidualNetwork, "width", 3.5),
    (LagrangianNetwork, "lr", -1), (MechanicsRidge, "order", 2.5),
    (MechanicsRidge, "samples", 0.5)])
def test_settings_are_checked_by_name(kind, setting, wrong):
    "A setting that can't be is refused when the model is made, with name and value."
    with pytest.raises(ValueError, match=setting) as refused:
        kind(**{setting: wrong})
    assert repr(wrong) in str(refused.value)


def test_too_many_products():
    "Polynomials of thousands of terms are refused before they are computed."
    with pytest.raises(ValueError, match="fewer lags"):
        NextGeneration(lags=5, degree=20).fit(random_flights(2))


def test_flight_that_stands_still():
    "A drag law can be fitted to points that never move."
    still = Trajectory(0.25 * np.arange(20), np.zeros((1, 20, 2)), ("x", "y"))
    found = DragFit().fit(still).rollout(still.state[:, :10], 5)
    np.testing.assert_allclose(found.state, 0, atol=1e-12)


def test_landing_limit_is_each_flights_own():
    "Whether a flight counts as landed does not depend on the others of its batch."
    low = projectile(20, 300).select("x", "y")
    both = projectile([20, 70], [300, 700]).select("x", "y")
    late = 2 * len(low.t)

    class Late(LinearStep):
        "Stands at the height of one metre for a long time, then falls."
        def _roll(self, start, n_steps):
            height = np.where(np.arange(1, n_steps + 1) < late, 1.0, -1.0)
            path = np.stack([np.full(n_steps, 100.0), height], -1)
            return np.broadcast_to(path, (len(start), n_steps, 2))
    model = Late().fit(both)
    assert 1.5 * len(both.t) > late
    assert np.isinf(landing_errors(model, low)[0])
    assert np.isinf(landing_errors(model, both)).tolist() == [True, False]


def test_load_with_unknown_settings(tmp_path):
    "A file whose settings the class does not know says so."
    file, model = tmp_path / "model.npz", NextGeneration().fit(random_flights(2))
    save_surrogate(file, model)
    with np.load(file) as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"]))
    about["settings"]["colour"] = "red"
    np.savez(file, **arrays | {"about": np.array(json.dumps(about))})
    with pytest.raises(ValueError, match="colour"):
        load_surrogate(file, NextGeneration)


def test_too_many_steps_are_refused_at_once(fitted, grid):
    for n_steps in (10**9, 10**30):
        with pytest.raises(ValueError, match="GiB of at most 2: take fewer steps"):
            fitted["drag"].rollout(grid.state[:1, :10], n_steps)


@pytest.mark.parametrize("given", [-1, 0, None, 2.5])
def test_given_states_are_a_whole_number(fitted, grid, given):
    with pytest.raises(ValueError, match="given must be a whole number from 1"):
        landing_errors(fitted["drag"], grid, given)
    with pytest.raises(ValueError, match="warm_up must be a whole number from 1"):
        start_states(grid.state, 2, given)


@pytest.mark.parametrize("system", [[], 0, "", False])
def test_only_none_is_the_usual_system(system):
    for call in (lambda: flight_grid(system), lambda: random_flights(2, 0, system)):
        with pytest.raises(ValueError, match="system must be a Projectile"):
            call()


def test_flights_of_one_step_have_no_landing_error(fitted):
    with pytest.raises(ValueError, match="with a smaller dt"):
        landing_errors(fitted["drag"], projectile(0.1, 300).select("x", "y"))


@pytest.mark.parametrize("name", ["linear", *MODELS])
@pytest.mark.parametrize("size", [1e200, 1e308])
def test_data_that_overflow(name, size, flights):
    "Nothing that is nan is kept as learned."
    huge = replace(flights, state=np.clip(
        flights.state / np.abs(flights.state).max(), -1, 1) * size)
    model = ({"linear": LinearStep} | MODELS)[name]()
    try:
        model.fit(huge)
    except ValueError as refused:
        assert "too large or too small" in str(refused)
        with pytest.raises(ValueError, match="call fit"):
            model.rollout(flights.state[:, :10], 3)
    else:
        assert all(np.isfinite(a).all() for a in model.learned_.values())


def test_what_is_learned_is_finite(flights):
    class Lost(LinearStep):
        def _fit(self, paths, progress):
            self.learned_ = {"map": np.array([[1.0, np.nan]])}
    with pytest.raises(ValueError, match="scale them"):
        Lost().fit(flights)
