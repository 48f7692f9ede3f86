"""Nested settings are compared key by key."""

from vqclip.config.diff import differences, flatten


def test_flatten_names_every_leaf() -> None:
    nested = {"a": {"b": 1}, "c": [{"d": 2}, {"d": 3}], "e": ["x", "y"], "f": {}}
    assert flatten(nested) == {"a.b": 1, "c[0].d": 2, "c[1].d": 3, "e": ["x", "y"], "f": {}}


def test_differences_are_those_keys_that_differ_on_either_side() -> None:
    one, other = {"a": 1, "b": {"c": 2}, "d": 3}, {"a": 1, "b": {"c": 4}, "e": 5}
    assert differences(one, other) == [("b.c", 2, 4), ("d", 3, None), ("e", None, 5)]
    assert differences(one, one) == []
