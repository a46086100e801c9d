"""Kept voices: complete or not at all, found by their names, forgotten with their speaker, removed one by one."""

import errno
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from test_forget import SOURCES, settings
from test_pipeline import ENVIRONMENT, ROOT, clone, commit, copy_settings, run, small_params, stages_run

from voicetune import __main__ as command
from voicetune import copies, giving, space
from voicetune.commands import options
from voicetune.errors import UserError
from voicetune.kept import keeping, table, voices
from voicetune.service.command import _named

WEIGHTS = b"the weights of a voice " * 1000
FIGURES = {
    "clips": 31,
    "cer": 0.31,
    "cer_low": 0.23,
    "cer_high": 0.4,
    "secs": 0.87,
    "secs_low": 0.85,
    "secs_high": 0.88,
}


def publish(root: Path, speaker: str, weights: bytes = WEIGHTS) -> None:
    """Write models/voice and metrics/compare as their stages do, and the parameters into dvc.lock."""
    shutil.rmtree(root / "models/voice", ignore_errors=True)
    (root / "models/voice").mkdir(parents=True)
    facts = {
        "published": "phase2", "language": "en", "facts": {"clip_seconds": 1923.6}, "references": {speaker: {}},
        "consent": [{"source": speaker, "speakers": [speaker], "consent": None}],
    }  # fmt: skip
    contents = {"voicetune.json": json.dumps(facts).encode(), "best_model.pth": weights, "vocab.json": b"words"}
    for name in ("config.json", "dvae.pth", "mel_stats.pth"):
        contents[name] = b"{}"
    for name, data in contents.items():
        (root / "models/voice" / name).write_bytes(data)
    row = {"model_sha256": hashlib.sha256(weights).hexdigest(), "data_sha256": "0", **FIGURES}
    others = {name: {"model_sha256": "0", "data_sha256": "0"} for name in ("base", "phase1")}
    (root / "metrics/compare").mkdir(parents=True, exist_ok=True)
    figures = {"recordings": {}, "codec": {}, **others, "phase2": row}
    (root / "metrics/compare/figures.json").write_text(json.dumps(figures))
    params = yaml.safe_load((root / "params.yaml").read_text())
    kept = {"train_phase2": {"lr": params["lr"]}, "publish": {"prepare.sources": params["prepare"]["sources"]}}
    stages = {stage: {"cmd": "x", "params": {"params.yaml": values}} for stage, values in kept.items()}
    stages["synthesize"] = {"cmd": "x", "params": {"params.yaml": {"synthesize": {"lines": ["Old."]}}}}
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with a published voice of Anna."""
    root = tmp_path / "project"
    copy_settings(root)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(settings(SOURCES))
    publish(root, "anna")
    run(root, "git", "init", "-q", "-b", "main")
    commit(root, "a voice")
    monkeypatch.chdir(root)
    return root


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def sentence(call, *arguments) -> str:
    with pytest.raises(UserError) as told:
        call(*arguments)
    return str(told.value)


def test_a_kept_voice_has_all_that_it_needs(project, capsys):
    assert keeping.keep("anna") == Path("voices/anna")
    names = {"best_model.pth", "config.json", "dvae.pth", "mel_stats.pth", "vocab.json", "voicetune.json"}
    assert below(project / "voices/anna") == names | {"kept.json", "figures.json", "params.yaml"}
    assert (project / "voices/anna/best_model.pth").read_bytes() == WEIGHTS
    assert (project / "voices/anna/params.yaml").read_bytes() == (project / "params.yaml").read_bytes()
    assert voices.read(Path("voices/anna")).revision == run(project, "git", "rev-parse", "HEAD").strip()
    assert capsys.readouterr().out == ""
    commit(project, "kept")
    tracked = run(project, "git", "ls-files", "voices").split()
    assert tracked == ["voices/anna.dvc"]
    assert run(project, "dvc", "status", "voices/anna.dvc").strip() == "Data and pipelines are up to date."
    assert keeping.uncommitted() == []
    (project / "data").mkdir()
    (project / "data/decisions.csv").write_text("id,decision,text\n")
    (project / "dvc.lock").write_text((project / "dvc.lock").read_text() + "\n")
    assert keeping.uncommitted() == ["dvc.lock", "data/decisions.csv"]


def test_figures_of_a_kept_voice_stay_when_another_voice_is_published(project):
    keeping.keep("anna")
    measured = giving.measured(Path("voices/anna"))
    publish(project, "[red]bela", b"other weights")
    assert giving.measured(Path("voices/anna")) == measured
    assert measured["CER"] == "0.310 [0.230, 0.400]"
    keeping.keep("second")
    shown, faults = table.make()
    assert faults == []
    cells = [[cell.replace("\n", " ") for cell in column.cells] for column in shown.columns]
    assert [cell.split()[0] for cell in cells[0]] == ["(published)", "anna", "second"]
    assert cells[1] == ["\\[red]bela en", "anna en", "\\[red]bela en"]
    assert cells[2][1] == "phase 2 32.1 min"
    assert cells[3][1] == "0.31 0.23-0.40"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "cannot be the name"), ("", "cannot be the name"), ("a" * 300, "60 at most"), ("a.dvc", "digits"),
        ("con", "another meaning"), ("voice", "another meaning"), (".hidden", "digits"), ("a/b", "digits"),
        ("a\n", "digits"), ("é", "digits"),
    ],
)  # fmt: skip
def test_names_that_no_voice_can_have_are_refused(project, name, said):
    for call in (keeping.keep, keeping.remove, voices.find):
        assert said in sentence(call, name)
    assert not (project / "voices").exists()


def test_a_name_that_exists_is_refused(project):
    keeping.keep("anna")
    for folder in ("hand", "link"):
        (project / "voices" / folder).mkdir()
    (project / "voices/hand/config.json").write_text("{}")
    before = below(project / "voices")
    for name in ("anna", "ANNA", "hand"):
        assert "exists already; take another name" in sentence(keeping.keep, name)
    assert "has no kept.json, so `voicetune keep` did not make it" in sentence(voices.find, "hand")
    assert "did not make it" in sentence(keeping.remove, "hand")
    assert [fault.split(" is ")[0] for fault in table.make()[1]] == ["voices/hand", "voices/link"]
    assert below(project / "voices") == before


def test_nothing_is_written_through_a_link(project, tmp_path):
    (tmp_path / "outside").mkdir()
    (project / "voices").symlink_to(tmp_path / "outside")
    assert "leads through a link" in sentence(keeping.keep, "anna")
    assert "leads through a link" in sentence(keeping.remove, "anna")
    (project / "voices").unlink()
    (tmp_path / "secret").write_bytes(b"secret")
    (project / "models/voice/vocab.json").unlink()
    (project / "models/voice/vocab.json").symlink_to(tmp_path / "secret")
    assert "is a link to" in sentence(keeping.keep, "anna")
    assert below(project / "voices") == set()


def break_facts(root: Path) -> None:
    (root / "models/voice/voicetune.json").write_text("{")


def retrain(root: Path) -> None:
    (root / "models/voice/best_model.pth").write_bytes(b"trained on")


def edit(root: Path) -> None:
    (root / "params.yaml").write_text((root / "params.yaml").read_text().replace("lr: 0.0002", "lr: 1.0e-4"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (break_facts, "models/voice/voicetune.json is not valid JSON; run `dvc repro -s -f publish`"),
        (retrain, "metrics/compare/figures.json has no figures of models/voice"),
        (edit, "params.yaml has another 'lr' than the one that made models/voice"),
        (lambda root: shutil.rmtree(root / "models"), "models/voice/voicetune.json is missing; run `dvc repro`"),
        (lambda root: shutil.rmtree(root / "metrics"), "or `dvc pull metrics/compare`"),
        (lambda root: (root / "dvc.lock").unlink(), "dvc.lock is missing"),
        (lambda root: (root / "metrics/compare/figures.json").write_text("{}"), "has no 'recordings'; run `dvc repro"),
    ],
)  # fmt: skip
def test_a_voice_that_does_not_fit_its_figures_or_parameters_is_not_kept(project, change, said):
    change(project)
    assert said in sentence(keeping.keep, "anna")
    assert below(project / "voices") == set()
    assert voices.names() == []


@pytest.mark.parametrize("name", ["models/voice", "metrics/compare"])
def test_a_voice_of_another_commit_is_not_kept(project, monkeypatch, name):
    """`git checkout` brings another dvc.lock, and leaves the voice and its figures as they are."""
    out = SimpleNamespace(fs_path=str(project / name), workspace_status=lambda: {name: "modified"})
    monkeypatch.setattr("dvc.repo.Repo.index", SimpleNamespace(outs=[out]))
    assert sentence(keeping.keep, "anna").startswith(f"{name} is not what dvc.lock names; run `dvc checkout {name}`, ")
    assert not (project / "voices/anna").exists()


def test_a_voice_is_not_kept_after_git_pull_without_dvc_pull(project):
    """dvc.lock names a colleague's voice, which the cache does not have."""
    stage = {"cmd": "true", "outs": ["models/voice"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"publish": stage}}))
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    run(project, "dvc", "commit", "--force")
    made = yaml.safe_load((project / "dvc.lock").read_text())["stages"]["publish"]["outs"]
    lock["stages"]["publish"]["outs"] = made
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    keeping.keep("own")
    made[0]["md5"] = f"{'1' * 32}.dir"
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    said = "models/voice is not what dvc.lock names; run `dvc checkout models/voice`, or"
    assert said in sentence(keeping.keep, "anna")
    (project / "models/voice/vocab.json").unlink()
    (project / "models/voice/vocab.json").symlink_to(project / ".dvc/cache/nowhere")
    assert said in sentence(keeping.keep, "anna")
    assert not (project / "voices/anna").exists()


