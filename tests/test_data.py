"""Data: the order of the four places, hashes, damaged files; nothing is lost."""
import functools
import http.server
import os
import subprocess
import sys
import threading

import pandas as pd
import pytest

from litlab.core import data
from litlab.core.data import (
    DATASETS, Dataset, check_hash, data_folder, dataset, embedded_file, fetch,
    find_data, load_table, put_aside, read_table, sha256_of, write_table)
from litlab.explain.census import load_knots


@pytest.fixture
def places(tmp_path, monkeypatch):
    "LITLAB_DATA and LITLAB_CACHE as two empty folders."
    for name in ("DATA", "CACHE"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"LITLAB_{name}", str(tmp_path / name))
    return tmp_path / "DATA", tmp_path / "CACHE"


@pytest.fixture
def shop(tmp_path):
    "A publisher on this machine: a folder and its address."
    folder = tmp_path / "shop"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def published(shop, monkeypatch, text="a,b\n1,2\n", sha=None):
    "Register a data set 'toy' that the shop publishes."
    folder, url = shop
    (folder / "toy.csv").write_text(text)
    toy = Dataset("toy", "sub/toy.csv", "toy", "none", f"{url}/toy.csv",
                  sha or sha256_of(folder / "toy.csv"))
    monkeypatch.setitem(DATASETS, "toy", toy)
    return toy


def test_the_order_of_the_places(places, shop, monkeypatch):
    mine, cache = places
    toy = published(shop, monkeypatch)
    path, source = find_data("toy")
    assert path == cache / "sub/toy.csv" and source.startswith("publisher")
    assert find_data("toy")[1].startswith("cache")
    (mine / "sub").mkdir()
    (mine / "sub/toy.csv").write_bytes(path.read_bytes())
    assert find_data("toy") == (mine / toy.file, "LITLAB_DATA, sub/toy.csv")


def test_the_embedded_table_is_last(places):
    path, source = find_data("knots")
    assert path == embedded_file(dataset("knots")) and source == "the lab's own table"
    table = load_knots()
    assert "own table" in table.attrs["source"]
    assert str(len(table)) in table.attrs["source"]


def test_a_table_in_the_users_folder_is_used(places):
    mine, _ = places
    table = pd.read_parquet(embedded_file(dataset("knots"))).head(50)
    write_table(table, mine / "knots.parquet")
    assert len(load_knots()) == 50
    assert load_knots().attrs["source"].startswith("LITLAB_DATA")


def test_bad_download_is_put_aside_and_nothing_is_lost(places, shop, monkeypatch):
    _, cache = places
    toy = published(shop, monkeypatch, "changed", sha="0" * 64)
    for i in range(2):
        with pytest.raises(ValueError) as caught:
            fetch(toy)
        assert "toy.csv" in str(caught.value) and "0" * 64 in str(caught.value)
        assert len(list((cache / "sub").iterdir())) == i + 1
    assert (cache / "sub/toy.csv.rejected").read_text() == "changed"
    assert (cache / "sub/toy.csv.rejected.1").exists()


def test_bad_file_in_the_cache_is_put_aside(places, shop, monkeypatch):
    _, cache = places
    published(shop, monkeypatch)
    path, _ = find_data("toy")
    path.write_text("rotten")
    with pytest.raises(ValueError, match="kept as toy.csv.rejected"):
        find_data("toy")
    assert (cache / "sub/toy.csv.rejected").read_text() == "rotten"
    assert find_data("toy")[1].startswith("publisher")


def test_bad_file_of_the_user_stays_where_it_is(places, shop, monkeypatch):
    mine, _ = places
    published(shop, monkeypatch)
    (mine / "sub").mkdir()
    (mine / "sub/toy.csv").write_text("mine")
    with pytest.raises(ValueError, match="left as it is"):
        find_data("toy")
    assert (mine / "sub/toy.csv").read_text() == "mine"


