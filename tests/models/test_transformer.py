"""Transformers over codes agree with a plain implementation, and what they sample keeps to what was asked."""

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from tiny_transformers import KINDS, random_transformer
from torch import Generator, Tensor

from vqclip.models.transformer import orders
from vqclip.models.transformer.architecture import TransformerArchitecture
from vqclip.models.transformer.network import CodeTransformer
from vqclip.models.transformer.sampling import (
    Conditions,
    Sampling,
    choose,
    complete,
    guide,
    running_sum,
    sample_windows,
    spawn,
    windows,
)

Weights = Mapping[str, Tensor]
NOTHING = torch.zeros(4, 4, dtype=torch.bool)
SAMPLED = [kind for kind in KINDS if kind != "map"]
GREEDY = Sampling(temperature=0)


# A plain implementation: no cache, one image and one head at a time, attention written out.


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    bias = w.get(f"{name}.bias")
    return x @ w[f"{name}.weight"].T + (0 if bias is None else bias)


def norm(x: Tensor, w: Weights, name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"]
        + w[f"{name}.bias"]
    )


def attend(x: Tensor, y: Tensor, w: Weights, name: str, heads: int, allowed: Tensor) -> Tensor:
    q, k, v = linear(x, w, f"{name}.query"), linear(y, w, f"{name}.key"), linear(y, w, f"{name}.value")
    read = []
    for queries, keys, values in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = queries @ keys.T / keys.shape[1] ** 0.5
        read.append(scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ values)
    return linear(torch.cat(read, -1), w, f"{name}.proj")


def bart_block(
    x: Tensor, w: Weights, at: str, heads: int, allowed: Tensor, text: tuple[Tensor, Tensor] | None
) -> Tensor:
    normed = norm(x, w, f"{at}.pre_self_attn_layer_norm")
    x = x + norm(
        attend(normed, normed, w, f"{at}.self_attn", heads, allowed), w, f"{at}.self_attn_layer_norm"
    )
    if text is not None:
        normed = norm(x, w, f"{at}.pre_encoder_attn_layer_norm")
        read = attend(normed, text[0], w, f"{at}.encoder_attn", heads, text[1])
        x = x + norm(read, w, f"{at}.encoder_attn_layer_norm")
    z = norm(x, w, f"{at}.glu.ln0")
    z = F.gelu(linear(z, w, f"{at}.glu.fc0")) * linear(z, w, f"{at}.glu.fc1")
    return x + linear(norm(z, w, f"{at}.glu.ln1"), w, f"{at}.glu.fc2")


def gpt_block(x: Tensor, w: Weights, at: str, heads: int, allowed: Tensor) -> Tensor:
    normed = norm(x, w, f"{at}.ln1")
    x = x + attend(normed, normed, w, f"{at}.attn", heads, allowed)
    return x + linear(F.gelu(linear(norm(x, w, f"{at}.ln2"), w, f"{at}.mlp.0")), w, f"{at}.mlp.2")


def plain_scores(network: CodeTransformer, condition: Tensor, codes: Tensor) -> Tensor:
    """The scores (t + 1 v) after the condition, and after each of an image's codes (t)."""
    a, w = network.architecture, network.state_dict()
    after = w["tok_emb.weight"][codes]
    text = None
    if a.flavour == "bart":
        read = (condition != 1)[None]
        y = norm(w["encoder.tok_emb.weight"][condition] + w["encoder.pos_emb"][0], w, "encoder.ln_emb")
        for i in range(a.layers):
            y = bart_block(y, w, f"encoder.blocks.{i}", a.heads, read.expand(len(y), -1), None)
        text = norm(y, w, "encoder.ln_f"), read
        before = w["tok_emb.weight"][a.start][None]
    elif a.conditioning == "embedding":
        before = linear(condition, w, "text_proj").view(a.prefix, a.width)
    else:
        before = w["text_emb.weight" if a.conditioning == "tokens" else "tok_emb.weight"][condition]
    x = torch.cat([before, after])
    x = x + w["pos_emb"][0, : len(x)]
    allowed = torch.ones(len(x), len(x)).tril().bool()
    allowed[: a.unmasked, : a.unmasked] = True
    x = norm(x, w, "ln_emb") if a.flavour == "bart" else x
    for i in range(a.layers):
        at = f"blocks.{i}"
        x = bart_block(x, w, at, a.heads, allowed, text) if text else gpt_block(x, w, at, a.heads, allowed)
    return linear(norm(x, w, "ln_f"), w, "head")[len(before) - 1 :]


def condition_of(a: TransformerArchitecture, count: int = 2) -> Tensor:
    """Conditions of some images, each its own."""
    generator = Generator().manual_seed(1)
    if a.conditioning == "embedding":
        return torch.randn(count, a.embedding, generator=generator)
    length = a.text if a.conditioning == "tokens" else a.conditions
    tokens = torch.randint(2, 10, (count, length), generator=generator)
    if a.flavour == "bart":
        tokens[:, -2:] = 1  # beyond the text's end
    return tokens


