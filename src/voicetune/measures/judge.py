"""Choosing a model by ear while it is trained: held-out sentences are spoken, and one figure of them decides."""

from collections.abc import Callable
from pathlib import Path

from voicetune.data.codes import Codes
from voicetune.measures import spoken
from voicetune.measures.ears import Ears
from voicetune.measures.takes import sentences, speak
from voicetune.params import Phase
from voicetune.speech.voice import Voice

_RESAMPLES = 100  # of intervals that nobody reads here
NEEDED = {
    "cer": ("intelligibility",),
    "mos": ("mos",),
    "composite": ("intelligibility", "similarity", "mos"),
}
SCORES: dict[str, Callable[[dict[str, float]], float]] = {
    "cer": lambda found: found["cer"],
    "mos": lambda found: -found["mos"],
    # each part is 0 for what is perfect and about 1 for what is useless
    "composite": lambda found: found["cer"] + (1 - found["secs"]) + (5 - found["mos"]) / 4,
}


class Judge:
    """Called at each evaluation of a phase; see `training.loop.Judge`.

    Args:
        voice: speaks with the GPT in training.
        data: holds `codes` and `clips`.
    """

    def __init__(self, voice: Voice, codes: Codes, data: Path, phase: Phase, seed: int):
        self.voice, self.codes, self.clips, self.phase, self.seed = voice, codes, data / "clips", phase, seed
        self.chosen = sentences(codes, seed, phase.select_sentences)
        said = [codes.clips[i] for i in self.chosen]
        self.ears = Ears(codes, self.clips, said, phase.select_asr, NEEDED[phase.select])

    def __call__(self) -> tuple[dict[str, float], float]:
        """The figures of the spoken sentences, and the one to choose by: lower is better."""
        gpt = self.voice.xtts.gpt
        was_training = gpt.training
        gpt.eval()
        takes = speak(self.voice, self.codes, self.clips, self.chosen, self.phase.select_decoding, self.seed, takes=1)
        gpt.train(was_training)
        rows = [self.ears.hear(take, self.voice.rate) for take in takes]
        found = spoken.figures(rows, _RESAMPLES, self.seed)
        figures: dict[str, float] = {name: found[name] for name in ("cer", "secs", "mos") if name in found}
        score = SCORES[self.phase.select](found)
        return ({**figures, "composite": score} if self.phase.select == "composite" else figures), score
