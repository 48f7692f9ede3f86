"""Stage two: a small text tower of open_clip's own kind learns to read as the teacher does.

Letters in shapes: n sentences, t tokens, e = 512 dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import work
from training.towers.heads import Heads
from training.towers.sentences import Sentences
from training.work import Foreign


def read(clip: Foreign, tokens: Tensor) -> Tensor:
    """`clip.encode_text` without the padding behind the longest sentence: n t → unit vectors n e.

    The tower is causal and pools at the end token, so what stands behind it changes nothing but the time.
    """
    end = tokens.argmax(1)
    tokens = tokens[:, : int(end.max()) + 1]
    length = tokens.shape[1]
    x = clip.token_embedding(tokens) + clip.positional_embedding[:length]
    x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
    x = clip.ln_final(x)[torch.arange(len(tokens)), end]
    return F.normalize((x @ clip.text_projection).float(), dim=1)


@torch.no_grad()
def begin_tokens(clip: Foreign, sentences: Sentences) -> None:
    """Give every token the meaning that the teacher sees in it alone, in the principal axes of the vocabulary.

    Rare words are then never noise, however short the training.
    """
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415

    words = [word.replace("</w>", "") for word in SimpleTokenizer().encoder][
        : clip.token_embedding.num_embeddings
    ]
    meaning = sentences(words)
    meaning = meaning - meaning.mean(0)
    width = clip.token_embedding.embedding_dim
    _, _, axes = torch.pca_lowrank(
        meaning[torch.randperm(len(meaning))[:8000]], q=min(width, 256), center=False
    )
    projected = torch.zeros(len(words), width)
    projected[:, : axes.shape[1]] = meaning @ axes
    clip.token_embedding.weight[: len(words)].copy_(0.05 * projected / projected.std())
    first = clip.transformer.resblocks[0].attn  # begin by averaging what all words so far mean
    first.in_proj_weight[:width].zero_()
    first.in_proj_weight[2 * width :].copy_(torch.eye(width))
    first.out_proj.weight.copy_(torch.eye(width))


def distil(
    clip: Foreign,
    tokenizer: Callable[[list[str]], Tensor],
    heads: Heads,
    texts: list[str],
    embedded: Tensor,
    minutes: float,
    folder: Path,
    batch: int = 384,
    rate: float = 1.5e-3,
    until: float = 1.0,
) -> None:
    """Teach `clip`'s text half the teacher's vectors: cosine, and telling apart the sentences of a batch."""
    learnt = [
        p for name, p in clip.named_parameters() if not name.startswith("visual") and name != "logit_scale"
    ]
    optimizer = torch.optim.AdamW(learnt, rate, betas=(0.9, 0.98), weight_decay=0.01)
    state = work.load_snapshot(folder / "text.pt")
    step = 0
    if state:
        clip.load_state_dict(state["clip"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    clock, save, tell = work.Clock(minutes, state["spent"] if state else 0.0), work.Every(60), work.Every(20)
    heads.eval()
    threads = work.Threads()
    tokens = tokenizer(texts)
    by_length = tokens.argmax(1).argsort()  # a batch of like lengths has little padding: half the time
    while clock.progress < until or step == 0:
        threads.adapt()
        work.set_rate(optimizer, rate * work.falling(clock.progress, step, warmup=60))
        begin = int(torch.randint(max(1, len(texts) - batch), ()))
        rows = by_length[begin : begin + batch]
        with torch.no_grad():
            wanted = heads.read(embedded[rows].float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = read(clip, tokens[rows])
        near = 1 - (ours * wanted).sum(1).mean()
        apart = F.cross_entropy(20 * ours @ wanted.T, (20 * wanted @ wanted.T).softmax(1))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(4 * near + 0.5 * apart)
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        step += 1
        if tell.due():
            work.log(
                folder / "log.jsonl",
                stage="text",
                step=step,
                cosine=1 - float(near.detach()),
                apart=float(apart.detach()),
            )
        if save.due():
            work.save_snapshot(
                {
                    "clip": clip.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "spent": clock.spent,
                },
                folder / "text.pt",
            )
    work.save_snapshot(
        {"clip": clip.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "spent": clock.spent},
        folder / "text.pt",
    )