def test_a_voice_whose_run_was_not_committed_names_no_commit(project, capsys):
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "\n")
    given = command.parser().parse_args(["keep", "anna"])
    given.run(given)
    told = capsys.readouterr()
    assert told.out == "voices/anna is kept\n"
    assert told.err.startswith("warning: params.yaml had uncommitted changes when this voice was kept, so")
    assert "`voicetune voices --remove anna`" in told.err
    assert voices.read(Path("voices/anna")).revision is None
    assert table.make()[1] == []
    commit(project, "the run")
    keeping.remove("anna")
    given.run(given)
    told = capsys.readouterr()
    assert told.out == "voices/anna is kept; commit it: `git add voices/anna.dvc && git commit`\n"
    assert told.err == ""
    assert voices.read(Path("voices/anna")).revision == run(project, "git", "rev-parse", "HEAD").strip()


def test_a_voice_without_its_file_of_dvc_is_named_and_stays_out_of_git(project, capsys):
    """A colleague removed it, and `git pull` took its file; or `keep` was killed before DVC had the folder."""
    keeping.keep("anna")
    keeping.keep("bela")
    commit(project, "kept")
    for name in ("anna", "bela"):
        (project / f"voices/{name}.dvc").unlink()
    commit(project, "removed")
    assert run(project, "git", "ls-files", "voices") == ""
    said = "voices/anna has no voices/anna.dvc, so no remote gets it; run `dvc add voices/anna`, or remove it with"
    shown, faults = table.make()
    assert shown.row_count == 3
    assert faults[0] == f"{said} `voicetune voices --remove anna`"
    assert faults[1].startswith("voices/bela has no voices/bela.dvc")
    run(project, "dvc", "add", "voices/anna")
    assert len(table.make()[1]) == 1
    assert run(project, "git", "status", "--porcelain", "-uall").split() == ["??", "voices/anna.dvc"]
    given = command.parser().parse_args(["voices", "--remove", "anna", "bela"])
    given.run(given)
    assert capsys.readouterr().out.splitlines() == [
        "removed anna; DVC's cache has it until `make clean-cache`",
        "removed bela; it had no voices/bela.dvc, so DVC cannot bring it back",
    ]