def sampled(network: CodeTransformer, sampling: Sampling = GREEDY, count: int = 2, seed: int = 0) -> Tensor:
    given = Conditions(condition_of(network.architecture, count))
    codes = torch.zeros(count, 4, 4, dtype=torch.long)
    return complete(network, given, codes, NOTHING, sampling, spawn(Generator().manual_seed(seed), count))


class TestNetwork:
    @pytest.mark.parametrize("kind", SAMPLED)
    def test_scores_agree_with_a_plain_implementation(self, kind: str) -> None:
        network = random_transformer(kind)
        condition = condition_of(network.architecture)
        codes = torch.randint(16, (2, 16), generator=Generator().manual_seed(2))
        scores = network.score_all(condition, codes)
        for one, given, own in zip(scores, condition, codes, strict=True):
            torch.testing.assert_close(one, plain_scores(network, given, own[:-1]), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("kind", SAMPLED)
    def test_the_cache_changes_no_score(self, kind: str) -> None:
        network = random_transformer(kind)
        condition = condition_of(network.architecture)
        codes = torch.randint(16, (2, 16), generator=Generator().manual_seed(2))
        first, cache = network.begin(condition)
        chunks = [network(part, cache) for part in (codes[:, :1], codes[:, 1:6], codes[:, 6:15])]
        whole = network.score_all(condition, codes)
        for scores, at in zip([first, *chunks], (0, 1, 6, 15), strict=True):
            torch.testing.assert_close(scores, whole[:, at], rtol=1e-4, atol=1e-4)

    def test_what_can_not_be_is_refused(self) -> None:
        for wrong in (
            {"heads": 3},
            {"block": 5},
            {"conditioning": "smell"},
            {"flavour": "plain"},
            {"width": 0},
        ):
            with pytest.raises(ValueError, match=r"."):
                random_transformer(**wrong)


class TestOrders:
    @pytest.mark.parametrize("name", orders.ORDERS)
    @pytest.mark.parametrize("side", [2, 4, 8, 16])
    def test_each_cell_once(self, name: str, side: int) -> None:
        order = orders.ORDERS[name](side, side)
        assert order.sort().values.equal(torch.arange(side * side))
        assert orders.name_of(order, side, side) == name or side == 2

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("row", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]),
            ("alternate", [[0, 1, 2, 3], [7, 6, 5, 4], [8, 9, 10, 11], [15, 14, 13, 12]]),
            ("z-curve", [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]),
            ("subsample", [[0, 4, 1, 5], [8, 12, 9, 13], [2, 6, 3, 7], [10, 14, 11, 15]]),
            ("spiral-out", [[9, 10, 11, 12], [8, 1, 2, 13], [7, 0, 3, 14], [6, 5, 4, 15]]),
            ("spiral-in", [[6, 5, 4, 3], [7, 14, 13, 2], [8, 15, 12, 1], [9, 10, 11, 0]]),
        ],
    )
    def test_places_of_cells(self, name: str, expected: list[list[int]]) -> None:
        """By hand: the number of each cell in the order."""
        assert orders.ORDERS[name](4, 4).argsort().view(4, 4).tolist() == expected

    def test_grids_that_an_order_does_not_take(self) -> None:
        for name, grid in (
            ("subsample", (6, 6)),
            ("subsample", (4, 8)),
            ("spiral-out", (3, 3)),
            ("spiral-in", (2, 4)),
        ):
            with pytest.raises(ValueError, match=r"a side of|no square"):
                orders.ORDERS[name](*grid)


