"""The table of the figures, and plots of memory as SVG."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.rounds import Figures

Summary = Mapping[str, Mapping[str, Figures]]
COLUMNS = (
    "case", "", "s a step", "images/h", "peak GiB", "plan GiB", "help s", "first step s", "GFLOP", "of peak"
)  # fmt: skip
COLOURS = ("#1f6f8b", "#c0562b")


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
        seconds, images, memory, flop = (
            cell(key, "× {:.2f}") for key in ("seconds", "pictures", "memory", "flop")
        )
        return [seconds, images, memory, "", "", "", flop, ""]
    first = f"{found['first']:.1f} (× {found['start']:.1f})" if "first" in found else ""
    memory = cell("memory", "{:.2f}", 2**30) or cell("over", "over {:.0f}", 2**30)
    return [
        cell("seconds", "{:.3g}"), cell("pictures", "{:.1f}"), memory, cell("planned", "{:.2f}", 2**30),
        cell("help", "{:.2f}"), first, cell("flop", "{:.0f}", 1e9), cell("share", "{:.0%}"),
    ]  # fmt: skip


def plot(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """An SVG of named lines of points (x, GiB), both axes from 0; each line's last value stands at its end."""
    width, height, left, right, top, bottom = 420, 240, 46, 90, 30, 30
    points = [point for line in lines.values() for point in line]
    most_x, most_y = max(x for x, _ in points), max(y for _, y in points)

    def position(x: float, y: float) -> tuple[int, int]:
        across, up = x / most_x * (width - left - right), y / most_y * (height - bottom - top)
        return round(left + across), round(height - bottom - up)

    parts = ['<rect width="100%" height="100%" fill="#fff"/>']  # else black letters on a dark page
    parts.append(f'<text x="{left}" y="16" font-weight="bold">{title}</text>')
    for share in (0.0, 0.5, 1.0):
        column, row = position(0, share * most_y)
        parts.append(f'<line x1="{column}" x2="{width - right}" y1="{row}" y2="{row}" stroke="#ccc"/>')
        parts.append(f'<text x="{column - 6}" y="{row + 4}" text-anchor="end">{share * most_y:.1f}</text>')
    for x in sorted({x for x, _ in points}):
        column, row = position(x, 0)
        parts.append(f'<text x="{column}" y="{row + 16}" text-anchor="middle">{x:g}</text>')
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        positions = [position(*point) for point in line]
        path = " ".join(f"{column},{row}" for column, row in positions)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{column}" cy="{row}" r="3" fill="{colour}"/>' for column, row in positions]
        column, row = positions[-1]
        parts.append(f'<text x="{column + 8}" y="{row + 4}" fill="{colour}">{name} {line[-1][1]:.1f}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    return "\n".join([f'{head} font-family="sans-serif" font-size="11">', *parts, "</svg>", ""])
