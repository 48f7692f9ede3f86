"""Define the start `prior`: samples of the small transformer that ships with vqclip."""

from dataclasses import dataclass

from vqclip.config.rules import key, within
from vqclip.start.transformer_config import TransformerStart


@dataclass(frozen=True, kw_only=True)
class PriorStart(TransformerStart):
    """Start from the best of several images whose codes mini-prior samples for the prompt."""

    model: str = key(default="mini-prior")
    candidates: int = within(1, 256, default=8)
