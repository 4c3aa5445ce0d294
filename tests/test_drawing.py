"""Pictures of molecules: the right weight at the right bond, in the right colour."""

import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit", reason="needs pip install 'litlab[graphs]'")

from rdkit import Chem  # noqa: E402

from litlab.core.plots import COLOURS, PAGES, contrast_ratio  # noqa: E402
from litlab.explain.drawing import (  # noqa: E402
    LEAST_SHARE, MoleculePicture, atom_table, bond_sums, draw_grid, draw_molecule,
    drawn_hydrogens, drawn_part, molecule_svg)
from litlab.explain.molecules import build_molecule, parse_smiles  # noqa: E402
from litlab.explain.strips import (  # noqa: E402
    ELEMENT_COLOURS, number_text, rows_of_boxes, whole_svg)

FIXED = settings(deadline=None, max_examples=60, derandomize=True)
SMILES = (
    "CN", "CCO", "Nc1ccc([N+](=O)[O-])cc1", "C[C@H](N)C(=O)O", "OC(=O)/C=C/Cl",
    "CC(=O)Nc1ccc(O)cc1", "[H]/N=C/C", "[2H]C([2H])Br", "C[NH3+].[Cl-]", "[H][H]",
    "C1CC1(F)I", "CS(=O)(=O)N", "OP(O)(=S)OC", "N#N", "C", "O.O.[Na+].[Cl-]")
NITRO = SMILES[2]
BLUE, ORANGE = COLOURS["blue"], COLOURS["orange"]


def elements(picture, tag):
    "The elements of one kind in a picture."
    return ElementTree.fromstring(picture.svg).findall(f".//{{*}}{tag}")


def strips(picture):
    "Strips at bonds: bond, colour, width across, middle and what they tell."
    found = {}
    for rect in elements(picture, "rect"):
        text = "".join(rect.itertext())
        if (name := re.match(r"bond (\d+), .*: ", text)) and rect.get("fill") != "none":
            middle = re.match(r"translate\((\S+) (\S+)\)", rect.get("transform"))
            found[int(name[1])] = (rect.get("fill"), float(rect.get("height")),
                                   (float(middle[1]), float(middle[2])), text)
    return found


def weights_of(mol, seed):
    "Random weights, some of them 0 and some small."
    rng = np.random.default_rng(seed)
    n = mol.GetNumBonds()
    return rng.normal(size=n) * rng.choice([0, 0.05, 1], n)


@given(st.sampled_from(SMILES), st.integers(0, 99), st.sampled_from(["some", "all"]))
@FIXED
def test_weight_is_at_its_bond(smiles, seed, hydrogens):
    "Each strip lies halfway between the two atoms of its bond, in its sign's colour."
    mol = parse_smiles(smiles)
    weights = weights_of(mol, seed)
    full = np.abs(weights).max(initial=0)
    picture = draw_molecule(mol, weights, hydrogens=hydrogens)
    share = weights / (full or 1)
    part, atoms, _ = drawn_part(
        mol, drawn_hydrogens(mol, share, np.zeros(mol.GetNumAtoms()), hydrogens))
    points = molecule_svg(part, 420, 320 - 36)[1]
    found = strips(picture)
    for b, (colour, _, middle, text) in found.items():
        bond = mol.GetBondWithIdx(b)
        ends = [bond.GetBeginAtom(), bond.GetEndAtom()]
        places = [points[atoms.index(a.GetIdx())] for a in ends]
        assert np.allclose(middle, np.mean(places, 0), atol=0.051)
        assert colour == (BLUE if weights[b] > 0 else ORANGE)
        names = "-".join(f"{a.GetSymbol()}{a.GetIdx()}" for a in ends)
        assert text == f"bond {b}, {names}: {number_text(weights[b], full)}"
    assert set(found) == {b for b in picture.bonds if weights[b]}
    hidden = set(range(len(weights))) - set(picture.bonds)
    assert all(abs(share[b]) < LEAST_SHARE for b in hidden)
    assert not (hidden and hydrogens == "all")


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("hydrogens", ["some", "all", "none"])
def test_same_molecule_is_drawn(smiles, hydrogens):
    "Without some of its hydrogens it is still the same molecule, chirality and all."
    mol = parse_smiles(smiles)
    before = mol.ToBinary(Chem.PropertyPickleOptions.AllProps)
    shown = drawn_hydrogens(mol, np.zeros(mol.GetNumBonds()),
                            np.zeros(mol.GetNumAtoms()), hydrogens)
    part, atoms, bonds = drawn_part(mol, shown)
    assert Chem.MolToSmiles(Chem.RemoveHs(part)) == Chem.MolToSmiles(Chem.RemoveHs(mol))
    assert shown <= set(atoms) and len(set(bonds)) == part.GetNumBonds()
    for drawn, b in zip(part.GetBonds(), bonds):
        old = mol.GetBondWithIdx(b)
        assert {atoms[drawn.GetBeginAtomIdx()], atoms[drawn.GetEndAtomIdx()]} == {
            old.GetBeginAtomIdx(), old.GetEndAtomIdx()}
    draw_molecule(mol, hydrogens=hydrogens, atom_numbers=True)
    assert mol.ToBinary(Chem.PropertyPickleOptions.AllProps) == before


