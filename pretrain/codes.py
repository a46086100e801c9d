"""Stage codes: encode every clip with the tokenizer and the DVAE, as the main pipeline's stage encode does.

A share of the training clips is disturbed first, as another microphone and room would do. So the GPT learns the codes
and the conditioning mels that real recordings have.
"""

import json
import zlib
from concurrent.futures import ProcessPoolExecutor

import common
import numpy as np
import torch
from denoise import disturb
from rich.progress import track

from voicetune.data import clip, codes
from voicetune.data.clip import Clip
from voicetune.data.codes import Encoded
from voicetune.data.dataset import Dataset
from voicetune.xtts import codec, encoding, origins
from voicetune.xtts.renderer import statistics_of
from voicetune.xtts.text import Tokenizer

CHUNK = 64
_OPEN: list = []  # what a worker process has opened: tokenizer, DVAE, mel statistics


def start() -> None:
    """Open the models in a worker. Clips are small, so one thread for each process is fastest."""
    torch.set_num_threads(1)
    dvae = codec.build_dvae(**json.loads((common.PARTS / "dvae.json").read_text()))
    state, stats = origins.bundle_dvae(common.PARTS)
    dvae.load_state_dict(state, strict=False)
    _OPEN[:] = Tokenizer(common.PARTS / "vocab.json"), dvae.eval(), stats


def encode(job: tuple[Dataset, list[Clip], float]) -> list[Encoded]:
    data, clips, share = job
    heard = [(c, data.sound(c)[0]) for c in clips]
    with torch.no_grad():
        return [
            encode_disturbed(*one) if is_disturbed(one[0], share) else encoding.encode_clip(*one, *_OPEN)
            for one in heard
        ]


def is_disturbed(one: Clip, share: float) -> bool:
    return one.split == "train" and _rng(one).random() < share


def _rng(one: Clip, *more: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(one.id.encode()), *more])


def encode_disturbed(one: Clip, samples: np.ndarray) -> Encoded:
    """Encode a clip as `encoding.encode_clip` does, with one disturbance for its codes and its conditioning mel."""
    tokenizer, dvae, mel_stats = _OPEN
    mels = [codec.log_mel(torch.from_numpy(samples)[None], n_fft)[0] for n_fft in (1024, 2048)]
    mean = statistics_of(mels[0])[:80]
    heard, reference = (disturb(mel, mean, _rng(one, 1)) / mel_stats[:, None] for mel in mels)
    codes = dvae.get_codebook_indices(heard[None])[0][: codec.code_count(samples.size)]
    return Encoded(
        tokens=tokenizer.encode(one.text, one.language),
        codes=codes.numpy().astype(np.int16),
        mel=reference.T.numpy().astype(np.float16),
    )


def main() -> None:
    folder = common.WORK / "clips"
    clips, share = clip.read(folder / "clips.csv"), common.params()["codes"]["disturbed"]
    jobs = [(Dataset(common.WORK), clips[i : i + CHUNK], share) for i in range(0, len(clips), CHUNK)]
    with ProcessPoolExecutor(initializer=start) as pool:
        encoded = [e for part in track(pool.map(encode, jobs), "encoding", len(jobs)) for e in part]
    codes.save(folder.parent / "codes", clips, encoded)


if __name__ == "__main__":
    common.run(main)
