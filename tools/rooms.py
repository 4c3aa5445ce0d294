"""How the rooms of the lab import each other, read from the package's own code.

Usage: python tools/rooms.py      (draws nbs/images/rooms.svg)"""

import ast
import json
import textwrap
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from litlab.core.plots import COLOURS, style

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "nbs/images/rooms.svg"
TOP = "top floor"  # modules that stand in no room
ROOMS = (TOP, "knowledge", "automl", "dynamics", "parallel", "explain", "core")


def module_name(
    path: Path,  # a file of the package
    package: Path,  # the folder litlab
) -> str:  # such as "explain.knots", "" for the package itself
    "The name of a module below the package."
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def imported(
    node: ast.AST,  # of a module
    module: str,  # the module's name below the package
) -> list[str]:  # names below the package; a from-import names each thing it takes
    "What one import statement takes from the package."
    if isinstance(node, ast.Import):
        return [a.name.partition(".")[2] for a in node.names
                if a.name.split(".")[0] == "litlab"]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        base = [*module.split(".")[:-node.level], *(node.module or "").split(".")]
    else:
        top, *base = node.module.split(".")
        if top != "litlab":
            return []
    return [".".join([b for b in base if b] + [a.name]) for a in node.names]


def import_graph(
    package: Path = ROOT / "litlab",  # a package's folder
) -> dict[str, set[str]]:  # module: what it takes, as module or module.name
    "Every import of the package from itself, those inside functions too."
    graph = {}
    for path in sorted(package.rglob("*.py")):
        name = module_name(path, package)
        if name and not path.name.startswith("_"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            graph[name] = {i for node in ast.walk(tree) for i in imported(node, name)}
    return graph


def between_modules(
    graph: dict[str, set[str]],  # from `import_graph`
) -> dict[str, set[str]]:  # module: modules
    "The same graph without the names that are taken from a module."
    def owner(name):
        return name if name in graph else name.rpartition(".")[0]
    return {module: {owner(i) for i in taken} & set(graph) - {module}
            for module, taken in graph.items()}


def room(
    module: str,  # such as "explain.knots"
) -> str:  # the first part of a module's name; "top floor" for one outside the rooms
    "The room that a module stands in."
    return module.partition(".")[0] if "." in module else TOP


def between_rooms(
    graph: dict[str, set[str]],  # from `between_modules`
) -> dict[str, set[str]]:  # room: rooms, from the top floor down
    "The graph of the rooms; ValueError for one that has no floor yet."
    found = {room(m): set() for m in graph}
    if unknown := set(found) - set(ROOMS):
        raise ValueError(f"no floor for {', '.join(unknown)}: add it to tools/rooms.py")
    for module, taken in graph.items():
        found[room(module)] |= {room(m) for m in taken} - {room(module)}
    return {name: found[name] for name in ROOMS if name in found}


def draw_rooms(
    graph: dict[str, set[str]],  # from `between_modules`
    ax=None,  # an axis to draw on
):  # the axis
    "The rooms one above the other, with an arrow for each that imports another."
    rooms, middle, y = between_rooms(graph), {}, 0.0
    ax = ax or plt.subplots(figsize=(8, 0.9 * len(rooms)), layout="none")[1]
    ax.set_position([0, 0, 1, 1])
    for name in rooms:
        modules = [m.rpartition(".")[2] for m in graph if room(m) == name]
        lines = textwrap.wrap(", ".join(modules), 70)
        middle[name], height = y + 0.25 * len(lines) + 0.2, 0.5 * len(lines) + 0.4
        ax.add_patch(FancyBboxPatch((0, y), 9, height, "round,pad=0.1", fc="none",
                                    ec=COLOURS["grey"]))
        ax.text(0.1, middle[name], name, va="center", fontweight="bold")
        ax.text(1.6, middle[name], "\n".join(lines), va="center", linespacing=1.4)
        y += height + 0.6
    for name, others in rooms.items():
        for other in others:
            ax.annotate("", (9.15, middle[other] - 0.15), (9.15, middle[name] + 0.15),
                        arrowprops={"arrowstyle": "-|>", "color": COLOURS["blue"],
                                    "connectionstyle": "arc3,rad=-0.35"})
    ax.set(xlim=(-0.2, 10.8), ylim=(y - 0.4, -0.2))
    ax.axis("off")
    return ax


def write_picture(
    graph: dict[str, set[str]],  # from `between_modules`
    path: Path = PICTURE,  # an .svg file
) -> Path:  # the same
    "The picture of the rooms; its description holds the graph that it shows."
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = json.dumps({module: sorted(taken) for module, taken in graph.items()})
    with style(), mpl.rc_context({"svg.fonttype": "none"}):
        figure = draw_rooms(graph).figure
        figure.savefig(path, metadata={"Date": None, "Description": shown})
    return path


if __name__ == "__main__":
    print(write_picture(between_modules(import_graph())).relative_to(ROOT))
