"""The gallery and the server's page in a browser: each control does what it says, and nothing else is asked for."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_page import Page, browsing, need_browser
from conftest import Tiny
from PIL import Image
from sample_runs import make_run

from vqclip.gallery.gallery import write_gallery
from vqclip.media.video_writer import assemble
from vqclip.runs.record import keep_score
from vqclip.session import Session

need_browser()
from selenium.webdriver.common.keys import Keys  # noqa: E402

NASTY = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
SIZES = {"wide": (1280, 860), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with browsing() as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """The browser, which in the end has complained about nothing."""
    browser.resize(*SIZES["wide"])
    browser.read_logs()
    browser.requests.clear()
    browser.complaints.clear()
    yield browser
    browser.read_logs()
    assert browser.complaints == []


@pytest.fixture
def gallery(page: Page) -> Page:
    """A page of six runs: one with a progress video, one unfinished, one whose prompt is HTML."""
    runs = Path("runs")
    owl = make_run(runs, "an owl", 1)
    assemble([Image.new("RGB", (48, 32), (6 * i, 0, 0)) for i in range(41)], owl / "progress.mp4", 10, {}, "")
    make_run(runs, "an owl at night", 2, size="32x48")
    make_run(runs, "a fox", 3, steps=80)
    make_run(runs, "a crow", 4, finished=False)
    make_run(runs, "a bear", 5, finished=False, image=False)
    write_gallery([*runs.iterdir(), make_run(runs, NASTY, 6)], Path("gallery.html"))
    page.open(Path("gallery.html").resolve().as_uri())
    page.js("localStorage.clear()")
    return page


def choose(page: Page, name: str, value: str) -> None:
    page.js(
        "const e = byId(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('input'))",
        name,
        value,
    )


def open_run(page: Page, prompt: str) -> None:
    page.find(f'.open[aria-label^="{prompt}, seed"]').click()


def test_search_filter_and_sort(gallery: Page) -> None:
    assert gallery.find("#count").text == "6 runs"
    gallery.find("#search").send_keys("OWL night")
    assert gallery.prompts == ["an owl at night"]
    assert gallery.find("#count").text == "1 of 6 runs"
    gallery.find("#search").send_keys(" nothing like it")
    assert gallery.find("#empty").is_displayed()
    gallery.find("#reset").click()
    choose(gallery, "sort", "prompt")
    assert [prompt for prompt in gallery.prompts if prompt != NASTY] == [
        "a bear", "a crow", "a fox", "an owl", "an owl at night"
    ]  # fmt: skip
    choose(gallery, "sort", "seed")
    assert gallery.prompts == ["an owl", "an owl at night", "a fox", "a crow", "a bear", NASTY]
    choose(gallery, "kind", "unfinished")
    assert gallery.prompts == ["a crow", "a bear"]
    choose(gallery, "kind", "")
    choose(gallery, "facet", '["steps","80"]')
    assert gallery.prompts == ["a fox"]
    choose(gallery, "facet", "")
    gallery.find("#search").send_keys("size=32x48")
    assert gallery.prompts == ["an owl at night"]


def test_scores_of_a_ranking_sort(page: Page) -> None:
    runs = Path("runs")
    for seed, score in ((1, 0.2), (2, 0.3)):
        keep_score(make_run(runs, f"owl {seed}", seed), score, "mini-clip-2")
    make_run(runs, "fox", 3)
    write_gallery(sorted(runs.iterdir()), Path("gallery.html"))
    page.open(Path("gallery.html").resolve().as_uri())
    choose(page, "sort", "score")
    assert page.prompts == ["owl 2", "owl 1", "fox"]
    assert "score 0.3" in page.find(".card .meta").text
    assert page.faults() == []


def test_without_a_ranking_there_is_no_sorting_by_score(gallery: Page) -> None:
    assert gallery.js("return byId('by-score').hidden")


def test_a_prompt_with_a_script_is_shown_and_not_run(gallery: Page) -> None:
    assert NASTY in gallery.prompts
    gallery.find(".open[aria-label*='</script>']").click()
    assert gallery.find("#view-prompt").text == NASTY
    assert gallery.driver.title == "vqclip gallery"


def test_the_slider_goes_through_the_frames(gallery: Page) -> None:
    open_run(gallery, "an owl")
    assert len(gallery.all("#view-losses svg")) == 2
    slider = gallery.find("#slider")
    assert slider.get_attribute("aria-valuetext") in (None, "the image")
    slider.send_keys(Keys.HOME)
    assert gallery.find(".slider output").text == "step 0"
    assert gallery.find("#stage .frame").get_attribute("role") == "img"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert gallery.find(".slider output").text == "step 2"
    slider.send_keys(Keys.END)
    assert gallery.find(".slider output").text == "the image"
    assert gallery.find("#stage img").get_attribute("alt") == "an owl, seed 1"


def test_the_video_plays(gallery: Page) -> None:
    open_run(gallery, "an owl")
    next(button for button in gallery.all("#view-actions button") if button.text == "Play video").click()
    gallery.wait(
        lambda: gallery.js("const v = document.querySelector('#stage video'); return v && v.currentTime > 0")
    )


def test_a_run_without_frames_says_so(gallery: Page) -> None:
    open_run(gallery, "a fox")
    assert "--video" in gallery.find("#view-progress").text
    gallery.press(Keys.ESCAPE)
    open_run(gallery, "a bear")
    assert "no image yet" in gallery.find("#stage").text


def test_two_runs_are_compared_by_their_differing_settings(gallery: Page) -> None:
    for prompt in ("an owl", "a fox"):
        gallery.js(
            "document.querySelector(arguments[0]).click()", f'.pick[aria-label^="Compare {prompt}, seed"]'
        )
    assert gallery.find("#pair").is_displayed()
    assert len(gallery.all("#pair-images img")) == 2
    rows = {row.find_element("css selector", "th").text for row in gallery.all("#pair-table tbody tr")}
    assert {"prompts", "seed", "steps"} <= rows
    assert "size" not in rows
    gallery.press(Keys.ESCAPE)
    assert gallery.find("#tray").is_displayed()
    gallery.find("#tray-clear").click()
    assert not gallery.find("#tray").is_displayed()


def test_keys(gallery: Page) -> None:
    choose(gallery, "sort", "seed")
    gallery.find("body").send_keys("/")
    gallery.press("owl", Keys.ENTER)
    assert gallery.driver.switch_to.active_element.get_attribute("aria-label") == "an owl, seed 1"
    gallery.press(Keys.ARROW_RIGHT)
    gallery.press(Keys.ENTER)
    assert gallery.find("#view-prompt").text == "an owl at night"
    gallery.press(Keys.ARROW_LEFT)
    assert gallery.find("#view-prompt").text == "an owl"
    gallery.press("c")
    gallery.press(Keys.ARROW_RIGHT, "c")
    assert gallery.find("#pair").is_displayed()
    gallery.press(Keys.ESCAPE)
    gallery.press("?")
    assert gallery.find("#help").is_displayed()
    gallery.press(Keys.ESCAPE)
    before = gallery.js("return getComputedStyle(document.documentElement).backgroundColor")
    gallery.press("t", "t")
    assert gallery.js("return getComputedStyle(document.documentElement).backgroundColor") != before


def test_the_command_is_copied(gallery: Page) -> None:
    gallery.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    open_run(gallery, "a crow")
    gallery.find("#view-copy").click()
    gallery.wait(lambda: gallery.find("#view-copy").text == "Copied")
    said = gallery.driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, e => done(String(e)))"
    )
    assert said.startswith("vqclip resume runs/")


def test_nothing_but_the_page_and_its_files_is_asked_for(gallery: Page) -> None:
    open_run(gallery, "an owl")
    gallery.find("#slider").send_keys(Keys.HOME)
    gallery.read_logs()
    here = Path.cwd().resolve().as_uri()
    assert gallery.requests
    assert [address for address in gallery.requests if not address.startswith((here, "data:"))] == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_no_serious_fault_and_no_sideways_scroll(gallery: Page, size: str, dark: bool) -> None:
    gallery.resize(*SIZES[size], dark=dark)
    assert gallery.faults() == []
    assert gallery.js("return document.documentElement.scrollWidth <= innerWidth")
    gallery.js("view(arguments[0])", gallery.js("return shown.find(run => run.frames).id"))
    assert gallery.faults() == []
    gallery.js("byId('view').close(); picked.push(shown[0].id); togglePick(shown[1].id)")
    assert gallery.faults() == []
    assert gallery.js("return document.querySelector('#pair').scrollWidth <= innerWidth")


def check_looks(page: Page) -> None:
    """Look for faults, and for what is wider than the page, in both themes at both sizes."""
    for size in SIZES.values():
        for dark in (False, True):
            page.resize(*size, dark=dark)
            assert page.faults() == []
            assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    page.resize(*SIZES["wide"])


def slow_down(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new images take their time, so that they can be stopped; those that go on don't."""

    def slowly(*given: Any, **named: Any) -> Iterator[Any]:
        for event in generate(*given, **named):
            yield event
            time.sleep(0.05)

    generate = session.generate
    monkeypatch.setattr(session, "generate", slowly)


