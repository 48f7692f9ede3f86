"""Count what the layout is judged by: python docs/make/figures.py [CHECKOUT]

Top-level entries of the package, import circles, lines a file, imports that run upwards through the folders' list.
"""

import ast
import re
import statistics
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
PACKAGE = ROOT / "vqclip"


def modules() -> dict[str, Path]:
    paths = (path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


def imports(path: Path, known: dict[str, Path], lazy: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix("vqclip.") for name in names} & known.keys()


def upward(known: dict[str, Path]) -> int | None:
    """Imports against the order of the list in tests/test_architecture.py; None where there is no such list."""
    text = (ROOT / "tests/test_architecture.py").read_text(encoding="utf-8")
    match = re.search(r"^FOLDERS = (\[.*?\])", text, re.DOTALL | re.MULTILINE)
    if not match:
        return None
    order = {name: k for k, name in enumerate(ast.literal_eval(match[1]))}
    pairs = [(order.get(m.split(".")[0], 99), order.get(i.split(".")[0], 99))
             for m, path in known.items() if m != "__main__" for i in imports(path, known, lazy=True)]  # fmt: skip
    return sum(there > here for here, there in pairs)


def main() -> None:
    known = modules()
    entries = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()]
    entries = [path for path in entries if path.name != "__pycache__"]
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in known.values()]
    try:
        TopologicalSorter({m: imports(p, known, lazy=False) - {m} for m, p in known.items()}).prepare()
        circles = "none"
    except CycleError as error:
        circles = " -> ".join(error.args[1])
    print(f"entries at the top of vqclip/: {len(entries)}; modules: {len(known)}")
    print(f"import circles: {circles}; imports upwards: {upward(known)}")
    print(f"lines a file: median {statistics.median(lines):.0f}, largest {max(lines)}")


if __name__ == "__main__":
    main()
