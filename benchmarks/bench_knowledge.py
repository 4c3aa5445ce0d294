"""What a layer, an index and two steps through a graph cost, by number of articles.

    python benchmarks/bench_knowledge.py [--part layer|index|steps|forms] [--most N]
                                         [--write]

`layer`: one convolution with 384 numbers a row, at most 30 s of a core and 6 GB for 1.7
million articles. `index`: a question by meaning, p50 of at most 1 ms with recall of
0.95, beside the exact scan. `steps`: the ten articles that share the most, p50 of at
most 1 ms, from SQLite and from arrays. Each size runs in a process of its own. `forms`:
one layer on 3,000 articles in two passes and by the matrix of neighbours, in turn.
--write keeps the first three in data/scale.json, which nbs/knowledge/scale.ipynb draws.
"""

import argparse
import json
import multiprocessing
import platform
import re
import tempfile
from pathlib import Path

import paired
import pandas as pd

from litlab.core.data import replace_file
from litlab.knowledge.blocks import convolve_blocks
from litlab.knowledge.convolution import convolve
from litlab.knowledge.crowds import make_crowd
from litlab.knowledge.scale import PARTS, random_layer

SIZES = (1_000, 10_000, 100_000, 400_000, 1_700_000)
OUT = Path(__file__).resolve().parent.parent / "data/scale.json"


def machine():
    "The processor's name, and versions."
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    return (f"one core of {name[1] if name else platform.machine()}, "
            f"Python {platform.python_version()}")


def measured(call):
    "One part for one size, after a small one that compiles."
    part, n = call
    PARTS[part](500)
    return PARTS[part](n)


def curve(part, most):
    "A table: a row a size, each in a fresh process."
    context = multiprocessing.get_context("spawn")
    rows = []
    for n in [size for size in SIZES if size <= most]:
        with context.Pool(1) as pool:
            rows += pool.map(measured, [(part, n)])
            pool.close()
            pool.join()
        print(pd.DataFrame(rows[-1:]).round(3).to_string(header=len(rows) == 1),
              flush=True)
    return rows


def forms(n=3_000):
    "Two passes on disk, and the matrix of neighbours in memory."
    with tempfile.TemporaryDirectory() as folder:
        crowd = make_crowd(f"{folder}/crowd", n, sentences=2, progress=False)
        source, done = random_layer(f"{folder}/0", n), iter(range(10**6))
        rows, B = source.rows(), crowd.incidence()

        def matrix():
            weights = (B @ B.T).tolil()
            weights.setdiag(0)
            convolve(rows, weights.tocsr())
        print(paired.table(paired.measure({
            "two passes, on disk": lambda: convolve_blocks(
                source, crowd, f"{folder}/{next(done) + 1}"),
            "matrix of neighbours, in memory": matrix}, rounds=5)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=(*PARTS, "forms"))
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    kept = json.loads(OUT.read_text()) if OUT.exists() else {}
    kept["machine"] = machine()
    for part in PARTS:
        if args.part in (None, part):
            kept[part] = curve(part, args.most)
            if args.write:
                replace_file(OUT, json.dumps(kept, indent=1) + "\n")
    if args.part in (None, "forms"):
        forms()
