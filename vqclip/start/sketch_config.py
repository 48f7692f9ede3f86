"""Define the keys of the start `sketch`, and the weights that it needs."""

from dataclasses import dataclass

from vqclip.base.errors import ConfigError
from vqclip.config.prompt import READ, Kind
from vqclip.config.rules import key
from vqclip.guidance.interfaces import FirstImage, Start, StartTools
from vqclip.weights.requirement import Requirement


@dataclass(frozen=True, kw_only=True)
class SketchStart(Start):
    """Start from drawings of the things that the prompts name, arranged as the prompts say."""

    sketchbook: str = key(default="mini-sketch")
    reader: str = key(default="mini-clip-2", neutral="mini-clip")

    def requirements(self) -> tuple[Requirement, ...]:
        return (
            Requirement("sketchbook", self.sketchbook, "sketchbook"),
            Requirement("sketch reader", self.reader, "clip"),
        )

    def prepare(self, tools: StartTools) -> FirstImage:
        """Embed the prompts' phrases with the sketchbook's own CLIP, which need not be a perceptor."""
        from vqclip.start.phrases import outline  # noqa: PLC0415  # so that requirements are listed at once
        from vqclip.start.sketch import Sketch  # noqa: PLC0415  # torch
        from vqclip.start.sketchbook import load_sketchbook  # noqa: PLC0415  # torch

        embeddings = tools.embeddings(self.reader)
        said = [outline(prompt.body) for prompt in embeddings.prompts if prompt.kind in READ]
        texts = sorted(set().union(*(outline.texts for outline in said)))
        known = {text: embeddings.perceptor.embed_texts([text]) for text in texts}
        book = tools.models.load(self.sketchbook, load_sketchbook)
        self._check_fit(len(book.axes), {vector.shape[-1] for vector in known.values()})
        sketch = Sketch(book, embeddings.perceptor, embeddings.of, known, tools.base)
        return lambda frame, generator: sketch.image(
            [each.prompt for each in frame.prompts if each.prompt.kind is not Kind.VECTOR],
            frame.height,
            frame.width,
            generator,
        )

    def _check_fit(self, needed: int, widths: set[int]) -> None:
        if others := widths - {needed}:
            raise ConfigError(
                f"start.reader: {self.reader} embeds texts in {others.pop()} numbers, and {self.sketchbook} has words "
                f"of {needed}; name the CLIP that it was made with, as in --set start.reader={SketchStart.reader}"
            )
