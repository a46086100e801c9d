"""`forget`: what it finds of a speaker, what it removes, what it leaves, and what a killed run leaves."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import soundfile
import yaml
from test_pipeline import ENVIRONMENT, ROOT, clone, commit, copy_settings, run, stages_run

from voicetune.data import espeak
from voicetune.data.readers.audiofolder import AudioFolderSource
from voicetune.data.readers.long import LongSource
from voicetune.data.readers.vctk import VCTKSource
from voicetune.errors import UserError
from voicetune.forget import command, history, plan, recordings

SENTENCES = (
    "Good evening and welcome.", "Which river flows through Budapest?", "That is the correct answer.",
    "Who painted this famous picture?", "How many legs does a spider have?", "Thank you and good night.",
    "You are in the lead now.", "Take your time with this one.",
)  # fmt: skip


def record(path: Path, text: str, voice: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, espeak.speak(text, voice), espeak.SAMPLE_RATE, subtype="PCM_16")


def anna(root: Path) -> Path:
    """A source that only Anna has."""
    folder = root / "data/raw/anna"
    for i, text in enumerate(SENTENCES):
        record(folder / f"wavs/a{i}.wav", text, "en-us+f3")
    (folder / "metadata.csv").write_text("".join(f"a{i}|{text}\n" for i, text in enumerate(SENTENCES)))
    return folder


def both(root: Path) -> Path:
    """A source of Anna and Bela."""
    folder = root / "data/raw/both"
    rows = []
    for i, text in enumerate(f"Well. {sentence}" for sentence in SENTENCES):
        who = "bela" if i < 6 else "anna"
        record(folder / f"b{i}.wav", text, "en-us+m1" if who == "bela" else "en-us+f3")
        rows.append(f"b{i}.wav,{text},{who}\n")
    (folder / "metadata.csv").write_text("file_name,text,speaker\n" + "".join(rows))
    return folder


SOURCES = [
    {"name": "anna", "reader": "ljspeech", "path": "data/raw/anna", "speaker": "anna", "language": "en"},
    {"name": "both", "reader": "audiofolder", "path": "data/raw/both", "speaker": "bela", "language": "en"},
]

WHO = ("anna", "bela")


def settings(sources: list[dict]) -> str:
    known = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    known["prepare"] |= {"sources": sources, "validation": 0.2, "test": 0.2}
    return yaml.safe_dump(known, sort_keys=False)


def pieces_of(paths: list[Path]) -> set[bytes]:
    """64 bytes from the middle of each file."""
    return {data[len(data) // 2 :][:64] for data in (path.read_bytes() for path in paths)}


def holding(root: Path, pieces: set[bytes]) -> list[str]:
    """The files below a folder, DVC's cache and git's folder among them, that have one of these pieces."""
    found = []
    for place, _, names in os.walk(root):
        for name in names:
            data = Path(place, name).read_bytes()
            if any(piece in data for piece in pieces):
                found.append(str(Path(place, name).relative_to(root)))
    return found


def everything(root: Path) -> dict[str, bytes]:
    """The content of every file and link, except what git and DVC keep about themselves."""
    found = {}
    for place, folders, names in os.walk(root):
        folders[:] = [one for one in folders if one not in (".git", "tmp", "__pycache__")]
        for path in (Path(place, name) for name in names):
            found[str(path.relative_to(root))] = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return found


def forget(root: Path, *arguments: str, ok: bool = True) -> str:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "voicetune", "forget", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def of_anna(root: Path) -> list[Path]:
    """Anna's recordings and clips in a project."""
    with (root / "data/clips/clips.csv").open(newline="") as file:
        clips = [root / "data/clips" / row["file"] for row in csv.DictReader(file) if row["speaker"] == "anna"]
    return [*(root / "data/raw/anna/wavs").iterdir(), *(root / f"data/raw/both/b{i}.wav" for i in (6, 7)), *clips]


