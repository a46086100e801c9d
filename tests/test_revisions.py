"""`voicetune compare`: which revisions it finds, what it reads of them, what it compares, and the page."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import made_up
import made_up_revisions
import pytest
import yaml
from html_tags import Tags
from made_up_revisions import cached, commit, git, make

from voicetune.errors import UserError
from voicetune.forget import cache, history
from voicetune.revisions import command, differences, naming, page, results, snapshots


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A repository with two commits: `old`, and `main` with a higher learning rate, a lower mel CE and more errors."""
    root = made_up_revisions.repository(tmp_path / "repository")
    make(root)
    commit(root, "the first voice")
    git(root, "tag", "old")
    make(root, lr=5e-4, mel=-0.2, errors=2, tone=30, code="2")
    commit(root, "a <b>better</b> voice")
    monkeypatch.chdir(root)
    return root


def measure(root: Path, tmp_path: Path, *names: str) -> list[results.Measured]:
    store = cache.open_cache(root / ".dvc/cache")
    found = []
    for i, revision in enumerate(naming.find(root, names)):
        folder = tmp_path / f"snapshot{i}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        found.append(results.read(snapshots.take(root, revision, store, folder)))
    return found


def compared(root: Path, *names: str) -> str:
    command.run(root, names, Path("compared"))
    return (root / "compared/index.html").read_text(encoding="utf-8")


# Which revisions


def test_commits_tags_experiments_and_the_workspace_are_found(root):
    old = git(root, "rev-parse", "old")
    git(root, "update-ref", f"refs/exps/{old[:2]}/{old[2:]}/bold-try", git(root, "rev-parse", "main"))
    found = naming.find(root, ["old", "bold-try", "workspace"])
    assert [one.commit for one in found] == [old, git(root, "rev-parse", "main"), None]
    assert [one.about.startswith("experiment ") for one in found] == [False, True, False]
    assert re.fullmatch(rf"{old[:7]} of \d{{4}}-\d\d-\d\d: the first voice", found[0].about)