class TestSampling:
    @pytest.mark.parametrize("kind", SAMPLED)
    @pytest.mark.parametrize("order", ["row", "spiral-out"])
    def test_greedy_codes_are_those_of_the_plain_implementation(self, kind: str, order: str) -> None:
        network = random_transformer(kind, order=order)
        made = sampled(network).flatten(1)[:, network.order]
        for given, codes in zip(condition_of(network.architecture), made, strict=True):
            plain = torch.zeros(0, dtype=torch.long)
            for _ in range(16):
                plain = torch.cat([plain, plain_scores(network, given, plain)[-1, :16].argmax()[None]])
            assert codes.equal(plain)

    @pytest.mark.parametrize("order", ["row", "z-curve"])
    def test_known_codes_stay_and_the_others_follow_from_them(self, order: str) -> None:
        network = random_transformer("class", order=order)
        codes = torch.randint(16, (2, 4, 4), generator=Generator().manual_seed(3))
        known = torch.rand(4, 4, generator=Generator().manual_seed(4)) < 0.5
        given = condition_of(network.architecture)
        made = complete(network, Conditions(given), codes, known, GREEDY, spawn(Generator(), 2))
        assert made[:, known].equal(codes[:, known])
        ordered = made.flatten(1)[:, network.order]
        for condition, own in zip(given, ordered, strict=True):
            greedy = plain_scores(network, condition, own[:-1])[:, :16].argmax(-1)
            unknown = ~known.flatten()[network.order]
            assert own[unknown].equal(greedy[unknown])

    def test_the_same_seed_samples_the_same_however_many(self) -> None:
        network = random_transformer()
        two, three = sampled(network, Sampling(), 2), sampled(network, Sampling(), 3)
        assert two.equal(three[:2])
        assert not two[0].equal(two[1])
        assert not two.equal(sampled(network, Sampling(), 2, seed=1))

    def test_only_allowed_codes_are_sampled(self) -> None:
        network, allowed = random_transformer(), torch.tensor([3, 5, 11])
        codes = torch.zeros(1, 4, 4, dtype=torch.long)
        given = Conditions(torch.zeros(1, 1, dtype=torch.long))
        made = complete(network, given, codes, NOTHING, Sampling(), spawn(Generator(), 1), allowed)
        assert set(made.flatten().tolist()) <= {3, 5, 11}

    def test_draws_have_the_softmax_of_the_scores(self) -> None:
        scores = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
        draws = (torch.arange(4000) + 0.5) / 4000
        for sampling, expected in (
            (Sampling(), scores.softmax(-1)),
            (Sampling(temperature=0.5), (2 * scores).softmax(-1)),
            (
                Sampling(top_k=2),
                torch.tensor([[0.0, 1.0, float("-inf"), 2.0]]).where(scores >= 1, -1e9).softmax(-1),
            ),
            (Sampling(top_p=0.5), torch.tensor([[0.0, 0.0, 0.0, 1.0]])),
            (Sampling(top_p=0.7), scores.where(scores >= 1, -1e9).softmax(-1)),
        ):
            drawn = choose(scores.expand(4000, 4), draws, sampling)
            shares = torch.bincount(drawn, minlength=4) / 4000
            torch.testing.assert_close(shares, expected[0], rtol=0, atol=1e-3)

    def test_guidance_leads_away_from_no_condition(self) -> None:
        empty, given = torch.randn(2, 3, 5, generator=Generator().manual_seed(0))
        both = torch.cat([empty, given])
        torch.testing.assert_close(guide(both, 4.0, 2), empty + 4 * (given - empty))
        assert guide(given, 4.0, 1) is given

    def test_guidance_reads_both_conditions(self) -> None:
        network = random_transformer("bart")
        given = condition_of(network.architecture)
        empty = torch.tensor([[0, 2, 1, 1, 1, 1]]).expand(2, -1)
        codes = torch.zeros(2, 4, 4, dtype=torch.long)
        sampling = Sampling(temperature=0, guidance=4.0)
        made = complete(network, Conditions(given, empty), codes, NOTHING, sampling, spawn(Generator(), 2))
        for own, condition in zip(made.flatten(1), given, strict=True):
            said = plain_scores(network, condition, own[:-1])[:, :16]
            silent = plain_scores(network, empty[0], own[:-1])[:, :16]
            assert own.equal((silent * (1 - 4.0) + said * 4.0).argmax(-1))

    def test_running_sums(self) -> None:
        x = torch.rand(3, 37, generator=Generator().manual_seed(0))
        torch.testing.assert_close(running_sum(x), x.cumsum(-1))


class TestWindows:
    @pytest.mark.parametrize("size", [(4, 4), (5, 4), (6, 9), (16, 4)])
    def test_they_cover_every_cell_and_stay_inside(self, size: tuple[int, int]) -> None:
        covered = torch.zeros(size)
        for top, left in windows(size, (4, 4)):
            assert top + 4 <= size[0]
            assert left + 4 <= size[1]
            covered[top : top + 4, left : left + 4] += 1
        assert covered.min() > 0

    def test_one_window_is_the_grid(self) -> None:
        network = random_transformer("class")
        given, codes = Conditions(condition_of(network.architecture)), torch.zeros(2, 4, 4, dtype=torch.long)
        made = sample_windows(network, lambda top, left: given, codes, NOTHING, GREEDY, spawn(Generator(), 2))
        assert made.equal(sampled(network))

    def test_a_window_keeps_the_cells_of_those_before(self) -> None:
        network = random_transformer("class")
        given, codes = Conditions(condition_of(network.architecture)), torch.zeros(2, 4, 6, dtype=torch.long)
        known = torch.zeros(4, 6, dtype=torch.bool)
        made = sample_windows(network, lambda top, left: given, codes, known, GREEDY, spawn(Generator(), 2))
        assert made[:, :, :4].equal(sampled(network))
        left_half = torch.tensor([True, True, False, False]).expand(4, 4)
        second = complete(network, given, made[:, :, 2:], left_half, GREEDY, spawn(Generator(), 2))
        assert made[:, :, 2:].equal(second)
