"""A second model goes through the whole pipeline, without a changed line outside its own folder, `toy_model/`."""

import ast
import csv
import importlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from conftest import ROOT, TEXTS

import base
import ceiling
import choose
import compare
import encode
import evaluate
import prepare
import publish
import quality
import report
import speak
import synthesize
import train
from voicetune import __main__ as command_line
from voicetune import closure, families, readiness
from voicetune import model as protocols
from voicetune.errors import UserError
from voicetune.params.models import MODELS
from voicetune.training import agent

pytestmark = pytest.mark.usefixtures("one_thread")
SRC = ROOT / "src"


def parameters() -> str:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source = {"name": "few", "reader": "espeak", "path": "data/scripts/few.txt", "speaker": "someone", "language": "en"}
    settings["prepare"]["sources"] = [{**source, "voice": "en-us+m1", "rate": 200, "pitch": 50}]
    settings["prepare"] |= {"validation": 0.2, "test": 0.2}
    few = {"epochs": 4, "batch_size": 4, "eval_every": 2, "log_every": 1, "lr": 0.02, "precision": "32-true"}
    settings["train_phase1"] |= few | {"select": "mos", "accumulate": 2, "activation_checkpointing": True}
    settings["train_phase2"] |= {**few, "lora_rank": 2}
    settings["lr"] = settings["train_phase2"].pop("lr")
    settings["choose"]["sentences"] = 1
    settings["speak"] |= {"sentences": 2, "takes": 2}
    settings["evaluate"]["measures"] = ["similarity", "mos"]  # none that needs the recogniser: a hum has no words
    settings["compare"]["bootstrap"] = 100
    settings["synthesize"]["lines"] = ["Welcome back."]
    return yaml.safe_dump({**settings, "base": "toy", "jobs": 1, "device": "cpu"}, sort_keys=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which every stage has run with the toy, all in this process."""
    place = tmp_path_factory.mktemp("toy")
    (place / "data/scripts").mkdir(parents=True)
    (place / "data/scripts/few.txt").write_text("".join(f"t{i}|{text}\n" for i, text in enumerate(TEXTS)))
    (place / "params.yaml").write_text(parameters(), encoding="utf-8")
    (place / "metrics").mkdir()
    (place / "metrics/listening.json").write_text('{"raters": 0, "pairs": {}, "mos": {}, "agreement": null}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.TABLE, "toy", families.Family("toy_model", bases=("toy",)))
        patch.chdir(place)
        patch.setattr(agent, "run", lambda work, *_: work())  # no process of its own, where the table lacks the toy
        patch.setattr(readiness, "ask", lambda _phase: lambda: None)
        for stage in (prepare, quality, base, encode, choose):
            stage.main()
        for phase in ("train_phase1", "train_phase2"):
            patch.setattr(sys, "argv", ["src/train.py", phase])
            train.main()
        for stage, model in [(stage, model) for stage in (speak, evaluate) for model in MODELS]:
            patch.setattr(sys, "argv", [f"src/{stage.__name__}.py", model])
            stage.main()
        for stage in (ceiling, compare, publish, synthesize, report):
            stage.main()
        yield place


def test_the_toy_learns_in_both_phases(project):
    figures = [json.loads((project / f"metrics/evaluate/{model}.json").read_text()) for model in MODELS]
    base, phase1, phase2 = (found["mel_ce"] for found in figures)
    assert phase2 < phase1 < base
    assert phase2 < base - 0.1
    facts = json.loads((project / "models/phase2/voicetune.json").read_text())["facts"]
    assert facts["mel_ce"] <= facts["mel_ce_start"]
    adapted, before = (torch.load(project / f"models/{name}/weights.pt") for name in ("phase2", "phase1"))
    changed = {name for name, value in adapted.items() if not torch.equal(value, before[name])}
    assert changed == ({"text_head.weight", "mel_head.weight"} if facts["best_step"] else set())


def test_every_model_hums_the_test_sentences(project):
    for model in MODELS:
        with (project / f"metrics/evaluate/{model}/takes.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 4
        assert all(row["mos"] for row in rows if row["take"] == "0")


def test_the_codec_row_says_how_it_was_voiced(project):
    assert json.loads((project / "metrics/evaluate/codec/facts.json").read_text()) == {"vocoder": "tone"}


def test_what_is_published_speaks_from_the_command_line(project):
    known = json.loads((project / "models/voice/voicetune.json").read_text())
    assert (known["published"], known["vocoder"], known["language"]) == ("phase2", "tone", "en")
    arguments = command_line.parser().parse_args(["say", "Good evening.", "--out", "said.wav", "--seed", "3"])
    arguments.run(arguments)
    sound, rate = soundfile.read(project / "said.wav")
    assert rate == 22050
    assert np.abs(sound).max() > 0.01
    arguments = command_line.parser().parse_args(["say", "Guten Abend.", "--language", "de"])
    with pytest.raises(UserError, match=r"models/voice does not speak 'de'; it speaks en\.$"):
        arguments.run(arguments)
    arguments = command_line.parser().parse_args(["export", "given", "--consent", "she agreed"])
    arguments.run(arguments)
    assert "she agreed" in (project / "given/README.md").read_text()


def test_the_report_has_the_toys_figures(project):
    mel_ce = json.loads((project / "metrics/evaluate/phase2.json").read_text())["mel_ce"]
    assert f"{mel_ce:.3f}" in (project / "metrics/report/report.md").read_text(encoding="utf-8")


# The seam


def imports(path: Path) -> set[str]:
    """The full names that a file imports, those for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_nothing_outside_its_folder_imports_xtts():
    outside = [path for path in SRC.rglob("*.py") if SRC / "voicetune/xtts" not in path.parents]
    assert len(outside) > 80
    assert not {path.name for path in outside for name in imports(path) if name.startswith("voicetune.xtts")}


def test_only_xtts_and_the_spelling_of_texts_import_the_package_tts():
    """The spelling uses the cleaning of the stock tokenizer as a library. It imports no model."""
    allowed = SRC / "voicetune/xtts", SRC / "voicetune/text"
    files = {path: imports(path) for path in SRC.rglob("*.py")}
    users = [path for path, names in files.items() if any(name.split(".")[0] == "TTS" for name in names)]
    assert {path.parent for path in users} == set(allowed)
    below = {
        name for path in files if path.parent == allowed[1] for name in files[path] if name.startswith("voicetune")
    }
    assert below
    assert all(name.startswith(("voicetune.text", "voicetune.errors")) for name in below)


def test_no_family_imports_what_uses_it():
    """Arrows go downwards: a family may use the data, the parameters and small helpers, and nothing above it."""
    above = ("speech", "training", "measures", "report", "listening", "families")
    for path in (SRC / "voicetune/xtts").glob("*.py"):
        assert not [name for name in imports(path) if name.startswith(tuple(f"voicetune.{name}" for name in above))]


def test_every_family_has_every_part():
    for family in families.TABLE.values():
        needed = set(families.PARTS) - {"languages"}  # only the command `extend` needs it
        assert all(importlib.util.find_spec(f"{family.package}.{part}") for part in needed)


def test_a_package_of_a_model_that_lacks_something_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(families, "TABLE", {"half": families.Family("half_model")})
    with pytest.raises(UserError, match=r"^the model package half_model has no module `limits`; write it as docs/"):
        families.limits()
    (tmp_path / "half_model").mkdir()
    (tmp_path / "half_model/limits.py").write_text("WORDS = {}\n")
    importlib.invalidate_caches()
    with pytest.raises(UserError, match=r"half_model/limits\.py has no `CHARACTERS`; write it as docs/extending"):
        families.limits()
    (tmp_path / "half_model/hub.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        families.hub()


def test_the_table_of_parts_has_what_the_protocols_have():
    for part, needed in families.PARTS.items():
        protocol = getattr(protocols, part.capitalize())
        names = {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}
        assert names == set(needed), part


def test_a_stage_depends_on_the_parts_of_a_model_that_it_opens(tmp_path):
    package = tmp_path / "src/voicetune/xtts"
    package.mkdir(parents=True)
    for name in ("speaking", "training", "codec"):
        (package / f"{name}.py").write_text("from voicetune.xtts import codec\n" if name == "speaking" else "")
    (tmp_path / "src/one.py").write_text("from voicetune import families\nfamilies.speaking(1).open_speech(1)\n")
    names = {Path(file).name for file in closure.files("one", tmp_path / "src")}
    assert names == {"one.py", "speaking.py", "codec.py"}
