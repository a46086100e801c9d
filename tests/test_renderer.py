"""The renderer: a voice's statistics, its place in dvae.pth, and a model folder that speaks with it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import BUNDLE, SPEAKER

from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures import speaking
from voicetune.model import Gift
from voicetune.speech import references
from voicetune.speech.voice import Line, Voice
from voicetune.xtts import codec, export, folder, origins, renderer

LINE = Line("Good evening.", "en")


@pytest.fixture(scope="module")
def rendered_base(small_base, tmp_path_factory) -> Path:
    """`small_base` with a small untrained renderer in its dvae.pth."""
    out = Path(shutil.copytree(small_base, tmp_path_factory.mktemp("rendered") / "base"))
    dvae, _ = folder.open_dvae(small_base)
    torch.manual_seed(5)
    made = renderer.Renderer(dvae.codebook.dim, (16, 12, 8), (2, 1, 1))
    made.mean.fill_(-4.0)
    made.spread.fill_(2.0)
    weights = {f"{renderer.PREFIX}{name}": value for name, value in made.state_dict().items()}
    folder.save({**dvae.state_dict(), **weights}, out / "dvae.pth")
    (out / "voicetune.json").write_text(json.dumps({"base": "small", "vocoder": "renderer", "licence": "MPL-2.0"}))
    return out


@pytest.fixture(scope="module")
def voice(rendered_base) -> Voice:
    return Voice(rendered_base)


@pytest.fixture(scope="module")
def sounds(dataset) -> list[np.ndarray]:
    return [soundfile.read(path, dtype="float32")[0] for path in sorted((dataset / "clips").glob("*.flac"))[:3]]


def test_statistics_are_the_mean_and_the_spread_of_the_louder_frames():
    rng = np.random.default_rng(1)
    loud, quiet = rng.normal(-2, 0.5, (80, 700)), rng.normal(-11, 0.1, (80, 300))
    found = renderer.statistics_of(torch.from_numpy(np.concatenate([loud, quiet], 1)).float())
    np.testing.assert_allclose(found[:80], loud.mean(1), atol=1e-4)
    np.testing.assert_allclose(found[80:], loud.std(1), atol=1e-4)


def test_the_sizes_of_the_renderer_follow_from_its_weights(voice):
    weights = voice.model.renderer.state_dict()
    assert renderer.sizes_of(weights) == {"codebook_dim": 128, "widths": (16, 12, 8), "blocks": (2, 1, 1)}
    assert folder.open_codec(voice.path)[2].state_dict().keys() == weights.keys()


def test_the_renderer_makes_four_frames_a_code_and_depends_on_the_voice(voice):
    embedded = torch.randn(2, 128, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = (voice.model.renderer(embedded, torch.full((2, 160), value)) for value in (-4.0, -1.0))
    assert one.shape == (2, 80, 28)
    assert (one - other).abs().max() > 1e-3


def test_a_reference_gives_its_statistics_as_the_speaker_embedding(voice, sounds):
    speaker = voice.model.compute_speaker(sounds)
    joined = torch.from_numpy(np.concatenate(sounds))[None]
    assert speaker["speaker_embedding"].shape == (1, 512, 1)
    expected = renderer.statistics_of(codec.log_mel(joined)[0])
    torch.testing.assert_close(speaker["speaker_embedding"][0, :160, 0], expected)
    assert not speaker["speaker_embedding"][0, 160:].any()


def test_codes_become_sound_in_the_speakers_voice(voice, sounds):
    codes = torch.arange(12) * 5
    one, other = (voice.sound(codes, LINE, voice.model.compute_speaker([sound])) for sound in sounds[:2])
    assert one.shape == (12 * 1024,)
    assert np.isfinite(one).all()
    assert not np.array_equal(one, other)
    assert np.array_equal(one, voice.sound(codes, LINE, voice.model.compute_speaker(sounds[:1])))
    faster = voice.sound(codes, Line("Good evening.", "en", speed=2.0), voice.model.compute_speaker(sounds[:1]))
    assert faster.size == 12 * 512


def test_codes_that_the_codebook_lacks_are_left_out(voice, sounds):
    speaker = voice.model.compute_speaker(sounds[:1])
    known = voice.model.dvae.codebook.n_embed
    assert voice.sound(torch.tensor([known, known + 1]), LINE, speaker).size == 0
    assert voice.sound(torch.tensor([3, known, 4]), LINE, speaker).size == 2048


def test_recordings_go_through_the_codec_in_their_speakers_voice(voice, dataset):
    data = Dataset(dataset)
    codes = data.codes
    (take, *_) = speaking.through_codec(voice, data, codes.test)
    found = references.best(voice.model, data, [SPEAKER])[SPEAKER]
    own = torch.from_numpy(codes.codes(codes.test[0]).astype(np.int64))
    assert np.array_equal(take.sound, voice.sound(own, Line(take.clip.text, "en"), found.speaker))


def test_a_phase_and_an_export_keep_the_renderer(voice, rendered_base, tmp_path):
    gpt = voice.model.xtts.gpt.state_dict()
    folder.close(tmp_path / "phase", rendered_base, gpt, {}, {"steps": 1})
    export.export(tmp_path / "phase", tmp_path / "given", Gift(["nobody was asked: it is a test"]))
    weights = Voice(tmp_path / "given").model.renderer.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in voice.model.renderer.state_dict().items())


def test_a_folder_without_a_renderer_speaks_through_the_dvaes_decoder(small_base, dataset, tmp_path):
    out = Path(shutil.copytree(small_base, tmp_path / "plain"))
    (out / "voicetune.json").write_text(json.dumps({"base": "small", "vocoder": "griffin_lim", "licence": "MPL-2.0"}))
    voice, data = Voice(out), Dataset(dataset)
    codes = data.codes
    own = torch.from_numpy(codes.codes(codes.test[0]).astype(np.int64))
    sound = voice.sound(own, LINE, {})
    assert voice.model.renderer is None
    assert sound.shape == (own.numel() * 1024,)
    with torch.no_grad():
        assert np.array_equal(sound, codec.decode(voice.model.dvae, own, voice.model.mel_stats))
    (take, *_) = speaking.through_codec(voice, data, codes.test)
    assert np.array_equal(take.sound, sound)


def damaged(base: Path, out: Path, change) -> Path:
    """Copy a base and change weights of its dvae.pth."""
    copied = Path(shutil.copytree(base, out))
    weights = folder.load(copied / "dvae.pth")
    change(weights)
    folder.save(weights, copied / "dvae.pth")
    return copied


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: [w.pop(n) for n in list(w) if n.startswith("renderer.")], "has no renderer that fits"),
        (lambda w: w.pop("renderer.end.bias"), "other names or shapes"),
        (lambda w: w.update({"renderer.upsample.0.weight": torch.ones(3)}), "has no renderer that fits"),
        (lambda w: w.update({"renderer.upsample.0.weight": torch.ones(300_000, 1, 3)}), "other names or shapes"),
        (
            lambda w: (
                [w.pop(n) for n in list(w) if ".depthwise." in n]
                and w.update({f"renderer.upsample.{i}.weight": torch.ones(20_000, 1, 1) for i in range(2)})
            ),
            "other names or shapes",
        ),
        (lambda w: w.update({"renderer.upsample.0.weight": torch.ones(50_000, 50_000, 0)}), "other names or shapes"),
        (lambda w: w["renderer.spread"].zero_(), "mean or spread is zero or far off"),
        (lambda w: w.update({"renderer.begin.weight": torch.ones(16, 64, 3)}), "has no renderer that fits"),
    ],
)
def test_a_damaged_renderer_is_one_sentence(rendered_base, tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        Voice(damaged(rendered_base, tmp_path / "base", change))
    refused(tmp_path, said)


def test_a_renderer_with_nan_is_neither_exported_nor_a_base(rendered_base, tmp_path):
    damaged(rendered_base, tmp_path / "base", lambda w: w["renderer.end.bias"].fill_(torch.nan))
    refused(tmp_path, "end.bias has values that are not finite")


def refused(place: Path, said: str) -> None:
    """Check that the model folder `place`/base can neither be exported nor be a base."""
    for give in (
        lambda: export.export(place / "base", place / "given", Gift()),
        lambda: origins.unfold(str(place / "base"), place / "model", BUNDLE),
    ):
        with pytest.raises(UserError, match=said):
            give()


def test_the_bundle_makes_a_folder_that_resynthesizes_a_sound(tmp_path, sounds):
    origins.unfold("tiny", tmp_path / "base", BUNDLE)
    voice = Voice(tmp_path / "base")
    assert voice.model.vocoder == "renderer"
    speaker = voice.model.compute_speaker(sounds)
    codes = codec.encode(voice.model.dvae, sounds[0], voice.model.mel_stats)
    again = codec.encode(voice.model.dvae, voice.sound(codes, LINE, speaker), voice.model.mel_stats)
    mel, other = (codec.log_mel(torch.from_numpy(s)[None])[0] for s in (sounds[0], voice.sound(codes, LINE, speaker)))
    frames = min(mel.shape[1], other.shape[1])
    assert (mel[:, :frames] - other[:, :frames]).abs().mean() < 2.0
    assert again.numel() == codes.numel()
