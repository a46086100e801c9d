"""Prepare a real voice to measure on: Asterisk's prompts (CC-BY-SA 3.0) in en, es, fr, it or ru.

    apt-get download asterisk-core-sounds-en asterisk-core-sounds-en-g722     # on Debian or Ubuntu
    python bench/asterisk.py asterisk-core-sounds-en*.deb --out work/asterisk

This makes a new folder with data/raw/asterisk (LJSpeech's layout), params.yaml and this repository's models/base, and
runs prepare, quality and encode there. Transcripts with brackets describe a sound and no speech, so they are left out.
"""

import argparse
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import soundfile
import yaml

from voicetune import entry
from voicetune.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000  # Hz, of every g722 file
SOURCE = {"name": "asterisk", "reader": "ljspeech", "path": "data/raw/asterisk"}
SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="+", help="the .deb files, or folders they are unpacked in")
    parser.add_argument("--out", type=Path, required=True, help="the workplace")
    parser.add_argument("--base", type=Path, default=ROOT / "models/base", help="the model to encode for")
    parser.add_argument("--language", choices=sorted(SPEAKERS), default="en")
    given = parser.parse_args()
    source = {**SOURCE, "speaker": SPEAKERS[given.language], "language": given.language}
    folders = [unpacked(package, given.out / "packages") for package in given.packages]
    print(f"{write_ljspeech(folders, given.out / SOURCE['path'], given.language)} recordings with a transcript")
    write_params(given.out / "params.yaml", source)
    link_base(given.out / "models/base", given.base)
    for script in ("prepare.py", "quality.py", "encode.py"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, ROOT / "src" / script], cwd=given.out, env=environment, check=True)


def unpacked(package: Path, place: Path) -> Path:
    """The folder of a package's files."""
    if package.is_dir():
        return package
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg", "-x", package, place], check=True)
    return place


def write_ljspeech(folders: list[Path], out: Path, language: str = "en") -> int:
    """Write metadata.csv and wavs/ at 16 kHz, and return the number of recordings."""
    texts = {name: text for folder in folders for name, text in transcripts(folder, language).items()}
    (out / "wavs").mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, path in sorted(recordings(folders, language).items()):
        if name in texts:
            id = name.replace("/", "-")
            soundfile.write(out / "wavs" / f"{id}.wav", decoded(path), RATE)
            rows[id] = texts[name]
    if not rows:
        raise UserError("no recording with a transcript was found; give both packages.")
    (out / "metadata.csv").write_text("".join(f"{id}|{text}\n" for id, text in rows.items()), encoding="utf-8")
    return len(rows)


def transcripts(folder: Path, language: str = "en") -> dict[str, str]:
    """The text of each prompt, by its name, such as `digits/1`."""
    texts = {}
    for path in folder.rglob(f"core-sounds-{language}.txt.gz"):
        for line in gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines():
            name, colon, text = line.partition(":")
            if colon and not line.startswith(";") and not re.search(r"[][<>()|]", text):
                texts[name.strip()] = " ".join(text.replace("...", " ").replace('"', "").split())
    return {name: text for name, text in texts.items() if text}


def recordings(folders: list[Path], language: str = "en") -> dict[str, Path]:
    """Every g722 file, by its prompt's name, which is its path below the voice's folder."""
    paths = (path for folder in folders for path in folder.rglob(f"sounds/{language}*/**/*.g722"))
    return {path.as_posix().partition("/sounds/")[2].partition("/")[2].removesuffix(".g722"): path for path in paths}


def decoded(path: Path) -> np.ndarray:
    """Samples of a g722 file: (samples,) int16."""
    with av.open(str(path), format="g722") as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])


def write_params(path: Path, source: dict[str, str]) -> None:
    """Write the repository's params.yaml with this source. A prompt with a character that the base lacks is left out.

    A clip must be long enough to be the shortest reference of the training, and single words are too short. The
    validation share is larger, so that there are as many validation clips as in the default data.
    """
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    shortest = settings["train_phase1"]["reference_seconds"][0]
    settings["prepare"].update(sources=[source], min_seconds=shortest, validation=0.15)
    settings["encode"]["unknown_characters"] = "leave_out"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def link_base(place: Path, base: Path) -> None:
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(base.resolve())


if __name__ == "__main__":
    entry.run(main)
