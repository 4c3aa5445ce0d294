"""Polyhedra, exact laws, and the network that predicts the number of faces."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.spatial
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litlab.core.claims import Run, claims_of
from litlab.explain import polyhedra
from litlab.explain.families import FAMILIES, polyhedra_table, random_polyhedron
from litlab.explain.laws import discover_relation, equation
from litlab.explain.nullspace import law_space, null_space, whole_rows
from litlab.explain.solids import Polyhedron, _read_faces, convex_hull, dual

usual = settings(deadline=None, max_examples=25, derandomize=True)
seeds = st.integers(0, 10**6)
families = st.sampled_from(sorted(FAMILIES))


def draw(family, seed, size=12):
    return random_polyhedron(family, np.random.default_rng(seed), size)


@pytest.fixture(scope="module")
def table():
    return polyhedra_table(400, seed=3)


# solids


@pytest.mark.parametrize("family", sorted(FAMILIES))
@usual
@given(seed=seeds, size=st.integers(4, 25))
def test_every_solid_is_closed_convex_and_obeys_euler(family, seed, size):
    solid = draw(family, seed, size)
    sides = [frozenset(s) for f in solid.faces for s in zip(f, f[1:] + f[:1])]
    edges = set(sides)
    assert all(sides.count(e) == 2 for e in edges)
    assert solid.counts == (len(edges), len(solid.vertices), len(solid.faces))
    assert len(solid.vertices) - len(edges) + len(solid.faces) == 2
    points, reach = solid.vertices, np.ptp(solid.vertices, axis=0).max()
    for face, normal in zip(solid.faces, solid.normals):
        height = (points - points[face[0]]) @ normal / np.linalg.norm(normal)
        assert height.max() < 1e-7 * reach  # all corners on the inner side
        assert np.abs(height[list(face)]).max() < 1e-7 * reach  # the face is flat
        assert np.sum(height > -1e-9 * reach) == len(face)  # it has all its corners


@usual
@given(family=families, seed=seeds)
def test_volume_and_area_are_those_of_qhull(family, seed):
    solid = draw(family, seed)
    hull = scipy.spatial.ConvexHull(solid.vertices)
    np.testing.assert_allclose([solid.volume, solid.area], [hull.volume, hull.area])


@usual
@given(family=families, seed=seeds)
def test_the_dual_swaps_vertices_and_faces(family, seed):
    solid = draw(family, seed)
    edges, vertices, faces = solid.counts
    other = dual(solid)
    assert other.counts == (edges, faces, vertices) and other.volume > 0
    degrees = sorted(sum(v in f for f in solid.faces) for v in range(vertices))
    assert degrees == sorted(map(len, other.faces))


PRIVATE = {
    "sphere": lambda e, v, f: e == 3 * v - 6, "dual": lambda e, v, f: 2 * e == 3 * v,
    "prism": lambda e, v, f: e == 3 * (f - 2) and v == 2 * (f - 2),
    "frustum": lambda e, v, f: e == 3 * (f - 2) and v == 2 * (f - 2),
    "antiprism": lambda e, v, f: e == 2 * v and f == v + 2,
    "pyramid": lambda e, v, f: e == 2 * (v - 1) and f == v,
    "bipyramid": lambda e, v, f: e == 3 * (v - 2) and f == 2 * (v - 2),
}


@pytest.mark.parametrize("family", PRIVATE)
@usual
@given(seed=seeds, size=st.integers(4, 30))
def test_the_private_rule_of_a_family(family, seed, size):
    assert PRIVATE[family](*draw(family, seed, size).counts)


@usual
@given(seed=seeds)
def test_zonotopes_are_centrally_symmetric(seed):
    points = draw("zonotope", seed).vertices
    mirrored = 2 * points.mean(0) - points
    gap = np.linalg.norm(points[:, None] - mirrored, axis=2).min(axis=1)
    assert gap.max() < 1e-9 * np.ptp(points)


def test_points_that_are_no_corners_are_left_out():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)
    cube = convex_hull(grid / 3 * [1, 10, 1e4] + 7)
    assert cube.counts == (12, 8, 6) and {len(f) for f in cube.faces} == {4}
    assert cube.volume == pytest.approx(1e5)


def test_points_on_an_edge_or_in_a_face_are_no_corners():
    corners, planes, simplices = [*np.eye(4)], [], []
    for plane, (a, b, c) in enumerate([(0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0)]):
        middle = len(corners)  # a point in the face, and one on each of its edges
        corners += [np.mean([corners[i] for i in (a, b, c)], axis=0)]
        for i, j in ((a, b), (b, c), (c, a)):
            half = (corners[i] + corners[j]) / 2
            found = [k for k, p in enumerate(corners) if np.array_equal(p, half)]
            corners += [] if found else [half]
            k = found[0] if found else len(corners) - 1
            simplices += [(i, k, middle), (k, j, middle)]
            planes += [plane] * 2
    points = np.array(corners) @ [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    triangles = points[np.array(simplices)]
    normals = triangles.mean(1)[np.arange(24) // 6 * 6]  # outwards, from the middle 0
    fake = SimpleNamespace(points=points, simplices=np.array(simplices),
                           equations=np.c_[normals, np.ones(24)])
    kept, faces = _read_faces(fake, np.array(planes))
    assert kept.tolist() == [0, 1, 2, 3] and sorted(map(len, faces)) == [3] * 4
    assert Polyhedron(points[kept], faces).volume == pytest.approx(8 / 3)


@pytest.mark.parametrize("points", [
    np.zeros((5, 3)), np.eye(3), np.random.default_rng(0).random((9, 3)) * [1, 1, 0],
    np.zeros((0, 3))])
def test_points_without_volume_are_refused(points):
    with pytest.raises(ValueError, match=f"{len(points)} points without volume"):
        convex_hull(points)


@pytest.mark.parametrize("points", [np.eye(4)[:, :2], np.full((5, 3), np.nan), [1, 2]])
def test_what_are_no_points_is_refused(points):
    with pytest.raises(ValueError, match="finite, shape"):
        convex_hull(points)


def test_an_open_solid_is_refused():
    solid = draw("prism", 1)
    for faces in (solid.faces[1:], (*solid.faces, solid.faces[0]),
                  (solid.faces[0][::-1], *solid.faces[1:])):
        with pytest.raises(ValueError, match="close"):
            Polyhedron(solid.vertices, faces)


def test_a_picture_has_the_faces_that_point_to_us():
    cube = convex_hull(np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T)
    faces, edges = cube.plot().collections
    assert len(faces.get_paths()) == 3 and len(edges.get_segments()) == 12


# tables


def test_a_table_depends_on_its_seed_alone_and_begins_like_a_longer_one(table):
    again, longer = polyhedra_table(400, seed=3), polyhedra_table(450, seed=3)
    pd.testing.assert_frame_equal(table, again)
    pd.testing.assert_frame_equal(table, longer.head(400), check_like=True)
    assert not table.equals(polyhedra_table(400, seed=4))


def test_repeated_draws_are_counted_and_told():
    flat = polyhedra_table(300, seed=0, families=["lattice"], size=4)
    assert flat.attrs["redrawn"] > 0
    assert f"{flat.attrs['redrawn']} flat draws" in flat.attrs["source"]
    assert polyhedra_table(50, families=["prism"]).attrs["redrawn"] == 0


def test_a_family_that_never_gives_a_solid_is_an_error(monkeypatch):
    monkeypatch.setitem(FAMILIES, "flat", lambda rng, size: np.zeros((5, 3)))
    with pytest.raises(RuntimeError, match="flat"):
        random_polyhedron("flat", np.random.default_rng(0))


def test_a_table_has_the_columns_and_families_asked_for(table):
    assert list(table) == ["edges", "vertices", "volume", "area", "faces", "family"]
    assert set(table["family"]) == set(FAMILIES)
    assert set(polyhedra_table(30, families=["prism", "dual"])["family"]) == {
        "prism", "dual"}


@pytest.mark.parametrize("options, word", [
    ({"n": 0}, "n "), ({"n": -3}, "-3"), ({"n": 5, "families": ["sponge"]}, "sponge"),
    ({"n": 5, "families": []}, "families"), ({"n": 5, "size": 3}, "size")])
def test_a_table_that_cannot_be_drawn(options, word):
    with pytest.raises(ValueError, match=word):
        polyhedra_table(**options)


def test_an_unknown_family_is_named():
    with pytest.raises(ValueError, match="'sponge'.*zonotope"):
        draw("sponge", 0)


# null spaces and laws


@usual
@given(seed=seeds, rank=st.integers(1, 5))
def test_the_null_space_is_exact_and_complete(seed, rank):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-9, 9, (30, rank)) @ rng.integers(-9, 9, (rank, 6))
    rows = rows.astype(object)
    basis, found = law_space(rows)
    assert found == np.linalg.matrix_rank(rows.astype(float)) == 6 - len(basis)
    assert not (rows @ np.transpose(basis)).any()
    assert np.array_equal(basis, null_space(rows))


def test_floating_point_numbers_are_taken_as_they_are():
    rows = whole_rows(pd.DataFrame({"x": [1 / 3], "t": [3]}), ["x", "t"])
    x, one, t = rows[0]
    assert (x / one, t / one) == (1 / 3, 3.0) and all(type(v) is int for v in rows[0])


def planted(seed, coefficients, constant, multiple=1, n=120):
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(len(coefficients))]
    table = pd.DataFrame(rng.integers(-50, 50, (40 * n, len(names))), columns=names)
    right = table.to_numpy() @ np.array(coefficients) + constant
    keep = right % multiple == 0
    table = table.assign(real=rng.normal(size=len(table)), t=right // multiple)
    return table[keep].head(n).reset_index(drop=True)


laws = st.tuples(st.lists(st.integers(-12, 12), min_size=1, max_size=4),
                 st.integers(-300, 300), st.integers(1, 5))


@usual
@given(seed=seeds, law=laws)
def test_a_planted_law_is_found(seed, law):
    coefficients, constant, multiple = law
    shrink = np.gcd.reduce([*coefficients, constant, multiple])
    table = planted(seed, *law)
    if len(table) < 30 or table["t"].nunique() == 1:
        return
    found = discover_relation(table, "t")
    assert found.exact and found.multiple == multiple // shrink
    wanted = [c // shrink for c in coefficients]
    assert list(found.coefficients.values()) == [*wanted, 0]
    assert found.constant == constant // shrink and found.n_hold == len(table)
    np.testing.assert_allclose(found.predict(table), table["t"])


def test_what_equations_look_like():
    assert equation("t", 1, {"a": 0}, 0) == "t = 0"
    assert equation("t", 3, {"a": -1, "b": 12}, -7) == "3*t = -a + 12*b - 7"


def test_columns_may_have_any_name():
    table = planted(2, [3, -2], 5).rename(columns={"x0": 0, "x1": "{b} {n_rows}"})
    assert discover_relation(table, "t").words == "t = 3*0 - 2*{b} {n_rows} + 5"
    tied = table.assign(**{"{b} {n_rows}": 2 * table[0]}).assign(t=table[0])
    assert discover_relation(tied, "t").dependencies == ("{b} {n_rows} = 2*0",)
    noisy = table.assign(t=table["t"] + (table.index == 3))
    assert "t = 3*0 - 2*{b} {n_rows} + 5, holds" in discover_relation(noisy, "t").words


def test_euler_is_found_with_volume_and_area_at_zero(table):
    found = discover_relation(table)
    assert found.words == "faces = edges - vertices + 2" and found.exact
    assert found.coefficients == {"edges": 1, "vertices": -1, "volume": 0, "area": 0}
    assert found.holds(polyhedra_table(100, seed=9, size=30)).all()
    assert found.reason.startswith("it holds on all 400 rows")


@usual
@given(seed=seeds)
def test_no_law_in_shuffled_faces(table, seed):
    found = discover_relation(polyhedra.shuffled(table, seed))
    assert found.verdict == "no law" and not found.exact
    assert found.n_hold < 0.3 * len(table) and f"{found.n_hold:,} of" in found.words


@usual
@given(seed=seeds, n_wrong=st.integers(1, 40))
def test_wrong_rows_leave_no_law_but_its_candidate(table, seed, n_wrong):
    rng, wrong = np.random.default_rng(seed), table.copy()
    rows = rng.choice(len(wrong), n_wrong, replace=False)
    wrong.loc[rows, "faces"] += rng.choice([-1, 1, 500], n_wrong)
    found = discover_relation(wrong)
    assert found.verdict == "no law" and found.n_hold == len(wrong) - n_wrong
    assert found.equation == "faces = edges - vertices + 2"
    assert np.array_equal(np.flatnonzero(~found.holds(wrong)), np.sort(rows))


@usual
@given(seed=st.integers(0, 500), families=st.sampled_from(
    [("sphere",), ("bipyramid",), ("sphere", "bipyramid")]))
def test_simplicial_polyhedra_cannot_tell(seed, families):
    found = discover_relation(polyhedra_table(60, seed, families))
    assert found.verdict == "not identifiable" and not found.exact
    assert found.dependencies == ("edges = 3*vertices - 6",)
    assert {"faces = edges - vertices + 2", "faces = 2*vertices - 4",
            "3*faces = 2*edges"} <= set(found.alternatives)
    assert "edges = 3*vertices - 6" in found.words


def test_a_constant_feature_is_a_dependency():
    table = planted(0, [1, 2], 3).assign(x1=4).assign(t=lambda t: t["x0"] + 11)
    found = discover_relation(table, "t", ["x0", "x1"])
    assert found.verdict == "not identifiable" and found.dependencies == ("x1 = 4",)


def test_the_simplest_of_several_laws_are_named():
    table = planted(0, [1, 1], 0).assign(x1=lambda t: 3 * t["x0"], t=lambda t: t["x0"])
    found = discover_relation(table, "t", ["x0", "x1"])
    assert found.alternatives[0] == "t = x0" and "3*t = x1" in found.alternatives


def test_duplicates_are_no_evidence(table):
    few = pd.concat([table.head(4)] * 50)
    with pytest.raises(ValueError, match="got 4"):
        discover_relation(few)
    doubled = pd.concat([table, table], ignore_index=True)
    assert discover_relation(doubled).exact and discover_relation(doubled).n_rows == 800
    doubled.loc[0, "faces"] += 1  # its twin says otherwise
    assert discover_relation(doubled).n_hold == 799


def test_max_coefficient_is_the_limit_that_it_says():
    table = planted(1, [13, 2], 10**6)
    assert discover_relation(table, "t", max_coefficient=13).exact
    refused = discover_relation(table, "t")
    assert refused.verdict == "no law" and "max_coefficient=12" in refused.words
    assert "t = 13*x0 + 2*x1 + 1000000" in refused.words


@pytest.mark.parametrize("options, change, word", [
    ({}, lambda t: t.drop(columns="faces"), "'faces'"),
    ({"features": ["edges", "girth"]}, lambda t: t, "'girth'"),
    ({}, lambda t: t.assign(area=t["area"].mask(t.index == 5)), "'area'.*1 of 400"),
    ({}, lambda t: t.assign(edges=np.inf), "'edges'"),
    ({}, lambda t: t.assign(faces=t["faces"] + 0.5), "'faces'.*whole"),
    ({"features": ["family"]}, lambda t: t, "'family'.*numbers"),
    ({"features": []}, lambda t: t, "features"),
    ({"features": ["edges", "edges"]}, lambda t: t, "different columns"),
    ({"features": ["edges", "faces"]}, lambda t: t, "not the target"),
    ({"max_coefficient": 0}, lambda t: t, "max_coefficient"),
    ({}, lambda t: t.head(5), "got 5"), ({}, lambda t: t.head(0), "got 0"),
    ({}, lambda t: pd.concat([t, t["edges"]], axis=1), "only one.*'edges'")])
def test_tables_that_are_refused(table, options, change, word):
    with pytest.raises(ValueError, match=word):
        discover_relation(change(table), **options)


# the network


@pytest.fixture(scope="module")
def fitted(table):
    fit, rest = polyhedra.split_table(table, seed=0)
    return polyhedra.FacesModel(0, n_hidden=32).fit(fit), fit, rest


def test_the_split_shares_no_row(table):
    fit, rest = polyhedra.split_table(table, seed=1, held_out=0.25)
    assert (len(fit), len(rest)) == (300, 100)
    assert sorted([*fit.index, *rest.index]) == list(table.index)


def test_the_network_beats_the_floor_and_its_salience_is_right(fitted):
    model, fit, rest = fitted
    error, share = polyhedra.score(model.predict(rest), rest)
    assert share > 0.9 and error < 0.01 * rest["faces"].var()
    found = polyhedra.salience_table(model, rest)
    assert list(found.index) == ["edges", "vertices", "volume", "area"]
    for kind in ("integrated gradients", "gradient"):
        assert found[kind].iloc[2:].max() < 0.2 * found[kind].iloc[:2].min()
    assert abs(found["slope"]["edges"] - 1) < 0.1 > abs(found["slope"]["vertices"] + 1)


def test_salience_is_that_of_captum(fitted):
    captum = pytest.importorskip("captum.attr")
    model, _, rest = fitted
    inputs, table = model.inputs(rest), polyhedra.salience_table(model, rest)
    path = captum.IntegratedGradients(model.net_).attribute(inputs, target=0)
    np.testing.assert_allclose(table["integrated gradients"], path.abs().mean(0), 1e-3)
    step = captum.Saliency(model.net_).attribute(inputs.requires_grad_(), target=0)
    np.testing.assert_allclose(table["gradient"], step.mean(0).numpy(), rtol=1e-4)


def test_fitting_repeats_and_leaves_the_random_state_alone(fitted):
    model, fit, rest = fitted
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    again = polyhedra.FacesModel(0, n_hidden=32).fit(fit)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    np.testing.assert_allclose(again.predict(rest), model.predict(rest), atol=1e-2)
    one, other = (polyhedra.FacesModel(s, n_hidden=32, n_steps=1).fit(fit)
                  for s in (0, 1))
    assert not np.allclose(other.predict(rest), one.predict(rest), atol=1e-2)


@pytest.mark.parametrize("change, word", [
    (lambda t: t.drop(columns="area"), "'area'"), (lambda t: t.head(1), "got 1"),
    (lambda t: t.drop(columns="faces"), "'faces'"),
    (lambda t: t.assign(edges=np.nan), "'edges'"),
    (lambda t: t.assign(volume=0.0), "'volume'.*positive")])
def test_tables_that_the_network_refuses(table, change, word):
    with pytest.raises(ValueError, match=word):
        polyhedra.FacesModel().fit(change(table))


def test_a_model_that_was_not_fitted_says_so(table):
    with pytest.raises(ValueError, match="fit"):
        polyhedra.FacesModel().predict(table)


# the claims


@pytest.fixture(scope="module")
def measure():
    run = Run(seed=11, profile=SimpleNamespace(polyhedra_n=200))
    made = {c.id: c for c in claims_of(polyhedra)}
    return lambda id: (made[id].rule, made[id].measure(run))


def test_the_claims_are_the_five():
    assert {c.id for c in claims_of(polyhedra)} == {
        f"polyhedra.{n}" for n in ("model", "salience", "euler", "shuffled", "trap")}


def test_claims_can_hold(measure):
    for id in ("polyhedra.euler", "polyhedra.shuffled", "polyhedra.trap"):
        rule, result = measure(id)
        assert rule.holds(result.value), id


@pytest.mark.parametrize("id, name, broken", [
    ("polyhedra.euler", "polyhedra_table", lambda n, seed, families=None, size=12:
     polyhedra_table(n, seed, ["sphere"], size)),
    ("polyhedra.euler", "polyhedra_table", lambda n, seed, families=None, size=12:
     polyhedra_table(n, seed, families, size).assign(
         faces=lambda t: t["faces"] + (size == 30) * (t.index == 7))),
    ("polyhedra.shuffled", "shuffled", lambda table, seed: table),
    ("polyhedra.trap", "SIMPLICIAL", ("sphere", "prism", "pyramid"))])
def test_claims_can_fail(measure, monkeypatch, id, name, broken):
    monkeypatch.setattr(polyhedra, name, broken)
    rule, result = measure(id)
    assert not rule.holds(result.value)


def test_the_network_s_claims_can_fail(monkeypatch):
    made = {c.id: c for c in claims_of(polyhedra)}
    run = Run(seed=12, profile=SimpleNamespace(polyhedra_n=200))
    real = polyhedra.polyhedra_table
    def other(n, seed):
        return real(n, seed).eval("faces = floor(50 + 10 * log(volume / area))")
    monkeypatch.setattr(polyhedra, "polyhedra_table", other)
    polyhedra.fitted.cache_clear()
    for id in ("polyhedra.model", "polyhedra.salience"):
        assert not made[id].rule.holds(made[id].measure(run).value)
    polyhedra.fitted.cache_clear()


def test_small_integers_do_not_overflow():
    table = pd.DataFrame({"edges": np.array([100, 120, 127, 110, 90, 80], "int8"),
                          "vertices": np.array([20, 33, 50, 12, 9, 31], "int8")})
    wide = table.astype(int)
    table["faces"] = 2 * wide["edges"] - 3 * wide["vertices"] + 5
    found = discover_relation(table.astype({"faces": "int16"}))
    assert found.exact and found.predict(table).tolist() == table["faces"].tolist()
