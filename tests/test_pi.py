"Darts, blocks, raw processes, and the costs that are fitted to batches."

import math
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="needs pip install 'litlab[dynamics]'")

from litlab.core.claims import NotRun, Run  # noqa: E402
from litlab.parallel import overheads, pi  # noqa: E402
from litlab.parallel.executors import make_executor  # noqa: E402
from litlab.parallel.overheads import (  # noqa: E402
    BATCHES, batch_time, fit_cost, interface_cost, map_rate)
from litlab.parallel.pi import (  # noqa: E402
    KERNELS, RawProcesses, best_efficiency, cut, measured_race, parallel_pi,
    pi_efficiency, pi_estimate, throw)


@pytest.mark.parametrize("kernel", KERNELS)
def test_estimates_are_as_wrong_as_they_say(kernel):
    "Over 200 streams the errors have the size that equation (1) gives."
    streams = np.random.SeedSequence(5).spawn(200)
    hits = throw(kernel, 2000, streams)
    found = [pi_estimate([h], 2000) for h in hits]
    scores = np.array([(f.value - math.pi) / f.error for f in found])
    assert abs(scores.mean()) < 0.3 and 0.85 < scores.std() < 1.15
    assert len(set(hits)) > 50


@given(st.integers(1, 60), st.integers(1, 60))
@settings(deadline=None)
def test_blocks_are_a_partition(n, blocks):
    items = list(range(n))
    if blocks > n:
        with pytest.raises(ValueError, match="blocks"):
            cut(items, blocks)
        return
    parts = cut(items, blocks)
    assert [i for part in parts for i in part] == items and len(parts) == blocks
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_estimate_depends_on_the_seed_alone():
    "Not on engine, blocks, or on who works: the streams belong to the trials."
    found = set()
    for kind in ("serial", "threads", "processes"):
        with make_executor(kind, 2) as pool:
            found |= {parallel_pi(pool, 12, b, 3000, "numpy", 7).value for b in (1, 5)}
    with RawProcesses(2) as raw:
        found.add(raw.pi(12, 3000, "numpy", 7).value)
        assert raw.pi(12, 3000, "numpy", 7, processes=1).value in found
        assert raw.pi(12, 3000, "numpy", 8).value not in found
    assert len(found) == 1


def test_bad_numbers():
    with make_executor("serial") as pool:
        for wrong, words in (({"kernel": "fortran"}, "python, numpy"),
                             ({"trials": 0}, "trials"), ({"n": 2.5}, "n must"),
                             ({"trials": 3, "blocks": 4}, "blocks"),
                             ({"blocks": 0}, "blocks")):
            with pytest.raises(ValueError, match=words):
                parallel_pi(pool, **{"n": 10} | wrong)
    with pytest.raises(ValueError, match="n_workers"):
        RawProcesses(0)


def test_raw_processes_end():
    "At the end of the block, and at once if an error ends it."
    with pytest.raises(KeyboardInterrupt), RawProcesses(2) as raw:
        pids = [p.pid for p in raw.processes]
        raise KeyboardInterrupt
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_the_most_there_can_be():
    assert [best_efficiency(b, 2) for b in (1, 2, 3, 5)] == [0.5, 1, 0.75, 5 / 6]
    assert best_efficiency(7, 4) == 7 / 8


def test_nothing_is_said_where_cores_are_not_free(monkeypatch):
    "The gate: two processes that gain too little, or one core."
    measured_race.cache_clear()
    monkeypatch.setattr(pi, "free_cores", lambda raw: 1.4)
    with pytest.raises(NotRun, match="1.40"):
        measured_race(4)
    monkeypatch.setattr(pi, "usable_cores", lambda: 1)
    with pytest.raises(NotRun, match="one core"):
        measured_race(4)


def test_the_claim_takes_the_worst_engine(monkeypatch):
    table = pd.DataFrame({"engine": ["ray"] * 2 + ["dask"] * 2, "raw": [1.0] * 4,
                          "seconds": [1.0, 1.0, 1.25, 1.0]})
    monkeypatch.setattr(pi, "measured_race", lambda trials: (1.9, table))
    found = pi_efficiency(Run(0, SimpleNamespace(parallel_trials=4)))
    assert np.isclose(found.value, 0.9) and found.spread > 0.1
    assert "ray 1.00" in found.note and "1.90" in found.note


@given(st.floats(0, 0.1), st.floats(1e-5, 0.02))
@settings(deadline=None)
def test_costs_are_found_again(batch, task):
    rows = [(n, d, batch + n * task + math.ceil(n / 2) * d) for n, d in BATCHES]
    found = fit_cost(pd.DataFrame(rows, columns=["n", "seconds", "time"]))
    np.testing.assert_allclose(found, (batch, task), rtol=1e-6, atol=1e-9)


def test_batches_wait_for_all():
    with make_executor("threads", 2) as pool:
        assert batch_time(pool, 6, 0.02) >= 0.06


def test_a_wrong_result_has_no_rate():
    class Wrong:
        def map(self, function, values, chunksize):
            return [1 for _ in values]
    with pytest.raises(ArithmeticError):
        map_rate(Wrong(), 100, 10)


def test_the_cost_that_is_allowed(monkeypatch):
    "A tenth of the engine's own cost, or 0.1 ms if that is more."
    costs = {"processes": (1e-4, 5e-5), "dask": (1e-2, 2e-3)}
    monkeypatch.setattr(overheads, "added_costs", lambda: costs)
    assert np.isclose(interface_cost(Run()).value, 2.0)
    costs["dask"] = (1e-2, 0.0)
    assert np.isclose(interface_cost(Run()).value, 0.5)
