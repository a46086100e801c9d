"""The page data/quality.html as it is written. test_browser.py opens it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import judged_clips
import pytest
from judged_clips import CHECKS, judged, six

from voicetune import pages
from voicetune.errors import UserError
from voicetune.quality import page
from voicetune.quality.judged import Reason

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> {{ 7 * 7 }} \u2028 =HYPERLINK(1)"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


NOISY = Reason(judged_clips.SNR, "signal to noise: 4.0 dB, at least 10 dB")
WRONG = Reason(judged_clips.CER, "CER: 0.5, at most 0.3")


def data_of(path: Path) -> dict:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert len(found) == 1
    return json.loads(found[0])


def test_the_page_is_one_file_that_requests_nothing_but_the_clips(project):
    html = judged_clips.write(project, six()).read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttp|WebSocket|sendBeacon|innerHTML", html)
    assert not re.search(r"<\w+[^>]+\b(?:src|href|action|on\w+)=", html), "nothing is loaded, and no handler is inline"
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert policy == (
        f"default-src 'none'; script-src {pages.csp_hash(script)}; style-src {pages.csp_hash(style)};"
        " media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


def test_the_same_clips_give_the_same_bytes(project):
    first = judged_clips.write(project, six()).read_bytes()
    (project / "other").mkdir()
    assert judged_clips.write(Path("other"), six()).read_bytes() == first, "also in another folder"


def test_the_worst_clips_come_first(project):
    accepted = replace(judged(6, reasons=[NOISY]), decision="accept")
    worse = judged(7, reasons=[NOISY, WRONG])
    clips = data_of(judged_clips.write(project, [*six(), accepted, worse]))["clips"]
    assert [(one["id"], one["out"]) for one in clips] == [
        ("anna-7", True), ("anna-4", True), ("anna-6", False), ("anna-2", False), ("anna-1", False), ("anna-0", False),
        ("anna-3", False), ("bela-5", False),
    ]  # fmt: skip


def test_reasons_name_their_check_in_words(project):
    (one, *_) = data_of(judged_clips.write(project, [judged(1, reasons=[NOISY, WRONG])]))["clips"]
    assert one["reasons"] == [{"check": 0, "says": NOISY.says}, {"check": 1, "says": WRONG.says}]


def test_figures_are_rounded_and_what_is_no_number_is_null(project):
    given = [{"snr": 12.3456, "cer": float("nan")}, {"snr": None}, {"snr": -0.01, "cer": float("inf")}]
    path = judged_clips.write(project, [judged(i, figures=figures) for i, figures in enumerate(given)])
    assert [one["figures"] for one in data_of(path)["clips"]] == [[12.3, None], [None, None], [0.0, None]]
    assert "-0.0" not in path.read_text(encoding="utf-8")


def test_texts_from_outside_stay_texts(project):
    """A text with </script> neither ends the data nor begins a script."""
    clips = [judged(0, HOSTILE, heard=HOSTILE, warnings=[Reason(judged_clips.SNR, HOSTILE)])]
    page.write(Path("data/quality.html"), clips, CHECKS, [HOSTILE], judged_clips.LEFT_OUT, judged_clips.DECISIONS)
    html = Path("data/quality.html").read_text(encoding="utf-8")
    assert html.count("<script") == 2
    assert html.count("</script>") == 2
    assert "<img" not in html
    assert "49" not in re.search(r"<ul class=\"summary\".*?</ul>", html, re.DOTALL)[0]
    (one,) = data_of(Path("data/quality.html"))["clips"]
    assert (one["text"], one["heard"], one["warnings"][0]["says"]) == (HOSTILE, HOSTILE, HOSTILE)


def test_the_page_has_the_decisions_and_what_prepare_left_out(project):
    data = data_of(judged_clips.write(project, six()))
    assert data["columns"] == ["id", "decision", "text"]
    assert [one["id"] for one in data["decisions"]] == ["anna-x2", "gone-7"]
    assert data["decisions"][1] == {"id": "gone-7", "decision": "accept", "text": 'Said, "so".'}
    assert data["left_out"][0] == {"id": "anna-x1", "source": "anna", "reason": "too short: 0.2 s"}


def test_the_page_says_at_its_top_that_it_shows_people(project):
    html = judged_clips.write(project, six()).read_text(encoding="utf-8")
    head = html[html.index("<body>") : html.index("<main>")]
    assert "Recordings of people." in head
    assert "without their consent" in head
    assert "Mend &lt;first&gt;: the noise." in head
    assert "<dd>How loud the noise is; higher is better. To mend it: record in a quieter room.</dd>" in html


def test_a_page_without_clips_can_be_written(project):
    page.write(Path("data/quality.html"), [], CHECKS, [], [], {})
    assert data_of(Path("data/quality.html"))["clips"] == []


def test_a_page_that_would_lie_elsewhere_is_refused(project, tmp_path_factory):
    Path("data").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UserError, match="data leads through a link"):
        judged_clips.write(Path(), six())
