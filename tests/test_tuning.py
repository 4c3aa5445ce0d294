"Trials, successive halving against Ray's scheduler, and one real search with Tune."

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if not all(map(find_spec, ("ray", "torch", "sklearn"))):
    pytest.skip("needs pip install 'litlab[parallel,knots,torch]'",
                allow_module_level=True)

import torch  # noqa: E402

from litlab.core.data import load_table  # noqa: E402
from litlab.parallel import halving, trials, tuning  # noqa: E402
from litlab.parallel.halving import Halving, Search  # noqa: E402

CONFIG = {"l1": 8, "l2": 8, "lr": 0.03, "batch_size": 8}


@pytest.fixture(scope="module")
def flowers():
    return trials.iris_problem()


def report(loss):
    return {"loss": loss, "accuracy": 0.5}


# the rule

scores = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6),
                   st.just(-trials.LOST))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.integers(1, 4), st.integers(0, 60), st.integers(2, 5),
       st.lists(st.tuples(st.integers(0, 7), st.integers(1, 9), scores), max_size=80))
def test_rule_is_ray_s(grace, more, eta, steps):
    "Trials in any order, epochs that are left out too: each decision is the same."
    at, reports = {}, []
    for trial, step, score in steps:
        at[trial] = at.get(trial, 0) + (step if step > 6 else 1)
        reports.append((trial, at[trial], score))
    rule = Halving(grace, grace + more, eta)
    mine = [rule.goes_on(*r) for r in reports]
    assert mine == halving.ray_decisions(reports, Halving(grace, grace + more, eta))


def test_rungs():
    "Powers of eta times the grace, below the last epoch; by whole numbers only."
    assert list(Halving(1, 16, 2).seen) == [1, 2, 4, 8]
    assert list(Halving(1, 17, 2).seen) == [1, 2, 4, 8, 16]
    assert list(Halving(2, 54, 3).seen) == [2, 6, 18]
    assert list(Halving(1, 1000, 10).seen) == [1, 10, 100]
    assert list(Halving(3, 3, 2).seen) == []
    assert halving.least_epochs(Halving(3, 3, 2)) == 3
    assert halving.least_epochs(Halving(2, 20, 3)) == 2 + 4 / 3 + 12 / 9 + 2 / 27


def test_rule_by_hand():
    "For eta 3 the bar is the quantile at two thirds; ties go on."
    rule = Halving(1, 9, 3)
    for trial, score, goes_on in (("a", 1.0, True), ("b", 1.0, True), ("c", 0.9, False),
                                  ("d", 4.0, True), ("e", 0.99, False),
                                  ("f", 1.0, True), ("g", 1.0, True)):
        assert rule.goes_on(trial, 1, score) is goes_on, trial


@pytest.mark.parametrize("bad, name", [
    ({"grace": 0}, "grace"), ({"grace": 5, "max_t": 4}, "max_t"), ({"eta": 1}, "eta"),
    ({"eta": 2.5}, "eta"), ({"max_t": "9"}, "max_t"), ({"grace": True}, "grace")])
def test_bad_rules(bad, name):
    with pytest.raises(ValueError, match=f"^{name} must be a whole number"):
        Halving(**bad)


def test_nan_is_refused_here_and_let_through_by_ray():
    "Ray never stops a trial that reports nan; a large loss falls at the first rung."
    healthy = [(i, 1, 1.0) for i in range(8)]
    answers = halving.ray_decisions(healthy + [(9, 1, np.nan), (8, 1, -1e9)], Halving())
    assert answers[-2:] == [True, False]
    with pytest.raises(ValueError, match="report a large loss instead"):
        Halving().goes_on("a", 1, float("nan"))


# trials in this process

def test_run_trials_takes_turns():
    "Two workers, an epoch each; the next trial starts where one has ended."
    order = []
    def learner(name, n):
        for epoch in range(n):
            order.append((name, epoch))
            yield report(1.0)
    told = halving.run_trials([learner("a", 2), learner("b", 1), learner("c", 2)])
    assert [len(t) for t in told] == [2, 1, 2]
    assert order == [("a", 0), ("b", 0), ("a", 1), ("c", 0), ("c", 1)]
    with pytest.raises(ValueError, match="workers"):
        halving.run_trials([], workers=0)
    assert halving.run_trials([]) == []


def test_run_trials_stops_by_the_rule():
    "The worse of two falls at the first rung, and its learner isn't asked again."
    asked = []
    def learner(loss):
        for _ in range(8):
            asked.append(loss)
            yield report(loss)
    told = halving.run_trials([learner(1.0), learner(2.0)], Halving(1, 8))
    assert [len(t) for t in told] == [8, 1]
    assert asked.count(2.0) == 1


