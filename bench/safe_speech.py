"""Count the mishaps of 200 spoken lines with and without checks, and what the checks cost.

    python bench/safe_speech.py                          # models/voice, which `make repro` made
    python bench/safe_speech.py --temperature 1.0        # a voice that is drawn more wildly has more mishaps

It speaks the lines of bench/lines.txt, a third of them of one to three words, in three ways: each part drawn once;
checked by length and sound; checked by the recogniser too. Then every line is judged in the same way: it is a mishap if
it has any of the faults of docs/speaking.md. The judge is the recogniser of the checks, so the third way is judged by
what it chose with. `--judge` names another recogniser.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from voicetune import entry, terminal
from voicetune.measures.intervals import share_interval
from voicetune.recognition.intelligibility import character_errors
from voicetune.recognition.recogniser import Recogniser
from voicetune.speech import faults
from voicetune.speech.checking import OF_LENGTH, UNCLEAR, Checks
from voicetune.speech.say import Said, say
from voicetune.speech.voice import Line, Voice

LINES = Path(__file__).with_name("lines.txt")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/voice"))
    parser.add_argument("--speaker")
    parser.add_argument("--lines", type=Path, default=LINES, help="a text file with one line each, in English")
    parser.add_argument("--first", type=int, help="so many lines (all)")
    parser.add_argument("--tries", type=int, default=4)
    parser.add_argument("--asr", default="tiny.en")
    parser.add_argument("--judge", help="(that of --asr)")
    parser.add_argument("--temperature", type=float, help="(the voice's own)")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def mishaps(said: Said, line: Line, rate: int, judge: Recogniser) -> list[str]:
    """The faults of a line that a listener would notice, each by name."""
    heard = judge.transcribe(said.sound, rate)
    errors, characters = character_errors(line.text, heard, line.language)
    found = {
        "silence": faults.long_silence(faults.find_loud(said.sound, rate)),
        "skips": faults.skipped(line.text, heard, line.language),
        "repeats": faults.repeated(line.text, heard, line.language),
        "unclear": errors / max(1, characters) > UNCLEAR,
        "length": bool(set(OF_LENGTH) & set(said.left)),
    }
    return [name for name, is_so in found.items() if is_so]


def main() -> None:
    given = arguments()
    voice = Voice(given.model)
    speaker, decoding = voice.speaker(given.speaker), voice.decoding()
    if given.temperature is not None:
        decoding = decoding.model_copy(update={"temperature": given.temperature})
    lines = [Line(text, "en") for text in given.lines.read_text(encoding="utf-8").splitlines()][: given.first]
    judge = Recogniser(given.judge or given.asr, "en", "cpu")
    ways = {
        "each part drawn once": Checks(tries=1),
        "checked by length and sound": Checks(given.tries),
        "checked by the recogniser too": Checks(given.tries, given.asr, "--asr"),
    }
    list(say(voice, lines[:1], [speaker], decoding, given.seed))  # what is loaded and compiled at first
    for name, checks in ways.items():
        begun = time.perf_counter()
        said = list(say(voice, lines, [speaker] * len(lines), decoding, given.seed, checks=checks))
        took = time.perf_counter() - begun
        judged = terminal.track(zip(said, lines, strict=True), name, len(lines))
        each = [mishaps(*both, voice.rate, judge) for both in judged]
        count = sum(map(bool, each))
        share = share_interval(count / len(lines), len(lines))
        row = {
            "way": name, "lines": len(lines), "mishaps": count, "share": round(share.mean, 4),
            "interval": [round(share.low, 4), round(share.high, 4)],
            "kinds": Counter(kind for one in each for kind in one),
            "draws": sum(one.draws for one in said), "cut": sum(one.cut for one in said), "seconds": round(took, 1),
        }  # fmt: skip
        print(json.dumps(row))


if __name__ == "__main__":
    entry.run(main)
