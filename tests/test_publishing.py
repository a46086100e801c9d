"""models/voice: what stage publish writes, its decoding settings, who uses them, and what an interruption leaves."""

import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from conftest import ROOT, SPEAKER
from safetensors.torch import load_file
from test_training import bytes_of, run_and_signal

import publish
import synthesize
from voicetune import __main__ as command
from voicetune import files
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures.judge import Judge
from voicetune.model import Gift
from voicetune.params.choosing import Choice
from voicetune.params.decoding import Decoding
from voicetune.speech import conditioning, pace, publishing, references
from voicetune.speech.voice import Line, Voice
from voicetune.xtts import export, folder, tensors

pytestmark = pytest.mark.usefixtures("one_thread")

VOICE = Path("models/voice")
DECODING = {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "repetition_penalty": 1.5}


@pytest.fixture
def repository(small_base, dataset, tmp_path, monkeypatch) -> Path:
    """Work in a folder with parameters, data, and the models base and phase2. The base has a speaker of its own."""
    place = tmp_path / "repository"
    (place / "models").mkdir(parents=True)
    (place / "data/spoken").mkdir(parents=True)
    for name in ("clips", "codes"):
        (place / "data" / name).symlink_to(dataset / name)
    base = Path(shutil.copytree(small_base, place / "models/base"))
    known = Voice(base)
    stranger = {"gpt_cond_latent": torch.ones(1, 32, 64), "speaker_embedding": torch.ones(1, 512, 1)}
    torch.save({"stranger": stranger}, base / folder.SPEAKERS)
    weights = {name: value + 0.01 for name, value in known.model.network.state_dict().items()}
    folder.close(place / "models/phase2", base, weights, {SPEAKER: stranger}, {"steps": 4})
    heard = conditioning.compute_speakers(known.model, Dataset(dataset), [SPEAKER])
    for model in ("base", "phase2"):
        spoken = {name: references.Reference(["clip00"], 2.5, one) for name, one in heard.items()}
        references.save(place / "data/spoken" / model, folder.SPEAKERS, spoken)
    monkeypatch.chdir(place)
    write_params()
    return place


def write_params(**changes) -> None:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings |= {"device": "cpu", "decoding": DECODING, **changes}
    Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))


def said_of(path: Path) -> dict:
    return json.loads((path / folder.FACTS).read_text(encoding="utf-8"))


@pytest.fixture
def asked(monkeypatch) -> list[tuple[list[Line], Decoding]]:
    """Replace the drawing of codes by fixed codes. Return the lines and decoding settings of each call."""
    calls: list[tuple[list[Line], Decoding]] = []

    def codes(_voice, lines, _speakers, settings, _seed):
        calls.append((list(lines), settings))
        return [(7 * torch.arange(30) + 3) % 1024 for _ in lines]

    monkeypatch.setattr(Voice, "codes", codes)
    return calls


# The published folder


def test_the_published_folder_is_the_model_with_its_decoding_settings(repository):
    publish.main()
    source = Path("models/phase2")
    published, model = bytes_of(VOICE), bytes_of(source)
    assert published.pop(folder.FACTS) != model.pop(folder.FACTS)
    assert published.pop(folder.SPEAKERS) != model.pop(folder.SPEAKERS)
    assert published == model
    assert bytes_of(VOICE)[folder.SPEAKERS] == bytes_of(Path("data/spoken/phase2"))[folder.SPEAKERS]
    assert said_of(VOICE) == {
        **said_of(source), "published": "phase2", "language": "en", "decoding": DECODING,
        "references": {SPEAKER: {"clips": ["clip00"], "mel_ce": 2.5}}, "consent": [],
        "pace": Voice(VOICE).pace("en").model_dump(),
    }  # fmt: skip
    assert Voice(VOICE).pace("en") == pace.fit([c for c in Codes(Path("data/codes")).clips if c.split == "train"], "en")
    assert sorted(path.name for path in Path("models").iterdir()) == ["base", "phase2", "voice"]
    voice = Voice(VOICE)
    assert voice.decoding().model_dump() == DECODING
    assert voice.language == "en"
    assert set(voice.speakers()) == {SPEAKER}


