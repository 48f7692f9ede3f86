"""`vqclip models`: list, download, verify, import and remove models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqclip.base.errors import UsageError, VqclipError, WeightsError
from vqclip.cli import completion, options
from vqclip.cli.display.console import complain, obey, result, result_json, result_topics, say

if TYPE_CHECKING:
    from vqclip.weights.catalog import ModelCard

app = typer.Typer(
    name="models", help="List, download, verify, import and remove models.", no_args_is_help=True
)
Name = Annotated[
    str,
    typer.Argument(
        help="A name in the catalogue or in open_clip.", metavar="NAME", autocompletion=completion.models
    ),
]
Half = Annotated[
    bool, typer.Option("--half", help="Store 16-bit numbers: half the disk space, slightly less exact.")
]


@app.command("list")
def list_models(
    everything: Annotated[bool, typer.Option("--all", help="List the whole catalogue.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the models that are here and those that presets need; with --all, every known one.

    A model is `here`, `absent`, or `refused` if this vqclip can't load it; `vqclip models show NAME` says why.
    """
    from vqclip.cli.display.table import print_table  # noqa: PLC0415
    from vqclip.weights import store  # noqa: PLC0415

    known = store.cards()
    rows = [_row(known[name]) for name in (known if everything else _listed(known))]
    if as_json:
        for row in rows:
            result_json(row)
        return
    print_table(
        ("STATE", "SIZE", "FAMILY", "NAME", "ABOUT"),
        [(row["state"], row["size"].replace("about ", "~"), row["family"].removesuffix("book"),
          row["name"], row["about"]) for row in rows],
    )  # fmt: skip
    if not everything:
        say("models", f"{len(rows)} of {len(known)}; vqclip models list --all prints all")


def _listed(known: Mapping[str, "ModelCard"]) -> list[str]:
    """The names of the models that are here, and of those that a preset of vqclip names."""
    from vqclip.config import resolve as configs  # noqa: PLC0415
    from vqclip.requirements import install  # noqa: PLC0415
    from vqclip.requirements.needs import requirements  # noqa: PLC0415

    named = {
        need.name for preset in configs.presets() for need in requirements(configs.resolve(preset=preset))
    }
    return [name for name in known if name in named or install.is_here(name)]


def _row(card: "ModelCard") -> dict[str, Any]:
    from vqclip.requirements import install  # noqa: PLC0415

    here = install.is_here(card.name)
    state = "refused" if card.refused else "here" if here else "absent"
    return {"name": card.name, "family": card.family, "here": here, "state": state,
            "size": card.size.removeprefix("size "), "about": card.about}  # fmt: skip


@app.command("show")
def show(name: Name, as_json: options.Json = False) -> None:
    """Print licence, source, size, digest and addresses of a model."""
    details = _details(name)
    return result_json(details) if as_json else result_topics(details)


@app.command("pull")
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names of models.", metavar="[NAME…]", autocompletion=completion.models),
    ] = None,
    preset: options.Preset = None,
    config: options.File = None,
    settings: options.Settings = None,
    half: Half = False,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
) -> None:
    """Download models, verify them, and convert them. A download that was stopped continues.

    With --preset, -c or --set, download every model that this config needs.
    """
    obey(offline)
    named = preset or config or settings
    if not names and not named:
        raise UsageError("name the models, or a preset that needs them, as in --preset pairs/classic")
    needed, absent = _needs(preset, config, settings) if named else ([], [])
    for name in dict.fromkeys([*(names or []), *absent]):
        fetch(name, quiet, half)
    for name in dict.fromkeys([*(names or []), *needed]):
        result(name)


