"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="draft, standard, fine, pairs/classic…; several joined by +, the later winning.",
        metavar="NAME",
    ),
]
File = Annotated[
    Path | None, typer.Option("-c", "--config", help="A YAML file of config keys.", metavar="FILE")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any config key, as in cutouts.count=32; repeatable.", metavar="KEY=VALUE"),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Where to save the picture.", metavar="FILE.png")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", metavar="NAME")]
Runs = Annotated[Path, typer.Option("--runs", help="Where run folders are made.", metavar="DIR")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Results as JSON, an object a line.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No conversation; errors still speak.")]
Pull = Annotated[bool, typer.Option("--pull", help="Download models that are named but not here.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never touch the network; VQCLIP_OFFLINE=1 does the same.")
]
