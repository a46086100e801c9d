"""Measures spoken sentences with the recogniser, speaker encoders, MOS predictor and prosody: one row per take."""

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile

from voicetune import terminal
from voicetune.data import espeak
from voicetune.data.clip import Clip
from voicetune.data.codes import Codes
from voicetune.errors import UserError
from voicetune.measures import intelligibility, naturalness, prosody, robustness, similarity
from voicetune.measures.recogniser import Recogniser
from voicetune.measures.table import COLUMNS, Row
from voicetune.measures.takes import Take
from voicetune.params.heard import READ

_SECS_REFERENCES = 10  # training clips whose mean embedding is a speaker's reference for SECS
_STRANGER = {"en": "en-us", "zh": "cmn"}  # espeak-ng's language names that differ from XTTS's
_LOWEST_MOS = 1.0  # lowest on the scale; for sounds without a prediction, so that silence is never an advantage


def _stranger(language: str) -> str:
    """Name of an espeak-ng voice that is no training speaker, for a language code of XTTS."""
    return f"{_STRANGER.get(language, language)}+f3"


Encoder = similarity.SpeakerEncoder | similarity.OwnEncoder


class Ears:
    """Measures takes of the given sentences.

    Args:
        clips: the folder of the recordings.
        said: the sentences.
        asr, device: see `recogniser.Recogniser`; only the recogniser uses `device`.
        measures: the measures to take, of `params.measuring.Measure`.
        own: XTTS's own speaker encoder, if the model has trained weights for it.
    """

    def __init__(
        self,
        codes: Codes,
        clips: Path,
        said: Sequence[Clip],
        asr: str,
        device: str,
        measures: Collection[str],
        own: similarity.OwnEncoder | None = None,
    ):
        self.clips, self.measures = clips, measures
        if self.reads:
            self.recognisers = {name: Recogniser(asr, name, device) for name in sorted({c.language for c in said})}
        if "similarity" in measures:
            encoders: dict[str, Encoder] = {"secs": similarity.SpeakerEncoder()} | ({"secs_xtts": own} if own else {})
            self.similar = {
                column: (
                    encoder,
                    {name: self._voice(encoder, codes, name) for name in sorted({c.speaker for c in said})},
                )
                for column, encoder in encoders.items()
            }
        if "mos" in measures:
            self.mos = naturalness.MosPredictor()

    @property
    def reads(self) -> bool:
        """Whether the recogniser is needed."""
        return bool(set(READ) & set(self.measures))

    def hear_all(self, takes: Sequence[Take], rate: int) -> list[Row]:
        """Measure takes in parallel, one thread per take, see `hear`. The number of threads changes no figure."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            heard = pool.map(lambda take: self.hear(take, rate), takes)
            return list(terminal.track(heard, "listening", len(takes)))

    def hear(self, take: Take, rate: int) -> Row:
        """Measure one take: a row with `table.COLUMNS`, None where nothing was measured.

        Only a sentence's first take gets similarity, MOS and prosody: they are slow and say the same about every take.
        """
        clip, sound = take.clip, take.sound
        row: Row = dict.fromkeys(COLUMNS)
        row |= {"id": clip.id, "take": take.number, "speaker": clip.speaker, "language": clip.language}
        row |= {"text": clip.text, "file": take.file, "seconds": round(len(sound) / rate, 3)}
        if self.reads:
            row |= self._read(take, rate)
        if "robustness" in self.measures:
            row["long_silence"] = int(robustness.long_silence(sound, rate))
            row["clipped"] = int(robustness.clipped(sound))
            row["stopped"] = None if take.stopped is None else int(take.stopped)
        if take.number == 0:
            row |= self._sound(take, rate)
        return row

    def _read(self, take: Take, rate: int) -> Row:
        clip = take.clip
        reading = intelligibility.read(self.recognisers[clip.language], clip, take.sound, rate)
        row: Row = {"heard": reading.heard}
        if "intelligibility" in self.measures:
            row |= {"characters": reading.characters, "character_errors": reading.character_errors}
            row |= {"words": reading.words, "word_errors": reading.word_errors}
        if "robustness" in self.measures:
            row["skipped"] = int(robustness.skipped(clip.text, reading.heard, clip.language))
            row["repeated"] = int(robustness.repeated(clip.text, reading.heard, clip.language))
        return row

    def _sound(self, take: Take, rate: int) -> Row:
        row: Row = {}
        if "similarity" in self.measures:
            for column, (encoder, voices) in self.similar.items():
                row[column] = similarity.secs(encoder.embed(take.sound, rate), voices[take.clip.speaker])
        if "mos" in self.measures:
            found = self.mos.predict(take.sound, rate) or (_LOWEST_MOS,) * 3
            row |= dict(zip(("mos", "mos_signal", "mos_background"), found, strict=True))
        if "prosody" in self.measures and take.stopped is not None:
            row |= asdict(prosody.compare(*self.recording(take.clip), take.sound, rate))
        return row

    def floor(self, said: Sequence[Clip]) -> float | None:
        """Mean SECS of the sentences in a voice of espeak-ng, which shows how alike two different speakers are.

        None if espeak-ng cannot speak one of the languages, or there are no sentences.
        """
        try:
            strangers = [(espeak.speak(clip.text, _stranger(clip.language)), clip.speaker) for clip in said]
        except UserError:
            return None
        encoder, voices = self.similar["secs"]
        found = [similarity.secs(encoder.embed(s, espeak.SAMPLE_RATE), voices[who]) for s, who in strangers]
        return float(np.mean(found)) if found else None

    def recording(self, clip: Clip) -> tuple[np.ndarray, int]:
        """The recording of a sentence: (samples,) float32, and its rate in Hz."""
        return soundfile.read(self.clips / clip.file, dtype="float32")

    def _voice(self, encoder: Encoder, codes: Codes, speaker: str) -> np.ndarray:
        """The speaker's mean embedding. It comes from training clips, so no measured sentence is its own reference."""
        known = codes.training_clips_of(speaker)[:_SECS_REFERENCES]
        return similarity.reference_embedding([encoder.embed(*self.recording(codes.clips[i])) for i in known])
