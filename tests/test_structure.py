"""The house stands: floors, imports, data, settings, versions, pictures and wheel."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from graphlib import TopologicalSorter

import pytest
import yaml

import litlab
from litlab.core.data import DATASETS, sha256_of
from litlab.core.settings import OPTIONS
from litlab.reproduce import all_claims

import readme
import rooms
from notebooks import notebooks

MAY_IMPORT = {
    "core": set(),
    "explain": {"core"},
    "parallel": {"core"},
    "dynamics": {"core", "explain"},
    "automl": {"core", "parallel"},
    "knowledge": {"core", "parallel"},
}
HEAVY = ("torch", "captum", "pandas", "matplotlib", "numpy", "snappy", "sklearn")


@pytest.fixture(scope="module")
def names():
    "What each module of the package takes from the others, by name."
    return rooms.import_graph()


@pytest.fixture(scope="module")
def graph(names):
    "Which modules each module imports."
    return rooms.between_modules(names)


def test_rooms_import_downwards(graph):
    "Core needs no other room, and each room only those below it."
    between = rooms.between_rooms(graph)
    up = {room: taken - MAY_IMPORT[room] for room, taken in between.items()
          if room != rooms.TOP}
    assert {room: taken for room, taken in up.items() if taken} == {}
    assert "core" in between and "explain" in between


def test_no_circle_and_no_private_names(names, graph):
    "Modules can be imported in one order, and take only public names."
    assert set(TopologicalSorter(graph).static_order()) == set(graph)
    private = [f"{module} takes {name}" for module, taken in names.items()
               for name in taken if re.search(r"\._[^_]\w*$", "." + name)]
    assert private == []


def test_graph_sees_every_form_of_import(tmp_path):
    "Absolute and relative imports, in functions too; other packages are left out."
    package = tmp_path / "litlab"
    (package / "core").mkdir(parents=True)
    (package / "core/data.py").write_text("import os, litlab.core.plots\n")
    (package / "core/plots.py").write_text("from numpy import pi\n")
    (package / "top.py").write_text(
        "from .core import plots\n"
        "def f():\n    from litlab.core.data import load, _hidden\n")
    names = rooms.import_graph(package)
    assert names["top"] == {"core.plots", "core.data.load", "core.data._hidden"}
    assert rooms.between_modules(names) == {
        "core.data": {"core.plots"}, "core.plots": set(),
        "top": {"core.data", "core.plots"}}
    with pytest.raises(ValueError, match="no floor for attic"):
        rooms.between_rooms({"attic.box": set()})


def test_import_is_light(root):
    "`import litlab` loads none of the big packages."
    code = f"import sys, litlab; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True,
                          capture_output=True, check=True)
    assert done.stdout.strip() == "[]"


def test_data_is_small_and_described(root):
    "8 MB in all; each file has its section and its right hash in data/README.md."
    files = [p for p in (root / "data").iterdir() if p.name != "README.md"]
    assert sum(p.stat().st_size for p in files) <= 8e6
    text = (root / "data/README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert set(sections) == {p.name for p in files}
    for path in files:
        assert f"`{sha256_of(path)}`" in sections[path.name]
        assert f"({path.stat().st_size:,} bytes)" in sections[path.name]


def test_data_sets_know_their_files(root):
    "Hash and size of an embedded table are those that loading checks."
    for name, data in DATASETS.items():
        path = root / "data" / data.file
        if path.is_file():
            found = sha256_of(path), path.stat().st_size
            assert found == (data.sha256, data.size), name


def test_settings_file_shows_the_defaults(root):
    "settings.ini says what holds without it."
    file = configparser.ConfigParser(interpolation=None)
    file.read_string((root / "settings.ini").read_text(encoding="utf-8"))
    written = {section: dict(file.items(section)) for section in file.sections()}
    assert written == {
        section: {key: str(option.default) for key, option in keys.items()}
        for section, keys in OPTIONS.items()}


def test_one_version(root):
    "Package, citation and changelog name the same version."
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == litlab.__version__
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\d[\d.]*)\]", changes, re.M)[1] == litlab.__version__


def test_readme_is_current(root):
    "README.md is what nbs/index.ipynb gives: every notebook, and links that lead on."
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text == readme.readme(), "make readme"
    for path in notebooks():
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        title, claim = [line.strip("#> \n") for line in first if line.strip()]
        assert title in text and claim in text, f"{path.name} is not in it: make readme"
    links = re.findall(r"\]\((?!\w+:|#)([^)#]+)", text)
    assert [link for link in links if not (root / link).exists()] == []


def description(picture):
    "What a picture says of itself."
    found = re.search(r"<dc:description>(.*?)</dc:description>",
                      picture.read_text(encoding="utf-8"), re.S)
    return json.loads(found[1].replace("&quot;", '"'))


def test_pictures_are_current(root, graph):
    "The scorecard shows all claims, and the rooms stand as the code says."
    shown = description(root / "nbs/images/scorecard.svg")
    assert sorted(shown) == sorted(c.id for c in all_claims()), "make readme"
    drawn = description(root / "nbs/images/rooms.svg")
    assert drawn == {m: sorted(taken) for m, taken in graph.items()}, "make readme"


def test_sidebar_lists_every_notebook(root):
    "Each notebook has its line in nbs/sidebar.yml, in the section of its room."
    read = yaml.safe_load((root / "nbs/sidebar.yml").read_text(encoding="utf-8"))
    listed = {page: part["section"].lower()
              for part in read["website"]["sidebar"]["contents"]
              for page in part["contents"] if page.endswith(".ipynb")}
    found = {p.relative_to(root / "nbs").as_posix() for p in notebooks()}
    assert set(listed) ^ found == set(), "in one of sidebar and nbs/ only"
    wrong = {page: section for page, section in listed.items()
             if section != (page.split("/")[0] if "/" in page else "start")}
    assert wrong == {}


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    "The wheel of the package, built from a copy of its files."
    out = tmp_path_factory.mktemp("wheel")
    copy = out / "source"
    for name in ("litlab", "data"):
        shutil.copytree(root / name, copy / name, symlinks=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(root / name, copy)
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation",
                    "--outdir", out, copy], check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_wheel_holds_everything(root, wheel):
    "Each module, script and table of the repository is in it, and nothing more."
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("litlab/")}
    package = {p.relative_to(root).as_posix() for kind in ("*.py", "*.js", "*.json")
               for p in (root / "litlab").rglob(kind)}
    tables = {f"litlab/_data/{p.name}" for p in (root / "data").iterdir()}
    assert inside == package | tables
    assert "litlab/_data/knots.parquet" in tables


def test_wheel_works_alone(wheel, tmp_path):
    "Unpacked elsewhere, the package finds its own table."
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = ("import litlab.core.data as d; t = d.load_table('knots', ['name']); "
            "print(d.__file__); print(len(t), t.attrs['source'])")
    variables = {k: v for k, v in os.environ.items() if not k.startswith("LITLAB_")}
    variables |= {"PYTHONPATH": str(tmp_path), "LITLAB_CACHE": str(tmp_path / "no")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables,
                          text=True, capture_output=True, check=True)
    assert done.stdout.startswith(str(tmp_path))
    assert "the lab's own table" in done.stdout
