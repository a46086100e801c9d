"""A language that is added to a base: the old ones keep their tokens, and new rows begin near."""

import json
import os
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import made_up
import numpy as np
import pytest
import test_measures
import torch
from conftest import ROOT
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from voicetune import readiness
from voicetune.__main__ import parser
from voicetune.commands import extend as command
from voicetune.data import clip
from voicetune.data.clip import Clip
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures import takes
from voicetune.model import Gift
from voicetune.params import whole
from voicetune.recognition import readings, recogniser
from voicetune.report import findings, inputs, page
from voicetune.speech.language_check import check_language
from voicetune.text.spelling import Unreadable, spell_out
from voicetune.xtts import card, encoding, export, folder, languages, speaking, vocabulary
from voicetune.xtts.text import Tokenizer

TEXTS = [
    "Bună seara, doamnelor și domnilor.",
    "Țara noastră are munți înalți și ape limpezi.",
    "Fata citește o carte veche lângă fereastră.",
    "Băiatul aduce apă rece de la fântână.",
    "Mâine dimineață plecăm la munte cu trenul.",
    "Seara stăm lângă foc și citim povești vechi.",
    "Fata și băiatul cântă o poveste în grădină.",
    "Dimineața bunica face pâine în bucătărie.",
]
MERGES = 40
PUBLISHED = os.environ.get("VOICETUNE_VOCAB")


@pytest.fixture(scope="module")
def extended(bundle_base, tmp_path_factory) -> Path:
    """The tiny base with Romanian."""
    out = tmp_path_factory.mktemp("extended") / "ro"
    languages.extend(bundle_base, out, "ro", TEXTS, MERGES)
    return out


