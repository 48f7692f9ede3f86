"""`vqclip search`: find images by words or by an example."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from vqclip.base.files import check_target
from vqclip.cli import options
from vqclip.cli.display.console import result, result_json, say


def search(
    folder: Annotated[Path, typer.Argument(help="The folder, with all below it.", metavar="FOLDER")],
    text: Annotated[str | None, typer.Argument(help="What the images show.", metavar="[TEXT]")] = None,
    count: Annotated[int, typer.Option("--top", min=1, help="Print the K best images.", metavar="K")] = 20,
    like: Annotated[
        list[Path] | None,
        typer.Option("--like", help="Find images that resemble this one; repeatable.", metavar="IMAGE"),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option("--not", help="What the images don't show; repeatable.", metavar="TEXT"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the images here.", metavar="FILE.html")
    ] = None,
    model: options.Model = None,
    as_json: options.Json = False,
    thumbnails: options.Thumbnails = None,
    device: options.Device = "auto",
    pull: options.Pull = False,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the images under FOLDER that show TEXT.

    The first call embeds every image, and keeps the embeddings in the user's cache. Later calls read the images that
    are new or have changed. The path of each image goes to stdout, the best first.
    """
    from vqclip.cli.display.tables import on_terminal, print_scores  # noqa: PLC0415
    from vqclip.cli.display.terminal_images import print_thumbnails, protocol  # noqa: PLC0415
    from vqclip.cli.retrieval_calls import open_retrieval, shown  # noqa: PLC0415
    from vqclip.retrieval.chosen import chosen_perceptors  # noqa: PLC0415
    from vqclip.retrieval.searching import Embedder, check_query, search_folder  # noqa: PLC0415

    check_query(text, like or ())
    if html is not None:
        check_target(html, "found.html")
    models = [model] if model else []
    [entry] = chosen_perceptors(models)[:1]

    @cache
    def embedder() -> Embedder:
        return open_retrieval(models, device, pull=pull, offline=offline, quiet=quiet).embedder(entry)

    records = search_folder(folder, text, like or (), unlike or (), count, entry, embedder)
    found = list(shown(records, quiet))
    if not found and not quiet:
        say("note", f"{folder} has no images that can be read")
    if html is not None:
        from vqclip.retrieval.page import write_page  # noqa: PLC0415

        words = [
            text or "",
            *(f"like {path}" for path in like or ()),
            *(f"not {word}" for word in unlike or ()),
        ]
        write_page(html, ", ".join(filter(None, words)), found)
        if not quiet:
            say("page", str(html))
    if as_json:
        for one in found:
            result_json({"image": str(one.path), "score": round(one.score, 6), "rank": one.rank})
    elif on_terminal():
        if how := protocol(thumbnails):
            print_thumbnails(how, [(one.path, f"{one.rank}  {one.score:.4f}") for one in found])
        print_scores(
            [(str(one.rank), f"{one.score:.4f}", str(one.path)) for one in found], ("", "score", "image")
        )
    else:
        for one in found:
            result(f"{one.score:.4f}\t{one.path}")
