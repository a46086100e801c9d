"""Add Romanian to the tiny base: what new tokens do to English, and what replay does. Results: bench/new-languages.md.

    python bench/new_languages.py cuts                             # how many English texts plain merges would change
    pip install -r pretrain/kokoro.txt                             # for the next command
    python bench/new_languages.py make --out work/new-languages    # a project with both languages, spoken by Kokoro
    python bench/new_languages.py run --out work/new-languages --asr FOLDER    # each arm; an arm is one line of a file

The sentences come from bench/romanian.txt, by the grammar of pretrain/grammar.py. espeak-ng turns them into phonemes.
FOLDER is a multilingual Whisper model. A second start of `run` skips the arms that are in the file.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml

from voicetune import entry
from voicetune.data import clip, codes
from voicetune.data.codes import Codes, Encoded
from voicetune.params.models import MODELS
from voicetune.xtts import folder, languages, origins, vocabulary

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "pretrain"))
import grammar  # noqa: E402 - of pretrain

LANGUAGE, SPEED = "ro", 0.9
ENGLISH = "questions"  # recordings of this repository, in Kokoro's voice jf_gongitsune, which speaks Romanian, too
COUNTS = {LANGUAGE: 240, "en": 100}  # sentences
MANY = 10_000
SHORTEST = 25  # characters of a sentence
SPOKEN = {"speak": {"sentences": 6, "takes": 2}}
_SYMBOLS = [("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"), ("t^s", "ʦ"), ("ts", "ʦ"), ("tʃ", "ʧ"), ("dʒ", "ʤ"), ("^", "")]
"""What Kokoro writes as one letter, of espeak-ng's Romanian phonemes."""


@dataclass(frozen=True)
class Arm:
    """tokens: merges learnt; None: all that the texts give. replay: whether English clips are trained on. plain: merges
    without marks."""

    name: str
    tokens: int | None
    replay: bool = True
    plain: bool = False