def test_the_experiment_of_head_counts_if_several_have_the_name(root):
    old, main = git(root, "rev-parse", "old"), git(root, "rev-parse", "main")
    for baseline, commit_ in ((old, main), (main, old)):
        git(root, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/twice", commit_)
    assert naming.find(root, ["workspace", "twice"])[1].commit == old
    git(root, "checkout", "-q", "--orphan", "other")
    with pytest.raises(UserError, match=f"several experiments have the name 'twice'; .*{old[:7]}"):
        naming.find(root, ["workspace", "twice"])


@pytest.mark.parametrize("name", ["nothing", "--help", "$(touch x)", "main..old", "HEAD:dvc.lock", "", "\udcff", "-"])
def test_a_name_of_no_revision_is_refused_with_one_sentence(root, name):
    with pytest.raises(UserError, match=r"there is no revision .*; `git log --oneline -- dvc\.lock` and"):
        naming.find(root, ["main", name])
    assert not (root / "x").exists()


def test_two_names_of_one_commit_are_one_revision(root):
    with pytest.raises(UserError, match=r"these are names of one revision \([0-9a-f]+ of .*name two or more"):
        naming.find(root, ["HEAD", "main"])
    with pytest.raises(UserError, match="this is only one revision; name two or more"):
        naming.find(root, ["HEAD"])
    assert [one.name for one in naming.find(root, ["HEAD", "main", "old"])] == ["HEAD", "old"]


def test_more_revisions_than_kinds_of_lines_are_refused(root):
    for i in range(naming.MOST):
        git(root, "commit", "-q", "--allow-empty", "-m", f"{i}")
    names = [f"HEAD~{i}" for i in range(naming.MOST)]
    assert len(naming.find(root, names)) == naming.MOST
    with pytest.raises(UserError, match="these are 16 revisions, and a page shows at most 15"):
        naming.find(root, [*names, "old"])


def test_a_folder_without_git_is_said(tmp_path):
    with pytest.raises(UserError, match=r"git fails in .*; run this in the folder of a git repository"):
        naming.find(tmp_path, ["HEAD", "workspace"])


# What is read


def test_results_come_from_the_cache_without_a_checkout(root, tmp_path):
    shutil.rmtree(root / "metrics")
    before = git(root, "status", "--porcelain")
    old, new = measure(root, tmp_path, "old", "main")
    assert old.notes + new.notes == []
    assert git(root, "status", "--porcelain") == before
    assert old.figures["phase2"]["mel_ce"] == pytest.approx(2.1)
    assert new.figures["phase2"]["mel_ce"] == pytest.approx(1.9)
    assert new.figures["phase2"]["mel_ce_low"] < 1.9 < new.figures["phase2"]["mel_ce_high"]
    assert [phase.best for phase in new.phases] == [(24, 2.1), (24, 2.0)]
    assert [sample.text for sample in new.samples] == list(made_up_revisions.LINES)
    assert old.samples[0].sound.read_bytes() != new.samples[0].sound.read_bytes()


def test_what_the_cache_lacks_is_said_and_the_rest_is_shown(root, tmp_path):
    (tmp_path / "kept").mkdir()
    whole = measure(root, tmp_path / "kept", "old", "main")[0].snapshot
    cached(root, whole.out("metrics/evaluate/phase2")).unlink()
    cached(root, cache.md5(whole.folder / "data/samples/00.wav")).unlink()
    old = measure(root, tmp_path, "old", "main")[0]
    assert old.notes == [
        "old: DVC's cache lacks metrics/evaluate/phase2, data/samples; add --fetch to get them from a remote, if they "
        "were pushed (`dvc fetch --all-commits` gets the results of every commit)."
    ]
    assert "mel_ce" not in old.figures["phase2"]
    assert old.figures["phase1"]["mel_ce"] == pytest.approx(2.1)
    assert [sample.text for sample in old.samples] == [made_up_revisions.LINES[1]]


def test_fetch_gets_from_a_remote_what_the_cache_lacks(root, tmp_path):
    """It gets no more than that: the remote has models/base, too."""
    stages = {name: {"cmd": "true", "outs": paths} for name, paths in made_up_revisions.CACHED.items()}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    made_up_revisions.record(root, 5e-4)
    commit(root, "with stages")
    (made,) = yaml.safe_load((root / "dvc.lock").read_text())["stages"]["base"]["outs"]
    (root / ".dvc/cache").rename(root / ".dvc/elsewhere")
    with pytest.raises(UserError, match=r"no remote has metrics/.* of HEAD, or there is no remote, or it does not "):
        command.run(root, ["HEAD", "workspace"], Path("compared"), fetch=True)
    (root / ".dvc/config.local").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {root}/.dvc/elsewhere\n"
    )
    command.run(root, ["HEAD", "workspace"], Path("compared"), fetch=True)
    html = (root / "compared/index.html").read_text(encoding="utf-8")
    assert "lacks" not in html
    assert html.count("the same sound as HEAD") == 2
    assert not cached(root, made["md5"]).exists()


@pytest.mark.parametrize("url", ["ssh://127.0.0.1:1/x", "{root}/dvc.lock", "remote://none/x"])
def test_a_remote_that_cannot_be_used_is_said_in_one_sentence(root, url):
    stages = {name: {"cmd": "true", "outs": paths} for name, paths in made_up_revisions.CACHED.items()}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    commit(root, "with stages")
    shutil.rmtree(root / ".dvc/cache")
    (root / ".dvc/config.local").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {url.format(root=root)}\n"
    )
    with pytest.raises(UserError, match=r"DVC cannot fetch the results of HEAD \(.*\); correct that, or run"):
        command.run(root, ["HEAD", "workspace"], Path("compared"), fetch=True)


