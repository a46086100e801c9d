"""dvc.yaml lists for each stage all the code that it runs and every parameter that it reads, and no more."""

from pathlib import Path

import pytest
import yaml

from voicetune import closure
from voicetune.params import (
    choosing,
    data,
    encoding,
    measuring,
    publishing,
    quality,
    reading,
    speaking,
    training,
    transcribing,
)
from voicetune.params.unlisted import Unlisted
from voicetune.params.whole import Params

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
DVC = yaml.safe_load(PIPELINE)["stages"]
# What each stage reads of params.yaml. For the two phases see `read_by_phase`; stage report reads all of it.
STAGES: dict[str, type[reading.Section]] = {
    "transcribe": transcribing.TranscribeStage,
    "prepare": data.PrepareStage,
    "base": encoding.BaseStage,
    "encode": encoding.EncodeStage,
    "choose": choosing.ChooseStage,
    "ceiling": measuring.CeilingStage,
    "speak": speaking.SpeakStage,
    "quality": quality.QualityStage,
    "evaluate": measuring.EvaluateStage,
    "compare": measuring.CompareStage,
    "publish": publishing.PublishStage,
    "synthesize": speaking.SynthesizeStage,
}
INTERVALS = "src/voicetune/measures/intervals.py"


def read_by_phase(name: str) -> set[str]:
    """The keys at the top of params.yaml that a phase's stage reads."""
    shared = training.TrainStage.model_fields.keys() - {"phase"}
    return {*shared, name} | ({"lr"} if name == "train_phase2" else set())


@pytest.mark.parametrize("name", DVC)
def test_a_stage_lists_the_files_that_it_imports(name):
    listed = [dep for dep in DVC[name]["deps"] if dep.startswith("src/")]
    assert listed == closure.files(closure.script_of(DVC[name]["cmd"]), ROOT / "src")


def test_dvc_yaml_is_up_to_date_and_deps_restores_a_missing_file():
    assert closure.rewrite(PIPELINE, ROOT / "src") == PIPELINE
    worse = PIPELINE.replace("      - src/voicetune/errors.py\n", "")
    assert worse != PIPELINE
    assert closure.rewrite(worse, ROOT / "src") == PIPELINE


@pytest.mark.parametrize("name", DVC)
def test_a_stage_lists_the_parameters_that_it_reads(name):
    listed = {key.split(".")[0] for key in DVC[name]["params"]}
    if name == "report":
        assert listed == set(Params.model_fields) - set(Unlisted.model_fields)
    elif name.startswith("train_"):
        assert listed == read_by_phase(name)
    else:
        assert listed == set(STAGES[name].model_fields)


def test_training_does_not_depend_on_intervals_or_measures_of_speech():
    trained = closure.files("train", ROOT / "src")
    assert INTERVALS in closure.files("compare", ROOT / "src")
    assert INTERVALS not in trained
    assert not [file for file in trained if file.endswith(("measurer.py", "decode.py", "table.py", "prosody.py"))]
    assert not [file for file in closure.files("speak", ROOT / "src") if file.endswith(("measurer.py", "table.py"))]


def test_imports_inside_functions_count_and_marked_ones_do_not(tmp_path):
    package = tmp_path / "src/voicetune"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for name in ("top", "lazy", "marked", "typed", "below"):
        (package / f"{name}.py").write_text("from voicetune import below\n" if name == "lazy" else "x = 1\n")
    (tmp_path / "src/stage.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "import voicetune.top\n"
        "if TYPE_CHECKING:\n    from voicetune import typed\n"
        "def main():\n"
        "    from voicetune.lazy import (\n        x,\n    )\n"
        "    from voicetune import marked  # no dep: a reason\n"
    )
    found = closure.files("stage", tmp_path / "src")
    modules = ("__init__", "below", "lazy", "top")  # an empty __init__.py counts too, because code may be added to it
    assert found == ["src/stage.py", *(f"src/voicetune/{name}.py" for name in modules)]


def test_the_hash_of_the_judge_changes_with_its_code(tmp_path):
    package = tmp_path / "src/voicetune/measures"
    package.mkdir(parents=True)
    (package / "judge.py").write_text("from voicetune.measures import measurer\n")
    (package / "measurer.py").write_text("x = 1\n")
    before = closure.sha256(closure.JUDGE, tmp_path / "src")
    (package / "measurer.py").write_text("x = 2\n")
    assert closure.sha256(closure.JUDGE, tmp_path / "src") != before