def test_which_hydrogens():
    "Those at N and O, those that carry 15 % of the scale, and highlighted ones."
    mol = parse_smiles("CO")  # hydrogens 2, 3, 4 at the carbon, 5 at the oxygen
    at = {b.GetEndAtomIdx(): b.GetIdx() for b in mol.GetBonds()}
    def drawn(weight, **options):
        weights = np.zeros(mol.GetNumBonds())
        weights[at[1]], weights[at[3]] = 1, weight
        return set(draw_molecule(mol, weights, **options).bonds)
    least = {at[1], at[5]}
    assert drawn(LEAST_SHARE - 0.01) == least
    assert drawn(LEAST_SHARE) == drawn(-LEAST_SHARE) == least | {at[3]}
    assert drawn(LEAST_SHARE, scale=2) == least
    assert drawn(0, highlight=[at[4]]) == least | {at[4]}
    assert drawn(0, hydrogens="all") == set(at.values())
    assert drawn(1, hydrogens="none") == {at[1]}
    assert drawn(0, atom_weights=[0, 0, 0, 0, 1, 0]) == least | {at[4]}


def test_width_is_share_of_scale():
    "Half the weight is half as wide; a larger scale narrows, a smaller one cuts."
    mol = parse_smiles("CCC")
    def widths(weights, **options):
        found = strips(draw_molecule(mol, [*weights, *[0] * 8], **options))
        return [found[b][1] for b in (0, 1)]
    one, half = widths([1, -0.5])
    assert half == pytest.approx(one / 2, abs=0.1)
    assert widths([1, -0.5], scale=2) == pytest.approx([one / 2, half / 2], abs=0.1)
    assert widths([1, -0.5], scale=0.5) == [one, one]
    assert widths([1e-300, 5e-301]) == [one, half]
    assert widths([1e300, -5e299]) == [one, half]


def test_no_weights_zero_weights_and_atoms():
    "No weights: no scale. All 0: it says so. Weights of atoms are dots."
    mol = parse_smiles(NITRO)
    plain, zero = draw_molecule(mol), draw_molecule(mol, np.zeros(16))
    assert plain.scale is None and not elements(plain, "rect")
    assert zero.scale == 0 and not elements(zero, "rect")
    assert "all weights are 0" in zero.svg and "all weights" not in plain.svg
    charges = atom_table(mol)["charge"]
    dots = elements(draw_molecule(mol, atom_weights=charges), "circle")
    assert {d.get("fill") for d in dots} == {BLUE, ORANGE}
    texts = sorted("".join(d.itertext()) for d in dots)
    charged = charges[charges != 0]
    assert [int(re.search(r"\d+", t)[0]) for t in texts] == sorted(charged.index)


def test_same_text():
    "The same arguments give the same text, in another process too."
    code = ("from litlab.explain.drawing import *\n"
            "from litlab.explain.molecules import parse_smiles\n"
            f"m = parse_smiles({NITRO!r})\n"
            "print(draw_molecule(m, range(16), labels=True, highlight={5, 6}).svg)")
    ran = [subprocess.run([sys.executable, "-c", code], text=True, check=True,
                          capture_output=True,
                          env=os.environ | {"PYTHONHASHSEED": seed}).stdout
           for seed in ("1", "2")]
    mol = parse_smiles(NITRO)
    here = draw_molecule(mol, range(16), labels=True, highlight={6, 5}).svg
    assert ran == [here + "\n"] * 2


