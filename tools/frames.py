"""Measure pandas, Modin and polars on one table; the times are stored with the lab.

Usage: python tools/frames.py [--rows N] [--rounds N] [--patience SECONDS] [--out FILE]
It needs modin[ray], polars and litlab: `make frames` makes such an environment."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import psutil

from litlab.core.data import replace_file
from litlab.parallel.frames import (
    OPERATIONS, open_inputs, polars_operations, same_result, time_operations,
    write_inputs)

OUT = Path(__file__).resolve().parent.parent / "data/frames.json"
ENGINES, SMALL, SEED = ("pandas", "modin", "polars"), 100_000, 0
PACKAGES = ("pandas", "modin", "ray", "polars", "pyarrow", "numpy")
QUIET = 1.5  # load average to wait for
STEP = 1.0  # s between two looks at the processes


def cores():
    "How many cores this process may use."
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def modin_on_ray(folder):
    "Modin on a Ray of our own, which is gone afterwards."
    import ray
    os.environ |= {"__MODIN_AUTOIMPORT_PANDAS__": "1",
                   "PYTHONWARNINGS": "ignore::FutureWarning"}
    try:
        ray.init(num_cpus=cores(), _temp_dir=str(folder), include_dashboard=False,
                 log_to_driver=False, configure_logging=False)
        import modin.pandas
        yield modin.pandas
    finally:
        ray.shutdown()


@contextlib.contextmanager
def engine(name, folder):
    "Library, operations, and what waits for a result."
    if name == "modin":
        with modin_on_ray(folder) as library:
            from modin.utils import execute
            yield library, OPERATIONS, execute
    elif name == "polars":
        import polars
        yield polars, polars_operations(), lambda result: None
    else:
        yield pd, OPERATIONS, lambda result: None


def one_round(name, folder):
    "One engine, warmed on the small table, then timed on the large one."
    warnings.simplefilter("ignore")
    with engine(name, folder) as (library, operations, finish):
        found = {}
        for size in ("small", "large"):
            inputs = open_inputs(library, folder / size)
            finish(inputs.table)
            finish(inputs.part)
            found["seconds"], found[size] = time_operations(operations, inputs, finish)
            del inputs
    return found


def tree(process):
    "A process and what it started: memory in bytes, and seconds of each id."
    memory, used = 0, {}
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            memory += one.memory_full_info().pss
            used[one.pid, one.create_time()] = sum(one.cpu_times()[:2])
    return memory, used


def end(used):
    "End what an engine has left behind."
    for pid, born in used:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.create_time() == born:
                process.kill()


def busy():
    "Seconds that the cores have worked since the machine was started."
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def watched_round(name, folder, tries=3):
    "A round in a process of its own, with its peak memory and what others took."
    out = folder / "found.json"
    before, start, peak, used = busy(), time.perf_counter(), 0, {}
    child = subprocess.Popen([sys.executable, __file__, "--engine", name,
                              "--folder", folder, "--out", out])
    try:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            with contextlib.suppress(psutil.Error):
                memory, now = tree(process)
                peak, used = max(peak, memory), used | now
            time.sleep(STEP)
    finally:
        child.kill()
        child.wait()
        end(used)
    if child.returncode:  # on a busy machine Ray gives up its start after 30 s
        if tries > 1:
            return watched_round(name, folder, tries - 1)
        sys.exit(f"{name} failed")
    took = time.perf_counter() - start
    others = (busy() - before - sum(used.values())) / took
    return json.loads(out.read_text()) | {
        "peak_mb": round(peak / 1e6), "others": round(max(0.0, others), 2)}


def wait_for_quiet(patience):
    "Wait until little else runs; the load average at the end."
    end = time.monotonic() + patience
    while os.getloadavg()[0] >= QUIET and time.monotonic() < end:
        time.sleep(5)
    return round(os.getloadavg()[0], 2)


def measure(rows, rounds, patience):
    "All engines in turn, several times."
    found = {name: [] for name in ENGINES}
    with tempfile.TemporaryDirectory(  # the paths of Ray's sockets must be short
            prefix="frames", dir="/tmp", ignore_cleanup_errors=True) as folder:
        for size, n in (("small", min(SMALL, rows)), ("large", rows)):
            Path(folder, size).mkdir()
            write_inputs(Path(folder, size), n, SEED)
        load = wait_for_quiet(patience)
        for i in range(rounds):
            for name in ENGINES:
                print(f"round {i + 1} of {rounds}: {name}", flush=True)
                found[name].append(watched_round(name, Path(folder)))
    return found, load


def summary(found, load, rows):
    "What is stored."
    first = found["pandas"][0]
    return {
        "rows": rows, "small_rows": min(SMALL, rows), "seed": SEED, "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9), "load_before": load,
        "others": {k: [r["others"] for r in v] for k, v in found.items()},
        "versions": {"python": sys.version.split()[0]} | {p: version(p)
                                                          for p in PACKAGES},
        "seconds": {k: {name: [round(r["seconds"][name], 4) for r in v]
                        for name in OPERATIONS} for k, v in found.items()},
        "peak_mb": {k: max(r["peak_mb"] for r in v) for k, v in found.items()},
        "agrees": {k: {name: all(same_result(r["large"][name], first["large"][name])
                                 for r in v) for name in OPERATIONS}
                   for k, v in found.items()},
        "small": first["small"]}


def main():
    "Measure, or, as a process that was started for it, measure one engine once."
    ask = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ask.add_argument("--rows", type=int, default=10_000_000)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--patience", type=float, default=300, help="s to wait for quiet")
    ask.add_argument("--out", type=Path, default=OUT)
    ask.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    ask.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = ask.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # cleans up on its way
    if given.engine:
        found = one_round(given.engine, given.folder)
    else:
        found = summary(*measure(given.rows, given.rounds, given.patience),
                        given.rows)
    replace_file(given.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
