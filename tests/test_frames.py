"""Data frames: twelve operations, their fingerprints, and what is stored."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from litlab.core.claims import claims_of, verdict
from litlab.parallel import frames
from litlab.parallel.frames import (
    OPERATIONS, fingerprint, make_table, open_inputs, polars_operations, same_result,
    stored_times, time_operations, write_inputs)

STORED = Path(frames.__file__).parent.parent / "_data/frames.json"
LIBRARIES = [name for name in ("pandas", "polars") if importlib.util.find_spec(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "The tables of a small measurement."
    made = tmp_path_factory.mktemp("frames")
    write_inputs(made, 5000, seed=3)
    return made


@pytest.fixture
def times():
    "The measurement that comes with the lab."
    return stored_times()


def by_hand(table, part, weight):
    "Four results by plain loops over the rows."
    rows = list(table.itertuples())
    sums, keys = np.zeros((8, 2)), {}
    for row in rows:
        sums[row.group] += row.x, row.y
        keys.setdefault(row.key, []).append(row.x)
    counts = {word: list(table.text).count(word) for word in sorted(set(table.text))}
    return {
        "few groups": pd.DataFrame(sums, columns=["x", "y"]).rename_axis("group"),
        "many groups": pd.Series({k: sum(v) / len(v) for k, v in sorted(keys.items())},
                                 name="x").rename_axis("key"),
        "count values": pd.Series(counts, name="count").rename_axis("text"),
        "find text": pd.Series(["lame" in row.text for row in rows]),
        "filter": table[[row.x > 0.5 for row in rows]],
        "sort": pd.DataFrame(sorted(rows, key=lambda row: row.x)).drop(columns="Index"),
        "merge": table.assign(weight=[weight[row.group] for row in rows]),
        "row function": pd.Series([r.x * r.y if r.x > 0.5 else r.y
                                   for r in part.itertuples()])}


@pytest.mark.parametrize("library", LIBRARIES)
def test_operations_agree_with_loops(library, folder):
    "What the operations give is what a loop over the rows gives."
    module = importlib.import_module(library)
    operations = polars_operations() if library == "polars" else OPERATIONS
    seconds, found = time_operations(operations, open_inputs(module, folder))
    assert list(seconds) == list(found) == list(OPERATIONS)
    assert all(s > 0 for s in seconds.values())
    table, part = make_table(5000, 3), make_table(250, 4)
    expected = by_hand(table, part, np.linspace(0, 1, 8))
    expected |= {"read csv": table, "read parquet": table,
                 "arithmetic": 2 * table.x + table.y,
                 "quantiles": pd.DataFrame({
                     name: np.quantile(table[name], [0.25, 0.5, 0.75])
                     for name in ("x", "y")})}
    assert expected.keys() == found.keys()
    for name, result in expected.items():
        assert same_result(fingerprint(result), found[name]), name


def test_modin_gets_the_functions_of_pandas():
    "The tool gives both the same dictionary: drop-in is not helped along."
    source = (Path(frames.__file__).parents[2] / "tools/frames.py")
    if not source.is_file():
        pytest.skip("the package is installed without its tools")
    text = source.read_text(encoding="utf-8")
    assert text.count("OPERATIONS, execute") == 1 and "pd, OPERATIONS" in text


def test_finish_belongs_to_the_time(folder):
    "A library that is lazy is waited for, and the wait counts."
    import time
    inputs = open_inputs(pd, folder)
    some = {"filter": OPERATIONS["filter"]}
    seconds, _ = time_operations(some, inputs, finish=lambda result: time.sleep(0.1))
    assert seconds["filter"] > 0.1


def test_table_comes_from_its_seed():
    "Equal for equal seeds; other rows are no prefix."
    assert make_table(100, 5).equals(make_table(100, 5))
    assert not make_table(100, 5).equals(make_table(100, 6))
    table = make_table(50_000)
    assert table.groupby("key").size().mean() == pytest.approx(10, rel=0.01)
    assert table.text.str.len().eq(6).all() and table.text.nunique() == 1000


@pytest.mark.parametrize("rows", [0, 9, -1, 10.5, "many", None, True, float("nan")])
def test_bad_number_of_rows(rows):
    with pytest.raises(ValueError, match="rows must be a whole number"):
        make_table(rows)


def changed(table, kind):
    "The table with one small fault."
    other = table.copy()
    if kind == "value":
        other.loc[7, "x"] += 1e-4
    elif kind == "text":
        other.loc[7, "text"] = "bababo"
    elif kind == "order":
        other.iloc[[3, 4]] = table.iloc[[4, 3]].to_numpy()
    elif kind == "row":
        other = table.iloc[:-1]
    elif kind == "column":
        other = table.drop(columns="y")
    return other


@pytest.mark.parametrize("kind", ["value", "text", "order", "row", "column"])
def test_fingerprint_sees(kind):
    "Another value, text, order, number of rows or columns."
    table = make_table(1000)
    one, other = fingerprint(table), fingerprint(changed(table, kind))
    assert not same_result(one, other)
    assert fingerprint(table.copy()) == one


def test_stored_measurement_is_whole(times):
    "Ten million rows, every operation of every library, versions, equal results."
    assert times.rows >= 10_000_000 and times.cores >= 1
    for library in ("pandas", "modin", "polars"):
        assert set(times.seconds[library]) == set(OPERATIONS)
        assert set(times.agrees[library]) == set(OPERATIONS)
        assert {len(v) for v in times.seconds[library].values()} == {
            len(times.others[library])}
        assert len(times.others[library]) >= 3
        assert times.versions[library] and times.peak_mb[library] > 500
    assert {"python", "ray", "pyarrow", "numpy"} <= set(times.versions)
    assert times.versions["pandas"].startswith("2.")
    assert all(times.agrees["polars"].values())


def test_stored_measurement_is_of_this_code(times, tmp_path):
    "The control on the small table gives the stored fingerprints."
    write_inputs(tmp_path, times.small_rows, times.seed)
    _, here = time_operations(OPERATIONS, open_inputs(pd, tmp_path))
    for name, stored in times.small.items():
        assert same_result(here[name], stored), name


def test_claims_are_computed_from_the_file(times, monkeypatch):
    "By hand from the json; and other times give another value."
    read = json.loads(STORED.read_text(encoding="utf-8"))["seconds"]
    gain = [np.median(np.divide(read["pandas"][name], read["modin"][name]))
            for name in OPERATIONS]
    claims = {c.id: c for c in claims_of(frames)}
    got = {name: c.measure(None) for name, c in claims.items()}
    assert got["parallel.modin_gain"].value == pytest.approx(np.median(gain))
    lost = [max(np.divide(read["pandas"][name], read["modin"][name])) < 1
            for name in OPERATIONS]
    assert got["parallel.modin_loses"].value == sum(lost)
    assert all("frames.json" in r.source and "modin" in r.source for r in got.values())
    one = claims["parallel.modin_gain"]
    assert verdict(one, got[one.id].value)[0] == "not comparable"
    halved = {k: {n: [v / (2 if k == "modin" else 1) for v in rounds]
                  for n, rounds in d.items()} for k, d in read.items()}
    changed = frames.FrameTimes(**vars(times) | {"seconds": halved})
    monkeypatch.setattr(frames, "stored_times", lambda: changed)
    assert one.measure(None).value == pytest.approx(2 * np.median(gain))


def test_wrong_results_refute_the_drop_in(times, monkeypatch):
    "One operation that differs is enough."
    wrong = times.agrees | {"modin": times.agrees["modin"] | {"sort": False}}
    changed = frames.FrameTimes(**vars(times) | {"agrees": wrong})
    monkeypatch.setattr(frames, "stored_times", lambda: changed)
    claim = frames.modin_drop_in.claim
    assert verdict(claim, claim.measure(None).value)[0] == "not reproduced"


def without_operation(read):
    del read["seconds"]["modin"]["sort"]


def without_versions(read):
    del read["versions"]


def without_round(read):
    for rounds in read["seconds"]["polars"].values():
        rounds.pop()


def with_zero(read):
    read["seconds"]["pandas"]["sort"][0] = 0


def with_more(read):
    read["colour"] = "blue"


@pytest.mark.parametrize("spoil", [without_operation, without_versions, without_round,
                                   with_zero, with_more])
def test_damaged_file(spoil, tmp_path):
    "A file that lacks something says so, and what to do."
    read = json.loads(STORED.read_text(encoding="utf-8"))
    spoil(read)
    path = tmp_path / "frames.json"
    path.write_text(json.dumps(read))
    with pytest.raises(ValueError, match=r"frames\.json is not whole.*make frames"):
        stored_times(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[1]"])
def test_no_json(text, tmp_path):
    path = tmp_path / "frames.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"frames\.json is not whole"):
        stored_times(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="make frames"):
        stored_times(tmp_path / "frames.json")


def test_figure(times):
    "A row an operation, a mark for each library at its gain, both axes logarithmic."
    ax = times.plot()
    assert ax.get_xscale() == "log" and ax.get_xlabel()
    rows = [t.get_text() for t in ax.get_yticklabels()]
    assert rows == list(times.table().index) and set(rows) == set(OPERATIONS)
    marks = {line.get_label(): line for line in ax.lines}
    for library in ("modin", "polars"):
        line = marks[library.capitalize()]
        assert np.allclose(line.get_xdata(),
                           times.ratios(library).median(axis=1)[rows])
    assert (np.diff(marks["Modin"].get_xdata()) <= 0).all()
