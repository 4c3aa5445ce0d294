"""Every notebook runs to its end, keeps the house rules, and gives the package."""

import ast
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbdev.test
import pytest

from notebooks import ROOT, WIDGET, notebooks

NOTEBOOKS = [p.relative_to(ROOT) for p in notebooks()]
UNEXPORTED = {Path("nbs/index.ipynb")}  # the map: it defines nothing
LESSONS = [p for p in NOTEBOOKS if p not in UNEXPORTED]
BOX = (".callout-note", "You will learn", "Needs", "Runs in", "Extra")
OPENING = re.compile(r"# \S[^\n]*\n\n> \S[^\n]*\s*\Z")
PROGRAMS = {Path("nbs/knowledge/spark.ipynb"): "java"}  # what pip can't install
ASSERTION = re.compile(r"^\s*assert\b", re.MULTILINE)
BAD_OUTPUT = {
    "a path": r"(?<![\w:/.])/(?:home|root|tmp|work|Users|opt|usr|mnt)/\w",
    "a Windows path": r"\b[A-Z]:\\\w",
    "an address in memory": r"\b0x[0-9a-f]{8,}",
    "a progress bar": r"\d+%\||\d(?:it/s|s/it)",
    "a widget": r"IPY_MODEL_|model_id",
}


def cells(notebook, kind="code"):
    "Number and cell of all cells of a kind."
    read = json.loads((ROOT / notebook).read_text(encoding="utf-8"))
    return [(i, c) for i, c in enumerate(read["cells"]) if c["cell_type"] == kind]


def source(cell):
    "The text of a cell."
    return "".join(cell["source"])


def code(cell):
    "The lines of a cell that are neither empty nor a directive."
    return [x for x in source(cell).splitlines() if x.strip() and x[:2] != "#|"]


def statements(cell):
    "The statements of a cell; none if it is not Python, as with %timeit."
    try:
        return ast.parse("\n".join(code(cell))).body
    except SyntaxError:
        return []


def directive(cell, *names):
    "Whether a cell has a directive such as #| exports."
    return re.search(rf"^#\|\s*(?:{'|'.join(names)})\b", source(cell), re.MULTILINE)


def is_import(statement):
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def is_plain(cell):
    "Whether a cell only imports or directs: nobody expects it to assert."
    return all(is_import(s) for s in statements(cell))


def functions(cell):
    "Functions and methods that are defined in a cell at any depth."
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [n for s in statements(cell) for n in ast.walk(s) if isinstance(n, kinds)]


def report(bad, cure=""):
    "Fail with a line for each problem."
    if bad:
        pytest.fail("\n".join([*sorted(bad), cure]).strip(), pytrace=False)


def in_child(notebook, skip, log):
    "Run a notebook in this process, and end it; what it says goes to a file."
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), sys.__stderr__.fileno())
    done, _ = nbdev.test.test_nb(ROOT / notebook, skip_flags=skip, basepath=ROOT)
    sys.__stderr__.flush()
    os._exit(0 if done else 1)


@pytest.fixture(scope="session")
def processes():
    "Makes processes out of one that has read the large packages: as good as new."
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_runs(notebook, request, processes, tmp_path):
    "From top to bottom, in a process of its own, as a kernel would."
    if shutil.which(program := PROGRAMS.get(notebook, "sh")) is None:
        pytest.skip(f"needs {program}")
    skip = [] if request.config.getoption("--slow") else ["slow"]
    log = tmp_path / "stderr"
    child = processes.Process(target=in_child, args=(notebook, skip, log))
    child.start()
    child.join(900)
    if child.is_alive():
        child.kill()
        pytest.fail(f"{notebook}: still running after 900 s")
    if child.exitcode:
        said = log.read_text(encoding="utf-8")
        said = re.sub(r"(?s)Traceback.*?exec\(code_obj[^\n]*\n", "", said)
        pytest.fail(f"{notebook}\n{said[-4000:]}", pytrace=False)


@pytest.mark.parametrize("notebook", LESSONS, ids=str)
def test_opening(notebook):
    "H1 and a one-sentence claim, the module, and the box that says what is needed."
    first, box, *_ = (source(cell) for _, cell in cells(notebook, "markdown"))
    module = str(notebook.relative_to("nbs").with_suffix("")).replace("/", ".")
    bad = [f"the box does not say {words!r}" for words in BOX if words not in box]
    if not OPENING.match(first):
        bad.append("the first cell is not '# title' and '> claim'")
    if f"#| default_exp {module}" not in source(cells(notebook)[0][1]):
        bad.append(f"the first code cell is not '#| default_exp {module}'")
    report(bad)


