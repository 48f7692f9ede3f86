"""Write the modules of each folder into the table of docs/architecture.md: python -m docs.make.architecture

The table's purposes are written by hand. A row without a folder or module is left out; a folder without a row is named.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| `(?P<name>\w+)(?P<slash>/?)` \| (?P<purpose>[^|]*) \|[^|]*\|$")


def modules(folder: Path) -> str:
    """List the modules of a folder and then its folders, each by name."""
    files = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    folders = sorted(
        f"{path.name}/" for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"
    )
    return " · ".join([*files, *folders])


def written(text: str) -> str:
    """Give the document with each row's modules as they are now."""
    lines, seen = [], set()
    for line in text.splitlines():
        row = ROW.match(line)
        if row is None:
            lines.append(line)
        elif row["slash"] and (ROOT / "vqclip" / row["name"]).is_dir() and row["name"] not in seen:
            found = modules(ROOT / "vqclip" / row["name"])
            lines.append(f"| `{row['name']}/` | {row['purpose']} | {found} |")
        elif not row["slash"]:
            lines.append(line)
        seen.add(row["name"] if row else "")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
