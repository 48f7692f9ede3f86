"""Recipes: the preset that a VQGAN is known to work well with. It is laid over the defaults and under all else."""

from vqclip.weights import catalog

UNKNOWN = "recipes/nerdyrodent"  # for files, and for cards that name none: what most images were made with


def recipe_of(vqgan: str) -> str:
    """Name the preset that a VQGAN's card names, or UNKNOWN.

    Raises ConfigError if the user's catalogue doesn't read.
    """
    card = catalog.cards().get(vqgan)
    return (card and card.recipe) or UNKNOWN
