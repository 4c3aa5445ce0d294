"Encoders, convolution, search and the scores: bad input, properties, references."

import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

if not all(map(find_spec, ("sentence_transformers", "sklearn", "bm25s"))):
    pytest.skip("needs pip install 'litlab[knowledge]'", allow_module_level=True)

from litlab.core.claims import NotRun, Run  # noqa: E402
from litlab.knowledge import (  # noqa: E402
    consistency, convolution, encoders, filters, gate, retrieval, scifact, search)
from litlab.knowledge.graphs import KnowledgeGraph, author_graph, frame, pairs  # noqa: E402

TEXTS = ["Dark energy drives the expansion of the universe.",
         "Carbon dioxide warms the planet.", "A black hole lets no light escape."]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "An empty cache, and no other data."
    monkeypatch.setenv("LITLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LITLAB_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def counted(monkeypatch):
    "A cheap encoder in place of MiniLM, and the blocks that it was given."
    blocks = []
    def made(sentences, batch_size=32):
        blocks.append(list(sentences))
        return np.array([[len(s), s.count("a") + 1.0] for s in sentences])
    monkeypatch.setitem(encoders.ENCODERS, "minilm", made)
    return blocks


def graph_of(named, topics=None, instances=()):
    "A graph of articles that name entities by number."
    m = 1 + max([e for es in named for e in es] + [e for p in instances for e in p])
    topics = topics or ["t"] * len(named)
    return KnowledgeGraph(
        frame("articles", [(f"Art{i}", "", f"d{i % 2}", t)
                           for i, t in enumerate(topics)]),
        frame("entities", [(f"e{i}", "phrase", "", "") for i in range(m)]),
        pairs([(a, e) for a, es in enumerate(named) for e in es]), pairs(instances),
        frame("relations"))


# encoders

@pytest.mark.parametrize("bad, words", [
    ("a text", "put it in a list"), ([], "at least one"), (["a", ""], "sentence 1"),
    ([" \n"], "sentence 0"), (["a", None], "sentence 1"), ([3], "sentence 0")])
def test_bad_sentences(bad, words):
    for encoder in ("minilm", "tfidf", len):
        with pytest.raises(ValueError, match=words):
            encoders.embed(bad, encoder)


def test_tfidf_needs_words():
    for encoder in ("tfidf", "lsa16"):
        with pytest.raises(ValueError, match="corpus must have words"):
            encoders.embed(["a b", "to be or not"], encoder)


def test_bad_encoders():
    with pytest.raises(ValueError, match="no encoder 'bert'.*minilm.* a function"):
        encoders.embed(TEXTS, "bert")
    with pytest.raises(ValueError, match="batch_size"):
        encoders.embed(TEXTS, batch_size=0)
    for made in (np.ones(3), np.ones((2, 4)), np.full((3, 2), np.nan)):
        with pytest.raises(ValueError, match="must give 3 rows"):
            encoders.embed(TEXTS, lambda texts, made=made: made)
    with pytest.raises(ValueError, match="dims must be a whole number from 1 to 2"):
        encoders.embed(TEXTS, "lsa16")
    with pytest.raises(ValueError, match="no stored vectors of 'bert'"):
        encoders.author_vectors("bert")


def test_rows_have_length_one_or_none():
    rows = encoders.unit([[3, 4], [0, 0], [-2, 0]])
    assert np.allclose(rows, [[0.6, 0.8], [0, 0], [-1, 0]]) and rows.dtype == np.float32
    unknown = encoders.embed(["zzz qqq"], "tfidf", corpus=TEXTS)
    assert unknown.shape[1] == encoders.embed(TEXTS, "tfidf").shape[1]
    assert not unknown.any()


def test_cache_keeps_blocks(cache, counted):
    "Whole blocks are kept; what is new is computed, and nothing else."
    texts = [f"{'a' * (i % 7)} {i}" for i in range(encoders.BLOCK + 5)]
    first = encoders.embed(texts)
    assert [len(b) for b in counted] == [encoders.BLOCK, 5]
    assert np.array_equal(encoders.embed(texts), first) and len(counted) == 2
    more = encoders.embed(texts + ["new"])
    assert len(counted) == 3 and counted[-1][-1] == "new" and len(counted[-1]) == 6
    assert np.array_equal(more[:-1], first)
    assert len(list(cache.rglob("*.npy"))) == 3
    assert np.allclose(np.linalg.norm(first, axis=1), 1)


def test_cache_depends_on_every_text_and_on_the_encoder(cache):
    "Moving a character from one text to the next is another block."
    files = {encoders.block_file(*of) for of in (
        ("minilm", ["ab", "c"]), ("minilm", ["a", "bc"]), ("minilm", ["abc"]),
        ("words", ["ab", "c"]), ("minilm", ["c", "ab"]))}
    assert len(files) == 5 and all(cache in f.parents for f in files)


@pytest.mark.parametrize("content", [b"", b"no numpy", None])
def test_damaged_cache_is_computed_again(cache, counted, content):
    first, path = encoders.embed(TEXTS), encoders.block_file("minilm", TEXTS)
    if content is None:
        np.save(path, first[:1])
    else:
        path.write_bytes(content)
    assert np.array_equal(encoders.embed(TEXTS), first) and len(counted) == 2
    assert np.array_equal(np.load(path), first)


def test_a_cache_of_other_numbers_is_computed_again(cache, counted):
    "Rows of another type, or of no file that numpy knows."
    first, path = encoders.embed(TEXTS), encoders.block_file("minilm", TEXTS)
    for made in (first.astype(float) * 1.5, first + 1j, np.ones((3, 2), dtype=int)):
        np.save(path, made)
        assert np.array_equal(encoders.embed(TEXTS), first)
    assert len(counted) == 4


def test_rows_of_any_size_and_no_complex_ones():
    "Large and small numbers have a direction, too; nothing else changes by a bit."
    for size in (1e-300, 1e-30, 1, 1e30, 1e300):
        made = [[3 * size, 4 * size]]
        for rows in (encoders.unit(made),
                     encoders.embed(TEXTS[:1], lambda texts, made=made: made)):
            assert np.allclose(rows, [[0.6, 0.8]])
    rows = np.random.default_rng(0).standard_normal((50, 9), dtype=np.float32)
    plain = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.array_equal(encoders.unit(rows), plain)
    with pytest.raises(ValueError, match="real numbers"):
        encoders.unit(np.array([[1j, 1]]))
    with pytest.raises(ValueError, match="must give 1 rows.*complex"):
        encoders.embed(TEXTS[:1], lambda texts: np.array([[1j, 1]]))
    with pytest.raises(ValueError, match="real numbers"):
        convolution.convolve(np.eye(2) * 1j, np.eye(2))


def test_minilm_is_the_library(cache):
    "One by one as in a batch, in any order; the question is near its answer."
    rows = encoders.embed(TEXTS, batch_size=2)
    alone = encoders.embed([TEXTS[2]])
    assert rows.shape == (3, 384) and np.allclose(rows[2], alone[0], atol=1e-5)
    asked = encoders.embed(["How does the universe grow?"])[0]
    assert search.find_best(asked, rows, 1).articles[0] == 0
    words = encoders.embed(["hole black a", "a black hole"], "words")
    assert np.allclose(words[0], words[1], atol=1e-6)


def test_stored_vectors():
    "TF-IDF in its own directions: LSA is its beginning, and rows have length 1."
    tfidf, lsa = (encoders.author_vectors(n) for n in ("tfidf", "lsa16"))
    assert np.allclose(encoders.unit(tfidf[:, :16]), lsa, atol=1e-6)
    for name in encoders.STORED:
        norms = np.linalg.norm(encoders.author_vectors(name), axis=1)
        assert np.allclose(norms[norms > 0], 1, atol=1e-5) and (norms == 0).sum() < 3


# convolution

graphs = st.integers(2, 9).flatmap(lambda n: st.tuples(
    st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1),
                                   st.integers(1, 4)), max_size=25)))


