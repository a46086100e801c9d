"""All measures of one model on one dataset: held-out cross entropies, then what is heard."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.nn import functional as F

from voicetune import stage
from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.measures import cross_entropy, intervals, spoken
from voicetune.measures.ears import Ears
from voicetune.measures.similarity import OwnEncoder
from voicetune.measures.spoken import Row, Take
from voicetune.measures.takes import recorded, sentences, speak, through_codec
from voicetune.params import Params
from voicetune.speech.timing import timed
from voicetune.speech.voice import Line, Voice, heard
from voicetune.xtts import codec, folder
from voicetune.xtts.gpt import Tokens, TrainingLoss
from voicetune.xtts.rows import measured_recipe

_TIMED = 3  # sentences
_STOCK_SLICE, _STOCK_PADDED = 99225, 132300  # samples: 4.5 s heard, padded with silence to 6 s


@dataclass(frozen=True)
class Spoken:
    """What was listened to, row by row, and its figures. rate: Hz of the sounds."""

    figures: dict[str, Any]
    takes: list[Take]
    rows: list[Row]
    rate: int


def run(model: Path, data: Path, settings: Params) -> tuple[dict[str, Any], list[dict[str, Any]], Spoken]:
    """Measure one model.

    Args:
        data: holds `codes` and `clips`.

    Returns:
        the figures (metrics/evaluate/<model>.json), per held-out clip its sums of nats and tokens, and what it spoke.
    """
    codes = _held_out(data)
    voice = Voice(model, stage.device(settings.device))
    figures, rows = _cross_entropies(voice, codes, data / "clips", settings)
    said = _spoken(voice, codes, data, settings)
    figures |= said.figures
    figures["model_sha256"] = folder.sha256(folder.weights_file(model))
    figures["data_sha256"] = folder.sha256(data / "codes" / "codes.safetensors")
    return figures, rows, said


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

    for name in ("top1", "top10"):
        counts = getattr(measured, name), measured.mel_tokens
        interval = intervals.ratio_interval(*counts, settings.evaluate.bootstrap, settings.seed)
        figures |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}

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
            "top1": int(measured.top1[i]),
            "top10": int(measured.top10[i]),
        }
        for i, clip in enumerate(measured.clips)
    ]
    return figures, rows


def ceiling(base: Path, data: Path, settings: Params) -> dict[str, Spoken]:
    """The sentences that models speak, as recorded, and the recordings through the base's codec: what no model
    trained from this base can be expected to pass. The same for every model, so measured once.

    Returns:
        `recordings` and `codec`; nothing if no sentence is spoken.
    """
    codes = _held_out(data)
    chosen = sentences(codes, settings.seed, settings.evaluate.sentences)
    if not len(chosen):
        return {}
    voice = Voice(base, stage.device(settings.device))
    ears = _ears(voice, codes, data, chosen, settings)
    recordings = _listened(recorded(codes, data / "clips", chosen), codec.SAMPLE_RATE, ears, settings)
    if "similarity" in settings.evaluate.measures:
        floor = ears.floor([codes.clips[i] for i in chosen])
        recordings.figures.update({} if floor is None else {"secs_floor": floor})
    through = _listened(through_codec(voice, codes, data / "clips", chosen), voice.rate, ears, settings)
    return {"recordings": recordings, "codec": through}


def _spoken(voice: Voice, codes: Codes, data: Path, settings: Params) -> Spoken:
    """Some held-out sentences as a model speaks them, and how fast it does."""
    chosen = sentences(codes, settings.seed, settings.evaluate.sentences)
    if not len(chosen):
        return Spoken({"sentences": 0}, [], [], voice.rate)
    speed = _speed(voice, codes, data / "clips", chosen, settings) if "speed" in settings.evaluate.measures else {}
    takes = speak(
        voice, codes, data / "clips", chosen, settings.evaluate.decoding, settings.seed, settings.evaluate.takes
    )
    said = _listened(takes, voice.rate, _ears(voice, codes, data, chosen, settings), settings)
    said.figures.update(speed)
    return said


def _speed(voice: Voice, codes: Codes, clips: Path, chosen: np.ndarray, settings: Params) -> dict[str, float]:
    """Medians over some sentences, each spoken alone: see `speech.timing`. Nothing for a model that says nothing."""
    said = [codes.clips[i] for i in chosen[:_TIMED]]
    speakers = heard(voice.xtts, codes, clips, (clip.speaker for clip in said))
    found = []
    for clip in said:
        line = Line(clip.text, clip.language)
        try:
            found.append(timed(voice, line, speakers[clip.speaker], settings.evaluate.decoding, settings.seed))
        except UserError:
            continue
    if not found:
        return {}
    first, factor = np.median(found, axis=0)
    return {"first_audio_seconds": float(first), "real_time_factor": float(factor)}


def _ears(voice: Voice, codes: Codes, data: Path, chosen: np.ndarray, settings: Params) -> Ears:
    said = [codes.clips[i] for i in chosen]
    own = OwnEncoder(voice.xtts) if voice.vocoder == "hifigan" else None
    return Ears(codes, data / "clips", said, settings.evaluate.asr, settings.evaluate.measures, own)


def _listened(takes: list[Take], rate: int, ears: Ears, settings: Params) -> Spoken:
    rows = [ears.hear(take, rate) for take in stage.track(takes, "listening", len(takes))]
    figures = spoken.figures(rows, settings.evaluate.bootstrap, settings.seed)
    counts = {"sentences": sum(take.number == 0 for take in takes), "takes": len(takes)}
    return Spoken({**counts, **figures}, takes, rows, rate)


def _held_out(data: Path) -> Codes:
    codes = Codes(data / "codes")
    if codes.held_out.size == 0:
        raise UserError("no clip is held out, so nothing can be measured; raise prepare.held_out.")
    return codes
