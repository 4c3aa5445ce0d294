"Grown graphs, blocks on disk, the index, stores, exports and the stored curve."

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

NEEDED = ("numba", "faiss", "pyoxigraph")
if missing := [name for name in NEEDED if not find_spec(name)]:
    pytest.skip(f"needs pip install 'litlab[knowledge]' ({', '.join(missing)})",
                allow_module_level=True)

import faiss  # noqa: E402

from litlab.core.claims import NotRun  # noqa: E402
from litlab.knowledge import blocks, crowds, exports, nearest, scale, stores  # noqa: E402
from litlab.knowledge.convolution import convolve  # noqa: E402
from litlab.knowledge.graphs import KnowledgeGraph, frame, pairs  # noqa: E402


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    "A small grown graph, on disk."
    return crowds.make_crowd(tmp_path_factory.mktemp("crowd") / "c", 3000, sentences=2,
                             progress=False)


def weights(crowd, most=None):
    "The matrix of neighbours, built."
    kept = crowd.degrees <= (most or crowd.n)
    B = crowd.incidence()[:, kept]
    W = (B @ B.T).tolil()
    W.setdiag(0)
    return W.tocsr()


@st.composite
def small_crowds(draw):
    "A few articles and entities, some of them alone."
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    all_pairs = [(a, e) for a in range(n) for e in range(m)]
    chosen = draw(st.lists(st.sampled_from(all_pairs), unique=True, max_size=40))
    return crowds.crowd_of(np.array(chosen, int).reshape(-1, 2), n, m)


# crowds

@settings(deadline=None, max_examples=60, derandomize=True)
@given(small_crowds())
def test_crowd_is_one_matrix_in_two_orders(crowd):
    "Both lists say the same, and each is sorted."
    B = crowd.incidence()
    back = sp.csr_matrix((np.ones(len(crowd.articles)), crowd.articles,
                          crowd.entity_ptr), (crowd.m, crowd.n))
    assert (B != back.T).nnz == 0
    assert (crowd.degrees == B.toarray().sum(axis=0)).all()
    expected = int((B @ B.T).toarray().sum() - B.sum())
    assert crowds.neighbour_entries(crowd) == expected
    assert (B.toarray() @ (crowd.degrees)).tolist() == stores.visits(
        crowd, crowd.n).tolist()


@pytest.mark.parametrize("bad", [[(0, 3)], [(2, 0)], [(-1, 0)]])
def test_mentions_out_of_range(bad):
    with pytest.raises(ValueError, match="mentions must lie below"):
        crowds.crowd_of(np.array(bad), 2, 3)


def test_likelihood_is_a_probability():
    "The histories of four mentions have probabilities that add up to 1."
    def histories(counts, left):
        if not left:
            return np.exp(crowds.log_likelihood(counts, 0.3, 2.0))
        more = [[*counts[:i], c + 1, *counts[i + 1:]] for i, c in enumerate(counts)]
        return sum(histories(new, left - 1) for new in [*more, [*counts, 1]])
    assert np.isclose(histories([1], 3), 1)


def test_fit_finds_what_was_grown():
    "Counts that were drawn with known numbers give these numbers back."
    counts = np.ones(200_000, "i8")
    seen, degrees = np.zeros(200_000, "i4"), np.zeros(200_000, "i4")
    _, known = crowds.grow(counts, seen, degrees, 0, 0, 0.6, 30.0, 1)
    discount, strength = crowds.fit_crowd(degrees[:known])
    assert abs(discount - 0.6) < 0.02 and abs(strength - 30) < 15
    with pytest.raises(ValueError, match="counts must be at least two numbers"):
        crowds.fit_crowd([0, 3])


def test_each_article_mentions_an_entity_once(crowd):
    pairs_ = np.repeat(np.arange(crowd.n), np.diff(crowd.article_ptr)), crowd.entities
    assert len(np.unique(np.column_stack(pairs_), axis=0)) == len(crowd.entities)
    assert np.diff(crowd.article_ptr).min() >= 2 and crowd.degrees.min() >= 1


