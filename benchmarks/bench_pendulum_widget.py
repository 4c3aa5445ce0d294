"""The pendulum's explorer in headless Chromium: frames a second, and answers.

    python benchmarks/bench_pendulum_widget.py [--seconds N] [--answers N]

The page of the widget, without a kernel. Frames are those that the page counts while
the true pendulum and the network swing; an answer is the time from a slider's event
until both have been computed for 30 s and drawn. Frames must be at least 30 a second,
and the median answer at most 100 ms.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from litlab.dynamics.comparison import MODELS
from litlab.dynamics.explorer import explore_pendulum
from test_widgets import PAGE, browser_page

BOX = ".lab-pendulum"


def measured(page, model, seconds, answers):
    "Frames a second over some seconds, and the answers to as many moves of a slider."
    page.get_by_label("model", exact=True).select_option(index=MODELS.index(model))
    page.get_by_role("button", name="Play").click()
    data = f"() => ({{ ...document.querySelector('{BOX}').dataset }})"
    page.wait_for_timeout(300)
    begun = int(page.evaluate(data)["frames"])
    clock = page.evaluate("performance.now()")
    page.wait_for_timeout(1000 * seconds)
    frames = int(page.evaluate(data)["frames"]) - begun
    rate = 1000 * frames / (page.evaluate("performance.now()") - clock)
    found = []
    page.get_by_label("theta2 in degrees", exact=True).focus()
    for _ in range(answers):
        page.keyboard.press("ArrowRight")
        found.append(float(page.evaluate(data)["answerMs"]))
    page.get_by_role("button", name="Pause").click()
    return rate, found


def main():
    "Measure each model, print a line each; an exit status of 1 if one is too slow."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--answers", type=int, default=40)
    given = parser.parse_args()
    html = explore_pendulum()._repr_mimebundle_()["text/html"]
    slow = False
    with tempfile.TemporaryDirectory() as folder, browser_page() as page:
        file = Path(folder) / "page.html"
        file.write_text(PAGE.format(color="#222", back="#fff", html=html))
        page.goto(file.as_uri())
        page.wait_for_selector(f"{BOX} .facts:not(:empty)")
        print(f"{'model':12}{'frames/s':>10}{'answer in ms: median':>22}{'most':>8}")
        for model in MODELS:
            rate, found = measured(page, model, given.seconds, given.answers)
            slow |= rate < 30 or median(found) > 100
            print(f"{model:12}{rate:10.1f}{median(found):22.1f}{max(found):8.1f}")
    sys.exit(slow)


if __name__ == "__main__":
    main()
