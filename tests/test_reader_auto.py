"""`reader: auto`: which reader is taken for which folder, and what it prints; and the table of readers in docs/."""

import re
from pathlib import Path

import pytest
import test_reader_common_voice
import test_reader_coqui
import test_reader_festvox
import test_reader_gpt_sovits
import test_reader_subtitles
import test_reader_vctk
from sources import clips, read, refusal, write

from voicetune.data.readers import READERS, auto
from voicetune.errors import UserError

ROOT = Path(__file__).parents[1]
FOLDERS: dict[str, tuple[dict, str]] = {
    "ljspeech": ({"metadata.csv": "a|One.\n", "wavs/a.wav": ""}, "LJSpeech (metadata.csv with lines id|text)"),
    "kaldi": ({"wav.scp": "a a.wav\n", "text": "a One.\n", "a.wav": ""}, "Kaldi (wav.scp and text)"),
    "coqui": (
        test_reader_coqui.FILES,
        "Coqui's layout (metadata_eval.csv and metadata_train.csv with audio_file|text)",
    ),
    "common_voice": (
        {"validated.tsv": test_reader_common_voice.VALIDATED, **test_reader_common_voice.CLIPS},
        "Common Voice (validated.tsv and clips/)",
    ),
    "vctk": (test_reader_vctk.FILES, "VCTK (txt/ and wav48_silence_trimmed/)"),
    "audiofolder": (
        {"metadata.csv": "file_name,text\na.wav,One.\n", "a.wav": ""},
        "an audiofolder of Hugging Face (metadata.csv with file_name)",
    ),
    "jsonl": ({"data.jsonl": '{"audio": "a.wav", "text": "One."}\n', "a.wav": ""}, "JSON lines (data.jsonl)"),
    "gpt_sovits": (
        {"anna.list": test_reader_gpt_sovits.LIST, **dict.fromkeys(test_reader_gpt_sovits.NAMES, "")},
        "GPT-SoVITS (anna.list with path|speaker|language|text)",
    ),
    "festvox": (
        {"etc/txt.done.data": test_reader_festvox.LIST, "wav/arctic_a0001.wav": ""},
        "Festvox (etc/txt.done.data)",
    ),
    "texts": ({"x/a.wav": "", "x/a.txt": "One."}, "sounds with texts of the same names (such as a.wav)"),
    "subtitles": ({"film.srt": test_reader_subtitles.SRT, "film.mkv": ""}, "subtitles beside recordings (film.srt)"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_read_with_the_reader_of_its_layout(tmp_path, name, capsys):
    files, layout = FOLDERS[name]
    write(tmp_path, files)
    assert read("auto", tmp_path) == read(name, tmp_path)
    assert clips("auto", tmp_path)
    told = f"{tmp_path} looks like {layout}, so it is read with `reader: {name}`"
    assert told in capsys.readouterr().out.splitlines()


def test_utf_16_with_and_without_its_mark_is_recognised(tmp_path):
    for encoding in ("utf-16", "utf-16-le"):
        folder = write(tmp_path / encoding, {"metadata.csv": "a|Árvíz.\nb|Tűrő.\n".encode(encoding), "a.wav": ""})
        assert [one[1] for one in clips("auto", folder)] == ["Árvíz."]


def test_every_reader_is_guessed_or_needs_more_keys():
    named = {auto.name_of(section) for section in READERS}
    assert named == {*FOLDERS, "espeak", "long", "auto"}, "give the new reader a layout and a folder, or name it here"


def test_two_layouts_are_one_sentence(tmp_path):
    write(tmp_path, {"metadata.csv": "a|One.\n", "a.wav": "", "a.txt": "One."})
    assert refusal("auto", tmp_path) == (
        f"{tmp_path} looks like LJSpeech (metadata.csv with lines id|text): ljspeech and like sounds with texts of the "
        "same names (such as a.wav): texts; write one of these readers in params.yaml instead of auto."
    )


def test_no_layout_lists_what_is_there_and_the_readers(tmp_path):
    write(tmp_path, {f"{i}.pdf": "" for i in range(10)})
    told = refusal("auto", tmp_path)
    assert "has no layout that is known: it holds '0.pdf', '1.pdf'" in told
    readers = ", ".join(auto.name_of(section) for section in READERS if section is not auto.AutoSource)
    assert f"'7.pdf' and 2 more; choose a reader: {readers}." in told
    assert "is no folder; correct the source's path" in refusal("auto", tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    assert "it holds nothing; choose a reader" in refusal("auto", tmp_path / "empty")


def test_recordings_without_texts_lead_to_the_reader_long(tmp_path):
    write(tmp_path, {"2026/Új felvétel 1.m4a": "", "2026/Új felvétel 2.m4a": "", "cover.jpg": ""})
    assert refusal("auto", tmp_path) == (
        f"{tmp_path} has 2 recordings, such as 'Új felvétel 1.m4a', and no texts; write `reader: long` in params.yaml "
        "instead of auto: stage transcribe then cuts them and writes their texts (docs/long-recordings.md)."
    )
    write(tmp_path, {"list.csv": "a,b\n"})  # perhaps with the texts
    told = refusal("auto", tmp_path)
    assert "it holds '2026/', 'cover.jpg', 'list.csv'; choose a reader: ljspeech," in told
    assert told.endswith("subtitles, long; without texts, it is long (docs/long-recordings.md).")


def test_folders_below_that_have_a_layout_are_named(tmp_path):
    """As a recipe of Kaldi or ESPnet lies, or a repository of the hub."""
    parts = {f"data/{part}/{name}": text for part in ("test", "train") for name, text in FOLDERS["kaldi"][0].items()}
    write(tmp_path, {"README.md": "", **parts})
    assert refusal("auto", tmp_path) == (
        f"{tmp_path} has no layout that is known, but {tmp_path}/data/test looks like Kaldi (wav.scp and text) and "
        f"{tmp_path}/data/train looks like Kaldi (wav.scp and text); write such a path in params.yaml, or move its "
        f"lists up if their paths begin at {tmp_path}."
    )
    write(tmp_path, {"data/train/metadata.jsonl": '{"file_name": "a.wav", "text": "One."}\n'})
    assert f"but {tmp_path}/data looks like an audiofolder of Hugging Face (train/meta" in refusal("auto", tmp_path)


def test_an_unpacked_archive_says_what_to_move(tmp_path):
    write(tmp_path / "cv-corpus-17/en", FOLDERS["common_voice"][0])
    told = refusal("auto", tmp_path / "cv-corpus-17")
    assert told.endswith(
        "has nothing but en/, which looks like Common Voice (validated.tsv and clips/); move its files up into "
        f"{tmp_path}/cv-corpus-17."
    )


def test_only_speakers_lists_at_most_twenty(tmp_path):
    lines = "".join(f"{i}.wav|speaker{i:02d}|en|Line.\n" for i in range(25)) + "x.wav|bob|en|x\ny.wav|bob|en|y\n"
    write(tmp_path, {"a.list": lines})
    with pytest.raises(UserError) as error:
        read("auto", tmp_path, only_speakers=["bob", "anna"])
    told = str(error.value)
    assert told.startswith("the source 's' has no speaker 'anna'; correct only_speakers in params.yaml to some of its")
    assert "(clips): bob (2), speaker00 (1)," in told
    assert told.endswith("speaker18 (1) and 6 more.")
    assert {one.speaker for one in read("auto", tmp_path, only_speakers=["bob", "speaker03"])} == {"bob", "speaker03"}


def test_the_table_in_the_docs_lists_every_reader():
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/readers.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert table == [auto.name_of(section) for section in READERS], "docs/readers.md lists them in the order of READERS"