@pytest.fixture
def pulled(project) -> Path:
    """`git pull` has brought the file of a voice that a colleague kept anew; the folder is still the earlier one."""
    keeping.keep("anna")
    keeping.keep("new")
    publish(project, "anna", WEIGHTS[::-1])
    keeping.remove("new")
    keeping.keep("new")
    text = (project / "voices/new.dvc").read_text().replace("path: new", "path: anna")
    (project / "voices/anna.dvc").write_text(text)
    return project


def test_an_earlier_voice_is_not_taken_for_the_one_that_was_pulled(pulled, capsys):
    said = "voices/anna is not what voices/anna.dvc names; run `dvc checkout voices/anna.dvc`, or `dvc pull voices"
    assert said in sentence(voices.find, "anna")
    assert said in table.make()[1][0]
    assert said in sentence(command.parser().parse_args, ["say", "x", "--voice", "anna"])
    for folder in ("voices/anna", "voices/../voices/anna/", str(pulled / "voices/anna")):
        assert said in sentence(command.parser().parse_args, ["say", "x", "--model", folder])
        assert said in sentence(_named, f"show={folder}")
        assert said in sentence(_named, folder)
    run(pulled, "dvc", "checkout", "voices/anna.dvc")
    assert voices.find("anna") == Path("voices/anna")
    assert _named("voices/anna") == (None, Path("voices/anna"))
    assert command.parser().parse_args(["say", "x", "--model", "voices/anna"]).model == Path("voices/anna")
    assert table.make()[1] == []
    assert capsys.readouterr().err == ""


