"""Saliency and integrated gradients against Captum, bad input, axioms and paths."""

import json
import subprocess
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs pip install 'litlab[torch]'")
pytest.importorskip("captum", reason="needs pip install 'litlab[torch]'")

from captum.attr import IntegratedGradients, Saliency  # noqa: E402

from litlab.core.claims import Run, claims_of, measure_seeds, verdict  # noqa: E402
from litlab.explain import paths, salience  # noqa: E402
from litlab.explain.attribution import plot_attributions, workbench  # noqa: E402
from litlab.explain.axioms import (  # noqa: E402
    PaperNetwork, equivalent_network, random_network, weight_attribution)
from litlab.explain.gradients import predict  # noqa: E402
from litlab.explain.paths import corner_path, path_attributions  # noqa: E402
from litlab.explain.salience import (  # noqa: E402
    METHODS, ToyNetwork, implementation_invariance_gap, integrated_gradients,
    quadrature, saliency, sensitivity_violations)

FIXED = settings(deadline=None, max_examples=80, derandomize=True)
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
ACTIVATIONS = ("ReLU", "Tanh", "SiLU", "Softplus", "Sigmoid")


@dataclass
class Case:
    "A model with what it is asked about."
    model: object
    inputs: tuple
    about: dict


class Several(torch.nn.Module):
    "Several inputs, joined; an output of any shape a row."

    def __init__(self, net, shape):
        super().__init__()
        self.net, self.shape = net, shape

    def forward(self, *inputs):
        joined = torch.cat([i.flatten(1) for i in inputs], 1)
        return self.net(joined).reshape(len(joined), *self.shape)


@st.composite
def cases(draw):
    "A random architecture with inputs, baselines, target, n_steps and method."
    seed = draw(st.integers(0, 10**6))
    dtype = draw(st.sampled_from(list(TOLERANCE)))
    rows, n_inputs = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rng = torch.Generator().manual_seed(seed)
    shapes = [draw(st.sampled_from([(1,), (3,), (2, 2)])) for _ in range(n_inputs)]
    out = draw(st.sampled_from([(), (1,), (4,), (2, 3)]))
    widths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    net = random_network(seed, sum(int(np.prod(s)) for s in shapes), widths,
                         draw(st.sampled_from(ACTIVATIONS)), int(np.prod(out)))
    model = Several(net, out).to(dtype)
    inputs = tuple(torch.randn(rows, *s, generator=rng, dtype=dtype) for s in shapes)
    kinds = st.sampled_from(["number", "full", "row"])
    baselines = draw(st.sampled_from([None, "given"])) and tuple(
        {"number": 0.25, "full": x.flip(0) + 1, "row": x[:1] * 0.5}[draw(kinds)]
        for x in inputs)
    about = {"baselines": baselines, "target": draw(targets(out, rows, rng)),
             "n_steps": draw(st.integers(2, 60)),
             "method": draw(st.sampled_from(METHODS))}
    return Case(model, inputs, about)


def targets(out, rows, rng):
    "All kinds of target that an output of a shape can have."
    if len(out) == 0:
        return st.none()
    if out == (1,):
        return st.sampled_from([None, 0])
    if len(out) == 2:
        return st.sampled_from([(1, 2), (0, 0), [(i % 2, i % 3) for i in range(rows)]])
    each = torch.randint(out[0], (rows,), generator=rng)
    return st.sampled_from([0, 3, (2,), each, each.tolist(), torch.tensor(1)])


def assert_equal(ours, theirs, dtype):
    "Equal within the tolerance, which is absolute up to 1 and relative above."
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    scale = max(1.0, float(theirs.detach().abs().max()))
    assert float((ours - theirs).detach().abs().max()) <= TOLERANCE[dtype] * scale


@FIXED
@given(cases())
def test_integrated_gradients_equal_captum(case):
    "Attributions and deltas, on random architectures."
    args = dict(case.about, return_convergence_delta=True)
    ours, delta = integrated_gradients(case.model, case.inputs, **args)
    theirs, their_delta = IntegratedGradients(case.model).attribute(case.inputs, **args)
    dtype = case.inputs[0].dtype
    for a, b in zip(ours, theirs, strict=True):
        assert_equal(a, b, dtype)
        assert not a.requires_grad
    assert_equal(delta, their_delta, dtype)


