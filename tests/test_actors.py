"Actors for real: kept through kills, served over HTTP, found by another program."

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if not find_spec("ray"):
    pytest.skip("needs pip install 'litlab[parallel]'", allow_module_level=True)

import ray  # noqa: E402

from litlab.parallel.actors import (  # noqa: E402
    Classifier, MortalSubClassifier, SubClassifier, call_until, end_group, first_line,
    own_ray, sub_classifier)
from litlab.parallel.classifier import (  # noqa: E402
    CLIENTS, model_speedup, seconds_for, send_through_kills)
from litlab.parallel.front import (  # noqa: E402
    ask, deliver, kept_ids, kill_actors, own_server, put_titles)
from litlab.parallel.titles import (  # noqa: E402
    TOPICS, WordCounts, make_readers, make_titles, words_of)


def of_ray():
    "Processes that a Ray of this process started."
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            line = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"ray" in line:
            found.add(path.parent.name)
    return found


@pytest.fixture(scope="module")
def server():
    "One Ray with a web server, for all tests that need them; nothing is left of it."
    before, usual = of_ray(), tempfile.tempdir
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        tempfile.tempdir = folder
        try:
            with own_server(queue_size=5, delay=0.05, n_slots=2) as url:
                yield url
        finally:
            tempfile.tempdir = usual
        assert os.listdir(folder) == []
    end = time.monotonic() + 20
    while of_ray() - before and time.monotonic() < end:
        time.sleep(0.1)
    assert not of_ray() - before and not ray.is_initialized()


def test_titles_come_from_a_seed():
    titles = make_titles(300, seed=4)
    assert titles == make_titles(300, seed=4) != make_titles(300, seed=5)
    assert [t.id for t in titles] == list(range(300))
    assert all(t.subtopic in TOPICS[t.topic] for t in titles)
    own = [len(set(words_of(t.text)) & set(TOPICS[t.topic][t.subtopic].split()))
           for t in make_titles(100, seed=4, stray=0)]
    assert own == [3] * 100
    words = [w for subs in TOPICS.values() for line in subs.values()
             for w in line.split()]
    assert len(words) == len(set(words)) == 75


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": True}, {"n": 3, "stray": -0.1},
                                   {"n": 3, "stray": float("nan")}])
def test_titles_refuse(wrong):
    with pytest.raises(ValueError, match="must be"):
        make_titles(**wrong)


def test_word_counts_by_hand():
    reader = WordCounts().fit(["a a b", "b c"], ["x", "y"])
    scores = reader.scores("A, unknown!")
    assert scores["x"] == pytest.approx(np.log(0.5 * 3 / 6))
    assert scores["y"] == pytest.approx(np.log(0.5 * 1 / 5))
    assert reader.predict("a") == "x" and reader.predict("c c") == "y"


