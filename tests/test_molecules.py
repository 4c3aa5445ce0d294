"""Molecules, their graphs in one store, and alike atoms."""

import zipfile

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("rdkit")
from litlab.core.data import find_data  # noqa: E402
from litlab.explain.graphs import (  # noqa: E402
    BOND_KINDS, as_graphs, as_index, batch_graphs, known_bonds, load_mutagenicity,
    matched_bonds, molecule_graphs, ranges, require_pyg)
from litlab.explain.molecules import (  # noqa: E402
    ELEMENTS, FACTS, archive_is_here, build_molecule, canonical_smiles,
    make_mutagenicity, molecules_from_facts, mutagenicity_table, parse_smiles,
    read_tudataset)
from litlab.explain.refinement import (  # noqa: E402
    merge_alike, merge_graphs, refine_colours)


@pytest.fixture(scope="module")
def graphs():
    return load_mutagenicity()


# molecules

@pytest.mark.parametrize("text, part", [
    ("", "such as 'CCO'"), (None, "None"), ("C1CC", "ring that is not closed"),
    ("C(C)(C)(C)(C)C", "valence"), ("c1cccc1", "no possible molecule"),
    ("C[Si](C)(C)C", "Si"), ("[Pt]", "Pt"), ("CC(", "no valid SMILES")])
def test_bad_smiles_are_named(text, part):
    with pytest.raises(ValueError, match="(?s)" + part.replace("(", r"\(")):
        parse_smiles(text)


def test_hydrogens_salts_and_charges():
    assert parse_smiles("CCO").GetNumAtoms() == 9
    salt = parse_smiles("[Na+].CC(=O)[O-]")
    assert salt.GetNumAtoms() == 8 and canonical_smiles(salt) == "CC(=O)[O-].[Na+]"
    assert parse_smiles(" CCO\n").GetNumAtoms() == 9


# element, number of single bonds to hydrogen or carbon, and the charge it must get
@pytest.mark.parametrize("kinds, bonds, orders, smiles", [
    ([4, 0, 0, 0, 0], [(0, 1), (0, 2), (0, 3), (0, 4)], [1] * 4, None),
    ([10], [], [], "[Na+]"), ([13], [], [], "[Ca+2]"), ([2], [], [], "[Cl-]"),
    ([0, 4, 1, 1, 3, 3, 3], [(0, 1), (1, 2), (1, 3), (0, 4), (0, 5), (0, 6)],
     [1, 2, 1, 1, 1, 1], "C[N+](=O)[O-]")])
def test_charges_are_put_back(kinds, bonds, orders, smiles):
    mol = build_molecule(kinds, bonds, orders)
    if smiles is None:
        assert mol.GetAtomWithIdx(0).GetFormalCharge() == 1
    else:
        assert canonical_smiles(mol) == smiles


def test_impossible_molecule():
    with pytest.raises(ValueError, match="no such molecule"):
        build_molecule([3, 0, 0], [(0, 1), (0, 2)], [1, 1])  # hydrogen with two bonds


def test_every_line_of_the_table_is_read_and_written_again(graphs):
    table = mutagenicity_table()
    assert [canonical_smiles(m) for m in graphs.molecules] == list(table["smiles"])
    assert table["outcome"].value_counts().to_dict() == {
        "mutagen": 2401, "nonmutagen": 1936}


def archive(path, **changed):
    "A small archive: methanol (mutagen) and sodium chloride (nonmutagen)."
    files = {
        "A": "1, 2\n2, 1\n1, 3\n3, 1\n1, 4\n4, 1\n1, 5\n5, 1\n2, 6\n6, 2\n",
        "graph_indicator": "1\n" * 6 + "2\n" * 2, "graph_labels": "0\n1\n",
        "node_labels": "0\n1\n3\n3\n3\n3\n10\n2\n", "edge_labels": "0\n" * 10,
        "edge_gt": "0\n" * 10} | changed
    with zipfile.ZipFile(path, "w") as out:
        for name, text in files.items():
            if text is not None:
                out.writestr(f"Small/Small_{name}.txt", text)
    return path


def test_archive_is_read(tmp_path):
    facts = read_tudataset(archive(tmp_path / "a.zip"))
    mols = molecules_from_facts(facts)
    assert [canonical_smiles(m) for m in mols] == ["CO", "[Cl-].[Na+]"]
    assert set(facts) == set(FACTS)


