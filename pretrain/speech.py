"""Stage speech: speak texts in many voices, as clips with a manifest.

An interrupted run resumes: finished parts of 500 utterances are kept in work/speech and are not made again.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import common
import numpy as np
import soundfile
import voices
from rich.progress import track
from texts import Texts
from voices import Spoken

from voicetune.data import clip
from voicetune.data.clip import Clip

PARTS = common.WORK / "speech"
OUT = common.WORK / "clips"
PART = 500
SOURCES = (
    "everyday.txt", "grammar.py", "grammar.txt", "kokoro.py", "kokoro.txt", "phonemes.py", "speech.py", "texts.py",
    "voices.py", "words.txt",
)  # fmt: skip
SHORTEST, LONGEST = 0.15, 11.6  # seconds; an "Up." takes 0.2
_HURRY = (0.95, 1.05)


def make(job: tuple[int, int, dict]) -> str:
    """Speak one part, unless it is there already. Returns the name of its table."""
    number, clips, settings = job
    rng = np.random.default_rng([settings["seed"], number])
    texts, known = Texts(settings["texts"], rng), voices.every(settings["voices"])
    kinds, shares = list(settings["shares"]), list(settings["shares"].values())
    table = PARTS / f"{number:03d}.json"
    made_by = common.fingerprint([settings, clips], *(common.HERE / name for name in SOURCES))
    if table.is_file() and json.loads(table.read_text())["made_by"] == made_by:
        return table.name
    rows: list[dict] = []
    said = 0
    while said < clips:
        text, kind = texts.draw(), str(rng.choice(kinds, p=shares))
        of_kind = [voice for voice in known if voice.kind == kind]
        voice = of_kind[rng.integers(len(of_kind))]
        spoken = voice.speak(text, float(rng.uniform(*_HURRY)))
        if not SHORTEST <= len(spoken.samples) / voices.RATE <= LONGEST:
            continue
        copies = [voices.shifted(spoken, voice.number, copy) for copy in range(settings["copies"].get(kind, 0))]
        name = f"{number:03d}_{said:03d}"
        said += 1
        rows += [_keep(f"{name}{end}", text, f"{voice.name}{end}", one) for end, one in _named([spoken, *copies])]
    part = table.with_suffix(".part")
    part.write_text(json.dumps({"made_by": made_by, "rows": rows}))
    part.replace(table)  # so a table is complete or not there
    return table.name


def _named(spoken: list[Spoken]) -> list[tuple[str, Spoken]]:
    """Pair an utterance and its copies with the suffixes of their names. The first has none."""
    return [(f"v{number}" if number else "", one) for number, one in enumerate(spoken)]


def _keep(name: str, text: str, voice: str, spoken: Spoken) -> dict:
    """Write an utterance's sound, and return its row of the part's table."""
    soundfile.write(PARTS / f"{name}.flac", spoken.samples, voices.RATE, subtype="PCM_16")
    row = {"id": name, "text": text, "voice": voice, "seconds": round(len(spoken.samples) / voices.RATE, 3)}
    return row | {"words": spoken.words, "sounds": spoken.sounds}


def gather(tables: list[Path], every: int) -> list[Clip]:
    """Gather the parts' clips in one folder, with clips.csv, words.json and sounds.json.

    One utterance in `every` is for validation. Its copies are left out, so that they are not trained on.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    rows = [row for table in tables for row in json.loads(table.read_text())["rows"] if row["seconds"] <= LONGEST]
    names = list(dict.fromkeys(row["id"].partition("v")[0] for row in rows))
    measured = set(names[every - 1 :: every])
    rows = [row for row in rows if row["id"] in measured or row["id"].partition("v")[0] not in measured]
    for row in rows:
        file = f"{row['id']}.flac"
        (OUT / file).unlink(missing_ok=True)
        os.link(PARTS / file, OUT / file)
    clips = [
        Clip(
            r["id"], f"{r['id']}.flac", r["text"], "en", r["voice"], "speech", r["seconds"], _side(r["id"] in measured)
        )
        for r in rows
    ]
    clip.write(OUT / "clips.csv", clips)
    for name in ("words", "sounds"):
        (OUT / f"{name}.json").write_text(json.dumps({row["id"]: row[name] for row in rows if row[name]}))
    return clips


def _side(measured: bool) -> str:
    return "validation" if measured else "train"


def main() -> None:
    settings = common.params()["speech"]
    every = settings.pop("validation_every")
    PARTS.mkdir(parents=True, exist_ok=True)
    total = settings.pop("clips")
    jobs = [(n, min(PART, total - n * PART), settings) for n in range(-(-total // PART))]
    with ProcessPoolExecutor() as pool:
        names = list(track(pool.map(make, jobs), f"speaking parts of {PART} clips", len(jobs)))
    clips = gather([PARTS / name for name in names], every)
    print(f"{len(clips)} clips, {sum(c.seconds for c in clips) / 3600:.2f} h, {len({c.speaker for c in clips})} voices")


if __name__ == "__main__":
    common.run(main)