ARMS = (
    Arm("no replay, 300 tokens", 300, replay=False),
    Arm("replay, 300 tokens", 300),
    Arm("replay, letters alone", 0),
    Arm("replay, all tokens of the texts", None),
    Arm("replay, 300 tokens, plain merges", 300, plain=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cuts", "make", "run"))
    parser.add_argument("--out", type=Path, default=ROOT / "work/new-languages")
    parser.add_argument("--asr", default="base", help="a multilingual recogniser")
    parser.add_argument("--lines", type=Path, help="of finished arms (OUT/lines.jsonl)")
    given = parser.parse_args()
    if given.what == "cuts":
        cuts(given.out)
    elif given.what == "make":
        make(given.out)
    else:
        run(given.out, given.asr, given.lines or given.out / "lines.jsonl")


def sentences(count: int) -> list[str]:
    """Different Romanian sentences, the same ones each time."""
    rules, rng = grammar.read(ROOT / "bench/romanian.txt"), np.random.default_rng(1)
    found: dict[str, None] = {}
    while len(found) < count:
        if len(text := grammar.generate(rules, "line", rng)) >= SHORTEST:
            found[text] = None
    return list(found)


def lines_of(script: str) -> list[str]:
    lines = (ROOT / f"data/scripts/{script}.txt").read_text(encoding="utf-8").splitlines()
    return [line.partition("|")[2] for line in lines]


def tiny(out: Path) -> Path:
    base = out / "base"
    if not base.exists():
        origins.unfold("tiny", base, ROOT / "pretrain/bundle")
    return base


def extend(base: Path, out: Path, texts: Sequence[str], tokens: int, plain: bool) -> Path:
    """Add Romanian to a base as `voicetune extend` does, or with merges that also join the letters of English."""
    shutil.rmtree(out, ignore_errors=True)
    languages.extend(base, out, LANGUAGE, texts, 0 if plain else tokens)
    if plain:
        _merge_plainly(base, out, texts, tokens)
    return out


def count_merges(base: Path, texts: Sequence[str]) -> int:
    """How many merges the texts give at most."""
    words = folder.open_tokenizer(base)
    return len(vocabulary.learn([words.written(text, LANGUAGE) for text in texts], MANY).merges)


def _merge_plainly(base: Path, out: Path, texts: Sequence[str], tokens: int) -> None:
    """Put plain merges, and a row for each, in the place of the marks; the letters that English lacks stay."""
    words = folder.open_tokenizer(base)
    learnt = vocabulary.learn([words.written(text, LANGUAGE) for text in texts], tokens)
    content = json.loads((base / "vocab.json").read_text(encoding="utf-8"))
    known = content["model"]["vocab"]
    tag = len(words)
    content["added_tokens"].append({**content["added_tokens"][0], "id": tag, "content": f"[{LANGUAGE}]"})
    said = {f"[{LANGUAGE}]": ""} | {letter: letter for letter in learnt.letters if letter not in known}
    said |= {a + b: a + b for a, b in learnt.merges if a + b not in known}
    known.update({token: tag + number for number, token in enumerate(said)})
    content["model"]["merges"] += [[a, b] for a, b in learnt.merges]
    (out / "vocab.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    weights = folder.open_xtts(base).state_dict()
    pieces = [languages._pieces(text, words) if text else [words.special("[en]")] for text in said.values()]
    grown = {name: torch.cat([weights[name], languages._means(weights[name], pieces)]) for name in languages._ROWS}
    folder.save({"model": {**weights, **grown}}, out / "model.pth")


def cuts(out: Path) -> None:
    """Print how many English and Hungarian texts have other tokens after Romanian was added, with and without marks."""
    base, texts = tiny(out), sentences(COUNTS[LANGUAGE])
    before = folder.open_tokenizer(base)
    most = count_merges(base, texts)
    tested = {"en": lines_of("host") + lines_of("questions"), "hu": lines_of("kerdesek")}
    for plain in (True, False):
        for tokens in (300, most):
            after = folder.open_tokenizer(extend(base, out / "cuts", texts, tokens, plain))
            line: dict[str, Any] = {"merges": "plain" if plain else "marked", "tokens": tokens}
            for language, known in tested.items():
                pairs = [(before.encode(text, language), after.encode(text, language)) for text in known]
                line[language] = sum(not np.array_equal(a, b) for a, b in pairs)
                line[f"{language} texts"] = len(pairs)
                line[f"{language} tokens"] = sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs)
            print(json.dumps(line), flush=True)


def make(out: Path) -> None:
    """Clone this repository, put recordings of both languages into it, and prepare the clips."""
    if not out.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(out)], check=True)
    speak(out / "data/raw" / LANGUAGE)
    shutil.copytree(ROOT / "data/raw" / ENGLISH, out / "data/raw/en", dirs_exist_ok=True)
    rows = (ROOT / "data/raw" / ENGLISH / "metadata.csv").read_text(encoding="utf-8").splitlines()[: COUNTS["en"]]
    (out / "data/raw/en/metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (source,) = [one for one in settings["prepare"]["sources"] if one["name"] == ENGLISH]
    settings["prepare"]["sources"] = [
        {**source, "name": one, "path": f"data/raw/{one}", "language": one} for one in COUNTS
    ]
    settings.update(SPOKEN, evaluate={"measures": ["intelligibility"]})
    write(out / "params.yaml", settings)
    for stage in ("prepare", "quality"):
        stage_of(out, stage)


def speak(place: Path) -> None:
    """Speak the Romanian sentences, in LJSpeech's layout. Those that are there already stay."""
    import kokoro
    import phonemes

    (place / "wavs").mkdir(parents=True, exist_ok=True)
    phonemes._library().espeak_SetVoiceByName(LANGUAGE.encode())
    phonemes._SYMBOLS = _SYMBOLS
    style, texts = kokoro.mixed({kokoro.HELD_OUT: 1.0}), sentences(COUNTS[LANGUAGE])
    for number, text in enumerate(texts):
        if not (path := place / f"wavs/{LANGUAGE}{number:03d}.wav").exists():
            soundfile.write(path, kokoro.say(text, style, SPEED)[0], kokoro.RATE)
    rows = [f"{LANGUAGE}{number:03d}|{text}\n" for number, text in enumerate(texts)]
    (place / "metadata.csv").write_text("".join(rows), encoding="utf-8")


def stage_of(project: Path, *stage: str) -> None:
    """Run a stage of a project, as DVC does."""
    command = [sys.executable, f"src/{stage[0]}.py", *stage[1:]]
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(stage)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def write(path: Path, settings: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


def run(project: Path, asr: str, lines: Path) -> None:
    """Train and measure each arm that has no line yet."""
    project = project.resolve()
    known = [json.loads(line)["arm"] for line in lines.read_text().splitlines()] if lines.exists() else []
    clips = clip.read(project / "data/quality/clips.csv")
    texts = [one.text for one in clips if one.language == LANGUAGE and one.split == "train"]
    first = project / "data/codes-of-all"
    for arm in ARMS:
        if arm.name in known:
            continue
        tokens = count_merges(tiny(project), texts) if arm.tokens is None else arm.tokens
        base = extend(tiny(project), project / "extended", texts, tokens, arm.plain)
        settings = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
        write(project / "params.yaml", {**settings, "base": str(base), "asr": asr})
        for name in ("models", "data/codes", "data/spoken", "metrics/evaluate", "metrics/compare", "data/choice"):
            shutil.rmtree(project / name, ignore_errors=True)
        stage_of(project, "base")
        if not first.exists():
            stage_of(project, "encode")
            shutil.copytree(project / "data/codes", first)
        encode(first, project / "data/codes", base, arm.replay)
        for stage in (["choose"], ["train", "train_phase1"], ["train", "train_phase2"], ["ceiling"]):
            stage_of(project, *stage)
        for model in MODELS:
            stage_of(project, "speak", model)
            stage_of(project, "evaluate", model)
        stage_of(project, "compare")
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"arm": arm.name, "tokens": tokens, **measured(project)}) + "\n")
        print(*report(lines), sep="\n", flush=True)


