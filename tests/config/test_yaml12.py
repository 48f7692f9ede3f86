"""YAML 1.2: what a plain word means, what stands twice, where a line ends."""

from typing import Any

import pytest
import yaml

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.config import strict_json, yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("yes", "No", "on", "OFF", "y", "12:30", "2024-01-01", "1_000", "0b1", "=")),
        *((word, None) for word in ("", "~", "null", "Null")),
        *((word, word.lower() == "true") for word in ("true", "True", "FALSE")),
        ("010", 10), ("-7", -7), ("0o17", 15), ("0x1F", 31), ("08", 8),
        ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-.inf", float("-inf")), ("1E-3", 0.001),
    ],
)  # fmt: skip
def test_a_plain_word_means_what_the_core_schema_says(text: str, value: Any) -> None:
    (found,) = yaml12.parse(f"- {text}")
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize("text", ["007", "1.50", "1e-3", "0x1F", "08", "+5", ".5"])
def test_a_number_is_the_text_that_was_written_where_a_text_is_wanted(text: str) -> None:
    assert configs.resolve(yaml12.parse(f"prompts: {text}\nseed: 1")).prompts == [text]
    config = configs.resolve({"prompts": [text], "seed": 1})
    assert configs.from_dict(yaml12.parse(configs.dump(config))) == config


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\u2029"])
def test_lines_end_at_newlines_alone(letter: str) -> None:
    texts = [f"a{letter}b", f"c {letter} d", letter, f"'{letter}"]
    assert yaml12.parse(f"- a{letter}b\n- 'c {letter} d'\n") == texts[:2]
    assert yaml12.parse(yaml12.dump(texts)) == yaml.safe_load(yaml12.dump(texts)) == texts


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands in line 1 already"),
        ("x: {a: 1,\n 'a': 2}", "line 2: the key 'a' stands in line 1 already"),
        ("[" * 5000, "not YAML"),
        ("a: !!timestamp 2024-01-01", "not YAML"),
        ("a: !!bool maybe", "not YAML"),
        (f"a: {'9' * 5000}", "not YAML"),
        ("a: *b", "line 1: this is not YAML: found undefined alias"),
    ],
)
def test_is_refused_in_one_line(text: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        yaml12.parse(text)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_merged_keys_may_be_given_again() -> None:
    assert yaml12.parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands here twice"),
        ('{"a": NaN}', "NaN is none of its numbers"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_json_is_strict(text: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        strict_json.parse(text)
    assert fragment in str(caught.value)
