"""The listening page and the report in a headless Chromium, from disk: `make test-browser`."""

import json
import re
import shutil
from pathlib import Path

import made_up
import pytest
import spoken_tones

from voicetune.listening import page, results
from voicetune.report import inputs
from voicetune.report import page as report_page

pytestmark = pytest.mark.browser
SECONDS = 0.4


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # `make test-browser` installs it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A listening page of two sentences: 6 comparisons and 8 ratings."""
    here = tmp_path_factory.mktemp("repository")
    return page.build(spoken_tones.write(here / "spoken", 2, SECONDS), here / "listening", "phase2", 2, 1).path


@pytest.fixture
def context(chromium):
    """A fresh browser profile. The test fails if the page requests anything but its own file and sounds."""
    context = chromium.new_context(accept_downloads=True)
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    yield context
    context.close()
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert not elsewhere


@pytest.fixture
def tab(context, built):
    tab = context.new_page()
    faults = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    tab.goto(built.as_uri())
    yield tab
    assert not faults


def counted(tab) -> str:
    return tab.inner_text("#count")


def hear(tab, *keys: str) -> None:
    """Press keys that play the trial's sounds, and wait until each sound has ended."""
    for number, key in enumerate(keys):
        tab.keyboard.press(key)
        tab.wait_for_function("i => 'heard' in document.querySelectorAll('.play')[i].dataset", arg=number, timeout=5000)


def go_through(tab, trials: int) -> None:
    """Answer some trials with the keyboard alone: B in comparisons, 4 in ratings."""
    for _ in range(trials):
        pair = tab.locator(".player:visible").count() == 2
        hear(tab, *(("1", "2") if pair else ("p",)))
        tab.keyboard.press("b" if pair else "4")
        tab.keyboard.press("Enter")


def saved(tab, folder: Path) -> Path:
    with tab.expect_download() as download:
        tab.keyboard.press("Enter")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_listener_can_answer_by_keyboard_reload_and_save(tab, built, tmp_path, monkeypatch):
    tab.keyboard.press("Enter")
    assert counted(tab) == "1 of 14"
    go_through(tab, 4)
    assert counted(tab) == "5 of 14"
    order = "() => [...document.querySelectorAll('audio')].map(a => a.src)"
    before = tab.evaluate(order)

    tab.reload()
    assert "4 of 14 are answered" in tab.inner_text("#before")
    tab.keyboard.press("Enter")
    assert counted(tab) == "5 of 14"
    assert tab.evaluate(order) == before, "the same pair, on the same sides"
    go_through(tab, 10)
    assert "All 14 are answered" in tab.inner_text("#summary")

    path = saved(tab, tmp_path)
    answers = results.read(path)
    assert path.name == f"listener-{answers.listener}.json"
    assert (len(answers.comparisons), len(answers.ratings)) == (6, 8)
    assert {vote.choice for vote in answers.comparisons} == {"b"}
    assert {rating.score for rating in answers.ratings} == {4}
    assert all(vote.seconds >= 2 * SECONDS for vote in answers.comparisons)
    assert set(json.loads(path.read_text(encoding="utf-8"))) == {"page", "listener", "seed", "comparisons", "ratings"}

    tab.reload()
    assert "All 14 are answered" in tab.inner_text("#summary"), "the file can be saved again"
    monkeypatch.chdir(tmp_path)
    found, _ = results.run([path], built.parent, tmp_path / "kept", 100, 1)
    assert found["raters"] == 1
    assert {row: mos["mean"] for row, mos in found["mos"].items()} == dict.fromkeys(found["mos"], 4.0)
    assert sum(pair["votes"] for pair in found["pairs"].values()) == 6


def test_answers_are_enabled_after_both_sounds_were_played(tab):
    tab.keyboard.press("Enter")
    tab.keyboard.press("b")
    tab.keyboard.press("Enter")
    assert counted(tab) == "1 of 14"
    tab.keyboard.press("1")
    tab.wait_for_function("() => document.querySelectorAll('audio')[0].currentTime > 0.1")
    hear(tab, "1")
    tab.keyboard.press("a")
    assert tab.locator("#answers button:enabled").count() == 0
    hear(tab, "ArrowLeft", "ArrowRight")
    assert tab.locator("#answers button:enabled").count() == 3
    assert tab.is_disabled("#next")
    tab.keyboard.press("n")
    assert tab.get_attribute("#answers button[value=tie]", "aria-pressed") == "true"
    tab.keyboard.press("a")
    assert tab.get_attribute("#answers button[value=tie]", "aria-pressed") == "false", "an answer can be changed"
    tab.keyboard.press("Enter")
    assert counted(tab) == "2 of 14"


