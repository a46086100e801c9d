"""Recorded prompts of real speakers in Spanish, French, Italian and Russian: prepare, encode and recognise them.

VOICETUNE_PROMPTS: a folder in which Debian's packages asterisk-core-sounds-{es,fr,it,ru} and their -g722 are unpacked
(`apt-get download`, `dpkg -x`). VOICETUNE_ASR: a folder with a multilingual CTranslate2 Whisper model, base or larger.
"""

import os
from pathlib import Path

import asterisk
import numpy as np
import pytest
from test_languages import VOCAB

from voicetune.data import making, readers
from voicetune.data.clip import Clip
from voicetune.data.readers.ljspeech import LJSpeechSource
from voicetune.params.data import Prepare
from voicetune.recognition.intelligibility import character_errors
from voicetune.recognition.recogniser import Recogniser
from voicetune.xtts import encoding
from voicetune.xtts.text import Tokenizer

PROMPTS, ASR = (Path(os.environ.get(name, "missing")) for name in ("VOICETUNE_PROMPTS", "VOICETUNE_ASR"))
CEILINGS = {"es": 0.15, "fr": 0.25, "it": 0.25, "ru": 0.25}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROMPTS.is_dir(), reason="VOICETUNE_PROMPTS names no folder with the packages"),
]


@pytest.fixture(params=sorted(CEILINGS))
def prompts(request) -> tuple[str, dict[str, str], dict[str, Path]]:
    """Return a language, and for each prompt its text and its recording."""
    texts, paths = asterisk.transcripts(PROMPTS, request.param), asterisk.recordings([PROMPTS], request.param)
    both = sorted(set(texts) & set(paths))
    assert len(both) > 300
    return request.param, {name: texts[name] for name in both}, paths


@pytest.mark.skipif(not VOCAB.is_file(), reason="the vocabulary is missing")
def test_every_transcript_becomes_tokens(prompts):
    language, texts, _ = prompts
    words = Tokenizer(VOCAB)
    clips = [Clip(name, "", text, language, "s", "s", 1.0, "train") for name, text in texts.items()]
    assert [
        fault for clip in clips if (fault := encoding.find_fault(clip, words)) and " text tokens" not in fault
    ] == []


def test_most_recordings_pass_prepare(prompts, tmp_path):
    language, _, _ = prompts
    asterisk.write_ljspeech([PROMPTS], tmp_path, language)
    source = LJSpeechSource(name="s", path=str(tmp_path), speaker="s", language=language, reader="ljspeech")
    prepare = Prepare(
        sources=[source], validation=0.1, test=0.1, min_seconds=0.5, max_seconds=26, trim_db=45, loudness=-23, peak=0.95
    )
    some = readers.read([source])[::10]
    results = [making.make(utterance, tmp_path / "out", prepare) for utterance in some]
    assert sum(isinstance(result, float) for result in results) > 0.6 * len(some)


@pytest.mark.skipif(not ASR.is_dir(), reason="VOICETUNE_ASR names no folder with a model")
def test_the_recogniser_reads_the_recordings_with_a_low_cer(prompts):
    language, texts, paths = prompts
    recogniser = Recogniser(str(ASR), language, "cpu")
    long = [name for name, text in texts.items() if len(text) > 25]
    counted = []
    for name in long[:: max(1, len(long) // 20)][:20]:
        heard = recogniser.transcribe(asterisk.decoded(paths[name]).astype(np.float32) / 2**15, asterisk.RATE)
        counted.append(character_errors(texts[name], heard, language))
    assert sum(errors for errors, _ in counted) / sum(characters for _, characters in counted) < CEILINGS[language]
