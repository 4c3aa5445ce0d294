"""Draw the moving picture of README.md: a double pendulum and a network's idea of it.

Usage: python tools/pendulum.py      (draws nbs/images/pendulum.svg)"""

from pathlib import Path

import numpy as np

from litlab.core.plots import COLOURS
from litlab.dynamics.comparison import THRESHOLD, between, compare_pendulum
from litlab.dynamics.systems import CASES

PICTURE = Path(__file__).resolve().parent.parent / "nbs/images/pendulum.svg"
START, SECONDS, STEP = "fails", 16.0, 0.04  # case, s, s between two frames
UNIT, PIVOT, WIDTH, HEIGHT = 62, 52, 640, 366  # px a metre, px, px, px
PLOT = 60, 246, 550, 78  # px: x, y, width, height of the curve
GREY = COLOURS["grey"]

FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 width="{width}" height="{height}" role="img" font-family="system-ui, sans-serif"
 font-size="13" fill="{grey}" stroke-linecap="round" stroke-linejoin="round">
<title>{title}</title>
<style>.still {{ display: none }}
@media (prefers-reduced-motion: reduce) {{
  .moving {{ display: none }} .still {{ display: inline }} }}</style>
{body}
</svg>
"""


def moving(attribute, values, more=""):
    "An attribute that goes through values again and again."
    tag = "animateTransform" if more else "animate"
    return (f'<{tag} attributeName="{attribute}" {more}dur="{SECONDS:g}s" '
            f'repeatCount="indefinite" values="{";".join(values)}"/>')


def rod(length, mass, colour, inner=""):
    "A rod that hangs from the origin, its bob, and what hangs from that."
    return (f'<path d="M0 0V{length:g}" stroke="{GREY}" stroke-width="3"/>'
            f'<g transform="translate(0 {length:g})">{inner}</g>'
            f'<circle r="3"/><circle cy="{length:g}" '
            f'r="{6 + 3 * mass ** (1 / 3):.1f}" fill="{colour}"/>')


def turned(degrees, inner):
    "Something turned by angles, one a frame, or by one for good."
    turns = [f"{-d:.1f}" for d in degrees]
    motion = moving("transform", turns, 'type="rotate" ') if len(turns) > 1 else ""
    return f'<g transform="rotate({turns[0]})">{motion}{inner}</g>'


def pendulum(path, x, y, colour, name):
    "A pendulum that swings, with the way of its lower bob."
    frames = np.arange(0, SECONDS + STEP / 2, STEP)
    a, b = between(path, frames).T
    l1, l2 = path.system.l1 * UNIT, path.system.l2 * UNIT
    at = np.c_[l1 * np.sin(a) + l2 * np.sin(b), l1 * np.cos(a) + l2 * np.cos(b)]
    way = np.r_[0, np.cumsum(np.hypot(*np.diff(at, axis=0).T))]
    d = "M" + "L".join(f"{u:.1f} {v:.1f}" for u, v in at)
    style = (f'd="{d}" fill="none" stroke="{colour}" stroke-width="1.5" pathLength="1" '
             'stroke-linecap="butt" opacity=".7"')
    tail = 0.12  # of the whole way
    dashes = [f"0 {max(0, w - tail):.4f} {min(w, tail):.4f} 2" for w in way / way[-1]]

    def swing(n):  # frames
        inner = turned(np.degrees(b - a)[:n], rod(l2, path.system.m2, colour))
        return turned(np.degrees(a)[:n], rod(l1, path.system.m1, colour, inner))
    return (f'<text x="{x}" y="20" text-anchor="middle">{name}</text>'
            f'<g transform="translate({x} {y})"><g class="moving"><path {style} '
            f'stroke-dasharray="{dashes[0]}">'
            + moving("stroke-dasharray", dashes) + f"</path>{swing(None)}</g>"
            f'<g class="still"><path {style}/>{swing(1)}</g></g>')


def curve(found):
    "The separation on a log scale, its threshold, and a cursor that runs along."
    x, y, width, height = PLOT
    low, high, red, end = -4, 0.5, COLOURS["red"], y + height

    def place(values):
        log = np.clip(np.log10(np.maximum(values, 1e-9)), low, high)
        return y + height * (high - log) / (high - low)
    t, rows = found.true.t[1:], place(found.separation[1:])
    points = " ".join(f"{x + width * u / SECONDS:.1f},{v:.1f}" for u, v in zip(t, rows))
    limit, at = place(THRESHOLD), x + width * found.valid_time / SECONDS
    ticks = [f'<path d="M{x} {place(v):.1f}H{x + width}" stroke="{GREY}" '
             f'opacity=".3"/><text x="{x - 6}" y="{place(v) + 4:.1f}" '
             f'text-anchor="end">{v:g}</text>' for v in (1, 0.01, 0.0001)]
    ticks += [f'<text x="{x + width * v / SECONDS:.1f}" y="{end + 17}" '
              f'text-anchor="middle">{v}</text>' for v in range(0, 16, 5)]
    return "".join(ticks) + (
        f'<polyline points="{points}" fill="none" stroke="{COLOURS["orange"]}" '
        f'stroke-width="1.5"/><path d="M{x} {limit:.1f}H{x + width}" stroke="{red}" '
        f'stroke-dasharray="5 4"/><path d="M{at:.1f} {y - 4}V{end}" stroke="{red}" '
        f'stroke-width="2"/><text x="{at + 6:.1f}" y="{y - 2}">diverges at '
        f'{found.valid_time:.1f} s</text><text x="{x}" y="{y - 2}">separation</text>'
        f'<text x="{x + width / 2:g}" y="{end + 34}" text-anchor="middle">time in s'
        f'</text><path class="moving" d="M{x} {y}V{end}" stroke="{GREY}" '
        'stroke-width="2">'
        + moving("transform", ["0", f"{width}"], 'type="translate" ') + "</path>")


def picture():
    "The animation as SVG, the same at each call."
    found = compare_pendulum(*CASES[START], "network", seconds=SECONDS)
    body = "\n".join([
        pendulum(found.true, WIDTH / 4, PIVOT, COLOURS["blue"], "true pendulum"),
        pendulum(found.predicted, 3 * WIDTH / 4, PIVOT, COLOURS["orange"], "network"),
        curve(found)])
    return FRAME.format(width=WIDTH, height=HEIGHT, grey=GREY, body=body, title=(
        "A double pendulum and a network that imitates it, which part after "
        f"{found.valid_time:.1f} s"))


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