def test_generate_stop_go_on_and_vary(page: Page, monkeypatch: pytest.MonkeyPatch, tiny: Tiny) -> None:
    pytest.importorskip("uvicorn", reason="needs vqclip[ui]")
    from ui_server import serving  # noqa: PLC0415

    with serving(monkeypatch, tiny) as client:
        slow_down(client.server.queue.session, monkeypatch)
        page.open(client.server.address)
        assert page.driver.current_url == f"http://{client.netloc}/"
        assert page.find("#none").is_displayed()
        page.find("#generate").click()
        page.wait(lambda: "what the image shows" in page.find("#problem").text)
        page.driver.get_log("browser")  # Chromium notes every answer of 400
        page.find("#prompts textarea").send_keys("an owl")
        page.find("#steps").send_keys("250")
        page.find("#generate").click()
        page.wait(lambda: page.all("#current-image img"))
        assert page.all("#current-losses svg")
        check_looks(page)
        page.find("#steps").clear()
        page.find("#steps").send_keys("3")
        page.find("#prompts textarea").send_keys(" at night")
        page.find("#generate").click()
        page.wait(lambda: page.all("#queue li"))
        page.open(f"http://{client.netloc}/")  # as if the browser had been closed
        page.wait(lambda: page.find("#current").is_displayed() and page.all("#queue li"))
        page.find("#current-stop").click()
        page.wait(lambda: sorted(page.prompts) == ["an owl", "an owl at night"])
        open_run(page, "an owl")
        assert "unfinished" in page.find("#view-meta").text
        next(button for button in page.all("#view-actions button") if button.text == "Go on").click()
        page.wait(lambda: page.find("#current").is_displayed())
        page.wait(
            lambda: page.js("return gallery.runs.length === 2 && gallery.runs.every(run => run.finished)")
        )
        open_run(page, "an owl at night")
        next(button for button in page.all("#view-actions button") if button.text == "Vary the seed").click()
        page.wait(lambda: page.prompts.count("an owl at night") == 2)
        page.read_logs()
        own = (f"http://{client.netloc}/", "data:", "blob:")
        assert [address for address in page.requests if not address.startswith(own)] == []