def test_what_the_workspace_lacks_is_said(root, tmp_path):
    shutil.rmtree(root / "metrics/train_phase2")
    here = measure(root, tmp_path, "workspace", "old")[0]
    assert here.notes == [
        "workspace: metrics/train_phase2 are missing here; bring them back with `dvc pull metrics/train_phase2`, or "
        "`dvc repro`."
    ]
    assert len(here.phases) == 1


def test_results_of_another_commit_in_the_workspace_are_said(root, tmp_path):
    """As after `git checkout` without `dvc checkout`."""
    git(root, "checkout", "-q", "old")
    (here,) = measure(root, tmp_path, "workspace", "main")[0].notes
    assert here == (
        "workspace: metrics/evaluate/base, metrics/evaluate/phase1, metrics/evaluate/phase2 and 1 more are not what "
        "dvc.lock names, so the page may show another voice's results; `dvc checkout` brings back those that it names, "
        "or `dvc repro` makes new ones."
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [("metrics/prepare.json", "metrics/prepare.json"), ("data/quality/clips.csv", "data/quality/clips.csv"),
     ("metrics/train_phase2/more.tsv", "metrics/train_phase2"), ("data/samples/00.wav", "data/samples")],
)  # fmt: skip
def test_a_result_in_the_workspace_that_was_changed_is_said(root, tmp_path, path, said):
    made_up.write(root / "data/samples/.DS_Store", {})
    assert measure(root, tmp_path, "workspace", "main")[0].notes == []
    with (root / path).open("ab") as file:
        file.write(b" ")
    notes = measure(root, tmp_path, "workspace", "main")[0].notes
    assert any(one.startswith(f"workspace: {said} are not what dvc.lock names") for one in notes)
    shutil.rmtree(root / ".dvc/cache")
    notes = measure(root, tmp_path, "workspace", "main")[0].notes
    assert any("are not what" in one for one in notes) == (path == "metrics/prepare.json"), "only a file has its hash"


def test_a_commit_with_links_is_read_without_them(root, tmp_path):
    for name, target in (("away", "/etc/hostname"), ("up", "../../../x"), ("inside", "train.py")):
        (root / "src" / name).symlink_to(target)
    commit(root, "links")
    whole = measure(root, tmp_path, "HEAD", "old")[0].snapshot
    assert [path.name for path in (whole.folder / "src").iterdir()] == ["train.py"]
    assert whole.notes == []


def test_a_workspace_whose_settings_or_code_changed_is_said(root, tmp_path):
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("\nlr: 0.0005\n", "\nlr: 1e-7\n"))
    (root / "src/train.py").write_text("3")
    here = measure(root, tmp_path, "workspace", "main")[0]
    assert here.notes == [
        "workspace: its results were made with another version of its lr, src/train.py; `dvc repro` there makes new "
        "ones."
    ]
    assert here.snapshot.parameters()["lr"] == 5e-4, "the one that the results were made with"


def test_a_source_that_was_added_later_is_said(root, tmp_path):
    lock = (root / "dvc.lock").read_text()
    known = "      params.yaml:\n        prepare.sources: [{name: questions, speaker: quizmaster}]\n"
    (root / "dvc.lock").write_text(lock.replace("      params.yaml:\n", known, 1))
    (note,) = measure(root, tmp_path, "workspace", "main")[0].notes
    assert "another version of its prepare.sources.host.consent, prepare.sources.host.language" in note


def test_a_revision_without_results_is_refused(root):
    git(root, "rm", "-q", "--cached", "dvc.lock")
    git(root, "commit", "-qm", "none")
    with pytest.raises(UserError, match=r"HEAD \([0-9a-f]+ of .*: none\) has no dvc\.lock, so it has no results"):
        compared(root, "old", "HEAD")
    assert not (root / "compared").exists()


ALIASES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 36))


