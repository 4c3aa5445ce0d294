"""Screening: a report of many molecules, and what may stand in its table."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch_geometric", reason="needs pip install 'litlab[graphs]'")
pytest.importorskip("rdkit", reason="needs pip install 'litlab[graphs]'")

import torch

from litlab.explain.applicability import (
    KnownMolecules, domain_word, fingerprint, known_molecules, note_on, structure_key)
from litlab.explain.explanations import edge_attributions
from litlab.explain.explorer import METHODS, explain_molecule, page_table, shown_facts
from litlab.explain.findings import Finding, bond_name, card_html, common_scale
from litlab.explain.graphs import molecule_graphs
from litlab.explain.groups import TOXICOPHORES
from litlab.explain.molecules import parse_smiles
from litlab.explain.networks import MutagenicityNet
from litlab.explain.screening import (
    CAVEAT, ScreeningReport, guarded, known_data, read_row, table_rows, unguarded)
from litlab.explain.training import predict

NITRO, SALT = "c1ccccc1[N+](=O)[O-]", "C[NH3+].[Cl-]"
GOOD = [NITRO, SALT, "CCO", NITRO, "[2H]OC", "C/C=C/C", "[H]C([H])([H])O[H]", "[Na+]",
        "C[N+](C)(C)C", "[CH3:7]O", "CCO ethanol"]
BAD = {"C1CC": "no valid SMILES", "C[Si](C)C": "has Si,", "C*": r"has \*,",
       "CN(=O)=O=C": "no possible molecule", "": "empty", "  ": "empty", None: "empty",
       float("nan"): "empty", pd.NA: "empty", 12: "no valid SMILES",
       "<b>": "no valid SMILES", "=1+1": "no valid SMILES", "\ud800": "no valid SMILES",
       "C\0C": "no valid SMILES", "CC>>CO": "no valid SMILES"}


@pytest.fixture(scope="module")
def net():
    "An untrained network."
    torch.manual_seed(3)
    return MutagenicityNet(width=16).eval()


@pytest.fixture(scope="module")
def training():
    "A few molecules to have learned from."
    return molecule_graphs([parse_smiles(s) for s in (NITRO, "CCN", "CO")], y=[0, 1, 1])


@pytest.fixture(scope="module")
def report(net, training):
    "Good and bad rows by turns."
    rows = [s for pair in zip(GOOD, BAD) for s in pair] + list(BAD)[len(GOOD):]
    return ScreeningReport(rows, net, training=training, n_steps=20)


# rows

@pytest.mark.parametrize("given", BAD, ids=[f"bad{i}" for i in range(len(BAD))])
def test_a_bad_line_has_its_reason(given):
    "No exception, whatever stands in the table."
    row = read_row("x", given)
    assert row.mol is None and row.status != "ok" and row.prediction == ""
    assert pd.Series([row.status]).str.contains(BAD[given]).all(), row.status
    assert row.domain == "" and np.isnan(row.probability)


def test_order_is_kept(report):
    "Good and bad rows stand where they stood, none is lost or doubled."
    table = report.to_frame()
    assert len(table) == len(report) == len(GOOD) + len(BAD)
    assert list(table["name"]) == [str(i) for i in range(len(report))]
    n = len(GOOD)
    assert list(table["smiles"][0:2 * n:2]) == GOOD
    assert (table["status"][0:2 * n:2] == "ok").all()
    bad = list(table["status"][1:2 * n:2]) + list(table["status"][2 * n:])
    assert "ok" not in bad and len(bad) == len(BAD)
    assert report[0].mol is not None and report[1].mol is None


def test_numbers_are_those_of_the_parts(report, net):
    "Prediction, weights, change and delta are what the functions give by themselves."
    good = [row for row in report.rows if row.mol]
    graphs = molecule_graphs([parse_smiles(s) for s in GOOD])
    found = edge_attributions(net, graphs, n_steps=20, output="logit_difference")
    said = predict(net, graphs)
    for i, row in enumerate(good):
        assert row.weights == pytest.approx(found.bonds_of(i).tolist(), abs=1e-5)
        assert row.change == pytest.approx(float(found.change[i]), abs=1e-5)
        assert row.delta == pytest.approx(float(found.delta[i]), abs=1e-5)
        assert sum(row.weights) == pytest.approx(row.change + row.delta, abs=1e-4)
        assert row.probability == pytest.approx(float(said[i, 0].exp()), abs=1e-6)
        assert (row.prediction == "mutagen") == (row.probability > 0.5)


def test_duplicates_agree(report):
    "Equal molecules have equal rows, wherever they stand."
    same = [row for row in report.rows if row.smiles == NITRO]
    assert len(same) == 2
    assert same[0].weights == pytest.approx(same[1].weights, abs=1e-5)
    assert same[0].canonical == same[1].canonical == "O=[N+]([O-])c1ccccc1"
    methanols = [row for row in report.rows if row.smiles in ("[CH3:7]O", GOOD[6])]
    assert methanols[0].probability == pytest.approx(methanols[1].probability)


def test_what_a_row_says(report):
    "Salt, data, neighbours and groups."
    table = report.to_frame().set_index("smiles")
    assert table.loc[SALT, "note"] == "a salt of 2 pieces"
    nitro = table.loc[NITRO].iloc[0]
    assert (nitro["measured"], nitro["domain"], nitro["similarity"]) == (
        "mutagen", "in", 1.0)
    assert nitro["toxicophores"] == "aromatic nitro"
    assert nitro["toxicophore_weights"].startswith("aromatic nitro: ")
    bonds = nitro["top_bonds"].split("; ")
    sizes = [abs(float(b.rpartition(": ")[2])) for b in bonds]
    assert len(bonds) == 3 and sizes == sorted(sizes, reverse=True)
    weights = np.abs(report[0].weights)
    assert sizes[0] == pytest.approx(weights.max(), rel=0.06)
    assert bonds[0].startswith(bond_name(report[0].mol, int(weights.argmax())))
    assert table.loc["[2H]OC", "measured"] == "nonmutagen"
    assert list(table.loc["[Na+]", ["top_bonds", "domain"]]) == ["", "far"]


def test_one_molecule_that_breaks_the_network(net, training):
    "Nan for one molecule costs this row only."
    class Fragile(MutagenicityNet):
        def forward(self, x, edge_index, batch, edge_weight=None):
            out = super().forward(x, edge_index, batch, edge_weight)
            chlorine = torch.zeros(len(out)).index_add_(0, batch, x[:, 2])
            return torch.where(chlorine[:, None] > 0, torch.nan, out)
    fragile = Fragile(width=16).eval()
    fragile.load_state_dict(net.state_dict())
    lines = ["CCO", "CCCl", "C1CC", NITRO]
    rows = ScreeningReport(lines, fragile, training=training, n_steps=20).rows
    whole = ScreeningReport(lines, net, training=training, n_steps=20).rows
    assert [row.status[:13] for row in rows] == ["ok", "not explained", "refused: 'C1C",
                                                 "ok"]
    for i in (0, 3):
        assert rows[i].weights == pytest.approx(whole[i].weights, abs=1e-5)
    assert rows[1].mol is None and card_html(rows[1]).startswith('<article class="bad"')


# tables

def test_tables_of_any_kind(net, training):
    "Lists, Series, frames, generators; names from where they are."
    frame = pd.DataFrame({"Smiles": ["CCO", "CO"], "NAME": ["a", "b"]}, index=[7, 7])
    assert table_rows(frame) == [("a", "CCO"), ("b", "CO")]
    assert table_rows(frame[["Smiles"]]) == [("7", "CCO"), ("7", "CO")]
    assert table_rows(frame["Smiles"]) == [("7", "CCO"), ("7", "CO")]
    assert table_rows((s for s in ["CO"]), ["c"]) == [("c", "CO")]
    assert table_rows(np.array(["CO"])) == [("0", "CO")]
    twice = pd.DataFrame([["CCO", "CO"]], columns=["smiles", "SMILES"])
    assert len(table_rows(twice)) == 1
    empty = ScreeningReport([], net, training=training)
    assert len(empty) == 0 and empty.to_frame().shape[0] == 0
    assert "probability" in empty.to_frame() and "0 rows" in repr(empty)
    assert "<article" not in empty._repr_html_()


@pytest.mark.parametrize("given, options, words", [
    ("CCO", {}, "put one line into a list"), (5, {}, "smiles must be a list"),
    (pd.DataFrame({"x": [1]}), {}, "column 'smiles'"),
    (["CCO"], {"names": ["a", "b"]}, "one for each of 1 rows"),
    (["CCO"], {"n_steps": 1}, "n_steps must"), (["CCO"], {"n_top": -1}, "n_top must"),
    (["CCO"], {"n_steps": 2.5}, "n_steps must")])
def test_what_is_no_table(net, training, given, options, words):
    "A clear error before anything is computed."
    with pytest.raises(ValueError, match=words):
        ScreeningReport(given, net, training=training, **options)


def test_many_rows_show_a_bar(net, training, capsys):
    "More than a part, with a bar; the rows are the same as alone."
    lines = ["CCO", "bad", NITRO] * 110
    rows = ScreeningReport(lines, net, training=training, n_steps=2).rows
    assert "330/330" in capsys.readouterr().err
    alone = ScreeningReport(lines[:3], net, training=training, n_steps=2).rows
    assert capsys.readouterr().err == ""
    assert [r.status for r in rows] == [r.status for r in alone] * 110
    assert rows[-1].weights == pytest.approx(alone[2].weights, abs=1e-5)


# files

@pytest.mark.parametrize("text", [
    "=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n", " =1", "\uff1d1", "'a", "''"])
def test_formulas_are_guarded(text):
    "A spreadsheet sees text, and the guard comes off."
    assert guarded(text) == "'" + text and unguarded(guarded(text)) == text


@pytest.mark.parametrize("cell", ["CCO", "[O-]C", "#N", "", "a=b", -1.5, None, "a'"])
def test_other_cells_stay(cell):
    "No molecule is touched, nor a number."
    assert guarded(cell) == cell and unguarded(cell) == cell


def read_back(file, table):
    "A report's table from its file, without the guards."
    empty = {c: [""] for c in table.select_dtypes("number")}
    texts = dict.fromkeys(set(table) - set(empty), str)
    return pd.read_csv(file, keep_default_na=False, na_values=empty, dtype=texts).map(
        unguarded)


def test_csv_round_trip(report, tmp_path):
    "What is read back is the table; the file is whole or not there."
    table = report.to_frame()
    file = report.to_csv(tmp_path / "new" / "report.csv")
    assert [p.name for p in file.parent.iterdir()] == ["report.csv"]
    pd.testing.assert_frame_equal(read_back(file, table), table, check_dtype=False)
    assert "=1+1" in set(table["smiles"])
    raw = pd.read_csv(file, dtype=str, keep_default_na=False)
    texts = raw[list(table.select_dtypes(exclude="number"))].to_numpy().ravel()
    assert not [t for t in texts if t[:1] in tuple("=+-@")]


def test_csv_keeps_any_name(net, training, tmp_path):
    "Quotes, commas, ends of lines, words that pandas takes for nothing."
    names = ["=a", "a,b", 'say "x"', "two\nlines", "old\rline", "\r\n", "NA", "nan", "",
             "\u20ac", "' x", "half \ud800"]
    report = ScreeningReport(["CCO"] * len(names), net, names, training=training)
    table = report.to_frame()
    assert list(table["name"][:-1]) == names[:-1]
    back = read_back(report.to_csv(tmp_path / "report.csv"), table)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


class Reader(HTMLParser):
    "Elements and text of a page."
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text.append(data)


EVIL = ["<script>alert(1)</script>", '" onload="x', "</article>", "<img src=x>", "&lt;"]


def test_page_escapes_and_needs_nothing(net, training, tmp_path):
    "Names and lines are text; pictures for the good rows; no address is fetched."
    lines = [NITRO, *EVIL]
    report = ScreeningReport(lines, net, names=EVIL + ["last"], training=training)
    text = report.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    page = Reader(text)
    assert page.tags.count("article") == 6 and page.tags.count("svg") == 1
    assert not {"script", "img"} & set(page.tags) and "onload" not in page.attributes
    assert text.count("</article>") == 6
    shown = "".join(page.text)
    for word in EVIL + [CAVEAT, "refused", "aromatic nitro", "similarity 1.00"]:
        assert word in shown, word
    assert "color-scheme:light dark" in text
    assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    few = report.to_html(tmp_path / "few.html", n_pictures=0).read_text("utf-8")
    assert "<svg" not in few and few.count("<article") == 6
    assert Reader(report._repr_html_()).tags.count("article") == 6


def test_notebook_shows_the_first(net, training):
    "Twelve cards, and how many more there are."
    report = ScreeningReport(["CCO"] * 14, net, training=training, n_steps=2)
    text = report._repr_html_()
    assert text.count("<article") == 12 and "2 more rows" in text and CAVEAT in text


def test_one_scale_for_all():
    "The pictures of a page can be compared; rows without weights don't matter."
    mol = parse_smiles("CO")
    rows = [Finding("a", "CO", weights=(w, 0.0, 0.0, 0.0, -0.1), mol=mol)
            for w in range(1, 11)] + [Finding("b", "x"), Finding("c", "C", weights=())]
    assert common_scale(rows) == pytest.approx(9.1)
    assert common_scale(rows[10:]) is None
    card = card_html(rows[9], scale=9.1)
    assert "+9.1" in card and card.count("<svg") == 1


# applicability

def test_similarity_by_hand():
    "Counts, not yes and no: sum of minima over sum of maxima."
    mols = [parse_smiles(s) for s in ("CCCCO", "CCO", "c1ccccc1", "C" * 40)]
    known = known_molecules(molecule_graphs(mols))
    ask = [parse_smiles(s) for s in ("CCCO", "C" * 20, "C" * 60, "[Na+]", "OCC")]
    got, place = known.nearest(ask)
    for mol, value, best in zip(ask, got, place):
        a, hand = fingerprint(mol), []
        for b in map(fingerprint, mols):
            keys = a.keys() | b.keys()
            hand.append(sum(min(a.get(k, 0), b.get(k, 0)) for k in keys)
                        / sum(max(a.get(k, 0), b.get(k, 0)) for k in keys))
        assert value == pytest.approx(max(hand), abs=1e-6)
        assert hand[best] == pytest.approx(value, abs=1e-6)
    assert got[-1] == pytest.approx(1) and place[-1] == 1


def test_words_and_keys():
    "Thresholds belong to the better word; stereo and isotopes don't make a molecule."
    assert [domain_word(s) for s in (1, 0.5, 0.499, 0.3, 0.299, 0)] == [
        "in", "in", "near", "near", "far", "far"]
    key = structure_key(parse_smiles("CC(O)N"))
    for other in ("C[C@H](O)N", "[13CH3]C(O)N", "[CH3:4]C(O)N", "[2H]OC(C)N"):
        assert structure_key(parse_smiles(other)) == key
    assert structure_key(parse_smiles("CC(N)=O")) != key
    assert note_on(parse_smiles("CC(O)N")) == ""
    assert known_molecules(molecule_graphs([parse_smiles("CC(O)N")])).outcome(
        parse_smiles("C[C@@H](O)N")) == "mutagen"
    with pytest.raises(ValueError, match="must hold their molecules"):
        known_molecules([molecule_graphs([parse_smiles("C")])[0]])


def test_own_data_leave_out_what_the_model_has_not_seen():
    "The lab's model is compared with nine folds, another one with all."
    own, everything = known_data(True), known_data(False)
    assert isinstance(own, KnownMolecules) and len(everything.smiles) == 4337
    assert 0.88 < len(own.smiles) / 4337 < 0.92


# one molecule

@pytest.mark.parametrize("method", METHODS)
def test_explanation_is_that_of_edge_attributions(net, training, method):
    "The widget's numbers are those of the one call."
    graphs = molecule_graphs([parse_smiles(NITRO)])
    said = predict(net, graphs)[0]
    options = {"epochs": 9, "target": int(said.argmax())} if (
        method == "gnn_explainer") else {}
    want = edge_attributions(net, graphs, method, n_steps=9, output="logit_difference",
                             **options)
    for molecule in (NITRO, 0):
        found = explain_molecule(molecule, method, 9, net, training)
        assert found.weights == pytest.approx(want.bonds().tolist(), abs=1e-6)
        assert found.change == pytest.approx(float(want.change[0]), abs=1e-6)
        assert found.delta == pytest.approx(float(want.delta[0]), abs=1e-6)
        assert found.probability == pytest.approx(float(said[0].exp()), abs=1e-6)
        assert found.measured == ("mutagen" if molecule == 0 else "")
    facts = shown_facts(found)
    assert facts["groups"][0][:2] == ["aromatic nitro", "toxicophore"]
    assert facts["sum"] == pytest.approx(sum(found.weights), rel=1e-3)
    assert found.groups["aromatic nitro"] == pytest.approx(sum(
        found.weights[b.GetIdx()] for b in found.mol.GetBonds()
        if b.GetBeginAtom().GetSymbol() == "N" or b.GetEndAtom().GetSymbol() == "N"))


def test_molecules_without_bonds_and_without_graphs(net, training):
    "A single ion has a picture; graphs without molecules are refused."
    found = explain_molecule("[Na+]", model=net, graphs=training)
    assert found.weights == () and "all weights are 0" in shown_facts(found)["svg"]
    with pytest.raises(ValueError, match="must hold their molecules"):
        explain_molecule(0, model=net, graphs=[training[0]])
    with pytest.raises(ValueError, match="at most 500 atoms"):
        explain_molecule("C" * 200, model=net, graphs=training)


def test_page_table_gives_the_drawings_back(net, training):
    "Lines that drawings share are kept once, and nothing is lost."
    table = page_table([0, "CCO"], net, training)
    assert len(set(table["lines"])) == len(table["lines"])
    for molecule, entry in zip((0, "CCO"), table["entries"]):
        for method, by_steps in entry.items():
            for n, facts in by_steps.items():
                want = shown_facts(explain_molecule(molecule, method, int(n), net,
                                                    training))
                drawing = "\n".join(table["lines"][i] for i in facts["svg"])
                assert {**facts, "svg": drawing} == want


def test_toxicophores_of_the_report_are_the_eight(net, training):
    "Other groups are no toxicophores."
    row = ScreeningReport(["Oc1ccc(N=Nc2ccccc2)cc1"], net, training=training)[0]
    assert list(row.toxicophores) == ["azo type"]
    assert set(row.toxicophores) <= {g.name for g in TOXICOPHORES}