def test_an_earlier_voice_is_noticed_without_a_list_of_its_files(pulled, capsys):
    """The cache does not have what was pulled. A folder of another size is another one, and one of that size may be."""
    shutil.rmtree(pulled / ".dvc/cache")
    keep = (pulled / "voices/anna.dvc").read_text()
    size = yaml.safe_load(keep)["outs"][0]["size"]
    (pulled / "voices/anna.dvc").write_text(keep.replace(f"size: {size}", f"size: {size + 1}"))
    assert "or `dvc pull voices/anna.dvc` if that fails" in sentence(voices.find, "anna")
    (pulled / "voices/anna.dvc").write_text(keep)
    sizes = sum(path.stat().st_size for path in (pulled / "voices/anna").iterdir())
    (pulled / "voices/anna.dvc").write_text(keep.replace(f"size: {size}", f"size: {sizes}"))
    (pulled / "voices/anna/.DS_Store").write_bytes(b"macOS")
    assert voices.find("anna") == Path("voices/anna")
    assert "may be an earlier voice; run `dvc pull voices/anna.dvc`" in capsys.readouterr().err
    for given in ("--voice", "anna"), ("--model", "voices/anna"):
        options.check_model(command.parser().parse_args(["say", "x", *given]).model)
        assert capsys.readouterr().err.count("may be an earlier voice") == 1
    shutil.rmtree(pulled / ".dvc")
    assert voices.find("anna") == Path("voices/anna")
    (pulled / "voices/anna.dvc").unlink()
    assert voices.find("anna") == Path("voices/anna")
    assert capsys.readouterr().err == ""


def test_a_cache_elsewhere_is_found(pulled, tmp_path):
    shutil.move(pulled / ".dvc/cache", tmp_path / "cache")
    run(pulled, "dvc", "cache", "dir", str(tmp_path / "cache"))
    assert "voices/anna is not what" in sentence(voices.find, "anna")
    run(pulled, "dvc", "checkout", "voices/anna.dvc")
    assert voices.find("anna") == Path("voices/anna")


def test_a_voice_is_not_kept_while_a_run_is_half_done(project):
    """A stage has run with new parameters, and dvc.lock has these, but models/voice is still the old one."""
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    out = {"path": "models/phase2", "md5": "1" * 32}
    lock["stages"]["train_phase2"]["outs"] = [out]
    lock["stages"]["publish"]["deps"] = [out, {"path": "src/publish.py", "md5": "3" * 32}]
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    keeping.keep("anna")
    lock["stages"]["train_phase2"]["outs"] = [out | {"md5": "2" * 32}]
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert sentence(keeping.keep, "bela") == "models/phase2 was made anew after stage publish ran; run `dvc repro`."