def test_stopped_run_goes_on(tmp_path, monkeypatch):
    "Stopped after the first part, and taken up again: the same arrays."
    monkeypatch.setattr(crowds, "PART", 500)
    whole = crowds.make_crowd(tmp_path / "whole", 1300, progress=False)
    real, calls = crowds.grow, []

    def stops(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)
    monkeypatch.setattr(crowds, "grow", stops)
    with pytest.raises(KeyboardInterrupt):
        crowds.make_crowd(tmp_path / "part", 1300, progress=False)
    with pytest.raises(FileNotFoundError, match="lacks article_ptr.npy"):
        crowds.load_crowd(tmp_path / "part")
    again = crowds.make_crowd(tmp_path / "part", 1300, progress=False)
    assert len(calls) == 4
    state = json.loads((tmp_path / "part/state.json").read_text())
    assert state["t"] == len(again.entities) and state["known"] == again.m
    for name in vars(whole):
        assert np.array_equal(getattr(whole, name), getattr(again, name)), name
    with pytest.raises(ValueError, match="holds something else"):
        crowds.make_crowd(tmp_path / "part", 1300, seed=1, progress=False)


@pytest.mark.parametrize("bad", [{"n": 0}, {"n": 2.5}, {"n": 5, "sentences": 0}])
def test_bad_sizes(tmp_path, bad):
    with pytest.raises(ValueError, match="must be a whole number from 1"):
        crowds.make_crowd(tmp_path, **bad)


# blocks

@settings(deadline=None, max_examples=40, derandomize=True)
@given(crowd=small_crowds(), lam=st.sampled_from([0, 0.3, 0.75, 1]),
       layers=st.integers(0, 3), width=st.sampled_from([1, 3, 8]))
def test_blocks_are_convolve(tmp_path_factory, crowd, lam, layers, width):
    "Any graph, lambda, layers and width: equal to the matrix form but for float16."
    folder = tmp_path_factory.mktemp("b")
    rows = np.random.default_rng(3).standard_normal((crowd.n, 7)) + 2
    source = blocks.write_layer(rows, folder / "0", width)
    got = blocks.convolve_blocks(source, crowd, folder / "1", lam, layers)
    right = convolve(source.rows(), weights(crowd), lam=lam, layers=layers)
    assert np.abs(got.rows() - right).max() < 4e-3


def test_blocks_leave_hubs_out(tmp_path, crowd):
    source = scale.random_layer(tmp_path / "0", crowd.n, 40, width=16)
    for most in (2, 30):
        got = blocks.convolve_blocks(source, crowd, tmp_path / f"{most}", limit=most)
        right = convolve(source.rows(), weights(crowd, most))
        assert np.abs(got.rows() - right).max() < 1e-3
        assert np.abs(right - convolve(source.rows(), weights(crowd))).max() > 0.1


def test_stopped_layer_goes_on(tmp_path, crowd, monkeypatch):
    "What is written stays; the block that was half written is made again."
    source = scale.random_layer(tmp_path / "0", crowd.n, 30, width=10)
    whole = blocks.convolve_blocks(source, crowd, tmp_path / "whole", layers=2)
    real, calls = blocks.take_back, []

    def stops(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args)
    monkeypatch.setattr(blocks, "take_back", stops)
    with pytest.raises(KeyboardInterrupt):
        blocks.convolve_blocks(source, crowd, tmp_path / "part", layers=2)
    there = {p.name for p in (tmp_path / "part/layer2").glob("*.npy")}
    assert "0.npy" in there and "1.npy" not in there
    again = blocks.convolve_blocks(source, crowd, tmp_path / "part", layers=2)
    assert np.array_equal(again.rows(), whole.rows()) and len(calls) == 7
    with pytest.raises(ValueError, match="holds something else"):
        blocks.convolve_blocks(source, crowd, tmp_path / "part", lam=0.5)


