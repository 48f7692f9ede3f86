"""docs/reference.md agrees with the program."""

from docs.make import reference


def test_the_reference_is_current() -> None:
    """It fails after a change of a command or a config key; `python -m docs.make.reference` writes the file again."""
    assert reference.FILE.read_text(encoding="utf-8") == reference.reference()


def test_every_key_has_a_sentence() -> None:
    comments, defaults = reference.read_default()
    keys = {name for name in dotted(defaults) if name not in ("version", "perceptors", "latent.stages")}
    assert {key for key in keys if comments.get(key)} == keys


def dotted(values: dict[str, object], prefix: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        found += dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]
    return found
