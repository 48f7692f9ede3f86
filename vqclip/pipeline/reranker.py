"""Rank finished images by their similarity to their prompts."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from vqclip.base.stop import StopToken
from vqclip.config.prompt import Kind, Prompt
from vqclip.guidance.interfaces import Perceptor
from vqclip.guidance.ops import cover
from vqclip.media.image import from_pil, load_image
from vqclip.pipeline.events import Events, Finished, Ranked, Result
from vqclip.runs.record import keep_score


class Reranker:
    """Score images with a Perceptor; use one that didn't guide them, since their guide scores them too high."""

    def __init__(self, perceptor: Perceptor):
        self.perceptor = perceptor
        self._texts: dict[tuple[str, ...], Tensor] = {}

    @torch.no_grad()
    def score(self, image: Tensor, prompts: Sequence[Prompt]) -> float:
        """Compute the weighted mean of the cosines of an image (1 3 h w) in [0, 1] and its prompts, from -1 to 1.

        A prompt of negative weight lowers the score of images that resemble it. Noise and stored embeddings don't
        count; without other prompts the score is 0.
        """
        embedding = self.embed_image(image)
        scored = [prompt for prompt in prompts if prompt.kind not in (Kind.NOISE, Kind.VECTOR)]
        similarities = [prompt.weight * float(embedding @ self._embed(prompt)) for prompt in scored]
        return sum(similarities) / max(sum(abs(prompt.weight) for prompt in scored), 1e-12)

    def _embed(self, prompt: Prompt) -> Tensor:
        if prompt.kind is Kind.IMAGE:
            return self.embed_image(load_image(Path(prompt.body)))
        return self.embed_texts([prompt.body])[0]

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as unit vectors (n d), once."""
        key = tuple(texts)
        if key not in self._texts:
            self._texts[key] = self.perceptor.embed_texts(texts)
        return self._texts[key]

    def embed_image(self, image: Tensor) -> Tensor:
        """Embed an image's centred square and its mirror image, and average the two -> (d)."""
        size = self.perceptor.size
        square = cover(image, size, size).clamp(0, 1).to(self.perceptor.device)
        both = self.perceptor.embed_crops(torch.cat([square, square.flip(-1)])).mean(0)
        return both / both.norm()


def ranked(events: Events, reranker: Callable[[], Reranker], keep: int, stop: StopToken | None) -> Events:
    """Pass events on, then yield a Ranked for each image that they finished, the best first.

    `reranker` is called once, for the first image. Each run folder's record keeps its score. After a stop nothing is
    ranked.
    """
    scored: list[tuple[float, Result]] = []
    judge: Reranker | None = None
    with closing(events):
        for event in events:
            yield event
            if isinstance(event, Finished):
                judge, made = judge or reranker(), event.result
                score = judge.score(from_pil(made.image), made.config.parsed_prompts)
                if made.folder is not None:
                    keep_score(made.folder, score, judge.perceptor.name)
                scored.append((score, made))
    if stop and stop.stopped:
        return
    for rank, (score, made) in enumerate(sorted(scored, key=lambda pair: -pair[0]), 1):
        yield Ranked(made, score, rank, rank <= keep)
