"""Groups and odds: patterns on known molecules, counts by hand, bad input, claims."""
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import contingency, fisher_exact

from litlab.core.claims import Run, verdict
from litlab.core.plots import COLOURS
from litlab.explain.groups import (
    COH, GROUPS, TOXICOPHORES, Group, coh_enrichment, compounds, fused_rings,
    group_bonds, match_groups, nitro_enrichment, others_absent, rule_of_eight)
from litlab.explain.molecules import mutagenicity_table, parse_smiles
from litlab.explain.odds import (
    enrichment, fisher_p, holm, odds_interval, odds_ratio, plot_forest, ratio_end,
    spell_ratio, two_by_two)

COUNTS = st.lists(st.integers(0, 40), min_size=4, max_size=4).map(
    lambda n: np.reshape(n, (2, 2)))

KNOWN = {  # a molecule: all groups that it has
    "c1ccccc1[N+](=O)[O-]": {"aromatic nitro"},
    "C[N+](=O)[O-]": set(),
    "Nc1ccccc1": {"aromatic amine"},
    "CNc1ccccc1": set(),
    "CC(=O)Nc1ccccc1": set(),
    "CCN": {"aliphatic amine"},
    "C1CO1": {"three-membered heterocycle", "epoxide"},
    "C1CN1": {"three-membered heterocycle", "aziridine"},
    "C1CS1": {"three-membered heterocycle"},
    "C1CC1": set(),
    "C1CCO1": set(),
    "CN(C)N=O": {"nitroso"},
    "O=Nc1ccccc1": {"nitroso"},
    "NN": {"free heteroatom pair"},
    "CNO": {"free heteroatom pair"},
    "CNNC": set(),
    "O[N+](=O)[O-]": set(),
    "c1ccccc1N=Nc1ccccc1": {"azo type"},
    "CN=[N+]=[N-]": {"azo type", "azide"},
    "CCCl": {"aliphatic halide"},
    "Clc1ccccc1": set(),
    "CC(=O)Cl": set(),
    "c1ccc2cc3ccccc3cc2c1": {"polycyclic aromatic"},
    "c1ccc2c(c1)[nH]c1ccccc12": {"polycyclic aromatic"},
    "c1ccc2ccccc2c1": set(),
    "c1ccc2c(c1)CCc1ccccc12": set(),
    "O": set(),
    "COC": set(),
    "CCO": {"C-O-H any", "C-O-H alcohol"},
    "Oc1ccccc1": {"C-O-H any", "C-O-H phenol"},
    "CC(=O)O": {"C-O-H any", "C-O-H acid"},
    "CC(=O)OC": set(),
    "C=CO": {"C-O-H any"},
    "O=C1C=CC(=O)C=C1": {"quinone"},
    "O=C1c2ccccc2C(=O)c2ccccc12": {"quinone"},
    "O=C1C=CC=CC1=O": set(),
    "CC(C)(C)C": {"tert-butyl"},
    "CC(C)C": set(),
    "FC(F)(F)c1ccccc1": {"trifluoromethyl"},
    "FC(F)c1ccccc1": set(),
    "NS(=O)(=O)c1ccccc1": {"sulfonamide"},
    "OS(=O)(=O)c1ccccc1": set(),
}


@pytest.fixture(scope="module")
def data():
    "Groups and labels of all molecules."
    table = mutagenicity_table()
    has = match_groups(parse_smiles(s) for s in table["smiles"])
    return has, (table["outcome"] == "nonmutagen").to_numpy().astype(int)


def booleans(table):
    "Whether all columns are of type bool."
    return set(table.dtypes.astype(str)) == {"bool"}


def ends(mol, found):
    "Bonds as sorted pairs of elements."
    bonds = [mol.GetBondWithIdx(b) for b in found]
    return sorted("".join(sorted((b.GetBeginAtom().GetSymbol(),
                                  b.GetEndAtom().GetSymbol()))) for b in bonds)


@pytest.mark.parametrize("smiles", KNOWN)
def test_known_molecules(smiles):
    found = match_groups([parse_smiles(smiles)]).loc[0]
    assert set(found.index[found]) == KNOWN[smiles]


