"""Stage encode: which clips it leaves out, what must remain, a full disk, and damaged codes."""

import shutil
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from voicetune.data import clip
from voicetune.data.codes import Codes, Encoded, save
from voicetune.errors import UserError
from voicetune.text import spelling
from voicetune.xtts import text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))


@pytest.fixture
def encode(tmp_path, monkeypatch, dataset, bundle_base):
    """Return the stage's main function, and work in a folder with the clips of the small dataset."""
    import encode

    (tmp_path / "models").mkdir()
    (tmp_path / "models/base").symlink_to(bundle_base)
    shutil.copytree(dataset / "clips", tmp_path / "data/clips")
    (tmp_path / "data/quality").mkdir()
    shutil.copy(dataset / "clips/clips.csv", tmp_path / "data/quality")
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["encode"]["unknown_characters"] = "leave_out"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(tmp_path)
    return encode.main


def spoil(numbers: list[int], words: str) -> None:
    """Give clips a text that cannot be encoded."""
    path = Path("data/quality/clips.csv")
    clips = [
        clip.Clip(**{**vars(one), "text": words}) if i in numbers else one for i, one in enumerate(clip.read(path))
    ]
    clip.write(path, clips)


def test_no_validation_clip_left_is_one_sentence(encode):
    spoil([10, 11], "Привет")  # the two validation clips
    with pytest.raises(
        UserError, match=r"12 clip\(s\) remain, and none is left for validation.*see the clips left out"
    ):
        encode()
    assert not Path("data/codes").exists()


def test_a_text_that_cannot_be_spelt_out_is_left_out(encode, monkeypatch, capsys):
    real = text.spell_out

    def spell_out(words: str, language: str) -> str:
        if words == "Unreadable.":
            raise spelling.Unreadable("the text cannot be read in 'en'; change it.")
        return real(words, language)

    monkeypatch.setattr(text, "spell_out", spell_out)
    spoil([3], "Unreadable.")
    encode()
    assert "left out: clip clip03: the text cannot be read in 'en'" in capsys.readouterr().out
    assert len(clip.read(Path("data/codes/clips.csv"))) == 13


def test_a_full_disk_is_one_sentence(encode):
    import resource  # Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(UserError, match="data/codes cannot be written"):
            encode()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def many(count: int) -> Iterator[Encoded]:
    """Encoded clips of different lengths, about 80 kB each."""
    for i in range(count):
        tokens, codes = np.arange(i % 7, dtype=np.int32), np.arange(i % 100, dtype=np.int16)
        yield Encoded(tokens, codes, np.full((490 + i % 20, 80), i % 8, np.float16))


def test_codes_are_written_as_safetensors_writes_them(tmp_path):
    counts = save(tmp_path, [], many(50))
    assert counts == {"tokens": 147, "codes": 1225, "mel": 24_925}
    arrays = load_file(tmp_path / "codes.safetensors")
    assert [array.shape for array in (arrays["mel"], arrays["mel_offsets"])] == [(24_925, 80), (51,)]
    save_file(arrays, tmp_path / "again.safetensors")
    assert (tmp_path / "codes.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.safetensors", "clips.csv", "codes.safetensors"]


def test_saving_needs_no_more_memory_for_more_clips(tmp_path):
    tracemalloc.start()
    try:
        save(tmp_path, [], many(500))
        assert (tmp_path / "codes.safetensors").stat().st_size > 40e6
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def damaged(arrays: dict, **changed) -> dict:
    return {name: array for name, array in {**arrays, **changed}.items() if array is not None}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda a: damaged(a, codes=None), "has no 'codes' as"),
        (lambda a: damaged(a, mel=a["mel"][:, :9].copy()), "has no 'mel' as"),
        (lambda a: damaged(a, codes=a["codes"].astype(np.float32)), "has no 'codes' as"),
        (lambda a: damaged(a, codes=-1 - a["codes"]), "has 'codes' that do not fit"),
        (lambda a: damaged(a, tokens=a["tokens"][:-1].copy()), "has 'tokens' that do not fit the 14 clips"),
        (lambda a: damaged(a, mel_offsets=a["mel_offsets"][:-1].copy()), "has 'mel' that do not fit the 14 clips"),
        (lambda a: damaged(a, codes_offsets=a["codes_offsets"][::-1].copy()), "has 'codes' that do not fit"),
        (lambda a: None, "is damaged; run `dvc repro -s -f encode`"),
    ],
)
def test_damaged_codes_are_one_sentence(dataset, tmp_path, harm, said):
    folder = shutil.copytree(dataset / "codes", tmp_path / "codes")
    path = folder / "codes.safetensors"
    made = harm(load_file(path))
    path.write_bytes(path.read_bytes()[:-9]) if made is None else save_file(made, path)
    with pytest.raises(UserError, match=rf"codes\.safetensors {said}"):
        Codes(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"codes\.safetensors is missing; run `dvc repro -s -f encode`"):
        Codes(folder)
