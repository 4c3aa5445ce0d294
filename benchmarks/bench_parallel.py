"""Engines against two raw processes, and against their own calls, in one run.

    python benchmarks/bench_parallel.py [--part pi|cost|map] [--trials N] [--repeats N]

`pi`: the essay's Pi in 4 to 100 blocks on each engine, in turn with two raw processes.
Efficiency must be 0.9 at 10 blocks; where two raw processes don't beat one by 1.7,
nothing is said. `cost`: a no-op through this lab's interface and through the engine's
own call, in turn; at most a tenth, or 0.1 ms, may be added. `map`: a million tiny calls
with chunksize on two processes, at least 100,000 a second.
"""

import argparse

import pandas as pd

from litlab.parallel.executors import make_executor
from litlab.parallel.overheads import added_costs, map_rate
from litlab.parallel.pi import ENGINES, GATE, RawProcesses, engine_race, free_cores

BLOCKS = (4, 5, 10, 20, 100)


def pi(trials, repeats):
    "Mean and deviation of the efficiency, by engine and number of blocks."
    blocks = tuple(b for b in BLOCKS if b <= trials)
    with RawProcesses(2) as raw:
        gain = free_cores(raw)
        print(f"two raw processes beat one by {gain:.2f}")
        if gain < GATE:
            print("speedup not measurable here")
            return
        table = pd.concat([engine_race(raw, kind, blocks, trials, repeats)
                           for kind in ENGINES])
    table["efficiency"] = table.raw / table.seconds
    found = table.groupby(["engine", "blocks"]).efficiency
    print(found.agg(["mean", "std"]).unstack().round(3).to_string())


def cost():
    "Milliseconds a no-op, and what is added."
    for kind, (own, added) in added_costs().items():
        allowed = max(0.1 * own, 1e-4)
        print(f"{kind:10} {1e3 * own:6.3f} ms, added {1e3 * added:+.4f} ms "
              f"(allowed {1e3 * allowed:.3f})")


def rate(repeats):
    "Calls a second."
    with make_executor("processes", 2) as pool:
        map_rate(pool, 20_000)
        print("map: " + ", ".join(f"{map_rate(pool):,.0f}" for _ in range(repeats))
              + " calls a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("pi", "cost", "map"))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if args.part in (None, "pi"):
        pi(args.trials, args.repeats)
    if args.part in (None, "cost"):
        cost()
    if args.part in (None, "map"):
        rate(args.repeats)
