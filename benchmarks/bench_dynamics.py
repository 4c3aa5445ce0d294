"""Paths of double pendulums: ours, SciPy's solvers, surrogates, and how many at once.

    python benchmarks/bench_dynamics.py [--paths N] [--rounds N] [--part PART]

PART is solvers, lanes or surrogates; none does all. All make paths of 20 s from random
starts at rest, once in each round, after one round to warm up. The table gives the
median time, and how many times longer than the first line it is: the median of the
ratios within a round, with the smallest and the largest. For the solvers, the largest
energy drift of each, as a share of the depth of the well, stands above it. One core.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np
from scipy.integrate import odeint

from litlab.dynamics.energy import EnergyLaw
from litlab.dynamics.fields import LagrangianNetwork, ResidualNetwork
from litlab.dynamics.integrators import (
    PENDULUM, USUAL, energy_drift, law_for_scipy, solve, starts_at_rest)
from litlab.dynamics.mechanics import MechanicsRidge, random_paths
from litlab.dynamics.races import by_odeint, by_solve_ivp
from paired import measure, table

T = 0.05 * np.arange(401)


def ours(start, step=0.0125, method="dop853"):
    "All paths in one call."
    return solve(PENDULUM, USUAL, start, 20, 0.05, step, method)[1]


def plain_law(y, t, m1=2.0, m2=1.0, l1=1.4, l2=1.0, g=9.8):
    "The law as one writes it in Python, for a solver that calls it so."
    a, b, u, v = y
    s, c = np.sin(a - b), np.cos(a - b)
    mu = m1 + m2 * s * s
    return [u, v, (m2 * g * np.sin(b) * c - (m1 + m2) * g * np.sin(a)
                   - m2 * s * (l1 * u * u * c + l2 * v * v)) / (l1 * mu),
            ((m1 + m2) * (g * np.sin(a) * c - g * np.sin(b) + l1 * u * u * s)
             + m2 * l2 * v * v * s * c) / (l2 * mu)]


def solvers_part(start, rounds):
    "The same paths by several solvers."
    law = law_for_scipy(PENDULUM, USUAL)
    compared = {
        "litlab, DOP853, step 0.0125 s": lambda: ours(start),
        "litlab, DOP853, step 0.00625 s": lambda: ours(start, 0.00625),
        "litlab, RK4, step 0.0025 s": lambda: ours(start, 0.0025, "rk4"),
        "litlab, one call for each path": lambda: np.concatenate(
            [ours(s) for s in start]),
        "odeint, 1e-10, compiled law": lambda: by_odeint(start, T, law),
        "odeint, as it comes, law in Python": lambda: np.stack(
            [odeint(plain_law, s, T) for s in start]),
        "solve_ivp DOP853, 1e-9, compiled law": lambda: by_solve_ivp(start, T, law),
    }
    print(f"\n{len(start)} paths of 20 s; largest energy drift")
    for name, function in compared.items():
        print(f"{name:40}{energy_drift(USUAL, function()).max():9.1e}")
    print(table(measure(compared, rounds)))


def lanes_part(rounds):
    "The cost of a path, by how many there are."
    sizes = (1, 4, 16, 64, 256)
    starts = {n: starts_at_rest(n) for n in sizes}
    compared = {f"256 paths, {n} in a call": lambda n=n: [
        ours(starts[n]) for _ in range(256 // n)] for n in sizes}
    print("\nThe same work in calls of several sizes")
    print(table(measure(compared, rounds)))


def surrogates_part(n, rounds):
    "Rollouts of trained models, all at once and one by one."
    paths, start = random_paths(100, 1000), starts_at_rest(n)
    models = [ResidualNetwork(width=64, depth=3, steps=50), LagrangianNetwork(steps=50)]
    models = [m.fit(random_paths(100, 1000, 0.05)) for m in models]
    models.append(MechanicsRidge(order=12).fit(paths))
    models.append(EnergyLaw().fit(paths[:1]))
    print(f"\n{n} rollouts of 20 s (what was learned does not change the time)")
    for model in models:
        steps, name = round(20 / model.dt_), type(model).__name__
        print(table(measure({
            f"{name}, all at once": lambda m=model, k=steps: m.rollout(start, k),
            f"{name}, one by one": lambda m=model, k=steps: [m.rollout(s, k)
                                                             for s in start],
            "the exact law, all at once": lambda: ours(start)}, rounds)))


def main():
    "Read the sizes, measure, print."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=("solvers", "lanes", "surrogates"))
    given = parser.parse_args()
    if given.part in (None, "solvers"):
        solvers_part(starts_at_rest(given.paths), given.rounds)
    if given.part in (None, "lanes"):
        lanes_part(given.rounds)
    if given.part in (None, "surrogates"):
        surrogates_part(given.paths, given.rounds)


if __name__ == "__main__":
    main()
