"""What `vqclip vary` makes: images that start from a picture, and targets on the arc between two pictures."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import DEVICE, Tiny, Vqclip
from PIL import Image

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.config.timeline import Film
from vqclip.media.image import load_image, read_metadata
from vqclip.pipeline.pipeline import Pipeline

PICTURES = ("a.png", "b.png")


@pytest.fixture(autouse=True)
def pictures() -> None:
    """Two pictures in the working folder, wider than high."""
    for number, name in enumerate(PICTURES):
        noise = torch.rand(6, 12, 3, generator=torch.Generator().manual_seed(number))
        Image.fromarray((noise * 255).byte().numpy()).resize((32, 16)).save(name)


@pytest.fixture
def small(tiny: Tiny, tmp_path: Path) -> tuple[str, str]:
    """-c FILE of a tiny config without prompts, seed, start and strength."""
    values = configs.to_dict(tiny(steps=3, size="64x64"))
    for key in ("prompts", "seed", "start", "strength", "story"):
        del values[key]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return "-c", str(tmp_path / "tiny.yaml")


class TestVary:
    def test_makes_as_many_as_asked_that_differ_and_have_the_pictures_shape(
        self, vqclip: Vqclip, small: tuple[str, str]
    ) -> None:
        done = vqclip("vary", "a.png", *small, "--count", "3", "--seed", "5", "-q")
        images = [Image.open(line) for line in done.lines]
        assert [read_metadata(Path(line))["config"]["seed"] for line in done.lines] == [5, 6, 7]
        assert len({image.tobytes() for image in images}) == 3
        assert all(image.width == 2 * image.height for image in images)

    def test_can_be_made_again_from_an_image(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        for names in (PICTURES[:1], PICTURES):
            last = vqclip("vary", *names, *small, "--count", "2", "--seed", "5", "-q").lines[-1]
            again = vqclip("reproduce", last)
            assert again.code == 0
            assert "the same" in again.err

    def test_between_two_pictures_each_starts_from_the_nearer_one(
        self, vqclip: Vqclip, small: tuple[str, str]
    ) -> None:
        done = vqclip("vary", *PICTURES, *small, "--count", "3", "--seed", "5", "-q", "-o", "between.png")
        made = [read_metadata(Path(line))["config"] for line in done.lines]
        assert [(each["init"], each["story"]["at"]) for each in made] == [
            ("a.png", 0.25), ("a.png", 0.5), ("b.png", 0.75),
        ]  # fmt: skip
        assert done.lines == [f"between-{seed}.png" for seed in (5, 6, 7)]

    def test_refuses_three_pictures_in_one_line(self, vqclip: Vqclip) -> None:
        done = vqclip("vary", "a.png", "b.png", "a.png")
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert "two at the most" in done.err


class TestStrength:
    def start(self, config: configs.Config) -> torch.Tensor:
        """The first image of a Config."""
        pipeline = Pipeline(config, DEVICE)
        return pipeline.first_image(pipeline.film.frame(0), torch.Generator().manual_seed(config.seed))

    def test_mixes_another_start_into_the_init(self, tiny: Tiny) -> None:
        init, half, other = (
            self.start(tiny(init="a.png", size="32x16", strength=strength)) for strength in (0, 0.5, 1)
        )
        assert torch.equal(init, load_image(Path("a.png")))
        assert torch.equal(other, self.start(tiny(size="32x16")))
        torch.testing.assert_close(half, (init + other) / 2)

    def test_without_it_a_config_keeps_its_digest(self, tiny: Tiny) -> None:
        config = tiny(init="a.png")
        assert config.strength == 0
        assert config.digest != tiny(init="a.png", strength=0.5).digest
        values = configs.to_dict(config)
        del values["strength"], values["story"]["at"]
        assert configs.from_dict(values).digest == config.digest


class TestStillOfAStory:
    def test_has_the_target_of_the_films_frame(self, tiny: Tiny) -> None:
        """Its target is that of the film's frame at the same share of the fade."""
        story = tiny(prompts=["[a.png] ^ [b.png]"], story={"frames": 3, "fade": 1.0})
        still = tiny(prompts=["[a.png] ^ [b.png]"], story={"at": 0.25})
        assert story.is_film
        assert not still.is_film
        (of_still,), (of_film,) = Film(still).frame(0).prompts, Film(story).frame(3).prompts
        assert of_still.share == of_film.share == 0.25
        assert of_still == of_film

    def test_ends_are_the_scenes_themselves(self, tiny: Tiny) -> None:
        for at, body in ((0, "a"), (1, "b"), (2, "c")):
            (prompt,) = Film(tiny(prompts=["a ^ b ^ c"], story={"at": at})).frame(0).prompts
            assert (prompt.prompt.body, prompt.leaving) == (body, None)

    def test_refuses_what_is_no_still(self, tiny: Tiny) -> None:
        for settings in (
            {"story": {"at": 1.5}},
            {"story": {"at": 0.5}, "film": {"frames": 3}},
            {"story": {"at": 0.5}, "source": {"video": "a.mp4"}},
        ):
            with pytest.raises(ConfigError, match=r"story\.at"):
                tiny(prompts=["a ^ b"], **settings)
