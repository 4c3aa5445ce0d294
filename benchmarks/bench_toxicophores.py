"""Graph networks: explaining and training, ours against Captum, PyG and a plain loop.

    python benchmarks/bench_toxicophores.py [--graphs N] [--rounds N] [--part PART]

PART is explain, masks or train; none does all three. Every method runs once in each
round, after one round to warm up. The tables give the median time, and how many times
longer than the first line it is: the median of the ratios within a round, with the
smallest and the largest. One thread each, but where two are named. The last line of
the training table says how much of the time a processor needs for the bare products of
matrices, which no other way of adding messages can save.
"""

import argparse
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np
import torch

from litlab.explain.edges import frozen
from litlab.explain.explanations import edge_attributions, explain_by_captum
from litlab.explain.graphs import load_mutagenicity, require_pyg
from litlab.explain.masks import explain_by_masks
from litlab.explain.networks import MutagenicityNet
from litlab.explain.training import Plan, fit
from paired import measure, table

CONFIG = {"mode": "multiclass_classification", "task_level": "graph",
          "return_type": "log_probs"}


def by_pyg(model, graphs, algorithm):
    "PyG's explainers take a graph at a time."
    explain = require_pyg("torch_geometric.explain")
    explainer = explain.Explainer(
        model, algorithm, explanation_type="phenomenon", edge_mask_type="object",
        model_config=CONFIG)
    return torch.cat([explainer(
        g.x, g.edge_index, target=torch.tensor([0]),
        batch=torch.zeros(g.num_nodes, dtype=torch.long)).edge_mask for g in graphs])


def explain_part(store, chosen, rounds):
    "Integrated gradients of all bonds, 50 steps."
    some = store.select(chosen)
    graphs = list(some)
    torch.manual_seed(0)
    model = MutagenicityNet().eval().requires_grad_(False)
    captum = require_pyg("torch_geometric.explain").CaptumExplainer
    compared = {
        "litlab, together": lambda: edge_attributions(model, some).values,
        "litlab, together, two threads": lambda: edge_attributions(
            model, some, n_threads=2, batch_size=-(-len(some) // 2)).values,
        "captum, one at a time (the essay)": lambda: torch.cat(
            [explain_by_captum(model, g) for g in graphs]),
        "PyG CaptumExplainer": lambda: by_pyg(
            model, graphs, captum("IntegratedGradients", n_steps=50)),
    }
    first, *others = [function() for function in compared.values()]
    worst = max(float((first - other).abs().max()) for other in others)
    print(f"\nIntegrated gradients, {len(some)} molecules; differences to {worst:.1g}"
          f" of {float(first.abs().max()):.2g}")
    print(table(measure(compared, rounds)))


def masks_part(store, chosen, rounds):
    "GNNExplainer's masks, 100 steps of Adam."
    some = store.select(chosen)
    graphs = list(some)
    torch.manual_seed(0)
    model = MutagenicityNet().eval()
    explainer = require_pyg("torch_geometric.explain").GNNExplainer
    with frozen(model):
        print(f"\nOptimised masks, {len(some)} molecules, 100 steps")
        print(table(measure({
            "litlab, together": lambda: explain_by_masks(model, some, target=0),
            "litlab, together, two threads": lambda: explain_by_masks(
                model, some, target=0, n_threads=2, batch_size=-(-len(some) // 2)),
            "PyG GNNExplainer": lambda: by_pyg(model, graphs, explainer(epochs=100)),
        }, rounds)))


def plain_epoch(model, graphs, batch_size):
    "One epoch by PyG's DataLoader."
    loader = require_pyg("torch_geometric.loader").DataLoader(
        graphs, batch_size=batch_size)
    optimizer, total = torch.optim.Adam(model.parameters(), lr=1e-3), 0.0
    model.train()
    for batch in loader:
        output = model(batch.x, batch.edge_index, batch.batch)
        loss = torch.nn.functional.nll_loss(output, batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += float(loss.detach()) * batch.num_graphs
    return total / len(graphs)


def products(store, width=64, n_layers=5):
    "Seconds of the bare matrix products of one epoch, whole graphs, one thread."
    atoms, a = len(store.x), torch.randn(2000, 2 * width)
    b = torch.randn(2 * width, width)
    a @ b
    start = time.perf_counter()
    for _ in range(50):
        a @ b
    speed = 50 * 2 * a.numel() * width / (time.perf_counter() - start)
    flop = 3 * 2 * atoms * 2 * width * (width * (n_layers - 1) + 14)
    return flop, flop / speed


def train_part(store, rounds, batch_size=64):
    "Epochs of the essay's network on all molecules, without dropout."
    graphs = list(store)
    plan = Plan(epochs=10, batch_size=batch_size, lr=1e-3, schedule="halve",
                shuffle=False)
    torch.manual_seed(0)
    models = [MutagenicityNet(dropout=0.0) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    ours = fit(models[0], store, plan, progress=False).loss[0]
    theirs = plain_epoch(models[1], graphs, batch_size)
    print(f"\nTraining, {len(store)} molecules, batches of {batch_size}; "
          f"loss of the first epoch {ours:.5f} and {theirs:.5f}")

    def plain_epochs():
        for _ in range(10):
            plain_epoch(models[1], graphs, batch_size)
    print(table(measure({
        "litlab, ten epochs": lambda: fit(models[0], store, plan, progress=False),
        "PyG DataLoader, ten epochs": plain_epochs}, rounds)))
    flop, seconds = products(store)
    print(f"the bare products of whole graphs: {flop / 1e9:.0f} GFLOP and "
          f"{1000 * seconds:.0f} ms an epoch")


def main():
    "Read the sizes, measure, print."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=("explain", "masks", "train"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = load_mutagenicity()
    chosen = np.random.default_rng(0).choice(len(store), given.graphs, replace=False)
    if given.part in (None, "explain"):
        explain_part(store, chosen, given.rounds)
    if given.part in (None, "masks"):
        masks_part(store, chosen, given.rounds)
    if given.part in (None, "train"):
        train_part(store, given.rounds)


if __name__ == "__main__":
    main()
