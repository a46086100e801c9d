"""Makes the tables of stage transcribe: transcribes each long recording, cuts it, and gives each clip its text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from voicetune import engine, families, files
from voicetune.data import csv_tables, cut, recordings
from voicetune.data.cut import Cut, LongFile
from voicetune.data.readers import lists
from voicetune.data.readers.long import DETECTED, LongSource
from voicetune.data.readers.source import fault_of, nfc
from voicetune.device import choose_device
from voicetune.errors import UserError, shown
from voicetune.params.data import Prepare
from voicetune.params.transcribing import Transcribe
from voicetune.params.unlisted import Unlisted
from voicetune.recognition import recogniser
from voicetune.transcripts import cutting, languages, matching, recognition
from voicetune.transcripts.cutting import Phrase, Piece, Stretch
from voicetune.transcripts.recognition import Part, WordRecogniser
from voicetune.transcripts.voices import Speaker

KEY = "transcribe.asr"
_MARGINS = 0.3  # seconds of silence in a clip, which stage prepare may not be able to trim
_ENDINGS = (*lists.EXTENSIONS, ".avi")


@dataclass(frozen=True)
class Made:
    """What became of a recording."""

    file: LongFile
    cuts: list[Cut]
    left_out: list[cut.Unused]


@dataclass(frozen=True)
class _Work:
    """A source, and what it is cut with. speaker: the one to keep; None if all are kept."""

    source: LongSource
    recogniser: WordRecogniser
    speaker: Speaker | None
    prepare: Prepare
    settings: Transcribe


def make_all(
    sources: Sequence[LongSource], prepare: Prepare, settings: Transcribe, device: str, unlisted: Unlisted
) -> list[Made]:
    """Transcribe and cut the recordings of all sources, and write a table of each source's clips.

    Prints a line about each recording when it is done, and before that one for each ten minutes of a longer one.

    If the engine is local, this process takes one recording after the other, each with all cores. A worker on Ray takes
    a whole recording, with one core or one GPU.

    Raises:
        UserError: a source has no recordings, two of the same name, or a faulty list of transcripts; the recogniser or
            the sample of a speaker cannot be used; or a table cannot be written. See also `engine.map_all`.
    """
    todo = []
    for source in sources:
        paths = recordings_of(source)
        listed = matching.read_list(source, paths)
        todo += [(source, path, listed.get(path)) for path in paths]
    on_ray = unlisted.engine == "ray"
    device = choose_device(device) if on_ray else device
    making = _Making(prepare, settings, device, workers=int(on_ray))
    made = []
    for one in engine.map_all(making, todo, unlisted, processes=1, gpus=int(device == "cuda")):
        print(describe(one), flush=True)
        made.append(one)
    for source in sources:
        cuts = [one for each in made if each.file.source == source.name for one in each.cuts]
        csv_tables.write(cut.table(source.name), Cut, cuts)
    return made


class _Making:
    """Transcribes and cuts recordings. What a source needs is opened at its first recording.

    workers: windows that are transcribed at once on a CPU; 0 is one a core.
    """

    def __init__(self, prepare: Prepare, settings: Transcribe, device: str, workers: int):
        self.prepare, self.settings, self.device, self.workers = prepare, settings, device, workers
        self.opened: dict[str, _Work] = {}

    def __call__(self, item: tuple[LongSource, Path, str | None]) -> Made:
        source, path, listed = item
        if source.name not in self.opened:
            speaker = None if source.keep_speaker is None else _speaker(source)
            recogniser = open_recogniser(self.settings.asr, source.language, self.device, self.workers)
            self.opened[source.name] = _Work(source, recogniser, speaker, self.prepare, self.settings)
        return _make(path, listed, self.opened[source.name])


def recordings_of(source: LongSource) -> list[Path]:
    """The recordings of a source: the sound files and videos in its folder, without the sample of the speaker.

    Raises:
        UserError: there is no such folder, no recording in it, or two have the same name without its ending.
    """
    folder = Path(source.path)
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder; put the long recordings there, or correct the path of '{source.name}'."
        )
    sample = None if source.keep_speaker is None else folder / source.keep_speaker
    found = [path for path in sorted(lists.walk(folder)) if path.suffix.lower() in _ENDINGS and path != sample]
    if not found:
        raise UserError(f"{folder} holds no recordings; put sound files or videos there, such as talk.m4a.")
    first: dict[str, Path] = {}
    for path in found:
        name = _name(path, source)
        if (other := first.setdefault(name, path)) != path:
            raise UserError(f"{other} and {path.name} would have the same clips; rename or remove one of them.")
        lists.check_id(f"{name}-{_number(0)}", source.name, str(path))
    return found


def _name(path: Path, source: LongSource) -> str:
    """What the ids of a recording's clips begin with: its path in the source, without its ending."""
    return nfc("-".join(path.relative_to(source.path).with_suffix("").parts))


