"""The watermark: where it is asked for and noted; and, with Perth's networks, that it is found again."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from conftest import ROOT

from voicetune import __main__ as command
from voicetune import readiness
from voicetune.data import audio, espeak, formats
from voicetune.errors import UserError
from voicetune.params import whole
from voicetune.speech import say as speech
from voicetune.speech import watermark

TEXT = "Which river flows through Budapest?"


@pytest.fixture
def missing(monkeypatch):
    """Perth is not installed."""
    watermark.open_networks.cache_clear()
    monkeypatch.setitem(sys.modules, "perth", None)
    monkeypatch.setitem(sys.modules, "perth.perth_net", None)


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return speech.finish(audio.resample(espeak.speak(TEXT, "en-us+f3"), espeak.SAMPLE_RATE), audio.SAMPLE_RATE)


def test_without_the_package_one_sentence_says_how_to_install_it(missing, tmp_path):
    for line in ("watermark x.wav", "say Hello. --watermark", "serve --voice x --watermark"):
        given = command.parser().parse_args(line.split())
        with pytest.raises(UserError, match=r"needs the package resemble-perth, .* run `pip install -c .* resemble"):
            given.run(given)


def test_a_run_that_wants_a_watermark_is_refused_before_it_trains(monkeypatch, tmp_path):
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["synthesize"]["watermark"] = True
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    params = whole.load(tmp_path / "params.yaml")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "perth" else find(name))
    with pytest.raises(UserError, match=r"^synthesize.watermark is true, but resemble-perth is not installed; run"):
        readiness.check_params(params)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "found" if name == "perth" else find(name))
    readiness.check_params(params)


def test_only_marked_speech_gets_one_and_its_peak_stays_below_full_scale(spoken, monkeypatch):
    asked = []
    monkeypatch.setattr(watermark, "add", lambda sound, rate: asked.append(rate) or sound * 3)
    plain = speech.finish(spoken, audio.SAMPLE_RATE)
    assert not asked
    marked = speech.finish(spoken, audio.SAMPLE_RATE, marked=True)
    assert asked == [audio.SAMPLE_RATE]
    assert np.allclose(plain, marked, atol=1e-4), "it is levelled after the watermark"
    assert speech.finish(np.zeros(0, np.float32), audio.SAMPLE_RATE, marked=True).size == 0


def test_the_manifest_says_so_and_a_script_is_spoken_again(bundle_base, dataset, tmp_path, monkeypatch):
    from voicetune.speech import script
    from voicetune.speech.checking import Checks
    from voicetune.speech.voice import Line, Voice

    voice = Voice(bundle_base)
    voice.model.xtts.gpt.max_gen_mel_tokens = 20
    clip = soundfile.read(sorted((dataset / "clips").glob("*.flac"))[2], dtype="float32")[0]
    speaker = voice.model.compute_speaker([clip])
    decoding = whole.load(ROOT / "params.yaml").decoding
    monkeypatch.setattr(watermark, "add", lambda sound, rate: sound[::-1].copy())
    takes = [script.ScriptLine(1, "0001.wav", Line("Good evening.", "en"), None)]
    rows = []
    for marked in (False, True, True):
        manner = script.Manner(decoding, 1, -23.0, Checks(1), "code", marked)
        made = script.make(voice, takes, lambda name: speaker, tmp_path, manner)
        rows.append(json.loads((tmp_path / script.MANIFEST).read_text())[0] | {"anew": made.anew})
    assert [row.get("watermark") for row in rows] == [None, watermark.NAME, watermark.NAME]
    assert [row["anew"] for row in rows] == [1, 1, 0]
    assert rows[0]["sha256"] != rows[1]["sha256"] == rows[2]["sha256"]


# With Perth


@pytest.fixture
def perth():
    pytest.importorskip("perth", reason="resemble-perth is not installed; `make test-watermark` installs it")
    watermark.open_networks.cache_clear()


@pytest.mark.watermark
@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 48_000])
def test_what_is_marked_is_found_and_nothing_else(spoken, perth, rate):
    plain = speech.finish(audio.resample(spoken, audio.SAMPLE_RATE, rate), rate)
    marked = speech.finish(plain, rate, marked=True)
    assert watermark.find(marked, rate) > 0.9
    assert watermark.find(plain, rate) < 0.1
    assert marked.shape == plain.shape
    assert np.abs(marked).max() <= speech.PEAK + 1e-6
    assert audio.loudness_of(marked, rate) == pytest.approx(audio.loudness_of(plain, rate), abs=0.3)
    assert np.array_equal(marked, speech.finish(plain, rate, marked=True)), "the same sound gives the same bytes"


@pytest.mark.watermark
@pytest.mark.parametrize("samples", [1, 100, 3000])
def test_a_sound_of_any_length_can_be_marked_and_searched(perth, samples):
    sound = (0.1 * np.sin(np.arange(samples) / 20)).astype(np.float32)
    assert watermark.add(sound, 22_050).shape == sound.shape
    assert 0 <= watermark.find(sound, 22_050) <= 1


@pytest.mark.watermark
def test_silence_has_no_watermark(perth):
    assert watermark.find(np.zeros(22_050, np.float32), 22_050) < watermark.CONFIDENT


@pytest.mark.watermark
def test_the_weights_are_read_as_tensors_only(perth, monkeypatch):
    asked = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **more: asked.append(more.get("weights_only")) or load(*a, **more))
    watermark.open_networks()
    assert asked == [True]


@pytest.mark.watermark
def test_the_command_says_which_files_bear_it(spoken, perth, tmp_path, capsys):
    names = {"plain.wav": False, "marked.mp3": True}
    for name, marked in names.items():
        sound = speech.finish(spoken, audio.SAMPLE_RATE, marked=marked)
        (tmp_path / name).write_bytes(formats.encode(sound, audio.SAMPLE_RATE, Path(name).suffix[1:]))
    given = command.parser().parse_args(["watermark", *(str(tmp_path / name) for name in names)])
    given.run(given)
    plain, marked = capsys.readouterr().out.splitlines()
    assert "plain.wav: no watermark (confidence that there is one: 0.0" in plain
    assert "marked.mp3: watermarked (confidence that there is one: " in marked


@pytest.mark.watermark
@pytest.mark.parametrize(("whole", "format"), [(True, "mp3"), (False, "opus")])
def test_the_service_marks_each_part_and_says_so(spoken, perth, tmp_path, whole, format):
    pytest.importorskip("fastapi")
    from served import Tones, ask, server, voices_of

    from voicetune.data import recordings
    from voicetune.speech.drawing import Drawn

    class Speaks(Tones):
        def _tone(self, line, seed):
            return Drawn(spoken, (), (), 1, cut=False)

    said = {}
    for marked in (False, True):
        with server(voices_of(anna=Speaks()), marked=marked) as (url, _):
            said[marked] = ask(url, "One. Two.", response_format=format, whole=whole)
        (tmp_path / f"x.{format}").write_bytes(said[marked].content)
        sure = watermark.find(*recordings.read(tmp_path / f"x.{format}"))
        assert sure > 0.9 if marked else sure < 0.1
    assert [one.headers.get("x-voicetune-watermark") for one in said.values()] == [None, watermark.NAME]