def test_changed_embedded_table_is_refused(places, tmp_path, monkeypatch):
    copy = tmp_path / "knots.parquet"
    copy.write_bytes(embedded_file(dataset("knots")).read_bytes()[:-1] + b"x")
    monkeypatch.setattr(data, "embedded_file", lambda _: copy)
    with pytest.raises(ValueError, match="wrong sha256"):
        find_data("knots")
    assert copy.exists()


def test_publisher_that_does_not_answer(places, shop, monkeypatch):
    _, cache = places
    folder, _ = shop
    toy = published(shop, monkeypatch)
    (folder / "toy.csv").unlink()
    with pytest.raises(OSError):
        fetch(toy)
    assert not (cache / "sub/toy.csv").exists()


def test_unreadable_litlab_data(tmp_path, monkeypatch):
    monkeypatch.setenv("LITLAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="LITLAB_DATA.*gone"):
        data_folder()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LITLAB_DATA", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="not a folder"):
        load_knots()
    monkeypatch.setenv("LITLAB_DATA", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="permissions"):
        data_folder()


def test_unknown_names(places):
    with pytest.raises(ValueError, match="no data set 'knotts'.*knots"):
        find_data("knotts")
    with pytest.raises(ValueError, match="no publisher"):
        fetch("knots")


def test_data_set_that_is_nowhere(places, monkeypatch):
    lost = Dataset("lost", "lost.csv", "lost", "none")
    monkeypatch.setitem(DATASETS, "lost", lost)
    with pytest.raises(FileNotFoundError, match="lost.csv.*LITLAB_DATA"):
        find_data("lost")


def test_truncated_table(places):
    mine, _ = places
    whole = embedded_file(dataset("knots")).read_bytes()
    (mine / "knots.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="knots.parquet is not a whole parquet file"):
        load_knots()
    assert (mine / "knots.parquet").stat().st_size == len(whole) // 2


def test_missing_column(places):
    mine, _ = places
    table = pd.read_parquet(embedded_file(dataset("knots"))).head(5)
    write_table(table.drop(columns=["volume"]), mine / "knots.parquet")
    with pytest.raises(ValueError, match="lacks the columns volume"):
        load_table("knots", ["name", "volume"])


def test_found_from_a_folder_that_holds_the_clone(tmp_path):
    "A folder named litlab in the working directory does not hide the package."
    (tmp_path / "litlab").mkdir()
    code = ("from litlab.core.data import dataset, embedded_file; "
            "assert embedded_file(dataset('knots')).is_file()")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("change, words", [
    ({"volume": "large"}, "no numbers in volume"),
    ({"volume": float("nan")}, "NaN or infinite values in volume"),
    ({"signature": 1}, "odd signatures"), ({"name": "K4a1"}, "stand twice")])
def test_impossible_values(places, change, words):
    mine, _ = places
    table = pd.read_parquet(embedded_file(dataset("knots"))).head(5)
    write_table(table.assign(**change), mine / "knots.parquet")
    with pytest.raises(ValueError, match=f"LITLAB_DATA, knots.parquet.*{words}"):
        load_knots()


def test_writing_leaves_the_old_table_if_it_fails(tmp_path):
    file = write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(Exception, match="Conversion failed"):
        write_table(pd.DataFrame({"a": [1, "x"]}), file)
    assert read_table(file, ["a"])["a"].tolist() == [1]


def test_put_aside_never_overwrites(tmp_path):
    for i in range(3):
        (tmp_path / "x").write_text(str(i))
        put_aside(tmp_path / "x")
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert kept == ["x.rejected", "x.rejected.1", "x.rejected.2"]
    assert [(tmp_path / k).read_text() for k in kept] == ["0", "1", "2"]


def test_no_hash_checks_nothing(tmp_path):
    (tmp_path / "x").write_text("x")
    assert check_hash(tmp_path / "x", "") == tmp_path / "x"