@pytest.mark.parametrize("changed, part", [
    ({"A": None}, "lacks the file"), ({"edge_gt": "0\n" * 9}, "one kind a bond"),
    ({"node_labels": "0\n" * 8 + "0\n"}, "one kind an atom"),
    ({"node_labels": "0\n1\n3\n3\n3\n3\n10\n99\n"}, "kinds of atoms"),
    ({"graph_labels": "0\n2\n"}, "labels other than 0 and 1"),
    ({"graph_labels": "0\n1\n1\n"}, "molecules 1 to 3"),
    ({"edge_labels": "0\n" * 9 + "3\n"}, "kinds of bonds"),
    ({"A": "1, 2\n" * 10}, "both directions"),
    ({"A": "1, 2\n2, 1\n" * 5}, "both directions once"),
    ({"A": "1, 2\n2, 1\n1, 3\n3, 1\n1, 4\n4, 1\n1, 5\n5, 1\n2, 2\n3, 3\n"},
     "both directions"),
    ({"A": "1, 7\n7, 1\n" * 5}, "between molecules"),
    ({"A": "1, 2\n2, 99\n" * 5}, "not there"),
    ({"A": "1, 2\n2, x\n" * 5}, "can't be read as numbers")])
def test_archive_that_does_not_fit(tmp_path, changed, part):
    with pytest.raises(ValueError, match=part):
        read_tudataset(archive(tmp_path / "a.zip", **changed))


def test_truncated_archive(tmp_path):
    path = archive(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="no whole zip"):
        read_tudataset(path)
    assert path.stat().st_size == 300