@pytest.mark.parametrize("bad, message", [
    ({"lam": 1.1}, "lam must be"), ({"lam": float("nan")}, "lam must be"),
    ({"lam": "x"}, "lam must be"), ({"layers": -1}, "layers must be"),
    ({"limit": 0}, "limit must be")])
def test_bad_layers(tmp_path, crowd, bad, message):
    source = scale.random_layer(tmp_path / "0", crowd.n, 4)
    with pytest.raises(ValueError, match=message):
        blocks.convolve_blocks(source, crowd, tmp_path / "1", **bad)


def test_bad_rows(tmp_path, crowd):
    for bad in (0, np.nan, np.inf):
        rows = np.ones((5, 3))
        rows[2] = bad
        with pytest.raises(ValueError, match="row 2 is not"):
            blocks.write_layer(rows, tmp_path / str(bad))
    far = blocks.write_layer(1e9 * np.eye(3), tmp_path / "far")
    assert np.array_equal(far.rows(), np.eye(3))
    source = blocks.write_layer(np.ones((5, 3)), tmp_path / "five")
    with pytest.raises(ValueError, match="the rows are 5 and the articles 3000"):
        blocks.convolve_blocks(source, crowd, tmp_path / "x")


# nearest

def test_scan_is_exact():
    "Whatever the size of a piece, it is the sorted product."
    rng = np.random.default_rng(0)
    rows, asked = rng.standard_normal((900, 5)).astype("f2"), np.eye(5, dtype="f4")
    ids, scores = nearest.scan(rows, asked, k=30)
    whole = asked @ rows.astype("f4").T
    assert np.array_equal(np.sort(whole, axis=1)[:, :-31:-1], scores)
    assert np.array_equal(np.take_along_axis(whole, ids, 1), scores)


def test_scan_in_pieces(monkeypatch):
    rng = np.random.default_rng(1)
    rows, asked = rng.standard_normal((900, 5)).astype("f2"), np.eye(5, dtype="f4")
    whole = nearest.scan(rows, asked, k=7)
    monkeypatch.setattr(nearest, "PIECE", 13)
    pieces = nearest.scan(rows, asked, k=7)
    assert np.array_equal(pieces[1], whole[1]) and np.array_equal(pieces[0], whole[0])


def test_index_finds_rows_and_scores():
    "Each row finds itself, scores are the exact products, and the best come first."
    rows, _ = nearest.cloud(2000)
    made = nearest.build_index(rows)
    for i in (0, 7, 1999):
        ids, scores = made.find(rows[i].astype("f4"), k=5)
        assert ids[0] == i and (np.diff(scores) <= 0).all()
        assert np.allclose(scores, rows[ids].astype("f4") @ rows[i].astype("f4"))
    assert len(made.find(rows[0].astype("f4"), k=60)[0]) == 60
    plain = replace(made, candidates=0).find(rows[3].astype("f4"), k=5)
    assert plain[0][0] == 3 and plain[1][0] == pytest.approx(1, abs=0.002)
    assert len(plain[0]) == len(plain[1]) == 5
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 2000"):
        made.find(rows[0], k=2001)


def test_index_of_other_rows(tmp_path):
    rows, _ = nearest.cloud(300)
    nearest.build_index(rows, tmp_path / "index")
    for bad in (rows[:200], rows[:, :100]):
        with pytest.raises(ValueError, match="no part of an index.*300 of 384"):
            nearest.build_index(bad, tmp_path / "index")
    with pytest.raises(ValueError, match="row 0 is another"):
        nearest.build_index(rows[::-1], tmp_path / "index")
    whole, flat = (tmp_path / "index").read_bytes(), faiss.IndexFlatIP(384)
    flat.add(rows.astype("f4"))
    for damaged in (b"", whole[:-1], b"x" * 99, bytes(faiss.serialize_index(flat))):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged is no part of an index"):
            nearest.build_index(rows, tmp_path / "damaged")
        assert (tmp_path / "damaged").read_bytes() == damaged


