"""What the tests of data/quality.html share: clips with made-up figures, and a page of them."""

from pathlib import Path

import numpy as np

from voicetune.data import audio
from voicetune.data.clip import Clip
from voicetune.data.decisions import Decision
from voicetune.data.left_out import LeftOut
from voicetune.quality import page
from voicetune.quality.judged import Check, Judged, Reason

CHECKS = [
    Check("snr", "signal to noise", "dB", 1, "higher", "how loud the noise is", "record in a quieter room"),
    Check("cer", "text against recogniser", "", 3, "lower", "what is heard otherwise", "correct the text"),
]
SNR, CER = CHECKS
SUMMARY = ["5 of 6 clips are kept.", "Mend <first>: the noise."]
LEFT_OUT = [
    LeftOut("anna-x1", "anna", "too short: 0.2 s"),
    LeftOut("anna-x2", "anna", "rejected: in data/decisions.csv"),
]
DECISIONS = {one.id: one for one in (Decision("anna-x2", "reject", ""), Decision("gone-7", "accept", 'Said, "so".'))}


def clip(number: int, text: str | None = None, source: str = "anna") -> Clip:
    id = f"{source}-{number}"
    return Clip(id, f"{id}.flac", text or f"Line number {number}.", "en", source, source, 1.0 + number / 10, "train")


def judged(number: int, text: str | None = None, source: str = "anna", **found) -> Judged:
    """A clip that is kept, with a signal to noise of 20 dB and more, if nothing else is said."""
    given = {"figures": {"snr": 20.0 + number, "cer": 0.0}, "reasons": [], "warnings": [], **found}
    return Judged(clip(number, text, source), **given)


def six() -> list[Judged]:
    """Six clips: anna-4 is left out, anna-2 has two warnings, anna-1 has one, and anna-3 was heard otherwise."""
    return [
        judged(0),
        judged(1, warnings=[Reason(SNR, "signal to noise: 21.0 dB, at least 25 dB")]),
        judged(2, warnings=[Reason(SNR, "signal to noise: 22.0 dB, at least 25 dB"), Reason(CER, "CER: 0.2")]),
        judged(3, "One, two, three.", heard="one three four"),
        judged(4, reasons=[Reason(SNR, "signal to noise: 4.0 dB, at least 10 dB")], figures={"snr": 4.0, "cer": None}),
        judged(5, source="bela"),
    ]


def write(folder: Path, clips: list[Judged], sounds: bool = False) -> Path:
    """Write data/quality.html into a project's folder and, if asked, a sound of 0.4 s for each clip."""
    if sounds:
        tone = (0.2 * np.sin(np.arange(8820) / 10)).astype(np.float32)
        for one in clips:
            audio.write(folder / "data/clips" / one.clip.file, tone)
    page.write(folder / "data/quality.html", clips, CHECKS, SUMMARY, LEFT_OUT, DECISIONS)
    return folder / "data/quality.html"
