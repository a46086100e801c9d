"""Fine-tune a real person's voice, from Asterisk's prompts (CC-BY-SA 3.0), in two ways. Results: docs/real-voice.md.

    make real-voice                                  # on Debian or Ubuntu, which have the packages
    make real-voice PACKAGES="a.deb b.deb"           # the packages, or folders they are unpacked in

The first way takes the prompts and their transcripts. The second way takes the same prompts as one long m4a file
without any text: they are cut and transcribed here. Both go through quality control and both phases, each in a new
clone of this repository below --out, by `dvc repro` alone. Run it again, and it goes on where it stopped.
"""

import argparse
import json
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import yaml
from asterisk import RATE, SPEAKERS, decoded, recordings, transcripts, unpacked, write_ljspeech

from voicetune import entry
from voicetune.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("asterisk-core-sounds-en", "asterisk-core-sounds-en-g722")
CONSENT = "Allison Smith recorded the prompts for Asterisk; they are published under CC-BY-SA 3.0"
EPOCHS = 8  # of each phase: there is a third of the default run's speech
PAUSES = 0.4, 1.2  # seconds between two prompts of the long recording
ROWS = ("recordings", "codec", "base", "phase1", "phase2")
FIGURES = ("mel_ce", "cer", "secs", "mos")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="*", help="the .deb files, or folders they are unpacked in")
    parser.add_argument("--out", type=Path, default=ROOT / "work/real-voice", help="the workplace")
    parser.add_argument("--only-make", action="store_true", help="make the two projects, and run nothing in them")
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    folders = [unpacked(package, out / "packages") for package in given.packages or download(out)]
    for way, write in (("prompts", write_prompts), ("long", write_long)):
        project = clone(out / way)
        if not (project / ".made").exists():
            write_params(project / "params.yaml", write(folders, project / "data/raw/allison"))
            (project / ".made").touch()
        if given.only_make:
            continue
        subprocess.run(["dvc", "repro", "-q"], cwd=project, check=True)
        print(*report(project, way), sep="\n")


def download(out: Path) -> list[Path]:
    """Get the packages from Debian; those that are there already are not loaded again.

    Raises:
        UserError: there is no apt-get, or it cannot download them.
    """
    if len(found := sorted(out.glob("*.deb"))) >= len(PACKAGES):
        return found
    if not shutil.which("apt-get"):
        raise UserError(f"this needs the Debian packages {' and '.join(PACKAGES)}; name their files: PACKAGES=...")
    if subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=out).returncode:
        raise UserError(f"apt-get cannot download {' and '.join(PACKAGES)}; get them elsewhere: PACKAGES=...")
    return sorted(out.glob("*.deb"))


def clone(folder: Path) -> Path:
    """A new clone of this repository, as it was committed last."""
    if not folder.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def write_prompts(folders: list[Path], place: Path) -> dict[str, str]:
    """Write the recordings with their transcripts, in LJSpeech's layout."""
    print(f"{write_ljspeech(folders, place)} recordings with a transcript")
    return {"reader": "ljspeech"}


def write_long(folders: list[Path], place: Path) -> dict[str, str]:
    """Write one m4a file with all prompts in a random order, and pauses between them. There is no text."""
    texts = {name: text for folder in folders for name, text in transcripts(folder).items()}
    paths = [path for name, path in sorted(recordings(folders).items()) if name in texts]
    rng = np.random.default_rng(1)
    sounds = []
    for at in rng.permutation(len(paths)):
        sounds += [decoded(paths[at]), np.zeros(round(rng.uniform(*PAUSES) * RATE), np.int16)]
    place.mkdir(parents=True)
    write_m4a(place / "prompts.m4a", np.concatenate(sounds))
    print(f"{sum(map(len, sounds)) / RATE / 60:.1f} minutes in one m4a file")
    return {"reader": "long"}


def write_m4a(path: Path, samples: np.ndarray) -> None:
    """Encode mono samples, (samples,) int16 at RATE, as AAC in an MP4 container, as telephones do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=64_000)
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None] / 32768, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_params(path: Path, source: dict[str, str]) -> None:
    """Write the default parameters with this source and more epochs. A clip is as long as a reference at least."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    named = {"name": "allison", "path": "data/raw/allison", "speaker": SPEAKERS["en"], "language": "en"}
    shortest = settings["train_phase1"]["reference_seconds"][0]
    settings["prepare"].update(sources=[named | source | {"consent": CONSENT}], min_seconds=shortest, validation=0.15)
    settings["encode"]["unknown_characters"] = "leave_out"
    settings["transcribe"]["asr"] = "tiny.en"
    for phase in ("train_phase1", "train_phase2"):
        settings[phase]["epochs"] = EPOCHS
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def report(project: Path, way: str) -> list[str]:
    """Lines of a table: the clips, and the figures of each row with their 95 % intervals."""
    prepared = json.loads((project / "metrics/prepare.json").read_text())
    quality = json.loads((project / "metrics/quality.json").read_text())
    compared = json.loads((project / "metrics/compare/figures.json").read_text())
    lines = [f"## {way}: {prepared['clips']} clips, {prepared['minutes']} minutes; kept {quality['kept']}"]
    lines += [f"left out by prepare: {prepared['left_out']}; by quality: {quality['left_out']}"]
    for row in ROWS:
        cells = (cell(compared[row], name) for name in FIGURES)
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def cell(figures: dict[str, float], name: str) -> str:
    if name not in figures:
        return ""
    return f"{figures[name]:.3f} [{figures[name + '_low']:.3f}, {figures[name + '_high']:.3f}]"


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # each clone runs its own code
    entry.run(main)