def _speaker(source: LongSource) -> Speaker:
    sample, folder = Path(source.path) / str(source.keep_speaker), Path(source.path)
    if fault := fault_of(sample, folder):
        raise UserError(f"keep_speaker of '{source.name}': {fault}; give a recording in {folder}.")
    return Speaker(sample)


def open_recogniser(asr: str, language: str, device: str, workers: int = 0) -> WordRecogniser:
    """Open the recogniser for a language.

    Args:
        workers: windows that are transcribed at once on a CPU; 0 is one a core.

    Raises:
        UserError: see `recogniser.Recogniser`.
    """
    model = recogniser.open_model(asr, language, device, KEY, workers)
    return WordRecogniser(
        model, files.sha256(recogniser.weights(asr, KEY) / "model.bin"), language, model.model.num_workers
    )


def _make(path: Path, listed: str | None, work: _Work) -> Made:
    """Transcribe and cut one recording. Whatever is wrong with it stands in its `LongFile.fault`.

    Args:
        listed: its text in the source's list of transcripts; None if it has none there. A transcript beside the
            recording comes first.
    """
    source = work.source.name
    try:
        if fault := fault_of(path, Path(work.source.path)):
            raise UserError(f"{fault}.")
        if work.source.language == DETECTED:
            work = _in_language(languages.detect(path, work.recogniser), work)
        place = recognition.place_of(path, work.recogniser)
        parts = recognition.parts(path, place, work.recogniser, lambda part: _report(path, part))
        transcript = matching.transcript_of(path)
        words = listed if transcript is None else matching.read(transcript, work.source.language)
        pieces = cutting.clips(_phrases(path, words, place, parts, work), *_lengths(work))
    except UserError as error:
        return Made(LongFile(source, path.as_posix(), 0.0, 0.0, 0.0, 0, "", str(error)), [], [])
    used, unused = [one for one in pieces if not one.reason], [one for one in pieces if one.reason]
    name = _name(path, work.source)
    sound = path if recordings.seeks(path) or not used else _copy(path, cut.table(source).with_name(f"{name}.flac"))
    speech = sum(end - start for part in parts for start, end in part.stretches)
    fault = parts[-1].fault or ("" if used else _no_clip(path, speech, pieces))
    text = transcript.name if transcript else matching.LIST if listed else "recogniser"
    seconds, speech, kept = (round(one, 2) for one in (parts[-1].end, speech, sum(one.speech for one in used)))
    return Made(
        LongFile(source, path.as_posix(), seconds, speech, kept, len(used), text, fault),
        [_row(name, sound, one, work.source.language) for one in used],
        [cut.Unused(source, path.as_posix(), round(one.start, 3), round(one.end, 3), one.reason) for one in unused],
    )


def _in_language(language: str, work: _Work) -> _Work:
    source = work.source.model_copy(update={"language": language})
    return replace(work, source=source, recogniser=replace(work.recogniser, language=language))


def _report(path: Path, part: Part) -> None:
    if not part.last:
        print(shown(f"{path}: transcribed up to {int(part.end) // 60} min {int(part.end) % 60} s"), flush=True)


def _phrases(path: Path, transcript: str | None, place: Path, parts: list[Part], work: _Work) -> list[Phrase]:
    """The phrases of a recording with their texts, and the reasons why some cannot be used."""
    words = [word for part in parts for word in part.words]
    found = [one for part in parts for one in _stretches(part)]
    if work.speaker is not None:
        similarities = work.speaker.similarities(path, [(one.start, one.end) for one in found], place)
        least = work.settings.speaker_similarity
        found = [_of_speaker(*both, least) for both in zip(found, similarities, strict=True)]
    if transcript is None:
        return cutting.phrases(found, matching.unmatched(words))
    aligned = matching.match(words, transcript, work.source.language)
    return [_checked(phrase, work) for phrase in cutting.phrases(found, aligned)]