def test_groups_are_the_eight_and_more():
    assert len(TOXICOPHORES) == 8 and len(COH) == 4
    assert {g.kind for g in TOXICOPHORES} == {"toxicophore"}
    assert {g.kind for g in COH} == {"COH"}
    assert all(name == g.name and g.about for name, g in GROUPS.items())
    assert all(g.within in {t.name for t in TOXICOPHORES}
               for g in GROUPS.values() if g.within)


def test_match_keeps_order_and_type():
    mols = [parse_smiles(s) for s in ("CCO", "Nc1ccccc1", "CCO")]
    found = match_groups(mols)
    assert list(found.columns) == list(GROUPS) and booleans(found)
    assert found["C-O-H alcohol"].tolist() == [True, False, True]
    assert match_groups(mols, {}).shape == (3, 0)
    none = match_groups([])
    assert none.shape == (0, len(GROUPS)) and booleans(none)


@pytest.mark.parametrize("smarts", ["C1CC", "", "not a pattern"])
def test_bad_pattern_is_named(smarts):
    bad = {"my group": Group("my group", smarts, "other", "")}
    with pytest.raises(ValueError, match="'my group'.*no SMARTS"):
        match_groups([], bad)


def test_bad_groups():
    with pytest.raises(ValueError, match="kind of 'x'.*'alcohol'"):
        Group("x", "[OX2][H]", "alcohol", "")
    with pytest.raises(ValueError, match="no group 'ether'.*aromatic nitro"):
        group_bonds(parse_smiles("COC"), "ether")


@pytest.mark.parametrize("smiles, name, expected", [
    ("c1ccccc1[N+](=O)[O-]", "aromatic nitro", ["CN", "NO", "NO"]),
    ("Nc1ccccc1", "aromatic amine", ["CN", "HN", "HN"]),
    ("CCO", "C-O-H alcohol", ["CO", "HO"]),
    ("CC(=O)O", "C-O-H acid", ["CO", "HO"]),
    ("CC(=O)O", "C-O-H any", ["CO", "HO"]),
    ("OCCO", "C-O-H any", ["CO", "CO", "HO", "HO"]),
    ("C1CO1", "epoxide", ["CC", "CO", "CO"]),
    ("CN=[N+]=[N-]", "azide", ["NN", "NN"]),
    ("CCCl", "aliphatic halide", ["CCl"]),
    ("NN", "free heteroatom pair", ["HN"] * 4 + ["NN"]),
    ("CCO", "C-O-H acid", [])])
def test_bonds(smiles, name, expected):
    mol = parse_smiles(smiles)
    assert ends(mol, group_bonds(mol, name)) == expected
    assert group_bonds(mol, GROUPS[name]) == group_bonds(mol, name)


def test_every_group_has_bonds_where_it_matches():
    for smiles, names in KNOWN.items():
        mol = parse_smiles(smiles)
        assert {n for n in GROUPS if group_bonds(mol, n)} == names


def test_fused_rings_counts_systems():
    "Two systems of two rings are not one of four; bonds outside do not count."
    two = parse_smiles("c1ccc2ccccc2c1-c1cccc2ccccc12")
    assert fused_rings(two) == set() and len(fused_rings(two, 2)) == 22
    pyrene = parse_smiles("Cc1cc2ccc3cccc4ccc(c1)c2c34")
    assert len(fused_rings(pyrene, 4)) == 19 and fused_rings(pyrene, 5) == set()
    bridged = parse_smiles("c1ccc2cc3c(cc2c1)-c1ccccc1C3")  # 2 rings, CH2, 1 ring
    assert fused_rings(bridged) == set()


def test_counts_by_hand():
    has = np.array([True, True, True, False, False, False])
    y = np.array([0, 0, 1, 0, 1, 1])
    assert two_by_two(has, y).tolist() == [[2, 1], [1, 2]]
    assert odds_ratio([[2, 1], [1, 2]]) == 4
    # of 20 ways to choose 3 of 6: 1 + 9 + 9 + 1 by number of mutagens; all count
    assert fisher_p([[2, 1], [1, 2]]) == pytest.approx(1)
    assert fisher_p([[3, 0], [0, 3]]) == pytest.approx(0.1)