def test_index_refuses_what_is_no_row(tmp_path):
    rows, asked = nearest.cloud(2000)
    broken = rows.copy()
    broken[1501, 7] = np.nan
    for bad, words in ((broken, "row 1501 holds nan"), (rows[:0], "the shape"),
                       (rows[0], "the shape"), (rows * 1j, "complex")):
        with pytest.raises(ValueError, match=words):
            nearest.build_index(bad, tmp_path / "index")
        assert not list(tmp_path.iterdir())
    made = nearest.build_index(rows, tmp_path / "new/index")
    for bad in (asked[0][:9], asked[:2], np.full(384, np.inf)):
        with pytest.raises(ValueError, match="rows must be"):
            made.find(bad)
    for bad in ({"probes": 0}, {"candidates": -1}):
        with pytest.raises(ValueError, match=f"{[*bad][0]} must be a whole number"):
            replace(made, **bad)
    for bad in (asked[0], asked[:, :9], asked * np.nan):
        with pytest.raises(ValueError, match="rows must be"):
            nearest.scan(rows, bad)


def test_index_variants_do_not_meet():
    "Each search has its own number of shelves, side by side with another."
    rows, asked = nearest.cloud(3000)
    few = nearest.build_index(rows, probes=1)
    every, truth = replace(few, probes=few.shelves.nlist), nearest.scan(rows, asked)[0]
    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(nearest.recall, few, asked, truth) for _ in range(20)]
        found = [nearest.recall(every, asked, truth).mean() for _ in range(5)]
    assert min(found) > 0.99 > 0.9 > np.mean([b.result().mean() for b in busy])
    sizes = [replace(few, probes=p).work(asked) for p in (few.shelves.nlist, 10**4)]
    assert sizes[0] == sizes[1] == 3000 + few.shelves.nlist + few.candidates
    assert len(replace(few, candidates=10**9).find(asked[0], 3)[0]) == 3


def test_index_keeps_its_directions(tmp_path):
    "More rows of another kind come along the directions that the file began with."
    rows, _ = nearest.cloud(600)
    first = nearest.build_index(rows[:500], tmp_path / "index", most=16)
    later = np.vstack([rows[:500], np.roll(rows[500:], 7, axis=1)])
    grown = nearest.build_index(later, tmp_path / "index", most=64)
    probe = np.eye(384, dtype="f4")
    ways = [made.index.chain.at(0).apply(probe) for made in (first, grown)]
    assert np.array_equal(*ways) and ways[0].shape == (384, 16)
    assert np.allclose(ways[0].T @ ways[0], np.eye(16), atol=1e-5)
    assert grown.index.ntotal == 600 and grown.shelves.nlist == first.shelves.nlist
    for bad in ({"most": 0}, {"sample": 0}):
        with pytest.raises(ValueError, match="must be a whole number from 1"):
            nearest.longest(rows, **bad)


def test_cloud_is_the_same_and_unit():
    "A longer cloud begins as a shorter one, and questions are in none of it."
    small, asked = nearest.cloud(50)
    large, _ = nearest.cloud(120)
    assert np.allclose(large[:50].astype("f4"), small.astype("f4"), atol=1e-3)
    assert np.allclose(np.linalg.norm(large.astype("f4"), axis=1), 1, atol=2e-3)
    assert (asked @ large.T.astype("f4")).max() < 0.98


# stores

@settings(deadline=None, max_examples=60, derandomize=True)
@given(crowd=small_crowds(), k=st.integers(1, 12), most=st.integers(1, 6))
def test_stores_agree(tmp_path_factory, crowd, k, most):
    "Arrays, SQLite and Oxigraph give what the matrix says, ties by number."
    path = tmp_path_factory.mktemp("s") / "crowd.db"
    stores.write_sqlite(crowd, path, step=3)
    asked = [stores.ArrayStore(crowd), stores.SQLiteStore(path),
             stores.TripleStore(crowd)]
    W = weights(crowd, most).toarray().astype(int)
    for x in range(crowd.n):
        order = np.argsort(-W[x], kind="stable")[:k]
        right = [(int(i), int(W[x, i])) for i in order if W[x, i]]
        assert [s.sharing(x, k, most) for s in asked] == [right] * 3
    asked[1].close()


