"""The scorecard run and the command line: errors, Ctrl-C, resume, executors."""
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from importlib.util import find_spec

import pytest

from litlab import reproduce as lab
from litlab.commands import main
from litlab.core.claims import load_scorecard

TOY = '''
import os, time
from pathlib import Path
from litlab.core.claims import NotRun, Result, at_least, claim, shape

HERE = Path(__file__).parent
about = dict(essay="e", statement="s", published=0.5, rule=at_least(0.5))

@claim("toy.good", over_seeds=True, **about)
def good(run):
    return Result(1.0 + run.seed, source="toy")

@claim("toy.bad", **about)
def bad(run):
    raise RuntimeError("broken on purpose")

@claim("toy.away", **about)
def away(run):
    raise NotRun("needs an account")

@claim("toy.nan", **about)
def nan(run):
    return float("nan")

@claim("toy.slow", **about)
def slow(run):
    (HERE / "started").write_text("")
    for _ in range(600 if os.environ.get("SLOW") else 0):
        time.sleep(0.1)
    return 0.7

@claim("toy.night", profile="full", **about)
def night(run):
    return 0.1
'''
DRIVER = ("import sys; from litlab import reproduce as lab; "
          "lab.TOPICS.clear(); lab.TOPICS['toy'] = ['toyroom']; "
          "from litlab.commands import main; sys.exit(main(sys.argv[1:]))")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    "A topic of its own, in this process."
    (tmp_path / "toyroom.py").write_text(textwrap.dedent(TOY))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(lab, "TOPICS", {"toy": ["toyroom"]})
    monkeypatch.setenv("LITLAB_QUICK_EXECUTOR", "serial")  # a process has other topics
    monkeypatch.delitem(sys.modules, "toyroom", raising=False)
    return tmp_path


