"""Graph networks: what they compute, how they are trained, stored and compared."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("rdkit")
from litlab.explain.graphs import (  # noqa: E402
    batch_graphs, load_mutagenicity, molecule_graphs, require_pyg)
from litlab.explain.molecules import parse_smiles  # noqa: E402
from litlab.explain.networks import (  # noqa: E402
    BondNet, MutagenicityNet, call_model, load_checkpoint, save_checkpoint, takes)
from litlab.explain.refinement import merge_alike  # noqa: E402
from litlab.explain.training import (  # noqa: E402
    ESSAY_PLAN, Plan, accuracy, fit, predict, remove_bonds)
from litlab.explain.validation import (  # noqa: E402
    CrossValidation, best_epoch_gain, compare_models, cross_validate, stratified_folds)


@pytest.fixture(scope="module")
def graphs():
    return load_mutagenicity()


def network(kind=MutagenicityNet, seed=0, **options):
    torch.manual_seed(seed)
    return kind(**options)


# networks

def test_essay_network_is_pyg_layer_by_layer(graphs):
    "The same weights in PyG's own layers, written as PyG's example has them."
    nn, net = require_pyg("torch_geometric.nn"), network().eval()
    batch = batch_graphs(graphs, range(30))
    weight = torch.rand(batch.edge_index.shape[1])
    x = batch.x
    for conv in net.convs:
        x = nn.GraphConv.forward(conv, x, batch.edge_index, weight).relu()
    x = nn.global_add_pool(x, batch.batch)
    x = torch.log_softmax(net.out(net.hidden(x).relu()), -1)
    found = net(batch.x, batch.edge_index, batch.batch, weight)
    assert torch.allclose(found, x) and len(net.convs) == 5
    assert [c.out_channels for c in net.convs] == [64] * 5


@pytest.mark.parametrize("kind", [MutagenicityNet, BondNet])
def test_batches_and_order_of_atoms_do_not_matter(graphs, kind):
    net = network(kind).eval()
    together = predict(net, graphs[:20])
    assert torch.allclose(together, torch.cat([predict(net, [graphs[i]])
                                               for i in range(20)]), atol=1e-4)
    one = graphs[4]
    order = torch.randperm(one.num_nodes)
    turned = one.clone()
    turned.x, turned.edge_index = one.x[order], torch.argsort(order)[one.edge_index]
    assert torch.allclose(predict(net, [turned]), predict(net, [one]), atol=1e-4)


@pytest.mark.parametrize("kind", [MutagenicityNet, BondNet])
def test_merged_graphs_give_the_same(graphs, kind):
    net, batch = network(kind).eval().double(), batch_graphs(graphs, range(300))
    doubles = [replace(batch, x=batch.x.double(), edge_attr=batch.edge_attr.double())]
    doubles.append(merge_alike(doubles[0], takes(net, "edge_attr")))
    doubles[1] = replace(doubles[1], node_weight=doubles[1].node_weight.double(),
                         edge_weight=doubles[1].edge_weight.double())
    with torch.no_grad():
        assert torch.allclose(*(call_model(net, b) for b in doubles), rtol=1e-9)


def test_bonds_are_seen_by_the_second_network_only():
    pair = molecule_graphs([parse_smiles("C=CC=C"), parse_smiles("C=CC=C")])
    pair.edge_attr[:10, 0] += 1
    for kind, same in ((MutagenicityNet, True), (BondNet, False)):
        one, two = predict(network(kind), pair)
        assert torch.allclose(one, two) is same


def test_a_network_of_ones_own(graphs):
    "Whatever has forward(x, edge_index, batch, edge_weight=None) can be called."
    class Count(torch.nn.Module):
        def forward(self, x, edge_index, batch, edge_weight=None):
            n = torch.bincount(batch).float()
            return torch.stack([n, -n], 1)
    outputs = predict(Count(), graphs[:3])
    assert outputs[:, 0].tolist() == graphs[:3].n_atoms.tolist()
    with pytest.raises(ValueError, match="node_weight"):
        call_model(Count(), merge_alike(batch_graphs(graphs, [0])))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"n_layers": 0}, {"width": 2.5}])
def test_bad_sizes(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MutagenicityNet(**wrong)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BondNet(**wrong)


def test_checkpoints(tmp_path):
    net, path = network(width=8), tmp_path / "net.pt"
    save_checkpoint(path, net, note="x")
    twin = network(width=8, seed=1)
    assert load_checkpoint(path, twin) == {"note": "x"}
    assert torch.equal(twin.out.weight, net.out.weight)
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]
    for other in (network(width=9), network(BondNet, width=8)):
        before = {k: v.clone() for k, v in other.state_dict().items()}
        with pytest.raises(ValueError, match="another network"):
            load_checkpoint(path, other)
        assert all(torch.equal(v, other.state_dict()[k]) for k, v in before.items())
    whole = path.read_bytes()
    for damaged in (whole[:len(whole) // 2], b"", b"no checkpoint"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="no whole checkpoint"):
            load_checkpoint(path, twin)
        assert path.read_bytes() == damaged
    with pytest.raises(FileNotFoundError, match="train first"):
        load_checkpoint(tmp_path / "none.pt", twin)


def test_no_code_of_a_checkpoint_runs(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))
    torch.save({"architecture": "", "model": Harm()}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match="no whole checkpoint"):
        load_checkpoint(tmp_path / "net.pt", network(width=8))
    assert not (tmp_path / "harm").exists()


# training

@pytest.mark.parametrize("plan", [
    Plan(epochs=4, seed=3), Plan(epochs=4, seed=3, bond_removal=0.5),
    Plan(epochs=4, schedule="halve", shuffle=False),
    Plan(epochs=5, patience=2, lr=0.05)])
def test_a_stopped_run_goes_on_as_if_it_had_not(graphs, tmp_path, plan):
    train, valid = graphs[:150], graphs[150:220]
    whole, parts = network(width=8), network(width=8)
    history = fit(whole, train, plan, valid, progress=False)
    for _ in range(plan.epochs + 1):
        again = network(width=8, seed=9)  # a new process has other weights
        again.load_state_dict(parts.state_dict())
        parts = again
        last = fit(parts, train, plan, valid, tmp_path / "run.pt", False, stop_after=1)
    assert last == history
    for key, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[key]), key


def test_training_learns_and_depends_on_the_seed(graphs):
    some, runs = graphs[:400], {}
    for seed in (0, 1):
        net = network()
        runs[seed] = fit(net, some, Plan(epochs=20, seed=seed), progress=False)
        assert accuracy(predict(net, some), some.y) > 0.68
    assert runs[0] != runs[1] and runs[0].loss[-1] < runs[0].loss[0]
    assert fit(network(), some, Plan(epochs=20, seed=0), progress=False) == runs[0]


def test_the_seed_decides_the_order(graphs):
    "Without dropout nothing else is random."
    losses = [fit(network(width=8, dropout=0.0), graphs[:100], Plan(epochs=2, seed=s),
                  progress=False).loss for s in (0, 1)]
    assert losses[0] != losses[1]


def test_patience_keeps_the_best_weights(graphs):
    net = network(width=16)
    history = fit(net, graphs[:200], Plan(epochs=30, patience=3, lr=0.02),
                  graphs[200:300], progress=False)
    assert len(history.loss) == history.best_epoch + 3 < 30
    outputs = predict(net, graphs[200:300])
    loss = float(torch.nn.functional.nll_loss(outputs, graphs.y[200:300]))
    assert loss == pytest.approx(min(history.valid_loss), rel=1e-4)
    assert loss < history.valid_loss[-1]


def test_training_leaves_global_randomness_alone(graphs):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    net = MutagenicityNet.__new__(MutagenicityNet)
    with torch.random.fork_rng(devices=[]):
        net = network(width=8)
    fit(net, graphs[:60], Plan(epochs=1), progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_bonds_are_removed_in_both_directions(graphs):
    batch = batch_graphs(graphs, range(200))
    torch.manual_seed(0)
    weight = remove_bonds(batch, 0.5)
    assert torch.equal(weight[::2], weight[1::2]) and set(weight.tolist()) == {0.0, 1.0}
    assert 0.7 < float(weight.mean()) < 0.8  # a quarter on average
    assert remove_bonds(batch, 0.0).all()


@pytest.mark.parametrize("wrong", [
    {"epochs": 0}, {"batch_size": 0}, {"lr": 0}, {"lr": 2.0}, {"schedule": "linear"},
    {"optimizer": "SGD"}, {"label_smoothing": 3}, {"weight_decay": -1},
    {"bond_removal": 1.5}, {"patience": -1}])
def test_bad_plans(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plan(**wrong)


def test_bad_training(graphs, tmp_path):
    net, path = network(width=8), tmp_path / "run.pt"
    with pytest.raises(ValueError, match="needs a validation part"):
        fit(net, graphs[:20], Plan(patience=1))
    with pytest.raises(ValueError, match="at least one graph"):
        fit(net, [])
    fit(net, graphs[:20], Plan(epochs=1), checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="another plan"):
        fit(net, graphs[:20], Plan(epochs=2), checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="other graphs"):
        fit(net, graphs[1:21], Plan(epochs=1), checkpoint=path, progress=False)
    with torch.no_grad():
        net.out.bias[:] = float("nan")
    with pytest.raises(ValueError, match="smaller lr"):
        fit(net, graphs[:20], Plan(epochs=1), progress=False)


def test_the_recipe_of_the_essay():
    "As the author's public notebook has it."
    assert Plan(epochs=200, batch_size=128, lr=1e-3, schedule="halve",
                              optimizer="Adam", shuffle=False) == ESSAY_PLAN


# validation

def test_folds(graphs):
    folds = stratified_folds(graphs.y, 10, seed=4)
    assert set(folds) == set(range(10)) and np.bincount(folds).min() >= 433
    mutagens = [int((graphs.y[folds == k] == 0).sum()) for k in range(10)]
    assert max(mutagens) - min(mutagens) <= 1
    assert not np.array_equal(folds, stratified_folds(graphs.y, 10, seed=5))
    for y, n in (([0, 0, 1], 2), ([0, 1] * 5, 1)):
        with pytest.raises(ValueError, match="fold"):
            stratified_folds(y, n)


def make():
    return MutagenicityNet(width=8)


def test_cross_validation_goes_on_from_the_last_fold(graphs, tmp_path, monkeypatch):
    import litlab.explain.validation as module
    some, plan = graphs[:240], Plan(epochs=2)
    whole = cross_validate(make, some, plan, 4, progress=False)
    real, calls = module.fit, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)
    monkeypatch.setattr(module, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(make, some, plan, 4, folder=tmp_path, progress=False)
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["fold_0.pt", "fold_1.pt"]
    again = cross_validate(make, some, plan, 4, folder=tmp_path, progress=False)
    assert len(calls) == 5  # two done, one interrupted, two more
    assert np.array_equal(again.outputs, whole.outputs)
    assert np.array_equal(again.accuracy, whole.accuracy)
    assert again.histories == whole.histories
    (tmp_path / "fold_1.pt").write_bytes(b"half")
    with pytest.raises(ValueError, match="fold_1.pt is no whole checkpoint"):
        cross_validate(make, some, plan, 4, folder=tmp_path, progress=False)


def test_two_processes_share_the_folds(graphs, tmp_path, monkeypatch):
    "A fold that another one is at comes last; none is done twice."
    import filelock

    import litlab.explain.validation as module
    some, done, real = graphs[:120], [], module._one_fold
    other = filelock.FileLock(tmp_path / "fold_0.lock")

    def one_fold(make_model, graphs, plan, folds, k, *more):
        done.append(k)
        if len(done) == 2:
            other.release()  # the other process is stopped
        return real(make_model, graphs, plan, folds, k, *more)
    monkeypatch.setattr(module, "_one_fold", one_fold)
    with other:
        found = cross_validate(make, some, Plan(epochs=1), 3, folder=tmp_path,
                               progress=False)
    assert done == [1, 2, 0] and not np.isnan(found.outputs).any()
    alone = cross_validate(make, some, Plan(epochs=1), 3, progress=False)
    assert np.array_equal(found.accuracy, alone.accuracy)


def test_each_graph_is_predicted_by_a_model_that_has_not_seen_it(graphs):
    some = graphs[:240]
    found = cross_validate(make, some, Plan(epochs=1), 3, progress=False)
    for k, model in enumerate(found.models):
        mine = found.folds == k
        assert np.allclose(predict(model, some.select(mine)), found.outputs[mine])
        right = found.outputs[mine].argmax(1) == some.y.numpy()[mine]
        assert found.accuracy[k] == pytest.approx(right.mean())
    part = cross_validate(make, some, Plan(epochs=1), 3, only=[1], progress=False)
    assert np.isnan(part.outputs[found.folds != 1]).all()
    assert np.array_equal(part.outputs[found.folds == 1],
                          found.outputs[found.folds == 1])
    with pytest.raises(ValueError, match="from 0 to 2"):
        cross_validate(make, some, Plan(epochs=1), 3, only=[3])
    with pytest.raises(ValueError, match="at least 3 folds"):
        cross_validate(make, some, Plan(epochs=1, patience=1), 2)
    twice = cross_validate(make, some, Plan(epochs=1), 3, only=[1, 1], progress=False)
    assert len(twice.accuracy) == 1


@pytest.mark.parametrize("patience", [0, 2])
def test_test_folds_are_not_trained_on(graphs, monkeypatch, patience):
    "Nor the validation part, if there is one; the test fold then stays out of both."
    import litlab.explain.validation as module
    some, seen = graphs[:240], []
    real = module.fit

    def spy(model, train, plan, valid, *more):
        seen.append((set(train.molecules), set(valid.molecules)))
        return real(model, train, plan, valid, *more)
    monkeypatch.setattr(module, "fit", spy)
    plan = Plan(epochs=2, patience=patience)
    found = cross_validate(make, some, plan, 4, progress=False)
    for k, (train, valid) in enumerate(seen):
        test = {m for m, fold in zip(some.molecules, found.folds) if fold == k}
        assert not train & test and not train & valid
        assert (valid & test == set()) is bool(patience)
        assert len(train | test | valid) == 240


def test_other_data_do_not_take_over_a_folder(graphs, tmp_path):
    cross_validate(make, graphs[:100], Plan(epochs=1), 2, folder=tmp_path,
                   progress=False)
    for other, seed in ((graphs[1:101], 0), (graphs[:100], 1)):
        with pytest.raises(ValueError, match="another plan or data set"):
            cross_validate(make, other, Plan(epochs=1), 2, seed=seed, folder=tmp_path,
                           progress=False)


def result(right, y, folds):
    "A cross-validation that is right where it is told to be."
    said = np.where(right, y, 1 - y)
    outputs = np.log(np.where(np.eye(2)[said] > 0, 0.9, 0.1))
    scores = np.array([right[folds == k].mean() for k in np.unique(folds)])
    return CrossValidation(scores, scores, outputs, folds, (), ())


def test_comparison_by_hand():
    y, folds = np.array([0, 1] * 10), np.repeat([0, 1], 10)
    first, second = np.ones(20, bool), np.ones(20, bool)
    first[:8], second[0] = False, True
    second[19] = False  # 8 only the second gets right, 1 only the first
    found = compare_models(result(first, y, folds), result(second, y, folds), y)
    assert (found.only_first, found.only_second) == (1, 8)
    assert found.p_molecules == pytest.approx(2 * (1 + 9) / 2**9)
    assert found.gain == pytest.approx((0.8 - 0.1) / 2)
    assert found.standard_error == pytest.approx(np.sqrt((1 / 2 + 1) * 0.405))
    with pytest.raises(ValueError, match="different folds"):
        compare_models(result(first, y, folds), result(first, y, 1 - folds), y)
    with pytest.raises(ValueError):
        best_epoch_gain(result(first, y, folds))
