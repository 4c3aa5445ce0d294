"""Catchments keep their water, and what tells a place never sees its flow."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from litlab.core.claims import Run, claims_of  # noqa: E402
from litlab.dynamics import spatial  # noqa: E402
from litlab.dynamics.catchments import (  # noqa: E402
    gather_downstream, make_catchments, plot_map, river_network, soil_day,
    water_balance)
from litlab.dynamics.gauges import (  # noqa: E402
    inverse_distance, make_task, nnse, place_features, remembered, ridge_baseline,
    scaled_properties)
from litlab.dynamics.spatial import (  # noqa: E402
    BagNet, PlaceAttention, bag_steps, bag_tensors, compare_methods, fit_bag,
    method_scores, predict_bag)

KINDS = ("places", "alone", "distance")


@pytest.fixture(scope="module")
def land():
    "A small landscape, long enough for a task."
    return make_catchments(n_places=16, n_days=1200, seed=3)


@pytest.fixture(scope="module")
def tasks(land):
    "Both tasks on it."
    return {ahead: make_task(land, ahead, seed=1) for ahead in (0, 3)}


def with_flow(land, days=slice(None), places=slice(None), factor=5.0):
    "The landscape with other flows somewhere."
    flow = land.flow.copy()
    flow[days, places] *= factor
    return replace(land, flow=flow)


@pytest.mark.parametrize(("n_places", "n_days", "seed"),
                         [(4, 2, 0), (9, 300, 1), (48, 400, 2)])
def test_water_is_kept(n_places, n_days, seed):
    "On each place and day; and the balance sees a loss of a hundredth."
    land = make_catchments(n_places, n_days, seed)
    assert land.flow.shape == (n_days, n_places)
    assert np.abs(water_balance(land)).max() < 1e-12
    assert np.abs(water_balance(with_flow(land, factor=1.01))).max() > 1e-5
    for values in (land.inputs, land.flow, land.evaporation, land.stored):
        assert np.isfinite(values).all() and values.min() >= 0
    assert (land.evaporation <= land.inputs[..., 1] + 1e-12).all()


def test_whole_landscape_keeps_its_water(land):
    "Rain is evaporation, water that reached the sea, and what is stored."
    area, sea = land.property("area"), land.downstream < 0
    lost = (land.flow * land.property("upstream area"))[:, sea].sum()
    lost += (land.evaporation * area).sum()
    rain = (land.inputs[..., 0] * area).sum()
    assert np.isclose(rain - lost, (land.stored[-1] - land.stored[0]).sum(), rtol=1e-9)


def test_stores_never_run_dry_below_zero():
    "Neither with much demand nor with a fast ground."
    properties = np.array([[500.0, 50, 50, 20, 3.0, 1.0]])
    soil, ground, out, taken = soil_day(
        np.array([1.0]), np.array([400.0]), np.array([[0.0, 50.0]]), properties)
    assert 0 <= soil[0] < 1 and ground[0] == 0 and out[0] >= 400
    assert np.isclose(soil + ground + out + taken, 401)


def test_rivers_go_down(land):
    "To a lower place within reach, and all land arrives at the sea."
    high, below = land.property("elevation"), land.downstream
    inner = below >= 0
    assert (high[below[inner]] < high[inner]).all()
    assert (land.distances()[inner, below[inner]] <= 30).all()
    upstream, sea = land.property("upstream area"), ~inner
    assert np.isclose(upstream[sea].sum(), land.property("area").sum())
    again = gather_downstream(land.property("area"), below, high)
    assert np.allclose(again, upstream)
    assert river_network(land.xy, high, reach=1e-3).max() == -1


def test_seeds():
    "The same seed is the same landscape; another seed another."
    one, two, other = (make_catchments(8, 50, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.flow, two.flow) and np.array_equal(one.xy, two.xy)
    assert not np.allclose(one.flow, other.flow)


@pytest.mark.parametrize(("given", "named"), [
    ({"n_places": 3}, "n_places"), ({"n_days": 1}, "n_days"),
    ({"n_places": 8.5}, "n_places"), ({"n_days": True}, "n_days"),
    ({"n_places": 10**9}, "n_places"), ({"n_days": 10**9}, "n_days"),
    ({"n_places": "many"}, "n_places"), ({"n_places": None}, "n_places")])
def test_bad_sizes(given, named):
    with pytest.raises(ValueError, match=named):
        make_catchments(**given)


def test_bad_property_and_map(land):
    with pytest.raises(ValueError, match="forest"):
        land.property("gold")
    ax = plot_map(land)
    assert len(ax.lines) == (land.downstream >= 0).sum() and ax.get_xlabel()


def test_nnse():
    "1 for the truth, 1/2 for the mean, 1/(2 - NSE) in between, errors else."
    true = np.array([[1.0, 2], [3, 2.5], [2, 6]])
    assert np.allclose(nnse(true, true), 1)
    assert np.allclose(nnse(np.tile(true.mean(0), (3, 1)), true), 0.5)
    nse = 1 - 3 * 0.25 / 2.0
    assert np.allclose(nnse(true + 0.5, true)[0], 1 / (2 - nse))
    for wrong, what in ((true[:2], "shape of true"), (true * np.nan, "finite")):
        with pytest.raises(ValueError, match=what):
            nnse(wrong, true)
    with pytest.raises(ValueError, match="finite"):
        nnse(true, true * np.inf)
    with pytest.raises(ValueError, match="must vary"):
        nnse(true, np.c_[true[:, 0], [4, 4, 4]])


def test_inverse_distance_by_hand():
    "Two gauges at 1 and 2 km: weights 4/5 and 1/5; a gauge does not use itself."
    apart = np.abs(np.subtract.outer([0.0, 1, -2], [0.0, 1, -2]))
    values = np.array([[np.nan, 10.0, 20.0]])
    assert np.allclose(inverse_distance(values, apart), [[12.0, 20.0, 10.0]])


def test_remembered():
    "A constant stays; the memory of a day of rain falls by 1/e in its days."
    assert np.allclose(remembered(np.full((50, 2), 3.0), 5), 3)
    rain = np.zeros(100)
    rain[40] = 1
    kept = remembered(rain, 7)
    assert np.isclose(kept[47] / kept[40], np.exp(-1)) and kept[39] == 0


def test_scaled_properties(land):
    scaled = scaled_properties(land)
    assert scaled.shape == (16, 8) and np.allclose(scaled.std(0), 1)
    assert land.property("area").min() > 1  # the landscape itself is unchanged


def test_tasks(land, tasks):
    "Hidden places have no gauge; a forecast asks for all, some days later."
    task = tasks[0]
    assert sorted([*task.gauged, *task.asked]) == list(range(16))
    assert len(task.asked) == 6 and np.isnan(task.known()[:, task.asked]).all()
    assert np.array_equal(task.known()[:, task.gauged], land.flow[:, task.gauged])
    assert np.array_equal(task.truth(), land.flow[1000:, task.asked])
    assert np.array_equal(make_task(land, seed=1).asked, task.asked)
    assert not np.array_equal(make_task(land, seed=2).asked, task.asked)
    assert np.array_equal(tasks[3].truth(), land.flow[1003:])
    assert len(tasks[3].gauged) == len(tasks[3].asked) == 16


@pytest.mark.parametrize(("days", "ahead", "words"), [
    (1100, 0, "more than 1100 days"), (1200, -1, "ahead must be"),
    (1200, 31, "ahead must be"), (1200, 1.5, "ahead must be")])
def test_bad_tasks(land, days, ahead, words):
    short = replace(land, flow=land.flow[:days])
    with pytest.raises(ValueError, match=words):
        make_task(short, ahead)


@pytest.mark.parametrize("kind", ["ridge", *KINDS])
def test_hidden_flows_are_not_seen(land, tasks, kind):
    "Neither in learning nor in telling."
    def told(task):
        if kind == "ridge":
            return ridge_baseline(task)
        return predict_bag(fit_bag(task, kind, 3), task)
    other = replace(tasks[0], land=with_flow(land, places=tasks[0].asked))
    assert np.array_equal(told(tasks[0]), told(other))
    gauges = replace(tasks[0], land=with_flow(land, places=tasks[0].gauged))
    assert not np.allclose(told(tasks[0]), told(gauges))


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("kind", ["ridge", *KINDS])
def test_future_is_not_seen(land, tasks, kind, ahead):
    "Weather and flows from day 1100 on change nothing that is told before."
    task, later = tasks[ahead], slice(1100, None)
    inputs = land.inputs.copy()
    inputs[later] *= 3
    other = replace(task, land=replace(with_flow(land, later), inputs=inputs))
    if kind == "ridge":
        one, two = ridge_baseline(task), ridge_baseline(other)
    else:
        net = fit_bag(task, kind, 3)
        one, two = predict_bag(net, task), predict_bag(net, other)
    assert one.shape == task.truth().shape
    assert np.allclose(one[:100], two[:100], atol=1e-5)
    assert not np.allclose(one[100:], two[100:], atol=1e-2)


def test_test_days_are_not_learned_from(land, tasks):
    "The weights of networks and ridge are the same, whatever comes after day 1000."
    for ahead, task in tasks.items():
        other = replace(task, land=with_flow(land, slice(1000, None)))
        one, two = (fit_bag(t, "alone", 25) for t in (task, other))
        for a, b in zip(one.parameters(), two.parameters()):
            assert torch.equal(a, b), ahead
        rows = slice(0, 50)
        later = replace(task, land=with_flow(land, slice(1050, None)))
        assert np.allclose(ridge_baseline(task)[rows], ridge_baseline(later)[rows])


def test_no_feature_is_the_answer(land, tasks):
    "A gauged place's features for the ungauged task don't contain its own flow."
    task = tasks[0]
    one = task.gauged[:1]
    other = replace(task, land=with_flow(land, places=one))
    change = np.abs(place_features(other) - place_features(task)).max((0, 2))
    assert change[one] == 0 and np.delete(change, one).max() > 0


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_that_of_pytorch(heads):
    "With the same weights, and the way and the distance as a mask that is added."
    torch.manual_seed(0)
    layer, itself = PlaceAttention(32, heads), torch.eye(3, 5, dtype=torch.bool)
    twin = torch.nn.MultiheadAttention(32, heads, batch_first=True)
    twin.in_proj_weight.data = torch.cat([layer.ask.weight, layer.tell.weight])
    twin.in_proj_bias.data = torch.cat([layer.ask.bias, layer.tell.bias])
    twin.out_proj.load_state_dict(layer.out.state_dict())
    h, heard, pairs = torch.randn(2, 3, 32), torch.randn(2, 5, 32), torch.randn(3, 5, 5)
    mask = layer.way(pairs) - pairs[..., 4:] * layer.power
    mask = mask.masked_fill(itself[..., None], -torch.inf).permute(2, 0, 1)
    other = layer.norms[1](heard)
    new = h + twin(layer.norms[0](h), other, other, attn_mask=mask.repeat(2, 1, 1))[0]
    new = new + layer.layers(layer.norms[2](new))
    assert torch.allclose(layer(h, heard, pairs, itself), new, atol=1e-5)


def test_who_is_heard():
    "Not the place itself, and no gauge that is silent; the encoder alone hears."
    torch.manual_seed(0)
    x, flow = torch.randn(2, 9, 6, 10), torch.randn(2, 9, 6)
    seen = torch.arange(6) != 4
    scene = seen, torch.randn(6, 6, 5), torch.tensor([2])
    for encoder in (True, False):
        net = BagNet(encoder, 10)
        base = net(x, flow, *scene)
        same = [torch.equal(net(x, flow + 9 * (torch.arange(6) == j), *scene), base)
                for j in range(6)]
        assert same == [not encoder or j in (2, 4) for j in range(6)]


def test_numbers_for_a_network(tasks):
    "Flow in units of its training spread; no flow where there is no gauge."
    for kind, features in (("places", 10), ("alone", 10), ("distance", 12)):
        assert bag_tensors(tasks[0], kind).x.shape == (1200, 16, features)
        bag = bag_tensors(tasks[3], kind)
        assert bag.x.shape[2] == features + 1
        learn = bag.flow[:1000].double()
        assert abs(learn.mean()) < 1e-5 and abs(learn.std() - 1) < 1e-3
    bag = bag_tensors(tasks[0], "places")
    assert (bag.flow[:, tasks[0].asked] == 0).all()
    assert bag.seen.sum() == 10 and bag.pairs.shape == (16, 16, 5)


def test_fit(tasks):
    "The same seed gives the same network and leaves chance as it was; it learns."
    fits = []
    for chance in (4, 5):
        torch.manual_seed(chance)
        before = torch.random.get_rng_state()
        fits.append(fit_bag(tasks[0], "places", 40, 7))
        assert torch.equal(before, torch.random.get_rng_state())
    one, two = fits
    assert one.losses_ == two.losses_ and len(one.losses_) == 40
    assert np.array_equal(predict_bag(one, tasks[0]), predict_bag(two, tasks[0]))
    few = [fit_bag(tasks[0], "places", 1, seed) for seed in (7, 8)]
    assert few[0].losses_ == one.losses_[:1] != few[1].losses_
    weights = [net.lstm.weight_hh_l0 for net in few]
    assert not torch.allclose(*weights, atol=0.02)
    assert np.mean(one.losses_[-10:]) < 0.7 * np.mean(one.losses_[:10])
    assert not one.training


def test_stopped_by_hand(tasks, monkeypatch):
    "What was learned stays; but a score of it is not remembered."
    whole = fit_bag(tasks[0], "alone", 9)

    def steps(*given):
        for k, loss in enumerate(bag_steps(*given)):
            if k == 5:
                raise KeyboardInterrupt
            yield loss
    with monkeypatch.context() as patch:
        patch.setattr(spatial, "bag_steps", steps)
        try:
            net = fit_bag(tasks[0], "alone", 9)
        except KeyboardInterrupt:
            pytest.fail("what was learned is lost")
        assert net.losses_ == whole.losses_[:5] and not net.training
        assert np.isfinite(predict_bag(net, tasks[0])).all()
        with pytest.raises(KeyboardInterrupt):
            method_scores("alone", 0, 7, 9)
    task = make_task(make_catchments(seed=7), 0, 7)
    told = predict_bag(fit_bag(task, "alone", 9, 7), task)
    assert np.allclose(method_scores("alone", 0, 7, 9)[0], nnse(told, task.truth()))


def test_progress_is_shown_only_if_asked(tasks, capsys):
    for progress in (False, True):
        fit_bag(tasks[0], "alone", 2, progress=progress)
        assert ("alone" in capsys.readouterr().err) == progress


def test_twelve_places_a_step(tasks, monkeypatch):
    "A step asks twelve of the gauged places, and others the next time."
    asked, net = [], BagNet(False, 11)
    monkeypatch.setattr(BagNet, "forward", lambda net, x, f, s, p, asked: (
        seen.append(asked), net.last.bias.expand(*x.shape[:2], len(asked)))[1])
    seen = asked
    list(bag_steps(net, bag_tensors(tasks[3], "alone"), tasks[3], 2, 1e-3, 0))
    assert [len(set(a.tolist())) for a in asked] == [12, 12]
    assert set(asked[0].tolist()) != set(asked[1].tolist())


@pytest.mark.parametrize(("kind", "n_steps", "words"), [
    ("nothing", 5, "kind must be"), ("places", 0, "n_steps must be"),
    ("places", 2.5, "n_steps must be"), ("places", None, "n_steps must be")])
def test_bad_fit(tasks, kind, n_steps, words):
    with pytest.raises(ValueError, match=words):
        fit_bag(tasks[0], kind, n_steps)


def test_scores():
    "Persistence and distance are what they say; scores are remembered."
    task = make_task(make_catchments(seed=5), 3, 5)
    flow = task.land.flow
    score, error = method_scores("persistence", 3, 5)
    assert np.allclose(score, nnse(flow[1000:-3], flow[1003:]))
    assert np.allclose(error, ((flow[1000:-3] - flow[1003:]) ** 2).mean(0))
    hidden = make_task(task.land, 0, 5)
    guess = inverse_distance(hidden.known(), task.land.distances())
    expected = nnse(guess[1000:, hidden.asked], hidden.truth())
    assert np.allclose(method_scores("inverse distance", 0, 5)[0], expected)
    ridge = method_scores("ridge", 0, 5)[0]
    assert np.allclose(ridge, nnse(ridge_baseline(hidden), hidden.truth()))
    assert ridge.mean() > expected.mean()


def test_table_and_claims():
    "Each claim is a number of the same scores; spreads come with several landscapes."
    run = Run(5, SimpleNamespace(dynamics_seconds=0.001, dynamics_n_seeds=1))
    table = compare_methods(0, (5,), 2).set_index("method")
    values = {c.id: c.measure(run).value for c in claims_of(spatial)}
    score = table["NNSE"]
    assert list(values) == [f"dynamics.{name}" for name in (
        "spatial_nnse", "spatial_gain", "spatial_above_baselines", "forecast_gain")]
    assert np.isclose(values["dynamics.spatial_nnse"], score["places"])
    assert np.isclose(values["dynamics.spatial_gain"], score["places"] - score["alone"])
    best = score.drop("places").max()
    assert np.isclose(values["dynamics.spatial_above_baselines"],
                      score["places"] - best)
    error = {k: method_scores(k, 3, 5, 2)[1].mean() for k in ("places", "alone")}
    assert np.isclose(values["dynamics.forecast_gain"],
                      1 - error["places"] / error["alone"])
    assert "persistence" not in table.index
    two = spatial.over_landscapes(
        Run(5, SimpleNamespace(dynamics_seconds=0.25, dynamics_n_seeds=2)),
        lambda seed, steps: seed + steps)
    assert two.value == 505.5 and np.isclose(two.spread, 0.5 ** 0.5)
    assert two.note == "landscapes: 2; at most 500 steps of training"


def test_no_longer_than_it_does_good(monkeypatch):
    "Forecasts stop at 250 steps, networks without the encoder at 500."
    asked = []

    def fit(task, kind, n_steps, seed):
        asked.append((kind, task.ahead, n_steps))
        return SimpleNamespace(losses_=[0.0] * n_steps)
    monkeypatch.setattr(spatial, "fit_bag", fit)
    monkeypatch.setattr(spatial, "predict_bag", lambda net, task: task.truth())
    for kind in KINDS:
        for ahead, n in ((0, 2001), (3, 2001), (0, 41), (3, 41)):
            assert (method_scores(kind, ahead, 9, n)[0] == 1).all()
    longest = {"places": 2001, "alone": 500, "distance": 500}
    assert asked == [(kind, *rest) for kind in KINDS for rest in (
        (0, longest[kind]), (3, 250), (0, 41), (3, 41))]
    spatial.method_scores.cache_clear()


@pytest.mark.parametrize("seed", [-1, None, 1.5, True])
def test_seeds_are_whole_numbers_from_zero(tasks, land, seed):
    for call in (lambda: make_catchments(9, 10, seed), lambda: make_task(land, 0, seed),
                 lambda: method_scores.__wrapped__("ridge", 0, seed),
                 lambda: fit_bag(tasks[0], "alone", 1, seed)):
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            call()


@pytest.mark.parametrize("wrong", [0, -2, np.nan, None])
def test_powers_days_and_penalties_are_above_zero(land, tasks, wrong):
    with pytest.raises(ValueError, match="power must be"):
        inverse_distance(land.flow, land.distances(), wrong)
    with pytest.raises(ValueError, match="days must be"):
        remembered(land.flow, wrong)
    if wrong is not None:
        with pytest.raises(ValueError, match="penalty must be"):
            ridge_baseline(tasks[0], wrong)


def test_gauges_fall_silent_and_properties_are_shaken(tasks):
    "In training for ungauged places, and in no forecast."
    for ahead, task in tasks.items():
        bag, told = bag_tensors(task, "places"), []
        net = BagNet(True, bag.x.shape[-1])
        net.register_forward_pre_hook(lambda net, given, told=told: told.append(given))
        list(bag_steps(net, bag, task, 6, 1e-3, 0))
        known = int(bag.seen.sum())
        heard = [int(seen.sum()) for _, _, seen, _, _ in told]
        assert all((seen <= bag.seen).all() for _, _, seen, _, _ in told)
        assert (min(heard) < known) == (ahead == 0)
        fixed = [x[..., -8:].flatten(0, 1).std(0).max() for x, *_ in told]
        apart = [(x[0, 0, :, -8:] - bag.x[0, :, -8:]).std() for x, *_ in told]
        assert max(fixed) < 1e-5  # the same on all days of a step
        low, high = (0.2, 0.4) if ahead == 0 else (-1, 1e-9)
        assert all(low < float(a) < high for a in apart)
