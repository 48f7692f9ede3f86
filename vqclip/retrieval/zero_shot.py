"""Classify images zero-shot: by the similarity of their embeddings to those of labels (CLIP, arXiv 2103.00020)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vqclip.base.errors import UsageError
from vqclip.guidance.interfaces import Perceptor
from vqclip.retrieval.embedder import embed_texts
from vqclip.retrieval.records import Classified

TEMPLATES = ("a picture of a {}",)


def class_embeddings(perceptor: Perceptor, labels: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """Embed labels (m d): of each the mean of its templates' embeddings, scaled to length one (section 3.1.4)."""
    texts = [template.replace("{}", label) for label in labels for template in templates]
    each = embed_texts(perceptor, texts).reshape(len(labels), len(templates), -1)
    mean = each.mean(1)
    vectors: np.ndarray = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return vectors


def probabilities(perceptor: Perceptor, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Compute the probabilities (n m) of classes (m d) for images (n d), with the model's own temperature.

    A model with a bias, as SigLIP has it (arXiv 2303.15343), gives each label a probability of its own by a sigmoid;
    the others' sum to one. Raises UsageError where the model has no temperature.
    """
    if perceptor.logit_scale is None:
        raise UsageError(
            f"{perceptor.name} has no temperature, so that its similarities are no probabilities; "
            "name another --model, or use vqclip rank"
        )
    logits = perceptor.logit_scale * (images @ classes.T).astype(np.float64)
    if perceptor.logit_bias is not None:
        return 1 / (1 + np.exp(-(logits + perceptor.logit_bias)))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(1, keepdims=True)
    return shares


def classified(path: Path, labels: Sequence[str], shares: np.ndarray) -> Classified:
    """Order an image's labels by their probabilities (m)."""
    order = np.argsort(-shares, kind="stable")
    return Classified(path, [(labels[i], float(shares[i])) for i in order])


def check_labels(labels: Sequence[str], templates: Sequence[str]) -> None:
    """Raise UsageError for fewer than two labels, for a label given twice, and for a template without `{}`."""
    if len(labels) < 2:
        raise UsageError('a choice needs two labels or more, as in --labels "cat,dog"')
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise UsageError(f"the label {twice!r} is given twice; leave one out")
    if wrong := next((template for template in templates if "{}" not in template), None):
        raise UsageError(f"the template {wrong!r} has no {{}} for the label, as in 'a picture of a {{}}'")
