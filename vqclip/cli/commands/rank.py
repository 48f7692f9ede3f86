"""`vqclip rank`: sort images by their similarity to a prompt."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqclip.base.errors import UsageError
from vqclip.cli import options
from vqclip.cli.display.console import complain, result, result_json

if TYPE_CHECKING:
    from vqclip.retrieval.records import Retrieved, Scored
    from vqclip.retrieval.retrieval import Retrieval


def rank(
    images: Annotated[
        list[Path], typer.Argument(help="Files of images, or folders with images.", metavar="IMAGE…")
    ],
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", help="What the images should show, as in generate.", metavar="PROMPT"),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="Compute R-precision: a file with a prompt a line, or with a file's name, a tab and its prompt.",
            metavar="FILE",
        ),
    ] = None,
    models: options.Models = None,
    judge: Annotated[bool, typer.Option("--judge", help="Rank by the judge, which guides no image.")] = False,
    as_json: options.Json = False,
    thumbnails: options.Thumbnails = None,
    device: options.Device = "auto",
    pull: options.Pull = False,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
) -> None:
    """Sort images by their similarity to a prompt, the best first, as generate --best does.

    With --prompts, find for each image the rank of its own prompt among all prompts of a file. R-precision is the share
    of images whose own prompt comes first. Of several models, the similarities are averaged.
    Files that can't be read are named and left out; the exit code is then 1.
    """
    if (prompt is None) == (prompts is None):
        raise UsageError('give either --prompt "a red apple" or --prompts FILE')
    from vqclip.cli.retrieval_calls import open_retrieval  # noqa: PLC0415
    from vqclip.guidance.perceptors.judge_config import NAME as JUDGE  # noqa: PLC0415

    names = [*(models or []), *([JUDGE] if judge else [])]
    images = list(files_of(images))
    retrieval = open_retrieval(names, device, pull=pull, offline=offline, quiet=quiet)
    if prompt is not None:
        print_ranking(retrieval, images, prompt, names, as_json, quiet, thumbnails)
    elif prompts is not None:
        print_precision(retrieval, images, prompts, names, as_json, quiet)


def files_of(images: list[Path]) -> Iterator[Path]:
    """Put the images below a folder in its place, by name. Raises UsageError for a folder without any."""
    from vqclip.retrieval.scan import scan  # noqa: PLC0415

    for path in images:
        if not path.is_dir():
            yield path
            continue
        found, skipped = scan(path)
        for one in skipped:
            complain(one.cause)
        if not found:
            raise UsageError(f"{path} has no images in it")
        yield from (path / name for name in sorted(found))


def print_ranking(
    retrieval: "Retrieval", images: list[Path], prompt: str, models: list[str], as_json: bool, quiet: bool,
    thumbnails: bool | None,
) -> None:  # fmt: skip
    from vqclip.cli.retrieval_calls import shown_of_named  # noqa: PLC0415

    with shown_of_named(retrieval.rank(images, prompt, models=models), quiet) as shown:
        print_scored(list(shown), as_json, thumbnails)


def print_scored(found: "list[Scored]", as_json: bool, thumbnails: bool | None) -> None:
    from vqclip.cli.display.tables import on_terminal, print_scores  # noqa: PLC0415
    from vqclip.cli.display.terminal_images import print_thumbnails, protocol  # noqa: PLC0415

    if as_json:
        for one in found:
            each = {name: round(score, 6) for name, score in one.by_model.items()}
            result_json({"image": str(one.path), "score": round(one.score, 6), "by_model": each})
    elif on_terminal():
        if how := protocol(thumbnails):
            print_thumbnails(how, [(one.path, f"{one.score:.4f}") for one in found])
        print_scores([(f"{one.score:.4f}", str(one.path)) for one in found], ("score", "image"))
    else:
        for one in found:
            result(f"{one.score:.4f}\t{one.path}")


def print_precision(
    retrieval: "Retrieval", images: list[Path], prompts: Path, models: list[str], as_json: bool, quiet: bool
) -> None:
    from vqclip.cli.retrieval_calls import shown_of_named  # noqa: PLC0415

    with shown_of_named(retrieval.retrieve(images, prompts, models=models), quiet) as shown:
        print_ranks(list(shown), as_json)


def print_ranks(found: "list[Retrieved]", as_json: bool) -> None:
    from vqclip.retrieval.ranking import precision  # noqa: PLC0415

    figures = {
        "images": len(found),
        "R@1": round(precision(found, 1), 4),
        "R@5": round(precision(found, 5), 4),
    }
    if as_json:
        return result_json(figures | {"ranks": {str(one.path): one.rank for one in found}})
    for one in found:
        instead = "" if one.rank == 1 else f"\tfirst: {one.first}"
        result(f"{one.rank}\t{one.path}\t{one.prompt}{instead}")
    return result(f"R@1 {figures['R@1']:.1%}, R@5 {figures['R@5']:.1%} of {len(found)} images")
