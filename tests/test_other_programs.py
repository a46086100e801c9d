"""The flat .zip of `export` in three other programs: their calls of coqui-tts, in their order, with their arguments.

Read on 2026-11-28, each at its newest commit of that day:
- ebook2audiobook 26.7.23 (commit 9c6ac99d): lib/core.py, lib/classes/tts_engines/xtts.py and common/utils.py
- xtts-api-server 0.9.0 (commit 5e8bc93d): xtts_api_server/tts_funcs.py
- alltalk_tts 1 (commit 492dbe58): tts_server.py; alltalk_tts 2 (commit 7a59e9c2, branch alltalkbeta):
  system/tts_engines/xtts/model_engine.py
They install other versions of coqui-tts. Here runs the one that is pinned here. It reads ref.wav with torchaudio, which
needs FFmpeg's libraries. soundfile stands in for it, so that the tests need no FFmpeg.
"""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from tokenizers import Tokenizer
from TTS.api import TTS
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

from voicetune.model import Gift
from voicetune.speech.voice import Voice
from voicetune.xtts import export

pytestmark = pytest.mark.usefixtures("one_thread")
TEXT = "Good evening. Who is it?"
FEW = 40  # audio codes, at most: the small model does not stop by itself
Latents = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def archive(small_base, dataset, tmp_path_factory) -> Path:
    samples, rate = soundfile.read(dataset / "clips/clip02.flac", dtype="float32")
    out = tmp_path_factory.mktemp("exported") / "anna.zip"
    export.export(small_base, out, Gift(["Anna agreed"], reference=(samples, rate)))
    return out


@pytest.fixture
def unpacked(archive, tmp_path) -> Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "models/anna")
    return tmp_path / "models/anna"


@pytest.fixture(autouse=True)
def without_ffmpeg(monkeypatch):
    def load(path):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(samples.T.copy()), rate

    monkeypatch.setattr(torchaudio, "load", load)


def opened(config_path: Path, **places: object) -> Xtts:
    config = XttsConfig()
    config.load_json(str(config_path))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, **places)
    model.to("cpu")
    model.gpt.max_gen_mel_tokens = FEW
    return model


def check_sound(sound: object) -> None:
    samples = np.asarray(sound)
    assert samples.ndim == 1
    assert 0.1 < len(samples) / 24_000 < 3
    assert np.isfinite(samples).all()
    assert samples.std() > 0


def check_voice(latents: Latents, folder: Path) -> None:
    """The voice that a program takes from ref.wav is the one that we take from it.

    The small base has another speaker embedding than the HiFi-GAN that these programs use, so only the latents are
    compared.
    """
    samples, _ = soundfile.read(folder / "ref.wav", dtype="float32")
    own = Voice(folder).model.compute_speaker([samples])
    assert latents[0].shape == own["gpt_cond_latent"].shape
    alike = torch.nn.functional.cosine_similarity(latents[0].flatten(), own["gpt_cond_latent"].flatten(), dim=0)
    assert alike > 0.99
    assert latents[1].shape == (1, 512, 1)


def test_ebook2audiobook(archive, tmp_path):
    needed = ["config.json", "model.pth", "vocab.json", "ref.wav"]
    place = tmp_path / "xtts/anna"
    place.mkdir(parents=True)
    with zipfile.ZipFile(archive) as file:
        sizes = {os.path.basename(one.filename): one.file_size for one in file.infolist() if not one.is_dir()}
        assert all(sizes[name] > 0 for name in needed)
        for name in file.namelist():  # the program takes these four, so speakers_xtts.pth is not there
            if os.path.basename(name) in needed:
                file.extract(name, place)
    reference = (place / "ref.wav").rename(place / "anna.wav")  # which FFmpeg has cleaned
    model = opened(
        place / "config.json", checkpoint_path=place / "model.pth", vocab_path=place / "vocab.json", eval=True
    )
    latents = model.get_conditioning_latents(audio_path=[str(reference)], load_sr=24000, sound_norm_refs=True)
    with torch.inference_mode():
        said = model.inference(
            text=TEXT.replace(".", " ;\n"), language="en", gpt_cond_latent=latents[0], speaker_embedding=latents[1],
            temperature=0.75, length_penalty=1.0, num_beams=1, repetition_penalty=2.0, top_k=40, top_p=0.95, speed=1.0,
            enable_text_splitting=False,
        )  # fmt: skip
    check_sound(said["wav"])


