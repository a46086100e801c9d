"""Compare our training loop with the stock trainer of coqui-tts: speed, and time to the same mel CE.

    python bench/versus_stock.py                                 # the tiny base, after `make repro`
    python bench/versus_stock.py --steps 4 --repeats 1           # a quick try
    python bench/versus_stock.py --model models/base --params presets/xtts_v2.yaml --batch 3 --device cuda

Both sides have the same clips, GPT, weights and machine. Four trainings run in turn, three times, each in its process:

- stock: `GPTTrainer`'s own loader (from wav files, 8 workers as in the recipe), `format_batch_on_device`,
  `train_step`, backward, AdamW, fp32. Its DVAE has the model's sizes. Its logs and checkpoints are left out, and
  sound is read with soundfile. Both make it faster.
- control: the stock trainer with phase 1's dropout and gradient clipping in place of the recipe's (0.1, none). A base
  that was trained without dropout gets worse with it at first, in either trainer. This column removes that difference.
- ours: phase 1 of params.yaml, from the codes and mels that `encode` made once. The cost of `encode` is printed below.
- ours, six seconds: the same, with a reference of six seconds for each clip, as long as the stock trainer's.

Learning rate, warm-up, schedule, weight decay and text weight are those of phase 1 on both sides. The seed changes from
repeat to repeat. Every step has the same number of clips. Seconds are those of the training steps and include loading
batches. They do not include imports, loading the model, and evaluations. The validation mel CE (nats per audio token)
is measured in our way for both: each clip is conditioned on another clip of its speaker. Time to quality is the time
until a training first has the validation mel CE that the stock trainer (or the control) ends with in the same repeat.
It is checked after every step or every few. There is no such time if the training does not reach it, or if the other
one did not improve.

Prints a table of medians with the range of the repeats, and then one JSON line. The status is 0, whatever the result.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from voicetune import entry
from voicetune.data import clip as clips_file
from voicetune.errors import UserError
from voicetune.measures.intervals import Interval, paired_difference
from voicetune.params import whole

SIDES = {"stock": "stock", "control": "control: stock, our dropout", "ours": "ours", "six": "ours, six seconds"}
RIVALS = {"stock": "stock", "control": "the control"}
Row = dict[str, Any]
Results = dict[str, list[Row]]
"""For each side, a row of figures for each repeat."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/base"), help="the folder that both start from")
    parser.add_argument("--codes", type=Path, default=Path("data/codes"))
    parser.add_argument("--clips", type=Path, default=Path("data/clips"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=12, help="clips a step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--eval-every", type=int, default=1, help="steps between our measurements on the way")
    parser.add_argument("--workers", type=int, default=8, help="of the stock loader; the recipe has 8")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args()
    if min(given.steps, given.batch, given.repeats, given.eval_every) < 1 or given.workers < 0:
        raise UserError("--steps, --batch, --repeats and --eval-every must be 1 or more, and --workers not negative.")
    return given


def check(given: argparse.Namespace) -> None:
    """Raise UserError unless the clips are encoded and the model exists."""
    needed = (given.codes / "codes.safetensors", given.codes / "clips.csv", given.model / "config.json")
    for path in needed:
        if not path.is_file():
            raise UserError(f"{path} is missing; run `make repro` first.")


def write_wavs(given: argparse.Namespace, place: Path) -> None:
    """Write the clips as 16-bit wav files, which the stock trainer reads faster than FLAC. This is not timed."""
    place.mkdir()
    for clip in clips_file.read(given.codes / "clips.csv"):
        path = given.clips / clip.file
        if not path.is_file():
            raise UserError(f"{path} is missing; run `make repro` or `dvc pull` first.")
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(place / f"{clip.id}.wav", samples, rate, subtype="PCM_16")


def train(side: str, seed: int, given: argparse.Namespace, place: Path) -> Row:
    """Run one training in a new process.

    Raises:
        UserError: it failed. Its last lines are printed to stderr.
    """
    options = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
    out = place / f"{side}-{seed}.json"
    job = {**options, "side": side, "seed": seed, "wavs": str(place / "wavs"), "out": str(out)}
    (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
    script = Path(__file__).with_name("versus_stock_sides.py")
    done = subprocess.run([sys.executable, script, place / "job.json"], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        raise UserError(f"the training '{SIDES[side]}' failed, see above.")
    return json.loads(out.read_text(encoding="utf-8"))


def trainings(given: argparse.Namespace, seed: int) -> Results:
    """Run all repeats with the sides in turn, so that a slower machine slows all of them."""
    results: Results = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        write_wavs(given, place / "wavs")
        for repeat in range(given.repeats):
            for side in SIDES:
                row = train(side, seed + repeat, given, place)
                results[side].append(row)
                rate = row["clips"] / row["seconds"]
                said = f"{SIDES[side]}: {rate:.2f} clips/s, validation mel CE {row['mel_ce']:.4f}"
                print(f"repeat {repeat + 1} of {given.repeats}, {said}", flush=True)
    return results


def seconds_to(curve: list[tuple[int, float, float]], target: float) -> float | None:
    """Seconds of training until an evaluation first gives `target` or less. None if none does."""
    return next((seconds for _, seconds, mel_ce in curve if mel_ce <= target), None)


def measure(row: Row, stock: Row) -> Row:
    """The figures of one training, compared with the stock one of the same repeat."""
    tokens = row["tokens"] / row["seconds"]
    figures = {
        "clips_per_second": row["clips"] / row["seconds"],
        "clips_ratio": row["clips"] / row["seconds"] / (stock["clips"] / stock["seconds"]),
        "tokens_per_second": tokens,
        "tokens_ratio": tokens / (stock["tokens"] / stock["seconds"]),
        "seconds": row["seconds"],
        "memory_gib": row["memory_gib"],
        "mel_ce": row["mel_ce"],
    }
    if row["bf16_peak"]:
        figures["bf16_share"] = 6 * row["parameters"] * tokens / row["bf16_peak"]
    return figures


def quality(row: Row, rival: Row, name: str) -> Row:
    """Time to the mel CE that `rival` ends with: seconds, times sooner, and times sooner with all of `encode` counted.

    None if it is not reached, or if the rival did not improve on the weights that both start from.
    """
    gained = rival["mel_ce"] < row["start_mel_ce"]
    reached = seconds_to(row["curve"], rival["mel_ce"]) if gained else None
    encode = row["encode_seconds_a_clip"] * row["clips_encoded"]
    return {
        f"seconds_to_{name}": reached,
        f"sooner_than_{name}": reached and rival["seconds"] / reached,
        f"sooner_than_{name}_with_encode": reached and rival["seconds"] / (reached + encode),
    }


def spread(values: list[float | None]) -> Row:
    """The median, lowest and highest figure. All are None if a repeat has no figure."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"median": None, "low": None, "high": None}
    return {"median": statistics.median(known), "low": min(known), "high": max(known)}


def compare(rows: list[Row], stock: list[Row], resamples: int, seed: int) -> Interval:
    """Mel CE minus the stock trainer's after as many clips, with a 95 % interval over the validation clips. The repeats
    are added up. Below 0 is better than stock."""
    ours, theirs, counts = (
        np.sum([row[name] for row in some], axis=0)
        for some, name in ((rows, "mel"), (stock, "mel"), (rows, "mel_tokens"))
    )
    return paired_difference(theirs, ours, counts, resamples, seed)


def summary(results: Results, settings: whole.Params) -> Row:
    """For each side, the median and range of every figure. Ours are also compared with both stock trainings."""
    sides: Row = {}
    for side, rows in results.items():
        figures = [measure(row, stock) for row, stock in zip(rows, results["stock"], strict=True)]
        sides[side] = {}
        for name in RIVALS if side not in RIVALS else ():
            for one, row, rival in zip(figures, rows, results[name], strict=True):
                one |= quality(row, rival, name)
            interval = compare(rows, results[name], settings.compare.bootstrap, settings.seed)
            sides[side][f"mel_ce_minus_{name}"] = interval.as_dict()
        sides[side] |= {name: spread([one[name] for one in figures]) for name in figures[0]}
    return sides


def table(sides: Row, given: argparse.Namespace) -> Table:
    """The table: a row for each figure, a column for each side."""
    lines: list[tuple[str, str, Callable[[float], str]]] = [
        ("clips per second", "clips_per_second", "{:.2f}".format),
        ("  times stock", "clips_ratio", "{:.2f}".format),
        ("tokens per second", "tokens_per_second", "{:.0f}".format),
        ("  times stock", "tokens_ratio", "{:.2f}".format),
        ("share of the bf16 peak", "bf16_share", "{:.1%}".format),
        ("peak memory, GiB", "memory_gib", "{:.2f}".format),
        (f"seconds for {given.steps} steps", "seconds", "{:.1f}".format),
        ("validation mel CE after them", "mel_ce", "{:.4f}".format),
    ]
    shown = Table("", *(SIDES[side] for side in sides))
    for title, name, form in lines:
        if any(name in figures for figures in sides.values()):
            shown.add_row(title, *(cell(figures.get(name), form) for figures in sides.values()))
    for rival, said in RIVALS.items():
        for title, name, form in (
            (f"seconds to the mel CE of {said}", f"seconds_to_{rival}", "{:.1f}".format),
            ("  times sooner", f"sooner_than_{rival}", "{:.2f}".format),
            ("  times sooner, encode counted", f"sooner_than_{rival}_with_encode", "{:.2f}".format),
        ):
            shown.add_row(title, *(cell(figures.get(name), form) for figures in sides.values()))
        difference = [figures.get(f"mel_ce_minus_{rival}") for figures in sides.values()]
        shown.add_row(f"mel CE less that of {said}, 95 %", *(interval_cell(one) for one in difference))
    return shown


def cell(value: Row | None, form: Callable[[float], str]) -> str:
    if value is None:
        return ""
    if value["median"] is None:
        return "none"
    low, high = form(value["low"]), form(value["high"])
    return form(value["median"]) + (f" ({low} to {high})" if low != high else "")


def interval_cell(value: Row | None) -> str:
    return f"{value['mean']:+.4f} ({value['low']:+.4f} to {value['high']:+.4f})" if value else ""


def remarks(results: Results, given: argparse.Namespace) -> list[str]:
    """Remarks on what the table does not say."""
    stock, one = results["stock"][0], results["ours"][0]
    encode = statistics.median(row["encode_seconds_a_clip"] for row in results["ours"] + results["six"])
    total = encode * one["clips_encoded"]
    said = [
        f"{one['parameters'] / 1e6:.1f} M parameters in the GPT, {given.batch} clips a step, {one['device']}, "
        f"{one['threads']} threads (stock {stock['threads']}: importing it sets one, which is undone here); "
        f"stock in {stock['precision']}, ours in {one['precision']}.",
        f"Once for a dataset, `encode`: {encode:.3f} s a clip, {total:.1f} s for {one['clips_encoded']} clips; "
        "counted in the lines that say so only.",
        f"Times are of training steps only; imports, model loading and measuring are in none. Quality was looked at "
        f"every {given.eval_every} steps.",
        "Memory is the main process's at its peak; ours has its evaluations in it, stock has none, nor its loader's "
        f"{given.workers} workers." if one["device"] == "cpu" else "Memory is what torch allocated at its peak.",
    ]  # fmt: skip
    if one["bf16_peak"]:
        peak = statistics.median(row["bf16_peak"] for row in results["ours"])
        said.append(f"bf16 peak measured: {peak / 1e12:.0f} TFLOP/s; a token counts as 6 x parameters operations.")
    said.append(f"The validation mel CE of the weights that all start from: {one['start_mel_ce']:.4f}.")
    for name in RIVALS:
        if any(row["mel_ce"] >= ours["start_mel_ce"] for row, ours in zip(results[name], results["ours"], strict=True)):
            said.append(f"CAUTION: '{SIDES[name]}' ended no better than it began: there is no time to its quality.")
    if not one["conditioned"]:
        said.append(
            f"CAUTION: {given.model} gives every reference the same conditioning latents: references cost time here and"
            " change no mel CE, so no column says what its references are worth."
        )
    if not one["codes_fit"]:
        said.append(f"CAUTION: {given.codes} was not made with {given.model}; the mel CE above mean nothing.")
    return said


def main() -> None:
    given = arguments()
    check(given)
    settings = whole.load(given.params)
    results = trainings(given, settings.seed)
    sides = summary(results, settings)
    Console(width=140).print(table(sides, given))
    for remark in remarks(results, given):
        print(remark)
    one = results["ours"][0]
    facts = {
        name: one[name]
        for name in ("device", "threads", "parameters", "bf16_peak", "start_mel_ce", "conditioned", "codes_fit")
    }
    encode = spread([row["encode_seconds_a_clip"] for row in results["ours"] + results["six"]])
    options = {name: getattr(given, name) for name in ("steps", "batch", "repeats", "eval_every", "workers")}
    print(json.dumps({**facts, **options, "encode_seconds_a_clip": encode, "sides": sides}))


if __name__ == "__main__":
    entry.run(main)
