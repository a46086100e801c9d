"""The notebook goes from recordings to a voice. It is run as on Google Colab, with the tiny base and few recordings."""

import ast
import builtins
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from test_pipeline import ROOT, clone, commit, small_params

NOTEBOOK = ROOT / "notebooks/your_voice.ipynb"
CLIPS = 24
SETTINGS = {
    "NAME": "anna", "LANGUAGE": "en", "CONSENT": "nobody is recorded; a synthesiser speaks", "BASE": "tiny",
    "LINES": ["Welcome back."], "CHANGES": {}, "REPOSITORY": "",
}  # fmt: skip
# What Colab has: a module whose upload() gives the names of files that are now in the folder.
COLAB = """
import shutil, sys
from types import ModuleType
colab = sys.modules["google.colab"] = ModuleType("google.colab")
colab.files = ModuleType("google.colab.files")
colab.files.upload = lambda: {shutil.copy("../upload.zip", "anna.zip"): b""}
colab.files.download = print
"""


def code(*section: int) -> list[str]:
    """The code cells of these sections, or of all."""
    cells, number = [], 0
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cells += [source] if not section or number in section else []
        elif source.startswith("## "):
            number = int(source[3])
    return cells


def cell(text: str) -> str:
    """The code cell that has a text."""
    (found,) = (source for source in code() if text in source)
    return found


def given(**settings) -> str:
    """The cell of the user's choices."""
    return "\n".join(f"{name} = {value!r}" for name, value in {**SETTINGS, **settings}.items())


def recordings(folder: Path) -> None:
    """The first of the default recordings, as a user's."""
    source = ROOT / "data/raw/questions"
    (folder / "wavs").mkdir(parents=True)
    lines = (source / "metadata.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:CLIPS]
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    for line in lines:
        shutil.copy(source / "wavs" / f"{line.split('|')[0]}.opus", folder / "wavs")


@pytest.fixture
def colab(monkeypatch):
    """Google Colab's `files`; a test gives it `upload`."""
    module = ModuleType("google.colab")
    module.files = ModuleType("google.colab.files")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return module.files


def test_the_notebook_has_no_outputs():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed; `make test-all` installs it")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def names(source: str, context: type[ast.expr_context]) -> set[str]:
    return {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def bound(source: str) -> set[str]:
    """The names that a cell has when it has run."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.asname or alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names}  # fmt: skip
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return imported | defined | names(source, ast.Store) | {node.arg for node in nodes if isinstance(node, ast.arg)}


def test_after_a_restart_a_cell_needs_the_first_section_alone():
    """As the notebook says at its top."""
    first = set().union(*map(bound, code(1)), dir(builtins))
    missing = {source: names(source, ast.Load) - bound(source) - first for source in code()}
    assert {source: found for source, found in missing.items() if found} == {}


def test_a_second_start_on_colab_does_not_clone_again(tmp_path, monkeypatch, colab):
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/run.py").touch()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "hub", check=True)
    commit(tmp_path / "hub", "start")
    for _ in range(2):
        monkeypatch.chdir(tmp_path)
        exec(given(REPOSITORY="hub") + "\n" + cell("def sh("), {})
        assert Path.cwd() == tmp_path / "voicetune"


@pytest.mark.parametrize("top", ["", "anna", "takes/anna"])
def test_an_upload_may_have_folders_around_the_files(tmp_path, monkeypatch, colab, top):
    (tmp_path / "packed" / top / "wavs").mkdir(parents=True)
    (tmp_path / "packed" / top / "metadata.csv").touch()
    if top:
        (tmp_path / "packed/__MACOSX").mkdir()
    (tmp_path / "clone/data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "clone")
    (tmp_path / "clone/run.py").touch()
    colab.upload = lambda: {Path(shutil.make_archive("anna", "zip", tmp_path / "packed")).name: b""}
    exec("\n".join([given(), cell("def sh("), cell("files.upload")]), {})
    assert {path.name for path in Path("data/raw/anna").iterdir()} == {"metadata.csv", "wavs"}
    assert {path.name for path in Path().iterdir()} == {"run.py", "data", ".cache"}, "the archive has gone"


def test_other_choices_leave_nothing_of_the_earlier_ones(tmp_path, monkeypatch):
    for name in ("params.yaml", "presets/xtts_v2.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path, "start")
    monkeypatch.chdir(tmp_path)

    def write(**settings) -> dict:
        scope = {"PYTHON": sys.executable, "json": json, "sh": lambda *command: subprocess.run(command, check=True)}
        exec(given(**settings) + "\n" + cell("WRITE").replace('sh(PYTHON, "-m"', "(PYTHON"), scope)
        return yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))

    committed = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    preset = yaml.safe_load((ROOT / "presets/xtts_v2.yaml").read_text(encoding="utf-8"))
    changed = write(BASE="xtts_v2", NAME="bela", CHANGES={"seed": 5, "train_phase1": {"epochs": 9}})
    assert changed["seed"] == 5
    assert changed["train_phase1"] == {**preset["train_phase1"], "epochs": 9}
    again = write()
    assert {key for key in committed if again[key] != committed[key]} == {"prepare", "synthesize"}
    assert [source["name"] for source in again["prepare"]["sources"]] == ["anna"]
    with pytest.raises(subprocess.CalledProcessError):
        write(BASE="xtts")


@pytest.mark.slow
def test_the_notebook_makes_a_voice(tmp_path):
    """Three sessions as on Colab: other choices first; then all cells; and the last section after a restart."""
    place = clone(tmp_path / "voicetune", (ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(place / name, (0, 0))  # older than the environment, so nothing is installed again
    (place / ".venv").symlink_to(sys.prefix)
    recordings(tmp_path / "packed/takes")
    shutil.make_archive(str(tmp_path / "upload"), "zip", tmp_path / "packed")
    small = yaml.safe_load(small_params())
    changes = {key: small[key] for key in ("train_phase1", "train_phase2", "speak", "evaluate", "compare")}
    final = given(CHANGES=changes)
    run_cells(tmp_path, [given(BASE="xtts_v2", CHANGES={"seed": 5}), *code(1, 3)[1:]])
    printed = run_cells(tmp_path, [final, *code()[1:]])
    params = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    assert (params["base"], params["seed"]) == ("tiny", small["seed"])
    assert "models/voice" in printed
    assert (place / "said.wav").exists()
    (place / "anna-voice.zip").write_bytes(b"")
    assert "anna-voice.zip" in run_cells(tmp_path, [final, *code(1)[1:], *code(7)])
    assert (place / "anna-voice.zip").stat().st_size > 10_000_000


def run_cells(folder: Path, sources: list[str]) -> str:
    """Run cells in a new kernel that looks like Colab's, in a folder, and return what they print."""
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed; `make test-all` installs it")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed; `make test-all` installs it")
    manager = pytest.importorskip("jupyter_client", reason="ipykernel is not installed").AsyncKernelManager()
    cells = [nbformat.v4.new_code_cell(source) for source in (COLAB, *sources)]
    manager.kernel_spec  # noqa: B018 - the kernel of this Python is looked for, and replaced in the next line
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(cells=cells), km=manager, timeout=7200, resources={"metadata": {"path": str(folder)}}
    )
    notebook = client.execute()
    return "".join(output.get("text", "") for one in notebook.cells for output in one.get("outputs", []))