def test_tokenizers_before_0_20_can_read_the_vocabulary(small_base, unpacked):
    """xtts-api-server and alltalk_tts have such a version. It knows the merges as strings only, and not as pairs."""
    given = json.loads((unpacked / "vocab.json").read_text(encoding="utf-8"))
    assert given["model"]["merges"]
    assert all(isinstance(one, str) and one.count(" ") == 1 for one in given["model"]["merges"])
    before, after = (Tokenizer.from_file(str(folder / "vocab.json")) for folder in (small_base, unpacked))
    for text in ("[en]which[SPACE]river[SPACE]flows[SPACE]through[SPACE]budapest?", "[en]i[SPACE]am[SPACE]sorry."):
        assert before.encode(text).ids == after.encode(text).ids
    assert before.get_vocab() == after.get_vocab()


def test_xtts_api_server(unpacked):
    model = opened(unpacked / "config.json", use_deepspeed=False, checkpoint_dir=str(unpacked))
    latents = model.get_conditioning_latents(str(unpacked / "ref.wav"))
    check_voice(latents, unpacked)
    settings = {
        "temperature": 0.75, "length_penalty": 1.0, "repetition_penalty": 5.0, "top_k": 50, "top_p": 0.85, "speed": 1,
        "enable_text_splitting": True,
    }  # fmt: skip
    voice = {"gpt_cond_latent": latents[0], "speaker_embedding": latents[1]}
    check_sound(model.inference(TEXT, "en", **voice, **settings)["wav"])
    check_sound(torch.cat(list(model.inference_stream(TEXT, "en", **voice, **settings, stream_chunk_size=100))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("needed", "more"),
    [
        ({"model.pth", "config.json", "vocab.json"}, {}),
        (
            {"config.json", "model.pth", "mel_stats.pth", "speakers_xtts.pth", "vocab.json", "dvae.pth"},
            {"speed": 1.0},
        ),
    ],
    ids=["version 1", "version 2"],
)
def test_alltalk_tts(unpacked, needed, more):
    assert needed <= {path.name for path in unpacked.iterdir()}
    model = opened(
        unpacked / "config.json", checkpoint_dir=str(unpacked), vocab_path=str(unpacked / "vocab.json"),
        use_deepspeed=False,
    )  # fmt: skip
    known = model.config
    latents = model.get_conditioning_latents(
        audio_path=[str(unpacked / "ref.wav")], gpt_cond_len=known.gpt_cond_len, max_ref_length=known.max_ref_len,
        sound_norm_refs=known.sound_norm_refs,
    )  # fmt: skip
    check_voice(latents, unpacked)
    asked = {
        "text": TEXT, "language": "en", "gpt_cond_latent": latents[0], "speaker_embedding": latents[1],
        "temperature": 0.75, "length_penalty": float(known.length_penalty), "repetition_penalty": 10.0,
        "top_k": int(known.top_k), "top_p": float(known.top_p), "enable_text_splitting": True, **more,
    }  # fmt: skip
    check_sound(model.inference(**asked)["wav"])
    check_sound(torch.cat(list(model.inference_stream(**asked, stream_chunk_size=20))))


def test_programs_that_load_the_folder_through_the_api(unpacked, tmp_path):
    """xtts-api-server with `apiManual`, and alltalk_tts with its API methods."""
    said = tmp_path / "said.wav"
    tts = TTS(model_path=unpacked, config_path=unpacked / "config.json").to("cpu")
    tts.synthesizer.tts_model.gpt.max_gen_mel_tokens = FEW
    tts.tts_to_file(text="Good evening.", speaker_wav=[str(unpacked / "ref.wav")], language="en", file_path=str(said))
    sound, rate = soundfile.read(said, dtype="float32")
    assert rate == 24_000
    check_sound(sound)
