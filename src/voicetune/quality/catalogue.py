"""The checks of a clip. Their limits are in params.yaml, section `quality`; a figure with no limit is only shown.

The figures come from `data.as_recorded` (the sound as it was found), `voices` (who speaks), `texts` (what is said) and
`twins` (which clips say or are the same). This module imports nothing that takes time, because the check of
params.yaml reads it.
"""

from voicetune.quality.judged import Check

CHECKS = (
    Check(
        "clipped", "clipped", "of samples", 4, "lower",
        "share of the samples within 1 % of the loudest one; much of it means that the recording was too loud",
        "record again with a lower level, at most half of full scale",
    ),
    Check(
        "level", "level", "dB", 0, "higher", "level of the loud parts, in dB of full scale",
        "record closer to the microphone; what is far too quiet gains noise when it is made louder",
    ),
    Check(
        "dc", "offset", "of peak", 3, "lower", "mean of the samples over the loudest one",
        "remove the offset with a filter, or replace the sound card",
    ),
    Check(
        "snr", "signal to noise", "dB", 0, "higher", "level of the loud parts over that of the quiet parts",
        "record in a quieter room, or cut out music and noise",
    ),
    Check(
        "bandwidth", "bandwidth", "Hz", 0, "higher",
        "highest frequency of the recording: 4,000 Hz is a telephone, 8,000 Hz a file of 16 kHz",
        "look for the original recording: 24 kHz or more, and not from a telephone",
    ),
    Check(
        "edge", "sound at the edge", "dB", 0, "lower",
        "level of the first or the last 20 ms over the loud parts; high means that a word is cut",
        "listen whether a word is cut; if none is, accept the clip; else leave a quarter of a second of silence around"
        " each utterance (`reader: long` cuts in the pauses: speak with longer ones, and with no sound behind them)",
    ),
    Check(
        "pause", "longest pause", "s", 1, "lower", "longest time between two loud parts",
        "cut the utterance at the pause, or shorten the pause",
    ),
    Check(
        "speech", "speech", "of the clip", 2, "higher", "share of the clip in which a detector finds speech",
        "listen: music, noise and silence have no place in a clip",
    ),
    Check(
        "pace", "pace", "times", 1, "lower",
        "how many times slower or faster than the speaker's other clips, by letters and seconds of speech",
        "listen whether the text is what is said, and all of it",
    ),
    Check(
        "letters", "foreign letters", "", 0, "lower",
        "letters of another script than that of the speaker's other texts", "write the word as it is spoken",
    ),
    Check(
        "cer", "CER", "of characters", 2, "lower", "errors of the recogniser's text against the transcript",
        "listen whether the text is what is said, and correct it",
    ),
    Check(
        "voice", "another voice", "", 2, "lower",
        "by how much the clip's SECS to the speaker's other clips is below that of the median clip",
        "listen whether the same person speaks, in the same way and through the same microphone",
    ),
    Check(
        "voice_part", "likeness of a part", "", 2, "higher",
        "the lowest SECS of a part of 1.6 s; low if somebody else speaks in a part of the clip, or music plays",
        "cut out the other voice, or the music",
    ),
    Check(
        "twin_sound", "same sound", "", 3, "lower",
        "likeness of the spectrogram to the most similar clip on a side held out more strictly, or earlier on its own",
        "remove the copy",
    ),
    Check(
        "twin_text", "same text", "", 2, "lower",
        "likeness of the text to that of the most similar clip on a side held out more strictly",
        "remove one of the two, or give both exactly the same text, which puts them on one side",
    ),
)  # fmt: skip
BY_NAME = {check.name: check for check in CHECKS}
TWINS = ("twin_sound", "twin_text")
"""Checks that compare clips with each other. They come after all others."""
