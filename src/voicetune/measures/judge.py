"""Chooses a phase's best model by ear: the model in training speaks validation sentences, and one figure decides."""

from voicetune.data.dataset import Dataset
from voicetune.measures import catalogue, choosing, table
from voicetune.measures.material import Material
from voicetune.measures.measurer import Measurer
from voicetune.measures.speaking import speak
from voicetune.measures.takes import sentences
from voicetune.params.choosing import Choice
from voicetune.speech.conditioning import compute_speakers
from voicetune.speech.voice import Voice


class Judge:
    """Speaks and measures validation sentences at each evaluation of a phase; see `training.job.Judge`.

    Args:
        voice: speaks with the network in training.
        choice: how to choose; its `select` is not `mel_ce`.
    """

    def __init__(self, voice: Voice, data: Dataset, choice: Choice, seed: int):
        self.voice, self.data, self.choice, self.seed = voice, data, choice, seed
        assert choice.sentences is not None
        self.chosen = sentences(data.codes.validation, seed, choice.sentences)
        said = [data.codes.clips[i] for i in self.chosen]
        # on the CPU, because the training needs the memory of the GPU
        measures = choosing.measures_of(choice.select)
        self.measurer = Measurer(Material(data, said), choice.asr, "cpu", measures)

    def __call__(self) -> tuple[dict[str, float], float]:
        """Return the figures of the spoken sentences, and the score to choose by (lower is better)."""
        assert self.choice.decoding is not None
        network = self.voice.model.network
        was_training = network.training
        network.eval()
        names = (self.data.codes.speakers[i] for i in self.chosen)
        speakers = compute_speakers(self.voice.model, self.data, names)
        takes = speak(self.voice, self.data.codes, speakers, self.chosen, self.choice.decoding, self.seed, takes=1)
        network.train(was_training)
        found = table.figures(self.measurer.measure_all(takes, self.voice.rate))
        figures = {one.name: found[one.name] for one in catalogue.HEADLINES if one.name in found}
        score = choosing.score(self.choice.select, found)
        return ({**figures, "composite": score} if self.choice.select == "composite" else figures), score
