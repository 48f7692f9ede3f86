"""The start `prior` needs nothing but what ships with vqclip."""

import pytest

from vqclip.base.errors import ConfigError
from vqclip.config.registry import STARTS
from vqclip.start.prior_config import PriorStart
from vqclip.weights import catalog


def test_all_that_it_needs_ships() -> None:
    needs = PriorStart(name="prior").requirements()
    assert [need.name for need in needs] == ["mini-prior", "mini-vqgan", "mini-clip"]
    assert all(catalog.card(need.name).ships for need in needs)


def test_its_network_reads_mini_clips_embedding_of_the_prompt() -> None:
    architecture = PriorStart(name="prior").architecture()
    assert (architecture.conditioning, architecture.embedding, architecture.cells) == ("embedding", 512, 256)
    assert catalog.card("mini-prior").path.stat().st_size == catalog.card("mini-prior").bytes < 16e6


def test_it_is_chosen_by_name_and_no_model_is_refused() -> None:
    assert "prior" in STARTS.names()
    with pytest.raises(ConfigError, match=r"start\.model"):
        PriorStart(name="prior", model="")
