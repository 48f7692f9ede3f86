"""The table of the figures, and plots of memory as SVG."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from .rounds import Figures

Summary = Mapping[str, Mapping[str, Figures]]
COLUMNS = (
    "case",
    "",
    "s a step",
    "pictures/h",
    "peak GiB",
    "help s",
    "first step s",
    "GFLOP a step",
    "of peak",
)


def table(told: Summary) -> Table:
    """Three rows a case: vqclip, the plain loop, and how they compare."""
    shown = Table(*COLUMNS)
    for column in shown.columns[2:]:
        column.justify = "right"
    for case, loops in told.items():
        for name, figures in loops.items():
            shown.add_row(
                case if name == "vqclip" else "", name, *cells(name, figures), end_section=name == "ratio"
            )
    return shown


def cells(name: str, found: Figures) -> list[str]:
    """One row's figures; what wasn't measured is left empty."""

    def cell(key: str, form: str, unit: float = 1.0) -> str:
        return form.format(found[key] / unit) if found.get(key) else ""

    if name == "ratio":
        return [cell(key, "× {:.2f}") for key in ("seconds", "pictures", "memory")] + [
            "",
            "",
            cell("flop", "× {:.2f}"),
            "",
        ]
    first = f"{found['first']:.1f} (× {found['start']:.1f})" if "first" in found else ""
    memory = cell("memory", "{:.2f}", 2**30) or cell("over", "over {:.0f}", 2**30)
    return [
        cell("seconds", "{:.3g}"), cell("pictures", "{:.1f}"), memory, cell("help", "{:.2f}"), first,
        cell("flop", "{:.0f}", 1e9), cell("share", "{:.0%}"),
    ]  # fmt: skip


def plot(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """An SVG of named lines of points (x, GiB), all axes from 0; the largest values stand at the axes' ends."""
    width, height, left, top = 420, 240, 46, 30
    points = [point for line in lines.values() for point in line]
    most_x, most_y = max(x for x, _ in points), max(y for _, y in points)

    def place(x: float, y: float) -> str:
        return f"{left + x / most_x * (width - left - 70):.0f},{height - 30 - y / most_y * (height - 30 - top):.0f}"

    parts = [f'<text x="{left}" y="16" font-weight="bold">{title}</text>']
    for (name, line), colour in zip(lines.items(), ("#1f6f8b", "#c0562b"), strict=False):
        (x, y), coordinates = place(*line[-1]).split(","), " ".join(place(*point) for point in line)
        parts.append(f'<polyline points="{coordinates}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{colour}"/>'
            for p in coordinates.split()
        ]
        parts.append(
            f'<text x="{int(x) + 8}" y="{int(y) + 4}" fill="{colour}">{name} {line[-1][1]:.1f}</text>'
        )
    for x in sorted({x for x, _ in points}):
        parts.append(
            f'<text x="{place(x, 0).split(",")[0]}" y="{height - 12}" text-anchor="middle">{x:g}</text>'
        )
    for y in (0.0, most_y / 2, most_y):
        row = place(0, y).split(",")[1]
        parts.append(f'<text x="{left - 6}" y="{int(row) + 4}" text-anchor="end">{y:.1f}</text>')
        parts.append(f'<line x1="{left}" x2="{width - 70}" y1="{row}" y2="{row}" stroke="#ccc"/>')
    style = 'font-family="sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {style}>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