def test_triples_come_in_order(crowd):
    "On a grown graph: the most shared first, as from the arrays."
    triples, arrays = stores.TripleStore(crowd), stores.ArrayStore(crowd)
    answers = [arrays.sharing(x, limit=40) for x in range(60)]
    assert [triples.sharing(x, limit=40) for x in range(60)] == answers
    assert any(a[0][1] > a[-1][1] for a in answers if a)


def test_bad_questions(tmp_path, crowd):
    path = tmp_path / "crowd.db"
    with pytest.raises(FileNotFoundError, match="write_sqlite makes it"):
        stores.SQLiteStore(path)
    stores.write_sqlite(crowd, path)
    with pytest.raises(FileExistsError):
        stores.write_sqlite(crowd, path)
    base = stores.SQLiteStore(path)
    for store in (stores.ArrayStore(crowd), base):
        for bad in ({"article": 3000}, {"article": -1}, {"article": 0, "k": 0},
                    {"article": 0, "limit": 0}):
            with pytest.raises(ValueError, match="must be a whole number"):
                store.sharing(**bad)
    base.close()


# exports

TEXTS = st.one_of(st.text("n$'\"\\\n\t{},é水", max_size=12),
                  st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=9))


def thorny(text):
    "A graph with one text in every place."
    return KnowledgeGraph(
        frame("articles", [("Art0", text, "own", ""),
                           ("Art1 " + text, "", "own", "t")]),
        frame("entities", [("E " + text, "linked", "Q1", text),
                           ("C", "class", "", "")]),
        pairs([(0, 0), (1, 0)]), pairs([(0, 1)]),
        frame("relations", [(0, text or "is", 1, 1)]))


@pytest.mark.skipif(not find_spec("gremlin_python"), reason="needs gremlinpython")
@settings(deadline=None, max_examples=60, derandomize=True)
@given(TEXTS)
def test_gremlin_survives_any_text(text):
    "Read by Apache's package, the steps have the texts as they were."
    from gremlin_python.process.graph_traversal import GraphTraversalSource, __
    from gremlin_python.process.traversal import TraversalStrategies
    from gremlin_python.structure.graph import Graph
    g = GraphTraversalSource(Graph(), TraversalStrategies())
    graph = thorny(text)
    codes = [eval(line, {"g": g, "__": __}).bytecode.step_instructions
             for line in exports.gremlin(graph, partition="pk")]
    rows = [row for rows in exports.nodes(graph).values() for row in rows]
    for code, row in zip(codes, rows):
        assert dict(args for _, *args in code[1:]) == {"pk": row["name"]} | row
    for code, (a, edge, b, about) in zip(codes[4:], exports.edges(graph), strict=True):
        assert code[1][1::2] == [a[0], a[1]] and code[2][1] == edge
        assert code[3][1].step_instructions[1][1::2] == [b[0], b[1]]
        assert dict(args for _, *args in code[4:]) == about


@pytest.mark.skipif(not find_spec("graphglot"), reason="needs graphglot")
def test_cypher_is_cypher():
    from graphglot.dialect import Dialect
    neo4j = Dialect.get_or_raise("neo4j")
    graph = thorny("It's \"$5\" \\ \n\t é 水 {x} // -- \\")
    statements = list(exports.cypher(graph))
    assert all(neo4j.validate(s).success for s in statements)
    assert not neo4j.validate(statements[1].replace("[", "", 1)).success
    assert len(list(exports.cypher(thorny("x"), 1))) > len(statements)
    with pytest.raises(ValueError, match="batch must be"):
        list(exports.cypher(thorny("x"), 0))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(TEXTS)