def test_word_counts_are_naive_bayes():
    "The same log probabilities as scikit-learn's, up to the normalisation."
    sklearn = pytest.importorskip("sklearn.naive_bayes")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    learn, judge = make_titles(300, seed=1), make_titles(100, seed=2)
    counts = text.CountVectorizer(analyzer=words_of)
    model = sklearn.MultinomialNB().fit(
        counts.fit_transform([t.text for t in learn]), [t.topic for t in learn])
    reader = WordCounts().fit([t.text for t in learn], [t.topic for t in learn])
    theirs = model.predict_joint_log_proba(counts.transform([t.text for t in judge]))
    ours = [[reader.scores(t.text)[c] for c in model.classes_] for t in judge]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_readers_are_better_than_a_guess():
    by_topic, by_subtopic = make_readers()
    unseen = make_titles(500, seed=9)
    assert np.mean([by_topic.predict(t.text) == t.topic for t in unseen]) > 0.9
    assert np.mean([by_subtopic.predict(t.text) == f"{t.topic}/{t.subtopic}"
                    for t in unseen]) > 0.85


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_cut_last_line_is_forgotten(tmp_path, cut):
    "Wherever a kill cuts the file, whole lines are kept and writing goes on."
    keeper = SubClassifier("math", tmp_path)
    assert keeper.send(1, "One", "algebra") and keeper.send(2, "Two", "algebra")
    text = keeper.path.read_text()
    keeper.path.write_text(text[:-cut])
    again = SubClassifier("math", tmp_path)
    assert again.ids == ({1} if cut < len(text) - len(text) // 2 + 1 else set())
    assert again.send(2, "Two", "topology")
    assert SubClassifier("math", tmp_path).ids == again.ids


def test_an_id_is_taken_once_if_asked_for():
    once, always = SubClassifier("bio"), SubClassifier("bio", once=False)
    assert [once.send(1, "a", "genes"), once.send(1, "a", "cells")] == [True, False]
    assert [always.send(1, "a", "genes"), always.send(1, "a", "cells")] == [True, True]


@pytest.mark.parametrize("n, q, slots, speedup", [
    (40, 0, 16, 1), (40, 1, 16, 1), (40, 5, 16, 5), (40, 20, 16, 10),
    (40, 16, 16, 40 / 3), (40, 40, 16, 40 / 3), (40, 40, 64, 40),
    (40, 100, 16, 40 / 3), (7, 3, 2, 7 / 5), (40, 40, 1, 1)])
def test_model_by_hand(n, q, slots, speedup):
    assert model_speedup(q, n, slots) == pytest.approx(speedup)


def test_refusals():
    with pytest.raises(ValueError, match="topic must be one of"):
        sub_classifier("art")
    for queue, delay in ((-1, 0), (1.5, 0), (True, 0), (1, -1), (1, float("nan"))):
        with pytest.raises(ValueError, match="must be"):
            Classifier.throttle(None, queue, delay)
    with pytest.raises(ValueError, match="n_slots"), own_ray(0):
        pass
    with pytest.raises(ValueError, match="n_threads"):
        put_titles("", [], 0)
    assert ask("http://127.0.0.1:9/", seconds=2)[0] == 0
    with pytest.raises(TimeoutError, match="no list"):
        kept_ids("http://127.0.0.1:9/", seconds=0)


def test_a_group_is_ended(tmp_path):
    "Also what the process started, and what does not listen to SIGTERM."
    mark = tmp_path / "child"
    lines = f"trap '' TERM; sleep 60 & echo $! > {mark}; wait; wait"
    node = subprocess.Popen(["bash", "-c", lines], start_new_session=True)
    child = first_line(mark, node)
    end_group(node, 0.5)
    end = time.monotonic() + 5
    while Path("/proc", child, "exe").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert node.poll() is not None and not Path("/proc", child, "exe").exists()
    with pytest.raises(RuntimeError, match="didn't start"):
        first_line(tmp_path / "none", node)


def test_second_ray_is_refused(server):
    with pytest.raises(RuntimeError, match="runs in this process"), own_ray(1):
        pass
    assert ray.is_initialized()


@pytest.mark.parametrize("method, body, status", [
    ("PUT", {"title": "no id"}, 400), ("PUT", {"id": "x", "title": ""}, 400),
    ("POST", [1], 400), ("PUT", None, 400), ("DELETE", None, 405)])
def test_bad_requests(server, method, body, status):
    found, answer = ask(server, method, body)
    assert found == status and "error" in answer


def test_put_and_post(server):
    title = make_titles(1, seed=11)[0]
    for method in ("PUT", "POST"):
        status, answer = ask(server, method, {"id": 9000, "title": title.text})
        assert status == 200 and answer == {"id": 9000, "topic": title.topic}
    assert kept_ids(server)[9000] == 1


def test_kills_under_load_lose_nothing(server):
    "The classifier and the actor for math die while titles come in over HTTP."
    sent, answers = make_titles(120, seed=5), Counter()
    sender = threading.Thread(target=lambda: answers.update(put_titles(server, sent)))
    before = {topic: ray.get(sub_classifier(topic).lists.remote())["process"]
              for topic in TOPICS}
    sender.start()
    while sum(kept_ids(server).values()) < 30:
        time.sleep(0.02)
    os.kill(before["math"], signal.SIGKILL)
    kill_actors("classifier")
    sender.join(60)
    assert not sender.is_alive() and answers.total() == 120
    kept, rounds = deliver(server, sent)
    assert {i for i in kept if i < 9000} == set(range(120))
    assert max(kept.values()) == 1 and rounds < 10
    after = {topic: call_until(sub_classifier(topic).lists) for topic in TOPICS}
    moved = {topic for topic in TOPICS if after[topic]["process"] != before[topic]}
    assert moved == {"math"}


def test_what_clients_lose(server, tmp_path):
    "With two kills: a file without ids doubles a title, with ids nothing is wrong."
    def through(client):
        folder = tmp_path / client
        folder.mkdir()
        return send_through_kills(make_titles(12), str(folder), *CLIENTS[client])
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(through, list(CLIENTS)[2:]))
    assert found == [{"lost": 0, "twice": 1, "deaths": 2},
                     {"lost": 0, "twice": 0, "deaths": 2}]


def test_a_third_kill_is_final(server, tmp_path):
    "An actor that may be restarted once is not called for ever."
    actor = ray.remote(MortalSubClassifier).options(max_restarts=0, num_cpus=0).remote(
        "math", str(tmp_path), 1, 2)
    with pytest.raises(RuntimeError, match="didn't come back within 1 s"):
        call_until(actor.send, 1, "a", "algebra", seconds=1)


def test_the_queue_throttles(server):
    "With a queue, titles overlap; without one they don't."
    classifier = ray.get_actor("classifier", namespace="titles")
    seconds_for(classifier, 8, 8, 0.2)
    alone = seconds_for(classifier, 4, 0, 0.3)
    together = seconds_for(classifier, 4, 4, 0.3)
    assert alone >= 4 * 0.3 and 0.3 <= together < 0.75 * alone


def test_actors_outlive_their_program(server):
    "A program of its own makes an actor and ends; this one finds it."
    program = """
import ray, sys
from litlab.parallel.actors import SubClassifier
ray.init(sys.argv[1], namespace="titles", log_to_driver=False, configure_logging=False)
options = {"num_cpus": 0, "max_restarts": -1}
stays = ray.remote(SubClassifier).options(name="stays", lifetime="detached", **options)
goes = ray.remote(SubClassifier).options(name="goes", **options)
for actor in (stays.remote("bio"), goes.remote("bio")):
    assert ray.get(actor.send.remote(5, "On genes", "genes"))
"""
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run([sys.executable, "-c", program, address], timeout=100,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    stays = ray.get_actor("stays", namespace="titles")
    assert ray.get(stays.lists.remote())["titles"]["genes"] == [(5, "On genes")]
    end = time.monotonic() + 20
    with pytest.raises(ValueError, match="goes"):
        while time.monotonic() < end:
            ray.get_actor("goes", namespace="titles")
            time.sleep(0.2)
    assert ray.get(stays.send.remote(5, "On genes", "genes")) is False
