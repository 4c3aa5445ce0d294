"""Claims: rules, verdicts, measurements, and the scorecard in its three forms."""
import csv
import dataclasses
import json
import math
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litlab.core.claims import (
    VERDICTS, Claim, NotRun, Result, Run, Scorecard, as_result, at_least, at_most,
    claim, claims_of, close_to, interval, load_scorecard, measure_seeds, row,
    save_scorecard,
    shape, verdict)
from litlab.core.report import number, scorecard_page, small_figure


def made(rule, published=0.5, **about):
    return Claim("toy.x", "essay", "statement", published, rule, None, **about)


@settings(derandomize=True, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_rules_agree_with_their_words(value, bound, width):
    assert at_least(bound).holds(value) == (value >= bound)
    assert at_most(bound).holds(value) == (value <= bound)
    assert close_to(bound, width).holds(value) == (
        bound - width <= value <= bound + width)
    assert (interval(bound, bound + width).miss(value) == 0) == (
        bound <= value <= bound + width)
    assert shape("x").holds(value) == (value == 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from([at_least(0.5), at_most(0.5), close_to(0.5, 0.1), shape("s")]),
    st.floats(0, 1), st.one_of(st.none(), st.floats(0, 0.3)), st.booleans(),
    st.sampled_from(["same", "ratio", "other"]))
def test_every_verdict_follows_from_the_rule(rule, value, spread, universal, protocol):
    word, why = verdict(made(rule, universal=universal, protocol=protocol,
                             because="data"), value, spread)
    assert word in VERDICTS and why
    if protocol == "other":
        assert word == "not comparable"
    elif rule.holds(value):
        assert word in ("reproduced", "exceeded")
    else:
        assert word in ("not reproduced", "refuted")
    if word == "exceeded":
        assert protocol == "same" and rule.kind in ("at least", "at most")
        assert abs(value - 0.5) > 2 * (spread or 0)
    if word == "refuted":
        assert universal and rule.miss(value) > 2 * (spread or 0)


def test_exceeded_needs_a_published_number():
    assert verdict(made(at_least(0.5), "open"), 0.9)[0] == "reproduced"
    assert verdict(made(at_least(0.5), 0.5), 0.9)[0] == "exceeded"


def test_a_lower_bound_than_the_published_value_is_no_excess():
    assert verdict(made(at_least(0.3), 0.5), 0.4, 0.01)[0] == "reproduced"


def test_claims_belong_to_the_module_that_makes_them():
    module = ModuleType("room")
    exec("from litlab.core.claims import claim, shape\n"
         "@claim('room.b', essay='e', statement='s', published='x', rule=shape('s'))\n"
         "def b(run): return 1\n"
         "@claim('room.a', essay='e', statement='s', published='x', rule=shape('s'))\n"
         "def a(run): return 1\n", vars(module))
    module.borrowed = claim("room.c", essay="e", statement="s", published=1,
                            rule=shape("s"))(lambda run: 1)
    assert [c.id for c in claims_of(module)] == ["room.b", "room.a"]


@pytest.mark.parametrize("about", [
    {"id": "noroom"}, {"id": "a.b.c"}, {"id": ".x"}, {"id": "a.b", "protocol": "mine"},
    {"id": "a.b", "profile": "slow"}])
def test_bad_claims(about):
    with pytest.raises(ValueError, match="(topic.name|must be one of)"):
        claim(essay="e", statement="s", published=1, rule=shape("s"), **about)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_must_be_finite(value):
    with pytest.raises(ValueError, match="no finite number"):
        as_result(value)


def test_seeds_give_mean_and_deviation():
    counted = dataclasses.replace(
        made(at_least(0)), over_seeds=True,
        measure=lambda run: Result(float(run.seed), source="s"))
    got = measure_seeds(counted, Run(5, SimpleNamespace(n_seeds=3)))
    assert (got.value, got.spread, got.source) == (6.0, 1.0, "s")
    one = measure_seeds(counted, Run(5, SimpleNamespace(n_seeds=1)))
    assert (one.value, one.spread) == (5.0, None)


def example_card():
    rows = [row(made(at_least(0.4)), Run(3), Result(0.6, 0.01, "src", "note"), 1.5, 99),
            row(made(shape("s <b>"), "open"), Run(3), None, failed=("error", "a & b"))]
    return Scorecard("quick", "2020-01-01T00:00:00+00:00", {"python": "3"}, tuple(rows))


FIELDS = ["id", "topic", "statement", "essay", "value", "spread", "unit", "published",
          "comparison", "verdict", "reason", "source", "seed", "seconds", "peak_mb"]


def test_scorecard_is_written_and_read_again(tmp_path):
    card = example_card()
    save_scorecard(card, tmp_path)
    assert load_scorecard(tmp_path) == card
    assert not list(tmp_path.glob("*.part"))
    read = json.loads((tmp_path / "scorecard.json").read_text())
    assert list(read) == ["profile", "started", "versions", "measurements"]
    assert list(read["measurements"][0]) == FIELDS
    with open(tmp_path / "scorecard.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == FIELDS and float(rows[0]["value"]) == 0.6
    assert card.counts() == {"exceeded": 1, "error": 1}
    assert card.to_frame().shape == (2, len(FIELDS))


def test_page_shows_all_and_escapes(tmp_path):
    page = scorecard_page(example_card())
    for text in ("toy.x", "exceeded", "0.600 ± 0.010", "src", "a &amp; b",
                 "s &lt;b&gt;"):
        assert text in page
    assert page.count("<svg") == 1 and "http" not in page


def test_rows_that_can_not_be(tmp_path):
    save_scorecard(example_card(), tmp_path)
    text = (tmp_path / "scorecard.json").read_text()
    for old, new in (('"exceeded"', '"perfect"'), ("0.6,", '"0.6",')):
        assert old in text
        (tmp_path / "scorecard.json").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match="no scorecard"):
            load_scorecard(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"profile": "quick"}',
                                  '{"profile": 1, "started": 2, "versions": 3, '
                                  '"measurements": [{"id": 1}]}'])
def test_damaged_scorecard(tmp_path, text):
    (tmp_path / "scorecard.json").write_text(text)
    with pytest.raises(ValueError, match="no scorecard.*resume"):
        load_scorecard(tmp_path)


def test_no_scorecard(tmp_path):
    with pytest.raises(FileNotFoundError, match="litlab reproduce"):
        load_scorecard(tmp_path)


def test_not_run_is_an_exception_with_words():
    assert str(NotRun("needs an account")) == "needs an account"


@pytest.mark.parametrize("value, spread, text", [
    (0.123456, 0.00123, "0.1235 ± 0.0012"), (12.3, 4.0, "12.3 ± 4.0"),
    (1234567, None, "1,234,567"), (0.5, None, "0.5"), ("exact", None, "exact"),
    (None, None, "–"), (0.0, 0.0, "0"), (1200.0, 250.0, "1200 ± 250")])
def test_numbers_as_a_person_writes_them(value, spread, text):
    assert number(value, spread) == text


def test_small_figure_stays_inside():
    svg = small_figure(example_card().measurements[0])
    import re
    xs = [float(x) for x in re.findall(r'(?:cx="|M)([\d.]+)', svg)]
    assert xs and all(0 <= x <= 150 for x in xs)