@FIXED
@given(cases(), st.booleans())
def test_saliency_equals_captum(case, absolute):
    "The gradient, with sign and without."
    target = case.about["target"]
    ours = saliency(case.model, case.inputs, target, abs=absolute)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Saliency(case.model).attribute(case.inputs, target, abs=absolute)
        plain = Saliency(case.model).attribute(case.inputs, target)
    for a, b in zip(saliency(case.model, case.inputs, target), plain, strict=True):
        assert_equal(a, b, case.inputs[0].dtype)
    for a, b in zip(ours, theirs, strict=True):
        assert_equal(a, b, case.inputs[0].dtype)


@FIXED
@given(cases(), st.integers(1, 40))
def test_chunks_change_nothing(case, chunk):
    "Parts of the path in several calls: the same up to rounding."
    model, dtype = case.model.double(), torch.float64
    inputs = tuple(x.double() for x in case.inputs)
    about = {**case.about, "baselines": 0.5}
    if len(inputs) > 1:
        about["baselines"] = (0.5,) * len(inputs)
    whole = integrated_gradients(model, inputs, **about)
    parts = integrated_gradients(model, inputs, internal_batch_size=chunk, **about)
    for a, b in zip(whole, parts, strict=True):
        assert_equal(a, b, dtype)


def test_chunks_bound_the_batch():
    "No call of the model sees more rows than allowed, if the batch itself fits."
    seen = []

    def model(x):
        seen.append(len(x))
        return x.sum(1)
    x = torch.ones(4, 3)
    integrated_gradients(model, x)
    integrated_gradients(model, x, internal_batch_size=30)
    assert seen == [200] + [28] * 7 + [4]


def test_sizes_follow_the_input():
    "A tensor gives a tensor, a tuple a tuple; one-dimensional rows work."
    x = torch.rand(3, 2, 2)
    assert integrated_gradients(lambda x: x.sum((1, 2)), x).shape == x.shape
    assert isinstance(saliency(ToyNetwork(), (x[:, 0, 0], x[:, 1, 1])), tuple)