@pytest.mark.parametrize(
    "text",
    [ALIASES, ALIASES + "stages: *a35\n", "stages: &a [*a]\n", "[" * 100_000, "a: !!bool maybe\n", "a: !!timestamp x\n",
     "a: " + ":".join(["1"] + ["0"] * 200) + ".0\n"],
    ids=["merges", "merges that are used", "circle", "deep", "no boolean", "no time", "too large"],
)  # fmt: skip
def test_yaml_that_would_never_end_or_end_the_process_is_refused_at_once(root, text):
    """Any branch that somebody fetched may have it, in a commit or as a file here."""
    (root / "dvc.lock").write_text(text)
    (root / "data/raw").mkdir()
    (root / "data/raw/x.dvc").write_text(text)
    git(root, "add", "-f", "data/raw/x.dvc")
    commit(root, "from elsewhere")
    with pytest.raises(UserError, match=r"the dvc\.lock of (HEAD|workspace) is damaged"):
        compared(root, "HEAD", "workspace")
    (root / "params.yaml").write_text(text)
    found = history.read(root, root / "runs")
    assert any("data/samples" in record.outs for record in found.records), "those of the other commits"
    assert not any(record.outs for record in found.current)


def test_a_few_aliases_and_many_values_are_read():
    few = yaml.load("a: &a {b: 1}\nc: {<<: *a, d: *a}\n", history.Loader)
    assert few == {"a": {"b": 1}, "c": {"b": 1, "d": {"b": 1}}}
    many = [0] * 150_000
    assert yaml.load(json.dumps(many), history.Loader) == many


def test_a_lock_with_values_of_other_kinds_is_no_crash(root):
    (root / "dvc.lock").write_text("stages: {a: {deps: 5, outs: x, params: {params.yaml: 5}}}\n")
    assert [record.outs for record in history.read(root, root / "runs").current] == [{}]
    (root / "dvc.lock").write_text("stages: {a: {params: {params.yaml: 5}}}\n")
    with pytest.raises(UserError, match=r"the dvc\.lock of workspace is damaged"):
        compared(root, "old", "workspace")


@pytest.mark.parametrize("lock", ["<<<<<<< ours\n", "stages: [1]\n", "a: 1\n", "stages: {a: {outs: [1]}}\n", "[\0"])
def test_a_damaged_lock_is_refused(root, lock):
    (root / "dvc.lock").write_text(lock)
    with pytest.raises(UserError, match=r"dvc\.lock"):
        compared(root, "old", "workspace")


def test_a_table_of_another_version_is_read_as_far_as_it_is_known(root, tmp_path):
    path = root / "metrics/evaluate/phase2/takes.csv"
    header, *rows = path.read_text().splitlines()
    at = header.split(",").index("mos")
    cut = [",".join(cell for i, cell in enumerate([*line.split(","), end]) if i != at)
           for line, end in ((header, "warmth"), *((row, "3") for row in rows))]  # fmt: skip
    path.write_text("\n".join(cut) + "\n")
    made_up_revisions.record(root, 5e-4)
    before = path.read_bytes()
    here, old = measure(root, tmp_path, "workspace", "old")
    assert here.notes == [
        "workspace: takes.csv has other columns, of another version of voicetune (more: warmth; missing: mos)."
    ]
    assert path.read_bytes() == before
    assert here.figures["phase2"]["cer"] == pytest.approx(0.5)
    changes = differences.compare(old, here).voice.changes
    assert changes["cer"]["difference"] == pytest.approx(0.2)


