"""Paired timings: several functions in turn, round after round, as ratios."""

import time
from statistics import median


def measure(compared, rounds):
    "Seconds of each function in each round, after one call of each to warm up."
    for function in compared.values():
        function()
    seconds = {name: [] for name in compared}
    for _ in range(rounds):
        for name, function in compared.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds):
    "One line a function: milliseconds, and the ratio to the first."
    ours = next(iter(seconds.values()))
    lines = [f"{'method':40}{'ms':>9}{'ratio':>8}   (least, most)"]
    for name, taken in seconds.items():
        ratios = [t / o for t, o in zip(taken, ours)]
        lines.append(f"{name:40}{1000 * median(taken):9.1f}{median(ratios):8.2f}   "
                     f"({min(ratios):.2f}, {max(ratios):.2f})")
    return "\n".join(lines)
