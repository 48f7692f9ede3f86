"""`vqclip classify`: tell which of some labels an image shows."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vqclip.base.errors import UsageError, cause
from vqclip.cli import options
from vqclip.cli.display.console import result, result_json

Shares = Sequence[tuple[str, float]]


def classify(
    images: options.Images,
    labels: Annotated[
        str, typer.Option("--labels", help="What an image may show, separated by commas.", metavar="A,B,…")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option("--labels-file", help="Read labels from a file, one a line.", metavar="FILE"),
    ] = None,
    templates: Annotated[
        list[str] | None,
        typer.Option(
            "--template",
            help="A text with {} in place of the label, by default 'a picture of a {}'; repeatable.",
            metavar="TEXT",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Print the K best labels.", metavar="K")] = 5,
    models: options.Models = None,
    as_json: options.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print results as CSV.")] = False,
    device: options.Device = "auto",
    pull: options.Pull = False,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell which of some labels each IMAGE shows, with probabilities.

    A CLIP compares the image with a text for each label. Of several models, the probabilities are averaged.
    Files that can't be read are named and left out; the exit code is then 1.
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of the same result; leave one out")
    chosen = read_labels(labels, file)
    from vqclip.cli.retrieval_calls import open_retrieval, shown_of_named  # noqa: PLC0415
    from vqclip.retrieval.zero_shot import TEMPLATES, check_labels  # noqa: PLC0415

    check_labels(chosen, templates or TEMPLATES)
    retrieval = open_retrieval(models or [], device, pull=pull, offline=offline, quiet=quiet)
    records = retrieval.classify(images, chosen, templates=templates or TEMPLATES, models=models or [])
    if as_csv:
        result(csv_row("image", "label", "probability"))
    with shown_of_named(records, quiet) as shown:
        for found in shown:
            print_one(str(found.path), found.labels[:top], as_json, as_csv)


def read_labels(given: str, file: Path | None) -> list[str]:
    """Read the labels of the options. Raises UsageError if there are none."""
    lines = given.split(",")
    if file is not None:
        try:
            lines += [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]
        except OSError as error:
            raise UsageError(f"{file} can't be read: {cause(error)}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{file} is no text in UTF-8") from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UsageError('name the labels, as in --labels "cat,dog", or --labels-file FILE')
    return found


def print_one(path: str, shares: Shares, as_json: bool, as_csv: bool) -> None:
    """Print the labels of one image in the form that was asked for, or in that of the terminal or pipe."""
    from vqclip.cli.display.tables import on_terminal, print_shares  # noqa: PLC0415

    if as_json:
        result_json({"image": path, "labels": {label: round(share, 6) for label, share in shares}})
    elif as_csv:
        for label, share in shares:
            result(csv_row(path, label, f"{share:.6f}"))
    elif on_terminal():
        print_shares(path, shares)
    else:
        for label, share in shares:
            result(f"{path}\t{label}\t{share:.4f}")


def csv_row(*cells: str) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(cells)
    return row.getvalue()
