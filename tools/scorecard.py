"""What is made of reports/scorecard.json: a page of the site, README's picture.

Usage: python tools/scorecard.py page|picture"""

import argparse
import json
import re
from pathlib import Path

import matplotlib as mpl

from litlab.core.claims import Scorecard, load_scorecard
from litlab.core.plots import style
from litlab.core.report import scorecard_summary, scorecard_table

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"
PAGE = ROOT / "nbs/scorecard.qmd"
PICTURE = ROOT / "nbs/images/scorecard.svg"

TEXT = """---
title: Scorecard
description: Every claim of the lab, measured, with its verdict.
page-layout: full
toc: false
---

Each row is one published statement, measured by the function that stands beside it in
its notebook. The verdict is computed from the rule that the claim declares:
[claims](core/claims.ipynb) says what the words mean, and `litlab reproduce` measures
all of it again.

```{=html}
%s
<div class="scorecard-box" tabindex="0" role="region" aria-label="Scorecard">
%s
</div>
```
"""


def write_page(
    card: Scorecard,  # the rows
    path: Path = PAGE,  # a page that Quarto and smalldocs read
) -> Path:  # the same
    "The scorecard as a source of the site."
    table = re.sub("<code>.*?</code>", breakable, scorecard_table(card))
    path.write_text(TEXT % (scorecard_summary(card), table), encoding="utf-8")
    return path


def breakable(
    code: re.Match,  # a claim's id as html
) -> str:  # the same, with places where a line may end
    "A long id is broken between its words."
    return re.sub(r"([._])", r"\1<wbr>", code[0])


def write_picture(
    card: Scorecard,  # the rows
    path: Path = PICTURE,  # an .svg file
) -> Path:  # the same
    "The scorecard as a picture; its description lists the claims that it shows."
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = json.dumps([m.id for m in card.measurements])
    with style(), mpl.rc_context({"svg.fonttype": "none"}):
        figure = card.plot().figure
        figure.savefig(path, metadata={"Date": None, "Description": shown},
                       bbox_inches="tight", pad_inches=0.1)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("page", "picture"))
    write = {"page": write_page, "picture": write_picture}[parser.parse_args().what]
    print(write(load_scorecard(REPORTS)).relative_to(ROOT))
