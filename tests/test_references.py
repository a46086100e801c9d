"""Choosing the best reference of a speaker: the candidates, the validation mel CE, and a tie."""

import json

import numpy as np
import pytest
import torch
from conftest import SPEAKER

from voicetune import families
from voicetune.data.codes import Codes
from voicetune.data.dataset import Dataset
from voicetune.model import Recipe
from voicetune.speech import conditioning, references
from voicetune.xtts import folder, losses
from voicetune.xtts.batch import Tokens
from voicetune.xtts.gpt import TrainingLoss
from voicetune.xtts.gpt_rows import assemble, condition_on

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(small_base):
    return families.training(small_base).open_model(small_base)


@pytest.fixture(scope="module")
def codes(dataset) -> Codes:
    return Codes(dataset / "codes")


def test_candidates_are_distinct_sets_of_training_clips(codes):
    tried = references.list_candidates(codes, SPEAKER)
    assert tried[0] == conditioning.choose_longest(codes, SPEAKER), "the longest clips come first"
    assert tried == references.list_candidates(codes, SPEAKER)
    assert len({tuple(sorted(one)) for one in tried}) == len(tried) >= 3
    assert {i for one in tried for i in one} <= set(codes.training.tolist())


def test_the_mel_ce_equals_the_training_loss_with_the_same_latents(model, codes):
    some, xtts = codes.validation, model.xtts
    mel = codes.mel(0)[:80].T[None].astype(np.float32)
    batch = assemble(codes, condition_on(some, np.repeat(mel, len(some), 0)), Recipe(), Tokens.of(xtts.gpt))
    with torch.no_grad():
        known = xtts.gpt.get_style_emb(torch.from_numpy(mel)).transpose(1, 2)
        expected = float(TrainingLoss(xtts.gpt).eval()(batch)[1].mean())
        other = losses.measure_given(xtts, codes, some, 10 * known.flip(2))
    assert losses.measure_given(xtts, codes, some, known) == pytest.approx(expected, abs=1e-5)
    assert abs(other - expected) > 1e-4


def test_the_reference_with_the_lowest_validation_mel_ce_is_chosen(model, codes, dataset, monkeypatch):
    tried, judged = references.list_candidates(codes, SPEAKER), []

    def of(better: int, by: float):
        found = iter([2.0 - by * (n == better) for n in range(len(tried))])

        def measure(_codes, clips, _recordings) -> float:
            judged.append(clips.tolist())
            return next(found)

        monkeypatch.setattr(model, "mel_ce_given", measure)
        return references.best(model, Dataset(dataset), [SPEAKER])[SPEAKER]

    better, tie = of(2, 0.1), of(2, 0.001)
    assert better.clips == [codes.clips[i].id for i in tried[2]]
    assert better.mel_ce == pytest.approx(1.9)
    assert (tie.clips, tie.mel_ce) == ([codes.clips[i].id for i in tried[0]], 2.0), "a tie keeps the longest clips"
    assert judged == [codes.validation.tolist()] * 2 * len(tried)
    heard = conditioning.compute_speakers(model, Dataset(dataset), [SPEAKER])[SPEAKER]
    assert all(torch.equal(tie.speaker[name], heard[name]) for name in heard)
    assert not torch.equal(better.speaker["gpt_cond_latent"], heard["gpt_cond_latent"])


def test_a_speaker_without_validation_clips_uses_the_longest_clips(model, dataset, tmp_path):
    data = Dataset(dataset)
    codes = data.codes
    codes.validation = codes.validation[:0]
    found = references.best(model, data, [SPEAKER])
    references.save(tmp_path, folder.SPEAKERS, found)
    assert found[SPEAKER].mel_ce is None
    longest = [codes.clips[i].id for i in conditioning.choose_longest(codes, SPEAKER)]
    assert json.loads((tmp_path / references.FILE).read_text()) == {SPEAKER: {"clips": longest, "mel_ce": None}}
    assert set(torch.load(tmp_path / folder.SPEAKERS, weights_only=True)) == {SPEAKER}