def test_the_published_language_is_that_of_most_training_clips(repository, dataset):
    codes = Codes(dataset / "codes")
    others = ["hu"] * 6 + ["en"] * (len(codes.training) - 6)
    for i, language in zip(codes.training, others, strict=True):
        codes.clips[i] = type(codes.clips[i])(**{**vars(codes.clips[i]), "language": language})
    spoken = Path("data/spoken/phase2")
    publishing.publish("phase2", Path("models/phase2"), VOICE, spoken, codes.clips, Decoding(**DECODING), [])
    assert Voice(VOICE).language == "hu"


def test_a_published_base_has_the_speakers_of_the_dataset_only(repository):
    assert set(folder.speakers(Path("models/base"))) == {"stranger"}
    write_params(publish="base")
    one = {"gpt_cond_latent": torch.ones(1, 32, 64), "speaker_embedding": torch.ones(1, 512, 1)}
    studio = {f"studio {i}": one for i in range(58)}  # XTTS v2 has 58 such speakers
    torch.save(folder.speakers(Path("models/base")) | studio, Path("models/base") / folder.SPEAKERS)
    publish.main()
    heard = Voice(VOICE).speakers()
    assert set(heard) == {SPEAKER}
    assert heard[SPEAKER]["gpt_cond_latent"].shape == (1, 32, 64)
    assert said_of(VOICE)["published"] == "base"
    assert files.sha256(VOICE / "model.pth") == files.sha256(Path("models/base/model.pth"))
    assert len(folder.speakers(Path("models/base"))) == 59


@pytest.mark.slow
def test_a_published_base_is_synthesized_only_in_the_voice_of_the_dataset(repository, asked):
    write_params(publish="base")
    publish.main()
    synthesize.main()
    rows = json.loads(Path("data/samples/manifest.json").read_text())
    assert {row["file"].rsplit("-", 1)[0] for row in rows} == {SPEAKER}


def test_a_model_that_did_not_speak_cannot_be_published(repository):
    shutil.rmtree("data/spoken/phase2")
    with pytest.raises(UserError, match=r"phase2/speakers_xtts\.pth is missing; run `dvc repro -s -f speak@phase2`"):
        publish.main()
    assert not VOICE.exists()


def test_another_temperature_changes_only_voicetune_json(repository):
    publish.main()
    before, said = bytes_of(VOICE), said_of(VOICE)
    write_params(decoding={**DECODING, "temperature": 0.2})
    publish.main()
    after = bytes_of(VOICE)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {folder.FACTS}
    said["decoding"]["temperature"] = 0.2
    assert said_of(VOICE) == said


# Who uses its decoding settings


def say(*arguments: str) -> None:
    given = command.parser().parse_args(["say", "Good evening.", "--out", "said.wav", "--device", "cpu", *arguments])
    given.run(given)


def test_say_uses_the_decoding_of_the_folder_unless_options_override_it(repository, asked):
    publish.main()
    write_params(decoding={**DECODING, "temperature": 0.1})  # the folder's own decoding counts, not these
    say()
    say("--temperature", "0.9")
    say("--repetition-penalty", "3", "--language", "hu")
    changes = ({}, {"temperature": 0.9}, {"repetition_penalty": 3.0})
    assert [settings.model_dump() for _, settings in asked] == [{**DECODING, **change} for change in changes]
    assert [lines[0].language for lines, _ in asked] == ["en", "en", "hu"]


def test_say_uses_the_language_of_the_folder(repository, asked):
    publish.main()
    (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "language": "hu"}))
    say()
    assert asked[0][0][0].language == "hu"


@pytest.mark.slow
def test_stage_synthesize_uses_the_decoding_of_the_folder(repository, asked):
    publish.main()
    write_params(decoding={**DECODING, "temperature": 0.1})
    synthesize.main()
    assert all(settings.model_dump() == DECODING for _, settings in asked)
    assert [len(lines) for lines, _ in asked] == [3, 9, 1, 1, 1], "the lines, three more draws of each, and the timing"
    rows = json.loads(Path("data/samples/manifest.json").read_text())
    assert [row["model"] for row in rows] == ["voice"] * 3