def matrix_of(n, edges):
    near = np.zeros((n, n))
    for a, b, times in edges:
        if a != b:
            near[a, b] = near[b, a] = times
    return near


@settings(deadline=None, max_examples=80, derandomize=True)
@given(graphs, st.sampled_from([0, 0.3, 0.75, 1]), st.integers(0, 3),
       st.integers(0, 99))
def test_convolution_is_the_loop(graph, lam, layers, seed):
    near, rng = matrix_of(*graph), np.random.default_rng(seed)
    rows = encoders.unit(rng.standard_normal((graph[0], 5)))
    x = rows.astype(float)
    for _ in range(layers):
        z = [lam * x[a] + (1 - lam) * (near[a] @ x) / near[a].sum()
             if near[a].any() else x[a] for a in range(len(x))]
        x = np.array([v / np.linalg.norm(v) for v in z])
    made = convolution.convolve(rows, sparse.csr_matrix(near), lam, layers)
    assert np.allclose(made, x, atol=2e-4)
    thrice = convolution.convolve(rows, 3 * near, lam, layers)
    assert np.allclose(made, thrice, atol=1e-4)
    order = rng.permutation(len(x))
    turned = convolution.convolve(rows[order], near[order][:, order], lam, layers)
    assert np.allclose(turned, made[order], atol=2e-4)
    if lam == 1:
        assert np.allclose(made, rows, atol=1e-5)


