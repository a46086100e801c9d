"""The page of the service in a headless Chromium: `make test-browser`."""

# ruff: noqa: E402 - without the web server's packages, this file is skipped before it imports what needs them

import pytest

for needed in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(needed, reason=f"{needed} is not installed; `make setup` installs it")

from served import Tones, server, voices_of, wait_until

pytestmark = pytest.mark.browser
KEY = "a-key-of-sixteen-characters"


@pytest.fixture
def visit(chromium):
    """Open a page with these settings. The test fails if the page reports an error, or asks another server."""
    contexts, faults = [], []

    def open_page(url: str, **settings):
        contexts.append(chromium.new_context(**settings))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
        tab.on(
            "request", lambda asked: None if asked.url.startswith((url, "blob:", "data:")) else faults.append(asked.url)
        )
        tab.goto(url)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    refused = "Failed to load resource: the server responded with a status of 4"  # Chromium's note of a refusal
    assert [fault for fault in faults if not fault.startswith(refused)] == []


@pytest.fixture
def url():
    with server(voices_of(anna=Tones(), bela=Tones())) as (address, _):
        yield address


def overflows(tab) -> bool:
    return tab.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_text_is_spoken_by_keyboard_and_two_voices_are_compared(visit, url, width, scheme, tmp_path):
    tab = visit(url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.wait_for_selector("#ask:visible")
    assert tab.evaluate("document.activeElement.id") == "text"
    tab.keyboard.press("Control+a")
    tab.keyboard.type("A little babble. And more.")
    tab.select_option("#second", "bela")
    assert not overflows(tab)
    tab.keyboard.press("Control+Enter")
    wait_until(lambda: tab.evaluate("document.querySelectorAll('#heard audio').length === 2"))
    assert tab.locator("h2").all_inner_texts() == ["anna", "bela"]
    said = tab.locator(".checks").first.inner_text()
    assert said.startswith("2 parts, spoken in ")
    assert "it runs on: drawn 5 times, and no fault is left. Its end was cut." in said
    wait_until(lambda: tab.evaluate("[...document.querySelectorAll('audio')].every(a => a.readyState >= 1)"))
    first, second = (tab.locator("section").nth(i).bounding_box() for i in range(2))
    assert (first["y"] == second["y"]) == (width == 1280), "side by side where there is room"
    assert not overflows(tab)
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    with tab.expect_download() as download:
        tab.locator("a").first.click()
    assert download.value.suggested_filename == "anna.wav"


def test_every_field_is_reached_with_the_tab_key_and_has_a_name(visit, url):
    tab = visit(url)
    tab.wait_for_selector("#ask:visible")
    reached = []
    for _ in range(5):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert tab.evaluate(outline) != "none"
    assert reached == ["first", "second", "speed", "seed", "speak"]
    for name in ("Text", "Voice", "Compare with", "Speed", "Seed"):
        assert tab.get_by_label(name, exact=True).count() == 1


def test_a_refusal_is_shown_and_a_text_can_be_stopped(visit):
    tones = Tones()
    with server(voices_of(anna=tones)) as (url, _):
        tab = visit(url)
        tab.wait_for_selector("#ask:visible")
        assert tab.locator("#second").is_hidden(), "there is nothing to compare with"
        tab.fill("#text", "?!")
        tab.click("#speak")
        wait_until(
            lambda: tab.evaluate("document.getElementById('status').textContent.startsWith('there is nothing to say')")
        )
        tones.gate.clear()
        tab.fill("#text", "More. " * 40)
        tab.click("#speak")
        tab.click("#stop")
        wait_until(lambda: tab.evaluate("document.getElementById('status').textContent === 'Stopped.'"))
        tones.gate.set()
        assert tab.locator("#heard section").count() == 0
        assert tab.locator("#speak").is_enabled()


def test_with_an_api_key_the_page_asks_for_it_and_forgets_it(visit):
    with server(voices_of(anna=Tones()), keys=[KEY]) as (url, _):
        tab = visit(url)
        assert tab.locator("#ask").is_hidden()
        tab.keyboard.type("wrong")
        tab.keyboard.press("Enter")
        wait_until(
            lambda: tab.evaluate(
                "document.getElementById('status').textContent.includes('API key is missing or wrong')"
            )
        )
        tab.fill("#key", KEY)
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#ask:visible")
        tab.keyboard.press("Control+Enter")
        tab.wait_for_selector("#heard section")
        assert tab.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        tab.reload()
        assert tab.locator("#ask").is_hidden()