def test_a_folder_without_decoding_uses_that_of_params_yaml(repository, asked):
    say("--model", "models/phase2")
    assert asked[0][1].model_dump() == DECODING


def test_a_folder_without_decoding_outside_a_repository_is_one_sentence(repository, asked, tmp_path, monkeypatch):
    alone = Path(shutil.copytree("models/phase2", tmp_path / "alone" / "anna"))
    monkeypatch.chdir(alone.parent)
    with pytest.raises(UserError, match=r"anna/voicetune\.json has no 'decoding'; speak with models/voice"):
        say("--model", "anna")
    assert asked == []
    assert not Path("said.wav").exists()


def test_a_stock_folder_uses_the_decoding_of_its_config_json(repository, asked):
    """Its config.json gives the decoding settings. Those of params.yaml were not measured with it."""
    stock = Path(shutil.copytree("models/base", "stock"))
    (stock / folder.FACTS).unlink()
    settings = json.loads((stock / "config.json").read_text())
    settings |= {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 5.0}
    (stock / "config.json").write_text(json.dumps(settings))
    say("--model", "stock", "--speaker", "stranger")
    say("--model", "stock", "--speaker", "stranger", "--temperature", "0.2")
    known = {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 5.0}
    assert [one.model_dump() for _, one in asked] == [known, {**known, "temperature": 0.2}]


def test_the_card_of_an_export_names_the_folders_language(repository):
    publish.main()
    (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "language": "hu"}))
    export.export(VOICE, Path("anna"), Gift())
    card = Path("anna/README.md").read_text()
    assert 'language="hu"' in card
    assert 'folder = "."' in card, "the folder that a reader has need not have the name that was given to export"


def test_an_export_in_half_precision_and_as_safetensors_has_the_same_weights(repository):
    publish.main()
    exported("--half", "--safetensors")
    given, whole = (tensors.load_weights(path) for path in (Path("given/model.pth"), VOICE / "best_model.pth"))
    assert given.keys() == whole.keys() == load_file("given/model.safetensors").keys()
    halved = {name: one.half() if one.dtype == torch.float32 else one for name, one in whole.items()}
    assert all(torch.equal(given[name], one) for name, one in halved.items())
    assert Path("given/model.pth").stat().st_size < 0.55 * (VOICE / "best_model.pth").stat().st_size
    voice = Voice(Path("given"))
    assert {one.dtype for one in voice.model.network.state_dict().values()} == {torch.float32}


def test_a_zip_has_the_files_that_other_programs_load_and_the_same_bytes_each_time(repository):
    publish.main()
    zipped("one.zip")
    with zipfile.ZipFile("one.zip") as archive:
        assert not [name for name in archive.namelist() if "/" in name]
        assert set(archive.namelist()) == files_of_zip_in_docs()
        samples, _rate = soundfile.read(io.BytesIO(archive.read("ref.wav")), dtype="float32")
        assert archive.read("model.pth") == (VOICE / "best_model.pth").read_bytes()
    assert np.array_equal(samples, soundfile.read("data/clips/clip00.flac", dtype="float32")[0])
    Path("again").mkdir()
    zipped("again/one.zip")
    assert Path("one.zip").read_bytes() == Path("again/one.zip").read_bytes()
    assert not [path for path in Path().iterdir() if path.name.startswith(".")], "nothing half-made is left"
    with pytest.raises(UserError, match=r"one\.zip exists already"):
        zipped("one.zip")
    (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "references": {SPEAKER: {"clips": ["gone"]}}}))
    for damaged in ([], {SPEAKER: []}, {SPEAKER: {"clips": []}}):
        (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "references": damaged}))
        with pytest.raises(UserError, match="models/voice names no recordings of its speaker; give one as --reference"):
            zipped("two.zip")
    (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "references": {SPEAKER: {"clips": ["gone"]}}}))
    with pytest.raises(
        UserError, match="this project has no clip 'gone', which models/voice took its voice from; give --reference"
    ):
        zipped("two.zip")


