"""`vqclip embed`: write embeddings for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from vqclip.base.errors import UsageError
from vqclip.base.files import check_target
from vqclip.cli import options
from vqclip.cli.display.console import result
from vqclip.cli.outputs import check_free


def embed(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Write the embeddings here.", metavar="FILE.npz")
    ],
    images: Annotated[list[Path] | None, typer.Argument(help="Files of images.", metavar="[IMAGE…]")] = None,
    texts: Annotated[
        list[str] | None, typer.Option("--text", help="Embed this text too; repeatable.", metavar="TEXT")
    ] = None,
    model: options.Model = None,
    device: options.Device = "auto",
    pull: options.Pull = False,
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    force: options.Force = False,
) -> None:
    """Write the embeddings of images and texts to a file that numpy reads.

    Its arrays are `embeddings` (n d, unit vectors in float32), `names` (n) and `model`. Files that can't be read are
    named and left out; the exit code is then 1.
    """
    if not images and not texts:
        raise UsageError("name the images, or a --text, as in vqclip embed a.png b.png -o vectors.npz")
    if output.suffix != ".npz":
        raise UsageError(f"{output}: embeddings are written as .npz, as in {output.with_suffix('.npz')}")
    check_target(output, "vectors.npz")
    check_free(output, force)
    from vqclip.cli.retrieval_calls import open_retrieval, shown_of_named  # noqa: PLC0415
    from vqclip.retrieval.chosen import chosen_perceptors  # noqa: PLC0415
    from vqclip.retrieval.vectors import write_vectors  # noqa: PLC0415

    names = [model] if model else []
    retrieval = open_retrieval(names, device, pull=pull, offline=offline, quiet=quiet)
    records = retrieval.embed(images or [], texts=texts or [], model=model)
    with shown_of_named(records, quiet) as shown:
        write_vectors(output, list(shown), chosen_perceptors(names)[0].label)
        result(str(output))
