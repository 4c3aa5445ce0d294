"""Draw the molecule of README.md: a held-out mutagen, explained bond by bond.

Usage: python tools/molecule.py      (draws nbs/images/molecule.svg)"""

from pathlib import Path

from litlab.explain.drawing import draw_molecule
from litlab.explain.explanations import edge_attributions
from litlab.explain.graphs import load_mutagenicity, matched_bonds
from litlab.explain.toxicophores import load_model
from litlab.explain.training import predict
from litlab.explain.validation import stratified_folds

PICTURE = Path(__file__).resolve().parent.parent / "nbs/images/molecule.svg"


def picture():
    "An aromatic nitro compound of fold 0, by the network that has not seen that fold."
    graphs = load_mutagenicity()
    held_out = (stratified_folds(graphs.y) == 0) & (graphs.y == 0).numpy()
    small = [m.GetNumHeavyAtoms() < 16 and bool(matched_bonds(m, "a[N+](=O)[O-]"))
             for m in graphs.molecules]
    model = load_model("removal", 0)
    one = graphs.select(held_out & small).select([1])
    shares = edge_attributions(model, one, output="logit_difference").bonds()
    chance = float(predict(model, one)[0, 0].exp())
    return draw_molecule(one.molecules[0], shares, size=(460, 320), hydrogens="all",
                         title=f"p(mutagen) {chance:.2f}: what each bond adds (logit)")


if __name__ == "__main__":
    picture().save(PICTURE)
