"""Knots: signatures three ways, known invariants, mirrors, the table, the models."""
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litlab.explain.census import (
    INVARIANTS, check_knots, is_held_out, knot_invariants, knot_table, link_invariants,
    load_knots,
    make_knots, with_derived)
from litlab.explain.conjecture import (
    feature_importance, fit_network, inequality_gap, smallest_constants, twisted_knots)
from litlab.explain.diagrams import (
    diagram_regions, knot_diagram, knot_names, load_snappy, signature)
from litlab.explain.knots import (
    ODD, TRANSLATIONS, SignatureModel, knot_features, mirror_image,
    squared_error, subset_errors)

SMALL = {"max_iter": 60, "max_leaf_nodes": 31}


@pytest.fixture(scope="module")
def knots():
    return load_knots()


@pytest.fixture(scope="module")
def fresh():
    "Knots computed now, none of which is in the stored fitting part."
    return knot_table(150, seed=77, progress=False)


# Signatures of small knots in Rolfsen's order: C. Livingston and A. Moore, KnotInfo.
@pytest.mark.parametrize("rolfsen, size", [
    ("3_1", 2), ("4_1", 0), ("5_1", 4), ("5_2", 2), ("6_1", 0), ("6_2", 2), ("6_3", 0),
    ("7_1", 6), ("8_19", 6), ("10_124", 8), ("10_132", 0), ("10_139", 6)])
def test_known_signatures(rolfsen, size):
    link = load_snappy().Link(rolfsen)
    assert abs(signature(link.PD_code())) == size


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 313_229), st.randoms(use_true_random=False))
def test_signature_does_not_depend_on_the_drawing(index, random):
    link = knot_diagram(knot_names()[index])
    code = link.PD_code()
    value = signature(code)
    assert value % 2 == 0
    assert value == signature(code, shade=1)
    assert signature(link.mirror().PD_code()) == -value
    seifert = np.array(link.seifert_matrix())
    signs = np.sign(np.linalg.eigvalsh(seifert + seifert.T)).sum()
    assert value == -int(signs)
    tangled = link.copy()
    tangled.backtrack(10)
    assert signature(tangled.PD_code()) == value
    assert len(np.unique(diagram_regions(code))) == len(code) + 2


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 3).flatmap(lambda i: st.sampled_from([i, -i])),
                min_size=6, max_size=14))
def test_signature_of_braids(word):
    link = load_snappy().Link(braid_closure=[1, 2, 3, *word])
    if len(link.link_components) != 1 or not link.crossings:
        return
    seifert = np.array(link.seifert_matrix())
    if seifert.size:
        signs = np.sign(np.linalg.eigvalsh(seifert + seifert.T).round(8)).sum()
        assert signature(link.PD_code()) == -int(signs)


def test_names():
    assert len(knot_names()) == 313_230
    assert len(knot_names((12, 12))) == 2176 and knot_names((3, 4)) == ["K3a1", "K4a1"]
    with pytest.raises(ValueError, match=r"\(3, 15\).*\(3, 16\)"):
        knot_names((3, 16))
    census = load_snappy().HTLinkExteriors
    for crossings in (8, 10, 11):
        listed = {m.name() for m in census(crossings=crossings, knots_vs_links="knots")}
        assert listed == set(knot_names((crossings, crossings)))


@pytest.mark.parametrize("name", [
    "K8n4", "K3a2", "K16a1", "K2a1", "L5a1", "8_19", "", "K10a0", "K10a-1", "K10",
    "Kxa1", "K03a1", "K3a01", "KK3a1", "3a1", "K²a1", "k8n3", "K8n", "K8n3 ", "4_1"])
def test_unknown_knots(name):
    with pytest.raises(ValueError, match="no knot .* in the census.*K15n168030"):
        knot_invariants(name)


def test_known_geometry():
    # Volumes: C. Adams, M. Hildebrand, J. Weeks, Trans. AMS 326 (1991).
    for name, volume in (("K4a1", 2.0298832128), ("K5a1", 2.8281220883)):
        assert abs(knot_invariants(name)["volume"] - volume) < 1e-9
    eight = with_derived(pd.DataFrame([knot_invariants("K4a1")])).iloc[0]
    assert abs(eight["cusp_volume"] - np.sqrt(3)) < 1e-6  # 2 sqrt(3) / 2
    assert abs(eight["longitudinal_translation"] - 2 * np.sqrt(3)) < 1e-6
    assert knot_invariants("K3a1") is None and knot_invariants("K8n3") is None


