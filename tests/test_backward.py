"The two passes by hand against automatic differentiation, and what they refuse."

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("rdkit")
pytest.importorskip("torch_geometric", exc_type=ImportError)

from litlab.explain.backward import layers_of, suits, two_passes  # noqa: E402
from litlab.explain.edges import frozen  # noqa: E402
from litlab.explain.explanations import (  # noqa: E402
    edge_attributions, explain_by_captum)
from litlab.explain.graphs import batch_graphs, load_mutagenicity  # noqa: E402
from litlab.explain.masks import explain_by_masks  # noqa: E402
from litlab.explain.networks import BondNet, MutagenicityNet, call_model  # noqa: E402
from litlab.explain.refinement import merge_alike  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


class Any(MutagenicityNet):
    "The same network under another name: it is explained by automatic differentiation."


def double(graphs):
    return replace(graphs, x=graphs.x.double())


@pytest.fixture(scope="module")
def some():
    return double(load_mutagenicity()[40:70])


def pair(seed, **size):
    torch.manual_seed(seed)
    fast = MutagenicityNet(**size).double().eval()
    slow = Any(**size).double().eval()
    slow.load_state_dict(fast.state_dict())
    return fast, slow


@pytest.mark.parametrize("size", [{}, {"width": 7}, {"n_layers": 1}, {"n_layers": 2}])
@pytest.mark.parametrize("output", ["log_probability", "logit_difference"])
@pytest.mark.parametrize("method", ["integrated_gradients", "saliency"])
def test_attributions_equal_those_of_autograd(some, size, output, method):
    fast, slow = pair(3, **size)
    for target in (0, 1):
        a, b = (edge_attributions(net, some, method, target=target, output=output,
                                  n_steps=9) for net in (fast, slow))
        assert float((a.values - b.values).abs().max()) < 1e-11
        assert float(b.values.abs().max()) > 1e-3


def test_each_bond_may_have_a_weight_of_its_own(some):
    fast, slow = pair(4)
    batch = merge_alike(batch_graphs(some))
    target = torch.arange(batch.num_graphs) % 2
    weight = torch.rand(len(batch.edge_batch), dtype=torch.double) * 3 - 1
    found = []
    for number in (two_passes(fast, batch, target),
                   lambda w: call_model(slow, batch, w).gather(
                       1, target[:, None])[:, 0]):
        here = weight.clone().requires_grad_(True)
        score = number(here)
        upstream = torch.linspace(-1, 2, len(score), dtype=torch.double)
        found.append((score.detach(), torch.autograd.grad(score, here, upstream)[0]))
    for a, b in zip(*found):
        assert float((a - b).abs().max()) < 1e-10 * float(b.abs().max())


@pytest.mark.parametrize("push", [6.0, 400.0])
def test_sure_molecules_have_finite_and_right_shares(some, push):
    fast, slow = pair(5)
    for net in (fast, slow):
        with torch.no_grad():
            net.out.bias += torch.tensor([push, -push])
    for target in (0, 1):
        a, b = (edge_attributions(net, some, target=target, n_steps=5).values
                for net in (fast, slow))
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-13) and a.isfinite().all()
        assert float(a.abs().max()) > 1e-8 or (target == 0 and push > 100)
        batch = batch_graphs(some)
        ones = torch.ones(len(batch.edge_batch), dtype=torch.double)
        said = two_passes(fast, batch, torch.full((30,), target))(ones)
        assert torch.allclose(said, call_model(slow, batch)[:, target], atol=1e-12)


def test_masks_equal_those_of_autograd(some):
    fast, slow = (net.float() for net in pair(6))
    graphs = replace(some, x=some.x.float())
    a, b = (explain_by_masks(net, graphs, target=0, epochs=20) for net in (fast, slow))
    assert float((a - b).abs().max()) < 1e-4 and float(b.std()) > 0.01


def test_captum_and_threads(some):
    fast, _ = pair(7)
    fast.requires_grad_(False)
    ours = edge_attributions(fast, some, n_steps=20).values
    captum = torch.cat([explain_by_captum(fast, g, n_steps=20) for g in some])
    shared = edge_attributions(fast, some, n_steps=20, n_threads=2, batch_size=7)
    assert float((ours - captum).abs().max()) < 1e-10
    assert float((ours - shared.values).abs().max()) < 1e-12


def test_nan_weights_of_a_network_are_noticed(some):
    fast, _ = pair(8)
    with torch.no_grad():
        fast.convs[2].lin_rel.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        edge_attributions(fast, some)


def test_only_the_essays_network_suits(some):
    net = MutagenicityNet(width=4)
    assert suits(net.eval()) and suits(net.double())
    assert not suits(net.train()) and not suits(net.half().eval())
    assert not suits(Any().eval()) and not suits(BondNet().eval())
    with pytest.raises(ValueError, match="got BondNet"):
        layers_of(BondNet())
    with pytest.raises(ValueError, match="got Any"):
        two_passes(Any().eval(), batch_graphs(some), torch.zeros(30, dtype=torch.long))


def test_the_network_keeps_its_weights_and_gets_no_gradients(some):
    net, _ = pair(9)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with frozen(net):
        edge_attributions(net, some, n_steps=3)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