def command(folder, *words, **environ):
    "The command line with the toy topic, in a process of its own."
    env = {**os.environ, "PYTHONPATH": str(folder), **environ}
    return subprocess.Popen([sys.executable, "-c", DRIVER, *words], cwd=folder, env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_failures_are_rows_and_the_run_goes_on(toy, capsys):
    assert main(["reproduce", "--out", str(toy / "out"), "--seed", "2"]) == 1
    rows = {m.id: m for m in load_scorecard(toy / "out").measurements}
    assert list(rows) == [f"toy.{n}" for n in ("good", "bad", "away", "nan", "slow",
                                               "night")]
    assert (rows["toy.good"].value, rows["toy.good"].spread) == (4.0, 1.0)
    assert rows["toy.good"].verdict == "exceeded" and rows["toy.good"].seed == 2
    assert rows["toy.bad"].verdict == "error"
    assert "RuntimeError: broken on purpose" in rows["toy.bad"].reason
    assert rows["toy.away"].verdict == rows["toy.night"].verdict == "not run"
    assert rows["toy.away"].reason == "needs an account"
    assert rows["toy.nan"].verdict == "error" and "nan" in rows["toy.nan"].reason
    printed = capsys.readouterr().out
    assert "broken on purpose" in printed and "scorecard.html" in printed


def test_no_error_is_status_0(toy, capsys):
    words = ["reproduce", "--claim", "toy.good", "--claim", "toy.slow",
             "--out", str(toy / "out")]
    assert main(words) == 0
    assert [m.id for m in load_scorecard(toy / "out").measurements] == [
        "toy.good", "toy.slow"]


def test_full_profile_measures_what_quick_leaves_out(toy, capsys):
    words = ["reproduce", "--profile", "full", "--claim", "toy.night",
             "--executor", "serial", "--out", str(toy / "out")]
    assert main(words) == 0
    assert load_scorecard(toy / "out").measurements[0].verdict == "not reproduced"


def test_stopped_by_ctrl_c_and_resumed(toy):
    process = command(toy, "reproduce", "--out", "out", SLOW="1")
    for _ in range(600):
        if (toy / "started").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in err
    first = load_scorecard(toy / "out")
    assert [m.id for m in first.measurements] == ["toy.good", "toy.bad", "toy.away",
                                                  "toy.nan"]
    process = command(toy, "reproduce", "--out", "out", "--resume")
    out, err = process.communicate(timeout=60)
    second = load_scorecard(toy / "out")
    assert process.returncode == 1 and len(second.measurements) == 6
    kept = next(m for m in second.measurements if m.id == "toy.good")
    assert kept == first.measurements[0] and second.started == first.started


def test_a_killed_run_leaves_a_whole_scorecard(toy):
    process = command(toy, "reproduce", "--out", "out", SLOW="1")
    for _ in range(600):
        if (toy / "started").exists():
            break
        time.sleep(0.1)
    process.kill()
    process.communicate(timeout=60)
    assert len(load_scorecard(toy / "out").measurements) == 4


@pytest.mark.parametrize("words, message", [
    (["reproduce", "--topic", "astrology"], "no topic 'astrology': there are"),
    (["reproduce", "--claim", "toy.none"], "no claim toy.none: there are toy.good"),
    (["reproduce", "--claim", "none.x"], "no topic 'none'"),
    (["reproduce", "--seed", "-1"], "--seed must not be negative (got -1)"),
    (["claims", "--topic", "x"], "no topic 'x'"),
    (["data", "fetch", "nothing"], "no data set 'nothing'"),
    (["data", "make", "nothing"], "no data set 'nothing'"),
    (["data", "make", "knots", "--n", "0"], "n must be between 1 and 313230 (got 0)"),
])
def test_mistakes_are_one_line_and_status_2(toy, capsys, words, message):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_settings_mistakes_are_one_line_and_status_2(toy, capsys, monkeypatch):
    monkeypatch.setenv("LITLAB_QUICK_SEEDS", "3")
    assert main(["reproduce", "--out", str(toy / "out")]) == 2
    assert "LITLAB_QUICK_SEEDS" in capsys.readouterr().err


@pytest.mark.parametrize("change", [["--seed", "5"], ["--profile", "full"]])
def test_resume_refuses_another_run(toy, capsys, change):
    words = ["reproduce", "--claim", "toy.good", "--out", str(toy / "out")]
    assert main(words) == 0
    before = (toy / "out/scorecard.json").read_text()
    assert main([*words, "--resume", *change]) == 2
    assert "--resume" in capsys.readouterr().err
    assert (toy / "out/scorecard.json").read_text() == before


def test_resume_keeps_rows_of_other_claims(toy, capsys):
    out = ["--out", str(toy / "out")]
    assert main(["reproduce", "--claim", "toy.good", *out]) == 0
    assert main(["reproduce", "--claim", "toy.slow", "--resume", *out]) == 0
    assert [m.id for m in load_scorecard(toy / "out").measurements] == [
        "toy.good", "toy.slow"]


def test_unknown_executor(toy):
    with pytest.raises(ValueError, match="serial.*processes.*'cluster'"):
        lab.reproduce([], executor="cluster", out=toy / "out", progress=False)


def test_processes_measure_the_same(tmp_path):
    claims = lab.all_claims(ids=["salience.toy_ratio", "polyhedra.euler"])
    cards = [lab.reproduce(claims, executor=e, seed=4, out=tmp_path / e, progress=False)
             for e in ("serial", "processes")]
    values = [[(m.id, m.value, m.verdict) for m in c.measurements] for c in cards]
    assert values[0] == values[1]
    assert all(m.peak_mb > 20 for m in cards[1].measurements)
    assert sum(m.seconds for m in cards[1].measurements) > 0


def test_lists_as_json(capsys):
    assert main(["claims", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {c["topic"] for c in listed} == set(lab.TOPICS)
    assert all(c["statement"] and c["comparison"] and c["essay"] for c in listed)
    assert main(["data", "--json"]) == 0
    knots = json.loads(capsys.readouterr().out)[0]
    assert knots["name"] == "knots" and len(knots["sha256"]) == 64 and knots["licence"]


def test_help_does_not_import_the_rooms():
    code = ("import sys; from litlab.commands import main\n"
            "try: main(['--help'])\nexcept SystemExit: pass\n"
            "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_run_of_some_claims_leaves_the_others(toy, capsys):
    "Rows of other claims stay where they are, if profile, seed and versions fit."
    out = ["--out", str(toy / "out")]
    assert main(["reproduce", *out]) == 1
    before = load_scorecard(toy / "out").measurements
    assert main(["reproduce", "--claim", "toy.slow", *out]) == 0
    after = load_scorecard(toy / "out").measurements
    assert [m.id for m in after] == [m.id for m in before]
    assert [m for m in after if m.id != "toy.slow"] == [
        m for m in before if m.id != "toy.slow"]
    assert main(["reproduce", "--claim", "toy.slow", "--seed", "3", *out]) == 0
    assert [m.id for m in load_scorecard(toy / "out").measurements] == ["toy.slow"]


def test_claims_that_want_to_be_alone_come_last(monkeypatch, tmp_path):
    "They are measured here, when the engine has ended."
    seen = []

    def engine(claims, seed, settings):
        seen.append([c.id for c in claims])
        yield from lab.run_serial(claims, seed, settings)
    monkeypatch.setitem(lab.EXECUTORS, "processes", engine)
    one, two = lab.all_claims(ids=["salience.toy_ratio", "polyhedra.euler"])
    card = lab.reproduce([replace(one, alone=True), two], executor="processes",
                         out=tmp_path, progress=False)
    assert seen == [[two.id]] and len(card.measurements) == 2


@pytest.mark.skipif(not find_spec("ray"), reason="needs pip install 'litlab[parallel]'")
@pytest.mark.parametrize("kind", [
    pytest.param("ray", marks=pytest.mark.slow),
    pytest.param("parsl", marks=pytest.mark.slow), "dask"])
def test_engines_measure_the_same(kind, tmp_path):
    "A claim on an engine of another sort has the value that it has here."
    claims = lab.all_claims(ids=["polyhedra.euler"])
    cards = [lab.reproduce(claims, executor=e, seed=4, out=tmp_path / e, progress=False)
             for e in ("serial", kind)]
    values = [[(m.id, m.value, m.verdict) for m in c.measurements] for c in cards]
    assert values[0] == values[1]
