"""Seeds: the same numbers for ever, and others for every other purpose."""

import itertools

import pytest

from vqclip.base import seeds


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ((0, "crops 0", 0, 0), 6042899305347866855),
        ((7, "crops 0", 0, 119), 6763235211311745098),
        ((2**62, "start", 3), 775575177199903941),
        ((7, "image prompt"), 3752435477510240193),
    ],
)
def test_derived_numbers_never_change(arguments: tuple[int, str], number: int) -> None:
    """Every picture ever painted hangs on these; a change of them changes all pictures."""
    assert seeds.derive(*arguments) == number


def test_every_argument_matters() -> None:
    numbers = {
        seeds.derive(*key)
        for key in itertools.product(range(6), ("crops 0", "crops 1", "start"), range(6), range(6))
    }
    assert len(numbers) == 6 * 3 * 6 * 6
    assert all(0 <= number < 2**63 for number in numbers)


def test_drawn_seeds_differ_and_are_short() -> None:
    drawn = {seeds.draw() for _ in range(50)}
    assert len(drawn) > 45
    assert all(0 <= seed < 2**32 for seed in drawn)