def _lengths(work: _Work) -> tuple[float, float, int]:
    """The fewest and the most seconds of a clip, and the most characters."""
    characters = families.most_characters(work.source.language)
    return work.prepare.min_seconds, work.prepare.max_seconds - _MARGINS, characters


def _stretches(part: Part) -> list[Stretch]:
    def reason(start: float, end: float) -> str:
        middle = (start + end) / 2
        return next((f"in another language: {name}" for a, b, name in part.foreign if a <= middle <= b), "")

    return [
        Stretch(start, end, at, reason(start, end))
        for (start, end), at in zip(part.stretches, part.cuts, strict=True)
    ]  # fmt: skip


def _of_speaker(stretch: Stretch, similarity: float, least: float) -> Stretch:
    """Leave a stretch out if another speaker says it."""
    if stretch.reason or similarity >= least:
        return stretch
    return stretch._replace(reason=f"another speaker: similarity {similarity:.2f}")


def _checked(phrase: Phrase, work: _Work) -> Phrase:
    """Leave a phrase out if the recogniser writes something else than its transcript."""
    text, recognised = phrase.text.strip(), phrase.recognised.strip()
    if phrase.reason or not text:
        return phrase
    if matching.agreement(text, recognised, work.source.language) >= work.settings.agreement:
        return phrase
    return replace(phrase, reason=f"the transcript says '{text}', the recogniser writes '{recognised}'")


def _row(name: str, sound: Path, piece: Piece, language: str) -> Cut:
    return Cut(
        f"{name}-{_number(piece.start)}", sound.as_posix(), round(piece.start, 3), round(piece.end, 3), piece.text,
        round(matching.agreement(piece.text, piece.recognised, language), 3), round(piece.probability, 3),
        language,
    )  # fmt: skip


def _number(seconds: float) -> str:
    """A clip's begin as a part of its id: it stays the same if other clips change."""
    return f"{round(seconds * 100):07d}"


def _no_clip(path: Path, speech: float, pieces: list[Piece]) -> str:
    if not speech:
        return f"no speech is found in {path}; remove it, or replace it by a recording of speech."
    return f"no clip could be cut from {path}, for example because of {pieces[0].reason}; see {cut.LEFT_OUT}."


def _copy(path: Path, out: Path) -> Path:
    """Write the sound of a file as FLAC, so that stage prepare can read parts of it without decoding all before them.

    Raises:
        UserError: it cannot be written.
    """
    with files.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    file, written = None, 0
    try:
        for samples, rate in recordings.stream(path):
            file = file or soundfile.SoundFile(out, "w", rate, 1, "PCM_16", format="FLAC")
            file.write(np.clip(samples, -1, 1))
            written += len(samples)
    except recordings.Unusable:
        pass  # the clips come before the damage
    except soundfile.SoundFileError as error:
        raise UserError(f"{out} cannot be written ({error}); make room on the disk, and run this again.") from None
    finally:
        if file is not None:
            file.close()
    if soundfile.info(out).frames != written:  # libsndfile does not report a full disk
        raise UserError(f"{out} could not be written completely; make room on the disk, and run this again.")
    return out


def describe(made: Made) -> str:
    """What became of a recording, in one line."""
    file = made.file
    if file.fault and not file.clips:
        return shown(f"{file.file}: left out: {file.fault}")
    share = f" ({file.kept / file.speech:.0%})" if file.speech else ""
    minutes = f"{file.kept / 60:.1f} of {file.speech / 60:.1f} min of speech{share}"
    damage = f"; it is damaged: {file.fault}" if file.fault else ""
    return shown(f"{file.file}: {file.clips} clips with {minutes}{damage}")


def check(sources: Sequence[LongSource], made: list[Made]) -> None:
    """Check that every source has a clip.

    Raises:
        UserError: one has none.
    """
    for source in sources:
        files_of = [one.file for one in made if one.file.source == source.name]
        if not any(file.clips for file in files_of):
            raise UserError(f"'{source.name}' gives no clip: {files_of[0].fault}")