def english() -> list[str]:
    files = [ROOT / "pretrain" / f"{name}.txt" for name in ("everyday", "words", "grammar")]
    files += [ROOT / "data/scripts" / f"{name}.txt" for name in ("host", "questions")]
    return [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def hungarian() -> list[str]:
    lines = (ROOT / "data/scripts/kerdesek.txt").read_text(encoding="utf-8").splitlines()
    return [line.partition("|")[2] for line in lines]


def ids_of(words: Tokenizer, text: str, tag: str) -> list[int]:
    return words.stock.tokenizer.encode(f"[{tag}]{text.lower().replace(' ', '[SPACE]')}").ids


def test_every_english_text_keeps_its_tokens(bundle_base, extended):
    before, after = folder.open_tokenizer(bundle_base), folder.open_tokenizer(extended)
    texts = english()
    assert len({word for text in texts for word in text.split()}) > 8000
    for text in texts:
        assert ids_of(before, text, "en") == ids_of(after, text, "en"), text
    for text in texts[::50]:
        assert before.encode(text, "en").tolist() == after.encode(text, "en").tolist()


@pytest.mark.skipif(not PUBLISHED, reason="VOICETUNE_VOCAB names no published vocabulary")
def test_a_published_vocabulary_keeps_the_tokens_of_its_languages(tmp_path):
    old = Path(str(PUBLISHED))
    content = json.loads(old.read_text(encoding="utf-8"))
    before = Tokenizer(old)
    learnt = vocabulary.learn([before.written(text, "ro") for text in TEXTS], MERGES)
    vocabulary.extend(content, "ro", learnt)
    (tmp_path / "vocab.json").write_text(json.dumps(content), encoding="utf-8")
    after = Tokenizer(tmp_path / "vocab.json")
    for tag, texts in {"en": english(), "de": hungarian()}.items():
        for text in texts:
            assert ids_of(before, text, tag) == ids_of(after, text, tag)
    assert after.special("[START]") == before.special("[START]")
    assert after.special("[STOP]") == before.special("[STOP]")


def test_a_second_new_language_changes_nothing_of_the_first(extended, tmp_path):
    texts = [text for text in hungarian() if not any(map(str.isdecimal, text))]
    languages.extend(extended, tmp_path / "both", "xy", texts, MERGES)
    before, after = folder.open_tokenizer(extended), folder.open_tokenizer(tmp_path / "both")
    for text in TEXTS:
        assert before.encode(text, "ro").tolist() == after.encode(text, "ro").tolist()
    assert vocabulary.mark_of(after.stock.tokenizer, "[xy]") != vocabulary.mark_of(after.stock.tokenizer, "[ro]")


def test_its_texts_become_its_own_tokens(bundle_base, extended):
    words, old = folder.open_tokenizer(extended), len(folder.open_tokenizer(bundle_base))
    for text in TEXTS:
        tokens = words.encode(text, "ro")
        tag, *said = tokens.tolist()
        assert tag == old == words.special("[ro]")
        signs = {words.special(sign) for sign in ("[SPACE]", ",", ".")}
        assert all(token > old + 1 or token in signs for token in said)
        assert words.unknown_characters(text, "ro") == []
        clip = Clip("a", "a.flac", text, "ro", "ana", "one", 1.0, "train")
        assert encoding.find_fault(clip, words) is None
    assert len(words.encode(TEXTS[1], "ro")) < len(TEXTS[1]), "merges make it shorter"
    mark = vocabulary.mark_of(words.stock.tokenizer, "[ro]")
    assert not set("qwy") & set("".join(TEXTS).lower())
    for text in ("Whisky.", "Quiz.", "Kilogram.", "Watt, yoga, quod."):
        unseen = words.encode(text, "ro").tolist()
        assert not {words.special("[UNK]"), words.special(mark)} & set(unseen), "no old merge joins marked letters"
        assert all(token > old + 1 or token in signs for token in unseen[1:])


def test_new_rows_begin_near(bundle_base, extended):
    words, before = folder.open_tokenizer(extended), folder.open_tokenizer(bundle_base)
    mark = vocabulary.mark_of(words.stock.tokenizer, "[ro]")
    assert mark in vocabulary.MARKS
    merges = [token for token in words.stock.tokenizer.get_vocab() if token.count(mark) == 2 and "ă" in token]
    pair = sorted(merges)[0]
    pieces = before.stock.tokenizer.encode(pair.replace(mark, "").replace("ă", "a")).ids
    old, new = folder.open_xtts(bundle_base).gpt, folder.open_xtts(extended).gpt
    for part in ("text_embedding.weight", "text_head.weight", "text_head.bias"):
        rows, grown = old.state_dict()[part], new.state_dict()[part]
        assert torch.equal(grown[: len(rows)], rows), "the old rows stay"
        assert len(grown) == len(words)
        assert torch.equal(grown[words.special("s" + mark)], rows[before.special("s")])
        assert torch.equal(grown[words.special("ș")], rows[before.special("s")]), "its base letter's"
        assert torch.equal(grown[words.special("ț" + mark)], rows[before.special("t")])
        assert torch.equal(grown[words.special("[ro]")], rows[before.special("[en]")]), "the only language of the base"
        assert torch.allclose(grown[words.special(pair)], rows[torch.tensor(pieces)].mean(0))
    rest = set(old.state_dict()) - {"text_embedding.weight", "text_head.weight", "text_head.bias"}
    assert all(torch.equal(old.state_dict()[name], new.state_dict()[name]) for name in rest)


def test_a_mark_is_no_letter_of_the_language_and_they_run_out():
    content = json.loads((ROOT / "pretrain/bundle/vocab.json").read_text(encoding="utf-8"))
    first, second = vocabulary.MARKS[:2]
    said = vocabulary.extend(content, "xa", vocabulary.Learnt(["a", first], []))
    assert list(said)[1] == second
    for number in range(len(vocabulary.MARKS) - 2):
        vocabulary.extend(content, f"x{chr(ord('b') + number)}", vocabulary.Learnt(["a"], []))
    with pytest.raises(UserError, match="there is room for no more"):
        vocabulary.extend(content, "yy", vocabulary.Learnt(["a"], []))


def test_letters_have_their_base_letters():
    given = {"ș": "s", "ł": "l", "đ": "d", "ø": "o", "й": "и", "a": "a", "ß": "ß", "ệ": "e"}
    assert {letter: vocabulary.base_letter(letter) for letter in given} == given


def test_the_configuration_names_the_language_and_the_tokens(bundle_base, extended):
    found = json.loads((extended / "config.json").read_text(encoding="utf-8"))
    assert found["languages"] == [*json.loads((bundle_base / "config.json").read_text())["languages"], "ro"]
    assert found["model_args"]["gpt_number_text_tokens"] == len(folder.open_tokenizer(extended))


def test_the_tag_can_begin_as_that_of_one_language(extended, tmp_path):
    languages.extend(extended, tmp_path / "near", "xy", TEXTS, 0, near="ro")
    words = folder.open_tokenizer(tmp_path / "near")
    rows = folder.open_xtts(tmp_path / "near").gpt.text_embedding.weight
    assert torch.equal(rows[words.special("[xy]")], rows[words.special("[ro]")])
    with pytest.raises(UserError, match=r"has no language 'fr' to take the new tag from; it has en, ro\.$"):
        languages.extend(extended, tmp_path / "other", "xy", TEXTS, 0, near="fr")


def test_the_stock_client_loads_it_and_reads_english_as_before(bundle_base, extended, tmp_path):
    export.export(extended, tmp_path / "given", Gift())
    config = XttsConfig()
    config.load_json(str(tmp_path / "given/config.json"))
    client = Xtts.init_from_config(config)
    client.load_checkpoint(config, checkpoint_dir=str(tmp_path / "given"), use_deepspeed=False)
    before = folder.open_tokenizer(bundle_base).stock
    assert client.tokenizer.encode("Good evening, ladies.", "en") == before.encode("Good evening, ladies.", "en")
    with pytest.raises(NotImplementedError, match="Language 'ro' is not supported"):
        client.tokenizer.encode(TEXTS[0], "ro")
    ids = client.tokenizer.tokenizer.get_vocab()
    after_tag = {place: name for name, place in ids.items()}[ids["[en]"] + 1]
    client.tokenizer.tokenizer.add_tokens([f"o{after_tag}"])  # as a published vocabulary may have it
    before.tokenizer.add_tokens([f"o{after_tag}"])
    assert card.READ_ADDED in (ROOT / "docs/new-languages.md").read_text(encoding="utf-8")
    exec(card.READ_ADDED, {"tokenizer": client.tokenizer})
    for text in (TEXTS[0], unicodedata.normalize("NFD", TEXTS[1])):
        assert client.tokenizer.encode(text, "ro") == folder.open_tokenizer(extended).encode(text, "ro").tolist()
    assert client.tokenizer.encode("Good evening, ladies.", "en") == before.encode("Good evening, ladies.", "en")


def test_a_tag_that_the_model_does_not_speak_is_made_anew(bundle_base, tmp_path):
    before = folder.open_tokenizer(bundle_base)
    assert before.special("[hu]") < len(before), "an earlier tiny base spoke Hungarian"
    texts = [text for text in hungarian() if not any(map(str.isdecimal, text))]
    added = languages.extend(bundle_base, tmp_path / "hu", "hu", texts, MERGES)
    after = folder.open_tokenizer(tmp_path / "hu")
    assert after.special("[hu]") == len(before)
    assert added.tokens == len(after) - len(before) == 2 + len(added.new_letters) + added.letters + added.merges
    assert vocabulary.mark_of(after.stock.tokenizer, "[hu]") in vocabulary.MARKS
    assert before.encode("Good evening.", "en").tolist() == after.encode("Good evening.", "en").tolist()
    with pytest.raises(UserError, match="has the language 'hu' already"):
        languages.extend(tmp_path / "hu", tmp_path / "again", "hu", texts, 0)


def test_a_near_language_may_be_named_as_params_yaml_does(extended, tmp_path):
    shutil.copytree(extended, tmp_path / "base")
    content = json.loads((extended / "vocab.json").read_text(encoding="utf-8").replace("[ro]", "[zh-cn]"))
    (tmp_path / "base/vocab.json").write_text(json.dumps(content), encoding="utf-8")
    config = json.loads((extended / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "base/config.json").write_text(json.dumps(config | {"languages": ["en", "zh-cn"]}), encoding="utf-8")
    languages.extend(tmp_path / "base", tmp_path / "near", "xy", TEXTS, 0, near="zh")
    words = folder.open_tokenizer(tmp_path / "near")
    rows = folder.open_xtts(tmp_path / "near").gpt.text_embedding.weight
    assert torch.equal(rows[words.special("[xy]")], rows[words.special("[zh-cn]")])


def test_an_added_language_is_among_those_that_the_base_speaks(extended):
    voice = SimpleNamespace(model=speaking.Speech(extended), path=extended)
    check_language(voice, "ro")
    with pytest.raises(UserError, match=r"does not speak 'de'; it speaks en, ro\.$"):
        check_language(voice, "de")


def test_bad_input_is_one_sentence(bundle_base, extended, tmp_path):
    with pytest.raises(UserError, match=r"has the language 'en' already"):
        languages.extend(bundle_base, tmp_path / "out", "en", TEXTS, 0)
    with pytest.raises(UserError, match=r"has the language 'ro' already"):
        languages.extend(extended, tmp_path / "out", "ro", TEXTS, 0)
    with pytest.raises(UserError, match=r"give \d+ new tokens, not 5000; ask for at most so many, or give more texts"):
        languages.extend(bundle_base, tmp_path / "out", "ro", TEXTS, 5000)
    with pytest.raises(UserError, match="exists already; choose another name"):
        languages.extend(bundle_base, extended, "ro", TEXTS, 0)
    with pytest.raises(UserError, match="does not exist"):
        languages.extend(tmp_path / "nowhere", tmp_path / "out", "ro", TEXTS, 0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["vocab.json", "config.json", "model.pth"])
def test_a_damaged_base_is_one_sentence(small_base, tmp_path, name):
    shutil.copytree(small_base, tmp_path / "base")
    (tmp_path / "base" / name).write_bytes(b"{")
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        languages.extend(tmp_path / "base", tmp_path / "out", "ro", TEXTS, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_base_with_a_weight_that_is_not_finite_is_refused(small_base, tmp_path):
    shutil.copytree(small_base, tmp_path / "base")
    weights = folder.load_weights(tmp_path / "base/model.pth")
    weights["gpt.text_embedding.weight"][0, 0] = torch.nan
    torch.save({"model": weights}, tmp_path / "base/model.pth")
    with pytest.raises(UserError, match="not finite"):
        languages.extend(tmp_path / "base", tmp_path / "out", "ro", TEXTS, 0)


def call(*arguments: str) -> None:
    given = parser().parse_args(["extend", *arguments])
    given.run(given)


def test_the_command_reads_texts_or_the_training_clips(bundle_base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "texts.txt"
    script.write_text("".join(f"t{i}|{text}\n\n" for i, text in enumerate(TEXTS)), encoding="utf-8")
    with pytest.raises(UserError, match=r"clips\.csv has no training clip in 'ro'; set `language: ro`"):
        call("ro", "--out", "new", "--base", str(bundle_base))
    call("ro", "--out", "new", "--base", str(bundle_base), "--texts", str(script), "--tokens", "20")
    said = capsys.readouterr().out
    assert "letters, ă ș ț " in said.replace(" î", "").replace(" â", "")
    assert f"20 pieces of words, learnt from {len(TEXTS)} texts" in said
    assert said.rstrip().endswith("Set `base: new`.")
    assert (tmp_path / "new/model.pth").is_file()
    with pytest.raises(UserError, match=r"models/ro is in models/, which `make clean` removes"):
        call("ro", "--out", "models/ro", "--base", str(bundle_base), "--texts", str(script))
    with pytest.raises(UserError, match="--tokens is -1"):
        call("ro", "--out", "two", "--base", str(bundle_base), "--tokens", "-1")
    with pytest.raises(SystemExit):
        call("Romanian", "--out", "two")
    assert "'Romanian' is no language" in capsys.readouterr().err
    clips = [Clip(f"c{i}", f"c{i}.flac", text, "ro", "ana", "one", 1.0, "train") for i, text in enumerate(TEXTS)]
    clip.write(command.CLIPS, [*clips, Clip("e", "e.flac", "Hello.", "en", "ana", "one", 1.0, "train")])
    call("ro", "--out", "three", "--base", str(bundle_base), "--tokens", "20")
    assert (tmp_path / "three/vocab.json").read_bytes() == (tmp_path / "new/vocab.json").read_bytes()


def test_numbers_are_spelt_where_num2words_knows_the_language():
    assert spell_out("Am 21 de MERE, 3 pere și „5”.", "ro") == "am douăzeci și unu de mere, trei pere și „cinci”."
    assert spell_out("Bună\n  seara", "ro") == "bună seara"


def test_serbian_numbers_have_the_alphabet_of_the_text():
    assert spell_out("Imam 21.", "sr") == "imam dvadeset jedan."
    assert spell_out("Имам 21, па 50 и 1001.", "sr") == "имам двадесет један, па педесет и једна хиљада један."
    assert spell_out("7 љубави", "sr") == "седам љубави"
    assert spell_out("IŞIQ İdman", "az") == "ışıq idman"
    once = spell_out("Tjugo ÄPPLEN, 100 päron.", "sv")
    assert spell_out(once, "sv") == once == "tjugo äpplen, etthundra päron."


def test_other_numbers_must_be_in_words(extended):
    words = folder.open_tokenizer(extended)
    with pytest.raises(Unreadable, match=r"the text 'Ga 12' has a number, which 'ga' needs in words"):
        words.written("Ga 12", "ga")
    with pytest.raises(Unreadable):
        words.written("May 12 po", "fil")  # num2words would read it as Finnish
    assert words.written("Ga maith", "ga") == "ga maith"
    assert readings.nearest("kaks", "2", "ga") == ("kaks", "2"), "a recogniser's digits are no error of the program"


def test_a_run_begins_with_a_language_only_if_the_base_knows_it(extended, tmp_path, monkeypatch):
    params = whole.load(ROOT / "params.yaml")
    source = params.prepare.sources[0].model_copy(update={"language": "ro"})
    prepare = params.prepare.model_copy(update={"sources": [source]})
    given = params.model_copy(update={"prepare": prepare})
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=r"is 'ro', but the tiny base speaks en only; .*docs/new-languages\.md"):
        readiness._check_languages(given)
    readiness._check_languages(given.model_copy(update={"base": str(extended)}))
    other = source.model_copy(update={"language": "sv"})
    wrong = given.model_copy(update={"base": str(extended), "prepare": prepare.model_copy(update={"sources": [other]})})
    with pytest.raises(UserError, match=r"is 'sv', but the .* base speaks .*ro"):
        readiness._check_languages(wrong)


def test_a_recogniser_that_lacks_the_language_is_named(monkeypatch):
    fake = SimpleNamespace(model=SimpleNamespace(is_multilingual=True), supported_languages=["en", "ro"])
    monkeypatch.setattr(recogniser, "load", lambda *_: fake)
    assert recogniser.open_model("small", "ro", "cpu") is fake
    with pytest.raises(UserError, match="Whisper does not know the language 'xx'; remove intelligibility"):
        recogniser.open_model("small", "xx", "cpu")


def change(difference: float, half: float) -> dict:
    return {"mel_ce": made_up.change(difference, half)}


def test_the_report_says_what_is_forgotten():
    languages = {
        "en": {"changes": {"base_phase2": change(0.3, 0.1)}},
        "ro": {"changes": {"base_phase2": change(-1, 0.2)}},
    }
    old, new = findings.of_languages(languages, "phase2")
    assert old.warns
    assert old.says.startswith("In the language en, the mel CE rose from 2.000 to 2.300 (+0.300, 95 % interval +0.200")
    assert not new.warns
    assert "ro, the mel CE went from 2.000 to 1.000" in new.says
    (unsure,) = findings.of_languages({"en": {"changes": {"base_phase1": change(0.1, 0.2)}}}, "phase1")
    assert not unsure.warns
    assert unsure.says.endswith("which is not different from zero.")
    assert findings.of_languages(languages, "base") == findings.of_languages({}, "phase2") == []


def test_the_page_has_a_table_for_each_language(tmp_path):
    root = made_up.results(tmp_path)
    figures = json.loads((root / "metrics/compare/figures.json").read_text())
    numbers = {row: {k: v for k, v in one.items() if isinstance(v, int | float)} for row, one in figures.items()}
    changes = json.loads((root / "metrics/compare/changes.json").read_text())
    told = {"en": {"figures": numbers, "changes": changes}, "ro": {"figures": numbers, "changes": changes}}
    made_up.write(root / "metrics/compare/languages.json", told)
    page.write(inputs.read(root), root, root / "out")
    html = (root / "out/index.html").read_text(encoding="utf-8")
    assert [html.count(f"<h3>In the language {one}</h3>") for one in ("en", "ro", "hu")] == [1, 1, 0]
    assert html.count("<caption>Paired differences over the same clips and sentences, in ro</caption>") == 1
    text = (root / "out/report.md").read_text(encoding="utf-8")
    assert "### In the language ro\n\n31 test clips.\n\n| | base | phase 1 |" in text
    made_up.write(root / "metrics/compare/languages.json", {})
    page.write(inputs.read(root), root, root / "out")
    assert "In the language" not in (root / "out/index.html").read_text(encoding="utf-8")


def test_stage_compare_writes_each_language_by_itself(tmp_path):
    test_measures.write_tables(tmp_path)
    path = tmp_path / "data/quality/clips.csv"
    clips = clip.read(path)
    clip.write(path, [replace(one, language="ro" if one.id in ("c0", "c2") else "en") for one in clips])
    assert test_measures.compare(tmp_path).returncode == 0
    found = json.loads((tmp_path / "metrics/compare/languages.json").read_text())
    assert list(found) == ["en", "ro"]
    nats, tokens = test_measures.NATS["phase2"], test_measures.TOKENS
    for language, kept in {"en": [1, 3], "ro": [0, 2]}.items():
        mel = float((nats[kept] * tokens[kept]).sum() / tokens[kept].sum())
        assert found[language]["figures"]["phase2"]["mel_ce"] == pytest.approx(mel)
        assert found[language]["changes"]["base_phase2"]["mel_ce"]["to"] == pytest.approx(mel)
        phase2 = found[language]["figures"]["phase2"]
        assert (phase2["clips"], phase2["sentences"]) == (2, 1)
    clip.write(path, clips)
    assert test_measures.compare(tmp_path).returncode == 0
    assert json.loads((tmp_path / "metrics/compare/languages.json").read_text()) == {}


def test_each_language_is_spoken(dataset):
    codes = Dataset(dataset).codes
    alone = takes.spoken(codes, 1, 1)
    assert alone.tolist() == takes.sentences(codes.test, 1, 1).tolist()
    first = codes.test[0]
    codes.clips[first] = replace(codes.clips[first], language="ro")
    assert takes.spoken(codes, 1, 1).tolist() == np.sort(codes.test).tolist()