@pytest.mark.parametrize("smiles", SMILES)
def test_svg_stands_alone(smiles):
    "Valid XML of the right size, with nothing from elsewhere and no ids."
    mol = parse_smiles(smiles)
    picture = draw_molecule(mol, weights_of(mol, 1), labels=True, atom_numbers=True,
                            highlight=range(mol.GetNumBonds()), title="<&>\"'\0 \ud800")
    root = ElementTree.fromstring(picture.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox") == "0 0 420 320" and root.get("width") == "420"
    assert root.get("aria-label").startswith("<&>\"'")
    rest = picture.svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    for word in ("http", "href", "url(", " id=", "class='", "<script", "<svg", "nan"):
        assert word not in rest.removeprefix("<svg")
    for x, y in re.findall(r"[ML] ?([-\d.]+),([-\d.]+)", picture.svg):
        assert -5 <= float(x) <= 425 and -5 <= float(y) <= 325


def test_colours_are_legible():
    "Every colour in a picture stands out from a white and from a dark page."
    picture = draw_grid([(parse_smiles(s), weights_of(parse_smiles(s), 2), s)
                         for s in (*SMILES, "BrCI", "CCl", "O=P(F)(F)F")],
                        labels=True, atom_numbers=True)
    found = {c.lower() for c in re.findall(r"#[0-9A-Fa-f]{6}", picture.svg)}
    assert found >= {c.lower() for c in ELEMENT_COLOURS.values()} | {BLUE, ORANGE}
    assert min(contrast_ratio(c, page) for c in found for page in PAGES.values()) >= 3
    assert "background" not in picture.svg


STRANGE = {
    "ion": parse_smiles("[Na+]"), "proton": parse_smiles("[H+]"),
    "methane": parse_smiles("C"), "carbon": build_molecule([0], [], []),
    "loose": build_molecule([0, 3, 3, 1, 4], [(0, 1)], [1]),
    "salt": parse_smiles("[Na+].[Cl-].[K+]"), "200": build_molecule([0] * 200, [], []),
    "no hydrogens": Chem.MolFromSmiles("CCO")}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_molecules(name):
    "Single and loose atoms, pieces, no bonds: all are drawn within the picture."
    mol = STRANGE[name]
    picture = draw_molecule(mol, np.ones(mol.GetNumBonds()), title="x",
                            atom_weights=np.ones(mol.GetNumAtoms()))
    dots = [(float(dot.get("cx")), float(dot.get("cy")))
            for dot in elements(picture, "circle")]
    assert len(dots) == mol.GetNumAtoms() and len(set(dots)) == len(dots)
    assert all(0 <= x <= 420 and 0 <= y <= 320 for x, y in dots)
    assert len(atom_table(mol)) == mol.GetNumAtoms()


def test_pieces_fill_the_picture():
    "Many pieces take the shape of the picture."
    mol = STRANGE["200"]
    picture = draw_molecule(mol, atom_weights=[1] * 200, size=(600, 136))
    dots = elements(picture, "circle")
    x, y = (np.ptp([float(dot.get(c)) for dot in dots]) for c in ("cx", "cy"))
    assert x > 400 and 4 < x / y < 8


ETHANOL = parse_smiles("CCO")  # 9 atoms, 8 bonds


@pytest.mark.parametrize("args, options, words", [
    (("CCO",), {}, "parse_smiles"),
    ((None,), {}, "parse_smiles"),
    ((Chem.Mol(),), {}, "at least one atom"),
    ((ETHANOL, [1, 2]), {}, "each of 8 bonds (got shape (2,))"),
    ((ETHANOL, [1] * 16), {}, "bond_sums"),
    ((ETHANOL, np.ones((8, 1))), {}, "(8, 1)"),
    ((ETHANOL, 1), {}, "each of 8 bonds"),
    ((ETHANOL, [0] * 7 + [np.nan]), {}, "got nan at bond 7"),
    ((ETHANOL, [np.inf] + [0] * 7), {}, "got inf at bond 0"),
    ((ETHANOL, "many"), {}, "bond_weights must be numbers"),
    ((ETHANOL,), {"atom_weights": [1] * 8}, "each of 9 atoms"),
    ((ETHANOL,), {"atom_weights": [np.nan] + [1] * 8}, "got nan at atom 0"),
    ((ETHANOL,), {"scale": 0}, "scale must be one positive number (got 0)"),
    ((ETHANOL,), {"scale": -1}, "got -1"),
    ((ETHANOL,), {"scale": np.nan}, "got nan"),
    ((ETHANOL,), {"scale": [1, 2]}, "one positive number"),
    ((ETHANOL,), {"scale": "big"}, "scale must be numbers"),
    ((ETHANOL,), {"size": (119, 320)}, "at least 120"),
    ((ETHANOL,), {"size": (420.5, 320)}, "whole px"),
    ((ETHANOL,), {"size": 420}, "size must be"),
    ((ETHANOL,), {"hydrogens": True}, "some, all, none (got True)"),
    ((ETHANOL,), {"highlight": [8]}, "positions of the 8 bonds"),
    ((ETHANOL,), {"highlight": [-1]}, "positions of the 8 bonds"),
    ((ETHANOL,), {"highlight": [True, False]}, "a mask of 8"),
    ((ETHANOL,), {"highlight": ["C"]}, "positions"),
])
def test_errors(args, options, words):
    "What can't be drawn is refused with name, value and cure."
    with pytest.raises(ValueError, match=re.escape(words)):
        draw_molecule(*args, **options)


def test_highlight_and_labels():
    "Frames at marked bonds, by position or mask; a number at each drawn weight."
    mol = parse_smiles(NITRO)
    mask = np.isin(np.arange(16), [5, 6])
    by_mask, by_place = (draw_molecule(mol, highlight=h) for h in (mask, [6, 5]))
    assert by_mask == by_place and by_place.svg.count("stroke-dasharray") == 2
    frames = {"".join(r.itertext()) for r in elements(by_mask, "rect")}
    assert frames == {"bond 5, N5-O6", "bond 6, N5-O7"}
    weights = np.where(mask, 0.5, 0)
    texts = [t.text for t in elements(draw_molecule(mol, weights, labels=True), "text")]
    assert texts.count("+0.5") == 3 and texts.count("−0.5") == 1  # two and the scale


def test_title_is_cut():
    "A long title ends within the picture; a reader who can't see it has it all."
    picture = draw_molecule(ETHANOL, title="x" * 200)
    assert elements(picture, "text")[0].text == "x" * 51 + "…"
    assert "x" * 200 in ElementTree.fromstring(picture.svg).get("aria-label")


def test_bond_sums():
    "Edges 2 b and 2 b + 1 are added, from a list, numpy or torch."
    torch = pytest.importorskip("torch")
    values = torch.tensor([1.0, 2, 3, -4], requires_grad=True)
    for given_values in (values, values.detach().numpy(), [1, 2, 3, -4]):
        assert bond_sums(given_values).tolist() == [3, -1]
    assert bond_sums([]).shape == (0,)
    for wrong in ([1, 2, 3], np.ones((2, 2)), 1.0, "ab", [None, None, "x"]):
        with pytest.raises(ValueError, match="edge_values must be"):
            bond_sums(wrong)


def test_bond_sums_are_in_the_order_of_the_store():
    "The sums of a store's marks are the marks of the molecule's bonds."
    pytest.importorskip("torch_geometric")
    from litlab.explain.graphs import known_bonds, molecule_graphs
    mol = parse_smiles(NITRO)
    graph = molecule_graphs([mol])[0]
    assert set(np.flatnonzero(bond_sums(graph.bond_truth))) == known_bonds(mol)


def test_atom_table():
    "A row an atom, with what a picture does not say."
    table = atom_table(parse_smiles("C[NH3+].[Cl-]"))
    assert list(table) == ["element", "charge", "bonds", "hydrogens", "in_ring",
                           "aromatic", "fragment"]
    assert table.index.name == "atom" and len(table) == 9
    assert table.loc[1].tolist() == ["N", 1, 4, 3, False, False, 0]
    assert table.loc[2].tolist() == ["Cl", -1, 0, 0, False, False, 1]
    assert table["fragment"].value_counts().to_dict() == {0: 8, 1: 1}
    ring = atom_table(Chem.MolFromSmiles("c1ccccc1C"))
    assert ring["aromatic"].sum() == ring["in_ring"].sum() == 6
    assert ring["hydrogens"].tolist() == [1] * 5 + [0, 3]
    with pytest.raises(ValueError, match="parse_smiles"):
        atom_table("CCO")


def test_grid():
    "Rows and columns, one scale or several, pictures as they are."
    mols = [parse_smiles(s) for s in ("CO", "CN", "CF")]
    items = [(m, np.full(m.GetNumBonds(), w), str(w)) for m, w in zip(mols, (1, 2, -4))]
    own, one = draw_grid(items, columns=2), draw_grid(items, columns=2, shared=True)
    assert (own.width, own.height) == (one.width, one.height) == (480, 440)
    assert own.scale is None and one.scale == 4
    corners = re.findall(r'^<g transform="translate\((\S+\.\d \S+\.\d)\)"', own.svg,
                         re.MULTILINE)
    assert corners == ["0.0 0.0", "240.0 0.0", "0.0 220.0"]
    assert own.svg.count("<svg") == 1
    texts = [[t.text for t in elements(g, "text")] for g in (own, one)]
    assert [texts[0].count(f"+{n}") for n in "124"] == [1, 1, 1]
    assert texts[1].count("+4") == 3
    single = draw_molecule(*items[0][:2], size=(200, 300))
    mixed = draw_grid([single, items[1], (mols[2], None)])
    assert (mixed.width, mixed.height) == (720, 300)
    assert 'transform="translate(240.0 0.0)"' in mixed.svg
    assert single.svg.partition(">")[2].rpartition("</svg>")[0].strip() in mixed.svg
    none = draw_grid([(m, np.zeros(m.GetNumBonds())) for m in mols], shared=True)
    assert none.scale is None and none.svg.count("all weights are 0") == 3


@pytest.mark.parametrize("molecules, options, words", [
    ([], {}, "at least one each (got 0 and 4)"),
    ([(ETHANOL, None)], {"columns": 0}, "got 1 and 0"),
    ([draw_molecule(ETHANOL)], {"shared": True}, "keeps the scale"),
    ([(ETHANOL, [1])], {"shared": True}, "each of 8 bonds"),
    ([("CCO", [1])], {"shared": True}, "parse_smiles"),
    ([(ETHANOL, None)], {"size": (50, 50)}, "at least 120"),
])
def test_grid_errors(molecules, options, words):
    "What makes no grid is refused."
    with pytest.raises(ValueError, match=re.escape(words)):
        draw_grid(molecules, **options)


def test_picture(tmp_path):
    "It shows itself, has a short repr, and is saved in one step."
    picture = draw_molecule(ETHANOL, np.ones(8))
    assert isinstance(picture, MoleculePicture)
    assert picture._repr_svg_() == picture.svg and picture.svg.startswith("<svg ")
    assert repr(picture) == "MoleculePicture(420 x 320 px, scale 1)"
    path = picture.save(tmp_path / "new" / "ethanol.svg")
    assert path.read_text(encoding="utf-8") == picture.svg + "\n"
    assert [p.name for p in path.parent.iterdir()] == ["ethanol.svg"]
    with pytest.raises(ValueError, match="must end in .svg"):
        picture.save(tmp_path / "ethanol.png")
    with pytest.raises(AttributeError):
        picture.svg = ""


@given(st.lists(st.tuples(st.floats(0.1, 50), st.floats(0.1, 50)), max_size=40),
       st.floats(0.2, 5))
@FIXED
def test_boxes_do_not_overlap(sizes, ratio):
    "Pieces keep their order and their room."
    places = rows_of_boxes(sizes, ratio)
    assert len(places) == len(sizes) and (places >= 0).all()
    low, high = places, places + np.reshape(sizes, (-1, 2))
    for i in range(len(sizes)):
        apart = ((high[i] <= low + 1e-9) | (high <= low[i] + 1e-9)).any(1)
        assert apart[np.arange(len(sizes)) != i].all()


@given(st.floats(-1e12, 1e12), st.floats(1e-12, 1e12))
@FIXED
def test_numbers_have_signs(value, scale):
    "A number is short, and right to a tenth of the scale."
    text = number_text(value, scale)
    assert text[0] in "+−" and len(text) <= 10
    assert float(text.replace("−", "-")) == pytest.approx(
        value, abs=0.1 * scale + 0.01 * abs(value))


def test_empty_parts_are_left_out():
    "A picture without a title has no empty line for it."
    assert whole_svg(["", False, "<g/>"], 1, 2).count("\n") == 2
