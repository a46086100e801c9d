"""Stage transcribe: cuts the long recordings of the reader `long` into sentences, and writes the text of each.

The tables are in data/transcripts. Stage prepare reads them. If no source has this reader, they are empty, and nothing
else happens.
"""

from voicetune import entry, outputs
from voicetune.data import csv_tables, cut
from voicetune.data.readers.long import LongSource
from voicetune.params import reading
from voicetune.params.transcribing import TranscribeStage
from voicetune.params.unlisted import Unlisted


def main() -> None:
    settings = reading.load(TranscribeStage)
    sources = [source for source in settings.prepare.sources if isinstance(source, LongSource)]
    outputs.make_empty(cut.FOLDER)
    if not sources:
        csv_tables.write(cut.FILES, cut.LongFile, [])
        csv_tables.write(cut.LEFT_OUT, cut.Unused, [])
        print("no source has the reader `long`, so there is nothing to cut")
        return
    from voicetune.transcripts import making  # seconds of imports, which the default run does not need

    unlisted = reading.load(Unlisted)
    made = making.make_all(sources, settings.prepare, settings.transcribe, settings.device, unlisted)
    csv_tables.write(cut.FILES, cut.LongFile, [one.file for one in made])
    csv_tables.write(cut.LEFT_OUT, cut.Unused, [part for one in made for part in one.left_out])
    making.check(sources, made)


if __name__ == "__main__":
    entry.run(main)