def test_linear_model_is_exact():
    "weight times (input - baseline), whatever the number of steps."
    weight = torch.tensor([1.0, -2, 3]).double()
    x, b = torch.randn(2, 5, 3).double()
    for method in METHODS[:4]:
        got = integrated_gradients(lambda x: x @ weight, x, b, n_steps=3, method=method)
        assert torch.allclose(got, weight * (x - b), atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_model_and_inputs_are_left_alone(training):
    "No .grad, the same mode, statistics, inputs and random state."
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    model.train(training)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = torch.randn(6, 3)
    kept, state = x.clone(), torch.get_rng_state()
    for function in (saliency, integrated_gradients):
        function(model, x, target=2)
    assert model.training == training and x.equal(kept)
    assert not x.requires_grad and x.grad is None
    assert all(p.grad is None for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    assert all(v.equal(before[k]) for k, v in model.state_dict().items())
    assert torch.get_rng_state().equal(state)


def test_inputs_that_require_grad_and_no_grad_mode():
    "Works inside no_grad and inference_mode; a leaf's flag and .grad stay."
    x = torch.rand(4, 2, requires_grad=True)
    want = integrated_gradients(ToyNetwork(), x.detach())
    assert integrated_gradients(ToyNetwork(), x).equal(want)
    assert x.requires_grad and x.grad is None
    with torch.no_grad():
        assert integrated_gradients(ToyNetwork(), x).equal(want)
    with torch.inference_mode():
        assert integrated_gradients(ToyNetwork(), x.clone()).equal(want)


def test_unused_input_gets_zero():
    "An input that the model doesn't look at is worth nothing."
    a, b = torch.rand(3, 2), torch.rand(3, 2)
    got = integrated_gradients(lambda a, b: a.sum(1), (a, b))
    assert torch.allclose(got[0], a, atol=1e-6) and not got[1].any()


X = torch.tensor([[0.5, 1.0, -1.0], [2.0, -1.0, 0.0]])
MANY = torch.nn.Linear(3, 4)
BAD = {
    "n_steps 1": ({"n_steps": 1}, r"n_steps must be at least 2 \(got 1\)"),
    "n_steps 0": ({"n_steps": 0}, r"n_steps .* \(got 0\)"),
    "n_steps text": ({"n_steps": "many"}, r"n_steps .* \(got 'many'\)"),
    "n_steps fraction": ({"n_steps": 10.5}, r"n_steps .* \(got 10.5\)"),
    "method": ({"method": "simpson"}, r"gausslegendre.*\(got 'simpson'\)"),
    "nan": ({"inputs": X.log()}, r"inputs must be finite \(got nan at \[0, 2\]\)"),
    "inf": ({"inputs": 1 / X}, r"inputs must be finite \(got inf at \[1, 2\]\)"),
    "empty": ({"inputs": X[:0]}, r"at least one row \(got shape \(0, 3\)\)"),
    "no batch": ({"inputs": torch.tensor(1.0)}, r"at least one row \(got shape \(\)\)"),
    "integers": ({"inputs": X.long()}, r"got torch.int64\): convert with .float"),
    "list": ({"inputs": [[1.0]]}, r"torch tensor.*\(got list\): use torch.as_tensor"),
    "array": ({"inputs": X.numpy()}, r"\(got ndarray\): use torch.as_tensor"),
    "no inputs": ({"inputs": ()}, r"at least one tensor"),
    "rows differ": ({"inputs": (X, X[:1])}, r"equally many rows \(got \[2, 1\]\)"),
    "baseline shape": ({"baselines": X[:, :2]}, r"shape \(2, 2\).*input's \(2, 3\)"),
    "baseline rows": ({"baselines": torch.zeros(3, 3)}, r"shape \(3, 3\).*\(1, 3\)"),
    "baseline nan": ({"baselines": float("nan")}, r"baselines must be finite"),
    "baseline inf": ({"baselines": 1 / X}, r"baselines must be finite"),
    "baseline count": ({"baselines": (0, 0)}, r"one for each input \(got 2 for 1\)"),
    "baseline kind": ({"baselines": "zero"}, r"baselines must be .*\(got str\)"),
    "target missing": ({"target": None}, r"target is missing.*\(100, 4\).*target=0"),
    "target high": ({"target": 4}, r"target must be between 0 and 3 \(got 4\)"),
    "target low": ({"target": -5}, r"target must be between 0 and 3 \(got -5\)"),
    "target row": ({"target": [0, 9]}, r"between 0 and 3 \(got 9\)"),
    "target rows": ({"target": [0, 1, 2]}, r"target has shape \(3,\) for 2 rows"),
    "target deep": ({"target": (0, 1)}, r"target \[0, 1\] is too long"),
    "target kind": ({"target": 0.5}, r"whole numbers \(got 0.5\)"),
    "target word": ({"target": "dog"}, r"whole numbers \(got 'dog'\)"),
    "scalar output": ({"model": lambda x: x.sum()}, r"shape \(\) for 100 rows.*batch"),
    "one row out": ({"model": lambda x: x[:1]}, r"shape \(1, 3\) for 100 rows"),
    "no derivative": ({"model": lambda x: MANY(x).detach()}, r"does not depend"),
}


@pytest.mark.parametrize("changed, message", BAD.values(), ids=list(BAD))
def test_bad_input(changed, message):
    "Each mistake is a ValueError with name, value and cure."
    about = {"model": MANY, "inputs": X, "target": 0, **changed}
    with pytest.raises(ValueError, match=message):
        integrated_gradients(about.pop("model"), about.pop("inputs"), **about)


@pytest.mark.parametrize("name", ["nan", "empty", "integers", "target high", "list",
                                  "target missing", "no derivative"])
def test_bad_input_of_saliency(name):
    "The gradient refuses the same."
    about = {"model": MANY, "inputs": X, "target": 0, **BAD[name][0]}
    with pytest.raises(ValueError):
        saliency(about["model"], about["inputs"], about["target"])


def test_toy_network():
    "Gradient 0 where the output is 1; 10 to 1; and the same from one tensor or two."
    toy, x = ToyNetwork(), torch.full((4, 2), 0.7)
    assert (predict(toy, x) == 1).all() and not saliency(toy, x).any()
    shares = integrated_gradients(toy, x)
    assert torch.allclose(shares[:, 0] / shares[:, 1], torch.tensor(10.0), rtol=1e-5)
    pair = integrated_gradients(toy, (x[:, 0], x[:, 1]))
    assert torch.stack(pair, 1).equal(shares)


@pytest.mark.parametrize("method", METHODS)
def test_completeness_trend(method):
    "Beneath 11 times the largest distance of weights and points, which goes as 1/n."
    toy, x = ToyNetwork(), torch.ones(1, 2).double()
    bounds = []
    for n in (10, 30, 100, 300, 1000):
        points, weights = (t.double() for t in quadrature(n, method))
        total = weights.cumsum(0)
        later = torch.cat([points[1:], torch.ones(1).double()])
        bounds.append(11 * float(torch.cat(
            [total - points, total - later, points[:1]]).abs().max()))
        delta = integrated_gradients(toy, x, n_steps=n, method=method,
                                     return_convergence_delta=True)[1]
        assert abs(float(delta)) <= bounds[-1] + 1e-5
    assert bounds[-1] < 0.02 * bounds[0]


def test_sensitivity_counts():
    "A table small enough to count by hand."
    x = torch.tensor([[1.0, 1.0], [0.05, 0.0], [0.02, 0.3]])
    found = sensitivity_violations(saliency, ToyNetwork(), x)
    # row 0: each feature alone keeps the output at 1: no case; row 1: feature 0 only
    assert (found.cases, found.count) == (3, 0)
    found = sensitivity_violations(saliency, ToyNetwork(), torch.tensor([[0.2, 0.5]]))
    assert (found.cases, found.count) == (1, 1)
    assert found.examples[["row", "feature"]].values.tolist() == [[0, 0]]
    assert found.examples["change"].iloc[0] == pytest.approx(0.5)
    assert "1 violations in 1" in repr(found)
    assert found.plot().get_xlabel()


def test_targets_from_the_end():
    "A negative target counts from the end, as Captum's."
    ours = integrated_gradients(MANY, X, target=-1)
    assert torch.equal(ours, integrated_gradients(MANY, X, target=3))
    theirs = IntegratedGradients(MANY).attribute(X, target=-1)
    assert torch.allclose(ours, theirs.to(ours), atol=1e-6)


@pytest.mark.parametrize("target", [2, [0, 2] * 20, torch.arange(40) % 3])
def test_sensitivity_of_a_target(target):
    "One output for all rows, or one for each; Captum's methods can be tested too."
    net = random_network(1, n_outputs=3)
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)).double()

    def captum_ig(model, inputs, baselines, target):
        return IntegratedGradients(model).attribute(
            inputs, baselines, target=target.flatten())
    ours = sensitivity_violations(integrated_gradients, net, x, target=target)
    theirs = sensitivity_violations(captum_ig, net, x, target=target)
    assert ours.cases == theirs.cases == 160 and ours.count == theirs.count == 0


