"""Compare our rows, codes and folders with coqui's own classes, on the committed trained weights.

The bundle may be trained further at any time, so no test depends on its weights.
"""

import copy
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import BUNDLE, SPEAKER
from safetensors.torch import load_file
from torch.nn import functional as F
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram
from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models.xtts import Xtts, wav_to_mel_cloning

from voicetune import files
from voicetune.data import clip
from voicetune.data import codes as codes_file
from voicetune.data.clip import Clip
from voicetune.data.codes import FRAMES_PER_SECOND, Codes, Encoded
from voicetune.data.dataset import Dataset
from voicetune.errors import UserError
from voicetune.measures.speaking import describe_codec
from voicetune.model import Gift, Recipe
from voicetune.params.decoding import Decoding
from voicetune.speech.conditioning import read_longest
from voicetune.speech.voice import Line, Voice
from voicetune.xtts import chunks, codec, encoding, export, folder, origins
from voicetune.xtts import decode as decoding
from voicetune.xtts.batch import Tokens
from voicetune.xtts.conditioning import compute_speaker
from voicetune.xtts.decode import decode
from voicetune.xtts.gpt import TrainingLoss, set_dropout
from voicetune.xtts.gpt_rows import assemble, condition_on, draw

pytestmark = pytest.mark.usefixtures("one_thread")

STOCK = Recipe(text_stop_visible=False, stop_targets=4)
BASE_FILES = {
    "config.json", "model.pth", "vocab.json", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth", "voicetune.json",
    "LICENSE.txt",
}  # fmt: skip
TEXTS = ("Which river flows through Budapest?", "Well done.", "That is the correct answer, ladies and gentlemen.")
GREEDY = Decoding(temperature=0, top_k=50, top_p=0.8, repetition_penalty=2.0)
SETTINGS = Decoding(temperature=0.8, top_k=50, top_p=0.9, repetition_penalty=2.0)
LIMIT = 40


@pytest.fixture(scope="module")
def codes(dataset) -> Codes:
    return Codes(dataset / "codes")


@pytest.fixture(scope="module")
def xtts(bundle_base) -> Xtts:
    """The opened base. A test that changes it must copy it."""
    return folder.open_xtts(bundle_base)


@pytest.fixture(scope="module")
def loss(xtts) -> TrainingLoss:
    return TrainingLoss(copy.deepcopy(xtts.gpt)).eval()


@pytest.fixture(scope="module")
def tokens(xtts) -> Tokens:
    return Tokens.of(xtts.gpt)


# The loss


@pytest.fixture(scope="module")
def uneven(codes) -> np.ndarray:
    """Four clips, including the shortest and the longest."""
    order = np.argsort(codes.lengths)
    return order[[0, 4, -1, 9]]


def references_of(codes: Codes, clips: np.ndarray, frames: int = 48) -> np.ndarray:
    """The first frames of each clip, used as its reference: (clips, 80, frames) float32."""
    return np.stack([codes.mel(c)[:frames].T for c in clips]).astype(np.float32)


def padded(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(r.astype(np.int64)) for r in rows], batch_first=True)