def test_parameters_that_do_not_change_the_voice_may_have_changed(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("jobs: 0", "jobs: 1"))
    keeping.keep("anna")


def full(*arguments, **more):
    raise OSError(errno.ENOSPC, "No space left on device", "voices/anna/best_model.pth")


@pytest.mark.parametrize("place", ["copy", "add", "checkout"])
def test_a_full_disk_leaves_nothing(project, monkeypatch, place):
    from dvc.repo import Repo

    keeping.keep("first")
    before = below(project / "voices")
    if place == "copy":
        monkeypatch.setattr(copies.shutil, "copyfile", full)
    else:
        monkeypatch.setattr(Repo, place, full)
    with pytest.raises((UserError, OSError), match="No space left"):
        keeping.keep("anna")
    assert below(project / "voices") == before
    monkeypatch.undo()
    monkeypatch.chdir(project)
    keeping.keep("anna")


def test_what_a_killed_keep_leaves_is_named_and_the_next_one_goes_on(project):
    (project / "voices/.anna.part").mkdir(parents=True)
    (project / "voices/.anna.part/best_model.pth").write_bytes(b"half")
    assert run(project, "git", "status", "--porcelain") == ""
    assert voices.names() == []
    assert table.make()[1] == ["voices/.anna.part is no kept voice; move it away, or remove it"]
    keeping.keep("anna")
    (project / "voices/anna.dvc").unlink()  # it was killed before DVC had the folder
    assert "remove that voice: `voicetune voices --remove anna`" in sentence(keeping.keep, "anna")
    keeping.remove("anna")
    keeping.keep("anna")
    shutil.rmtree(project / "voices/anna")  # or before DVC gave it back
    assert "run `dvc checkout voices/anna.dvc`" in sentence(voices.find, "anna")
    run(project, "dvc", "checkout", "voices/anna.dvc")
    assert voices.find("anna") == Path("voices/anna")