def test_the_card_has_the_hubs_metadata_and_the_figures_of_these_weights(repository):
    publish.main()
    own = {"mel_ce": 2.5, "mel_ce_low": 2.4, "mel_ce_high": 2.6, "clips": 3, "sentences": 2, "takes": 4}
    own |= {"model_sha256": files.sha256(VOICE / "best_model.pth"), "data_sha256": "d"}
    assert "| mel CE | 2.500 [2.400, 2.600] |" in card_of(own)
    block = yaml.safe_load(card_of(own).split("---\n")[1])
    assert (block["language"], block["pipeline_tag"]) == (["en"], "text-to-speech")
    assert "3 test clips; 4 takes of 2 sentences" in card_of(own)
    assert "What was measured" not in card_of(own | {"model_sha256": "of other weights"})


def card_of(phase2: dict) -> str:
    """The card of an export where `phase2` was measured."""
    other = {"model_sha256": "a", "data_sha256": "d"}
    rows = {"recordings": {}, "codec": {}, "base": other, "phase1": other}
    Path("metrics/compare").mkdir(parents=True, exist_ok=True)
    Path("metrics/compare/figures.json").write_text(json.dumps({**rows, "phase2": phase2}))
    exported()
    return Path("given/README.md").read_text()


def files_of_zip_in_docs() -> set[str]:
    lines = (ROOT / "docs/your-voice.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith("| `export anna.zip` |")]
    return set(re.findall(r"`([\w.]+)`", row.split("|")[2]))


def zipped(out: str) -> None:
    given = command.parser().parse_args(["export", out])
    given.run(given)


SOURCES = [
    {"name": "espeak", "reader": "ljspeech", "path": "data/raw/a", "speaker": SPEAKER, "language": "en",
     "consent": "Anna <b>Kis</b> agreed on 2026-11-01, [see](http://a.b)"},
    {"name": "unused", "reader": "ljspeech", "path": "data/raw/b", "speaker": "b", "language": "en"},
]  # fmt: skip
ANNA = "Anna &lt;b&gt;Kis&lt;/b&gt; agreed on 2026-11-01, \\[see\\](http://a.b) (source espeak: quizmaster)"


def written(sources: list[dict]) -> None:
    prepared = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["prepare"]
    write_params(prepare={**prepared, "sources": sources})


def exported(*arguments: str) -> str:
    """Export models/voice, and return the card's lines about consent."""
    shutil.rmtree("given", ignore_errors=True)
    given = command.parser().parse_args(["export", "given", *arguments])
    given.run(given)
    return Path("given/README.md").read_text().split("\nConsent:")[1].split("\n```python")[0].strip()


def test_the_consent_of_each_source_gets_into_the_card(repository, capsys):
    written(SOURCES)
    publish.main()
    assert "warning: no `consent:` line in params.yaml for unused; write under" in capsys.readouterr().out
    before = bytes_of(VOICE)
    assert exported() == ANNA, "no clip is of the other source"
    assert capsys.readouterr().out == "given: see README.md there\n"
    assert exported("--consent", "His heirs agreed") == f"- His heirs agreed\n- {ANNA}"
    written([{**SOURCES[0], "consent": "  "}])
    publish.main()
    changed = {name for name, data in bytes_of(VOICE).items() if data != before[name]}
    assert changed == {folder.FACTS}
    assert exported().startswith("______ (who agreed")
    assert "and fill in who agreed" in capsys.readouterr().out
    assert exported("--consent", "His heirs agreed") == "His heirs agreed"
    with pytest.raises(UserError, match=r"'consent' is .* but should be: one line of text, at most 500 characters"):
        exported("--consent", "two\nlines")


def test_a_synthesiser_needs_no_consent(repository, capsys):
    written([{**SOURCES[1], "name": "espeak", "reader": "espeak", "voice": "hu", "rate": 150, "pitch": 50}])
    publish.main()
    assert "consent" not in capsys.readouterr().out
    assert exported() == "needed from nobody: a speech synthesiser speaks (source espeak: quizmaster)"


def test_the_consent_of_the_base_is_kept(repository):
    """A voice may be the base of another one. Its people are in both."""
    written(SOURCES)
    publish.main()
    shutil.rmtree("models/phase2")
    folder.close(Path("models/phase2"), VOICE, Voice(VOICE).model.network.state_dict(), {}, {"steps": 1})
    written([{**SOURCES[0], "consent": "Bela agreed"}])
    publish.main()
    publish.main()
    assert exported() == f"- {ANNA}\n- Bela agreed (source espeak: quizmaster)"


@pytest.mark.parametrize("entries", [1, ["anna"], [{"source": "a", "speakers": "b", "consent": 3}]])
def test_damaged_consent_is_one_sentence(repository, entries):
    publish.main()
    (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "consent": entries}))
    with pytest.raises(UserError, match=r"'consent' in voicetune.json is damaged"):
        exported()


