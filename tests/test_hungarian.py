"""The case that this project began with: presets/xtts_v2.yaml on 311 Hungarian clips, up to the text tokens."""

import csv
import json
import re
from pathlib import Path

import full_size
import pytest
import yaml
from test_pipeline import ROOT, clone, run

from voicetune.data import clip
from voicetune.xtts import encoding
from voicetune.xtts.limits import CHARACTERS
from voicetune.xtts.text import Tokenizer

SCRIPT = ROOT / "data/scripts/kerdesek.txt"
CLIPS = 311


def preset() -> dict:
    """presets/xtts_v2.yaml with espeak-ng as the source: it reads the Hungarian script."""
    settings = yaml.safe_load((ROOT / "presets/xtts_v2.yaml").read_text(encoding="utf-8"))
    (source,) = settings["prepare"]["sources"]
    assert source["language"] == "hu"
    source |= {"reader": "espeak", "path": "data/scripts/kerdesek.txt", "voice": "hu", "rate": 175, "pitch": 50}
    return settings


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    folder = clone(tmp_path_factory.mktemp("hungarian"), yaml.safe_dump(preset(), sort_keys=False))
    text = SCRIPT.read_text(encoding="utf-8")
    wordy = f"k999|{'Ez a mondat hosszabb annál, mint amennyit egyszerre kimondhat. ' * 4}\n"
    (folder / "data/scripts/kerdesek.txt").write_text(text + wordy, encoding="utf-8")
    run(folder, "dvc", "repro", "prepare")
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Tokenizer:
    """The stock tokenizer with a generated vocabulary of the published size."""
    path = tmp_path_factory.mktemp("words") / "vocab.json"
    full_size.vocabulary(path)
    return Tokenizer(path)


def test_the_script_has_dates_numbers_and_abbreviations():
    texts = [line.split("|", 1)[1] for line in SCRIPT.read_text(encoding="utf-8").splitlines()]
    assert len(texts) == len(set(texts)) == CLIPS
    for pattern in (r"\d{4}\. \w+ \d+-", r"\b\d+\.", r"\d,\d", r"\d %", r"°", r"\bkb\.", r"\bill\.", r"\bDr\."):
        assert any(re.search(pattern, text) for text in texts), pattern


@pytest.mark.slow
def test_prepare_keeps_every_clip_and_names_the_one_that_is_too_long(repository):
    assert json.loads((repository / "metrics/prepare.json").read_text())["clips"] == CLIPS
    with (repository / "data/clips/left_out.csv").open(encoding="utf-8", newline="") as file:
        (left,) = list(csv.DictReader(file))
    assert left["id"] == "kviz-k999"
    assert "at most 224 in 'hu'" in left["reason"]


@pytest.mark.slow
def test_every_text_passes_the_tokenizer(repository, words):
    clips = clip.read(repository / "data/clips/clips.csv")
    assert [fault for c in clips if (fault := encoding.find_fault(c, words))] == []
    assert max(len(c.text) for c in clips) <= CHARACTERS["hu"]


def test_numbers_dates_and_abbreviations_are_read_as_words(words):
    read = words.stock.preprocess_text("Dr. Kovács 1848. március 15-én 12,5 %-ot kapott.", "hu")
    assert not re.search(r"\d", read)
    assert read.startswith("doktor kovács ")
    assert "százalék" in read
