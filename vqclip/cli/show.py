"""`vqclip show`: what a picture or a video knows about itself."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vqclip.cli import options
from vqclip.cli.console import result, result_json, say
from vqclip.errors import ConfigError


def show(
    picture: Annotated[Path, typer.Argument(help="A PNG or a video that vqclip made.", metavar="PICTURE")],
    as_json: options.Json = False,
) -> None:
    """Print the config that a picture or a video carries."""
    import yaml  # noqa: PLC0415

    facts = read_upgraded(picture)
    if as_json:
        return result_json(facts)
    for topic, value in facts.items():
        if topic != "config":
            listed = (
                ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            )
            say(topic, listed)
    return result(yaml.safe_dump(facts.get("config"), sort_keys=False, allow_unicode=True).rstrip())


def read_upgraded(path: Path) -> dict[str, Any]:
    """Read what a picture or a video carries, its config in today's keys; one that can't be upgraded stays as it is."""
    from vqclip import config as configs  # noqa: PLC0415
    from vqclip.container import read_video_facts  # noqa: PLC0415
    from vqclip.media import read_facts  # noqa: PLC0415
    from vqclip.video import ENCODERS  # noqa: PLC0415

    facts = read_video_facts(path) if path.suffix.lower() in ENCODERS else read_facts(path)
    try:
        return facts | {"config": configs.upgrade(facts.get("config") or {})}
    except ConfigError as error:
        say("note", f"{path}: {error}")
        return facts
