"""Where the recogniser's weights come from, and on which device it reads. A fake GPU records the calls."""

from types import SimpleNamespace

import ctranslate2
import faster_whisper
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from voicetune.errors import UserError
from voicetune.params.languages import LANGUAGES
from voicetune.recognition import recogniser
from voicetune.recognition.recogniser import Recogniser

NO_LIBRARY = RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    """Fake a GPU and faster-whisper. `asked` holds the arguments of each load. `fails` is the error of the GPU."""
    made = SimpleNamespace(asked=[], fails=None)
    (tmp_path / "model.bin").touch()

    class StandIn:
        def __init__(self, where: str, **asked):
            made.asked.append(asked)
            self.on_gpu, self.model = asked["device"] == "cuda", SimpleNamespace(is_multilingual=True)
            self.supported_languages = list(LANGUAGES)

        def transcribe(self, samples: np.ndarray, language: str, **_):
            if self.on_gpu and made.fails:
                raise made.fails
            return [SimpleNamespace(text=f" {language} {len(samples)}", compression_ratio=1.0)], None

    monkeypatch.setattr(faster_whisper, "WhisperModel", StandIn)
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    recogniser.load.cache_clear()
    yield made
    recogniser.load.cache_clear()


def test_the_weights_are_loaded_once_for_all_sounds_and_languages(loaded, tmp_path):
    for language in ("hu", "es", "hu"):
        measurer = Recogniser(str(tmp_path), language, "auto")
        assert [measurer.transcribe(np.ones(8000, np.float32), 16000) for _ in range(3)] == [f"{language} 8000"] * 3
    assert loaded.asked == [{"device": "cuda", "compute_type": "float16", "num_workers": 4}]


def test_on_a_cpu_each_worker_has_one_thread_and_8_bit_weights(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(recogniser.os, "cpu_count", lambda: 12)
    Recogniser(str(tmp_path), "hu", "cpu")
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    Recogniser(str(tmp_path), "hu", "auto")
    assert loaded.asked == 2 * [{"device": "cpu", "compute_type": "int8", "cpu_threads": 1, "num_workers": 12}]


def test_an_unusable_gpu_is_noticed_when_the_model_is_opened(loaded, tmp_path, capsys):
    """CTranslate2 notices missing libraries only when it reads a sound."""
    loaded.fails = NO_LIBRARY
    assert Recogniser(str(tmp_path), "hu", "auto").transcribe(np.ones(8000, np.float32), 16000) == "hu 8000"
    assert [asked["device"] for asked in loaded.asked] == ["cuda", "cpu"]
    assert "runs on the CPU, because it cannot use the GPU (Library libcublas.so.12" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"device is cuda, but .*libcublas.* docs/gpu.md .* set device: auto"):
        Recogniser(str(tmp_path), "hu", "cuda")


def test_a_recogniser_is_downloaded_once(monkeypatch, tmp_path, capsys):
    asked = []

    def download_model(name: str, local_files_only: bool = False) -> str:
        asked.append((name, local_files_only))
        if local_files_only and len(asked) == 1:
            raise LocalEntryNotFoundError("not cached")
        return str(tmp_path)

    monkeypatch.setattr(faster_whisper, "download_model", download_model)
    assert recogniser.weights("small") == recogniser.weights("small") == tmp_path
    assert asked == [("small", True), ("small", False), ("small", True)]
    assert capsys.readouterr().out.count("downloading the recogniser 'small'") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LocalEntryNotFoundError("no connection\nand a second line"), r"cannot be reached|HF_HUB_OFFLINE is set"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_failed_download_is_one_sentence_with_a_remedy(monkeypatch, error, told):
    def download_model(name: str, local_files_only: bool = False) -> str:
        raise LocalEntryNotFoundError("not cached") if local_files_only else error

    monkeypatch.setattr(faster_whisper, "download_model", download_model)
    with pytest.raises(
        UserError, match=rf"^asr is 'small', but it is not in .*({told}).* set asr in params.yaml"
    ) as said:
        recogniser.weights("small")
    assert "\n" not in str(said.value)


def test_a_folder_without_a_model_and_an_unknown_name_give_different_errors(tmp_path):
    recogniser.load.cache_clear()
    with pytest.raises(UserError, match=r"asr is .* holds no model that can be read"):
        Recogniser(str(tmp_path), "hu", "cpu")
    with pytest.raises(UserError, match=r"asr is 'smal', which is no folder .* params.yaml to .* one of .*\bsmall\b"):
        Recogniser("smal", "hu", "cpu")


def test_a_message_names_the_argument_that_chose_the_recogniser():
    with pytest.raises(
        UserError, match=r"^--asr is 'tiny.en', which reads English only, .*; give --asr a multilingual"
    ):
        Recogniser("tiny.en", "hu", "cpu", "--asr")
    with pytest.raises(UserError, match=r"^--asr is 'no-such', which is no folder here .*; give --asr a folder with"):
        Recogniser("no-such", "en", "cpu", "--asr")
