"""All measures of one model on one dataset: held-out cross entropies, then what is heard."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.nn import functional as F

from voicetune import stage
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.measures import cross_entropy, intelligibility, intervals, similarity
from voicetune.params import Params
from voicetune.speech.voice import Line, Voice, heard
from voicetune.xtts import codec, folder
from voicetune.xtts.gpt import Tokens, TrainingLoss
from voicetune.xtts.rows import measured_recipe

_SECS_REFERENCES = 10  # recordings of a speaker that make up the voice that SECS compares with
_STOCK_SLICE, _STOCK_PADDED = 99225, 132300  # samples: 4.5 s heard, padded with silence to 6 s


def run(model: Path, data: Path, settings: Params) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure one model.

    Args:
        data: holds `codes` and `clips`.

    Returns:
        the figures (metrics/evaluate/<model>.json), and per held-out clip its sums of nats and tokens.
    """
    codes = _held_out(data)
    voice = Voice(model, stage.device(settings.device))
    figures, rows = _cross_entropies(voice, codes, data / "clips", settings)
    figures |= _heard(voice, codes, data / "clips", settings)
    figures["model_sha256"] = folder.sha256(folder.weights_file(model))
    figures["data_sha256"] = folder.sha256(data / "codes" / "codes.safetensors")
    return figures, rows


def _cross_entropies(voice: Voice, codes: Codes, clips: Path, settings: Params):
    loss = TrainingLoss(voice.xtts.gpt)
    tokens = Tokens.of(voice.xtts.gpt)
    recipe = measured_recipe(settings.evaluate.reference_seconds)
    measured = cross_entropy.measure(loss, codes, codes.held_out, tokens, settings.seed, recipe)
    figures: dict[str, Any] = {"clips": len(codes.held_out)}
    for name in ("mel", "text"):
        sums, counts = getattr(measured, name), getattr(measured, name + "_tokens")
        interval = intervals.ratio_interval(sums, counts, settings.evaluate.bootstrap, settings.seed)
        figures |= {f"{name}_ce": interval.mean, f"{name}_ce_low": interval.low, f"{name}_ce_high": interval.high}

    def own_beginning(clip: int) -> np.ndarray:
        samples = torch.from_numpy(soundfile.read(clips / codes.clips[clip].file, dtype="float32")[0])
        heard = samples[: _STOCK_SLICE if len(samples) >= _STOCK_SLICE else len(samples) // 2]
        padded = F.pad(heard, (0, _STOCK_PADDED - len(heard)))
        return codec.conditioning_mel(padded[None], voice.mel_stats)[0].numpy()

    figures["mel_ce_stock"] = cross_entropy.measure_stock(loss, codes, codes.held_out, tokens, own_beginning)
    rows = [
        {
            "id": codes.clips[clip].id,
            "mel_nats": repr(float(measured.mel[i])),
            "mel_tokens": int(measured.mel_tokens[i]),
            "text_nats": repr(float(measured.text[i])),
            "text_tokens": int(measured.text_tokens[i]),
        }
        for i, clip in enumerate(measured.clips)
    ]
    return figures, rows


def ceiling(base: Path, data: Path, settings: Params) -> dict[str, Any]:
    """CER and SECS of the recordings themselves, and of the recordings through the base's codec: what no
    model trained from this base can be expected to pass. The same for every model, so measured once."""
    codes = _held_out(data)
    chosen = _sentences(codes, settings)
    if not len(chosen):
        return {}
    voice = Voice(base, stage.device(settings.device))
    said = [codes.clips[i] for i in chosen]
    recorded = [soundfile.read(data / "clips" / clip.file, dtype="float32")[0] for clip in said]
    speakers = heard(voice.xtts, codes, data / "clips", (c.speaker for c in said))
    through = [
        voice.sound(
            torch.from_numpy(codes.codes(i).astype(np.int64)), Line(clip.text, clip.language), speakers[clip.speaker]
        )
        for i, clip in zip(chosen, said, strict=True)
    ]
    ears = _Ears(codes, data / "clips", said, settings)
    return ears.hear(recorded, codec.SAMPLE_RATE, "_recordings") | ears.hear(through, voice.rate, "_codec")


def _heard(voice: Voice, codes: Codes, clips: Path, settings: Params) -> dict[str, Any]:
    """CER and SECS of some held-out sentences, synthesised in one batch."""
    chosen = _sentences(codes, settings)
    figures: dict[str, Any] = {"sentences": len(chosen)}
    if not len(chosen):
        return figures
    said = [codes.clips[i] for i in chosen]
    speakers = heard(voice.xtts, codes, clips, (c.speaker for c in said))
    lines = [Line(clip.text, clip.language) for clip in said]
    who = [speakers[clip.speaker] for clip in said]
    sounds = voice.speak(lines, who, settings.evaluate.decoding, settings.seed)
    return figures | _Ears(codes, clips, said, settings).hear(sounds, voice.rate)


def _held_out(data: Path) -> Codes:
    codes = Codes(data / "codes")
    if codes.held_out.size == 0:
        raise UserError("no clip is held out, so nothing can be measured; raise prepare.held_out.")
    return codes


def _sentences(codes: Codes, settings: Params) -> np.ndarray:
    """The held-out clips that are spoken: the same for every model, drawn from the seed."""
    count = min(settings.evaluate.sentences, len(codes.held_out))
    return np.sort(np.random.default_rng([settings.seed, 4]).permutation(codes.held_out)[:count])


class _Ears:
    """A recogniser for each language and a voice for each speaker, for the given sentences."""

    def __init__(self, codes: Codes, clips: Path, said: list[Clip], settings: Params):
        self.said = said
        asr = settings.evaluate.asr
        self.recognisers = {c.language: intelligibility.Recogniser(asr, c.language) for c in said}
        self.encoder = similarity.SpeakerEncoder()
        self.voices = {name: _reference(self.encoder, codes, clips, name) for name in {c.speaker for c in said}}

    def hear(self, sounds: list[np.ndarray], rate: int, suffix: str = "") -> dict[str, float]:
        """CER over all characters, and the mean SECS, of one take of the sentences."""
        cer = intelligibility.cer(self.recognisers, self.said, sounds, rate)
        likeness = [
            similarity.secs(self.encoder.embed(sound, rate), self.voices[clip.speaker])
            for clip, sound in zip(self.said, sounds, strict=True)
        ]
        return {"cer" + suffix: cer, "secs" + suffix: float(np.mean(likeness))}


def _reference(encoder: similarity.SpeakerEncoder, codes: Codes, clips: Path, speaker: str):
    """The speaker's voice from training clips, so that no measured sentence is its own reference."""
    known = codes.training_clips_of(speaker)[:_SECS_REFERENCES]
    embedded = [encoder.embed(*soundfile.read(clips / codes.clips[i].file, dtype="float32")) for i in known]
    return similarity.reference_embedding([e for e in embedded if e is not None])
