"""Films: a frame's stages share out its steps, and its latent covers its size."""

import itertools
from typing import Any

import pytest
from conftest import Tiny

from vqclip.base.errors import ConfigError
from vqclip.config.timeline import Film, latent_shape


@pytest.mark.parametrize("shares", [[1], [0.4, 0.6], [1, 0.001], [0.001, 0.001, 1], [0.2, 0.3, 0.1, 1]])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 120])
def test_stages_cover_every_step_once_and_end_at_full_size(
    tiny: Tiny, shares: list[float], steps: int
) -> None:
    scales = [(i + 1) / len(shares) for i in range(len(shares))]
    given = [{"scale": scale, "share": share} for scale, share in zip(scales, shares, strict=True)]
    (frame,) = Film(tiny(steps=steps, latent={"stages": given}))
    assert [i for stage in frame.stages for i in range(stage.begin, stage.end)] == list(range(steps))
    assert all(stage.begin < stage.end for stage in frame.stages)
    assert frame.stages[-1].scale == 1


def test_steps_are_shared_by_weight(tiny: Tiny) -> None:
    stages = [{"scale": 0.5, "share": 0.2}, {"scale": 1.0, "share": 0.6}]
    (frame,) = Film(tiny(steps=100, latent={"stages": stages}))
    assert [(stage.begin, stage.end) for stage in frame.stages] == [(0, 25), (25, 100)]


def test_a_still_is_one_frame_of_its_config(tiny: Tiny) -> None:
    config = tiny(prompts=["a|b:2", "[noise:3]"], size="20x12")
    (frame,) = Film(config)
    assert tuple(prompt.prompt for prompt in frame.prompts) == config.parsed_prompts
    assert (frame.index, frame.width, frame.height, frame.steps) == (0, 20, 12, config.steps)


@pytest.mark.parametrize("factor", [1, 2, 8, 16])
def test_cells_cover_the_size_with_less_than_a_cell_to_spare(factor: int) -> None:
    for width, height, scale in itertools.product((1, 15, 16, 17, 192), (1, 9, 108), (0.3, 0.5, 1.0)):
        rows, columns = latent_shape(width, height, factor, scale)
        assert (rows - 1) * factor < height * scale <= rows * factor
        assert (columns - 1) * factor < width * scale <= columns * factor


def story(tiny: Tiny, *prompts: str, frames: int = 6, **settings: Any) -> Film:
    return Film(tiny(prompts=list(prompts), story={"frames": frames}, **settings))


def told(film: Film) -> list[list[tuple[str, float]]]:
    """What each frame wishes for, and how much."""
    return [[(prompt.prompt.body, prompt.prompt.weight) for prompt in frame.prompts] for frame in film]


class TestStory:
    def test_each_scene_has_its_frames_and_ends_with_its_own_wish_alone(self, tiny: Tiny) -> None:
        film = story(tiny, "a ^ b ^ c")
        assert film.rendered_frames == film.output_frames == 18
        for scene, prompt in enumerate("abc"):
            end = film.frame(6 * scene + 5)
            assert [(w.prompt.body, w.leaving, w.share) for w in end.prompts] == [(prompt, None, 1.0)]

    def test_a_scene_comes_out_of_the_one_before_evenly(self, tiny: Tiny) -> None:
        film = story(tiny, "a ^ b:3")
        (fading,) = zip(*(frame.prompts for frame in list(film)[6:9]), strict=True)
        assert [prompt.share for prompt in fading] == [0.25, 0.5, 0.75]
        assert [prompt.prompt.weight for prompt in fading] == [1.5, 2.0, 2.5]
        assert {prompt.leaving.body for prompt in fading if prompt.leaving} == {"a"}

    def test_what_has_no_partner_fades_by_its_weight(self, tiny: Tiny) -> None:
        film = story(tiny, "a | x:2 ^ b ^ c | y")
        assert told(film)[7] == [("b", 1.0), ("x", 1.0)]
        assert told(film)[13] == [("c", 1.0), ("y", 0.5)]

    def test_a_line_without_scenes_is_wished_for_throughout(self, tiny: Tiny) -> None:
        """Pictures and noise too, where a peer drops them when the scene changes."""
        film = story(tiny, "a ^ b", "[style.png]:0.5", "[noise:3]:0.1")
        assert all(prompts[1:] == [("style.png", 0.5), ("3", 0.1)] for prompts in told(film))

    def test_a_weight_runs_over_all_frames(self, tiny: Tiny) -> None:
        film = story(tiny, "a ^ b", "fog:{0 -> 1.1}")
        assert [prompts[1][1] for prompts in told(film)] == pytest.approx([i / 10 for i in range(12)])

    @pytest.mark.parametrize(("after", "last"), [("stay", "b"), ("repeat", "a")])
    def test_a_longer_film_stays_or_begins_again(self, tiny: Tiny, after: str, last: str) -> None:
        config = tiny(
            prompts=["a ^ b"], film={"frames": 18}, story={"frames": 6, "after": after, "fade": 0.5}
        )
        assert told(Film(config))[17] == [(last, 1.0)]
        assert [prompt.share for prompt in Film(config).frame(13).prompts] == [
            1.0 if after == "stay" else 0.5
        ]

    @pytest.mark.parametrize("after", ["stay", "repeat"])
    @pytest.mark.parametrize("loop", [True, False])
    def test_a_single_scene_never_fades(self, tiny: Tiny, after: str, loop: bool) -> None:
        """However long the film is, nothing of its beginning is mixed in again."""
        config = tiny(prompts=["a"], film={"frames": 30, "loop": loop}, story={"frames": 5, "after": after})
        assert all(frame.fresh == 0 and frame.scene == 0 for frame in Film(config))

    def test_a_loop_stays_with_the_last_scene_until_it_closes(self, tiny: Tiny) -> None:
        config = tiny(prompts=["a ^ b"], story={"frames": 4}, film={"frames": 16, "loop": True, "overlap": 4})
        assert told(Film(config))[15] == [("b", 1.0)]
        assert [prompt.prompt.body for prompt in Film(config).frame(16).prompts] == ["a"]
        assert Film(config).frame(19).prompts[0].share == 1.0

    def test_a_video_decides_how_long_it_is(self, tiny: Tiny) -> None:
        config = tiny(prompts=["a ^ b"], source={"video": "x.mp4"}, story={"frames": 6})
        assert Film(config, source_frames=31).output_frames == 31
        assert Film(tiny(source={"video": "x.mp4"}, film={"frames": 9}), source_frames=31).output_frames == 9

    def test_lines_that_tell_stories_have_as_many_scenes(self, tiny: Tiny) -> None:
        with pytest.raises(ConfigError, match="2 and 3 scenes"):
            tiny(prompts=["a ^ b", "a ^ b ^ c"])

    def test_a_stills_weight_stays_a_schedule_over_its_steps(self, tiny: Tiny) -> None:
        (fog,) = Film(tiny(prompts=["fog:{0 -> 1}"])).frame(0).prompts
        assert fog.prompt.course == "0 -> 1"