@app.command("verify")
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names; by default all models on this machine.",
            metavar="[NAME…]",
            autocompletion=completion.models,
        ),
    ] = None,
) -> None:
    """Read models from end to end, and compare their digests with the known ones."""
    from vqclip.weights import store  # noqa: PLC0415

    here = [name for name, card in store.cards().items() if card.ships or store.record(name)]
    failed = 0
    for name in names or here:
        try:
            store.verify(name)
            result(f"{name:<52} whole")
        except WeightsError as error:
            failed += 1
            complain(str(error))
    if failed:
        raise typer.Exit(WeightsError.exit_code)


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Files of weights in a known layout.", metavar="FILE…")],
    name: Annotated[str, typer.Option("--name", help="Name in the store; by default the file's name.")] = "",
    architecture: Annotated[
        str,
        typer.Option(
            "--architecture",
            help="For a CLIP: open_clip's name of its network. For a VQGAN: what its file doesn't say, as in "
            "tanh_out=true. For a transformer beside it: heads=16,conditioning=class.",
            metavar="MODEL",
        ),
    ] = "",
    half: Half = False,
) -> None:
    """Convert files of weights into the store. Losses and discriminators are left out.

    A transformer over the codes of a VQGAN becomes NAME-transformer, which --start transformer samples from."""
    if name and len(files) > 1:
        raise UsageError("--name is for one file; import several without it, or one after the other")
    from vqclip.requirements import install  # noqa: PLC0415
    from vqclip.weights.catalog import human  # noqa: PLC0415

    codes = []
    for file in files:
        try:
            record = install.import_file(file, name, architecture, half)
        except VqclipError as error:
            complain(str(error))
            codes.append(error.exit_code)
            continue
        say("imported", f"{human(file.stat().st_size)} became {human(record.bytes)}")
        if "activation" in record.origin:
            say("activation", str(record.origin["activation"]))
        result(record.name)
        if "transformer" in record.origin:
            result(str(record.origin["transformer"]))
    if codes:
        raise typer.Exit(codes[0])


@app.command("remove")
def remove(name: Name) -> None:
    """Delete a model from the store, and the transformer that was imported with it."""
    from vqclip.weights import store  # noqa: PLC0415
    from vqclip.weights.catalog import human  # noqa: PLC0415

    for each in reversed(store.with_transformer(name)):  # the one that knows the other goes last
        say("removed", f"{each}, {human(store.remove(each))}")


@app.command("where")
def where() -> None:
    """Print the folder of the store. VQCLIP_HOME sets another."""
    from vqclip.base.paths import home  # noqa: PLC0415

    result(str(home()))


def fetch(name: str, quiet: bool, half: bool = False) -> None:
    """Print a model's details, and download it."""
    from vqclip.cli.display.console import stderr  # noqa: PLC0415
    from vqclip.cli.display.download_progress import DownloadProgress  # noqa: PLC0415
    from vqclip.requirements import install  # noqa: PLC0415

    if install.is_here(name):
        if not quiet:
            say("present", name)
        return
    if not quiet:
        for topic, value in _details(name).items():
            if topic in ("name", "about", "licence", "page", "size", "digest", "status"):
                say(topic, str(value))
    with DownloadProgress(stderr, name, quiet) as progress:
        install.pull(name, progress, half)


def _needs(preset: str | None, file: Path | None, settings: list[str] | None) -> tuple[list[str], list[str]]:
    """The names of all models that a config needs, and of those that are missing here.

    Raises WeightsError if one is missing that can't be fetched.
    """
    from vqclip.config import resolve as configs  # noqa: PLC0415
    from vqclip.requirements.needs import requirements  # noqa: PLC0415
    from vqclip.requirements.status import check, missing  # noqa: PLC0415

    needs = requirements(configs.resolve(preset=preset, file=file, settings=settings or []))
    absent = missing(needs)
    check(absent, pull=True)
    return [need.name for need in needs], [found.need.name for found in absent]


def _details(name: str) -> dict[str, Any]:
    from vqclip.requirements import install  # noqa: PLC0415
    from vqclip.weights import store  # noqa: PLC0415

    card, record = install.find_card(name), store.record(name)
    details: dict[str, Any] = {
        "name": name,
        "family": card.family,
        "about": card.about,
        "licence": card.licence,
        "page": card.page,
        "size": card.size,
        "digest": f"{card.sha256} ({card.digest})" if card.sha256 else card.digest,
        "status": card.status,
        "refused": card.refused,
        "text tower": card.text_of,
        "urls": list(card.urls),
        "hub": card.hub,
        "here": install.is_here(name),
    }
    if record is not None:
        details |= {
            "file": str(store.folder(name) / record.file),
            "sha256": record.sha256,
            "origin": dict(record.origin),
        }
    return {topic: value for topic, value in details.items() if value not in ("", [], None)}
