"""Before a phase trains, the run's needs are checked. Each lack gives one sentence with the key and the remedy."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from voicetune import readiness
from voicetune.errors import UserError
from voicetune.params import whole
from voicetune.training import checkpoint

ROOT = Path(__file__).resolve().parent.parent
GB = 1_000_000_000


def params(tmp_path: Path, name: str = "params.yaml", **changes) -> whole.Params:
    """Parameters with some sections changed and, if `language` is given, with every source in that language."""
    settings = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    for source in settings["prepare"]["sources"]:
        source["language"] = changes.get("language", source["language"])
    for key, value in changes.items():
        if key != "language":
            settings[key] = {**settings[key], **value} if isinstance(value, dict) else value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return whole.load(path)


DEAF = {"evaluate": {"measures": ["mos", "similarity", "prosody"]}}


@pytest.mark.parametrize(
    ("changes", "languages"),
    [
        ({}, ["hu"]),
        (DEAF, []),
        ({"speak": {"sentences": 0}}, []),
        ({"evaluate": {"measures": ["robustness"]}}, ["hu"]),
        (DEAF | {"train_phase2": {"select": "cer"}}, ["hu"]),
        ({"speak": {"sentences": 0}, "train_phase1": {"select": "composite"}}, ["hu"]),
        (DEAF | {"train_phase2": {"select": "mos"}}, []),
        (DEAF | {"synthesize": {"check_words": True, "language": "hu"}}, ["hu"]),
        ({"synthesize": {"check_words": True, "language": "de"}}, ["de", "hu"]),
    ],
)
def test_the_recogniser_is_checked_only_for_the_languages_that_it_will_read(tmp_path, changes, languages):
    changes = {"synthesize": {"check_words": False}} | changes
    given = params(tmp_path, language="hu", base="xtts_v2", **changes)
    assert readiness.languages_read(given) == languages
    if languages:
        with pytest.raises(
            UserError, match=r"asr is 'tiny.en', which reads English only, .* '(hu|de)'; set asr in params"
        ):
            readiness.check_params(given)
    else:
        readiness.check_params(given)
        changes |= {"asr": "nowhere/at-all"}
        readiness.check(params(tmp_path, language="hu", base="xtts_v2", **changes), "train_phase1")


@pytest.mark.parametrize("changes", [{"language": "hu"}, {"synthesize": {"language": "hu"}}])
def test_a_language_that_the_tiny_base_does_not_speak_is_refused(tmp_path, changes):
    with pytest.raises(UserError, match=r"is 'hu', but the tiny base speaks en only; .* \(presets/xtts_v2\.yaml\)"):
        readiness.check_params(params(tmp_path, asr="small", **changes))


def test_a_missing_base_is_refused_unless_a_remote_may_have_brought_what_was_made_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for base in ("tiny", "xtts_v2", str(tmp_path)):
        readiness.check_base(base)
    with pytest.raises(UserError, match=r"base: '/nowhere/anna' is missing; correct .* or to tiny or xtts_v2"):
        readiness.check_base("/nowhere/anna")
    made = {"stages": {"base": {"params": {"params.yaml": {"base": "/nowhere/anna"}}}}}
    Path("dvc.lock").write_text(yaml.safe_dump(made))
    readiness.check_base("/nowhere/anna")
    for path, lock in (("/nowhere/bela", made), ("/nowhere/anna", {"stages": None})):
        Path("dvc.lock").write_text(yaml.safe_dump(lock))
        with pytest.raises(UserError, match=f"base: '{path}' is missing"):
            readiness.check_base(path)


def test_missing_bitsandbytes_is_reported_before_any_phase_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(readiness.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"train_phase2.optimizer is adamw8bit, but .*pip install -c .* bits"):
        readiness.check_params(params(tmp_path, train_phase2={"optimizer": "adamw8bit"}))
    readiness.check_params(params(tmp_path))


@pytest.fixture
def large(tmp_path):
    """A project with a model file of the published size. The file is sparse."""
    (tmp_path / "models/base").mkdir(parents=True)
    with (tmp_path / "models/base/model.pth").open("wb") as file:
        file.truncate(1_867_929_118)
    return tmp_path


def needed(place: Path, phase: str, monkeypatch, **changes) -> float:
    """Return how many GB the check asks for on a full disk."""
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    given = params(place, "presets/xtts_v2.yaml", **changes)
    with pytest.raises(UserError, match=r"free, and train_phase\d, .* make room .* lora_rank or optimizer") as told:
        readiness.check_room(place, phase, given)
    return float(re.search(r"need about ([\d.]+) GB", str(told.value))[1])


def test_disk_space_is_checked_for_states_and_models(large, monkeypatch):
    """docs/gpu.md says: 21 GB of states, three more models of 1.9 GB, and half a GB for the rest."""
    assert readiness._STATES == checkpoint._KEPT + 1
    assert needed(large, "train_phase1", monkeypatch) == pytest.approx(21.3 + 3 * 1.87 + 0.5, abs=0.1)
    assert needed(large, "train_phase2", monkeypatch) == pytest.approx(21.3 + 2 * 1.87 + 0.5, abs=0.1)
    lora = {"train_phase1": {"lora_rank": 16}}
    assert needed(large, "train_phase1", monkeypatch, **lora) == pytest.approx(10.7 + 3 * 1.87 + 0.5, abs=0.1)
    (large / "models/voice").mkdir()  # an existing model is replaced and needs no more room
    assert needed(large, "train_phase2", monkeypatch) == pytest.approx(21.3 + 1.87 + 0.5, abs=0.1)
    for name in ("train_phase1-a", "train_phase2-b"):
        assert needed(large, "train_phase2", monkeypatch) == pytest.approx(21.3 + 1.87 + 0.5, abs=0.1)
        (large / "state" / name).mkdir(parents=True)
        with (large / "state" / name / "step-1.pt").open("wb") as file:  # a state of phase 2 that will be resumed
            file.truncate(30 * GB)
    assert needed(large, "train_phase2", monkeypatch) == pytest.approx(1.87 + 0.5, abs=0.1)


def test_the_estimated_size_of_a_state_is_right(tmp_path, bundle_base):
    """AdamW's state of the tiny model is four times its weights: weights, two moments, and the best weights."""
    import torch

    from voicetune.xtts import folder, layout

    weights = bundle_base / "model.pth"
    gpt = sum(value.nbytes for name, value in folder.load_weights(weights).items() if name.startswith("gpt."))
    found = readiness.state_bytes(layout.count_bytes(bundle_base)[1], params(tmp_path).train_phase1)
    assert found == pytest.approx(4 * gpt, rel=0.1)
    assert torch.float32 == next(v.dtype for n, v in folder.load_weights(weights).items() if n.startswith("gpt."))


def test_dvcs_copies_count_only_if_its_cache_copies(large):
    from dvc.repo import Repo

    with Repo.init(str(large), no_scm=True) as repo, repo.config.edit() as settings:
        settings["cache"]["type"] = "copy"
    assert list(readiness._copying_cache(large)) == [large / ".dvc/cache"]
    with Repo(str(large)) as repo, repo.config.edit() as settings:
        settings["cache"]["type"] = "hardlink,copy"
    assert list(readiness._copying_cache(large)) == []
    assert sorted(path.name for path in large.iterdir()) == [".dvc", ".dvcignore", "models"]


def test_a_phase_passes_the_sentence_of_the_check_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params.yaml is missing; run this in the repository's folder.$"):
        readiness.ask("train_phase1")()
