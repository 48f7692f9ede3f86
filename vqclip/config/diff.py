"""What differs between two things that were written down."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of nested mappings and lists: {'a': [{'b': 1}]} -> {'a[0].b': 1}. Plain lists stay whole."""
    return dict(_leaves(node, prefix))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Key, this and that for every dotted key whose values differ; None where a side hasn't got it."""
    left, right = flatten(one), flatten(other)
    keys = [*left, *(key for key in right if key not in left)]
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Differences between the metadata of two images.

    Weights differ where both sides know their digest: older images don't name all weights that they were made with.
    """
    return [row for row in differences(one, other) if not (row[0].startswith("weights.") and None in row[1:])]


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list) and any(isinstance(item, Mapping) for item in node):
        for i, item in enumerate(node):
            yield from _leaves(item, f"{prefix}[{i}]")
    else:
        yield prefix, node