@pytest.mark.parametrize("table, ratio, low, high", [
    ([[5, 0], [3, 4]], math.inf, None, math.inf),
    ([[0, 5], [4, 3]], 0, 0, None),
    ([[4, 3], [0, 5]], math.inf, None, math.inf),
    ([[4, 3], [5, 0]], 0, 0, None),
    ([[0, 0], [4, 3]], math.nan, 0, math.inf),
    ([[4, 3], [0, 0]], math.nan, 0, math.inf),
    ([[4, 0], [3, 0]], math.nan, 0, math.inf)])
def test_empty_cells(table, ratio, low, high):
    found = odds_interval(table)
    np.testing.assert_equal(odds_ratio(table), ratio)
    for value, expected in zip(found, (low, high)):
        assert value == expected if expected is not None else 0 < value < math.inf
    assert 0 < fisher_p(table) <= 1
    assert math.isnan(ratio) == (fisher_p(table) == 1 and found == (0, math.inf))


def test_one_empty_cell_by_hand():
    "Three of three, none of three: P(3) = psi^3 / (1 + 9 psi + 9 psi^2 + psi^3)."
    low, high = odds_interval([[3, 0], [0, 3]])
    assert high == math.inf
    assert low**3 / (1 + 9 * low + 9 * low**2 + low**3) == pytest.approx(0.025)
    narrower = odds_interval([[3, 0], [0, 3]], level=0.8)[0]
    assert narrower**3 / (1 + 9 * narrower + 9 * narrower**2 + narrower**3) == (
        pytest.approx(0.1))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(COUNTS)
def test_same_as_scipy(table):
    assume(table.sum(0).min() and table.sum(1).min())
    np.testing.assert_allclose(fisher_p(table), fisher_exact(table)[1], rtol=1e-9)
    assert 0 < fisher_p(table) <= 1
    sample = contingency.odds_ratio(table, kind="sample").statistic
    np.testing.assert_allclose(odds_ratio(table), sample)
    theirs = contingency.odds_ratio(table).confidence_interval(0.95)
    np.testing.assert_allclose(odds_interval(table), theirs, rtol=2e-4)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(COUNTS)
def test_symmetry(table):
    "Swapping the outcomes inverts the odds ratio and its interval; p stays."
    assume(table.sum(0).min() and table.sum(1).min())
    low, high = odds_interval(table)
    other = odds_interval(table[:, ::-1])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(other, 1 / np.array([high, low]), rtol=1e-6)
    assert fisher_p(table[:, ::-1]) == pytest.approx(fisher_p(table))
    assert low <= odds_ratio(table) <= high


def test_large_tables_do_not_overflow(data):
    table = np.array([[627, 58], [1774, 1878]])  # the polycyclic ones
    np.testing.assert_allclose(fisher_p(table), fisher_exact(table)[1], rtol=1e-6)
    assert fisher_p(table) < 1e-100
    assert (two_by_two(data[0]["polycyclic aromatic"], data[1]) == table).all()


def test_holm():
    "A worked example: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 not below that."
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]),
                               [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1, 1])
    np.testing.assert_allclose(holm([0.02]), [0.02])
    assert holm([]).shape == (0,)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_by_its_definition(p):
    "Rejected at a level: step down while p is at most level / (tests left)."
    corrected, level, order = holm(p), 0.05, np.argsort(p, kind="stable")
    for step, i in enumerate(order):
        if p[i] * (len(p) - step) > level:
            order = order[:step]
            break
    assert set(np.flatnonzero(corrected <= level)) == set(order)
    assert (corrected >= p).all() and (corrected <= 1).all()


def small():
    "Six molecules, three groups, by hand."
    has = pd.DataFrame({"g": [True, True, True, False, False, False],
                        "all": [True] * 6, "none": [False] * 6})
    return has, [0, 0, 1, 0, 1, 1]


