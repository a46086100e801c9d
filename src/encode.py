"""Stage encode: encodes the clips that stage quality keeps into data/codes, with the base's vocabulary and codec.

Each clip becomes text tokens, audio codes and a conditioning mel.
"""

from pathlib import Path

from voicetune import entry, families, outputs, terminal
from voicetune.data import clip
from voicetune.data.split import check_sides
from voicetune.device import choose_device
from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.encoding import EncodeStage

OUT = Path("data/codes")


def main() -> None:
    settings = reading.load(EncodeStage)
    from voicetune.data import codes
    from voicetune.data.dataset import Dataset

    base, source, data = Path("models/base"), Path("data/clips"), Dataset(Path("data"))
    clips = clip.read(Path("data/quality/clips.csv"))
    clip.check_files(source, clips)
    encoder = families.encoding(base).open_encoder(base, choose_device(settings.device))
    faults = {c.id: fault for c in clips if (fault := encoder.fault_of(c))}
    for fault in faults.values():
        print(f"left out: {fault}")
    if faults and settings.encode.unknown_characters == "fail":
        raise UserError(
            f"{len(faults)} of {len(clips)} clips cannot be encoded, first: {next(iter(faults.values()))};"
            " correct the transcripts, or set encode.unknown_characters to leave_out."
        )
    kept = [c for c in clips if c.id not in faults]
    if not kept:
        raise UserError("no clip can be encoded with this base; choose a base that knows the language.")
    check_sides([c.split for c in kept], "the clips left out above")
    outputs.make_empty(OUT)
    encoded = [encoder.encode(c, data.sound(c)[0]) for c in terminal.track(kept, "encoding")]
    codes.save(OUT, kept, encoded)
    count = sum(e.codes.size for e in encoded)
    print(f"{len(kept)} clips, {count} audio codes, {sum(e.tokens.size for e in encoded)} text tokens")


if __name__ == "__main__":
    entry.run(main)
