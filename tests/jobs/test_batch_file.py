"""Files of jobs: four spellings of the same thing, and what is wrong stays with its own line."""

import json
from pathlib import Path
from typing import Any

import pytest

from vqclip.base.errors import ConfigError, UsageError
from vqclip.config import yaml12
from vqclip.config.schema import Config
from vqclip.jobs import batch, batch_file
from vqclip.jobs.batch_file import Entry

SAME = {
    "jobs.txt": """# fruit

a red apple
a clock: study in blue:2 -- --seed 7 --set cutouts.count=3 --preset draft
a pear -- --image-prompt "my style.png:0.5"
""",
    "jobs.csv": """prompt, seed, cutouts.count, preset
a red apple,,,
a clock: study in blue:2, 7, 3, draft
"a pear | [my style.png]:0.5",,,
""",
    "jobs.jsonl": """{"prompt": "a red apple"}
{"prompts": ["a clock: study in blue:2"], "seed": 7, "cutouts": {"count": 3}, "preset": "draft"}

{"prompt": "a pear | [my style.png]:0.5", "seed": null}
""",
    "jobs.yaml": """jobs:
- a red apple
- {prompt: "a clock: study in blue:2", seed: 7, cutouts.count: 3, preset: draft}
- prompt: a pear | [my style.png]:0.5
""",
}


def written(name: str, text: str) -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def planned(path: Path, **options: Any) -> list[Config]:
    return [task.job.config for task in batch.plan(path, Path("runs"), **options) if task.job]


@pytest.mark.parametrize("name", SAME)
def test_every_format_says_the_same(name: str) -> None:
    apple, clock, pear = planned(written(name, SAME[name]))
    assert [prompt.label for prompt in apple.parsed_prompts] == ["a red apple"]
    assert (clock.seed, clock.cutouts.count, clock.size, clock.parsed_prompts[0].weight) == (
        7,
        3,
        "144x144",
        2,
    )
    assert [(prompt.kind.value, prompt.body, prompt.weight) for prompt in pear.parsed_prompts] == [
        ("text", "a pear", 1),
        ("image", "my style.png", 0.5),
    ]


def test_a_matrix_is_every_combination() -> None:
    text = """
defaults: {steps: 9, size: 32x32}
jobs: [{prompt: an owl, steps: 3}]
matrix:
  prompt: "{subject} in the style of {style}"
  subject: [a fox, "a {b} castle"]
  style: [cubism, fauvism, 7]
  seed: [1, 2]
"""
    owl, *combined = planned(written("m.yaml", text))
    assert (owl.steps, owl.size) == (3, "32x32")
    assert len(combined) == 12
    assert {config.steps for config in combined} == {9}
    assert combined[0].prompts == ["a fox in the style of cubism"]
    assert (combined[-1].prompts, combined[-1].seed) == (["a {b} castle in the style of 7"], 2)


def test_what_is_wrong_with_a_line_is_that_lines() -> None:
    lines = [
        "a fine line", "a -- --stpes 3", "b -- --size", "c -- --size 0x0", "d:nan", "e -- 'open", "f -- --set x",
        "another",
    ]  # fmt: skip
    tasks = batch.plan(written("a.txt", "\n".join(lines)), Path("runs"))
    assert [bool(task.error) for task in tasks] == [False, *[True] * 6, False]
    assert "did you mean --steps" in str(tasks[1].error)
    assert [task.entry.position for task in tasks] == [f"line {number}" for number in range(1, 9)]
    assert not any("\n" in str(task.error) for task in tasks)


@pytest.mark.parametrize(
    ("name", "text", "fragment"),
    [
        ("a.csv", "prompt,seed\na,1,2\n", "more cells than columns"),
        ("a.csv", "prompt,sede\na,1\n", "did you mean seed"),
        ("a.jsonl", "{'prompt': 1}", "is not JSON"),
        ("a.jsonl", "[1]", "is no job"),
        ("a.jsonl", '{"seed": 1}', "there is no prompt"),
        ("a.jsonl", '{"prompt": "a", "cutouts": 3, "cutouts.count": 4}', "asks for keys of it"),
        ("a.yaml", "jobs: [{prompt: a, stpes: 3}]", "did you mean steps"),
    ],
)
def test_a_bad_job_is_a_fault_in_one_line(name: str, text: str, fragment: str) -> None:
    (task,) = batch.plan(written(name, text), Path("runs"))
    assert fragment in str(task.error)
    assert "\n" not in str(task.error)


