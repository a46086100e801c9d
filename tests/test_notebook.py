"""The notebook goes from recordings to a voice: it is run as a whole, with the tiny base and few recordings."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from test_pipeline import ROOT, clone, commit, small_params

NOTEBOOK = ROOT / "notebooks/your_voice.ipynb"
CLIPS = 24
SETTINGS = {
    "NAME": "anna", "LANGUAGE": "en", "CONSENT": "nobody is recorded; a synthesiser speaks", "BASE": "tiny",
    "LINES": ["Welcome back."],
}  # fmt: skip


def recordings(folder: Path) -> None:
    """The first of the default recordings, as a user's."""
    source = ROOT / "data/raw/questions"
    (folder / "wavs").mkdir(parents=True)
    lines = (source / "metadata.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:CLIPS]
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    for line in lines:
        shutil.copy(source / "wavs" / f"{line.split('|')[0]}.opus", folder / "wavs")


def test_the_notebook_has_no_outputs():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed; `make test-all` installs it")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
def test_the_notebook_makes_a_voice(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed; `make test-all` installs it")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed; `make test-all` installs it")
    manager = pytest.importorskip("jupyter_client", reason="ipykernel is not installed").AsyncKernelManager()
    place = clone(tmp_path, (ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(place / name, (0, 0))  # older than the environment, so nothing is installed again
    (place / ".venv").symlink_to(sys.prefix)
    recordings(place / "data/raw/anna")
    commit(place, "start")
    small = yaml.safe_load(small_params())
    changes = {key: small[key] for key in ("train_phase1", "train_phase2", "speak", "evaluate", "compare")}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    given = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    given.source = "\n".join(f"{name} = {value!r}" for name, value in {**SETTINGS, "CHANGES": changes}.items())
    given.source += "\nREPOSITORY = ''"
    manager.kernel_spec  # noqa: B018 - the kernel of this Python is looked for, and replaced in the next line
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    client = nbclient.NotebookClient(notebook, km=manager, timeout=900, resources={"metadata": {"path": str(place)}})
    client.execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "models/voice" in printed
    assert (place / "anna.zip").stat().st_size > 10_000_000
    assert (place / "said.wav").exists()