def test_mirror_image_of_a_diagram(knots):
    for name in knots["name"].head(12):
        link = knot_diagram(name)
        one, other = (pd.DataFrame([link_invariants(x)]) for x in (link, link.mirror()))
        columns = [*INVARIANTS, "signature"]
        np.testing.assert_allclose(
            mirror_image(one)[columns].to_numpy(float),
            other[columns].to_numpy(float), atol=2e-5)


def test_cusp_is_that_of_snappy(fresh):
    for _, row in fresh.head(12).iterrows():
        cusp = knot_diagram(row["name"]).exterior().cusp_neighborhood()
        cusp.set_displacement(cusp.stopping_displacement())
        meridian, longitude = (complex(z) for z in cusp.translations())
        assert abs(row["cusp_volume"] - float(cusp.volume())) < 1e-6
        assert abs(row["slope"] - (longitude / meridian).real) < 1e-6


def test_table_is_determined_by_its_seed(fresh):
    again = knot_table(30, seed=77, progress=False)
    assert again["name"].tolist() == fresh["name"].head(30).tolist()
    columns = list(INVARIANTS)
    np.testing.assert_allclose(again[columns], fresh[columns].head(30), atol=1e-6)
    assert knot_table(5, seed=78, progress=False)["name"].tolist() != (
        again["name"].head(5).tolist())


def test_table_on_two_processes_is_the_same(fresh):
    two = knot_table(60, seed=77, n_workers=2, progress=False)
    assert two["name"].tolist() == fresh["name"].head(60).tolist()
    assert two["signature"].tolist() == fresh["signature"].head(60).tolist()


def test_table_obeys_its_arguments():
    small = knot_table(20, seed=0, crossings=(9, 10), progress=False)
    assert small["crossings"].between(9, 10).all() and small["name"].is_unique
    rest = knot_table(20, 0, (9, 10), exclude=small["name"], progress=False)
    assert not set(rest["name"]) & set(small["name"])
    assert len(knot_table(11, crossings=(3, 7), progress=False)) == 11


@pytest.mark.parametrize("n", [0, -1, 400_000])
def test_impossible_tables(n):
    with pytest.raises(ValueError, match=f"got {n}"):
        knot_table(n, progress=False)


def test_more_knots_than_are_hyperbolic():
    with pytest.raises(ValueError, match="no more hyperbolic"):
        knot_table(12, crossings=(3, 7), progress=False)  # three are torus knots


def test_stored_table(knots, fresh):
    assert len(knots) >= 30_000 and knots["name"].is_unique
    assert knots[list(INVARIANTS)].notna().all().all()
    assert (knots["held_out"] == knots["name"].map(is_held_out)).all()
    assert 0.19 < knots["held_out"].mean() < 0.21
    both = fresh.merge(knots, on="name")
    assert len(both) > 5
    for c in (*INVARIANTS, "signature"):
        np.testing.assert_allclose(both[f"{c}_x"], both[f"{c}_y"], rtol=1e-5, atol=1e-5)


def test_interrupted_making_goes_on(tmp_path):
    target = tmp_path / "knots.parquet"
    parts = tmp_path / "knots-n600-seed3.parts"
    whole = pd.read_parquet(make_knots(600, tmp_path / "whole.parquet", seed=3))
    parts.mkdir()
    whole.head(7).to_parquet(parts / "000000.parquet")  # a part that is already there
    rest = pd.read_parquet(make_knots(600, target, seed=3))
    assert rest["name"].head(7).tolist() == whole["name"].head(7).tolist()
    assert len(rest) < len(whole) and not parts.exists()


def test_model_knows_about_mirrors(knots):
    part = knots[~knots["held_out"]].head(3000)
    model = SignatureModel(**SMALL).fit(part)
    some = knots[knots["held_out"]].head(500)
    np.testing.assert_allclose(model.predict(mirror_image(some)), -model.predict(some))
    assert model.n_knots_ == 3000
    error, spread = squared_error(model.predict(some), some["signature"])
    floor, _ = squared_error(np.zeros(len(some)), some["signature"])
    assert error + 5 * spread < floor / 5


