"""Flights: what the essay's network is told, errors that count the lost, the claims."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
from litlab.core.claims import Run, as_result, verdict  # noqa: E402
from litlab.dynamics import flights, landings  # noqa: E402
from litlab.dynamics.flights import (  # noqa: E402
    LOST, SHOTS, OwnScale, drawn_again, error_summary, essay_network, flight_shares,
    grid_shots, mean_median, over_seeds, path_errors, training_flights)
from litlab.dynamics.landings import (  # noqa: E402
    BEST, FLIGHT_MODELS, fresh_grid, plot_error_map, taught)
from litlab.dynamics.reservoirs import (  # noqa: E402
    DragFit, flight_grid, landing_errors)
from litlab.dynamics.systems import Projectile, landing_point, projectile  # noqa: E402
from litlab.dynamics.trajectories import Trajectory  # noqa: E402


def a_run(seed=0, seconds=0.01, n_seeds=1):
    profile = SimpleNamespace(dynamics_seconds=seconds, dynamics_n_seeds=n_seeds)
    return Run(seed, profile)


class Oracle:
    "Goes on as the true flights do, moved by some metres at each step."
    def __init__(self, flights, moved=0.0, until=None):
        self.flights, self.moved, self.until = flights, moved, until

    def rollout(self, initial, n_steps):
        at = initial.shape[1] - 1
        state = self.flights.state[:, at:at + n_steps + 1] + 0.0
        state[:, 1:] += self.moved
        if self.until is not None:
            state[:, self.until:] = np.nan
        t = self.flights.t[:state.shape[1]]
        return Trajectory(t, state, ("x", "y"), ("m", "m"))


@pytest.fixture(scope="module")
def unseen():
    "Flights that are in no grid, of other lengths, in metres and seconds."
    angle, speed = np.array([33.0, 58, 12, 81]), np.array([410.0, 333, 620, 555])
    return projectile(angle, speed).select("x", "y")


# shots

def test_grid_shots_are_those_of_the_grid():
    shot = projectile(*grid_shots()).select("x", "y")
    np.testing.assert_array_equal(shot.state, flight_grid().state)


@pytest.mark.parametrize("seed", range(4))
def test_fresh_shots_are_near_in_range_and_others(seed):
    "All are moved, by no more than is said, and those at the border stay in range."
    angle, speed = grid_shots()
    new_angle, new_speed = grid_shots(seed)
    assert np.abs(new_angle - angle).max() <= 5
    assert np.abs(new_speed - speed).max() <= 50
    assert new_angle.min() == 20 and new_angle.max() == 70
    assert new_speed.min() == 300 and new_speed.max() == 700
    same = (new_angle == angle) & (new_speed == speed)
    assert same.sum() <= 4  # corners alone can stay where they are
    np.testing.assert_array_equal(grid_shots(seed), (new_angle, new_speed))
    assert not np.array_equal(grid_shots(seed + 1)[0], new_angle)


def test_training_flights():
    own, four = (np.transpose(SHOTS[n]).tolist() for n in (1, 4))
    assert own == [[30, 500]]
    assert four == [[a, v] for a in (30, 60) for v in (400, 600)]
    for n, (angle, speed) in SHOTS.items():
        path = training_flights(n, seed=5)
        np.testing.assert_array_equal(
            path.state, projectile(angle, speed).select("x", "y").state)
    assert len(training_flights(7, seed=1)) == 7
    assert not np.array_equal(training_flights(7, seed=1).state[0, 5],
                              training_flights(7, seed=2).state[0, 5])
    with pytest.raises(ValueError, match="whole number from 1"):
        training_flights(0)


# the flight's own time and scale

@pytest.mark.parametrize("n", (50, 110))
def test_shares_begin_and_end_together(n):
    angle, speed = np.array([15.0, 40, 75]), np.array([350.0, 610, 480])
    shares = flight_shares(angle, speed, n)
    full = projectile(angle, speed, dt=0.0125).select("x", "y")
    assert shares.state.shape == (3, n, 2) and shares.t[-1] == 1.02
    np.testing.assert_array_equal(shares.state[:, 0], 0)
    last = shares.t <= 1
    assert (shares.state[:, last, 1] >= -0.01).all()
    assert (np.diff(shares.state[:, ~last, 1]) < 0).all()  # and on below the ground
    assert (shares.state[:, -1, 1] < -1).all()
    np.testing.assert_allclose(landing_point(shares), landing_point(full), rtol=2e-3)
    for path, own in zip(shares.state, full.state):  # on the true curve
        np.testing.assert_allclose(path[last, 1], np.interp(path[last, 0], *own.T),
                                   atol=0.5)


def test_shares_without_air_are_one_curve():
    "In a vacuum the scaled flights are the same parabola, whatever the shot."
    empty = Projectile(drag=0.0)
    shares = flight_shares([20.0, 45, 70], [300.0, 500, 700], 60, empty)
    scaled = OwnScale(None, shares).scaled().state
    np.testing.assert_allclose(scaled[1:], scaled[[0, 0]], atol=5e-3)


def test_own_scale_goes_there_and_back(unseen):
    oracle = OwnScale(None, unseen)
    scaled = oracle.scaled()
    np.testing.assert_allclose(scaled.state.min(1), -1)
    np.testing.assert_allclose(scaled.state.max(1), 1)
    aided = OwnScale(Oracle(scaled), unseen)
    found = aided.rollout(unseen.state[:, :10], 30)
    np.testing.assert_allclose(found.state, unseen.state[:, 9:40], atol=1e-9)
    assert found.units == ("m", "m")


def test_scale_is_what_lands_the_flights(unseen):
    """A network that has seen one flight lands others if it is told their extremes,
    and otherwise flies its own."""
    angle, speed = np.array([33.0, 58, 22]), np.array([410.0, 333, 620])
    shares = flight_shares(angle, speed)
    told = OwnScale(essay_network(1, True, 0.1), shares)
    assert landing_errors(told, shares).max() < 0.5
    assert 0.5 < np.median(path_errors(told, shares)) < 10
    metres = projectile(angle, speed).select("x", "y")
    untold = essay_network(1, False, 0.1)
    assert np.median(landing_errors(untold, metres)) > 5
    own = landing_point(training_flights(1))[0]
    rolled = untold.rollout(metres.state[:, :10], 100)
    np.testing.assert_allclose(landing_point(rolled), own, rtol=0.01)
    wrong = replace(shares, state=shares.state * [2.0, 1.0])  # told another distance
    doubled = OwnScale(told.model, wrong).rollout(wrong.state[:, :10], 130)
    np.testing.assert_allclose(landing_point(doubled), 2 * landing_point(shares),
                               rtol=0.01)


def test_networks_are_kept_and_follow_their_settings():
    one = essay_network(1, True, 0.01, 3)
    assert essay_network(1, True, 0.01, 3) is one and one.steps == 60
    assert len(one.losses_) == 60 and one.seed == 3
    assert essay_network(4, True, 0.01, 3) is not one
    assert essay_network(1, True, 1e-9, 3).steps == 2


# errors

def test_path_errors_are_the_largest_distance(unseen):
    length = landing_point(unseen)
    np.testing.assert_allclose(path_errors(Oracle(unseen), unseen), 0)
    found = path_errors(Oracle(unseen, np.array([3.0, 4.0])), unseen)
    np.testing.assert_allclose(found, 100 * 5 / length)


def test_path_errors_end_with_the_flight(unseen):
    "What a model does below the ground counts for nothing; being lost before does."
    steps = (unseen.state[..., 1] >= 0).sum(1)  # moments in the air
    shortest = int(steps.argmin())
    model = Oracle(unseen, until=int(steps[shortest]) - 9)
    found = path_errors(model, unseen)
    assert found[shortest] == 0 and np.isinf(np.delete(found, shortest)).all()


def test_path_errors_refuse(unseen):
    with pytest.raises(ValueError, match="must land"):
        path_errors(Oracle(unseen), replace(unseen, t=unseen.t[:20],
                                            state=unseen.state[:, :20]))
    with pytest.raises(ValueError, match="give fewer"):
        path_errors(Oracle(unseen), unseen, given=40)


def test_the_lost_count_in_all_three():
    assert error_summary(np.array([1.0, 2.0, 3.0])) == {
        "median": 2.0, "worst": 3.0, "lost": 0.0}
    some = error_summary(np.array([1.0, np.nan, 3.0, 2.0]))
    assert some == {"median": 2.5, "worst": np.inf, "lost": 25.0}
    assert error_summary(np.array([np.nan, np.inf, 0.0]))["median"] == np.inf


def test_seeds_of_a_claim():
    "A model for each seed, from the run's on; a lost flight has a finite number."
    asked = []
    def errors(seconds, seed):
        asked.append((seconds, seed))
        return np.array([0.1, np.inf, np.nan, 5000.0])
    found = over_seeds(a_run(seed=4, n_seeds=2), errors, draws=3)
    assert asked == [(0.01, seed) for seed in range(4, 10)]
    assert found.tolist() == [[0.1, LOST, LOST, LOST]] * 6


def test_drawn_again():
    "Nothing to draw, no spread; seeds add to it; a ratio of equals has none."
    rng = np.random.default_rng(3)
    flights = rng.normal(size=(1, 400))
    alone = drawn_again(mean_median, flights)
    assert 0.045 < alone < 0.085  # sqrt(pi / 2) / 20
    seeds = np.repeat([[-1.0], [1.0], [0.0]], 400, axis=1) + flights
    assert drawn_again(mean_median, seeds) > 4 * alone
    def ratio(a, b):
        return mean_median(b) / mean_median(a)
    assert drawn_again(ratio, flights + 9, 2 * flights + 18) < 1e-12
    assert drawn_again(mean_median, flights[:, :1]) is None
    assert alone == drawn_again(mean_median, flights)


# claims

@pytest.fixture
def as_if(monkeypatch):
    "Let the essay's networks be oracles that are off by some metres."
    def set_to(metres):
        def network(n, own_scale=True, seconds=0.25, seed=0):
            return SimpleNamespace(metres=metres[n, own_scale])
        def off(model, flights, given=10):
            model = getattr(model, "model", model)
            return np.full(len(flights), float(model.metres))
        monkeypatch.setattr(flights, "essay_network", network)
        monkeypatch.setattr(flights, "landing_errors", off)
        monkeypatch.setattr(flights, "path_errors", off)
        monkeypatch.setattr(flights.told_errors, "__defaults__", (1, off, None))
    return set_to


@pytest.mark.parametrize("claim, good, bad", [
    ("essay_own_flight", {(1, True): 0.4}, {(1, True): 0.6}),
    ("essay_other_flights", {(1, True): 4.9}, {(1, True): 5.1}),
    ("essay_low_flight", {(1, True): 0.4}, {(1, True): 0.6}),
    ("four_paths", {(1, True): 4.0, (4, True): 3.0}, {(1, True): 4.0, (4, True): 4.4}),
    ("essay_untold", {(1, False): 4.9}, {(1, False): 5.1}),
])
def test_claims_can_fail(claim, good, bad, as_if):
    measure = getattr(flights, claim)
    for metres, holds in ((good, True), (bad, False)):
        as_if(metres)
        result = as_result(measure(a_run()))
        assert (verdict(measure.claim, result.value, result.spread)[0]
                == "reproduced") == holds


def test_lost_flights_refute(as_if):
    "Flights that never land give a number, and a miss."
    as_if({(1, False): np.inf})
    result = as_result(flights.essay_untold(a_run()))
    assert result.value == LOST
    word, _ = verdict(flights.essay_untold.claim, result.value, result.spread)
    assert word == "refuted"


@pytest.mark.parametrize("on", (0, 1))
def test_grid_claims_take_the_worse_grid_and_draw(on, monkeypatch):
    errors = np.full((2, 3, 30), 0.01)
    errors[on, 2] = 0.4
    errors[on, 1, 7] = 0.45
    monkeypatch.setattr(landings, "best_errors", lambda run: errors)
    median, worst = landings.grid_median(a_run()), landings.grid_worst(a_run())
    assert median.value == pytest.approx((0.01 + 0.01 + 0.4) / 3)
    assert worst.value == 0.45 and "0 lost" in worst.note
    errors[on, 0, 3] = LOST
    lost = landings.grid_worst(a_run())
    assert lost.value == LOST and "1 lost" in lost.note
    assert not landings.grid_worst.claim.rule.holds(lost.value)


def test_best_errors_learn_anew_from_other_flights():
    "Two grids, three draws for each seed, none of them like another."
    errors = landings.best_errors(a_run(seed=11))
    assert errors.shape == (2, 3, 30) and errors.max() < 0.5
    flat = errors.reshape(6, 30)
    assert len(np.unique(flat.round(12), axis=0)) == 6
    again = landing_errors(FLIGHT_MODELS[BEST](2, 12).fit(training_flights(64, 12)),
                           fresh_grid(11))
    np.testing.assert_allclose(errors[1, 1], again)


# models and map

def test_told_errors_are_of_the_profile_or_the_share(monkeypatch):
    asked = []
    def network(n, own_scale, seconds, seed):
        asked.append((n, own_scale, seconds, seed))
    monkeypatch.setattr(flights, "essay_network", network)
    def kind(model, flights):
        return np.zeros(len(flights))
    for share in (None, 0.7):
        flights.told_errors(a_run(seed=2), SHOTS[4], 4, kind, share)
    assert asked == [(4, True, 0.01, 2), (4, True, 0.7, 2)]


def test_four_paths_are_trained_to_the_end(monkeypatch):
    "However short the profile; and the same seeds for one flight and for four."
    asked = []
    def told(run, shots, n, share):
        asked.append((n, share))
        return np.full((1, 30), {0.25: 2.0, 1.0: 8.0}[share] / n)
    monkeypatch.setattr(flights, "told_errors", told)
    result = flights.four_paths(a_run())
    assert sorted(asked) == [(1, 0.25), (1, 1.0), (4, 0.25), (4, 1.0)]
    assert result.value == 0.25 and "from 2.0 to 0.5 %" in result.note


def test_taught():
    model = taught("drag terms given", 4)
    assert isinstance(model, DragFit) and taught("drag terms given", 4) is model
    assert taught("LSTM: difference", 1, 0.001, 5).steps == 6
    assert taught("LSTM: difference", 1, 0.001, 5).seed == 5
    assert taught("LSTM: difference", 1, 0.001, 5).predict == "difference"
    assert taught("essay: next point", 1, 0.001, 0).predict == "point"
    with pytest.raises(ValueError, match="echo states"):
        taught("an oracle", 4)


def test_question_decides(unseen):
    "On flights of no grid, with few flights and steps: differences beat places."
    shots = projectile([33.0, 47, 58], [410.0, 555, 333]).select("x", "y")
    names = ("essay: next point", "LSTM: second difference", BEST)
    place, move, best = (np.median(landing_errors(taught(name, 64, 0.08), shots))
                         for name in names)
    assert best < move < 0.2 * place


def test_map_shows_each_flight_in_its_place():
    errors = np.full(30, 0.01)
    errors[3], errors[29] = 50.0, np.inf  # 20 degrees, 600 m/s; 70 degrees, 700 m/s
    ax = plot_error_map(errors)
    shown = np.asarray(ax.images[0].get_array())
    assert shown.shape == (6, 5) and shown[0, 3] == 50 and shown[5, 4] == 100
    assert shown[2, 2] == 0.01 and ax.images[0].origin == "lower"
    assert ax.collections[0].get_offsets().tolist() == [[4.0, 5.0]]
    with pytest.raises(ValueError, match="30"):
        plot_error_map(errors[:20])


# what can't be is refused by name

@pytest.mark.parametrize("given", [-1, 0, None, 2.5])
def test_given_states_are_a_whole_number(given, unseen):
    with pytest.raises(ValueError, match="given must be a whole number from 1"):
        path_errors(Oracle(unseen), unseen, given)


@pytest.mark.parametrize("share", [0, -1, np.nan])
def test_shares_are_above_zero(share):
    for call in (lambda: flights.told_errors(a_run(), SHOTS[1], share=share),
                 lambda: essay_network(1, True, share), lambda: taught(BEST, 1, share)):
        with pytest.raises(ValueError, match="seconds must be a finite number above 0"):
            call()


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_seeds_are_whole_numbers_from_zero(seed):
    for call in (grid_shots, fresh_grid):
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            call(seed)
    with pytest.raises(ValueError, match="seed must be"):
        fresh_grid(None)


def test_flights_too_short_for_shares():
    with pytest.raises(ValueError, match="at least 0.05 s"):
        flight_shares(0.01, 100)
    with pytest.raises(ValueError, match="system must be a Projectile"):
        flight_shares(30, 500, system=[])
