"""Every script in bench/ runs once at a tiny size, so that it still works when it is next needed."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from test_measures import write_tables

from voicetune import families
from voicetune.data import espeak
from voicetune.data.dataset import Dataset
from voicetune.params import whole
from voicetune.speech import conditioning, publishing, references
from voicetune.xtts import folder

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
INSIDE = {  # scripts that another script runs
    "versus_stock_sides.py": "versus_stock.py",
    "hashed_steps.py": "compare_losses.py",
    "serve_stock.py": "serve.py",
}
# For each script: its arguments ({made} is a folder of tiny data and models, {out} an empty folder), and some output.
TINY = {
    "ablations.py": (
        "--data quiz={made}/data/codes --model {made}/models/base --steps 1 --batch 4 --seeds 1 "
        "--out {out}/lines.jsonl",
        "quiz, phase 1 alone, as many steps, seed 1",
    ),
    "asterisk.py": ("{made}/prompts --base {made}/models/base --out {out}/asterisk", "6 recordings with a transcript"),
    "chaos.py": ("--times 2 --steps 40 --base {made}/models/base --data {made}/data", '"out/best_model.pth": true'),
    "checkpoint.py": ("--gb 0.001 --folder {out}", "state and best"),
    "compare_losses.py": ("HEAD HEAD --steps 2", "no number differs"),
    "few_clips.py": ("--folder {made}/figures/metrics/evaluate --clips 31 2 --subsets 3", "| 2 | 0."),
    "half_precision.py": ("{made}/models/voice --first 3", '"same codes"'),
    "long.py": (
        "{made}/prompts --asr tiny.en --minutes 1 --repeat 2 --spread 2 --out {out}/long",
        '"cuts_inside_a_word": 0',
    ),
    "memory.py": ("{made}/models/base --codes {made}/data/codes --batch 2 --steps 2", "LoRA, checkpointing"),
    "new_languages.py": ("cuts --out {out}", '"merges": "marked", "tokens": 300, "en": 0'),
    "quality_control.py": ("detect --out {out}/quality --seeds 1", '"not spoiled"'),
    "pretraining.py": ("{made}/models/base {made}/lj --tested 2 --shortest 0.2 --lines 1", "| lj | "),
    "real_voice.py": ("{made}/prompts --out {out}/real --only-make", "minutes in one m4a file"),
    "safe_speech.py": ("{made}/models/voice --first 3 --tries 2", '"checked by the recogniser too"'),
    "serve.py": (
        "{made}/models/voice --clients 2 --requests 3 --tries 1 --stock",
        '"side": "stock", "statuses": {"200": 3}',
    ),
    "size.py": ("{out}/size --clips 6 --base {made}/models/base", '{"stage": "encode", "clips": 6,'),
    "speaking.py": ("{made}/models/voice --lines 2 --limit 12 --repeats 1", "the same of both sides"),
    "stages.py": ("--run {made}/run", "| report |"),
    "startup.py": ("--made {made} --times 1", '"stepping"'),
    "train_step.py": ("{made}/models/base --codes {made}/data/codes --steps 3 --batch 2", '"seconds_a_step"'),
    "versus_stock.py": (
        "--model {made}/models/base --codes {made}/data/codes --clips {made}/data/clips --steps 2 --batch 4 "
        "--repeats 1 --eval-every 2 --workers 0 --device cpu",
        '"sides"',
    ),
    "watermark.py": ("{made}/models/voice --first 3 --recorded {made}/lj --shortest .2", '"dB below the speech"'),
}
NEEDS = {"watermark.py": "perth"}  # packages that only one script needs
PROMPTS = {
    "welcome": "Welcome to the show, ladies and gentlemen.",
    "wrong": "No, I am sorry, that is not the correct answer.",
    "question": "Here comes the next question of the evening.",
    "points": "You are in the lead with nine hundred points.",
    "again": "Let us hear the last question once more.",
    "river": "Which river flows through Budapest, and where to?",
    "music": "[a short piece of music]",
}


def test_every_script_has_a_tiny_size():
    scripts = {path.name for path in BENCH.glob("*.py")}
    assert scripts <= TINY.keys() | INSIDE.keys(), "give it arguments in TINY with which it runs in seconds"
    for script, by in INSIDE.items():
        assert script in (BENCH / by).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(small_base, dataset, tmp_path_factory) -> Path:
    """Small results of `make repro`: data (choice, clips, codes), models, a stage's seconds, and figures."""
    place = tmp_path_factory.mktemp("made")
    shutil.copytree(dataset, place / "data")
    (place / "models").mkdir()
    (place / "models" / "base").symlink_to(small_base)
    choice = {"select": "mel_ce", "sentences": None, "asr": None, "decoding": None, "code": None}
    (place / "data/choice").mkdir()
    (place / "data/choice/train_phase1.json").write_text(json.dumps(choice))
    decoding = whole.load(ROOT / "params.yaml").decoding
    voice = place / "models" / "voice"
    data, spoken = Dataset(dataset), place / "data/spoken/base"
    model = families.training(small_base).open_model(small_base)
    heard = conditioning.compute_speakers(model, data, data.codes.speakers)
    references.save(spoken, folder.SPEAKERS, {name: references.Reference([], None, one) for name, one in heard.items()})
    publishing.publish("base", small_base, voice, spoken, data.codes.clips, decoding, [])
    (place / "lj/wavs").mkdir(parents=True)
    rows = [f"{c.id}|{c.text}\n" for c in data.codes.clips]
    (place / "lj/metadata.csv").write_text("".join(rows))
    for c in data.codes.clips:
        shutil.copyfile(dataset / "clips" / c.file, place / "lj/wavs" / c.file)
    (place / "run").mkdir()
    (place / "run" / "report.json").write_text(json.dumps({"seconds": 9.5}))
    write_prompts(place / "prompts")
    write_tables(place / "figures")
    return place


def write_prompts(place: Path) -> None:
    """Write an unpacked package of Asterisk's prompts: transcripts, and g722 files that espeak-ng speaks."""
    sounds = place / "usr/share/asterisk/sounds/en_US_f_Allison"
    sounds.mkdir(parents=True)
    text = "; a comment\n" + "".join(f"{name}: {said}\n" for name, said in PROMPTS.items())
    (sounds / "core-sounds-en.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name, said in PROMPTS.items():
        spoken: np.ndarray = espeak.speak(said, "en-us+f3")
        frame = av.AudioFrame.from_ndarray((spoken * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = espeak.SAMPLE_RATE
        with av.open(str(sounds / f"{name}.g722"), "w", format="g722") as file:
            stream = file.add_stream("g722", rate=16000, layout="mono")
            for part in [*av.AudioResampler("s16", "mono", 16000).resample(frame), None]:
                file.mux(stream.encode(part))


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in BENCH.glob("*.py") if path.name not in INSIDE))
def test_a_script_runs(script, made, tmp_path):
    if script in NEEDS:
        pytest.importorskip(NEEDS[script], reason="it is not among the packages of `make setup`")
    arguments, said = TINY[script]
    command = [sys.executable, BENCH / script, *arguments.format(made=made, out=tmp_path).split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert said in done.stdout, f"{done.stdout}\n{done.stderr}"
    if script == "asterisk.py":
        assert (tmp_path / "asterisk/data/codes/codes.safetensors").is_file()
    if script == "memory.py":  # without bitsandbytes, the script leaves out the fifth setting and says so
        settings = {json.loads(line)["setting"] for line in done.stdout.splitlines() if line.startswith("{")}
        assert settings >= {"everything", "everything, checkpointing", "LoRA", "LoRA, checkpointing"}