def test_model_is_determined_by_its_seed(knots):
    part, some = knots.head(1500), knots.tail(50)
    one, two = (SignatureModel(**SMALL, seed=1).fit(part).predict(some) for _ in "ab")
    np.testing.assert_array_equal(one, two)


def test_bad_tables(knots):
    few = knots.head(20)
    with pytest.raises(ValueError, match="lacks the columns volume"):
        SignatureModel(**SMALL).fit(few.drop(columns="volume"))
    with pytest.raises(ValueError, match="NaN or infinite values in chern_simons"):
        SignatureModel(**SMALL).fit(few.assign(chern_simons=np.inf))
    with pytest.raises(ValueError, match="lacks the columns signature"):
        SignatureModel(**SMALL).fit(few.drop(columns="signature"))
    named = few.drop(columns="volume")
    named.attrs = {"made": "by hand"}
    with pytest.raises(ValueError, match="lacks the columns volume"):
        check_knots(named, ["volume"])
    with pytest.raises(ValueError, match="0 rows"):
        check_knots(few.head(0), ["volume"])
    with pytest.raises(ValueError, match="call fit"):
        SignatureModel().predict(few)
    model = SignatureModel(**SMALL).fit(few)
    with pytest.raises(ValueError, match="volume"):
        model.predict(few.assign(volume=np.nan))
    with pytest.raises(ValueError, match="volume"):
        fit_network(few.assign(volume=np.nan), epochs=1)


def test_features_of_a_mirror(knots):
    some = knots.head(100)
    plain, mirrored = knot_features(some), knot_features(mirror_image(some))
    odd = np.array([c in ODD for c in INVARIANTS] + [True, False, True, False])
    np.testing.assert_allclose(mirrored, np.where(odd, -plain, plain))
    assert knot_features(some, ("volume",)).shape == (100, 1)


def test_planted_feature_is_found(knots):
    "With a signature made of two other invariants, those two come out on top."
    planted = knots.head(4000).assign(signature=lambda t: 2 * np.round(
        20 * t["chern_simons"] + 0 * t["volume"]))
    errors = subset_errors(planted.head(3000), planted.tail(1000), size=1)
    assert errors.index[0] == ("chern_simons",)
    network = fit_network(planted.head(3000), epochs=6)
    assert feature_importance(network, planted.tail(300)).idxmax() == "chern_simons"


def test_importance_methods(knots):
    network = fit_network(knots.head(1000), epochs=1)
    for method in ("integrated_gradients", "saliency"):
        found = feature_importance(network, knots.tail(50), method)
        assert found.max() == 1 and (found >= 0).all()
    with pytest.raises(ValueError, match="'magic'"):
        feature_importance(network, knots.tail(50), "magic")


def test_network_training_leaves_torch_as_it_was(knots):
    import torch
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_network(knots.head(200), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_smallest_constants_are_tight(knots):
    part = knots.head(2000)
    for c1, c2 in zip((0.0, 0.2), smallest_constants(part, (0.0, 0.2))):
        slack = c1 * part["volume"] + c2 - inequality_gap(part)
        assert slack.min() == pytest.approx(0, abs=1e-9)


def test_twisted_knots_break_the_inequality():
    table = twisted_knots((3, 6, 12))
    assert table["volume"].is_monotonic_increasing and table["volume"].max() < 8.2
    np.testing.assert_allclose(np.diff(table["gap"]) / np.diff(table["twists"]), 1,
                               atol=0.1)
    with pytest.raises(ValueError, match="at least 2"):
        twisted_knots((1,))


def test_three_translations_are_enough(knots):
    others = tuple(c for c in INVARIANTS if c not in TRANSLATIONS)
    part, some = knots.head(4000), knots.tail(2000)
    errors = {name: squared_error(SignatureModel(c, **SMALL).fit(part).predict(some),
                                  some["signature"])[0]
              for name, c in (("three", TRANSLATIONS), ("others", others))}
    assert errors["three"] < 1 < 7 < errors["others"]
