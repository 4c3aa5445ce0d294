"""Run notebooks, store what they show, and take out what changes by itself.

Usage: python tools/notebooks.py [NOTEBOOK ...]      (none: all of them)"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
BAR = re.compile(r"\d+%\|")  # a progress bar: its times differ from run to run
BIN = Path(sys.executable).parent


def notebooks(
    root: Path = ROOT,  # the repository
) -> list[Path]:  # in the order of their paths, without checkpoints
    "All notebooks of the lab."
    found = sorted((root / "nbs").rglob("*.ipynb"))
    return [p for p in found
            if not any(part[0] in "._" for part in p.relative_to(root).parts)]


def kept(
    output: dict,  # an output of a cell, changed in place
) -> bool:  # whether anything is left of it
    "Take the widget view and the progress bars out of an output."
    if output["output_type"] == "stream":
        text = re.sub(r"\x1b\[\w+|\r", "", "".join(output["text"]))
        return bool(text.strip()) and not BAR.search(text)
    data = output.get("data", {})
    widget = data.pop(WIDGET, None) is not None
    plain = "".join(data.get("text/plain", ""))
    if len(data) == 1 and (BAR.search(plain) or widget and "(children" in plain):
        return False
    return bool(data) or output["output_type"] == "error"


def strip(
    path: Path,  # a notebook
) -> None:
    "Leave only outputs that are the same on the next run."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [o for o in cell["outputs"] if kept(o)]
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def run(
    path: Path,  # a notebook
) -> bool:  # whether it ran to its end
    "Run one notebook and store its outputs, cleaned."
    print(path.relative_to(ROOT), flush=True)
    ran = subprocess.run([BIN / "nbdev-test", "--save", path])
    if ran.returncode == 0:
        subprocess.run([BIN / "nbdev-clean", "--fname", path], check=True)
        strip(path)
    return ran.returncode == 0


if __name__ == "__main__":
    asked = [Path(name).resolve() for name in sys.argv[1:]]
    failed = [str(p.relative_to(ROOT)) for p in asked or notebooks() if not run(p)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
