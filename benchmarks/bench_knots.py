"""The knot table, a knot at a time: the lab's way against SnapPy's own functions.

    python benchmarks/bench_knots.py [--knots N] [--rounds N]

The lab reads the signature off the Goeritz matrix and scales the cusp by hand. The
other way takes the Seifert matrix and SnapPy's `cusp_translations`. Both run on one
core; the times are for all knots together, and the last line is for one knot.
"""

import argparse
from statistics import median

import numpy as np

from litlab.explain.census import knot_invariants, knot_table
from litlab.explain.diagrams import knot_diagram, signature
from paired import measure, table


def seifert_signature(link):
    "The textbook's signature."
    matrix = np.array(link.seifert_matrix())
    return -int(np.sign(np.linalg.eigvalsh(matrix + matrix.T)).sum())


def scaled_cusp(exterior):
    "The lab's translations."
    cusp = exterior.cusp_neighborhood()
    grow = np.exp(float(cusp.stopping_displacement()))
    return [grow * complex(z) for z in cusp.translations()]


def main():
    "Read the sizes, check that both ways agree, measure, print."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("knots", 20), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    names = knot_table(given.knots, seed=5, progress=False)["name"].tolist()
    links = [knot_diagram(name) for name in names]
    codes = [link.PD_code() for link in links]
    exteriors = [link.exterior() for link in links]
    assert [signature(c) for c in codes] == [seifert_signature(x) for x in links]
    own = {
        "signature, Goeritz matrix": lambda: [signature(c) for c in codes],
        "signature, Seifert matrix": lambda: [seifert_signature(x) for x in links]}
    cusps = {
        "cusp, scaled by hand": lambda: [scaled_cusp(e) for e in exteriors],
        "cusp, cusp_translations()": lambda: [e.cusp_translations() for e in exteriors]}
    rows = {"all invariants": lambda: [knot_invariants(name) for name in names]}
    for compared in (own, cusps):
        print(table(measure(compared, given.rounds)), end="\n\n")
    seconds = measure(rows, given.rounds)["all invariants"]
    print(f"a row of the table: {1000 * median(seconds) / len(names):.2f} ms a knot")


if __name__ == "__main__":
    main()
