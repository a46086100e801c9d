"""Stage encode: encodes the clips that stage quality keeps into data/codes, with the base's vocabulary and codec.

Each clip becomes text tokens, audio codes and a conditioning mel.
"""

from pathlib import Path

from voicetune import entry, outputs, terminal
from voicetune.data import clip
from voicetune.data.split import check_sides
from voicetune.device import choose_device
from voicetune.errors import UserError
from voicetune.params import reading
from voicetune.params.encoding import EncodeStage
from voicetune.params.unlisted import Unlisted

OUT = Path("data/codes")


def main() -> None:
    settings = reading.load(EncodeStage)
    from voicetune.data import codes
    from voicetune.data.encoding import Encoding

    source = Path("data/clips")
    clips = clip.read(Path("data/quality/clips.csv"))
    clip.check_files(source, clips)
    encode = Encoding(Path("models/base"), Path("data"), choose_device(settings.device))
    faults = {c.id: fault for c in clips if (fault := encode.encoder.fault_of(c))}
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
    encoded = encode.encode_all(kept, reading.load(Unlisted))
    counts = codes.save(OUT, kept, terminal.track(encoded, "encoding", len(kept)))
    print(f"{len(kept)} clips, {counts['codes']} audio codes, {counts['tokens']} text tokens")


if __name__ == "__main__":
    entry.run(main)
