"""`losses` takes a weight or keys for each term, and old spellings mean what they meant."""

import pytest

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs


def weights(**given: object) -> dict[str, str]:
    return {name: term.weight for name, term in configs.resolve({"seed": 1} | given).losses.items()}


def test_a_number_is_a_weight() -> None:
    assert weights(losses={"tv": 0.5}) == weights(losses={"tv": {"weight": "0.5"}})
    settings = configs.resolve({"seed": 1}, settings=["losses.tv=0.5 -> 0"]).losses
    assert settings["tv"].weight == "0.5 -> 0"


def test_others_keep_their_weights() -> None:
    assert weights(losses={"tv": 7}) == {"tv": "7", "near_start": "0.3", "saturation": "0.0"}


@pytest.mark.parametrize("section", [{"smooth": 2, "vivid": 1}, {"tv": 2, "saturation": 1}])
def test_old_spellings_are_read(section: dict[str, float]) -> None:
    assert weights(penalties=section) == weights(losses={"tv": 2, "saturation": 1})


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"tvv": 1}, "losses: there is no loss 'tvv'; the names are .*tv.*; did you mean tv?"),
        ({"tv": -1}, "losses.tv.weight: '-1' goes down to -1"),
        ({"tv": None}, "losses.tv: null is no value here"),
        ({"tv": {"wieght": 1}}, "there is no key 'losses.tv.wieght' in a config"),
        ({"tv": [1]}, "losses.tv: .* is one value; this takes keys, such as losses.tv.weight"),
        (3, "losses: 3 is one value; this takes keys, such as losses"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(losses: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        weights(losses=losses)


def test_terms_that_never_weigh_leave_the_digest() -> None:
    """So that a config in which somebody turned a new term off is the one that never named it."""
    base = configs.resolve({"seed": 1})
    named = configs.from_dict(configs.to_dict(base))
    assert named.digest == base.digest