def test_figures_of_a_version_without_tables_are_shown_from_its_json(root, tmp_path):
    shutil.rmtree(root / "metrics/evaluate")
    made_up.write(root / "metrics/evaluate/phase2.json", {"mel_ce": 1.5, "cer": 0.25, "cer_low": 0.2, "cer_high": 0.3,
                                                          "warmth": 9, "mos": "x", "secs": 1e400})  # fmt: skip
    here = measure(root, tmp_path, "workspace", "old")[0]
    assert here.figures["phase2"] == {"mel_ce": 1.5, "cer": 0.25, "cer_low": 0.2, "cer_high": 0.3}
    assert "phase2" not in here.clips


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("metrics/evaluate/phase2/clips.csv", "id,mel_nats\na,1\n", "clips.csv has other columns"),
        ("metrics/evaluate/phase2/takes.csv", 'id,take\n"', "so the page leaves it out"),
        ("metrics/evaluate/phase2/facts.json", "{", "facts.json is not as this version of voicetune writes it"),
        ("metrics/train_phase2/plots/metrics/validation/mel_ce.tsv", "step\tx\n", "has no validation curve"),
        ("data/samples/manifest.json", '[{"file": "../../params.yaml", "text": "x"}]', "manifest.json is not as this"),
        ("metrics/voice.json", '{"model": "phase9"}', "voice.json is not as this version"),
        ("metrics/prepare.json", "[" * 100_000, "prepare.json is not as this version"),
    ],
)  # fmt: skip
def test_a_damaged_result_is_left_out_and_said(root, path, content, said):
    (root / path).write_text(content)
    assert said in compared(root, "workspace", "old")


# What is compared


def test_paired_differences_are_over_the_same_clips_and_sentences(root, tmp_path):
    comparison = differences.compare(*measure(root, tmp_path, "old", "main"))
    assert (comparison.notes, comparison.sentences) == ([], 2)
    mel, cer = (comparison.voice.changes[name] for name in ("mel_ce", "cer"))
    assert mel["difference"] == pytest.approx(-0.2)
    assert (mel["low"], mel["high"]) == (pytest.approx(-0.2), pytest.approx(-0.2)), "each clip differs by the same"
    assert cer["difference"] == pytest.approx(0.2)
    assert [pair.a for pair in comparison.phases] == ["base", "phase1"]
    assert comparison.phases[0].changes["mel_ce"]["difference"] == 0


def test_other_test_clips_are_not_paired(root, tmp_path):
    make(root, clips="abx")
    comparison = differences.compare(*measure(root, tmp_path, "old", "workspace"))
    assert "mel_ce" not in comparison.voice.changes
    assert "cer" in comparison.voice.changes, "the sentences are the same"
    assert comparison.notes == [
        "old and workspace: they were measured on other clips, so no cross entropy can be paired: compare the figures "
        "with care."
    ]


def test_the_same_test_clips_are_paired_although_other_clips_differ(root, tmp_path):
    for model in ("base", "phase1", "phase2"):
        path = root / f"metrics/evaluate/{model}/facts.json"
        made_up.write(path, {**json.loads(path.read_text()), "data_sha256": "more training clips"})
    old, here = measure(root, tmp_path, "old", "workspace")
    assert differences.why_other_clips(old, here) == ""
    unknown, changed = (
        replace(here, snapshot=replace(here.snapshot, sounds=sounds))
        for sounds in ({}, {**here.snapshot.sounds, "c.flac": "another sound of the test clip"})
    )
    assert "the lists of their clips are not all here" in differences.why_other_clips(old, unknown)
    assert differences.why_other_clips(old, changed) == "they were measured on other clips"


def test_codes_of_another_base_are_not_paired(root, tmp_path):
    make(root, clips="abc")
    for model in ("base", "phase1", "phase2"):
        made_up.write(root / f"metrics/evaluate/{model}/facts.json", {"data_sha256": "other codes"})
    made_up.write(root / "models/base/config.json", {"base": 2})
    made_up_revisions.record(root, 1e-4)
    old, here = measure(root, tmp_path, "old", "workspace")
    assert differences.why_other_clips(old, here) == "they have other bases, and so perhaps other codes"
    assert "so the levels of their curves cannot be compared" in differences.other_validation_clips([old, here])


