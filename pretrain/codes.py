"""Stage codes: encode every clip with the tokenizer and the DVAE, as the main pipeline's stage encode does."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import common
import torch
from rich.progress import track

from voicetune.data import clip, codes
from voicetune.data.clip import Clip
from voicetune.data.codes import Encoded
from voicetune.xtts import codec, encoding, origins
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


def encode(job: tuple[Path, list[Clip]]) -> list[Encoded]:
    folder, clips = job
    with torch.no_grad():
        return encoding.encode_clips(clips, folder, *_OPEN)


def main() -> None:
    folder = common.WORK / "clips"
    clips = clip.read(folder / "clips.csv")
    jobs = [(folder, clips[i : i + CHUNK]) for i in range(0, len(clips), CHUNK)]
    with ProcessPoolExecutor(initializer=start) as pool:
        encoded = [e for part in track(pool.map(encode, jobs), "encoding", len(jobs)) for e in part]
    codes.save(folder.parent / "codes", clips, encoded)


if __name__ == "__main__":
    common.run(main)