def test_of_two_that_keep_at_once_one_wins(project):
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")}
    started = [
        subprocess.Popen([sys.executable, "-m", "voicetune", "keep", "anna"], env=environment, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [one.communicate()[1].decode() for one in started]
    assert sorted(one.returncode for one in started) == [0, 1]
    assert "error: another command of DVC works" in "".join(said) or "anna exists already" in "".join(said)
    assert (project / "voices/anna/best_model.pth").read_bytes() == WEIGHTS
    assert below(project / "voices") - below(Path("voices/anna")) >= {"anna.dvc"}
    assert not list((project / "voices").glob(".*part*"))


@pytest.mark.parametrize(("type", "again"), [("hardlink,copy", False), ("symlink", False), ("copy", True)])
def test_a_kept_voice_takes_no_space_a_second_time_where_the_cache_links(project, type, again):
    run(project, "dvc", "config", "cache.type", type)
    keeping.keep("anna")
    (project / "models/voice/best_model.pth").write_bytes(b"other weights")  # changes no kept voice
    kept = project / "voices/anna/best_model.pth"
    assert kept.read_bytes() == WEIGHTS
    assert (kept.stat().st_nlink == 1 and not kept.is_symlink()) is again
    rows = {row.name: row.bytes for row in space.measure(project)}
    assert (rows["kept voices"] > len(WEIGHTS)) is again


def test_removing_one_voice_leaves_the_other_and_the_cache_keeps_what_it_needs(project):
    keeping.keep("anna")
    publish(project, "bela", b"weights of bela " * 100)
    keeping.keep("bela")
    publish(project, "cila", b"weights of cila")
    keeping.remove("anna")
    assert below(project / "voices") - below(Path("voices/bela")) >= {"bela.dvc"}
    assert voices.names() == ["bela"]
    shutil.rmtree(project / "voices/bela")
    space.collect_garbage(project, yes=True)
    run(project, "dvc", "checkout", "voices/bela.dvc")
    assert (project / "voices/bela/best_model.pth").read_bytes() == b"weights of bela " * 100
    objects = [path.read_bytes() for path in (project / ".dvc/cache/files").rglob("*") if path.is_file()]
    assert WEIGHTS not in objects
    keeping.remove("bela")
    assert not (project / "voices").exists()


def test_a_wrong_name_among_others_removes_nothing(project):
    keeping.keep("anna")
    given = command.parser().parse_args(["voices", "--remove", "anna", "typo"])
    assert "typo" in sentence(given.run, given)
    assert voices.names() == ["anna"]


def test_a_link_to_nothing_hides_no_other_voice(project):
    keeping.keep("anna")
    (project / "voices/anna/vocab.json").unlink()
    (project / "voices/anna/vocab.json").symlink_to(project / "nowhere")
    shown, faults = table.make()
    assert shown.row_count == 1, "the published voice"
    assert ["anna" in fault and "cannot be read" in fault for fault in faults] == [True]


def test_a_damaged_kept_voice_is_one_sentence_and_hides_no_other(project):
    keeping.keep("anna")
    keeping.keep("two")
    (project / "voices/anna/voicetune.json").write_text('{"published": 3}')
    (project / "voices/two/kept.json").write_text("[]")
    shown, faults = table.make()
    assert shown.row_count == 1
    assert "run `dvc checkout voices/anna.dvc`" in faults[0]
    assert "run `dvc checkout --force voices/two.dvc`" in faults[1]
    assert "voices/two/kept.json is not right" in sentence(voices.find, "two")
    run(project, "dvc", "checkout", "--force", "voices/anna.dvc", "voices/two.dvc")
    assert table.make()[0].row_count == 3


def test_commands_speak_with_a_kept_voice(project):
    keeping.keep("anna")
    for name in ("say", "export"):
        assert command.parser().parse_args([name, "x", "--voice", "anna"]).model == Path("voices/anna")
        assert command.parser().parse_args([name, "x"]).model == Path("models/voice")
        assert "the kept voices are anna" in sentence(command.parser().parse_args, [name, "x", "--voice", "bela"])
    assert _named("anna") == ("anna", Path("voices/anna"))
    assert _named("show=voices/anna") == ("show", Path("voices/anna"))
    assert _named("./anna") == (None, Path("anna"))
    assert "there is no kept voice 'bela'; the kept voices are anna (`voicetune voices` lists" in sentence(
        _named, "bela"
    )
    assert _named("models") == (None, Path("models"))
    for empty in ("=voices/anna", "anna=", ""):
        assert sentence(_named, empty).startswith(f"--voice is '{empty}', but should be a kept voice, FOLDER or")


def test_an_archive_takes_no_recordings_of_another_voice(project, dataset, monkeypatch):
    """Two voices may have clips of the same names."""
    ids = {"references": {"quizmaster": {"clips": ["clip00"]}}, "vocoder": "renderer"}
    (project / "data").symlink_to(dataset)
    model = project / "models/voice"
    (model / "voicetune.json").write_text(json.dumps({**ids, "facts": {"data_sha256": "other"}}))
    assert "give a recording of its speaker as --reference" in sentence(giving.reference, Path("models/voice"))
    (model / "voicetune.json").write_text(json.dumps({**ids, "facts": {}}))
    assert len(giving.reference(Path("models/voice"))[0])


def test_forget_finds_kept_voices_and_leaves_those_of_others(project, capsys):
    from voicetune.forget import command as forget
    from voicetune.params import whole

    keeping.keep("one")
    keeping.keep("here")
    publish(project, "bela", b"weights of bela " * 100)
    keeping.keep("bela")
    commit(project, "kept")
    shutil.rmtree(project / "voices/one")  # DVC's cache still has it
    pointer = {"outs": [{"md5": "0123456789abcdef0123456789abcdef.dir", "path": "away"}]}
    (project / "voices/away.dvc").write_text(yaml.safe_dump(pointer))
    forget.run(project, "anna", list(whole.load().prepare.sources), yes=True)
    told = " ".join(capsys.readouterr().out.split())
    assert "voices/away.dvc names a voice that is not here" in told
    assert "voices/bela" not in told
    assert voices.names() == ["away", "bela"]
    held = [path.read_bytes() for path in project.rglob("*") if path.is_file()]
    assert not [data for data in held if WEIGHTS in data]
    assert (project / "voices/bela/best_model.pth").read_bytes() == b"weights of bela " * 100
    assert (project / "voices/bela/vocab.json").read_bytes() == b"words"


def test_a_kept_voice_can_be_the_base_of_another(project, small_base, tmp_path):
    from voicetune.xtts import origins

    keeping.keep("anna")
    for path in small_base.iterdir():
        shutil.copyfile(path, project / "voices/anna" / path.name)
    (project / "voices/anna/best_model.pth").unlink()
    origins.unfold("voices/anna", tmp_path / "base", Path("-"))
    assert not {voices.FACTS, voices.FIGURES, voices.PARAMS} & below(tmp_path / "base")
    assert (tmp_path / "base/model.pth").is_file()


@pytest.mark.slow
def test_a_second_voice_and_back_to_the_first(tmp_path, monkeypatch):
    """The steps of docs/several-voices.md."""
    root = clone(tmp_path / "project", small_params())
    first = (root / "params.yaml").read_text()
    run(root, "dvc", "repro")
    commit(root, "first")
    python = ("env", f"PYTHONPATH={ROOT / 'src'}", "python", "-m", "voicetune")
    assert "voices/first is kept" in run(root, *python, "keep", "first")
    commit(root, "first is kept")
    second = first.replace("en-us+m1", "en-us+f3").replace("speaker: someone", "speaker: else")
    (root / "params.yaml").write_text(second)
    assert "base" not in stages_run(run(root, "dvc", "repro")), "the second voice shares the base"
    commit(root, "second")
    run(root, *python, "keep", "second")
    for name in ("first", "second"):
        run(root, *python, "say", "Good evening.", "--voice", name, "--out", f"{name}.wav")
    assert (root / "first.wav").read_bytes() != (root / "second.wav").read_bytes()
    listed = run(root, *python, "voices")
    assert all(one in listed for one in ("(published)", "first", "second", "someone", "else"))
    revision = json.loads((root / "voices/first/kept.json").read_text())["revision"]
    made_of = ("params.yaml", "data/decisions.csv", "dvc.lock", "machine.json", "metrics")
    run(root, "git", "restore", "--source", revision, *made_of)
    assert (root / "params.yaml").read_text() == (root / "voices/first/params.yaml").read_text() == first
    run(root, "dvc", "checkout")
    assert stages_run(run(root, "dvc", "repro")) == set(), "DVC has all results of the first voice"
    weights = [(root / place / "best_model.pth").read_bytes() for place in ("models/voice", "voices/first")]
    assert weights[0] == weights[1]
    run(root, *python, "voices", "--remove", "second")
    run(root, *python, "space", "--clean", "cache", "--yes")
    assert run(root, "dvc", "status", "voices/first.dvc").strip() == "Data and pipelines are up to date."
    run(root, *python, "export", "given", "--voice", "first")
    assert "| CER |" in (root / "given/README.md").read_text()


@pytest.mark.parametrize("path", ["{outside}", "../outside", "../params.yaml"])
def test_a_pointer_that_names_something_else_removes_nothing(project, tmp_path, path):
    (project / "outside").mkdir()
    (project / "voices").mkdir()
    text = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  size: 1\n  nfiles: 1\n  hash: md5\n  path: "
    (project / "voices/evil.dvc").write_text(text + path.format(outside=project / "outside") + "\n")
    assert "does not name voices/evil alone, so nothing is removed" in sentence(keeping.remove, "evil")
    assert (project / "outside").is_dir()
    assert (project / "params.yaml").is_file()