def test_a_folder_with_wrong_decoding_is_one_sentence(repository, asked):
    publish.main()
    (VOICE / folder.FACTS).write_text(json.dumps({**said_of(VOICE), "decoding": {**DECODING, "temperature": 9}}))
    wanted = r"voicetune\.json: 'temperature' is 9, but should be: .* 2; take the file that belongs to the model\.$"
    with pytest.raises(UserError, match=wanted):
        say()


# An interruption leaves no half-written folder


def test_an_interrupted_publishing_leaves_the_earlier_voice(repository, monkeypatch):
    publish.main()
    before = bytes_of(VOICE)
    write_params(publish="base")
    copy = shutil.copytree

    def stopped(*arguments, **named):
        copy(*arguments, **named)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(publishing.shutil, "copytree", stopped)
    process = multiprocessing.get_context("fork").Process(target=publish.main)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGTERM
    monkeypatch.undo()
    monkeypatch.chdir(repository)
    assert bytes_of(VOICE) == before
    publish.main()
    assert said_of(VOICE)["published"] == "base"
    assert sorted(path.name for path in Path("models").iterdir()) == ["base", "phase2", "voice"]


def test_an_interrupted_phase_leaves_the_voice_unchanged(repository, small_base, dataset):
    publish.main()
    before = bytes_of(VOICE)
    status, said = run_and_signal(repository, small_base, dataset, 6, signal.SIGTERM)
    assert status > 0, said
    assert "stopped by SIGTERM at step 6" in said
    assert bytes_of(VOICE) == before
    assert not list(repository.glob("out*"))


# Choosing the best model by ear, and training on from a published one


def test_a_judge_uses_only_validation_sentences(small_base, dataset, asked, monkeypatch):
    """The judge speaks only validation sentences, and opens no recording of a test clip."""
    data, opened = Dataset(dataset), []
    codes = data.codes
    read = soundfile.read

    def noted(path, *arguments, **named):
        opened.append(Path(path).name)
        return read(path, *arguments, **named)

    monkeypatch.setattr(soundfile, "read", noted)
    choice = Choice(select="composite", sentences=100, asr="tiny.en", decoding=Decoding(**DECODING), code="0")
    judge = Judge(Voice(small_base), data, choice, 1)
    figures, score = judge()
    assert {"cer", "secs", "mos"} < set(figures)
    assert score == figures["composite"]
    (lines, settings), *more = asked
    assert not more
    assert {line.text for line in lines} == {codes.clips[i].text for i in codes.validation}
    assert settings.model_dump() == DECODING
    assert opened
    assert not {codes.clips[i].file for i in codes.test} & set(opened)


def test_a_phase_does_not_inherit_the_published_settings_of_its_base(repository, tmp_path):
    """A published voice may be the base of another training, whose language and decoding may differ."""
    publish.main()
    folder.close(tmp_path / "child", VOICE, Voice(VOICE).model.network.state_dict(), {}, {"steps": 1})
    added = {"published", "language", "decoding", "references"}
    assert not added & set(said_of(tmp_path / "child"))
    assert added <= set(said_of(VOICE))
