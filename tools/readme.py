"""README.md from nbs/index.ipynb: prose as it is, what cells show as Markdown.

Usage: python tools/readme.py [--check]"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "nbs/index.ipynb"
README = ROOT / "README.md"
HEAD = "<!-- Written from nbs/index.ipynb by `make readme`: change it there. -->"
BLOB = "https://github.com/litlab/litlab/blob/main/"
LINK = re.compile(r"\]\((?!\w+:|#|/)([^)]+)\)")
HIDDEN = re.compile(r"^#\|\s*(?:hide|include:\s*false)\b", re.MULTILINE)
SILENT = re.compile(r"^#\|\s*echo:\s*false\b", re.MULTILINE)


def from_root(
    text: str,  # Markdown with links relative to nbs/
) -> str:  # the same, relative to the repository
    "Links to notebooks, pictures and files, as they are seen from README.md."
    return LINK.sub(r"](nbs/\1)", text).replace(f"]({BLOB}", "](")


def shown(
    output: dict,  # an output of a cell
) -> str:  # Markdown, "" for what README can't show
    "What a cell shows: Markdown as it is, text in a fence."
    data = output.get("data", {})
    if "text/markdown" in data:
        return from_root("".join(data["text/markdown"]).strip())
    text = "".join(data.get("text/plain") or output.get("text", "")).strip()
    return f"```text\n{text}\n```" if text else ""


def parts(
    cell: dict,  # of the notebook
) -> list[str]:  # blocks of Markdown
    "One cell as Markdown."
    source = "".join(cell["source"]).strip()
    if cell["cell_type"] != "code":
        return [from_root(source)]
    if HIDDEN.search(source):
        return []
    code = re.sub(r"^#\|.*\n?", "", source, flags=re.MULTILINE).strip()
    before = [] if SILENT.search(source) or not code else [f"```python\n{code}\n```"]
    return before + [shown(output) for output in cell["outputs"]]


def readme(
    index: Path = INDEX,  # the notebook
) -> str:  # the text of README.md
    "README.md, whole."
    cells = json.loads(index.read_text(encoding="utf-8"))["cells"]
    blocks = [HEAD, *(part for cell in cells for part in parts(cell) if part)]
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        same = README.read_text(encoding="utf-8") == readme()
        sys.exit(0 if same else "README.md is not nbs/index.ipynb: run 'make readme'")
    README.write_text(readme(), encoding="utf-8")
    print(README.name)
