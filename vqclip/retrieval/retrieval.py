"""Classify, embed, search and rank files of images on one device, by generators of records."""

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from vqclip.base import runtime
from vqclip.config import prompt as prompt_lines
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry
from vqclip.pipeline.reranker import Reranker
from vqclip.retrieval import ranking, zero_shot
from vqclip.retrieval.batches import batches
from vqclip.retrieval.chosen import chosen_perceptors
from vqclip.retrieval.embedder import PerceptorEmbedder, embed_files, embed_texts
from vqclip.retrieval.records import (
    Classified,
    Embedded,
    Match,
    Progress,
    Retrieved,
    Scored,
    Skipped,
    Waiting,
)
from vqclip.retrieval.searching import check_query, search_folder

Item = TypeVar("Item")
Records = Generator[Item, None, None]
Place = str | Path


class Retrieval:
    """Hold what loads perceptors, and the number of threads; a Session has one: `session.retrieval`.

    Models are named as a config's perceptors are; by default they are those of the default config. They compute in
    float32. A file that can't be read gives a Skipped, and the others go on.
    """

    def __init__(self, load: Callable[[PerceptorEntry], Perceptor], threads: int):
        self._load, self._threads = load, threads

    def classify(
        self,
        images: Iterable[Place],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = zero_shot.TEMPLATES,
        models: Sequence[str] = (),
    ) -> Records[Classified | Skipped]:
        """Compute which label fits an image with which probability, by the mean of the models' probabilities.

        `{}` in a template stands for the label; of several templates the embeddings are averaged. Raises UsageError.

        >>> for found in session.retrieval.classify(["a.png"], ["cat", "dog"]):  # doctest: +SKIP
        ...     print(found.labels[0])
        """
        zero_shot.check_labels(labels, templates)
        return self._threaded(self._classify(images, labels, templates, self._perceptors(models)))

    def _classify(
        self,
        images: Iterable[Place],
        labels: Sequence[str],
        templates: Sequence[str],
        models: list[Perceptor],
    ) -> Records[Classified | Skipped]:
        classes = [zero_shot.class_embeddings(model, labels, templates) for model in models]
        for few in batches(map(Path, images)):
            skipped: dict[Path, Skipped] = {}
            shares: dict[Path, list[np.ndarray]] = {path: [] for path in few}
            for model, vectors in zip(models, classes, strict=True):
                read, seen, broken = embed_files(model, few, self._threads)
                skipped |= {one.path: one for one in broken}
                if read:
                    for path, row in zip(read, zero_shot.probabilities(model, seen, vectors), strict=True):
                        shares[path].append(row)
            for path in few:
                yield skipped.get(path) or zero_shot.classified(path, labels, np.mean(shares[path], axis=0))

    def embed(
        self, images: Iterable[Place] = (), *, texts: Sequence[str] = (), model: str | None = None
    ) -> Records[Embedded | Skipped]:
        """Embed images and texts as unit vectors of one space, images first.

        >>> vectors = [found.vector for found in session.retrieval.embed(["a.png"])]  # doctest: +SKIP
        """
        return self._threaded(self._embed(images, texts, self._one(model)))

    def _embed(
        self, images: Iterable[Place], texts: Sequence[str], perceptor: Perceptor
    ) -> Records[Embedded | Skipped]:
        for few in batches(map(Path, images)):
            read, vectors, broken = embed_files(perceptor, few, self._threads)
            yield from broken
            yield from (Embedded(str(path), vector) for path, vector in zip(read, vectors, strict=False))
        if texts:
            yield from map(Embedded, texts, embed_texts(perceptor, texts))

    def search(
        self,
        folder: Place,
        text: str | None = None,
        *,
        like: Sequence[Place] = (),
        unlike: Sequence[str] = (),
        count: int = 20,
        model: str | None = None,
    ) -> Records[Match | Skipped | Progress | Waiting]:
        """Find the images under a folder that are most similar to a text and to the images `like`; a Match for each.

        The score is the mean cosine of these, less the mean cosine of the texts `unlike`. The embeddings of a folder
        stay in the user's cache; a later call reads the files that are new or have changed. Raises UsageError.

        >>> for found in session.retrieval.search("photos", "a dog on a beach"):  # doctest: +SKIP
        ...     print(found)
        """
        check_query(text, like)
        entry = chosen_perceptors([model] if model else [])[0]
        examples = list(map(Path, like))
        embedder = partial(self.embedder, entry)
        return self._threaded(search_folder(Path(folder), text, examples, unlike, count, entry, embedder))

    def embedder(self, entry: PerceptorEntry) -> PerceptorEmbedder:
        """Load a perceptor, once, to embed files and texts with."""
        return PerceptorEmbedder(self._load(entry), self._threads)

    def rank(
        self, images: Iterable[Place], prompt: str, *, models: Sequence[str] = ()
    ) -> Records[Scored | Skipped]:
        """Score images as `best_of` does, and yield a Scored for each, the best first.

        With several models the score is the mean of theirs.

        >>> best = next(session.retrieval.rank(["a.png", "b.png"], "a red apple"))  # doctest: +SKIP
        """
        prompts = prompt_lines.parse(prompt)
        return self._threaded(self._rank(map(Path, images), prompts, self._rerankers(models)))

    def _rank(
        self, images: Iterable[Path], prompts: Sequence[prompt_lines.Prompt], rerankers: dict[str, Reranker]
    ) -> Records[Scored | Skipped]:
        scored = []
        for path in images:
            one = ranking.score(rerankers, path, prompts)
            if isinstance(one, Skipped):
                yield one
            else:
                scored.append(one)
        yield from sorted(scored, key=lambda one: -one.score)

    def retrieve(
        self, images: Iterable[Place], prompts: Place, *, models: Sequence[str] = ()
    ) -> Records[Retrieved | Skipped]:
        """Rank the prompts of a file by their similarity to each image; `retrieval.ranking.precision` sums it up.

        Which prompt is an image's own stands in the PNG, or before a tab in the file. Raises UsageError.
        """
        texts, named = ranking.read_prompts(Path(prompts))
        rerankers = list(self._rerankers(models).values())
        paths = [Path(image) for image in images]
        return self._threaded(ranking.retrieve(rerankers, path, texts, named) for path in paths)

    def _perceptors(self, models: Sequence[str]) -> list[Perceptor]:
        return [self._load(entry) for entry in chosen_perceptors(models)]

    def _one(self, model: str | None) -> Perceptor:
        return self._load(chosen_perceptors([model] if model else [])[0])

    def _rerankers(self, models: Sequence[str]) -> dict[str, Reranker]:
        return {entry.label: Reranker(self._load(entry)) for entry in chosen_perceptors(models)}

    def _threaded(self, records: Records[Item]) -> Records[Item]:
        return runtime.with_threads(records, self._threads)