@pytest.mark.parametrize(
    ("name", "text", "fragment"),
    [
        ("a.txt", "# nothing\n", "holds no job"),
        ("a.yaml", "job: [a]", "did you mean jobs"),
        ("a.yaml", "- a", "holds a list"),
        ("a.yaml", "jobs: a", "`jobs` a list"),
        ("a.yaml", "matrix: {prompt: '{subjct} a', subject: [b]}", "did you mean subject"),
        ("a.yaml", "matrix: {prompt: a, subject: [b]}", "'subject' is no key of a config"),
        ("a.yaml", "matrix: [a]", "takes names with lists"),
    ],
)
def test_a_bad_file_is_refused(name: str, text: str, fragment: str) -> None:
    with pytest.raises(ConfigError, match=r".") as caught:
        batch.plan(written(name, text), Path("runs"))
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused() -> None:
    Path("a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        batch_file.read(Path("a.txt"))
    with pytest.raises(ConfigError, match="can't be read: no such file"):
        batch_file.read(Path("nowhere.txt"))


def test_seeds_follow_from_the_job_and_not_from_its_line() -> None:
    one = planned(written("a.txt", "a\nb\nb\n"))
    other = planned(written("b.txt", "b\nnew\na\nb\n"))
    assert len({config.seed for config in one}) == 3, "the same line twice is two pictures"
    assert {config.digest for config in one} <= {config.digest for config in other}


def test_folders_follow_from_the_config() -> None:
    path = written("a.txt", "a\na -- --seed 3\na -- --seed 3\n")
    first, second = (
        [task.job.folder for task in batch.plan(path, Path("runs")) if task.job] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == 3
    assert {folder.parent for folder in first} == {Path("runs/a/jobs")}


def test_names_follow_the_template() -> None:
    path = written("a.txt", "Été: à la mer! -- --seed 3 --size 8x8\n")
    assert [task.name for task in batch.plan(path, Path("runs"))] == ["0001-été-à-la-mer-3.png"]
    (task,) = batch.plan(path, Path("runs"), names="{seed}_{size}_{index}.png")
    assert task.name == "3_8x8_1.png"


@pytest.mark.parametrize(
    "template",
    ["{indx}.png", "{index.__class__}.png", "{index[0]}.png", "../{index}.png", "{index}", "{", "{}.png"],
)
def test_a_template_names_one_file_of_known_fields(template: str) -> None:
    with pytest.raises(UsageError, match="--names"):
        batch.check_names(template)


def test_options_of_the_command_hold_for_every_job() -> None:
    path = written("a.jsonl", json.dumps({"prompt": "a", "steps": 3}))
    (config,) = planned(path, preset="draft", settings=["steps=9", "cutouts.count=5"])
    assert (config.size, config.steps, config.cutouts.count) == ("144x144", 3, 5)
    with pytest.raises(ConfigError, match="did you mean steps"):
        planned(path, settings=["stpes=9"])


def test_an_entry_knows_its_wish() -> None:
    assert Entry("line 1", {"prompts": ["a", "b"]}).title == "a | b"


TABLES = {
    "semicolons": "prompt;seed;steps\na, b;1;3\n",
    "tabs": "prompt\tseed\tsteps\na, b\t1\t3\n",
    "bars": 'prompt|seed|steps\n"a, b"|1|3\n',
    "capitals": 'PROMPT, Seed ,Steps\n"a, b",1,3\n',
    "Excel's own line": "sep=;\nprompt;seed;steps\na, b;1;3\n",
    "carriage returns": "prompt;seed;steps\r\na, b;1;3\r\n",
    "another order": 'steps,prompt,seed\n3, "a, b" ,1\n',
    "an empty last column": 'prompt,seed,steps,\n"a, b",1,3,\n',
    "empty lines": '\n\nprompt,seed,steps\n\n"a, b",1,3\n,,\n',
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_read_as_spreadsheets_save_it(kind: str) -> None:
    Path("a.csv").write_bytes(TABLES[kind].encode())
    (config,) = planned(Path("a.csv"))
    assert (config.prompts, config.seed, config.steps) == (["a, b"], 1, 3)


def test_rows_of_a_table_know_their_line() -> None:
    text = 'prompt,seed\n"two\nlines",1\na "b" c,2\n"d ""e"" f",3\ng,-1\n'
    tasks = batch.plan(written("a.csv", text), Path("runs"))
    assert [task.entry.position for task in tasks] == ["line 2", "line 4", "line 5", "line 6"]
    assert [task.entry.title for task in tasks] == ["two\nlines", 'a "b" c', 'd "e" f', "g"]
    assert [bool(task.error) for task in tasks] == [False, False, False, True]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('prompt,seed\na,1\n"b,2\nc,3\n', "line 3: a quote opens here"),
        ('prompt,seed\na,1\n"b,2\n"c",3\n', "line 3: a quote opens here"),
        ('prompt,seed\n"a\nb","c\nd,2\n', "line 3: a quote opens here"),
        ("a red apple;1\n", "its columns are 'a red apple', '1', and none is prompt"),
        ("", "it has no columns"),
        ("prompt,seed,Seed\na,1,2\n", "two columns 'seed'"),
    ],
)
def test_a_table_that_could_mean_several_things_is_refused(text: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        batch.plan(written("a.csv", text), Path("runs"))
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


JSON_KINDS = {
    "a list": '[{"prompt": "a", "seed": 1}, "b"]',
    "parts": '{"defaults": {"seed": 1}, "jobs": ["a", {"prompt": "b", "seed": null}]}',
    "lines": '{"prompt": "a", "seed": 1}\n"b"\n',
}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("kind", JSON_KINDS)
def test_json_is_a_list_or_lines(name: str, kind: str) -> None:
    if (name, kind) != ("a.jsonl", "parts"):
        first, second = planned(written(name, JSON_KINDS[kind]))
        assert (first.prompts, first.seed, second.prompts) == (["a"], 1, ["b"])


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ('{"prompt": null}', "there is no prompt"),
        ('{"prompt": true}', "True is no text"),
        ('{"prompt": [["a"]]}', "['a'] is no text"),
        ('{"prompt": "a", "set": {"steps": 3}}', "set: {'steps': 3} is no text"),
        ('{"prompt": "a", "preset": ["x", {}]}', "preset: {} is no text"),
        ('{"prompt": "a", "seed": {"a": 1}}', "seed: {'a': 1} is no whole number"),
        ('{"prompt": "a", "size": [1]}', "size: [1] is no text"),
        ('{"prompt": "a", "perceptors": 5}', "perceptors[0]: 5 is one value"),
        ('{"prompt": "a", "latent": {"stages": {"scale": []}}}', "latent.stages[0].scale: [] is no number"),
        ('{"prompt": "a", "seed": 1, "seed": 2}', "the key 'seed' stands here twice"),
        ('{"prompt": "a", "seed": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"prompt": ' + "[" * 900 + "]" * 900 + "}", "levels deep"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "null is no job"),
    ],
)
def test_a_value_of_the_wrong_type_costs_no_other_line(line: str, fragment: str) -> None:
    bad, good = batch.plan(written("a.jsonl", f'{line}\n{{"prompt": "a cat"}}\n'), Path("runs"))
    assert fragment in str(bad.error)
    assert "\n" not in str(bad.error)
    assert good.job


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a: &a [x]\nb: &b [*a, *a]", "none of defaults, jobs, matrix"),
        (
            f"matrix: {{prompt: a, seed: [{', '.join(map(str, range(1000)))}], steps: [{'1, ' * 1000}]}}",
            "1e+06",
        ),
        ("defaults: {seed: 1, seed: 2}\njobs: [a]", "line 1: the key 'seed' stands in line 1 already"),
    ],
)
def test_a_file_that_grows_beyond_measure_or_says_two_things_is_refused(text: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        batch.plan(written("a.yaml", text), Path("runs"))
    assert fragment in str(caught.value)


def test_a_list_that_holds_itself_is_no_job() -> None:
    (task,) = batch.plan(written("a.yaml", "jobs: &a [*a]"), Path("runs"))
    assert "is no job" in str(task.error)


def test_a_jobs_section_lies_over_that_of_the_defaults_and_changes_no_other_job() -> None:
    text = "defaults: {cutouts: {count: 3}}\njobs: [{prompt: a, cutouts.flip: 0}, b, {prompt: c, cutouts: {count: 4}}]"
    a, b, c = planned(written("a.yaml", text))
    assert [(config.cutouts.count, config.cutouts.flip) for config in (a, b, c)] == [
        (3, 0),
        (3, 0.5),
        (4, 0.5),
    ]


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_lines_end_at_newlines_alone(letter: str) -> None:
    assert [config.prompts for config in planned(written("a.txt", f"a{letter}b\nc\n"))] == [
        [f"a{letter}b"],
        ["c"],
    ]
    assert len(planned(written("a.csv", f"prompt\na{letter}b\nc\n"))) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", b"a caf\xe9\na cat\n"),
        ("a.csv", b"prompt\na caf\xe9\na cat\n"),
        ("a.jsonl", b'"a caf\xe9"\n"a cat"\n'),
    ],
)
def test_a_line_that_is_no_utf_8_costs_no_other_line(name: str, text: bytes) -> None:
    Path(name).write_bytes(text)
    bad, good = batch.plan(Path(name), Path("runs"))
    assert "is no text in UTF-8" in str(bad.error)
    assert good.job


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_a_whole_that_is_no_utf_8_is_refused_by_its_line(name: str) -> None:
    Path(name).write_bytes(b'["a",\n"caf\xe9"]')
    with pytest.raises(ConfigError, match="line 2: this is no text in UTF-8"):
        batch.plan(Path(name), Path("runs"))


def test_what_all_jobs_share_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are; but for a preset of their own."""
    read: list[Path] = []
    whole = yaml12.read
    monkeypatch.setattr(yaml12, "read", lambda path: (read.append(path), whole(path))[1])
    written("my.yaml", "steps: 7\n")
    for count in (2, 200):
        read.clear()
        path = written("a.txt", "a\nb -- --preset draft\n" * count)
        assert {config.steps for config in planned(path, base=Path("my.yaml"))} == {7}
        assert read.count(Path("my.yaml")) == 3