@pytest.mark.slow
def test_nothing_of_a_forgotten_speaker_is_left(tmp_path):
    root = clone(tmp_path / "project", settings(SOURCES))
    anna(root), both(root)
    run(root, "dvc", "remote", "add", "-d", "store", str(tmp_path / "store"))
    run(root, "dvc", "add", "data/raw/anna", "data/raw/both")
    commit(root, "recordings")
    run(root, "dvc", "repro", "encode")
    commit(root, "results")
    run(root, "dvc", "push", "--run-cache")
    pieces = pieces_of(of_anna(root))
    assert len(pieces) == 20
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("trim_db: 45", "trim_db: 30"))  # only in the run cache
    run(root, "dvc", "repro", "prepare")
    pieces |= pieces_of(of_anna(root))
    (root / "params.yaml").write_text(text)
    run(root, "dvc", "repro", "encode")
    run(root, "dvc", "exp", "run", "-n", "tried", "-S", "prepare.trim_db=35", "prepare")
    pieces |= pieces_of(of_anna(root))
    (root / "params.yaml").write_text(text)

    before = everything(root)
    shown = forget(root, "anna")
    assert everything(root) == before
    assert "nothing is removed; the same command with --yes removes this" in shown
    shown = forget(root, "anna", "--yes")
    assert "1. params.yaml: remove 'anna' under prepare.sources." in shown
    told = " ".join(shown.split())
    assert "both/metadata.csv still names this speaker or these recordings; remove there: lines 8 to 9." in told
    assert "the remote 'store'" in shown
    assert holding(root, pieces) == []
    assert not (root / "data/raw/anna").exists()
    assert not (root / "data/raw/anna.dvc").exists()
    assert "tried" not in run(root, "dvc", "exp", "list", "--all-commits")
    listed = set((root / "forgotten/anna/objects.txt").read_text().splitlines())
    held = {str(path.relative_to(tmp_path / "store")) for path in (tmp_path / "store").rglob("*") if path.is_file()}
    for name in listed & held:
        (tmp_path / "store" / name).unlink()
    assert holding(tmp_path / "store", pieces) == []

    (root / "params.yaml").write_text(settings(SOURCES[1:]))
    table = root / "data/raw/both/metadata.csv"
    table.write_text("".join(line for line in table.open() if not line.endswith(",anna\n")))
    again = run(root, "dvc", "repro", "encode")
    assert {"prepare", "encode"} <= stages_run(again)
    assert "base" not in stages_run(again), "nobody's recordings are in it"
    with (root / "data/codes/clips.csv").open(newline="") as file:
        assert {row["speaker"] for row in csv.DictReader(file)} == {"bela"}
    commit(root, "without Anna")
    assert "removed" in forget(root, "anna", "--yes"), "a second run has nothing to do"
    assert (root / "data/codes/clips.csv").is_file()
    told = forget(root, "nobody", ok=False)
    assert "error: there is no speaker 'nobody' in this project; its speakers are anna, bela." in told


# A project that is written by hand: what a killed run leaves, links, and shared recordings