def test_convolution_of_nothing():
    "Zero rows and rows that cancel stay finite."
    rows = np.array([[1.0, 0], [-1, 0], [0, 0]])
    near = matrix_of(3, [(0, 1, 1), (1, 2, 1)])
    for layers in (1, 2, 5):
        assert np.isfinite(convolution.convolve(rows, near, 0.5, layers)).all()


@pytest.mark.parametrize("change, words", [
    ({"lam": -0.1}, "lam must be"), ({"lam": 1.01}, "lam must be"),
    ({"lam": float("nan")}, "lam must be"), ({"lam": "1"}, "lam must be"),
    ({"layers": -1}, "layers must be"), ({"layers": 1.5}, "layers must be"),
    ({"neighbours": np.eye(4)}, "don't fit"), ({"embeddings": np.ones(3)}, "don't fit"),
    ({"embeddings": 5.0}, "don't fit"),
    ({"neighbours": -np.eye(3)}, "at least 0"),
    ({"embeddings": np.full((3, 2), np.nan)}, "finite")])
def test_bad_convolutions(change, words):
    good = {"embeddings": np.eye(3), "neighbours": np.ones((3, 3)) - np.eye(3)}
    with pytest.raises(ValueError, match=words):
        convolution.convolve(**good | change)


# search

@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.2 + 1e-9, 0.3, -1.0]), min_size=1,
                max_size=12))
def test_ties_by_number(scores):
    order = search.ranking(np.array(scores))
    keys = [(-round(scores[i], 6), i) for i in order]
    assert keys == sorted(keys) and sorted(order) == list(range(len(scores)))


@pytest.mark.parametrize("vector, k, words", [
    (np.ones(2), 4, "k must be a whole number from 1 to 3"),
    (np.ones(2), 0, "k must be"),
    (np.zeros(2), 1, "unknown to the encoder"), (np.ones(3), 1, "doesn't fit"),
    (np.array([np.nan, 1]), 1, "not finite"), (np.ones((1, 2)), 1, "doesn't fit")])
def test_bad_searches(vector, k, words):
    with pytest.raises(ValueError, match=words):
        search.find_best(vector, np.ones((3, 2)), k)


def test_bad_rows_are_not_searched():
    rows = np.eye(3)
    for bad in (np.nan, np.inf, 1j):
        with pytest.raises(ValueError, match="finite real numbers"):
            search.find_best(np.ones(3), rows + np.diag([0, 0, bad]), 2)


def test_clues():
    "Most entities win; a tie of two is clear, and one of more than half isn't."
    graph = graph_of([[0, 1], [0], [0, 2], [1], [3]])
    assert search.find_clues(graph, [0, 1]).tolist() == [0]
    assert search.find_clues(graph, [1]).tolist() == [0, 3]
    assert search.find_clues(graph, [0]).tolist() == []
    three = graph_of([[0, 1]] * 3 + [[0]] * 5)
    assert search.find_clues(three, [0, 1]).tolist() == [0, 1, 2]
    twice = graph_of([[0], [1, 2]])
    assert search.find_clues(twice, [0, 0, 0, 1, 2]).tolist() == [1]
    assert search.find_clues(graph, []).tolist() == []
    with pytest.raises(ValueError, match="entity 4"):
        search.find_clues(graph, [4])
    with pytest.raises(ValueError, match="entity -1"):
        search.find_clues(graph, [-1])