def test_search_numbers():
    told = [[report(3.0)], [report(9.0), report(1.0)], [report(0.5), report(2.0)]]
    found = Search([{}] * 3, told, 2)
    assert (found.epochs, found.stopped, found.best) == (5, 1, 1)
    assert found.saved == pytest.approx(1 / 6)
    ax = found.plot()
    assert ax.get_xlabel() == "epoch" and ax.get_ylabel() == "accuracy"
    ends = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "x"]
    assert ends == [1]


def test_parts_share_no_row_and_scale_by_the_first():
    x = np.arange(40.0).reshape(20, 2)
    parts = trials.cut_table(x, np.arange(20), (8, 5, 7), seed=3)
    assert sorted(torch.cat([y for _, y in parts]).tolist()) == list(range(20))
    first = parts[0][0]
    assert torch.allclose(first.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(first.std(0, correction=0), torch.ones(2), atol=1e-6)
    assert abs(float(parts[2][0].mean())) > 1e-3
    with pytest.raises(ValueError, match="rows must be a whole number from 1 to 20"):
        trials.cut_table(x, np.arange(20), (10, 10, 1))


def test_learning_is_a_function_of_its_seed(flowers):
    "The same seed the same reports, whatever was drawn before; another, others."
    def reports(seed):
        return [r for _, r in trials.learn(flowers, CONFIG, 3, seed)]
    before = torch.random.get_rng_state()
    first = reports(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    assert reports(0) == first != reports(1)
    still = [next(trials.learn(flowers, CONFIG | {"lr": 1e-12}, 1, seed))[1]["loss"]
             for seed in (0, 1)]
    assert abs(still[0] - still[1]) > 1e-3  # the weights are drawn, not only the order


def test_learning_sees_only_the_part_to_fit(flowers):
    "The other parts decide nothing of the weights."
    blind = trials.Problem(flowers.fit, flowers.judge, flowers.choose, 3, (8,))
    for (one, _), (other, _) in zip(trials.learn(flowers, CONFIG, 2),
                                    trials.learn(blind, CONFIG, 2)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(),
                                                     other.parameters()))


def test_measure_by_hand():
    "Cross-entropy and argmax; squared error and the nearest even number; runaways."
    x, y = torch.tensor([[2.0], [-2.0]]), torch.tensor([2.0, 0.0])
    near = torch.tensor([[1.4], [-3.4], [2.9]]), torch.tensor([2.0, -4.0, 4.0])
    numbers = trials.Problem((x, y), (x, y), (x, y), 1, (2,))
    found = trials.measure(torch.nn.Identity(), numbers, numbers.judge)
    assert found == {"loss": 2.0, "accuracy": 0.5}
    even = trials.measure(torch.nn.Identity(), numbers, near)
    assert even["accuracy"] == pytest.approx(2 / 3)
    classes = trials.Problem((x, y), (x, y), (x, y), 2, (2,))
    even = trials.measure(lambda x: torch.zeros(len(x), 2), classes,
                          (x, torch.tensor([0, 1])))
    assert even["loss"] == pytest.approx(np.log(2)) and even["accuracy"] == 0.5
    for bad in (float("nan"), float("inf"), 1e30):
        far = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(far.weight, bad)
        lost = trials.measure(far, numbers, numbers.judge)
        assert lost["loss"] == trials.LOST


def test_knots_are_those_of_the_table():
    "Nine inputs; real part of the ratio is the slope that explains the signature."
    problem = trials.knots_problem(sizes=(300, 100, 200))
    assert problem.fit[0].shape == (300, 9) and "59997 rows" in problem.source
    slope, signature = problem.fit[0][:, 7], problem.fit[1]
    assert np.corrcoef(slope, signature)[0, 1] > 0.9
    n = len(load_table("knots", ["signature"]))
    with pytest.raises(ValueError, match=f"to {n}"):
        trials.knots_problem(sizes=(n, 1, 1))


@pytest.mark.parametrize("change, name", [
    ({"l1": 0}, "l1"), ({"l2": 2.5}, "l2"), ({"lr": 0}, "lr"),
    ({"lr": float("nan")}, "lr"), ({"batch_size": 0}, "batch_size")])
def test_bad_configurations(flowers, change, name):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        next(trials.learn(flowers, CONFIG | change))


def test_draws(flowers):
    "From the space, by the seed."
    drawn = trials.draw_configs(flowers, 300, seed=5)
    assert drawn == trials.draw_configs(flowers, 300, seed=5)
    assert drawn != trials.draw_configs(flowers, 300, seed=6)
    assert {c["l1"] for c in drawn} == {4, 8, 16, 32, 64}
    assert {c["batch_size"] for c in drawn} == set(flowers.batch_sizes)
    rates = np.log10([c["lr"] for c in drawn])
    assert -4 <= rates.min() < -3.9 and -1.1 < rates.max() <= -1
    with pytest.raises(ValueError, match="n must be"):
        trials.draw_configs(flowers, 0)


# the comparison

def table_of(ends, max_t=4):
    "Trials whose losses stand from the first epoch on."
    return [[{"loss": e, "accuracy": 0, "judged_loss": 10 * e, "judged_accuracy": -e}
             for _ in range(max_t)] for e in ends]


def test_comparison_spends_what_it_says():
    "Where the first epoch tells all, ASHA finds the best; budgets are as promised."
    found = halving.compare_searches(table_of(np.arange(1.0, 13) / 20), orders=40)
    assert found.loss["ASHA"] == found.loss["all"] == 0.5
    assert found.epochs["all"] == 48 and found.epochs["one"] == 4
    assert found.epochs["ASHA"] <= found.epochs["random"] < found.epochs["ASHA"] + 4
    assert 0.5 < found.loss["random"] < found.loss["one"]
    lost = halving.compare_searches(table_of([1.0, trials.LOST]), orders=4)
    assert (lost.loss == 10).all()  # a runaway doesn't make the mean by itself


def test_claim_counts_nothing_if_the_winner_is_worse(monkeypatch):
    "A rule that saves and loses accuracy isn't a saving."
    def table(*_, seed):
        good, bad = ({"judged_loss": 0, "judged_accuracy": a} for a in (0.9, 0.1))
        late = [[report(2 - e) | good for e in range(16)]] * (4 + seed % 2)
        return late + [[report(1 + i / 99) | bad] * 16 for i in range(12)]
    run = SimpleNamespace(seed=0)
    monkeypatch.setattr(halving, "record_trials", table)
    assert halving.asha_saving(run).value == 0
    monkeypatch.setattr(halving, "record_trials",
                        lambda *_, seed: table_of(np.arange(1.0, 17), 16))
    assert halving.asha_saving(run).value > 0.5


# Tune

def test_space_is_the_space(flowers):
    "Tune's domains hold every draw of the lab."
    space = tuning.search_space(flowers)
    assert set(space) == set(CONFIG)
    for config in trials.draw_configs(flowers, 50):
        assert all(space[name].is_valid(value) for name, value in config.items())


@pytest.fixture(scope="module")
def tuned(flowers, tmp_path_factory):
    "A real search of four trials, what it stored, and whether a second is refused."
    folder = tmp_path_factory.mktemp("tuned")
    configs = trials.draw_configs(flowers, 4, seed=2)
    with tuning.ray_session(2):
        found = tuning.tune_search(str(folder), flowers, configs, Halving(1, 4))
        with (pytest.raises(RuntimeError, match="Ray runs in this process already"),
              tuning.ray_session()):
            pass
        with pytest.raises(RuntimeError, match="1 trials failed"):
            tuning.tune_search(str(folder), flowers, [CONFIG | {"lr": -1.0}])
    return found, configs, folder


def test_tune_takes_our_draws_and_our_decisions(tuned, flowers):
    "Configurations, reports and each decision are those of the hand-written search."
    found, configs, _ = tuned
    assert found.configs == configs and found.max_t == 4
    rule = Halving(1, 4)
    assert len(found.record) == found.epochs
    assert [rule.goes_on(*r[:3]) for r in found.record] == [r[3] for r in found.record]
    for config, told in zip(configs, found.told):
        mine = [r for _, r in trials.learn(flowers, config, len(told))]
        assert [r["accuracy"] for r in mine] == [r["accuracy"] for r in told]
        assert [r["loss"] for r in mine] == pytest.approx([r["loss"] for r in told],
                                                          rel=1e-4)


def test_checkpoint_is_what_was_reported(tuned, flowers):
    "The best trial's weights, read from the file, give the reported accuracy."
    found, configs, folder = tuned
    told = found.told[found.best][-1]
    assert trials.measure(found.net, flowers, flowers.choose) == pytest.approx(told)
    stored = sorted(folder.rglob("network.pt"))
    assert len(stored) >= found.epochs
    losses = []
    for path in stored:
        try:
            net = tuning.load_network(path.parent, flowers, configs[found.best])
        except RuntimeError:  # of another trial, with other widths
            continue
        losses.append(trials.measure(net, flowers, flowers.choose)["loss"])
    assert min(abs(loss - told["loss"]) for loss in losses) < 1e-5


def test_session_leaves_nothing(tuned):
    "After the block Ray is down, so that another can start."
    import ray
    assert not ray.is_initialized()