def test_enrichment_by_hand():
    table = enrichment(*small())
    row = table.loc["g"]
    assert (row["n"], row["odds_ratio"]) == (3, 4)
    assert row["share"] == pytest.approx(2 / 3) and row["rest"] == pytest.approx(1 / 3)
    assert (table["n"] == [3, 6, 0]).all()
    for name in ("all", "none"):
        assert math.isnan(table.loc[name, "odds_ratio"])
        assert list(table.loc[name, ["low", "high", "p"]]) == [0, math.inf, 1]
    assert math.isnan(table.loc["all", "rest"])
    assert math.isnan(table.loc["none", "share"])
    np.testing.assert_allclose(table["holm"], holm(table["p"]))


def test_masks():
    has, y = small()
    mask = np.array([True, True, True, True, False, True])
    table = enrichment(has, y, mask)
    expected = enrichment(has[mask].reset_index(drop=True), np.array(y)[mask])
    pd.testing.assert_frame_equal(table, expected)
    several = pd.DataFrame({"g": mask, "all": ~mask, "none": mask})
    table = enrichment(has, y, several)
    assert table["n"].tolist() == [3, 1, 0]


@pytest.mark.parametrize("change, message", [
    (lambda h, y: (h, y[:5]), r"one for each of 6 molecules \(got 5\)"),
    (lambda h, y: (h[:0], []), r"molecules and groups \(got \(0, 3\)\)"),
    (lambda h, y: (h[[]], y), r"molecules and groups \(got \(6, 0\)\)"),
    (lambda h, y: (h, [0, 1, 2, 0, 1, -1]), r"0 for mutagens.*\[-1, 2\]"),
    (lambda h, y: (h, [0, 1, np.nan, 0, 1, 1]), r"0 for mutagens.*nan"),
    (lambda h, y: (h, ["mutagen"] * 6), "0 for mutagens.*'mutagen'"),
    (lambda h, y: (h.astype(int), y), "has must be bool"),
    (lambda h, y: (h, y, [True] * 5), "mask must be bool for each of 6"),
    (lambda h, y: (h, y, [0, 1, 1, 1, 1, 1]), "mask must be bool"),
    (lambda h, y: (h, y, [False] * 6), r"at least one molecule \(got none\)")])
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        enrichment(*change(*small()))


def test_lengths_of_one_table():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        two_by_two([True, False], [0, 1, 1])


def test_others_absent_by_hand():
    smiles = ["CCO", "C1CO1", "C1CN1", "OCC1CO1", "Nc1ccc([N+](=O)[O-])cc1",
              "Nc1ccccc1", "C1OC1CN=O"]
    masks = others_absent(match_groups([parse_smiles(s) for s in smiles]))
    expected = {
        "C-O-H any": [0], "C-O-H acid": [0], "aliphatic amine": [0],
        "three-membered heterocycle": [0, 1, 2, 3], "epoxide": [0, 1, 3],
        "aziridine": [0, 2], "aromatic amine": [0, 5], "aromatic nitro": [0],
        "nitroso": [0], "azide": [0]}
    for name, rows in expected.items():
        assert np.flatnonzero(masks[name]).tolist() == rows, name


def test_others_absent_needs_the_toxicophores():
    with pytest.raises(ValueError, match="lacks aliphatic halide, aromatic amine"):
        others_absent(pd.DataFrame({"C-O-H any": [True]}))


def test_others_absent_takes_own_groups():
    own = {"x": Group("x", "C", "toxicophore", ""), "y": Group("y", "O", "other", "")}
    has = pd.DataFrame({"x": [True, False, True], "y": [True, True, False]})
    masks = others_absent(has, own)
    assert masks["x"].all() and masks["y"].tolist() == [False, True, False]


def test_ends_and_text():
    row = pd.Series({"odds_ratio": 2.0, "low": 1.0, "high": 4.0})
    assert spell_ratio(row) == "2.00 [1.00, 4.00]"
    error = math.log(4) / 3.92
    assert ratio_end(row, "low") == (1, pytest.approx(error))
    assert ratio_end(row, "high") == (4, pytest.approx(4 * error))
    row["odds_ratio"] = row["high"] = math.inf
    assert spell_ratio(row) == "∞ [1.00, ∞]"