def test_find_best2():
    "The clue asks in place of the question; without one the nearest does."
    graph = graph_of([[0, 1], [0], [0, 2], [1], [3]])
    rows = encoders.unit(np.random.default_rng(0).standard_normal((5, 4)))
    made = convolution.convolve(rows, graph.neighbours())
    found = search.find_best2(graph, rows[4], rows, made, [1], k=3)
    assert found.articles[0] == 0 and found.entities == (1,) and len(found) == 3
    by_hand = search.find_best(made[0], made, 3)
    assert np.array_equal(found.articles, by_hand.articles)
    plain = search.find_best2(graph, rows[4], rows, made, [0], k=2)
    assert plain.articles[0] == 4 and plain.entities == ()
    same = np.tile(rows[:1], (5, 1))  # all rows equal: the clue still comes first
    assert search.find_best2(graph, rows[4], rows, same, [3]).articles.tolist() == [
        4, 0, 1, 2]
    with pytest.raises(ValueError, match="must have 5 rows.*got 3 and 5"):
        search.find_best2(graph, rows[4], rows[:3], made)


def test_component_filter():
    "By the whole graph over classes, or by the answers' graph; the first stays."
    graph = graph_of([[0], [1], [0], [2], [1]], instances=[(0, 3), (1, 3)])
    found = search.Found(np.arange(5), np.linspace(1, 0, 5))
    def kept(**how):
        return search.component_filter(graph, found, **how).articles.tolist()
    assert kept(k=3) == [0, 1, 2] and kept(k=4) == [0, 1, 2, 4]
    assert kept(k=4, replace=False) == [0, 1, 2]
    assert kept(k=4, within="answers") == [0, 2] and kept(k=1) == [0]
    lone = search.Found(np.array([3, 0]), np.ones(2))
    assert search.component_filter(graph, lone).articles.tolist() == [3]
    with pytest.raises(ValueError, match="within must be"):
        kept(within="documents")
    with pytest.raises(ValueError, match="replace must be.*'no'"):
        kept(replace="no")
    other = search.Found(np.array([0, 5]), np.ones(2))
    with pytest.raises(ValueError, match="row of found .* 0 to 4 .got 5."):
        search.component_filter(graph, other)
    with pytest.raises(ValueError, match="k must be"):
        kept(k=0)
    for within in ("graph", "answers"):
        with pytest.raises(ValueError, match="found has no answer"):
            search.component_filter(graph, search.Found([], []), within=within)


# consistency

