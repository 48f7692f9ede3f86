"""The grammar of prompts: what each spelling means, and that `format` and `parse` are inverses."""

import random

import pytest

from vqclip.base.errors import PromptError
from vqclip.config.prompt import Kind, Prompt, format, image, parse

TEXT, IMAGE, NOISE = Kind.TEXT, Kind.IMAGE, Kind.NOISE


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("a red apple", [Prompt(TEXT, "a red apple")]),
        ("  a red apple  ", [Prompt(TEXT, "a red apple")]),
        ("a:2", [Prompt(TEXT, "a", 2)]),
        ("a:.5", [Prompt(TEXT, "a", 0.5)]),
        ("a:1.", [Prompt(TEXT, "a", 1)]),
        ("a: +2 ", [Prompt(TEXT, "a", 2)]),
        ("a:\x1f2:\x1c.5\x1e", [Prompt(TEXT, "a", 2, 0.5)]),  # blanks that `float` doesn't know
        ("a:{0 -> 1}:\x1f.5", [Prompt(TEXT, "a", 1, 0.5, "0 -> 1")]),
        ("a:-1:-0.9", [Prompt(TEXT, "a", -1, -0.9)]),
        ("a:1:0.3", [Prompt(TEXT, "a", 1, 0.3)]),
        ("a|b:2| c :3", [Prompt(TEXT, "a"), Prompt(TEXT, "b", 2), Prompt(TEXT, "c", 3)]),
        ("a clock: study in blue", [Prompt(TEXT, "a clock: study in blue")]),
        ("a clock: study in blue:2", [Prompt(TEXT, "a clock: study in blue", 2)]),
        ("meet at 10:30", [Prompt(TEXT, "meet at 10:30")]),
        ("meet at 10:30:2", [Prompt(TEXT, "meet at 10:30", 2)]),
        ("a 16:9 poster", [Prompt(TEXT, "a 16:9 poster")]),
        ("poster 3:2:1.5", [Prompt(TEXT, "poster 3:2", 1.5)]),
        ("route 66:2.5", [Prompt(TEXT, "route 66", 2.5)]),
        ("http://example.org", [Prompt(TEXT, "http://example.org")]),
        (r"a\:2", [Prompt(TEXT, "a:2")]),
        (r"a\\:2", [Prompt(TEXT, "a\\", 2)]),
        (r"this\|that|other", [Prompt(TEXT, "this|that"), Prompt(TEXT, "other")]),
        (r"x\^2", [Prompt(TEXT, "x^2")]),
        ("ends in \\", [Prompt(TEXT, "ends in \\")]),
        ("two\\\nlines", [Prompt(TEXT, "two\\\nlines")]),
        ('"a|b:c":2', [Prompt(TEXT, "a|b:c", 2)]),
        (r'"say \"hi\" \\":2:.1', [Prompt(TEXT, 'say "hi" \\', 2, 0.1)]),
        ('"route 66":2', [Prompt(TEXT, "route 66", 2)]),
        ('the "big" one', [Prompt(TEXT, 'the "big" one')]),
        ('"one" and two', [Prompt(TEXT, '"one" and two')]),
        ("[face.png]", [Prompt(IMAGE, "face.png")]),
        ("[ my pictures/a:b|c^d.png ]:.5:.1", [Prompt(IMAGE, "my pictures/a:b|c^d.png", 0.5, 0.1)]),
        (r"[C:\pictures\a.png]", [Prompt(IMAGE, r"C:\pictures\a.png")]),
        (r"[odd\].png]|b", [Prompt(IMAGE, "odd].png"), Prompt(TEXT, "b")]),
        ("[a] and [b]", [Prompt(TEXT, "[a] and [b]")]),
        ("[noise:7]:-1", [Prompt(NOISE, "7", -1)]),
        ("[noise: 7]", [Prompt(NOISE, "7")]),
        ("[noise.png]", [Prompt(IMAGE, "noise.png")]),
        ("日本の城:2|été", [Prompt(TEXT, "日本の城", 2), Prompt(TEXT, "été")]),
    ],
)
def test_a_line_means(line: str, meaning: list[Prompt]) -> None:
    assert parse(line) == meaning


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ('""', "is empty"),
        ("[]", "is empty"),
        (":2", "is empty"),
        ("a|", "is empty"),
        ("a||b", "is empty"),
        ("a:nan", "'nan' is no weight"),
        ("a:-inf", "'-inf' is no weight"),
        ("a:Infinity", "'Infinity' is no weight"),
        ("a:1e5", "'1e5' is no weight"),
        ("a:1_0", "'1_0' is no weight"),
        ("a:2:nan", "'nan' is no weight"),
        ("a:nan:2", "'nan' is no weight"),
        ('"a":nan', "'nan' is no weight"),
        ("[a.png]:inf", "'inf' is no weight"),
        ("a:" + "9" * 400, "beyond 1e+18"),
        ('"a":b', "only :weight and :stop may follow"),
        ("[a.png]:1:2:x", "only :weight and :stop may follow"),
        ("a^b", "scenes"),
    ],
)
def test_a_line_is_refused_in_one_line(line: str, fragment: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse(line)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def random_prompt(chance: random.Random) -> Prompt:
    kind = chance.choice(list(Kind))
    signs = 'ab :|^"\\[]0199.-+é城🍎\n\t%${}'
    body = "".join(chance.choices(signs, k=chance.randint(1, 12)))
    match kind:
        case Kind.NOISE:
            body = str(chance.randrange(2**40))
        case Kind.IMAGE | Kind.LABEL:
            body = body.strip() or "x"
        case Kind.VECTOR:
            body = f"{body.strip()}.npz"
        case Kind.TEXT:
            body = body if body.strip() else "x"
    weight = chance.choice([1.0, 2.0, -1.0, 0.0, chance.uniform(-3, 3), chance.uniform(0, 1e-6), 1e18])
    stop = chance.choice([float("-inf"), float("-inf"), 0.0, chance.uniform(-1, 1)])
    return Prompt(kind, body, weight, stop)


def test_parse_undoes_format() -> None:
    """For any prompt, alone and between others."""
    chance = random.Random(7)
    prompts = [random_prompt(chance) for _ in range(2000)]
    for prompt in prompts:
        assert parse(format(prompt)) == [prompt]
    assert parse("|".join(map(format, prompts))) == prompts


@pytest.mark.parametrize("line", ["[noise:7]", "[ noise:7 ]", "[noise:7\n]", "[noise: 7]"])
def test_blanks_around_a_noise_change_nothing(line: str) -> None:
    """An image of that name would be written back as a noise."""
    assert parse(line) == [Prompt(Kind.NOISE, "7")]


@pytest.mark.parametrize(
    ("given", "meaning"),
    [
        ("a.png", Prompt(IMAGE, "a.png")),
        ("a.png:2", Prompt(IMAGE, "a.png", 2)),
        ("dir/a:b.png:-.5:.1", Prompt(IMAGE, "dir/a:b.png", -0.5, 0.1)),
        ("odd [1].png:2", Prompt(IMAGE, "odd [1].png", 2)),
    ],
)
def test_an_image_prompt_of_the_command_line_survives_its_line(given: str, meaning: Prompt) -> None:
    assert image(given) == meaning
    assert parse(format(image(given))) == [meaning]


def test_an_image_prompt_without_a_file_is_refused() -> None:
    with pytest.raises(PromptError, match="is empty"):
        image(":2")