def test_axioms_refuse():
    "Inputs that are no table, another shape, models that are not equal."
    toy, x = ToyNetwork(), torch.rand(3, 2)
    for bad in ((x, x), x[:, 0]):
        with pytest.raises(ValueError, match=r"one tensor \(rows, features\)"):
            sensitivity_violations(saliency, toy, bad)
    with pytest.raises(ValueError, match=r"one number for each input \(got shape"):
        sensitivity_violations(lambda model, inputs: inputs.sum(1), toy, x)
    with pytest.raises(ValueError, match="does not match"):
        sensitivity_violations(saliency, toy, x, baselines=x[:2])
    with pytest.raises(ValueError, match="same function"):
        implementation_invariance_gap(saliency, toy, lambda x: 2 * toy(x), x)
    with pytest.raises(ValueError, match="alternate Linear"):
        equivalent_network(torch.nn.Sequential(torch.nn.ReLU()))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(ACTIVATIONS), st.booleans())
def test_equal_networks(seed, activation, deep):
    "Twins have other weights, the same function, and the same attributions."
    net = random_network(seed, widths=(8, 8) if deep else (8,), activation=activation)
    twin = equivalent_network(net, seed)
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(seed)).double()
    assert not net[0].weight.equal(twin[0].weight)
    assert torch.allclose(net(x), twin(x), atol=1e-10)
    for method in (saliency, integrated_gradients):
        assert implementation_invariance_gap(method, net, twin, x) < 1e-9


def test_invariance_can_fail():
    "The control does: weights are not what the function is."
    rng = torch.Generator().manual_seed(0)
    net, x = random_network(0), torch.randn(20, 4, generator=rng).double()
    twin = equivalent_network(net)
    assert implementation_invariance_gap(weight_attribution, net, twin, x) > 0.1
    pair = PaperNetwork(early=False), PaperNetwork(early=True)
    points = 3 * torch.randn(200, 2, generator=rng).double()
    assert torch.equal(*(p(points) for p in pair))
    point = torch.tensor([[3.0, 1.0]]).double()
    got = integrated_gradients(pair[0], point, n_steps=1000)[0]
    assert torch.allclose(got, torch.tensor([1.5, -0.5]).double(), atol=0.01)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_paths(order):
    "One piece is integrated gradients; corners change one feature after the other."
    net = random_network(3, n_inputs=3, activation="SiLU")
    x, b = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1)).double()
    straight = path_attributions(net, [[0, 0, 0], [1, 1, 1]], x, b)
    assert straight.equal(integrated_gradients(net, x, b))
    got, at = path_attributions(net, corner_path(order), x, b), b.clone()
    for feature in order:
        before = predict(net, at)
        at[:, feature] = x[:, feature]
        want = predict(net, at) - before
        assert torch.allclose(got[:, feature], want, atol=1e-6)
    assert not torch.allclose(got, straight, atol=1e-3)