def test_topics():
    graph = graph_of([[0]] * 4, ["relativity", "cosmology", "climate", "black holes"])
    assert consistency.same_topic(graph).astype(int).tolist() == [
        [1, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]
    with pytest.raises(ValueError, match="1 of 2 articles have no topic"):
        consistency.same_topic(graph_of([[0], [0]], ["climate", ""]))


def test_scores_by_hand():
    same = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    found = np.array([[0, 1, 2], [2, 1, 0]])
    assert np.allclose(consistency.essay_scores(found, same), [2 / 3, 1 / 3])
    rows = np.array([[1.0, 0], [0.8, 0.6], [0, 1]])
    assert consistency.others_scores(rows, same, 1).tolist() == [1, 1, 0]
    assert consistency.chance_score(same, 2) == pytest.approx(0.5 + 0.5 / 3)
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 3"):
        consistency.answers(rows, 4)


def test_bootstrap():
    "The error of a mean; groups that are one make no interval; bad values."
    values = np.random.default_rng(0).random(400)
    found = consistency.bootstrap(values)
    assert found.low < found.value < found.high and found.value == values.mean()
    assert found.error == pytest.approx(values.std() / 20, rel=0.08)
    assert consistency.bootstrap(values, seed=1) != found
    assert consistency.bootstrap(values) == found
    whole = consistency.bootstrap(values, np.zeros(400))
    assert whole.low == pytest.approx(whole.high)
    twice = consistency.bootstrap(np.repeat(values, 2), np.repeat(np.arange(400), 2))
    assert twice.error == pytest.approx(found.error, rel=1e-6)
    for bad in ([], [1, np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="values must be"):
            consistency.bootstrap(bad)


def test_shuffled_graph_has_the_same_degrees():
    near = author_graph().neighbours()
    other = consistency.shuffled(near, 3)
    assert sorted(np.diff(other.indptr)) == sorted(np.diff(near.indptr))
    assert (other != near).nnz and not other.diagonal().any()
    assert (other != consistency.shuffled(near, 3)).nnz == 0


def test_published_numbers_come_back():
    weak = consistency.layers_weak(Run())
    modern = consistency.layers_modern(Run())
    assert weak.value > 0.05 > 0.02 > modern.value
    assert 0.82 <= consistency.find_best_score(Run()).value < 0.83


# filters

def test_kept():
    right = np.array([[1, 0, 1, 1], [0, 0, 1, 0]], dtype=bool)
    kept = np.array([[1, 1, 0, 0], [0, 0, 1, 0]], dtype=bool)
    of = filters.Kept(right, kept, np.zeros((2, 4)))
    assert of.essay.tolist() == [2 / 3, 1] and of.strict.tolist() == [0.5, 0.5]
    assert of.precision == pytest.approx(2 / 3) and of.coverage == 0.5
    assert filters.first_of(right, 2).astype(int).tolist() == [
        [1, 0, 1, 0], [0, 0, 1, 0]]
    nothing = filters.Kept(right, np.zeros_like(kept), np.zeros((2, 4)))
    assert nothing.precision == 0 and nothing.essay.tolist() == [1, 1]


def test_threshold_has_the_coverage_of_the_filter():
    rng = np.random.default_rng(0)
    kept = filters.first_of(rng.random((50, 9)) < 0.3)
    of = filters.Kept(rng.random((50, 9)) < 0.5, kept, rng.random((50, 9)))
    parts = np.arange(50) % 3
    for given_parts in (None, parts):
        other = filters.threshold_like(of, given_parts)
        assert other.kept.sum() == kept.sum() and other.kept.shape == (50, 3)
        for part in (0, 1, 2) if given_parts is not None else ():
            rows = parts == part
            assert other.kept[rows].sum() == kept[rows].sum()
            assert (other.cosines[rows][other.kept[rows]].min()
                    >= other.cosines[rows][~other.kept[rows]].max())


def test_precision_gap_of_a_filter_with_itself():
    found = filters.filters(author_graph(hubs=True), encoders.author_vectors())
    gap = filters.precision_gap(found["all"], found["all"])
    assert (gap.value, gap.low, gap.high) == (0, 0, 0)
    assert found["all"].coverage == 1 and found["component"].coverage < 0.7
    coverage, precision = filters.trade_off(
        np.array([[True, False, True]]), np.array([[1, 1, 0]]), np.array([[1, 2, 9]]))
    assert precision.tolist() == [0, 0.5, 2 / 3] and coverage[-1] == 1


# retrieval

@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(2, 25), st.integers(1, 12), st.integers(0, 999))
def test_ndcg_is_scikit_learn_s(n, k, seed):
    from sklearn.metrics import ndcg_score
    rng = np.random.default_rng(seed)
    scores = rng.permutation(n)[None] / n
    right = rng.choice(n, rng.integers(1, n + 1), replace=False)
    labels = np.isin(np.arange(n), right)[None]
    found = retrieval.judge(scores, [right], k)
    assert found.ndcg[0] == pytest.approx(ndcg_score(labels, scores, k=k))
    top = np.argsort(-scores[0])[:k]
    assert found.recall[0] == pytest.approx(np.isin(right, top).mean())


def test_bad_judging():
    for relevant in ([[0]], [[0], []]):
        with pytest.raises(ValueError, match="lists with the right texts"):
            retrieval.judge(np.ones((2, 3)), relevant)
    with pytest.raises(ValueError, match="weight must be"):
        retrieval.hybrid(np.ones((1, 2)), np.ones((1, 2)), 1.2)


def test_hybrid_ends():
    "Weight 0 ranks as the vectors do, 1 as the words; fusion is symmetric."
    rng = np.random.default_rng(0)
    words, vectors = rng.random((2, 3, 8))
    for weight, alone in ((0.0, vectors), (1.0, words)):
        assert np.array_equal(search.ranking(retrieval.hybrid(words, vectors, weight)),
                              search.ranking(alone))
    fused = retrieval.rank_fusion(words, vectors)
    assert np.allclose(fused, retrieval.rank_fusion(vectors, words))
    both = retrieval.rank_fusion(words, words)
    assert np.array_equal(search.ranking(both), search.ranking(words))


def test_bm25():
    "The text with the rare word comes first; scale and order of texts don't matter."
    found = retrieval.bm25_scores(TEXTS, ["carbon", "the of and", "black light"])
    assert found.shape == (3, 3) and found[0].argmax() == 1 and not found[1].any()
    turned = retrieval.bm25_scores(TEXTS[::-1], ["carbon", "the of and", "black light"])
    assert np.allclose(turned[:, ::-1], found)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.integers(1, 8), st.integers(1, 6), st.integers(2, 5), st.integers(0, 99))