def stock_losses(gpt, codes: Codes, clips: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Text CE and mel CE of coqui's `GPT.forward`, called as coqui's trainer calls it."""
    texts, audio = [codes.tokens(c) for c in clips], [codes.codes(c) for c in clips]
    text, mel, _ = gpt(
        padded(texts),
        torch.tensor([len(t) for t in texts]),
        padded(audio),
        torch.tensor([len(a) * codec.SAMPLES_PER_CODE for a in audio]),
        cond_mels=torch.from_numpy(references_of(codes, clips))[:, None],
        cond_idxs=None,
    )
    return text, mel


def our_losses(loss, codes, clips, tokens, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    text, mel = loss(assemble(codes, condition_on(clips, references_of(codes, clips)), recipe, tokens))
    return text.mean(), mel.mean()


def test_the_loss_equals_the_stock_loss(xtts, loss, codes, uneven, tokens):
    with torch.no_grad():
        expected = stock_losses(copy.deepcopy(xtts.gpt).eval(), codes, uneven)
        values = our_losses(loss, codes, uneven, tokens, STOCK)
    assert [float(v) for v in values] == pytest.approx([float(e) for e in expected], abs=1e-5)


def test_the_gradients_equal_the_stock_gradients(xtts, codes, uneven, tokens):
    stock = copy.deepcopy(xtts.gpt).eval()
    ours = TrainingLoss(copy.deepcopy(xtts.gpt)).eval()
    expected, values = stock_losses(stock, codes, uneven), our_losses(ours, codes, uneven, tokens, STOCK)
    (expected[1] + 0.01 * expected[0]).backward()
    (values[1] + 0.01 * values[0]).backward()
    theirs = dict(stock.named_parameters())
    compared = 0
    for name, parameter in ours.network.named_parameters():
        if theirs[name].grad is None or parameter.grad is None:
            assert theirs[name].grad is None, name
            assert parameter.grad is None, name
            continue
        # compare the norm of each tensor; the second term is for gradients that are zero except for rounding
        # (a key's bias, or a bias before a norm)
        allowed = 1e-4 * float(theirs[name].grad.norm()) + 1e-6 * parameter.numel() ** 0.5
        assert float((parameter.grad - theirs[name].grad).norm()) <= allowed, name
        compared += 1
    assert compared > 100


def test_another_convention_changes_the_loss(xtts, loss, codes, uneven, tokens):
    with torch.no_grad():
        _, expected = stock_losses(copy.deepcopy(xtts.gpt).eval(), codes, uneven)
        stop_shown = our_losses(loss, codes, uneven, tokens, replace(STOCK, text_stop_visible=True))[1]
        one_stop = our_losses(loss, codes, uneven, tokens, replace(STOCK, stop_targets=1))[1]
    assert abs(float(stop_shown - expected)) > 1e-4
    assert abs(float(one_stop - expected)) > 1e-3


@pytest.mark.parametrize("recipe", [Recipe(), STOCK], ids=["ours", "stock"])
def test_a_clip_has_the_same_loss_alone_and_in_a_batch(loss, codes, uneven, tokens, recipe):
    together = assemble(codes, condition_on(uneven, references_of(codes, uneven)), recipe, tokens)
    with torch.no_grad():
        text, mel = loss(together)
        for i, one in enumerate(uneven):
            alone = assemble(codes, condition_on(np.array([one]), references_of(codes, [one])), recipe, tokens)
            text_alone, mel_alone = loss(alone)
            torch.testing.assert_close(text[together.text_clips == i], text_alone, rtol=0, atol=1e-5)
            torch.testing.assert_close(mel[together.mel_clips == i], mel_alone, rtol=0, atol=1e-5)
            assert len(mel_alone) == len(codes.codes(one)) + recipe.stop_targets
            assert len(text_alone) == len(codes.tokens(one)) + 1


def test_the_conditioning_of_the_tiny_base_gets_gradients(loss, codes, uneven, tokens):
    """The perceiver of an earlier base had overflowed: its latents were 0, and no gradient could change them."""
    _, mel = loss(assemble(codes, condition_on(uneven, references_of(codes, uneven)), Recipe(), tokens))
    loss.zero_grad()
    mel.mean().backward()
    gain = loss.network.conditioning_perceiver.norm.gamma
    assert gain.grad.abs().max() > 0
    loss.zero_grad()
    with torch.no_grad():
        before = gain.clone()
        gain.fill_(1.0)
        heard = loss.network.get_style_emb(torch.from_numpy(references_of(codes, uneven)))
        gain.copy_(before)
    assert heard.isfinite().all()
    assert not torch.allclose(heard[0], heard[1])


def test_dropout_changes_only_the_gpt(xtts, codes, uneven, tokens):
    """Conditioning latents are the same at every call, because the stock perceiver has no dropout."""
    gpt = copy.deepcopy(xtts.gpt)
    perceivers = [part.p for part in gpt.conditioning_perceiver.modules() if isinstance(part, torch.nn.Dropout)]
    set_dropout(gpt, 0.1)
    gpt.train()
    mels = torch.from_numpy(references_of(codes, uneven))
    with torch.no_grad():
        first, second = gpt.get_style_emb(mels), gpt.get_style_emb(mels)
    assert torch.equal(first, second)
    inside = [part.p for part in gpt.gpt.modules() if isinstance(part, torch.nn.Dropout)]
    assert inside == [0.1] * (1 + 3 * len(gpt.gpt.h))
    loss = TrainingLoss(gpt)
    batch = assemble(codes, condition_on(uneven, references_of(codes, uneven)), STOCK, tokens)
    with torch.no_grad():
        assert not torch.equal(loss(batch)[1], loss(batch)[1])
    set_dropout(gpt, 0.0)
    with torch.no_grad():
        assert torch.equal(loss(batch)[1], loss(batch)[1])
    assert perceivers == [0.0] * len(perceivers)


# References and masks


def found_at(mel: np.ndarray, reference: np.ndarray) -> list[int]:
    """The frames of a clip's mel (frames, 80) at which a reference (80, frames) may begin."""
    want = reference.T
    return [s for s in range(len(mel) - len(want) + 1) if np.array_equal(mel[s : s + len(want)], want)]


def kept_targets(batch, clip_in_batch: int, codes: Codes, position: int) -> set[int]:
    """The positions of a clip's codes (0 to m - 1, m is STOP) that are targets of the loss."""
    places = batch.mel_places[batch.mel_clips == clip_in_batch].numpy()
    width = batch.row_index.shape[1]
    text = batch.text_places[batch.text_clips == clip_in_batch].numpy().max() + 1  # STOP, then START of the codes
    kept = places - text - 1
    assert (places // width == clip_in_batch).all()
    row = np.append(codes.codes(position), batch.mel_targets.max())
    np.testing.assert_array_equal(batch.mel_targets[batch.mel_clips == clip_in_batch], row[kept])
    return set(kept.tolist())


def hidden_targets(batch, i: int, codes: Codes, position: int) -> set[int]:
    return set(range(len(codes.codes(position)) + 1)) - kept_targets(batch, i, codes, position)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory) -> Codes:
    """20 clips of two speakers with random mels. Every second clip lasts a whole number of codes."""
    rng = np.random.default_rng(5)
    clips, encoded = [], []
    for i in range(20):
        count = int(rng.integers(10, 40))
        samples = count * 1024 - (0 if i % 2 else int(rng.integers(1, 1023)))
        clips.append(Clip(f"c{i}", f"c{i}.flac", "x", "en", f"speaker{i % 2}", "s", samples / 22050, "train"))
        mel = rng.standard_normal((1 + samples // 256, 80)).astype(np.float16)
        encoded.append(Encoded(np.arange(3, 9, dtype=np.int32), rng.integers(0, 1024, count).astype(np.int16), mel))
    where = tmp_path_factory.mktemp("made_up")
    codes_file.save(where, clips, encoded)
    return Codes(where)


def batches_of(codes: Codes, recipe: Recipe, tokens: Tokens, size: int, count: int = 30):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        clips = rng.permutation(codes.training)[:size]
        yield clips, assemble(codes, draw(codes, clips, recipe, rng), recipe, tokens)


def test_reference_self_hides_the_codes_that_the_reference_overlaps(made_up, tokens):
    for clips, batch in batches_of(made_up, Recipe(reference="self", reference_seconds=(0.4, 1.0)), tokens, 4):
        for i, one in enumerate(clips):
            reference = batch.references[batch.reference_of[i]].numpy()
            (start,) = found_at(made_up.mel(one), reference)
            end = start + reference.shape[1]
            count = len(made_up.codes(one))
            overlap = {k for k in range(count) if 4 * k < end and 4 * (k + 1) > start}
            assert hidden_targets(batch, i, made_up, one) == overlap
            assert len(overlap) < count


def test_reference_stock_hides_frame_numbers_as_codes_in_the_last_clip_only(made_up, tokens):
    some_hidden = 0
    for clips, batch in batches_of(made_up, Recipe(reference="stock", reference_seconds=(0.4, 1.0)), tokens, 4):
        for i, one in enumerate(clips):
            reference = batch.references[batch.reference_of[i]].numpy()
            (start,) = found_at(made_up.mel(one), reference)
            last = i == len(clips) - 1
            fault = set(range(start, start + reference.shape[1])) if last else set()
            every = set(range(len(made_up.codes(one)) + 1))
            assert hidden_targets(batch, i, made_up, one) == fault & every
            some_hidden += bool(fault & every)
    assert some_hidden > 10


@pytest.mark.parametrize("shared", [False, True])
def test_reference_other_never_uses_the_clip_itself(made_up, tokens, shared):
    recipe = Recipe(reference="other", reference_seconds=(0.4, 0.45), shared_reference=shared)
    for clips, batch in batches_of(made_up, recipe, tokens, 6):
        mels = {c: made_up.mel(c) for c in made_up.training}
        for i, one in enumerate(clips):
            reference = batch.references[batch.reference_of[i]].numpy()
            sources = [c for c, mel in mels.items() if found_at(mel, reference)]
            assert len(sources) == 1
            assert made_up.speakers[sources[0]] == made_up.speakers[one]
            assert sources[0] not in (clips if shared else [one])
            assert not hidden_targets(batch, i, made_up, one)
        if shared:
            assert len(batch.references) == len({made_up.speakers[c] for c in clips})


def test_reference_other_uses_only_training_clips_and_needs_enough_of_them(codes, tokens):
    rng = np.random.default_rng(0)
    recipe = Recipe(reference_seconds=(0.5, 0.6))
    for measured in (codes.validation, codes.test):
        assert len(measured) == 2
        batch = assemble(codes, draw(codes, measured, recipe, rng), recipe, tokens)
        heard = {c for r in batch.references.numpy() for c in range(len(codes)) if found_at(codes.mel(c), r)}
        assert heard <= set(codes.training.tolist())
    with pytest.raises(UserError, match=f"speaker '{SPEAKER}' has too few training clips"):
        draw(codes, codes.training, replace(recipe, shared_reference=True), rng)


def test_references_have_every_length_in_their_range(made_up, tokens):
    lengths = {b.references.shape[2] for _, b in batches_of(made_up, Recipe(reference_seconds=(0.4, 0.46)), tokens, 2)}
    assert lengths == set(range(int(0.4 * FRAMES_PER_SECOND), int(0.46 * FRAMES_PER_SECOND) + 1))


@pytest.fixture(scope="module")
def short_clips(tmp_path_factory) -> Codes:
    """Two speakers: `long` has clips of 3 to 8 s and every fifth of 1 s, and `short` has only clips of 1 s."""
    rng = np.random.default_rng(5)
    clips, encoded = [], []
    for i in range(40):
        speaker = "long" if i < 30 else "short"
        seconds = 1.0 if i % 5 == 0 or speaker == "short" else rng.uniform(3, 8)
        frames = int(seconds * FRAMES_PER_SECOND)
        clips.append(Clip(f"c{i}", f"c{i}.flac", "x", "en", speaker, "s", seconds, "train"))
        mel = rng.standard_normal((frames, 80)).astype(np.float16)
        codes = rng.integers(0, 1024, -(-frames // 4)).astype(np.int16)
        encoded.append(Encoded(np.arange(3, 9, dtype=np.int32), codes, mel))
    where = tmp_path_factory.mktemp("short_clips")
    codes_file.save(where, clips, encoded)
    return Codes(where)


@pytest.fixture(scope="module")
def clip_of_frame(short_clips) -> dict[bytes, int]:
    """The clip of each frame. No two frames of these clips are the same."""
    return {frame.tobytes(): clip for clip in range(len(short_clips)) for frame in short_clips.mel(clip)}


def heard_in(reference: np.ndarray, clip_of_frame: dict[bytes, int]) -> set[int]:
    """The clips that a reference (80, frames) is cut from."""
    return {clip_of_frame[frame.tobytes()] for frame in reference.T.astype(np.float16)}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("speaker", "joined"), [("long", {1}), ("short", {3, 4})])
def test_short_clips_do_not_shorten_references(short_clips, clip_of_frame, speaker, joined, shared):
    """References are cut from longer clips. If a speaker has none, several clips are joined."""
    recipe = Recipe(reference_seconds=(2.9, 2.9), shared_reference=shared)
    pool = short_clips.training_clips_of(speaker)
    for seed in range(20):
        clips = np.random.default_rng(seed).permutation(pool)[:4]
        drawn, again = (draw(short_clips, clips, recipe, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(again.references, drawn.references)
        assert drawn.references.shape == (1 if shared else 4, 80, int(2.9 * FRAMES_PER_SECOND))
        for i, one in enumerate(clips):
            heard = heard_in(drawn.references[drawn.reference_of[i]], clip_of_frame)
            assert len(heard) in joined
            assert heard <= set(pool)
            assert not heard & set(clips if shared else [one])


def test_a_reference_is_shorter_only_if_all_other_clips_joined_are_too_short(short_clips, clip_of_frame):
    clips = short_clips.training_clips_of("short")[:2]
    drawn = draw(short_clips, clips, Recipe(reference_seconds=(20, 20)), np.random.default_rng(1))
    assert drawn.references.shape[2] == 9 * int(FRAMES_PER_SECOND)
    assert all(len(heard_in(reference, clip_of_frame)) == 9 for reference in drawn.references)


# Codes and tokens


def stock_trainer(base: Path, dvae):
    """A GPTTrainer with only the parts that turn audio into codes. Its own code fixes the sizes of the DVAE."""
    from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTTrainer, GPTTrainerConfig

    trainer = GPTTrainer.__new__(GPTTrainer)
    torch.nn.Module.__init__(trainer)
    trainer.config, trainer.dvae = GPTTrainerConfig(), dvae
    stats = str(base / "mel_stats.pth")
    trainer.torch_mel_spectrogram_dvae = TorchMelSpectrogram(mel_norm_file=stats)
    trainer.torch_mel_spectrogram_style_encoder = TorchMelSpectrogram(filter_length=2048, mel_norm_file=stats)
    return trainer


def load_with_soundfile(path, rate):
    """Replaces coqui's `load_audio`, because torchaudio.load needs a system FFmpeg."""
    samples, found = soundfile.read(path, dtype="float32", always_2d=True)
    assert found == rate
    return torch.from_numpy(samples.T.copy()).clip_(-1, 1)


def test_codes_and_tokens_equal_those_of_the_stock_trainer(bundle_base, dataset, codes, monkeypatch):
    from TTS.tts.layers.xtts.trainer import dataset as stock_dataset  # sets one thread for the whole process

    monkeypatch.setattr(stock_dataset, "load_audio", load_with_soundfile)
    dvae, _ = folder.open_dvae(bundle_base)
    trainer = stock_trainer(bundle_base, dvae)
    samples = [
        {"text": c.text, "audio_file": str(dataset / "clips" / c.file), "language": c.language} for c in codes.clips
    ]
    words = VoiceBpeTokenizer(str(bundle_base / "vocab.json"))
    stock = stock_dataset.XTTSDataset(trainer.config, samples, words, 22050, is_eval=True)
    assert len(stock) == len(codes)
    for i in range(len(codes)):
        batch = trainer.format_batch_on_device(stock.collate_fn([stock[i]]))
        belonging = int(torch.ceil(batch["wav_lengths"] / 1024)[0])  # GPT.forward cuts them to this length
        np.testing.assert_array_equal(codes.tokens(i), batch["text_inputs"][0])
        np.testing.assert_array_equal(codes.codes(i), batch["audio_codes"][0, :belonging])
        assert belonging == len(codes.codes(i)) > 5
    distinct = {int(c) for i in range(len(codes)) for c in codes.codes(i)}
    assert len(distinct) > 20  # with a collapsed codebook, this test could not fail


@pytest.mark.parametrize("samples", [20 * 1024 - 1, 20 * 1024, 20 * 1024 + 1])
def test_a_clip_has_one_code_for_each_begun_1024_samples(bundle_base, samples):
    """`GPT.forward` counts so. For a whole number of codes, the DVAE itself returns one more."""
    dvae, mel_stats = folder.open_dvae(bundle_base)
    noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32) * 0.1
    assert len(codec.encode(dvae, noise, mel_stats)) == codec.code_count(samples) == -(-samples // 1024)


def test_conditioning_mel_equals_that_of_the_stock_client(bundle_base, dataset, codes):
    mel_stats = folder.load(bundle_base / "mel_stats.pth")
    for i in (0, 2):
        wave = load_with_soundfile(dataset / "clips" / codes.clips[i].file, 22050)
        expected = wav_to_mel_cloning(wave, mel_norms=mel_stats, n_fft=2048, hop_length=256, win_length=1024)
        torch.testing.assert_close(codec.conditioning_mel(wave, mel_stats), expected, rtol=0, atol=1e-6)
        stored = torch.from_numpy(codes.mel(i).astype(np.float32)).T[None]
        torch.testing.assert_close(stored, expected, rtol=1e-3, atol=1e-3)  # half precision on disk


def test_unknown_characters_are_reported_with_clip_and_character(bundle_base, dataset):
    words = folder.open_tokenizer(bundle_base)
    good = clip.read(dataset / "clips" / "clips.csv")[0]
    assert encoding.find_fault(good, words) is None
    assert encoding.find_fault(replace(good, language="hu", text="Árvíztűrő tükörfúrógép."), words) is None
    fault = encoding.find_fault(replace(good, text="Good Ж evening ☃."), words)
    assert good.id in fault
    assert "'ж'" in fault
    assert "'☃'" in fault
    assert "[fr]" in encoding.find_fault(replace(good, language="fr"), words)
    assert "more than the 200" in encoding.find_fault(replace(good, text="zq " * 150), words)


def test_decoding_codes_gives_1024_samples_each_and_the_same_bytes(bundle_base, codes):
    dvae, mel_stats = folder.open_dvae(bundle_base)
    sequence = torch.from_numpy(codes.codes(1).astype(np.int64))
    first, second = (codec.decode(dvae, sequence, mel_stats, iterations=8) for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape == (len(sequence) * 1024,)
    assert first.tobytes() == second.tobytes()
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 1e-3
    assert codec.decode(dvae, sequence[:0], mel_stats).shape == (0,)
    assert codec.decode(dvae, sequence[:1], mel_stats).shape == (1024,)
    start = torch.tensor([dvae.codebook.n_embed])  # in the GPT's vocabulary, but not in the codebook
    assert codec.decode(dvae, torch.cat([start, sequence[:1], start + 1]), mel_stats).shape == (1024,)
    assert codec.decode(dvae, start, mel_stats).shape == (0,)


# The base


def hashes(path: Path) -> dict[str, str]:
    return {file.name: files.sha256(file) for file in path.iterdir()}


def linked(source: Path, to: Path) -> Path:
    """Copy a folder by hard links. Replace its files, and never write into them."""
    return Path(shutil.copytree(source, to, copy_function=os.link))


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def test_the_bundle_unfolds_to_the_same_bytes(bundle_base, tmp_path):
    torch.manual_seed(123)  # the state of the random generator does not matter
    origins.unfold("tiny", tmp_path / "again", BUNDLE)
    assert set(hashes(bundle_base)) == BASE_FILES
    assert hashes(tmp_path / "again") == hashes(bundle_base)


def test_the_stock_client_loads_the_base_strictly(bundle_base, tmp_path):
    copied = Path(shutil.copytree(bundle_base, tmp_path / "base"))  # the stock client may rewrite model.pth
    config = XttsConfig()
    config.load_json(str(copied / "config.json"))
    client = Xtts(config)
    client.load_checkpoint(config, checkpoint_dir=str(copied), strict=True)
    weights = load_file(BUNDLE / "gpt.safetensors")
    for name, value in weights.items():
        assert torch.equal(client.gpt.state_dict()[name], value.float()), name
    assert torch.equal(client.mel_stats, folder.load(bundle_base / "mel_stats.pth"))
    assert client.gpt.number_text_tokens == len(folder.open_tokenizer(bundle_base))
    assert client.speaker_manager.num_speakers == 0


def test_a_base_from_a_folder_is_a_copy(bundle_base, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "left over").touch()
    origins.unfold(str(bundle_base), tmp_path / "out", BUNDLE)
    assert hashes(tmp_path / "out") == hashes(bundle_base)


def test_a_phase_folder_is_a_base_too(bundle_base, tmp_path):
    source = linked(bundle_base, tmp_path / "phase")
    (source / "model.pth").rename(source / "best_model.pth")
    (source / "speakers_xtts.pth").unlink()
    origins.unfold(str(source), tmp_path / "out", BUNDLE)
    assert {path.name for path in (tmp_path / "out").iterdir()} == BASE_FILES
    assert folder.speakers(tmp_path / "out") == {}


def other_layers(path: Path) -> bytes:
    settings = json.loads(path.read_text())
    settings["model_args"]["gpt_layers"] += 1
    return json.dumps(settings).encode()


def first_half(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


def test_missing_mel_stats_are_read_from_the_weights(bundle_base, tmp_path):
    source = linked(bundle_base, tmp_path / "source")
    (source / "mel_stats.pth").unlink()
    origins.unfold(str(source), tmp_path / "out", BUNDLE)
    assert torch.equal(folder.load(tmp_path / "out/mel_stats.pth"), folder.load(bundle_base / "mel_stats.pth"))


@pytest.mark.parametrize("name", ["config.json", "model.pth", "vocab.json", "dvae.pth"])
def test_a_base_without_a_file_is_refused(bundle_base, tmp_path, name):
    source = linked(bundle_base, tmp_path / "source")
    (source / name).unlink()
    with pytest.raises(UserError, match=name):
        origins.unfold(str(source), tmp_path / "out", BUNDLE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("config.json", other_layers),
        ("config.json", first_half),
        ("model.pth", first_half),
        ("vocab.json", first_half),
        ("dvae.pth", first_half),
        ("mel_stats.pth", first_half),
        ("voicetune.json", first_half),
    ],
    ids=["layers", "config", "weights", "vocab", "dvae", "stats", "ours"],
)
def test_a_base_with_a_broken_file_is_refused(bundle_base, tmp_path, name, broken):
    source = linked(bundle_base, tmp_path / "source")
    rewrite(source / name, broken(source / name))
    with pytest.raises(UserError, match=name):
        origins.unfold(str(source), tmp_path / "out", BUNDLE)
    assert not (tmp_path / "out").exists()


def test_a_base_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match="'tinny' is neither 'tiny' nor 'xtts_v2' nor a folder"):
        origins.unfold("tinny", tmp_path / "out", BUNDLE)
    with pytest.raises(UserError, match=r"bundle.json is missing"):
        origins.unfold("tiny", tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_base_is_not_unfolded_onto_itself(bundle_base, tmp_path):
    source = linked(bundle_base, tmp_path / "base")
    with pytest.raises(UserError):
        origins.unfold(str(source), source, BUNDLE)
    assert set(hashes(source)) == BASE_FILES


# Export


def test_the_stock_client_loads_an_exported_folder_and_its_card_has_the_consent(bundle_base, tmp_path):
    phase, out = tmp_path / "phase", tmp_path / "anna"
    weights = {name: value + 0.5 for name, value in folder.open_xtts(bundle_base).gpt.state_dict().items()}
    voices = {"anna": {"gpt_cond_latent": torch.zeros(1, 32, 224), "speaker_embedding": torch.zeros(1, 512, 1)}}
    folder.close(phase, bundle_base, weights, voices, {"mel_ce": 2.34567, "clips": 10})
    export.export(phase, out, Gift())
    assert {path.name for path in out.iterdir()} == BASE_FILES | {"README.md"}
    config = XttsConfig()
    config.load_json(str(out / "config.json"))
    client = Xtts(config)
    client.load_checkpoint(config, checkpoint_dir=str(out), strict=True)
    assert torch.equal(client.gpt.mel_head.bias, weights["mel_head.bias"])
    assert client.speaker_manager.speaker_names == ["anna"]
    text = (out / "README.md").read_text()
    assert "Speaker: anna" in text
    assert "Consent: ______" in text
    assert "| mel_ce | 2.3457 |" in text
    assert "Mozilla Public License" in (out / "LICENSE.txt").read_text()
    with pytest.raises(UserError, match="exists already"):
        export.export(phase, out, Gift())
    export.export(phase, tmp_path / "signed", Gift(["Anna Kis, 2026-11-01, for this show"]))
    assert "Consent: Anna Kis, 2026-11-01, for this show\n" in (tmp_path / "signed/README.md").read_text()


# Speaking


@pytest.fixture(scope="module")
def latents(xtts, dataset) -> torch.Tensor:
    """The conditioning latents of the dataset's speaker: (1, 32, width)."""
    return compute_speaker(xtts, "griffin_lim", read_longest(Dataset(dataset), SPEAKER))["gpt_cond_latent"]


@pytest.fixture(scope="module")
def texts(bundle_base) -> list[torch.Tensor]:
    words = folder.open_tokenizer(bundle_base)
    return [torch.from_numpy(words.encode(text, "en")).long() for text in TEXTS]


def with_stop(gpt, bias: float):
    """Return a copy with `bias` added to the logit of STOP."""
    changed = copy.deepcopy(gpt)
    with torch.no_grad():
        changed.mel_head.bias[changed.stop_audio_token] += bias
    return changed


@pytest.fixture(scope="module")
def greedy_gpt(xtts, latents, texts):
    """The trained GPT with a bias on STOP at which some of the lines end early and some do not.

    So the tests cover both cases, even if the bundle's own weights stop at once, or never.
    """
    low, high = -25.0, 25.0  # at `low` no line stops, at `high` every line stops at once
    for _ in range(12):
        middle = (low + high) / 2
        gpt = with_stop(xtts.gpt, middle)
        lengths = [len(c) for c in decode(gpt, latents, texts, GREEDY, [0] * len(texts), LIMIT)]
        if 0 < min(lengths) < max(lengths):
            return gpt
        low, high = (middle, high) if min(lengths) == LIMIT else (low, middle)
    raise AssertionError("no bias makes some lines stop and others not")


def stock_greedy(gpt, latents, text, penalty: float) -> list[int]:
    """The codes of one line from coqui's own generator, without STOP."""
    stock = copy.deepcopy(gpt)
    stock.max_gen_mel_tokens = LIMIT
    stock.init_gpt_for_inference()
    stock.eval()
    with torch.inference_mode():
        row = stock.generate(latents, text[None], do_sample=False, num_beams=1, repetition_penalty=penalty)[0]
    return [int(code) for code in row if code != stock.stop_audio_token]


@pytest.mark.parametrize("penalty", [1.0, 5.0])
def test_greedy_codes_equal_the_stock_ones(greedy_gpt, latents, texts, penalty):
    settings = GREEDY.model_copy(update={"repetition_penalty": penalty})
    for text in texts:
        ours = decode(greedy_gpt, latents, [text], settings, [0], LIMIT)[0].tolist()
        assert ours == stock_greedy(greedy_gpt, latents, text, penalty)


@pytest.mark.parametrize("penalty", [1.0, 5.0])
def test_a_batch_of_lines_gives_the_codes_of_each_alone(greedy_gpt, latents, texts, penalty):
    settings = GREEDY.model_copy(update={"repetition_penalty": penalty})
    together = decode(greedy_gpt, latents, texts, settings, [0] * len(texts), LIMIT)
    alone = [decode(greedy_gpt, latents, [text], settings, [0], LIMIT)[0] for text in texts]
    assert [t.tolist() for t in together] == [a.tolist() for a in alone]


@pytest.mark.slow
def test_the_hifigan_gives_the_waveform_of_the_stock_client(bundle_base, greedy_gpt, latents):
    """This includes a line that stops by itself: the stock client makes sound of the STOP too."""
    voice = Voice(bundle_base)
    voice.model.vocoder, voice.model.renderer = "hifigan", None
    voice.model.network = greedy_gpt  # random weights, the same for both
    stock = copy.deepcopy(voice.model.xtts)
    stock.gpt.max_gen_mel_tokens = voice.model.xtts.gpt.max_gen_mel_tokens = LIMIT
    stock.gpt.init_gpt_for_inference()
    stock.eval()
    speaker = {"gpt_cond_latent": latents, "speaker_embedding": torch.randn(1, 512, 1)}
    lengths = set()
    for text in TEXTS:
        theirs = stock.inference(text, "en", **speaker, do_sample=False, repetition_penalty=1.0)["wav"]
        greedy = GREEDY.model_copy(update={"repetition_penalty": 1.0})
        codes = voice.codes([Line(text, "en")], [speaker], greedy, 1)[0]
        ours = voice.sound(codes, Line(text, "en"), speaker)
        assert ours.shape == theirs.shape
        assert float(np.abs(ours - theirs).max()) <= 1e-4
        lengths.add(len(codes) < LIMIT)
    assert lengths == {True, False}
    assert describe_codec(voice) == {"vocoder": "hifigan", "voiced_by_base": True}
    assert describe_codec(Voice(bundle_base)) == {"vocoder": "renderer"}


@pytest.fixture(scope="module")
def hifigan():
    """A small HiFi-GAN with random weights, which makes audible sound, and kernels and strides of XTTS v2."""
    torch.manual_seed(0)
    small = HifiDecoder(decoder_input_dim=8, upsample_initial_channel_decoder=32).eval()
    for name, weight in small.waveform_decoder.named_parameters():
        if name.endswith("original0"):  # the norm of a weight
            weight.data *= 1.7
    return small


def test_the_reach_of_hifigan_is_how_far_a_frame_changes_the_sound(hifigan):
    generator, frames = hifigan.waveform_decoder, torch.randn(1, 8, 100)
    embedding, edge = torch.randn(1, 512, 1), chunks.reach(hifigan.waveform_decoder)
    changed = frames.clone()
    changed[:, :, 50] += 1e3
    with torch.inference_mode():
        one, other = (generator.double()(x.double(), g=embedding.double())[0, 0] for x in (frames, changed))
    generator.float()
    places = torch.nonzero(one != other)[:, 0] / 256 - 50
    assert float(places.min()) >= -edge
    assert float(places.max()) <= edge + 1
    assert float(places.max() - places.min()) > 2 * (edge - 3), "not much more is computed than is needed"


@pytest.mark.parametrize("speed", [1.0, 0.5, 1.7, 2.0])
@pytest.mark.parametrize("codes", [2, 19, 20, 21, 87, 160])
def test_the_chunks_of_a_sound_joined_are_the_whole(hifigan, codes, speed):
    latents, embedding = torch.randn(codes, 8, generator=torch.Generator().manual_seed(1)), torch.randn(1, 512, 1)
    with torch.inference_mode():
        scaled = latents[None].mT
        if speed != 1:  # as `Xtts.inference` does
            scaled = F.interpolate(scaled, scale_factor=1 / speed, mode="linear")
        whole = hifigan(scaled.mT, g=embedding).flatten()
        pieces = list(chunks.voice_chunks(hifigan, latents, embedding, speed))
    joined = torch.cat(pieces)
    assert joined.shape == whole.shape
    assert float(whole.std()) > 0.01
    assert float((joined - whole).abs().max()) <= 1e-4
    if codes == 160:
        assert len(pieces) > 4
        first = chunks.voice_chunks(hifigan, latents[:60], embedding, speed)
        assert torch.equal(next(first), pieces[0]), "it needs no later codes"


@pytest.mark.slow
def test_sound_that_is_streamed_is_the_sound_of_the_codes(bundle_base, greedy_gpt, latents):
    """This includes a line that stops by itself, and one that does not."""
    voice = Voice(bundle_base)
    voice.model.vocoder, voice.model.renderer = "hifigan", None
    voice.model.network = greedy_gpt
    voice.model.xtts.gpt.max_gen_mel_tokens = LIMIT
    speaker = {"gpt_cond_latent": latents, "speaker_embedding": torch.randn(1, 512, 1)}
    lengths = set()
    for text in TEXTS:
        line = Line(text, "en")
        codes = voice.codes([line], [speaker], SETTINGS, 1)[0]
        whole, pieces = voice.sound(codes, line, speaker), list(voice.stream(line, speaker, SETTINGS, 1))
        joined = np.concatenate(pieces)
        assert joined.shape == whole.shape
        assert float(np.abs(joined - whole).max()) <= 1e-3 * float(np.abs(whole).max())
        lengths.add(len(codes) < LIMIT)
    assert lengths
    assert voice.model.streams
    assert not Voice(bundle_base).model.streams


def test_a_step_computes_what_the_stock_network_computes(xtts, latents, texts):
    """`_Layer` computes what transformers' GPT-2 computes, row by row of a padded batch."""
    gpt, rows = xtts.gpt, [(0, texts[0]), (0, texts[1])] * 4
    with torch.inference_mode():
        embedded, mask = decoding._prefix(gpt, latents, rows, 96)
        hidden, kept = decoding._read(gpt, embedded, mask, 2)
        longer = torch.cat([embedded, torch.randn(8, 1, embedded.shape[2])], 1)
        attended = F.pad(decoding._additive(mask[:, None, None, :], torch.float32), (0, 32), value=torch.finfo().min)
        attended[..., 96] = 0
        x = longer[:, -1]
        for block, memory in zip(gpt.gpt.h, kept, strict=True):
            x = decoding._Layer(block).step(x, attended, memory)
        with decoding._quick(gpt):
            both = F.pad(mask, (0, 1), value=True)
            attended = decoding._additive(decoding._causal(both), torch.float32)
            theirs = gpt.gpt(inputs_embeds=longer, attention_mask=attended).last_hidden_state
        ours = gpt.gpt.ln_f(x)
    assert torch.allclose(hidden, theirs[:, -2], atol=1e-4)
    assert torch.allclose(ours, theirs[:, -1], atol=1e-4)
    assert float((hidden - ours).abs().max()) > 0.1


def test_a_code_is_drawn_as_torch_draws_it():
    logits, settings = torch.randn(3, 1026) * 3, SETTINGS.model_copy(update={"top_p": 0.8, "top_k": 50})
    seen = torch.zeros(3, 1026, dtype=torch.bool)
    ours = decoding._choose(logits, seen, settings, [torch.Generator().manual_seed(i) for i in range(3)])
    scaled = logits / settings.temperature
    for i, row in enumerate(scaled):
        values, places = row.topk(50)
        shares = values.softmax(0)
        kept = places[shares.cumsum(0) - shares < 0.8]
        probabilities = torch.full_like(row, -torch.inf).scatter(0, kept, row[kept]).softmax(0)
        assert int(ours[i]) == int(torch.multinomial(probabilities, 1, generator=torch.Generator().manual_seed(i)))


def test_sampled_codes_depend_only_on_the_seed_of_their_line(xtts, latents, texts):
    gpt = with_stop(xtts.gpt, -100.0)
    seeds = list(range(len(texts)))
    first, same = (decode(gpt, latents, texts, SETTINGS, seeds, 30) for _ in range(2))
    other = decode(gpt, latents, texts, SETTINGS, [seed + 1 for seed in seeds], 30)
    assert [a.tolist() for a in first] == [b.tolist() for b in same]
    assert all(a.tolist() != b.tolist() for a, b in zip(first, other, strict=True))
    for chosen in ([2], [2, 0], [1, 1, 2]):
        fewer = decode(gpt, latents, [texts[i] for i in chosen], SETTINGS, [seeds[i] for i in chosen], 30)
        assert [a.tolist() for a in fewer] == [first[i].tolist() for i in chosen]


def test_decoding_does_not_change_the_model(xtts, latents, texts):
    before = {name: value.clone() for name, value in xtts.gpt.state_dict().items()}
    decode(xtts.gpt, latents, texts, SETTINGS, [1] * len(texts), 3)
    after = xtts.gpt.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