def test_sentences_of_other_recordings_are_not_paired(root, tmp_path):
    path = root / "metrics/evaluate/recordings/takes.csv"
    path.write_text(path.read_text().replace("Said & done.", "Said and done."))
    old, here = measure(root, tmp_path, "old", "workspace")
    assert differences.compare(old, here).sentences == 1
    path.unlink()
    old, here = measure(root, tmp_path, "old", "workspace")
    comparison = differences.compare(old, here)
    assert "cer" not in comparison.voice.changes
    assert comparison.notes == [
        "old and workspace: no sentence was spoken in both from the same recording, so nothing that is heard can be "
        "paired: compare the figures with care."
    ]


def test_recordings_that_measure_differently_are_said(root, tmp_path):
    made_up_revisions.said_wrong(root / "metrics/evaluate/recordings/takes.csv", 1)
    (note,) = differences.compare(*measure(root, tmp_path, "main", "workspace")).notes
    assert "the recordings themselves measure differently (CER 0.300 and 0.400)" in note


def test_the_published_models_are_compared_even_if_they_are_of_other_phases(root, tmp_path):
    made_up.write(root / "metrics/voice.json", {"model": "phase1"})
    comparison = differences.compare(*measure(root, tmp_path, "main", "workspace"))
    assert (comparison.voice.a, comparison.voice.b) == ("phase2", "phase1")
    assert comparison.voice.changes["mel_ce"]["difference"] == pytest.approx(0.2)
    assert [pair.a for pair in comparison.phases] == ["base", "phase1", "phase2"]


def test_equal_revisions_have_no_difference(root, tmp_path):
    git(root, "commit", "-q", "--allow-empty", "-m", "the same")
    one, other = measure(root, tmp_path, "HEAD~1", "HEAD")
    comparison = differences.compare(one, other)
    assert comparison.voice.same
    assert {change["difference"] for change in comparison.voice.changes.values()} == {0.0}
    assert not any(change["excludes_zero"] for change in comparison.voice.changes.values())
    assert differences.parameters([one, other]) == []
    assert {len(set(cells)) for _, cells in differences.data([one, other])} == {1}
    found = differences.code(one, other)
    assert (found.changed, found.added, found.removed) == ({}, {}, {})
    html = compared(root, "HEAD~1", "HEAD")
    assert "It is the same model" in html
    assert "The same files." in html
    assert html.count("the same sound as HEAD~1") == 2


def test_parameters_data_and_code_that_differ_are_listed(root, tmp_path):
    old, new = measure(root, tmp_path, "old", "main")
    assert differences.parameters([old, new]) == [("lr", ["0.0001", "0.0005"])]
    assert differences.code(old, new).changed == {"src/train.py": ["train_phase2"]}
    rows = dict(differences.data([old, new]))
    assert rows["data/raw"] == ["01234567", "01234567"]
    assert re.fullmatch(r"3 clips, 9\.0 s, [0-9a-f]{8}", rows["source one"][0])
    (root / "data/quality/clips.csv").write_text(
        (root / "data/quality/clips.csv").read_text().replace("b,b.flac,No <b>,en,anna,one,3.0,validation\n", "")
    )
    here = measure(root, tmp_path, "old", "workspace")[1]
    assert dict(differences.data([here]))["source one"][0].startswith("2 clips, 6.0 s, ")
    assert "validation clips or the bases of workspace are not" in differences.other_validation_clips([old, here])


def test_nested_parameters_get_dotted_names():
    found = snapshots.flatten({"a": {"b": None, "c": [1, 2]}, "s": [{"name": "anna", "x": "1e-06"}, {"x": "1e"}]})
    assert found == {"a.b": None, "a.c": [1, 2], "s.anna.name": "anna", "s.anna.x": 1e-06, "s.1.x": "1e"}


# The page


