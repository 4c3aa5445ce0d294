"""Explanations of graph networks: by hand, against Captum, and what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("rdkit")
from litlab.core.claims import Run  # noqa: E402
from litlab.core.settings import load_settings  # noqa: E402
from litlab.explain.agreement import (  # noqa: E402
    EXPLAINERS, bond_values, found_mutagens)
from litlab.explain.credit import (  # noqa: E402
    Credits, held_out_credits, measure_coh_credit, paired_control, permutation_test)
from litlab.explain.edges import in_portions, target_score  # noqa: E402
from litlab.explain.explanations import (  # noqa: E402
    METHODS, agreement, auroc, edge_attributions, explain_by_captum, nitrogen_bonds,
    node_attributions)
from litlab.explain.graphs import (  # noqa: E402
    batch_graphs, load_mutagenicity, matched_bonds, molecule_graphs)
from litlab.explain.masks import explain_by_masks, fidelity, top_bonds  # noqa: E402
from litlab.explain.molecules import parse_smiles  # noqa: E402
from litlab.explain.networks import BondNet, MutagenicityNet, call_model  # noqa: E402
from litlab.explain.planted import PLANTS, plant  # noqa: E402
from litlab.explain.toxicophores import (  # noqa: E402
    MODELS, N_STORED, load_model, stored_folds)
from litlab.explain.training import predict  # noqa: E402


@pytest.fixture(scope="module")
def graphs():
    return load_mutagenicity()


@pytest.fixture(scope="module")
def trained():
    return load_model("plain", 1)


class Linear(torch.nn.Module):
    "log p0 is a number for each edge, times its weight: every share is known."
    def forward(self, x, edge_index, batch, edge_weight=None):
        n = int(batch.max()) + 1
        weight = torch.ones(edge_index.shape[1]) if edge_weight is None else edge_weight
        worth = edge_index[0].float() - 2 * edge_index[1].float()
        total = torch.zeros(n).index_add(0, batch[edge_index[0]], worth * weight)
        return torch.stack([total, -total], 1)


def worth(data):
    return data.edge_index[0].float() - 2 * data.edge_index[1].float()


@pytest.mark.parametrize("method", ["integrated_gradients", "saliency", "occlusion"])
@pytest.mark.parametrize("target, output, factor", [
    (0, "log_probability", 1), (1, "log_probability", -1),
    (0, "logit_difference", 2), (1, "logit_difference", -2)])
def test_shares_of_a_linear_model_are_its_weights(method, target, output, factor):
    one = molecule_graphs([parse_smiles("CC(=O)O")])
    found = edge_attributions(Linear(), one, method, target=target, output=output,
                              n_steps=3)
    expected = factor * worth(one[0])
    assert torch.allclose(found.bonds(), expected.reshape(-1, 2).sum(1), atol=1e-4)
    if method != "occlusion":
        assert torch.allclose(found.values, expected, atol=1e-4)
    assert float(found.delta.abs().max()) < 1e-3
    assert float(found.change[0]) == pytest.approx(float(expected.sum()), rel=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n_steps", [2, 7, 50])
def test_equals_captum(graphs, seed, n_steps):
    chosen = np.random.default_rng(100 + seed).choice(len(graphs), 12, replace=False)
    torch.manual_seed(seed)
    net, some = MutagenicityNet(width=24).eval(), graphs.select(chosen)
    ours = edge_attributions(net, some, n_steps=n_steps)
    for i in range(len(some)):
        theirs = explain_by_captum(net, some[i], n_steps=n_steps)
        assert torch.allclose(ours[i], theirs, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_batches_threads_and_lists_do_not_matter(graphs, trained, method):
    some = graphs[40:60]
    whole = edge_attributions(trained, some, method, n_steps=5)
    for other in (edge_attributions(trained, some, method, n_steps=5, batch_size=3),
                  edge_attributions(trained, some, method, n_steps=5, batch_size=3,
                                    n_threads=2),
                  edge_attributions(trained, list(some), method, n_steps=5)):
        assert torch.allclose(whole.values, other.values, atol=2e-3)
    again = edge_attributions(trained, some, method, n_steps=5)
    assert torch.equal(whole.values, again.values)


@pytest.mark.parametrize("kind", [MutagenicityNet, BondNet])
def test_the_model_is_left_as_it_was(graphs, kind):
    net = kind(width=8).train()
    net.convs[0].requires_grad_(False)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    need = [p.requires_grad for p in net.parameters()]
    for method in METHODS:
        edge_attributions(net, graphs[:3], method, n_steps=2)
    node_attributions(net, graphs[:3], n_steps=2)
    assert net.training and [p.requires_grad for p in net.parameters()] == need
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("kind", [MutagenicityNet, BondNet])
def test_completeness_gets_better_with_steps(graphs, kind):
    torch.manual_seed(3)
    net, errors = kind(width=16).eval(), []
    for n_steps in (4, 40, 400):
        found = edge_attributions(net, graphs[:30], n_steps=n_steps,
                                  output="logit_difference")
        errors.append(float(found.delta.abs().mean() / found.change.abs().mean()))
    assert errors[2] < errors[0] / 5 and errors[2] < 0.02


def test_node_shares_are_complete_and_where_features_are(graphs, trained):
    some = graphs[:20]
    shares = node_attributions(trained, some, n_steps=300, output="logit_difference")
    assert shares.shape == some.x.shape and not shares[some.x == 0].any()
    batch = batch_graphs(some)
    with torch.no_grad():
        full, empty = (target_score(call_model(trained, batch, x=x), 0,
                                    "logit_difference") for x in (batch.x, 0 * batch.x))
    sums = torch.zeros(20).index_add_(0, batch.batch, shares.sum(1))
    assert float((sums - full + empty).abs().mean()) < 0.02 * float(
        (full - empty).abs().mean())


def test_alike_atoms_have_alike_bonds(trained):
    "The three C-H bonds of a methyl group, and the halves of benzene."
    for smiles, bonds in (("Cc1ccccc1", (7, 8, 9)), ("c1ccccc1", range(6))):
        one = molecule_graphs([parse_smiles(smiles)])
        shares = edge_attributions(trained, one).bonds_of(0)[list(bonds)]
        assert float(shares.max() - shares.min()) < 1e-5


@pytest.mark.parametrize("wrong, part", [
    ({"method": "lime"}, "integrated_gradients"), ({"target": 2}, "target"),
    ({"target": True}, "target"), ({"output": "probability"}, "log_probability"),
    ({"n_steps": 1}, "n_steps"), ({"n_steps": 2.5}, "n_steps"),
    ({"batch_size": 0}, "at least 1"), ({"n_threads": 0}, "at least 1")])
def test_bad_requests(graphs, trained, wrong, part):
    with pytest.raises(ValueError, match=part):
        edge_attributions(trained, graphs[:2], **wrong)


def test_bad_graphs_and_models(graphs, trained):
    with pytest.raises(ValueError, match="at least one graph"):
        edge_attributions(trained, [])
    broken = MutagenicityNet(width=4)
    with torch.no_grad():
        broken.out.bias[:] = float("nan")
    with pytest.raises(ValueError, match="nan"):
        edge_attributions(broken, graphs[:2])
    unpaired = graphs[0]
    random = torch.Generator().manual_seed(1)
    order = torch.randperm(unpaired.num_edges, generator=random)
    unpaired.edge_index = unpaired.edge_index[:, order]
    with pytest.raises(ValueError, match="two directions of bond"):
        edge_attributions(trained, [unpaired], "occlusion")
    with pytest.raises(ValueError, match="two directions of bond"):
        edge_attributions(trained, [unpaired], "saliency").bonds()


def test_a_graph_without_edges(trained):
    for smiles in (["[Na+]"], ["[Na+]", "CCO", "[Cl-]"]):
        some = molecule_graphs([parse_smiles(s) for s in smiles])
        for method in METHODS:
            found = edge_attributions(trained, some, method, n_steps=3)
            assert len(found[0]) == 0 and len(found.values) == int(some.n_edges.sum())
            assert found.change[0] == 0 and found.delta[0] == 0


def test_portions_keep_their_order(graphs):
    def work(part):
        return part.n_atoms
    for n_threads in (1, 3):
        parts = in_portions(work, graphs[:50], 7, n_threads)
        assert torch.equal(torch.cat(parts), graphs[:50].n_atoms)


# masks and measures

def test_masks_do_not_depend_on_the_batch(graphs, trained):
    whole = explain_by_masks(trained, graphs[:1], target=0, epochs=20)
    threads = explain_by_masks(trained, graphs[:9], target=0, epochs=20, batch_size=2,
                               n_threads=2)
    assert torch.allclose(threads[:len(whole)], whole, atol=1e-4)
    assert ((whole >= 0) & (whole <= 1)).all()
    first = explain_by_masks(trained, graphs[:5], target=0, epochs=20)
    assert torch.allclose(first[:len(whole)], whole, atol=1e-4)
    said = explain_by_masks(trained, graphs[:5], epochs=20)
    other = explain_by_masks(trained, graphs[:5], epochs=20, seed=1)
    assert not torch.equal(said, other)


def test_top_bonds_by_hand():
    values = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.2, 7.0])
    found = top_bonds(values, torch.tensor([3, 0, 3]), 2)
    assert found.tolist() == [False, True, True, True, False, True]


def test_fidelity_by_hand(graphs):
    "With all bonds kept nothing changes; the bonds that decide are needed."
    class Bonded(torch.nn.Module):
        def forward(self, x, edge_index, batch, edge_weight=None):
            n = int(batch.max()) + 1
            weight = torch.ones(edge_index.shape[1]) if edge_weight is None \
                else edge_weight
            nitro = x[:, 4][edge_index[0]] * x[:, 1][edge_index[1]]
            whose = batch[edge_index[0]]
            has = torch.zeros(n).index_add(0, whose, nitro * weight) > 1.5
            return torch.log_softmax(torch.stack([has * 4.0 - 2, 0 * has], 1), 1)
    some = molecule_graphs([parse_smiles(s) for s in
                            ("C[N+](=O)[O-]", "c1ccccc1[N+](=O)[O-]")])
    truth = some.bond_truth[::2].float()
    assert fidelity(Bonded(), some, truth, k=2) == (1.0, 0.0)
    assert fidelity(Bonded(), some, -truth, k=2) == (0.0, 1.0)
    assert fidelity(Bonded(), some, truth, k=100) == (1.0, 0.0)
    with pytest.raises(ValueError, match="k must be"):
        fidelity(Bonded(), some, truth, k=0)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_chance_of_a_right_order(pairs):
    values, truth = map(np.array, zip(*pairs))
    if truth.all() or not truth.any():
        with pytest.raises(ValueError, match="both kinds"):
            auroc(values, truth)
        return
    better = [(a > b) + (a == b) / 2 for a in values[truth] for b in values[~truth]]
    assert auroc(values, truth) == pytest.approx(np.mean(better))


def test_agreement_by_hand():
    two = molecule_graphs([parse_smiles(s) for s in ("CN", "CCC[N+](=O)[O-]")])
    truth = two.bond_truth[::2].numpy().astype(float)
    perfect = agreement(truth, two)
    assert (perfect.auroc, perfect.pooled, perfect.precision) == (1, 1, 1)
    assert agreement(-truth, two).auroc == 0 and perfect.n_graphs == 2
    assert agreement(0 * truth, two).auroc == 0.5
    n_bonds = (two.n_edges // 2).tolist()
    shifted = truth + np.repeat([10.0, 0.0], n_bonds)
    found = agreement(shifted, two)
    assert found.auroc == 1 and found.pooled < 1
    with pytest.raises(ValueError, match="one for each"):
        agreement(truth[:-1], two)
    with pytest.raises(ValueError, match="no graph"):
        agreement([1.0] * 8, molecule_graphs([parse_smiles("CCO")]))


def test_nitrogen_bonds():
    one = molecule_graphs([parse_smiles("CNC")])
    assert nitrogen_bonds(one).sum() == 3


# planted truth

@pytest.mark.parametrize("name, smiles, n", [
    ("aromatic nitro", "c1ccccc1[N+](=O)[O-]", 2),
    ("aromatic nitro", "C[N+](=O)[O-]", 0), ("aromatic amine", "Nc1ccccc1", 2),
    ("alcohol", "CCO", 2), ("alcohol", "CC(=O)O", 0),
    ("alcohol", "Oc1ccccc1", 0), ("epoxide", "C1CO1", 3), ("azide", "CN=[N+]=[N-]", 2)])
def test_plants_mark_their_bonds(name, smiles, n):
    others = [parse_smiles(s) for s in ("CCC", "CCCCC[N+](=O)[O-]" if n else
                                        {"aromatic nitro": "c1ccccc1[N+](=O)[O-]",
                                         "alcohol": "CCCO"}[name])]
    planted = plant([parse_smiles(smiles), *others], PLANTS[name])
    has = [m.GetNumAtoms() == parse_smiles(smiles).GetNumAtoms()
           for m in planted.molecules]
    mine = planted.select(has)
    assert int(mine.bond_truth.sum()) == 2 * n and int(mine.y[0]) == int(n == 0)


def test_planting(graphs):
    planted = plant(graphs.molecules[:400], PLANTS["alcohol"], balanced=True, seed=1)
    assert int((planted.y == 0).sum()) == int((planted.y == 1).sum())
    marked = [bool(planted[i].bond_truth.any()) for i in range(len(planted))]
    assert marked == (planted.y == 0).tolist()
    other = plant(graphs.molecules[:400], PLANTS["alcohol"], balanced=True, seed=2)
    assert other.molecules != planted.molecules
    for smarts, part in (("[Au]C", "0 of"), ("C(", "no SMARTS"), ("C", "with a bond")):
        with pytest.raises(ValueError, match=part):
            plant(graphs.molecules[:50], smarts)


# stored models

@pytest.mark.parametrize("name", MODELS)
def test_stored_models_are_tested_on_what_they_have_not_seen(graphs, name):
    found = stored_folds(name)
    assert len(found.models) == N_STORED and set(found.folds) == {-1, 0, 1, 2}
    assert 0.77 < found.accuracy.mean() < found.train_accuracy.mean()
    curve = [h.valid_accuracy[-1] for h in found.histories]
    assert np.allclose(curve, found.accuracy, atol=0.006)  # half precision
    assert np.isnan(found.outputs[found.folds < 0]).all()


def test_models_that_are_not_there():
    with pytest.raises(ValueError, match="essay, plain, removal, bonds"):
        load_model("best")
    with pytest.raises(ValueError, match="from 0 to 2"):
        load_model("essay", 3)


def test_explanations_are_judged_on_found_mutagens_only(graphs):
    result = stored_folds("plain")
    some = found_mutagens(result, 2)
    assert (some.y == 0).all() and 60 < len(some) < 111
    assert (predict(result.models[2], some).argmax(1) == 0).all()
    assert all(bool(some[i].bond_truth.any()) for i in range(len(some)))
    nitro = found_mutagens(result, 2, "NO2")
    assert len(nitro) < len(some) and nitro.bond_truth.sum() < some.bond_truth.sum()
    assert agreement(bond_values(result.models[2], some, "IG, logit difference"),
                     some).auroc > 0.9
    with pytest.raises(ValueError, match="explainer must be"):
        bond_values(result.models[2], some, "guess")
    assert len(bond_values(result.models[2], some, next(iter(EXPLAINERS)))) == int(
        some.n_edges.sum()) // 2


# credit of groups

def test_permutation_test_by_hand():
    "One molecule, three bonds: the group has the largest of three shares."
    found = permutation_test([[3.0, 0.0, 0.0]], [{0}], n_draws=3000)
    assert found["mean"] == 3 and found["null"] == pytest.approx(1, abs=0.1)
    assert found["p"] == pytest.approx(1 / 3, abs=0.03) and found["n"] == 1
    assert found["positive"] == 1
    many = permutation_test([[3.0, 0.0, 0.0]] * 12, [{0}] * 12, n_draws=500)
    assert many["p"] == pytest.approx(1 / 501) and many["z"] > 4
    below = permutation_test([[-3.0, 0.0, 0.0]] * 12, [{0}] * 12, n_draws=500)
    assert below["z"] < -4 and below["p"] == pytest.approx(1 / 501)
    with pytest.raises(ValueError, match="no molecule"):
        permutation_test([[1.0, 2.0]], [{0, 1}])
    with pytest.raises(ValueError, match="n_draws"):
        permutation_test([[1.0, 2.0]], [{0}], n_draws=0)


def test_paired_control_by_hand(graphs):
    "Ethers and alcohols with shares that are told: O-H 1 below C-H in each."
    chosen = [i for i, m in enumerate(graphs.molecules[:400])
              if matched_bonds(m, "[OX2][H]") and matched_bonds(m, "[#6][H]")][:20]
    shares = []
    for i in chosen:
        values = np.zeros(graphs.molecules[i].GetNumBonds())
        values[list(matched_bonds(graphs.molecules[i], "[OX2][H]"))] = -1
        shares.append(values)
    found = paired_control(Credits(np.array(chosen), shares, "made up"), "[OX2][H]",
                           "[#6][H]")
    assert found["n"] == 20 and found["difference"] == -1 and found["p"] < 1e-4
    with pytest.raises(ValueError, match="no molecule has bonds"):
        paired_control(Credits(np.array(chosen), shares, ""), "[Au]C", "[#6][H]")


def test_other_molecules_do_not_fit_the_stored_models(graphs, monkeypatch):
    import litlab.explain.toxicophores as module
    order = np.random.default_rng(0).permutation(len(graphs))
    monkeypatch.setattr(module, "load_mutagenicity", lambda: graphs.select(order))
    with pytest.raises(ValueError, match="were not trained on these molecules"):
        stored_folds("plain")


def test_credits_are_held_out(graphs):
    result = stored_folds("bonds")
    some = np.zeros(len(graphs), bool)
    some[:60] = True
    found = held_out_credits(result, n_steps=4, only=some)
    assert set(found.places) == set(np.flatnonzero(some & (result.folds >= 0)))
    i = found.places[3]
    model = result.models[result.folds[i]]
    alone = edge_attributions(model, graphs.select([i]), n_steps=4,
                              output="logit_difference").bonds().numpy()
    assert np.allclose(found.shares[3], alone, atol=1e-4)


def test_coh_counts_against_mutagen():
    run = Run(seed=3, profile=load_settings().profile)
    result = measure_coh_credit(run)
    assert result.value == 1 and "p 0.002" in result.note