def rows(*values):
    "A table for the forest: odds ratio, low, high, holm."
    table = pd.DataFrame(values, columns=["odds_ratio", "low", "high", "holm"],
                         index=list("abcdefg")[:len(values)])
    return table.assign(n=range(5, 5 + len(values)))


def test_forest():
    table = rows((0.2, 0.1, 0.4, 0.001), (3, 2, 5, 0.01), (1.2, 0.5, 3, 0.2),
                 (math.inf, 2, math.inf, 0.02), (0, 0, 0.5, 0.03),
                 (math.nan, 0, math.inf, 1))
    ax = plot_forest(table, bold=["b"])
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "e (9)", "a (5)", "c (7)", "b (6)", "d (8)"]
    assert [t.get_fontweight() for t in ax.get_yticklabels()].index("bold") == 3
    points = [line for line in ax.lines if len(line.get_xdata()) == 1]
    red, blue, grey = (COLOURS[c] for c in ("red", "blue", "grey"))
    assert [p.get_color() for p in points] == [blue, blue, grey, red, red]
    assert [p.get_marker() for p in points] == ["<", "o", "o", "o", ">"]
    assert ax.get_xscale() == "log" and ax.get_xlabel()
    assert all(0 < x < math.inf for p in ax.lines for x in p.get_xdata())
    plt.close(ax.figure)


def test_forest_beside_and_empty():
    table = rows((2, 1.5, 3, 0.01), (0.5, 0.3, 0.9, 0.02))
    ax = plot_forest(table, beside=rows((math.nan, 0, math.inf, 1), (0.9, 0.5, 2, 1)))
    points = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [p.get_marker() for p in points] == ["o", "D", "o"]
    assert plot_forest(table, ax) is ax
    plt.close(ax.figure)
    with pytest.raises(ValueError, match="some molecules have"):
        plot_forest(rows((math.nan, 0, math.inf, 1)))


def test_table_of_all_molecules(data):
    "Counts that were also found by another program; the sign by the interval."
    table = enrichment(*data)
    counts = {"aromatic nitro": 644, "aromatic amine": 513, "nitroso": 122,
              "three-membered heterocycle": 233, "free heteroatom pair": 128,
              "azo type": 149, "aliphatic halide": 325, "polycyclic aromatic": 685,
              "C-O-H any": 1242, "C-O-H alcohol": 538, "C-O-H phenol": 473,
              "C-O-H acid": 372, "epoxide": 196, "aziridine": 33, "azide": 14,
              "quinone": 113, "aliphatic amine": 123}
    assert {name: table.loc[name, "n"] for name in counts} == counts
    np.testing.assert_array_equal(table["holm"], holm(table["p"]))
    assert table["p"].nlargest(2).min() < table["holm"].max()
    assert (table.loc[[g.name for g in TOXICOPHORES], "low"] > 1).all()
    assert (table.loc[[g.name for g in COH], "high"] < 1).all()
    alone = enrichment(*data, others_absent(data[0]))
    assert alone.loc["C-O-H acid", "high"] < 1 < alone.loc["C-O-H alcohol", "high"]
    assert alone.loc["C-O-H alcohol", "low"] < 1 < alone.loc["C-O-H phenol", "low"]


def test_claims_can_fail(monkeypatch, data):
    "Verdicts of the data; with the labels swapped or shuffled the claims fail."
    made = (compounds, rule_of_eight, nitro_enrichment, coh_enrichment)
    claims = dict.fromkeys(made, "reproduced")
    def verdicts():
        results = {f: f(Run()) for f in claims}
        return {f: verdict(f.claim, r.value, r.spread)[0] for f, r in results.items()}
    assert verdicts() == claims
    has, y = data
    for wrong in (1 - y, np.random.default_rng(0).permutation(y)):
        monkeypatch.setattr("litlab.explain.groups._matched",
                            lambda wrong=wrong: (has, wrong, "made up"))
        failed = verdicts()
        assert failed[nitro_enrichment] == failed[coh_enrichment] == "not reproduced"
        assert failed[rule_of_eight] == "not reproduced"
        assert (failed[compounds] == "reproduced") == (wrong.sum() == y.sum())