def test_path_targets():
    "A target for each row follows its row through all pieces."
    net = random_network(5, n_outputs=3, activation="Tanh")
    x = torch.linspace(-1, 2, 16).reshape(4, 4).double()
    each = [0, 2, 1, 2]
    got = path_attributions(net, corner_path([3, 1, 0, 2]), x, target=each)
    change = predict(net, x, each) - predict(net, 0 * x, each)
    assert torch.allclose(got.sum(1), change, atol=1e-6)


@pytest.mark.parametrize("path", [[[0, 0]], [[0, 0], [1, 0.5]], [[0.1, 0], [1, 1]],
                                  [[0, 0, 0], [1, 1, 1]], [0, 1]])
def test_bad_paths(path):
    "A path leads from 0 to 1 in each feature."
    with pytest.raises(ValueError, match="path must lead from 0 to 1"):
        path_attributions(ToyNetwork(), path, torch.ones(1, 2))


def test_workbench_and_pictures():
    "Choices are checked, pictures are labelled."
    net, x = random_network(2), torch.rand(3, 4).double()
    bench = workbench(integrated_gradients, net, x, {"half": 0.5}, methods=METHODS)
    one = bench.explain(2, "half", 30, "riemann_left")
    want, delta = integrated_gradients(net, x, 0.5, n_steps=30, method="riemann_left",
                                       return_convergence_delta=True)
    assert one.attributions == tuple(want[2].tolist()) and one.delta == delta[2]
    change = predict(net, x) - predict(net, 0 * x + 0.5)
    assert one.change == pytest.approx(float(change[2]))
    ax = bench.view(1).axes[0]
    assert ax.get_xlabel() and len(ax.patches) == 4 and "delta" in ax.get_title("left")
    for bad in ({"sample": 3}, {"sample": "a"}, {"baseline": "x"}, {"method": "x"},
                {"n_steps": 1}, {"n_steps": 10**6}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            bench.explain(**bad)
    with pytest.raises(ValueError, match="names must be one for each of 2"):
        plot_attributions([1, 2], ["a"])
    with pytest.raises(ValueError, match="does not match"):
        workbench(integrated_gradients, net, x, {"short": x[:2]})


CLAIMS = [c for module in (salience, paths) for c in claims_of(module)]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_claims(claim):
    "Every statement of the essay holds, but that the path never matters."
    got = measure_seeds(claim, Run(seed=7))
    word, _ = verdict(claim, got.value, got.spread)
    assert word == ("refuted" if claim.id == "salience.path_single" else "reproduced")


def test_claims_can_fail(monkeypatch):
    "With a wrong method in place of the right one the verdicts change."
    right = salience.integrated_gradients

    def wrong(*args, **kwargs):
        got = right(*args, **kwargs)
        if isinstance(got, tuple) and kwargs.get("return_convergence_delta"):
            shares, delta = got
            return shares, delta + 0.1
        return 0 * got
    monkeypatch.setattr(salience, "integrated_gradients", wrong)
    failed = []
    for claim in claims_of(salience):
        got = claim.measure(Run())
        value = got if isinstance(got, float) else got.value
        failed.append(not np.isfinite(value) or not claim.rule.holds(value))
    names = [c.id.partition(".")[2] for c in claims_of(salience)]
    assert {n for n, f in zip(names, failed) if f} == {
        "toy_ratio", "captum", "completeness", "sensitivity"}


def test_ids_and_costs():
    "All the topic's claims, and nothing twice."
    ids = [c.id for c in CLAIMS]
    assert ids == [f"salience.{n}" for n in (
        "toy_gradient", "toy_ratio", "captum", "completeness", "sensitivity",
        "gradient_sensitivity", "implementation_invariance", "path_sum", "path_single")]
    assert sum(c.seconds for c in CLAIMS) <= 30


def test_import_is_light():
    "The module needs torch, and neither captum nor a widget library."
    code = ("import sys, json, litlab.explain.salience; print(json.dumps([m for m in "
            "('captum', 'anywidget', 'ipywidgets', 'sklearn') if m in sys.modules]))")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True,
                          check=True)
    assert json.loads(done.stdout) == []


def test_sensitivity_of_captum_with_a_target():
    "A method that knows baselines only by keyword gets them, and a plain target."
    def captum(model, inputs, **options):
        return IntegratedGradients(model).attribute(inputs, **options)
    net = random_network(1, 5, n_outputs=3)
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    ours = sensitivity_violations(integrated_gradients, net, x, target=2)
    assert sensitivity_violations(captum, net, x, target=2).cases == ours.cases