class TestPictures:
    """What is shown is mixed of what is painted."""

    def film(self, tiny: Tiny, window: int, overlap: int = 0, frames: int = 10) -> Film:
        return Film(
            tiny(film={"frames": frames, "window": window, "loop": overlap > 0, "overlap": overlap or 1})
        )

    @pytest.mark.parametrize("window", [1, 3, 7])
    @pytest.mark.parametrize("overlap", [0, 1, 4])
    def test_shares_add_up_and_every_picture_becomes_ready_once(
        self, tiny: Tiny, window: int, overlap: int
    ) -> None:
        film = self.film(tiny, window, overlap)
        assert film.rendered_frames == 10 + overlap
        assert all(sum(film.blend(i).values()) == pytest.approx(1) for i in range(film.output_frames))
        assert [i for frame in film for i in film.ready(frame.index)] == list(range(film.output_frames))

    def test_smoothing_weighs_as_published(self, tiny: Tiny) -> None:
        """Of three latents by a falloff of 0.7: 0.1875, 0.625 and 0.1875; the last ones are shown too."""
        film = self.film(tiny, 3)
        assert film.blend(4) == pytest.approx({3: 0.1875, 4: 0.625, 5: 0.1875})
        assert film.blend(9) == pytest.approx({8: 0.3 / 1.3, 9: 1 / 1.3})

    def test_a_loop_ends_where_it_begins(self, tiny: Tiny) -> None:
        """The last picture is nearly the frame before the first; none jumps."""
        film = self.film(tiny, 1, overlap=4)
        assert film.blend(0) == {4: 1.0}
        assert film.blend(9) == pytest.approx({13: 0.2, 3: 0.8})
        shares = [film.blend(6 + i).get(i, 0) for i in range(4)]
        assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8])

    def test_a_loop_needs_more_frames_than_it_overlaps(self, tiny: Tiny) -> None:
        with pytest.raises(ConfigError, match="can't fade"):
            self.film(tiny, 1, overlap=10)


def test_a_storys_prefix_and_suffix_stay_through_its_scenes(tiny: Tiny) -> None:
    """Images, weights and lines of one scene stay as they are."""
    prompts = ["a seed:2 | [a.png] ^ a tree @ left", "fog"]
    story = {"prefix": "a watercolour of", "suffix": ", at night"}
    config = tiny(prompts=prompts, story=story)
    seed, image, tree, fog = config.parsed_prompts
    assert (seed.body, seed.weight) == ("a watercolour of a seed, at night", 2)
    assert (tree.body, tree.region) == ("a watercolour of a tree, at night", "left")
    assert (image.body, fog.body) == ("a.png", "fog")
    assert [p.body for p in tiny(prompts=prompts).parsed_prompts] == ["a seed", "a.png", "a tree", "fog"]
