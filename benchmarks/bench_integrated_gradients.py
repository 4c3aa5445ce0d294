"""Integrated gradients of a batch: ours in one call, against Captum's.

    python benchmarks/bench_integrated_gradients.py [--rows N] [--steps N] [--rounds N]

Every method runs once in each round, after one round to warm up, on one thread. The
table gives the median time, and how many times longer than ours it is: the median of
the ratios within a round, with the smallest and the largest.
"""

import argparse

import torch
from captum.attr import IntegratedGradients

from litlab.explain.axioms import random_network
from litlab.explain.salience import integrated_gradients
from paired import measure, table


def methods(net, x, n_steps):
    "What is compared: name and a function without arguments."
    captum = IntegratedGradients(net)

    def one_by_one():
        return torch.cat([captum.attribute(row[None], n_steps=n_steps) for row in x])

    def steps_one_by_one():
        return captum.attribute(x, n_steps=n_steps, internal_batch_size=len(x))
    return {
        "litlab, the batch in one call": lambda: integrated_gradients(
            net, x, n_steps=n_steps),
        "captum, the batch in one call": lambda: captum.attribute(x, n_steps=n_steps),
        "captum, a sample at a time": one_by_one,
        "captum, a step at a time": steps_one_by_one,
    }


def agree(compared):
    "All methods must give the same attributions."
    first, *others = [function() for function in compared.values()]
    for other in others:
        assert torch.allclose(first, other, atol=1e-5), "the methods do not agree"


def main():
    "Read the sizes, measure, print."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 64), ("steps", 50), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    net = random_network(0, n_inputs=8, widths=(64, 64)).float()
    x = torch.randn(given.rows, 8, generator=torch.Generator().manual_seed(0))
    print(f"network 8-64-64-1, {given.rows} rows, {given.steps} steps, one thread, "
          f"median of {given.rounds} rounds")
    compared = methods(net, x, given.steps)
    agree(compared)
    print(table(measure(compared, given.rounds)))


if __name__ == "__main__":
    main()