def test_cypher_texts_are_json(text):
    "Each text of a map is read back by JSON, whose escapes Cypher shares."
    made = exports.cypher_map({"name": text})
    assert json.loads(made[len("{name: "):-1]) == text


@settings(deadline=None, max_examples=30, derandomize=True)
@given(TEXTS)
def test_tables_and_triples_survive_any_text(tmp_path_factory, text):
    import csv

    import pyoxigraph as ox
    graph = thorny(text)
    paths = exports.import_tables(graph, tmp_path_factory.mktemp("t"))
    tables = {}
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            tables[path.stem] = list(csv.DictReader(file))
    assert [row["text"] for row in tables["articles"]] == [text, ""]
    assert {row[":END_ID(Entity)"] for row in tables["has"]} == {"E " + text}
    assert tables["relation"][0]["article"] == "Art1 " + text
    read = list(ox.parse(graph.to_rdf(), format=ox.RdfFormat.N_TRIPLES))
    assert {t.object.value for t in read if isinstance(t.object, ox.Literal)} >= {
        t for t in (text, "Art0") if t}


# scale

def test_stored_curve_and_its_arithmetic():
    curve, machine = scale.load_scale()
    table = scale.carry_on(curve, n=2 * 1_700_000)
    assert table.loc["mentions, million", "times"] == pytest.approx(2)
    assert table.loc["entities, million", "times"] < 2
    assert table.loc["matrix of neighbours, pairs", "times"] > 3
    rows = table.loc["rows on disk, GB"]
    assert rows.iloc[0] == pytest.approx(1.7e6 * 384 * 2 / 1e9)
    assert rows.iloc[2] == pytest.approx(2 * rows.iloc[0])
    same = scale.carry_on(curve, n=1_700_000).iloc[:8]
    assert np.allclose(same.iloc[:, 0], same.iloc[:, 2])
    line = curve["layer"].seconds * 0 + curve["layer"].index.to_numpy() ** 1.5
    assert scale.slope(line) == pytest.approx(1.5)
    assert "core" in machine


@pytest.mark.parametrize("text", ["", "[]", '{"layer": 3}', '{"machine": "x"}'])
def test_bad_curves(tmp_path, text):
    path = tmp_path / "scale.json"
    with pytest.raises(FileNotFoundError, match="bench_knowledge"):
        scale.load_scale(path)
    path.write_text(text)
    with pytest.raises(ValueError, match="is no stored curve"):
        scale.load_scale(path)


def test_layer_is_measured():
    cost = scale.layer_cost(2000, dims=64)
    assert 0 < cost["seconds"] < 5 and 0.01 < cost["gb"] < 6
    assert cost["mentions"] > 3 * cost["articles"]
    assert cost["linking"] < cost["entities"]


# spark

@pytest.mark.skipif(not find_spec("pyspark"), reason="needs pyspark")
def test_spark_without_java(monkeypatch):
    from litlab.knowledge import spark
    monkeypatch.setattr(spark.shutil, "which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(NotRun, match="needs Java"), spark.spark_session():
        pass


@pytest.mark.skipif(not find_spec("pyspark"), reason="needs pyspark")
def test_spark_is_convolve(crowd):
    from litlab.knowledge import spark
    mentions = np.array([(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (3, 2), (5, 3),
                         (6, 3)])
    small = crowds.crowd_of(mentions, 7, 4)
    rows = np.random.default_rng(0).standard_normal((7, 3))
    try:
        with spark.spark_session() as session:
            got = spark.convolve_spark(session, rows, mentions, lam=0.6, layers=2)
            with pytest.raises(ValueError, match="lam must be"):
                spark.convolve_spark(session, rows, mentions, lam=2)
    except NotRun as error:
        pytest.skip(str(error))
    right = convolve(rows, weights(small), lam=0.6, layers=2)
    assert np.allclose(got, right, atol=1e-6)