def test_altered_archive_is_refused(tmp_path, monkeypatch):
    "In LITLAB_DATA it is left alone, and nothing else is taken instead."
    (tmp_path / "mutagenicity_tu").mkdir()
    path = archive(tmp_path / "mutagenicity_tu/Mutagenicity.zip")
    monkeypatch.setenv("LITLAB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="wrong sha256"):
        load_mutagenicity()
    assert path.is_file()


def test_table_that_does_not_fit(tmp_path, monkeypatch):
    pd.DataFrame({"smiles": ["CCO"], "outcome": ["harmless"]}).to_parquet(
        tmp_path / "mutagenicity.parquet")
    monkeypatch.setenv("LITLAB_DATA", str(tmp_path))
    monkeypatch.setenv("LITLAB_CACHE", str(tmp_path / "no"))
    with pytest.raises(ValueError, match="harmless"):
        load_mutagenicity()


needs_archive = pytest.mark.skipif(
    not archive_is_here(), reason="the publisher's archive is not at hand")


@needs_archive
def test_table_is_made_from_the_archive(tmp_path, graphs):
    made = pd.read_parquet(make_mutagenicity(path=tmp_path / "t.parquet"))
    assert made.equals(mutagenicity_table())
    facts = read_tudataset(find_data("mutagenicity_tu")[0])
    marks = facts["edge_gt"].sum()
    assert sum(2 * len(known_bonds(m)) for m in molecules_from_facts(facts)) == marks
    literal = molecules_from_facts(facts, charges=False)
    assert 0.80 < np.mean([m is not None for m in literal]) < 0.84


# graphs

def test_store_has_the_published_counts(graphs):
    assert len(graphs) == 4337 and len(graphs.x) == 131_488
    assert graphs.edge_index.shape == (2, 266_894)
    assert int((graphs.y == 0).sum()) == 2401 and int(graphs.bond_truth.sum()) == 7352
    marked = [bool(graphs[i].bond_truth.any()) for i in range(len(graphs))]
    assert sum(marked) == 1356


def test_batch_equals_pyg(graphs):
    pyg = require_pyg()
    chosen = [5, 3, 278, 5]
    ours, theirs = batch_graphs(graphs, chosen), pyg.Batch.from_data_list(
        [graphs[i] for i in chosen])
    for name in ("x", "edge_index", "batch", "edge_attr", "y"):
        assert torch.equal(getattr(ours, name), theirs[name]), name
    back = as_graphs([graphs[i] for i in chosen])
    assert torch.equal(back.edge_index, graphs.select(chosen).edge_index)
    assert torch.equal(back.bond_truth, graphs.select(chosen).bond_truth)


def test_selection(graphs):
    assert len(graphs[10:20]) == 10 and torch.equal(graphs[-1].x, graphs[4336].x)
    mask = np.zeros(len(graphs), bool)
    mask[[7, 9]] = True
    assert graphs.select(mask).molecules == (graphs.molecules[7], graphs.molecules[9])
    for wrong in ([4337], [-4338], np.ones(3, bool)):
        with pytest.raises(IndexError):
            graphs.select(wrong)
    with pytest.raises(IndexError):
        graphs[4337]
    assert ranges(torch.tensor([4]), torch.tensor([0])).tolist() == []
    assert as_index([], 5).tolist() == []


@pytest.mark.parametrize("given", [[], [1, 2], "graphs"])
def test_no_graphs(given):
    with pytest.raises(ValueError, match="at least one graph"):
        as_graphs(given)


def test_bad_molecule_graphs():
    mols = [parse_smiles("CCO")]
    with pytest.raises(ValueError, match="y must be one for each of 1"):
        molecule_graphs(mols, y=[0, 1])
    with pytest.raises(ValueError, match="truth must be one"):
        molecule_graphs(mols, truth=[])
    with pytest.raises(ValueError, match="no SMARTS"):
        matched_bonds(mols[0], "[CX4")


def test_features_of_a_molecule():
    one = molecule_graphs([parse_smiles("C=CC#N")])[0]
    assert one.x.sum() == one.num_nodes and one.x[:, ELEMENTS.index("N")].sum() == 1
    kinds = dict(zip(BOND_KINDS, one.edge_attr.sum(0).tolist()))
    assert kinds == {"single": 8, "double": 2, "triple": 2, "aromatic": 0,
                     "in a ring": 0}
    ring = molecule_graphs([parse_smiles("c1ccccc1")])[0]
    assert ring.edge_attr[:, 3].sum() == ring.edge_attr[:, 4].sum() == 12


@pytest.mark.parametrize("smiles, n", [
    ("C[N+](=O)[O-]", 2), ("CN", 2), ("CO[N+](=O)[O-]", 0), ("N", 0), ("CNC", 0),
    ("Nc1ccc([N+](=O)[O-])cc1", 4), ("C[NH3+]", 0), ("CON", 0), ("NN", 4)])
def test_known_bonds(smiles, n):
    "NO2 and NH2 at carbon or nitrogen, not at oxygen; by hand."
    assert len(known_bonds(parse_smiles(smiles))) == n


# alike atoms

@pytest.mark.parametrize("smiles, classes", [
    ("C", 2), ("c1ccccc1", 2), ("CC", 2), ("CCO", 6), ("Cc1ccccc1", 9), ("[Na+]", 1),
    ("C.C", 2)])
def test_numbers_of_classes(smiles, classes):
    "By hand, for example methane: carbon and four equal hydrogen atoms."
    colours = refine_colours(batch_graphs(molecule_graphs([parse_smiles(smiles)])))
    assert len(set(colours.tolist())) == classes


def test_colours_do_not_depend_on_numbering_or_neighbours(graphs):
    rng, one = np.random.default_rng(0), graphs[12]
    order = torch.from_numpy(rng.permutation(one.num_nodes))
    place = torch.argsort(order)
    turned = one.clone()
    turned.x, turned.edge_index = one.x[order], place[one.edge_index]
    first, second = (refine_colours(batch_graphs([g])) for g in (one, turned))
    pairs = set(zip(first[order].tolist(), second.tolist()))
    assert len(pairs) == len(set(first.tolist())) == len(set(second.tolist()))
    both = refine_colours(batch_graphs([graphs[3], one]))[graphs[3].num_nodes:]
    assert len(set(zip(first.tolist(), both.tolist()))) == len(set(first.tolist()))


def test_merging_counts_everything(graphs):
    "Atoms and edges that the merged ones stand for are all atoms and edges."
    batch = batch_graphs(graphs, range(50))
    merged = merge_alike(batch)
    assert merged.node_weight.sum() == len(batch.x)
    edges = merged.edge_weight * merged.node_weight[merged.edge_index[1]]
    assert torch.allclose(edges, torch.bincount(merged.edge_of).float())
    assert torch.equal(merged.x[merged.node_of], batch.x)
    assert torch.equal(merged.edge_attr[merged.edge_of], batch.edge_attr)
    assert torch.equal(merged.node_of[batch.edge_index],
                       merged.edge_index[:, merged.edge_of])


def test_merged_store_gives_the_same_batches(graphs):
    store = merge_graphs(graphs[:40])
    some, again = store.batch([7, 2]), merge_alike(batch_graphs(graphs, [7, 2]))
    assert len(some.x) == len(again.x) and torch.equal(some.y, again.y)
    assert sorted(some.edge_weight.tolist()) == sorted(again.edge_weight.tolist())
    with pytest.raises(ValueError, match="at least one graph"):
        store.batch([])