@pytest.mark.parametrize("notebook", LESSONS, ids=str)
def test_budget(notebook):
    "A notebook is read in one sitting: 40 code cells, 300 lines, enough assertions."
    found = [cell for _, cell in cells(notebook)]
    lines = sum(len(code(cell)) for cell in found)
    working = [cell for cell in found if not is_plain(cell)]
    asserting = [cell for cell in working if ASSERTION.search(source(cell))]
    bad = []
    if len(found) > 40 or lines > 300:
        bad.append(f"{len(found)} code cells, {lines} lines of code: split it")
    if len(asserting) < 0.3 * len(working):
        bad.append(f"{len(asserting)} of {len(working)} working cells assert: "
                   f"{0.3 * len(working):.1f} should")
    report(bad)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_cells(notebook):
    "Imports stand alone, and an exported cell holds one function or class."
    bad = []
    for i, cell in cells(notebook):
        kinds = {is_import(s) for s in statements(cell)}
        if len(kinds) == 2:
            bad.append(f"cell {i}: imports and other code in one cell")
        defined = [s for s in statements(cell) if isinstance(
            s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
        if directive(cell, "export", "exports") and len(defined) > 1:
            bad.append(f"cell {i}: {', '.join(s.name for s in defined)} in one cell")
    report(bad)


@pytest.mark.parametrize("notebook", LESSONS, ids=str)
def test_functions(notebook):
    "A function is at most 30 lines long, and says what it takes and gives."
    bad = []
    for i, cell in cells(notebook):
        for f in functions(cell):
            length = f.end_lineno - f.lineno + 1
            if length > 30:
                bad.append(f"cell {i}: {f.name} has {length} lines")
        if directive(cell, "export", "exports"):
            bad += [f"cell {i}: {problem}" for problem in undocumented(cell)]
    report(bad)


def undocumented(cell):
    "What is missing about public functions; a claim's statement is beside it."
    lines = code(cell)
    for f in statements(cell):
        if not isinstance(f, ast.FunctionDef) or f.name.startswith("_") or any(
                ast.unparse(d).startswith("claim(") for d in f.decorator_list):
            continue
        if not ast.get_docstring(f):
            yield f"{f.name} has no docstring"
        given = f.args.posonlyargs + f.args.args + f.args.kwonlyargs
        given += [a for a in (f.args.vararg, f.args.kwarg) if a]
        for a in given:
            if "#" not in lines[a.lineno - 1]:
                yield f"{f.name}: no comment on {a.arg}"
        returns = any(isinstance(n, ast.Return) and n.value for n in own_nodes(f))
        head = lines[f.lineno - 1:f.body[0].lineno - 1]
        if returns and f.name != "__init__" and "#" not in head[-1]:
            yield f"{f.name}: no comment on what it returns"


def own_nodes(function):
    "The nodes of a function without those of functions inside it."
    waiting = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_stored(notebook):
    "Cells have ids and no counts; outputs hold no errors and nothing of one machine."
    bad = []
    for i, cell in cells(notebook):
        if not cell.get("id"):
            bad.append(f"cell {i}: no id")
        if cell.get("execution_count") or cell["metadata"].get("execution"):
            bad.append(f"cell {i}: not cleaned")
        for output in cell["outputs"]:
            bad += [f"cell {i}: {problem}" for problem in problems(output)]
    report(bad, f"make notebooks NB={notebook}")


def problems(output):
    "What should not be stored of an output."
    data = output.get("data") or {}
    if output["output_type"] == "error":
        yield f"stored error {output['ename']}"
    if WIDGET in data:
        yield "stored widget view"
    texts = [output.get("text", "")] + [v for k, v in data.items() if k[:5] == "text/"]
    for text in map("".join, texts):
        for what, pattern in BAD_OUTPUT.items():
            if found := re.search(pattern, text):
                yield f"output shows {what}: {found[0]!r}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_shows(notebook):
    "A cell that ends in a value or draws a figure has stored it."
    bad = []
    for i, cell in cells(notebook):
        body = statements(cell)
        if directive(cell, "hide", "slow", "eval", "export", "exports") or not body:
            continue
        last = body[-1].value if isinstance(body[-1], ast.Expr) else None
        shows = last and not isinstance(last, (ast.Call, ast.Constant))
        draws = isinstance(last, ast.Call) and "plot" in ast.unparse(last.func)
        if (shows or draws) and not cell["outputs"]:
            bad.append(f"cell {i}: {ast.unparse(last)[:60]} shows nothing")
    report(bad, f"make notebooks NB={notebook}")


def test_export_is_current(tmp_path):
    "The package has the files and the text of a fresh export, and no others."
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "litlab").mkdir()
    shutil.copy(ROOT / "litlab/__init__.py", tmp_path / "litlab")
    export = Path(sys.executable).with_name("nbdev-export")
    subprocess.run([export], cwd=tmp_path, check=True, capture_output=True)
    fresh, ours = modules(tmp_path), modules(ROOT)
    bad = [f"{name} is in no notebook: remove it" for name in set(ours) - set(fresh)]
    bad += [f"{name} is not as its notebook says: make export" for name in fresh
            if fresh[name] != ours.get(name)]
    report(bad)


def modules(folder):
    "Name and text of the modules in a folder."
    return {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8")
            for p in sorted((folder / "litlab").rglob("*.py"))}