def test_the_page_is_whole_and_requests_only_the_sounds_beside_it(root):
    html = compared(root, "old", "main", "workspace")
    found = Tags(html, void=("meta", "line"))
    assert found.open == []
    addresses = [a[name] for _, a in found.tags for name in ("src", "href", "xlink:href") if name in a]
    sounds = {address for address in addresses if not address.startswith("#")}
    assert sounds == {f"sounds/{path.name}" for path in (root / "compared/sounds").iterdir()}
    assert len(sounds) == 4, "main and the workspace have the same two"
    assert sum(tag == "audio" for tag, _ in found.tags) == 6
    assert "&lt;b&gt;Who&lt;/b&gt; is it?" in html
    assert "a &lt;b&gt;better&lt;/b&gt; voice" in html
    assert not re.search(r"\bnan\b|None|/tmp", html)
    assert html.index("Recordings of people.") < html.index("<nav")


def test_the_same_revisions_give_the_same_bytes_and_replace_the_page(root):
    first = compared(root, "old", "main")
    compared(root, "old", "workspace")
    assert compared(root, "old", "main") == first
    assert sorted(path.name for path in (root / "compared").iterdir()) == ["index.html", "sounds"]
    assert [path.name for path in root.iterdir() if "part" in path.name] == []


def test_a_folder_with_anything_else_is_left_alone(root):
    before = (root / "metrics/voice.json").read_bytes()
    (root / "notes").mkdir()
    (root / "notes/index.html").write_text("mine")
    for out in ("metrics", "notes", ".", "dvc.lock"):
        with pytest.raises(UserError, match="choose another"):
            command.run(root, ["old", "main"], Path(out))
    assert (root / "metrics/voice.json").read_bytes() == before
    assert (root / "notes/index.html").read_text() == "mine"


def test_sounds_are_copied_to_no_place_outside_the_project(root, monkeypatch):
    """A kill would leave them there."""
    made = []

    def noted(*given, real=tempfile.mkdtemp, **more):
        made.append(Path(real(*given, **more)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", noted)
    compared(root, "old", "main")
    assert [path.parent for path in made] == [root / ".cache"]
    assert list((root / ".cache").iterdir()) == []


def test_git_sees_nothing_of_the_page():
    assert "/compared/" in (made_up.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_a_page_without_any_result_but_parameters_is_whole(root):
    for folder in ("metrics", "data", "models"):
        shutil.rmtree(root / folder)
    shutil.rmtree(root / ".dvc/cache")
    git(root, "rm", "-qr", "--cached", "metrics")
    git(root, "commit", "-qm", "only locks")
    html = compared(root, "HEAD", "workspace", "old")
    assert Tags(html, void=("meta", "line")).open == []
    for said in (
        "No figure was found.",
        "No validation curve was found.",
        "No sample was found.",
        "Nothing can be paired.",
    ):
        assert said in html
    assert "0.0005" in html


def test_twelve_revisions_have_lines_that_differ(root):
    for i in range(10):
        git(root, "commit", "-q", "--allow-empty", "-m", f"{i}")
    html = compared(root, *(f"HEAD~{i}" for i in range(12)))
    lines = re.findall(r'stroke="(#\w+)" stroke-width="3" stroke-dasharray="([^"]*)"', html)
    assert (len(set(lines)), len(lines)) == (12, 24), "at the top, and in the legend"


def test_the_command_line_takes_a_name_that_looks_like_an_option(root):
    asked = [sys.executable, "-m", "voicetune", "compare", "main", "--", "--help"]
    done = subprocess.run(asked, cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no revision '--help'")
    assert done.stderr.count("\n") == 1


def test_a_listing_that_leads_out_of_the_folder_is_not_followed(root, tmp_path):
    whole = measure(root, tmp_path, "old", "main")[0].snapshot
    hash = whole.out("data/samples")
    object = cached(root, hash)
    listed = json.loads(object.read_text())
    object.write_text(json.dumps([*listed, {"relpath": "../../../out.txt", "md5": listed[0]["md5"]}]))
    measure(root, tmp_path, "old", "main")
    assert not list(tmp_path.rglob("out.txt"))


def test_the_marker_of_a_page_stands_in_it(root):
    compared(root, "old", "main")
    assert page.is_own(Path("compared"))