def cached(root: Path, path: str) -> str:
    """Put a file or a folder into the cache, as DVC does, and return its hash."""

    def put(data: bytes, ending: str = "") -> str:
        hash = hashlib.md5(data).hexdigest() + ending
        place = root / ".dvc/cache/files/md5" / hash[:2] / hash[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return hash

    found = root / path
    if found.is_file():
        return put(found.read_bytes())
    files = sorted(one for one in found.rglob("*") if one.is_file())
    listed = [{"md5": put(one.read_bytes()), "relpath": one.relative_to(found).as_posix()} for one in files]
    return put(json.dumps(listed).encode(), ".dir")


def clips(root: Path, whose: dict[str, str]) -> None:
    """Write data/clips: a file for each clip, with its speaker."""
    shutil.rmtree(root / "data/clips", ignore_errors=True)
    (root / "data/clips").mkdir(parents=True)
    for name, who in whose.items():
        (root / f"data/clips/{name}.flac").write_bytes(f"{name} of {who} ".encode() * 100)
    rows = "".join(f"{name},{name}.flac,Yes.,en,{who},{name[:4]},2.0,train\n" for name, who in whose.items())
    (root / "data/clips/clips.csv").write_text("id,file,text,language,speaker,source,seconds,split\n" + rows)


def results(root: Path, whose: dict[str, str], model: str) -> None:
    """Write the results of a run, with their dvc.lock, and commit them."""
    clips(root, whose)
    contents = {"base/model.pth": "base", "base/vocab.json": "words"}
    for name, content in {**contents, "phase1/model.pth": model, "phase1/vocab.json": "words"}.items():
        (root / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "models" / name).write_bytes(f"{content} ".encode() * 100)
    hashes = {path: cached(root, path) for path in ("data/clips", "models/base", "models/phase1")}

    def stage(*outs: str, deps: tuple[str, ...] = ()) -> dict:
        listed = [{"path": path, "md5": hashes[path]} for path in outs]
        return {"cmd": "x", "deps": [{"path": one, "md5": hashes[one]} for one in deps], "outs": listed}

    stages = {
        "prepare": stage("data/clips"),
        "base": stage("models/base"),
        "train_phase1": stage("models/phase1", deps=("data/clips", "models/base")),
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    entry = root / ".dvc/cache/runs/ab" / model / model
    entry.parent.mkdir(parents=True)
    entry.write_text(yaml.safe_dump(stages["train_phase1"]))
    commit(root, model)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "project"
    copy_settings(root)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(settings(SOURCES))
    anna(root), both(root)
    for name in ("anna", "both"):
        outs = [{"md5": cached(root, f"data/raw/{name}"), "path": name}]
        (root / f"data/raw/{name}.dvc").write_text(yaml.safe_dump({"outs": outs}))
    (root / "data/decisions.csv").write_text('id,decision,text\nboth-b0,accept,\nanna-a1,,"Yes, it is."\n')
    run(root, "git", "init", "-q", "-b", "main")
    results(root, {"both-b0": "bela"}, "of-bela")
    results(root, {"both-b0": "bela", "anna-a1": "anna"}, "of-both")
    (root / "state/train_phase1-0123456789abcdef").mkdir(parents=True)
    (root / "said").mkdir()
    (root / "said/1.wav").write_bytes(b"said" * 100)
    (root / "compared/sounds").mkdir(parents=True)
    (root / "compared/sounds/1.wav").write_bytes(b"compared" * 100)
    monkeypatch.chdir(root)
    return root


PIECES = {b"anna-a1 of anna", b"of-both of-both", b"saidsaid", b"comparedcompared"}


def voices(root: Path) -> set[bytes]:
    """Pieces of Anna's recordings."""
    return pieces_of([*(root / "data/raw/anna/wavs").iterdir(), *(root / f"data/raw/both/b{i}.wav" for i in (6, 7))])


def sources() -> list:
    from voicetune.params import whole

    return list(whole.load().prepare.sources)


def test_what_others_have_stays(project):
    pieces = PIECES | voices(project)
    others = [(project / f"data/raw/both/b{i}.wav").read_bytes() for i in range(6)]
    command.run(project, "anna", sources(), yes=True)
    assert holding(project, pieces) == []
    for sound in others:
        assert len(holding(project, {sound})) == 2, "in data/raw and in the cache"
    assert len(holding(project, {b"of-bela of-bela"})) == 1, "an earlier model of Bela alone is still in the cache"
    assert len(holding(project, {b"words words"})) == 2, "the vocabulary is the base's too"
    assert (project / "models/base/model.pth").is_file()
    assert not (project / "models/phase1").exists()
    assert not list((project / "state").glob("*"))
    assert (project / "data/decisions.csv").read_text() == "id,decision,text\nboth-b0,accept,\n"
    assert [path.name for path in (project / ".dvc/cache/runs/ab").iterdir()] == ["of-bela"]


def test_exports_and_decisions_about_rejected_clips_go_and_those_of_others_stay(project, capsys):
    for who in ("anna", "bela"):
        facts = json.dumps({"references": {who: {}}, "consent": []})
        (project / f"given-{who}").mkdir()
        (project / f"given-{who}/voicetune.json").write_text(facts)
        with zipfile.ZipFile(project / f"{who}.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("voicetune.json"), facts)  # of 1980, as `export` writes it
            archive.writestr(zipfile.ZipInfo("ref.wav"), b"sound")
        shutil.copyfile(project / f"{who}.zip", project / f"{who}-and-more.zip")
        with zipfile.ZipFile(project / f"{who}-and-more.zip", "a") as archive:
            archive.writestr("takes/1.wav", b"sound")
    (project / "notes.zip").write_bytes(b"no archive")
    rows = "both-b0,accept,\nanna-a9,reject,\nanna-a1,accept,\n"
    (project / "data/decisions.csv").write_text(f"id,decision,text\n{rows}")
    command.run(project, "anna", sources(), yes=True)
    left = {path.name for path in project.iterdir()}
    assert {"given-bela", "bela.zip", "notes.zip", "anna-and-more.zip", "bela-and-more.zip"} <= left
    assert not {"given-anna", "anna.zip"} & left
    assert (project / "data/decisions.csv").read_text() == "id,decision,text\nboth-b0,accept,\n"
    told = " ".join(capsys.readouterr().out.split())
    assert "anna-and-more.zip has a model of this speaker, and files that `voicetune export` did not write" in told
    assert "bela-and-more.zip" not in told
    assert "sounds that `say` wrote elsewhere than into `said`" in told
    assert "if `prepare.sources` has no other speaker, add one first" in told


def test_earlier_recordings_go_from_the_cache_if_dvc_has_a_folder_above_them(project):
    """A recording of Bela, which lay in Anna's folder once, stays."""
    above = project / "data/raw/2024"
    sentences = {"old": "Good bye.", "new": "Good evening.", "of_bela": "Good night."}
    for name in ("old", "of_bela"):
        record(above / f"anna/wavs/{name}.wav", sentences[name], "en-us+f3")
    pieces = pieces_of([above / "anna/wavs/old.wav"])
    of_bela = pieces_of([above / "anna/wavs/of_bela.wav"])
    (above / "anna/metadata.csv").write_text("old|These are the words of long ago.\n")
    pointer = project / "data/raw/2024.dvc"
    pointer.write_text(yaml.safe_dump({"outs": [{"md5": cached(project, "data/raw/2024"), "path": "2024"}]}))
    commit(project, "old recordings")
    (above / "bela/wavs").mkdir(parents=True)
    (above / "anna/wavs/of_bela.wav").rename(above / "bela/wavs/of_bela.wav")
    (above / "anna/wavs/old.wav").unlink()
    record(above / "anna/wavs/new.wav", sentences["new"], "en-us+f3")
    for who, name in (("anna", "new"), ("bela", "of_bela")):
        (above / who / "metadata.csv").write_text(f"{name}|{sentences[name]}\n")
    pointer.write_text(yaml.safe_dump({"outs": [{"md5": cached(project, "data/raw/2024"), "path": "2024"}]}))
    commit(project, "new recordings")
    pieces |= pieces_of([above / "anna/wavs/new.wav"])
    later = [{**SOURCES[0], "name": f"{who}-2024", "path": f"data/raw/2024/{who}", "speaker": who} for who in WHO]
    (project / "params.yaml").write_text(settings([*SOURCES, *later]))
    command.run(project, "anna", sources(), yes=True)
    assert holding(project, pieces | {b"words of long ago"}) == []
    assert len(holding(project, of_bela)) == 2, "in data/raw and in the cache"


def test_what_an_earlier_voice_left_goes_though_the_pipeline_has_another_one_now(project):
    results(project, {"both-b0": "bela"}, "of-bela-again")
    (project / ".compared.part/sounds").mkdir(parents=True)
    (project / ".compared.part/sounds/1.wav").write_bytes(b"compared" * 100)
    for name, who in {"first": "anna", "second": "bela"}.items():
        (project / f"models/{name}").mkdir()
        (project / f"models/{name}/model.pth").write_bytes(b"a voice " * 100)
        (project / f"models/{name}/voicetune.json").write_text(json.dumps({"references": {who: {}}, "consent": []}))
    pieces = PIECES | voices(project)
    command.run(project, "anna", sources(), yes=True)
    assert holding(project, pieces) == []
    assert {path.name for path in (project / "models").iterdir()} == {"base", "phase1", "second"}
    assert (project / "data/clips/both-b0.flac").is_file()
    assert not list((project / "state").glob("*"))
    (project / "state/train_phase1-0123456789abcdef").mkdir()
    command.run(project, "anna", sources(), yes=True)
    assert list((project / "state").glob("*")), "a later training is not one of Anna"


def test_a_recording_that_others_list_too_stays_in_the_cache(project):
    """The recording b7 of Anna is one of Bela in another source."""
    (project / "data/raw/bela/wavs").mkdir(parents=True)
    shutil.copyfile(project / "data/raw/both/b7.wav", project / "data/raw/bela/wavs/1.wav")
    (project / "data/raw/bela/metadata.csv").write_text("1|Thank you.\n")
    outs = [{"md5": cached(project, "data/raw/bela"), "path": "bela"}]
    (project / "data/raw/bela.dvc").write_text(yaml.safe_dump({"outs": outs}))
    bela = {**SOURCES[0], "name": "bela", "path": "data/raw/bela", "speaker": "bela"}
    (project / "params.yaml").write_text(settings([*SOURCES, bela]))
    pieces = pieces_of([project / "data/raw/both/b7.wav"])
    command.run(project, "anna", sources(), yes=True)
    assert not (project / "data/raw/both/b7.wav").exists()
    assert len(holding(project, pieces)) == 2, "in data/raw/bela and in the cache"


def test_of_a_folder_that_has_more_than_an_exported_model_only_the_model_goes(project):
    facts = json.dumps({"references": {"anna": {}}, "consent": []})
    model = ["config.json", "vocab.json", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth", "model.pth", "ref.wav"]
    more = ["scripts/1.txt", "takes.wav"]
    for folder, names in {"show/voice": model + more, "docs": ["README.md", "config.json"], "given": model}.items():
        for name in ["LICENSE.txt", *names]:
            (project / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (project / folder / name).write_text("{}")
        (project / folder / "voicetune.json").write_text(facts)
    for folder in ("show/voice", "given"):
        (project / folder / "README.md").write_text("A voice for XTTS v2's classes, fine-tuned with voicetune.")
    found = plan.make(project, "anna", sources())
    command.run(project, "anna", sources(), yes=True)
    left = {path.relative_to(project / "show/voice").as_posix() for path in (project / "show/voice").rglob("*.*")}
    assert left == {"scripts/1.txt", "takes.wav", "LICENSE.txt"}
    assert {path.name for path in (project / "docs").iterdir()} == {"README.md", "config.json", "LICENSE.txt"}
    assert not (project / "given").exists()
    told = [one for one in found.by_hand if "`voicetune export` did not write" in one]
    assert [one.split(" has")[0] for one in told] == ["docs", "show/voice"]
    assert "2 files or folders that `voicetune export` did not write, such as scripts" in told[1]


@pytest.mark.parametrize("killed", range(0, 32, 4))
def test_a_run_that_was_killed_is_finished_by_the_next(project, monkeypatch, killed):
    pieces = PIECES | voices(project)
    remove, count = command._remove_path, 0

    def until_killed(path: Path) -> None:
        nonlocal count
        count += 1
        if count > killed:
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(command, "_remove_path", until_killed)
    with pytest.raises(KeyboardInterrupt):
        command.run(project, "anna", sources(), yes=True)
    listed = (project / "forgotten/anna/objects.txt").read_text()
    monkeypatch.setattr(command, "_remove_path", remove)
    command.run(project, "anna", sources(), yes=True)
    assert holding(project, pieces) == []
    assert not (project / "data/raw/anna").exists()
    assert (project / "forgotten/anna/objects.txt").read_text() == listed


def test_nothing_outside_the_project_is_removed(project, tmp_path, capsys):
    shutil.move(project / "data/raw/anna", tmp_path / "elsewhere")
    (project / "data/raw/anna").symlink_to(tmp_path / "elsewhere")
    shutil.move(project / ".dvc/cache", tmp_path / "cache")
    (project / ".dvc/cache").symlink_to(tmp_path / "cache")
    before = everything(tmp_path / "elsewhere") | everything(tmp_path / "cache")
    command.run(project, "anna", sources(), yes=True)
    assert everything(tmp_path / "elsewhere") | everything(tmp_path / "cache") == before
    told = " ".join(capsys.readouterr().out.split())
    assert f"data/raw/anna is a link to {tmp_path / 'elsewhere'}: only the link is removed" in told
    assert "objects in DVC's cache: " in told
    assert "lie outside this folder" in told


def test_a_recording_of_two_speakers_is_named_and_stays(project, capsys):
    shutil.rmtree(project / "data/raw/both")
    rows = [
        {"audio": "talk.wav", "text": "Yes.", "offset": i, "duration": 1, "speaker": who}
        for i, who in enumerate(("bela", "anna", "anna"))
    ]
    record(project / "data/raw/both/talk.wav", " ".join(SENTENCES), "en-us+m1")
    (project / "data/raw/both/list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "params.yaml").write_text(settings([SOURCES[0], {**SOURCES[1], "reader": "jsonl"}]))
    command.run(project, "anna", sources(), yes=True)
    assert (project / "data/raw/both/talk.wav").is_file()
    told = " ".join(capsys.readouterr().out.split())
    assert "talk.wav has other speakers too; silence this speaker there: 1 to 2 s, 2 to 3 s." in told
    assert "list.jsonl still names this speaker or these recordings; remove there: lines 2 to 3." in told


def test_texts_and_microphones_in_other_folders_belong_to_a_recording(tmp_path, monkeypatch):
    """VCTK has them so. What another speaker has under the same name stays."""
    monkeypatch.chdir(tmp_path)
    folder = Path("data/raw/vctk")
    for who in ("anna", "bela"):
        for name in (f"{who}_1", "same"):
            for i in (1, 2):
                record(folder / f"wav48_silence_trimmed/{who}/{name}_mic{i}.flac", "Yes.", "en-us")
            (folder / f"txt/{who}").mkdir(parents=True, exist_ok=True)
            (folder / f"txt/{who}/{name}.txt").write_text("Yes.")
    source = VCTKSource(name="v", reader="vctk", path=str(folder), speaker="x", language="en")
    found = recordings.find("anna", [source])
    sounds = folder / "wav48_silence_trimmed/anna"
    assert set(found.files) == {
        *(sounds / f"{name}_mic{i}.flac" for name in ("anna_1", "same") for i in (1, 2)),
        *(folder / f"txt/anna/{name}.txt" for name in ("anna_1", "same")),
    }
    assert found.speakers == {"anna", "bela"}


def shows(*listed: str, unlisted: tuple[str, ...] = ()) -> AudioFolderSource:
    """A source of recordings with one text each. A folder names the speaker; unlisted ones are in no row."""
    folder = Path("data/raw/show")
    for name in (*listed, *unlisted):
        record(folder / name, "Yes.", "en-us")
        (folder / name).with_suffix(".txt").write_text("Yes.")
    rows = "".join(f"{name},Yes.,{'anna' if 'anna' in name else 'bela'}\n" for name in listed)
    (folder / "metadata.csv").write_text("file_name,text,speaker\n" + rows)
    return AudioFolderSource(name="s", reader="audiofolder", path=str(folder), speaker="x", language="en")


def found_of_anna(source: AudioFolderSource) -> tuple[set[str], str]:
    """Which files of a source are removed, and the sentences about the others."""
    found = recordings.find("anna", [source])
    return {path.relative_to(source.path).as_posix() for path in found.files}, " ".join(found.by_hand)


def test_an_unlisted_sound_in_another_folder_stays_though_it_has_the_name_of_a_listed_one(tmp_path, monkeypatch):
    """Bela's first recording has no row yet, and it has the number of Anna's first one."""
    monkeypatch.chdir(tmp_path)
    unlisted = ("bela/001.wav", "anna/001.flac", "anna/notes.wav")
    files, told = found_of_anna(shows("anna/001.wav", "anna/002.wav", "bela/003.wav", unlisted=unlisted))
    of_anna = {f"anna/{name}" for name in ("001.wav", "001.flac", "001.txt", "002.wav", "002.txt")}
    assert files == of_anna | {"anna/notes.wav", "anna/notes.txt"}
    assert "may be of this speaker: data/raw/show/bela/001.txt, data/raw/show/bela/001.wav; listen to them" in told


def test_unlisted_sounds_in_a_folder_with_the_name_of_the_speaker_stay_if_others_are_there_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = shows("anna/001.wav", "anna/by_bela/1.wav", unlisted=("anna/002.wav", "bela/anna/3.wav"))
    table = Path(source.path, "metadata.csv")
    table.write_text(table.read_text().replace("by_bela/1.wav,Yes.,anna", "by_bela/1.wav,Yes.,bela"))
    files, told = found_of_anna(source)
    assert files == {"anna/001.wav", "anna/001.txt"}
    maybe = [f"data/raw/show/{name}" for name in ("anna/002.txt", "anna/002.wav", "bela/anna/3.txt", "bela/anna/3.wav")]
    assert f"they may be of this speaker: {', '.join(maybe)}; listen" in told


def test_a_sound_with_a_longer_name_beside_a_recording_may_be_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = shows("talk/anna.wav", "talk/x.wav", unlisted=("talk/anna.bela.wav", "talk/anna.flac"))
    Path(source.path, "talk/anna.en.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nYes.\n")
    files, told = found_of_anna(source)
    assert files == {f"talk/anna.{kind}" for kind in ("wav", "txt", "flac", "en.srt")}
    assert "may be of this speaker: data/raw/show/talk/anna.bela.txt, data/raw/show/talk/anna.bela.wav; listen" in told


def test_two_microphones_are_one_speaker_only_in_the_folders_of_vctk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files, _ = found_of_anna(shows("talk/anna_mic1.wav", "talk/x_mic3.wav", unlisted=("talk/anna_mic2.wav",)))
    assert files == {"talk/anna_mic1.wav", "talk/anna_mic1.txt"}


def test_long_recordings_in_a_folder_of_others_are_named(project):
    long = {**SOURCES[0], "reader": "long", "path": "data/raw/both"}
    (project / "params.yaml").write_text(settings([long, SOURCES[1]]))
    (project / "data/raw/both/metadata.csv").write_text("file_name,text,speaker\nb0.wav,Yes.,bela\n")
    assert any("data/raw/both has long recordings" in one for one in recordings.find("anna", sources()).by_hand)


def test_long_recordings_of_others_are_no_other_format_of_a_recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = shows("anna/1.wav", "bela/2.wav", unlisted=("films/anna/1.wav",))
    long = LongSource(name="l", reader="long", path="data/raw/show/films", speaker="bela", language="en")
    found = recordings.find("anna", [source, long])
    assert {path.name for path in found.files} == {"1.wav", "1.txt"}
    assert {path.parent for path in found.files} == {Path("data/raw/show/anna")}


def test_recordings_in_git_are_named_with_the_command_that_removes_them(project, capsys):
    run(project, "git", "add", "-f", "data/raw/anna/wavs")
    commit(project, "recordings in git")
    command.run(project, "anna", sources(), yes=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "git's history has 8 files of these recordings, such as data/raw/anna/wavs/a0.wav" in told
    listed = project / "forgotten/anna/paths.txt"  # a fresh clone has no such file
    assert f"git filter-repo --invert-paths --paths-from-file {listed}" in told


def test_the_paths_in_git_are_those_of_the_speaker_and_one_call_lists_them(project, monkeypatch):
    """A name with brackets would be a pattern that fits names of others."""
    folder = project / "data/raw/both"
    run(project, "git", "add", "-f", "data/raw/both")
    commit(project, "before a recording is renamed")
    (folder / "b7.wav").rename(folder / "b[0-7].wav")
    table = folder / "metadata.csv"
    table.write_text(table.read_text().replace("b7.wav", "b[0-7].wav"))
    run(project, "git", "add", "-f", "data/raw/both", "data/raw/anna/wavs")
    commit(project, "recordings in git")
    calls, git = [], history.git

    def counted(root: Path, *arguments: str) -> bytes:
        calls.append(arguments)
        return git(root, *arguments)

    monkeypatch.setattr(history, "git", counted)
    found = plan.make(project, "anna", sources())
    names = [f"anna/wavs/a{i}.wav" for i in range(8)] + ["both/b6.wav", "both/b[0-7].wav"]
    assert found.committed == [f"data/raw/{name}" for name in names]
    assert len([one for one in calls if "--name-only" in one and "log" in one]) == 1


def test_decisions_about_a_source_with_a_longer_name_stay(project):
    """The source `anna-old` is of Bela. `anna-b0` is a clip of Bela, as data/clips says."""
    shutil.copytree(project / "data/raw/anna", project / "data/raw/anna-old")
    old = {**SOURCES[0], "name": "anna-old", "path": "data/raw/anna-old", "speaker": "bela"}
    (project / "params.yaml").write_text(settings([*SOURCES, old]))
    clips(project, {"anna-a1": "anna", "anna-b0": "bela"})
    rows = "anna-a9,reject,\nanna-old-a1,reject,\nanna-b0,accept,\nanna-a1,accept,\n"
    (project / "data/decisions.csv").write_text(f"id,decision,text\n{rows}")
    assert plan.make(project, "anna", sources()).decisions == ["anna-a9", "anna-a1"]


def test_a_training_that_runs_is_not_disturbed(project):
    from voicetune.training import state_folders

    with (
        state_folders.locked(project / "state/train_phase1-0123456789abcdef"),
        pytest.raises(UserError, match="is in use by a training; stop that first"),
    ):
        plan.make(project, "anna", sources())


def test_it_removes_nothing_while_a_command_of_dvc_works(project):
    from dvc.repo import Repo, lock_repo

    before = everything(project)
    with (
        Repo(str(project)) as repo,
        lock_repo(repo),
        pytest.raises(UserError, match=r"another command of DVC works in this folder and holds \.dvc.tmp.lock; wait"),
    ):
        command.run(project, "anna", sources(), yes=True)
    assert everything(project) == before


@pytest.mark.parametrize(("place", "mode"), [("", "read"), ("", "write"), ("/exps/1/.dvc/tmp", "write")])
def test_it_removes_nothing_while_a_stage_runs(project, place, mode):
    """DVC gives up its lock while a stage's command runs. It leaves this file."""
    lock = project / f".dvc/tmp{place}/rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)

    def names(pid: int) -> None:
        info = {"pid": pid, "cmd": "dvc repro"}
        lock.write_text(json.dumps({"read": {}, "write": {}, mode: {"data/raw": [info] if mode == "read" else info}}))

    names(os.getpid())
    before = everything(project)
    with pytest.raises(UserError, match=r"rwlock says that process \d+ of DVC \('dvc repro'\) works in .*; wait"):
        command.run(project, "anna", sources(), yes=True)
    assert everything(project) == before
    command.run(project, "anna", sources(), yes=False)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names(ended.pid)
    command.run(project, "anna", sources(), yes=True)
    assert not (project / "data/raw/anna").exists()


def test_a_speaker_of_no_source_is_refused(project):
    with pytest.raises(UserError, match=r"there is no speaker 'cili' in this project; its speakers are anna, bela\."):
        plan.make(project, "cili", sources())