def test_shared_is_the_loop(n, m, most, seed):
    named = np.random.default_rng(seed).random((n, m)) < 0.4
    used = [e for e in range(m) if 1 < named[:, e].sum() <= most]
    by_hand = [[0 if a == b else sum(named[a, e] and named[b, e] for e in used)
                for b in range(n)] for a in range(n)]
    near = retrieval.shared(sparse.csr_matrix(named.astype(np.float32)), most)
    assert near.toarray().astype(int).tolist() == by_hand


# SciFact

@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "scifact.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("corpus_train.csv", "doc_id,title,abstract\n5,One,\"['1.'\n "
                      "\"\"It's two.\"\"]\"\n3,Two,['No.']\n")
        made.writestr("claims_train.csv",
                      "id,claim,cited_doc_ids\n9,b,[3]\n1,a,[5 3]\n")
        made.writestr("claims_validation.csv",
                      "id,claim,cited_doc_ids\n2,c,[3]\n2,c,[3]\n")
    return path


def test_scifact_is_read(archive):
    "One question a claim, in the order of its number; answers by row."
    parts = scifact.read_scifact(archive)
    assert parts["train"].questions == ["a", "b"]
    assert parts["train"].relevant == [[0, 1], [1]]
    assert parts["test"].questions == ["c"] and parts["test"].texts[1] == "Two No."
    assert parts["test"].texts[0] == "One 1. It's two."


def test_bad_archives(tmp_path, archive):
    text = tmp_path / "text.zip"
    text.write_text("no archive")
    with pytest.raises(ValueError, match="text.zip is no archive of SciFact"):
        scifact.read_scifact(text)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as made:
        made.writestr("claims_train.csv", "id\n1\n")
    with pytest.raises(ValueError, match="other.zip is no archive of SciFact"):
        scifact.read_scifact(tmp_path / "other.zip")


def test_claims_without_scifact_say_what_they_need(cache):
    scifact.load_scifact.cache_clear()
    for measure in (scifact.scifact_hybrid, scifact.scifact_weak,
                    scifact.scifact_convolution):
        with pytest.raises(NotRun, match="needs scifact/scifact.zip"):
            measure(Run())


# gate

def test_gate():
    rows = encoders.unit([[1, 0], [1, 1], [0, 1], [-1, 0]])
    near = sparse.csr_matrix(matrix_of(4, [(0, 1, 2), (0, 2, 1), (0, 3, 1)]))
    assert gate.gated(rows, near, 0.5).toarray()[0].tolist() == [0, 2, 0, 0]
    assert gate.gated(rows, near, -0.5).toarray()[0].tolist() == [0, 2, 1, 0]
    assert (gate.gated(rows, near, -1) != near).nnz == 0
    for bad in (1.1, float("nan"), "x"):
        with pytest.raises(ValueError, match="tau must be"):
            gate.gated(rows, near, bad)


def test_merged_forms_link():
    graph = author_graph(hubs=True)
    merged = gate.merged_neighbours(graph, 60)
    plain = graph.neighbours(most=60)
    one, other = plain.toarray() > 0, merged.toarray() > 0
    assert other.sum() > one.sum() and (merged != merged.T).nnz == 0
    hole = [i for i, n in enumerate(graph.entities["name"]) if n == "Black_hole"]
    holes = [i for i, n in enumerate(graph.entities["name"]) if n == "black holes"]
    named = graph.incidence().toarray()
    assert other[named[:, hole[0]] > 0][:, named[:, holes[0]] > 0].any()


def test_cross_fit_never_looks_at_what_it_scores():
    "Change the scores of one half: the setting used for it stays."
    rng = np.random.default_rng(0)
    documents = np.repeat([f"d{i}" for i in range(6)], 5)
    scores, base = rng.random((8, 30)), np.zeros(30)
    grid = gate.Grid(list(range(8)), scores, base, documents)
    half = np.isin(documents, np.random.default_rng(1).permutation(
        np.unique(documents))[:3])
    found, chosen = gate.cross_fit(grid, seed=1)
    assert np.allclose(found[~half], scores[chosen[0]][~half])
    assert np.allclose(found[half], scores[chosen[1]][half])
    other = scores.copy()
    other[:, ~half] = rng.random((8, (~half).sum()))
    again = gate.cross_fit(gate.Grid(list(range(8)), other, base, documents), seed=1)[1]
    assert again[0] == chosen[0] == scores[:, half].mean(axis=1).argmax()


def test_ranking_of_half_precision():
    "Six digits are more than float16 can be multiplied by."
    scores = np.array([0.2, 0.9, 0.5, 0.9], "f2")
    assert search.ranking(scores).tolist() == [1, 3, 2, 0]
