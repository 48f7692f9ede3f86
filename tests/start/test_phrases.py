"""A sentence is taken apart into things, their number and colour, and the place; nothing gets lost on the way."""

import pytest

from vqclip.start.phrases import COLOURS, NUMBERS, outline


@pytest.mark.parametrize(
    ("sentence", "things", "links"),
    [
        ("an owl", ["an owl"], [""]),
        ("an oil painting of a ship in a storm", ["a ship", "a storm"], ["", "in"]),
        ("A Castle  on a hill", ["a castle", "a hill"], ["", "on"]),
        ("a cat and a dog", ["a cat", "a dog"], ["", "and"]),
        ("a lamp on a table next to a wall", ["a lamp", "a table", "a wall"], ["", "on", "next to"]),
        ("a field of tulips", ["a field of tulips"], [""]),
        ("a girl with red hair", ["a girl with red hair"], [""]),
        ("a fox, oil on canvas", ["a fox"], [""]),
        ("a fox in the style of cubism", ["a fox"], [""]),
        ("a stained glass window of a fish", ["a fish"], [""]),
        ("the lion's face", ["the lion face"], [""]),
        ("in", ["in"], [""]),
        ("", [""], [""]),
    ],
)
def test_things_in_the_order_of_their_names(sentence: str, things: list[str], links: list[str]) -> None:
    phrases = outline(sentence).phrases
    assert [phrase.text for phrase in phrases] == things
    assert [phrase.link for phrase in phrases] == links


def test_what_comes_after_the_first_thing_is_its_place() -> None:
    assert outline("a full moon over a lake").location == "over a lake"
    assert outline("a moon over a lake under a blue sky").location == "over a lake under a blue sky"
    assert outline("a full moon").location == ""


@pytest.mark.parametrize(
    ("sentence", "count", "noun", "head"),
    [
        ("three green apples", 3, "green apples", "apples"),
        ("two owls", 2, "owls", "owls"),
        ("a field of tulips", 1, "a field of tulips", "tulips"),
        ("a smiling sun", 1, "a smiling sun", "a sun"),
        ("a girl with red hair", 1, "a girl with red hair", "a girl"),
        ("owl", 1, "owl", "owl"),
        ("two", 2, "two", "two"),
    ],
)
def test_a_thing_has_a_number_and_a_head(sentence: str, count: int, noun: str, head: str) -> None:
    (phrase,) = outline(sentence).phrases
    assert (phrase.count, phrase.noun, phrase.head) == (count, noun, head)


@pytest.mark.parametrize(
    ("sentence", "colour"),
    [
        ("a red car", "red"),
        ("a gray cat", "grey"),
        ("a light blue bird", "light blue"),
        ("a white and black dog", "white"),
        ("a red yellow parrot", "yellow"),
        ("a girl with red hair", None),
        ("a bored cat", None),
        ("a gold coin", "golden"),
        ("two goldfish", "golden"),
        ("a red goldfish", "red"),
        ("a redwood tree", None),
        ("an orangutan", None),
    ],
)
def test_a_colour_is_that_of_the_thing_itself(sentence: str, colour: str | None) -> None:
    assert outline(sentence).phrases[0].colour == colour


def test_a_plain_background_is_no_place() -> None:
    said = outline("a blue butterfly on a white background")
    assert (said.whole, said.ground, said.location) == ("a blue butterfly", "white", "")
    assert outline("an owl on a wooden background").ground is None


@pytest.mark.parametrize("sentence", ["a ship in a storm", "two cats and a dog", "", "of", "a painting of "])
def test_all_that_has_to_be_known_is_named(sentence: str) -> None:
    said = outline(sentence)
    needed = {said.whole, said.location, *(p.noun for p in said.phrases), *(p.head for p in said.phrases)}
    assert needed <= said.texts


def test_numbers_and_colours_are_single_meanings() -> None:
    assert set(NUMBERS).isdisjoint(COLOURS)
    assert all(0 <= part <= 1 for colour in COLOURS.values() for part in colour)