def test_answers_can_be_clicked_and_enter_continues(tab):
    tab.click("#begin")
    for side in (0, 1):
        tab.locator(".play").nth(side).click()
        tab.wait_for_selector(f".player:nth-child({side + 1}) .play[data-heard]")
    tab.click("#answers button[value=a]")
    tab.keyboard.press("Enter")
    assert counted(tab) == "2 of 14"
    hear(tab, "1", "2")
    tab.click("#answers button[value=a]")
    tab.focus("#answers button[value=b]")
    tab.keyboard.press("Enter")
    assert tab.get_attribute("#answers button[value=b]", "aria-pressed") == "true", "Enter chooses another answer"
    assert counted(tab) == "2 of 14"
    tab.click("#next")
    assert counted(tab) == "3 of 14"


def test_each_listener_gets_another_order_and_may_stop_early(tab, tmp_path):
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.keyboard.press("Enter")
    seen = set()
    for _ in range(6):  # 6 pairs with 2 sides each have 46,080 orders
        go_through(tab, 1)
        tab.click("#leave")
        assert "1 of 14 are answered" in tab.inner_text("#summary")
        answers = results.read(saved(tab, tmp_path))
        assert len(answers.comparisons) == 1
        seen.add((answers.listener, answers.seed, answers.comparisons[0].trial, answers.comparisons[0].a))
        tab.click("#another")
    assert len({one[0] for one in seen}) == 6
    assert len({one[2:] for one in seen}) > 2


def test_the_page_works_without_local_storage_and_warns(context, built):
    context.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } });")
    tab = context.new_page()
    tab.goto(built.as_uri())
    assert "keeps nothing" in tab.inner_text("#forgetful")
    tab.keyboard.press("Enter")
    go_through(tab, 1)
    assert counted(tab) == "2 of 14"


def test_the_content_policy_blocks_fetch(context, built):
    tab = context.new_page()
    tab.goto(built.as_uri())
    blocked = "() => fetch('data:text/plain,x').then(() => 'fetched', () => 'blocked')"
    assert tab.evaluate(blocked) == "blocked"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_its_width_and_has_enough_contrast(chromium, built, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(built.as_uri())
    for step in ("Enter", None):
        if step:
            tab.keyboard.press(step)
        assert tab.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        for label, ink, paper in tab.evaluate(
            """() => [...document.querySelectorAll("h1, p, button:enabled")].filter((e) => e.offsetParent).map((e) => {
              let under = e;
              while (getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
              return [e.textContent, getComputedStyle(e).color, getComputedStyle(under).backgroundColor];
            })"""
        ):
            assert contrast(ink, paper) >= 4.5, label
        low = tab.evaluate(
            "() => [...document.querySelectorAll('button:not(.plain)')].filter((e) => e.offsetParent)"
            ".filter((e) => e.offsetHeight < 44).length"
        )
        assert low == 0, "every button is 44 pixels high, enough for a finger"
    context.close()


def contrast(ink: str, paper: str) -> float:
    """Contrast ratio of two CSS colours (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# The report


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> Path:
    root = made_up.results(tmp_path_factory.mktemp("results") / "repository")
    report_page.write(inputs.read(root), root, root / "metrics/report")
    report_page.write_run(root)
    return root / "metrics/report/index.html"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_opens_from_disk_at_any_width(context, reported, width):
    tab = context.new_page()
    faults = []
    tab.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(reported.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator("section:visible").count() == 6
    assert " ".join(tab.inner_text("#run tbody").split()) == "train_phase2 seconds 61.5, restart at step 12: killed"
    assert not faults


def test_a_report_without_run_notes_hides_their_table(context, reported, tmp_path):
    alone = shutil.copytree(reported.parent, tmp_path / "report")
    tab = context.new_page()
    faults = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto((alone / "index.html").as_uri())
    assert tab.locator("section:visible").count() == 6
    assert not tab.is_visible("#run")
    assert not faults


def test_markup_in_run_notes_is_shown_as_text(context, tmp_path):
    root = made_up.results(tmp_path / "repository")
    why = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    made_up.write(root / "metrics/run/train_phase2.json", {"restarts": [{"step": 3, "why": why}]})
    report_page.write(inputs.read(root), root, root / "metrics/report")
    report_page.write_run(root)
    tab = context.new_page()
    tab.goto((root / "metrics/report/index.html").as_uri())
    assert why in tab.inner_text("#run")
    assert tab.title() == "The voice, measured"
    assert tab.locator("#run img").count() == 0


def test_the_report_plays_one_sound_at_a_time_and_opens_details_by_keyboard(context, reported):
    tab = context.new_page()
    tab.goto(reported.as_uri())
    first, second = (tab.locator("audio").nth(i) for i in (0, 1))
    for sound in (first, second):
        sound.evaluate("s => { s.loop = true; return s.play() }")
    assert first.evaluate("s => s.paused"), "only one sound plays at a time"
    assert not second.evaluate("s => s.paused")
    assert second.evaluate("s => s.duration") == pytest.approx(1.0, abs=0.05)
    image = tab.locator("article img").first
    assert not image.is_visible()
    tab.locator("article summary").first.focus()
    tab.keyboard.press("Enter")
    assert image.is_visible()
    assert image.evaluate("i => i.naturalHeight") == 80
