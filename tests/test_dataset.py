"""One object opens the recordings and the codes of a dataset, and reads each only when it is needed."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ROOT

from voicetune.data import codes as codes_file
from voicetune.data.clip import Clip
from voicetune.data.codes import Encoded
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError

SRC = ROOT / "src"
CLIPS = [
    Clip(f"c{i}", f"c{i}.flac", f"Text {i}.", "en", "anna", "made up", 0.1, side)
    for i, side in enumerate(["train", "train", "validation", "test"])
]


@pytest.fixture
def sounds(tmp_path) -> list[np.ndarray]:
    """Write the recordings of a data folder, each 2,205 samples with one value. It has no codes yet."""
    (tmp_path / "clips").mkdir()
    made = [np.full(2205, (i + 1) / 8, np.float32) for i in range(len(CLIPS))]
    for clip, sound in zip(CLIPS, made, strict=True):
        soundfile.write(tmp_path / "clips" / clip.file, sound, 22050)
    return made


def test_recordings_are_read_before_there_are_codes(tmp_path, sounds):
    data = Dataset(tmp_path)
    sound, rate = data.sound(CLIPS[2])
    assert (rate, sound.dtype) == (22050, np.float32)
    assert np.array_equal(sound, sounds[2])
    with pytest.raises(UserError, match=r"codes/clips\.csv is missing; run `dvc repro -s -f encode`"):
        _ = data.codes


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("no sound")])
def test_a_recording_that_was_deleted_is_one_sentence(tmp_path, sounds, damage):
    damage(tmp_path / "clips" / CLIPS[2].file)
    with pytest.raises(
        UserError, match=r"\.flac is missing or is not an audio file; make it again with `dvc repro prep"
    ):
        Dataset(tmp_path).sound(CLIPS[2])


def test_codes_and_recordings_have_the_same_positions(tmp_path, sounds):
    encoded = [Encoded(*(np.full(n, i, t) for n, t in ((2, np.int32), (3, np.int16))), np.zeros((4, 80), np.float16))
               for i in range(3)]  # fmt: skip
    kept = [CLIPS[i] for i in (1, 2, 3)]  # as if stage encode had left out the first clip
    codes_file.save(tmp_path / "codes", kept, encoded)
    data = Dataset(tmp_path)
    assert data.codes.clips == kept
    assert [one.tolist() for one in (data.codes.training, data.codes.validation, data.codes.test)] == [[0], [1], [2]]
    assert data.codes.codes(2).tolist() == [2, 2, 2]
    found = data.sounds([2, 0])
    assert [np.array_equal(*pair) for pair in zip(found, (sounds[3], sounds[1]), strict=True)] == [True, True]
    before = data.codes_sha256()
    assert len(before) == 64
    codes_file.save(tmp_path / "codes", kept, encoded[::-1])
    assert Dataset(tmp_path).codes_sha256() != before
    assert data.codes is data.codes, "the codes are read once"


def test_only_the_dataset_opens_recordings_and_codes():
    """A file outside it would be a second way."""
    opens = {
        "codes": r"\bCodes\(",
        "sounds": r"\bsoundfile\.read\(",
        "folders": r"""/ ["'](clips|codes)["']|["']data/(clips|codes)["']""",
    }
    found = {
        what: {path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py") if re.search(pattern, path.read_text())}
        for what, pattern in opens.items()
    }
    dataset = "voicetune/data/dataset.py"
    assert found["codes"] == {dataset}
    assert found["sounds"] == {"voicetune/data/audio.py"}, "the dataset and the takes call it"
    writers = {"prepare.py", "quality.py", "encode.py", "voicetune/space.py"}
    layout = "voicetune/data/readers/common_voice.py"  # the layout that it reads has a folder clips/, too
    assert found["folders"] == {dataset, *writers, layout}
