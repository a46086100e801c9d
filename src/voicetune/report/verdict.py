"""Say in plain words what the figures show of the published voice: an answer to each question, and what to do.

These are pure functions of metrics/compare/figures.json and changes.json, so they work on the figures of any run. The
limits are defined in LIMITS alone. docs/measuring.md explains them, and a test compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.text import Text

from voicetune import terminal
from voicetune.measures import clip_table, results
from voicetune.measures.catalogue import HEADLINES
from voicetune.measures.compared import LABELS
from voicetune.measures.measure import Figure
from voicetune.measures.results import format_figure
from voicetune.shapes import read_json

Status = Literal["good", "part", "bad", "unknown"]
Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Limit:
    """good: at this value or better, the answer is yes. bad: beyond it, it is no. Between them, it is in part."""

    of: str
    good: float
    bad: float
    higher: bool = False  # whether higher is better

    def status(self, value: float) -> Status:
        way = -1 if self.higher else 1
        return "good" if value * way <= self.good * way else "bad" if value * way > self.bad * way else "part"


def _cost(figure: Figure) -> Limit:
    way = "above" if figure.better == "lower" else "below"
    assert figure.cost is not None
    return Limit(f"{figure.label} {way} that of the base, where the interval excludes zero", figure.cost, figure.cost)


LIMITS = {
    "transcripts": Limit("CER of the recordings", 0.15, 0.30),
    "understood": Limit("CER above that of the recordings", 0.05, 0.20),
    "speaker": Limit("share of the way from a stranger's SECS to that of the recordings", 0.9, 0.5, higher=True),
    "as_the_codec": Limit("share of the codec's way that the voice goes", 0.9, 0.9, higher=True),
    "told_apart": Limit("SECS of the recordings above that of a stranger", 0.1, 0.1, higher=True),
    "codec_cer": Limit("CER of the codec above that of the recordings", 0.10, 0.30),
    "codec_secs": Limit("share of the way from a stranger's SECS that the codec goes", 0.9, 0.5, higher=True),
    **{f"cost_{figure.name}": _cost(figure) for figure in HEADLINES},
}
COMPARE = "make it again with `dvc repro -s -f compare`"
_MORE_SENTENCES = "The 95 % interval includes values that mean no: raise `speak.sentences`."
_STYLES = {"good": "green", "part": "yellow", "bad": "bold red", "unknown": "dim"}
_MEL_CE = next(figure for figure in clip_table.FIGURES if figure.name == "mel_ce")
_COMPARED = {figure.name: figure for figure in (*HEADLINES, _MEL_CE)}


@dataclass(frozen=True)
class Line:
    """One question. answer: a few words. says: the figures. remedy: what to do, empty if there is nothing to do."""

    kind: str
    question: str
    status: Status
    answer: str
    says: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.answer}: {self.says}" + (f" {self.remedy}" if self.remedy else "")


def read(root: Path) -> list[Line]:
    """Read the figures of a repository and judge its published voice.

    Raises:
        UserError: the figures are missing or damaged.
    """
    metrics = root / "metrics"
    published = read_json(metrics / "voice.json", results.Published, COMPARE)["model"]
    figures = read_json(metrics / "compare/figures.json", results.Figures, COMPARE)
    return judge(published, figures, read_json(metrics / "compare/changes.json", results.Changes, COMPARE))


def show(lines: Sequence[Line]) -> None:
    """Print the verdict."""
    for line in lines:
        terminal.console.print(
            Text.assemble((line.question, "bold"), " ", (line.sentence, _STYLES[line.status])), soft_wrap=True
        )


def judge(published: str, figures: Mapping[str, Figures], changes: Mapping[str, Mapping[str, Figures]]) -> list[Line]:
    """Answer all questions, the most important one first.

    Args:
        published: `base`, `phase1` or `phase2`.
        figures, changes: as stage compare writes them.
    """
    voice, recordings, codec = figures[published], figures["recordings"], figures["codec"]
    change = changes.get(f"base_{published}", {})
    transcripts = _transcripts(recordings)
    readable = transcripts.status != "bad"
    carried = _codec(voice, recordings, codec, readable)
    understood = _understood(voice, recordings, codec, change, readable)
    others = [understood, _speaker(voice, recordings, codec, carried), carried, transcripts]
    return [_worth(published, change, {line.kind: line.status for line in others}), *others]


def _worth(published: str, change: Mapping[str, Figures], others: Mapping[str, Status]) -> Line:
    """Compare the published model with the base, which speaks with its own best reference and without training.

    The measures of the speech decide. The mel CE nearly always falls in training, so a lower mel CE does not make up
    for speech that got worse. A voice that another question answers with no was not worth it yet, however much better
    than the base it is.

    Args:
        others: the answers to the other questions, by kind.
    """
    readable = others["transcripts"] != "bad"
    question = "Was the fine-tuning worth it?"
    if published == "base":
        says = "the published model is the base, without training; set `publish: phase2` to take the trained one."
        return Line("worth", question, "unknown", "The fine-tuned model is not published", says)
    measured = {name: change[name] for name in _COMPARED if name in change and (readable or name != "cer")}
    says = f"{LABELS[published]} compared with the base: {', '.join(_change(*one) for one in measured.items())}."
    of_speech = set(measured) - {"mel_ce"}
    better, worse = _shown(measured, good=True), _shown(measured, good=False)
    gained = of_speech & set(better)
    lost = [name for name in worse if name == "mel_ce" or _costs(name, measured[name])]
    if lost and (not gained or ("cer" in lost and others["understood"] != "good")):
        remedy = "Publish the base, or train with a lower `lr`, fewer steps, more recordings or corrected transcripts."
        return Line("worth", question, "bad", "No, it made the voice worse", says, remedy)
    if not of_speech:
        return Line("worth", question, "unknown", "Not measured", f"no measure of the speech was taken; {says}")
    if worse and better:
        return Line("worth", question, "part", f"In part, {_names(better)} better and {_names(worse)} worse", says)
    if not gained:
        remedy = "More `speak.sentences` show smaller differences, more recordings or steps make larger ones."
        return Line("worth", question, "part", "Not shown by the measures of the speech", says, remedy)
    if not readable:
        remedy = "Correct the transcripts. Before that, CER cannot show whether the model says the words."
        return Line("worth", question, "part", f"In part, {_names(better)} better", says, remedy)
    if "bad" in others.values():
        remedy = "An answer below is no: mend that first."
        return Line("worth", question, "part", "Not yet, though it is better than the base", says, remedy)
    return Line("worth", question, "good", f"Yes, {_names(better)} better", says)


def _shown(measured: Mapping[str, Figures], good: bool) -> list[str]:
    """List the measures that got better (`good`), or else worse, by more than chance."""
    gains = {name: _COMPARED[name].gain(one["difference"]) for name, one in measured.items() if one["excludes_zero"]}
    return [name for name, gain in gains.items() if (gain > 0) == good]


def _costs(name: str, change: Figures) -> bool:
    """Whether a measure got worse by so much that a listener would care."""
    return LIMITS[f"cost_{name}"].status(-_COMPARED[name].gain(change["difference"])) == "bad"


def _understood(voice: Figures, recordings: Figures, codec: Figures, change: Figures, readable: bool) -> Line:
    question = "Is it understood?"
    if "cer" not in voice or "cer" not in recordings:
        return Line("understood", question, "unknown", "Not measured", "no CER was taken.")
    says = f"CER {format_figure(voice, 'cer')}, the recordings {recordings['cer']:.3f}."
    if not readable:
        reason = "the recogniser's text of the recordings themselves does not match the transcripts."
        return Line("understood", question, "unknown", "Unknown", f"{says[:-1]}; {reason}")
    status = LIMITS["understood"].status(voice["cer"] - recordings["cer"])
    if status == "good" and LIMITS["understood"].status(voice.get("cer_high", 0) - recordings["cer"]) == "bad":
        return Line("understood", question, "part", "Too few sentences to tell", says, _MORE_SENTENCES)
    answer = {"good": "Yes", "part": "Only in part", "bad": "No"}[status]
    remedy = "" if status == "good" else _remedy_of_cer(recordings, codec, change)
    return Line("understood", question, status, answer, says, remedy)


def _remedy_of_cer(recordings: Figures, codec: Figures, change: Figures) -> str:
    if "cer" in codec and LIMITS["codec_cer"].status(codec["cer"] - recordings["cer"]) == "bad":
        return "Most of the errors come from the codec: take another base."
    if "cer" in change and change["cer"]["excludes_zero"] and change["cer"]["difference"] > 0:
        return f"The base had {change['cer']['from']:.3f}: take a lower `lr` or fewer steps, and check the transcripts."
    return "More recordings, more steps, or another base (presets/xtts_v2.yaml) may help."


def _speaker(voice: Figures, recordings: Figures, codec: Figures, carried: Line) -> Line:
    question = "Is it the speaker?"
    way, missing = _secs_above_stranger(recordings)
    if way is None or "secs" not in voice:
        return Line("speaker", question, "unknown", "Not measured", missing or "no SECS was taken.")
    floor, codec_secs = recordings["secs_floor"], codec.get("secs")
    beside = f"a stranger {floor:.3f}, the recordings {recordings['secs']:.3f}"
    says = f"SECS {format_figure(voice, 'secs')}; {beside}" + (f", the codec {codec_secs:.3f}." if codec_secs else ".")
    status = LIMITS["speaker"].status((voice["secs"] - floor) / way)
    if status == "good" and LIMITS["speaker"].status((voice.get("secs_low", 1) - floor) / way) == "bad":
        return Line("speaker", question, "part", "Too few sentences to tell", says, _MORE_SENTENCES)
    if status == "good":
        return Line("speaker", question, status, "Yes", says)
    of_codec = (voice["secs"] - floor) / (codec_secs - floor) if codec_secs and codec_secs > floor else 0.0
    reaches = LIMITS["as_the_codec"].status(of_codec) == "good"
    if status == "bad":
        remedy = "Take another base." if carried.status == "bad" else "Take more recordings, and more steps."
        return Line("speaker", question, status, "No, it is another voice", says, remedy)
    if reaches:
        return Line(
            "speaker", question, status, "As far as the codec allows", says, "Another base may have a better codec."
        )
    return Line("speaker", question, status, "In part", says, "More recordings or more steps may help.")


def _codec(voice: Figures, recordings: Figures, codec: Figures, readable: bool) -> Line:
    """Judge whether the codec can carry this speaker.

    If the codec row is vocoded from the base's latents (as with HiFi-GAN), training changes these. So the better of two
    figures counts there: that of the codec row, or that of the published voice.
    """
    by_base = codec.get("voiced_by_base")
    question = "Does the codec carry this speaker" + (", voiced by the base?" if by_base else "?")
    rows = [codec, voice] if by_base else [codec]
    found: list[Status] = []
    measured = []
    if readable and "cer" in recordings and (cers := _of_codec_and_voice(rows, "cer")):
        found.append(LIMITS["codec_cer"].status(min(cers) - recordings["cer"]))
        measured.append(f"CER {_write_each(cers)}, the recordings {recordings['cer']:.3f}")
    way, missing = _secs_above_stranger(recordings)
    if way is not None and (secs := _of_codec_and_voice(rows, "secs")):
        found.append(LIMITS["codec_secs"].status((max(secs) - recordings["secs_floor"]) / way))
        beside = f"a stranger {recordings['secs_floor']:.3f}, the recordings {recordings['secs']:.3f}"
        measured.append(f"SECS {_write_each(secs)}; {beside}")
    else:
        missing, secs = missing or "no SECS was taken.", []
    says = "; ".join(measured) + "." if measured else ""
    if "bad" in found:
        remedy = (
            "Training cannot mend that with this base: take another base (presets/xtts_v2.yaml), or cleaner recordings."
        )
        return Line("codec", question, "bad", "No", says, remedy)
    if not secs:
        return Line("codec", question, "unknown", "Not measured", f"{says} {missing}".strip())
    if "part" in found:
        return Line("codec", question, "part", "Most of it", says, "Another base may have a better codec.")
    return Line("codec", question, "good", "Yes", says)


def _transcripts(recordings: Figures) -> Line:
    question = "Do the recordings say their transcripts?"
    if "cer" not in recordings:
        return Line("transcripts", question, "unknown", "Not measured", "no CER was taken.")
    status = LIMITS["transcripts"].status(recordings["cer"])
    answer = {"good": "Yes", "part": "Not all of it", "bad": "No"}[status]
    check = "Check the transcripts, the language in `prepare.sources`, and whether `asr` knows it."
    remedy = "" if status == "good" else check
    return Line("transcripts", question, status, answer, f"their CER is {format_figure(recordings, 'cer')}.", remedy)


def _secs_above_stranger(recordings: Figures) -> tuple[float | None, str]:
    """How far the recordings' SECS is above a stranger's; None and the reason if this cannot be used."""
    if "secs" not in recordings:
        return None, "no SECS was taken."
    if "secs_floor" not in recordings:
        return None, "there is no stranger to compare SECS with: espeak-ng has no voice of this language."
    way = recordings["secs"] - recordings["secs_floor"]
    if LIMITS["told_apart"].status(way) == "bad":
        figures = f"the recordings {recordings['secs']:.3f}, a stranger {recordings['secs_floor']:.3f}"
        return None, f"SECS does not tell this speaker from a stranger ({figures})."
    return way, ""


def _of_codec_and_voice(rows: Sequence[Figures], name: str) -> list[float]:
    """A figure of the codec, and of the published voice if it is among the rows. Empty if the codec has no figure."""
    return [row[name] for row in rows if name in row] if name in rows[0] else []


def _write_each(values: Sequence[float]) -> str:
    """Write the codec's figure, and the published voice's figure if it is there."""
    return f"{values[0]:.3f}" + (f" (the published voice {values[1]:.3f})" if len(values) > 1 else "")


def _change(name: str, change: Figures) -> str:
    label, digits = _COMPARED[name].label, _COMPARED[name].digits
    unshown = "" if change["excludes_zero"] else ", not shown to differ"
    return (
        f"{label} {change['from']:.{digits}f} to {change['to']:.{digits}f} "
        f"({change['difference']:+.{digits}f} [{change['low']:+.{digits}f}, {change['high']:+.{digits}f}]{unshown})"
    )


def _names(measures: Sequence[str]) -> str:
    return " and ".join(_COMPARED[name].label for name in measures)