def encode(first: Path, out: Path, base: Path, replay: bool) -> None:
    """Write the encoded dataset with a base's tokens: the codes and mels depend on no token.

    Without replay, only the test clips are English. References are of the one speaker, in any language.
    """
    known, words = Codes(first), folder.open_tokenizer(base)
    kept = [i for i, one in enumerate(known.clips) if replay or one.language == LANGUAGE or one.split == "test"]
    clips = [replace(known.clips[i]) for i in kept]
    tokens = [words.encode(one.text, one.language) for one in clips]
    arrays = zip(kept, tokens, strict=True)
    shutil.rmtree(out, ignore_errors=True)
    codes.save(out, clips, (Encoded(own, known.codes(i), known.mel(i)) for i, own in arrays))


def measured(project: Path) -> dict[str, Any]:
    """The figures of each language, and the differences from the base, with their intervals."""
    found = json.loads((project / "metrics/compare/languages.json").read_text())
    return {
        language: {
            "figures": {
                row: {name: values[name] for name in ("mel_ce", "text_ce", "cer") if name in values}
                for row, values in one["figures"].items()
            },
            "changes": {
                pair: {name: [change[key] for key in ("difference", "low", "high")] for name, change in values.items()}
                for pair, values in one["changes"].items()
            },
        }
        for language, one in found.items()
    }


def report(lines: Path) -> list[str]:
    """A table: a row for each arm and language."""
    head = [
        "arm",
        "language",
        *("base mel CE", "phase 2", "difference"),
        *("base CER", "phase 2", "difference"),
        "codec",
    ]
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for line in map(json.loads, lines.read_text(encoding="utf-8").splitlines()):
        for language in (LANGUAGE, "en"):
            one = line[language]
            cells = [line["arm"], language]
            for name in ("mel_ce", "cer"):
                change = one["changes"]["base_phase2"][name]
                cells += [f"{one['figures'][row][name]:.3f}" for row in ("base", "phase2")]
                cells.append(f"{change[0]:+.3f} [{change[1]:+.3f}, {change[2]:+.3f}]")
            rows.append(f"| {' | '.join([*cells, format(one['figures']['codec']['cer'], '.3f')])} |")
    return rows


if __name__ == "__main__":
    entry.run(main)
