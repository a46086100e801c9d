"""Damaged, wrong or hostile model folders each give one sentence that names the user's file and a remedy.

TABLE lists them. Each entry spoils one file of a good folder. Then the test runs `base`, `export` and the part of `say`
that opens a folder, and compares all files outside the folder before and after.
"""

import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from conftest import BUNDLE, ROOT
from TTS.tts.models import xtts as stock_module

import base as base_stage
from voicetune import copies
from voicetune.errors import UserError
from voicetune.model import Gift
from voicetune.params.decoding import Decoding
from voicetune.speech import publishing
from voicetune.speech.voice import Voice
from voicetune.xtts import card, export, folder, origins, tensors

pytestmark = pytest.mark.usefixtures("one_thread")

FILES = ("config.json", "vocab.json", "dvae.pth", "mel_stats.pth", "model.pth", "speakers_xtts.pth", "voicetune.json",
         "LICENSE.txt")  # fmt: skip
WIDTH = 64
ALL, BUT_SAY = ("base", "export", "say"), ("base", "export")


class Place:
    """A model folder of hard links. The folder `victim` beside it must not change."""

    def __init__(self, top: Path, good: Path):
        self.model, self.victim, self.marker = top / "his" / "model", top / "victim", top / "ran"
        self.victim.mkdir(parents=True)
        for name in ("secret.txt", "vocab.json", "best_model.pth"):
            (self.victim / name).write_text("a secret\n")
        self.model.mkdir(parents=True)
        for name in FILES:
            os.link(good / name, self.model / name)

    def put(self, name: str, content: bytes | str) -> None:
        """Replace a file instead of writing into it, because it is a hard link to the good file."""
        (self.model / name).unlink(missing_ok=True)
        (self.model / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def save(self, name: str, value: object, **how) -> None:
        (self.model / name).unlink(missing_ok=True)
        torch.save(value, self.model / name, **how)

    def read(self, name: str):
        if name.endswith(".json"):
            return json.loads((self.model / name).read_text())
        return torch.load(self.model / name, weights_only=True)


def no_plain(name: str, make: Callable[[Path], object]) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        (place.model / name).unlink()
        make(place.model / name)

    return spoil


Spoil = Callable[[Place], None]


def text(name: str, content: bytes | str) -> Spoil:
    return lambda place: place.put(name, content)


def saved(name: str, value: object) -> Spoil:
    return lambda place: place.save(name, value)


def setting(**values) -> Spoil:
    """Change values of config.json: in model_args, and at the top those of `top`."""

    def spoil(place: Place) -> None:
        known = place.read("config.json")
        known["model_args"] |= {name: value for name, value in values.items() if name != "top"}
        place.put("config.json", json.dumps(known | values.get("top", {})))

    return spoil


def words(old: str, new: str) -> Spoil:
    return lambda place: place.put("vocab.json", (place.model / "vocab.json").read_text().replace(old, new))


def fact(**values) -> Spoil:
    return lambda place: place.put("voicetune.json", json.dumps(place.read("voicetune.json") | values))


def weights(change: Callable[[dict], object]) -> Spoil:
    """Change the weights of model.pth."""

    def spoil(place: Place) -> None:
        found = place.read("model.pth")["model"]
        changed = change(found)
        place.save("model.pth", {"model": found if changed is None else changed})

    return spoil


def dvae(change: Callable[[dict], object]) -> Spoil:
    def spoil(place: Place) -> None:
        found = place.read("dvae.pth")
        changed = change(found)
        place.save("dvae.pth", found if changed is None else changed)

    return spoil


def stats(change: Callable[[torch.Tensor], object]) -> Spoil:
    return lambda place: place.save("mel_stats.pth", change(place.read("mel_stats.pth").clone()))


def speaker(latent: object = (1, 32, WIDTH), embedding: object = (1, 512, 1), name: object = "anna") -> Spoil:
    def made(value):
        return torch.ones(value) if isinstance(value, tuple) else value

    return saved("speakers_xtts.pth", {name: {"gpt_cond_latent": made(latent), "speaker_embedding": made(embedding)}})


def put_nan(found: dict, name: str, value: float = float("nan")) -> None:
    found[name] = found[name].clone()
    found[name].view(-1)[0] = value


def hostile(name: str, how: str) -> Spoil:
    """Write a pickle that would create the file `marker` if loading it called any function."""

    def spoil(place: Place) -> None:
        class Payload:
            def __reduce__(self):
                calls = {"system": (os.system, (f"touch {place.marker}",)), "mkdir": (os.mkdir, (str(place.marker),)),
                         "exec": (exec, (f"open({str(place.marker)!r}, 'w')",))}  # fmt: skip
                return calls[how.removeprefix("beside a configuration: ").removeprefix("old layout: ")]

        if how.startswith("old layout"):
            place.save(name, {"model": Payload()}, _use_new_zipfile_serialization=False)
        elif how.startswith("beside a configuration"):
            # for a file with a configuration object, `tensors` tries again and allows more classes
            with stock_module._legacy_safe_globals():
                place.save(name, {"config": folder.open_config(place.model), "model": Payload()})
        else:
            place.save(name, Payload())

    return spoil


def compressed(place: Place) -> None:
    """Compress model.pth, so that it is a thousand times smaller than its content in memory."""
    place.save("plain.pth", {"model": {"gpt.x": torch.zeros(5_000_000)}})
    (place.model / "model.pth").unlink()
    source = zipfile.ZipFile(place.model / "plain.pth")
    with source, zipfile.ZipFile(place.model / "model.pth", "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            out.writestr(name, source.read(name))
    (place.model / "plain.pth").unlink()


def many_layers(place: Place) -> None:
    """Name the same numbers as 400 layers, in model.pth and in config.json."""
    setting(gpt_layers=400)(place)

    def repeat(found: dict) -> None:
        layer = [name for name in found if name.startswith("gpt.gpt.h.0.")]
        for i in range(2, 400):
            found |= {name.replace(".h.0.", f".h.{i}."): found[name] for name in layer}
        big = torch.zeros(2_000_000)  # all the names together are bigger than the file
        found |= {f"gpt.gpt.h.{i}.big": big for i in range(30)}

    weights(repeat)(place)


def wide(place: Place) -> None:
    """Give the embeddings and config.json a width that no layer has. From 30 MB, a model of 3 GB would be built."""
    setting(gpt_n_model_channels=4096)(place)

    def widen(found: dict) -> None:
        for name in found:
            if name.startswith("gpt.") and ("embedding" in name or name == "gpt.final_norm.weight"):
                found[name] = torch.zeros(*found[name].shape[:-1], 4096)

    weights(widen)(place)


def short(place: Place) -> None:
    place.put("model.pth", (place.model / "model.pth").read_bytes()[:100_000])


def linked(name: str) -> Spoil:
    def spoil(place: Place) -> None:
        (place.model / name).unlink()
        (place.model / name).symlink_to(place.victim / "secret.txt")

    return spoil


NEW = "fetch or make it again"
TAKE = "take the file that belongs to the model"
SAME = "take (both|all) from the same model"
LINK = r"is a link to .*victim/secret\.txt, outside its folder; put the file itself there, or remove it"
RUNS = r"opening it would load [\w.]+, which could run code; do not open it .* from a source that you trust"
NO_TORCH = f"is no checkpoint of torch, or damaged; {NEW}"
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000

# Key: what is wrong. Values: how to spoil the folder, the file that the sentence names, the rest of the sentence, and
# the commands that give it.
TABLE: dict[str, tuple[Spoil, str, str, tuple[str, ...]]] = {
    # config.json
    "config is null": (text("config.json", "null"), "config.json", "is no configuration of XTTS; take", ALL),
    "config is a list": (text("config.json", "[1]"), "config.json", "is no configuration of XTTS; take", ALL),
    "config is empty": (text("config.json", ""), "config.json", rf"cannot be read \(Expecting.*; {NEW}", ALL),
    "config is binary": (text("config.json", b"\xff\x00\xfe"), "config.json", rf"cannot be read .*; {NEW}", ALL),
    "config is deep": (text("config.json", DEEP), "config.json", rf"cannot be read .*recursion.*; {NEW}", ALL),
    "no arguments": (setting(top={"model_args": None}), "config.json", "is no configuration of XTTS; take", ALL),
    "arguments in a list": (setting(top={"model_args": [1]}), "config.json", "is no configuration of XTTS; take", ALL),
    "100,000 layers": (
        setting(gpt_layers=100_000), "config.json", f": 'gpt_layers' is 100000, .*1 to 512; {TAKE}", ALL),
    "a huge width": (setting(gpt_n_model_channels=10**9), "config.json", f": 'gpt_n_model_channels' .*; {TAKE}", ALL),
    "a number of 5,000 digits": (
        text("config.json", '{"model_args": {"gpt_layers": 1' + "0" * 5000 + "}}"), "config.json",
        rf"cannot be read .*digits.*; {NEW}", ALL),
    "a number of 100 digits": (setting(gpt_layers=10**100), "config.json", f"more than 12 digits, .*; {TAKE}", ALL),
    "no heads": (setting(gpt_n_heads=0), "config.json", f": 'gpt_n_heads' is 0, .*; {TAKE}", ALL),
    "layers are null": (setting(gpt_layers=None), "config.json", f": 'gpt_layers' is null, .*; {TAKE}", ALL),
    "layers are a text": (setting(gpt_layers="30"), "config.json", f": 'gpt_layers' is '30', .*; {TAKE}", ALL),
    "layers are true": (setting(gpt_layers=True), "config.json", f": 'gpt_layers' is true, .*; {TAKE}", ALL),
    "layers are NaN": (setting(gpt_layers=float("nan")), "config.json", f": 'gpt_layers' is NaN, .*; {TAKE}", ALL),
    "another code stride": (setting(gpt_code_stride_len=512), "config.json", f"is 512, .*be 1024; {TAKE}", ALL),
    "a switch is a list": (
        setting(gpt_use_perceiver_resampler=[]), "config.json", f"is a list, .*true or false; {TAKE}", ALL),
    "seconds are a text": (
        setting(top={"gpt_cond_chunk_len": "x"}), "config.json", f"chunk_len' is 'x', .*; {TAKE}", ALL),
    "languages are null": (setting(top={"languages": None}), "config.json", f"'languages' is null, .*; {TAKE}", ALL),
    "another kind of model": (setting(top={"model": "vits"}), "config.json", "is no configuration of XTTS; take", ALL),
    "no sample rates": (setting(top={"audio": None}), "config.json", "is no configuration of XTTS; take", ALL),
    "a rate of 1 Hz": (setting(top={"audio": {"sample_rate": 1}}), "config.json", f"_rate' is 1, .*; {TAKE}", ALL),
    # config.json against the weights
    "codes begin with their end": (setting(gpt_start_audio_token=1025), "model.pth", f"audio tokens.*; {SAME}", ALL),
    "500 layers": (setting(gpt_layers=500), "model.pth", rf"does not fit .*: gpt_layers \(2, not 500\); {SAME}", ALL),
    "another width": (
        setting(gpt_n_model_channels=16_000),
        "model.pth", rf": gpt_num_audio_tokens \(\[1026, 64\].*; {SAME}", BUT_SAY),
    "many positions": (setting(gpt_max_audio_tokens=99_999), "model.pth", f": gpt_max_audio_tokens .*; {SAME}", ALL),
    "many text positions": (setting(gpt_max_text_tokens=9_999), "model.pth", f": gpt_max_text_tokens .*; {SAME}", ALL),
    "a wide decoder": (setting(decoder_input_dim=16_000), "model.pth", f": decoder_input_dim .*; {SAME}", ALL),
    "a wide embedding": (setting(d_vector_dim=16_000), "model.pth", f": d_vector_dim .*; {SAME}", ALL),
    "heads that do not divide": (setting(gpt_n_heads=7), "model.pth", f"heads or audio tokens.*; {SAME}", ALL),
    "more codes than the DVAE": (
        setting(gpt_num_audio_tokens=2000), "dvae.pth", f"has 1024 codes .* 1998; {SAME}", ALL),
    "layers without numbers": (many_layers, "model.pth", f"stores the same numbers .*; {NEW}", ALL),
    "a width without layers": (wide, "model.pth", f": the weights of the layers are missing; {SAME}", ALL),
    # vocab.json
    "a vocabulary is null": (text("vocab.json", "null"), "vocab.json", rf"cannot be read .*; {NEW}", ALL),
    "a vocabulary is deep": (text("vocab.json", DEEP), "vocab.json", rf"cannot be read .*; {NEW}", ALL),
    "a vocabulary of another model": (
        words("[START]", "[BEGIN]"),
        "vocab.json", r"has no token \[START\]; take", ALL),
    "a bigger vocabulary": (
        words(": 222", ": 4000000000"),
        "model.pth", rf"does not fit .*: vocabulary .*; {SAME}", ALL),
    # model.pth
    "weights are a text": (text("model.pth", "<html>not found</html>"), "model.pth", NO_TORCH, ALL),
    "weights are empty": (text("model.pth", b""), "model.pth", NO_TORCH, ALL),
    "weights are cut off": (short, "model.pth", NO_TORCH, ALL),
    "a pointer of Git LFS": (
        text("model.pth", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), "model.pth",
        "is a pointer of Git LFS and not the file; run `git lfs pull`", ALL),
    "compressed weights": (compressed, "model.pth", NO_TORCH, ALL),
    "weights are a list": (saved("model.pth", [torch.ones(1)]), "model.pth", "holds no weights; take", ALL),
    "weights are null": (saved("model.pth", {"model": None}), "model.pth", "holds no weights; take", ALL),
    "weights are one tensor": (
        saved("model.pth", {"model": torch.ones(3)}), "model.pth", "holds no weights; take", ALL),
    "integer keys": (
        saved("model.pth", {"model": {0: torch.ones(1)}}),
        "model.pth", r"holds no weights \(0 is not one\); take", ALL),
    "weights are numbers": (
        saved("model.pth", {"model": {"a": 1.0}}), "model.pth", r"holds no weights \('a' is not one\); take", ALL),
    "one number that is repeated": (
        saved("model.pth", {"model": {"gpt.x": torch.ones(1).expand(10**6, 10**6)}}),
        "model.pth", "'gpt.x' is not", ALL),
    "sparse weights": (
        saved("model.pth", {"model": {"gpt.x": torch.eye(3).to_sparse()}}), "model.pth", "'gpt.x' is not one", ALL),
    "somebody else's weights": (
        saved("model.pth", {"model": {"encoder": torch.ones(3)}}), "model.pth", f"is not a whole XTTS; {NEW}", ALL),
    "a missing weight": (
        weights(lambda found: {name: found[name] for name in found if name != "gpt.mel_head.bias"}),
        "model.pth", f"does not fit .*; {SAME}", ALL),
    "weights with NaN": (
        weights(lambda found: put_nan(found, "gpt.mel_head.weight")), "model.pth",
        r": gpt\.mel_head\.weight has values that are not finite; .* earlier checkpoint", BUT_SAY),
    "weights with infinity": (
        weights(lambda found: put_nan(found, "gpt.text_head.bias", float("-inf"))), "model.pth",
        r": gpt\.text_head\.bias has values that are not finite; .* earlier checkpoint", BUT_SAY),
    "zeros for mel_stats inside": (
        weights(lambda found: found.update(mel_stats=torch.zeros(80))),
        "model.pth", f"mel_stats has values .*; {NEW}", ALL),
    # dvae.pth
    "a DVAE is a list": (saved("dvae.pth", [1]), "dvae.pth", "holds no weights; take", ALL),
    "a DVAE is a model": (saved("dvae.pth", {"a": torch.ones(1)}), "dvae.pth", "is not a DVAE of XTTS .*; take", ALL),
    "a flat codebook": (
        dvae(lambda found: found.update({"codebook.embed": torch.ones(1024)})),
        "dvae.pth", "is not a DVAE .*; take", ALL),
    "a DVAE of another shape": (
        dvae(lambda found: found.update({"encoder.0.0.weight": torch.ones(7, 80, 3)})),
        "dvae.pth", "is not a DVAE", ALL),
    "a wide DVAE": (
        dvae(lambda found: found.update({"encoder.0.0.weight": torch.ones(20_000, 80, 3)})),
        "dvae.pth", "tensors are smaller than its sizes.; take", ALL),
    "a DVAE with NaN": (
        dvae(lambda found: put_nan(found, "codebook.embed")), "dvae.pth", "codebook.embed .* not finite; ", BUT_SAY),
    # mel_stats.pth
    "mel_stats of zeros": (stats(torch.zeros_like), "mel_stats.pth", f"values that are zero, .*; {NEW}", ALL),
    "one zero in mel_stats": (
        stats(lambda value: value.index_fill(0, torch.tensor([3]), 0)), "mel_stats.pth", f"are zero, .*; {NEW}", ALL),
    "mel_stats with NaN": (stats(lambda value: value * float("nan")), "mel_stats.pth", f"not finite .*; {NEW}", ALL),
    "mel_stats too short": (stats(lambda value: value[:79].clone()), "mel_stats.pth", r"\(\[79\], not \[80\]\)", ALL),
    "mel_stats of whole numbers": (
        stats(lambda value: value.long()), "mel_stats.pth", f"is no mel_stats .*; {NEW}", ALL),
    "mel_stats is a dict": (saved("mel_stats.pth", {}), "mel_stats.pth", rf"\(a dict, not \[80\]\); {NEW}", ALL),
    # speakers_xtts.pth
    "speakers are a list": (
        saved("speakers_xtts.pth", [1]), "speakers_xtts.pth", f"hold named speakers, .*; {NEW}", BUT_SAY),
    "speakers are a text": (text("speakers_xtts.pth", "anna"), "speakers_xtts.pth", NO_TORCH, BUT_SAY),
    "a speaker is a number": (
        saved("speakers_xtts.pth", {"anna": 3}), "speakers_xtts.pth", f"a NoneType, not .*; {TAKE}", BUT_SAY),
    "a speaker's name is a number": (speaker(name=3), "speakers_xtts.pth", f"hold named speakers, .*; {NEW}", BUT_SAY),
    "a speaker's name has a line break": (
        speaker(name="a\n\x1b[2Jb"), "speakers_xtts.pth", f"hold named speakers, .*; {NEW}", BUT_SAY),
    "latents of another width": (
        speaker(latent=(1, 32, 9)), "speakers_xtts.pth",
        rf"'anna' has gpt_cond_latent \[1, 32, 9\], not \[1, any, 64\]; {TAKE}", BUT_SAY),
    "no latents": (speaker(latent=None), "speakers_xtts.pth", f"gpt_cond_latent a NoneType, .*; {TAKE}", BUT_SAY),
    "an embedding of another size": (
        speaker(embedding=(1, 256, 1)), "speakers_xtts.pth", rf"embedding \[1, 256, 1\], not .*; {TAKE}", BUT_SAY),
    "a speaker of eight bits": (
        speaker(latent=torch.ones(1, 32, WIDTH).to(torch.float8_e4m3fn)), "speakers_xtts.pth",
        rf"'anna' has gpt_cond_latent .*; {TAKE}", BUT_SAY),
    "mel_stats of eight bits": (
        stats(lambda value: value.to(torch.float8_e4m3fn)), "mel_stats.pth", f"is no mel_stats of XTTS .*; {NEW}", ALL),
    "a speaker with NaN": (
        speaker(latent=torch.full((1, 32, WIDTH), float("nan"))), "speakers_xtts.pth", f"not finite; {TAKE}", BUT_SAY),
    # voicetune.json
    "facts are null": (text("voicetune.json", "null"), "voicetune.json", f"should be a JSON object, .*; {NEW}", ALL),
    "facts are a list": (text("voicetune.json", "[]"), "voicetune.json", f"should be a JSON object, .*; {NEW}", ALL),
    "facts are cut off": (text("voicetune.json", '{"vocoder"'), "voicetune.json", f"cannot be read .*; {NEW}", ALL),
    "facts are deep": (text("voicetune.json", DEEP), "voicetune.json", f"cannot be read .*; {NEW}", ALL),
    "no vocoder": (text("voicetune.json", "{}"), "voicetune.json", f": 'vocoder' is null, .*; {TAKE}", ALL),
    "another vocoder": (fact(vocoder="wavenet"), "voicetune.json", f": 'vocoder' is 'wavenet', .*; {TAKE}", ALL),
    "a vocoder is a list": (fact(vocoder=[]), "voicetune.json", f": 'vocoder' is a list, .*; {TAKE}", ALL),
    "no such language": (fact(language="klingon"), "voicetune.json", f": 'language' is 'klingon', .*; {TAKE}", ALL),
    "a language is a list": (fact(language=["en"]), "voicetune.json", f": 'language' is a list, .*; {TAKE}", ALL),
    "a licence of two lines": (fact(licence="a\nb"), "voicetune.json", f": 'licence' is .*; {TAKE}", ALL),
    "facts of a phase in a list": (fact(facts=[1]), "voicetune.json", f": 'facts' may hold only .*; {NEW}", ALL),
    "facts with control characters": (
        fact(facts={"a": "\x1b[2J"}), "voicetune.json", f": 'facts' may hold only .*; {NEW}", ALL),
    # links out of the folder
    **{f"{name} leads out": (linked(name), name, LINK, BUT_SAY) for name in FILES},
    # pickles that would run code
    **{
        f"{name} would run code ({how})": (
            hostile(name, how), name, RUNS, BUT_SAY if name == "speakers_xtts.pth" else ALL)
        for name in ("model.pth", "dvae.pth", "mel_stats.pth", "speakers_xtts.pth")
        for how in ("system", "mkdir", "exec", "beside a configuration: exec", "old layout: exec")
    },
}  # fmt: skip


@pytest.fixture
def place(small_base, tmp_path) -> Place:
    return Place(tmp_path, small_base)


def run(way: str, model: Path, out: Path) -> None:
    if way == "base":
        origins.unfold(str(model), out, BUNDLE)
    elif way == "export":
        export.export(model, out, Gift())
    else:
        Voice(model)


def hashes(top: Path) -> dict[str, str]:
    return {
        str(path.relative_to(top)): os.readlink(path) if path.is_symlink() else hashed(path)
        for path in sorted(top.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def hashed(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size < 1e6 else str(path.stat().st_mtime_ns)


def test_the_unspoiled_folder_is_accepted(place, tmp_path):
    speaker()(place)
    stats(lambda value: -value.abs())(place)  # the published values are negative too
    for way in ALL:
        run(way, place.model, tmp_path / way)
    for way in BUT_SAY:
        assert {path.name for path in (tmp_path / way).iterdir()} >= set(FILES)


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_model_is_one_sentence_and_changes_no_file(name, place, tmp_path, capfd):
    spoil, file, sentence, ways = TABLE[name]
    spoil(place)
    out = tmp_path / "out"
    before = hashes(tmp_path)
    for way in ways:
        if way == "base":
            out.mkdir()
            (out / "kept").write_text("the base before\n")
        with pytest.raises(UserError, match=sentence) as caught:
            run(way, place.model, out)
        said = str(caught.value)
        assert str(place.model / file) in said
        assert "; " in said, "a remedy follows"
        assert said.isprintable()
        assert len(said) < 600
        assert "weights_only" not in said
        assert ".part" not in said
        if way == "base":
            assert [path.name for path in out.iterdir()] == ["kept"]
            shutil.rmtree(out)
        assert hashes(tmp_path) == before, f"{way} added, changed or removed a file"
    assert not place.marker.exists(), "loading the pickle called a function"
    written = capfd.readouterr()
    assert "Warning" not in written.err + written.out


@pytest.mark.parametrize("name", ["config.json", "vocab.json"])
@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_a_pipe_device_or_folder_in_place_of_a_json_file_is_refused(name, make, place):
    no_plain(name, make)(place)
    with pytest.raises(UserError, match=rf"{name} is a (pipe or a device|folder), but should be .*; {NEW}"):
        run("say", place.model, place.model / "out")


# The key `base` in params.yaml


@pytest.mark.parametrize("base", ["2024-13-45", "a\0b", "x" * 300, "/".join("y" * 250 for _ in range(20)), "no\nsuch"])
def test_a_base_that_cannot_be_a_path_is_refused(base, tmp_path):
    with pytest.raises(
        UserError, match=r"^base: .* is neither .* nor a folder; correct `base` in params\.yaml"
    ) as said:
        origins.unfold(base, tmp_path / "out", BUNDLE)
    assert str(said.value).isprintable()
    assert len(str(said.value)) < 250
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (ROOT / "README.md", r"README\.md has no config\.json beside it; copy"),
        (ROOT / "data" / "raw", r"has no model\.pth, best_model\.pth or checkpoint; take the folder"),
    ],
)
def test_a_base_that_is_not_a_model_is_refused(base, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        origins.unfold(str(base), tmp_path / "out", BUNDLE)
    assert not list(tmp_path.iterdir())


def test_a_base_that_names_a_file_which_is_not_a_checkpoint_is_refused(place, tmp_path):
    with pytest.raises(UserError, match=r"model/config\.json is no checkpoint of torch"):
        origins.unfold(str(place.model / "config.json"), tmp_path / "out", BUNDLE)


def test_stage_base_refuses_a_bad_folder(place, tmp_path, monkeypatch):
    """Run the stage itself, which reads params.yaml."""
    text("speakers_xtts.pth", "no")(place)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"base: {place.model}\n")
    with pytest.raises(UserError, match=rf"{place.model}/speakers_xtts\.pth is no checkpoint"):
        base_stage.main()
    assert not list(Path("models").iterdir())


# Links


def test_links_into_the_caches_of_dvc_and_of_the_hub_are_followed(place, small_base, tmp_path):
    patterns = ("cache/files/md5/ab/{:030x}", "hub/blobs/{:064x}", "hub/blobs/{:040x}")
    for number, name in enumerate(FILES):
        kept = tmp_path / patterns[number % 3].format(number)
        kept.parent.mkdir(parents=True, exist_ok=True)
        os.link(small_base / name, kept)
        (place.model / name).unlink()
        (place.model / name).symlink_to(os.path.relpath(kept, place.model))
    for way in BUT_SAY:
        run(way, place.model, tmp_path / way)
        assert not any(path.is_symlink() for path in (tmp_path / way).iterdir())
        assert (tmp_path / way / "LICENSE.txt").read_bytes() == (small_base / "LICENSE.txt").read_bytes()


def test_a_link_within_the_folder_is_followed(place, tmp_path):
    (place.model / "model.pth").rename(place.model / "best_model_7.pth")
    (place.model / "model.pth").symlink_to("best_model_7.pth")
    run("export", place.model, tmp_path / "out")
    assert not (tmp_path / "out" / "model.pth").is_symlink()


def test_a_model_with_a_link_out_of_its_folder_is_not_published(place, tmp_path):
    """A phase's folder may come from a remote. No file in it, or in a folder of it, may be a link to elsewhere."""
    (place.model / "more").symlink_to(place.victim)
    with pytest.raises(UserError, match=r"more/\S+ is a link to .*victim"):
        publish(place.model, tmp_path / "voice", tmp_path / "spoken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["his", "spoken", "victim"]


def test_speakers_that_are_a_link_out_are_not_published(place, tmp_path):
    (tmp_path / "spoken").mkdir()
    (tmp_path / "spoken" / "speakers_xtts.pth").symlink_to(place.victim / "secret.txt")
    with pytest.raises(UserError, match=r"speakers_xtts.pth is a link to .*victim"):
        publish(place.model, tmp_path / "voice", tmp_path / "spoken")
    assert not (tmp_path / "voice").exists()


@pytest.mark.parametrize("way", BUT_SAY)
def test_a_licence_that_is_a_circular_link_counts_as_missing(way, place, tmp_path):
    (place.model / "LICENSE.txt").unlink(missing_ok=True)
    (place.model / "LICENSE.txt").symlink_to("LICENSE.txt")
    run(way, place.model, tmp_path / "out")  # the file counts as missing, and a licence may be missing
    assert not (tmp_path / "out" / "LICENSE.txt").is_symlink()


def publish(model: Path, out: Path, spoken: Path) -> None:
    """Publish a model as stage publish does, with the speakers that stage speak left in `spoken`."""
    spoken.mkdir(exist_ok=True)
    if not (spoken / "speakers_xtts.pth").is_symlink():
        shutil.copyfile(model / "speakers_xtts.pth", spoken / "speakers_xtts.pth")
    (spoken / "references.json").write_text("{}")
    publishing.publish("phase2", model, out, spoken, [], Decoding.model_construct(), [])


@pytest.mark.parametrize("key", ["tokenizer_file", "dvae_checkpoint", "mel_norm_file"])
def test_a_configuration_cannot_make_the_base_read_other_files(key, place, tmp_path):
    names = {"tokenizer_file": "vocab.json", "dvae_checkpoint": "dvae.pth", "mel_norm_file": "mel_stats.pth"}
    (place.model / names[key]).unlink()
    for named in (place.victim / "secret.txt", "a\0b", "x" * 5000, ["x"], "/dev/stdin"):
        setting(**{key: str(named) if isinstance(named, Path) else named})(place)
        assert origins.starts._find(place.model, names[key], str(named)) is None
    shutil.copyfile(place.victim / "secret.txt", place.victim / names[key])
    setting(**{key: str(place.victim / names[key])})(place)
    with pytest.raises(UserError, match=rf"victim/{names[key]} (cannot be read|is no checkpoint).*; {NEW}"):
        run("base", place.model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# A full disk, and a folder without permission to write


@contextmanager
def no_file_bigger_than(size: int) -> Iterator[None]:
    """Make writing more raise an error, in Python and in torch's own writer, as on a full disk."""
    import resource  # Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("way", "size"),
    [("base", 100), ("base", 20_000_000), ("tiny", 20_000_000), ("a trainer's", 20_000_000), ("export", 20_000_000),
     ("publish", 20_000_000)],
)  # fmt: skip
def test_a_full_disk_leaves_existing_files_unchanged(way, size, place, tmp_path, tmp_path_factory):
    spoken = tmp_path_factory.mktemp("spoken")
    out = tmp_path / "made" / "out"
    if way != "export":
        out.mkdir(parents=True)
        (out / "kept").write_text("before\n")
    if way == "a trainer's":  # weights alone, so the base stage writes a new file instead of copying
        place.save("model.pth", place.read("model.pth")["model"])
    before = hashes(tmp_path)
    calls = {
        "publish": lambda: publish(place.model, out, spoken),
        "tiny": lambda: origins.unfold("tiny", out, BUNDLE),
        "export": lambda: run("export", place.model, out),
    }
    call = calls.get(way, lambda: run("base", place.model, out))
    with no_file_bigger_than(size), pytest.raises(UserError, match=f"{out} cannot be written .*are free.; make room"):
        call()
    assert hashes(tmp_path) == before
    assert not list(tmp_path.rglob("*part*"))


@pytest.mark.parametrize("way", BUT_SAY)
def test_a_folder_that_may_not_be_written_is_one_sentence(way, place, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file/out cannot be written \(Not a directory"):
        run(way, place.model, tmp_path / "file" / "out")

    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"out cannot be written \(Permission denied.*correct the folder's"):
        run(way, place.model, tmp_path / "out")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_an_export_refuses_an_impossible_name(name, place, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        export.export(place.model, tmp_path / name, Gift())


def test_an_export_does_not_remove_a_folder_of_the_users(place, tmp_path):
    (tmp_path / "out.part").mkdir()
    run("export", place.model, tmp_path / "out")
    assert (tmp_path / "out.part").is_dir()


# The cost of opening a folder, and copies


def test_a_copy_of_a_missing_file_says_that_it_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"vocab\.json is missing; restore it, or make its folder again\."):
        copies.copy(tmp_path / "vocab.json", tmp_path / "out")


def test_opening_for_say_reads_each_file_once_and_checks_few_weights(place, monkeypatch):
    """Only stage base and the export check every weight for NaN; `say` need not."""
    seen: list[int] = []
    look = torch.isfinite
    monkeypatch.setattr(torch, "isfinite", lambda value: (seen.append(value.numel()), look(value))[1])
    opened = []
    load = tensors.torch.load
    monkeypatch.setattr(tensors.torch, "load", lambda path, **how: (opened.append(path.name), load(path, **how))[1])
    Voice(place.model)
    assert sum(seen) <= 160
    assert sorted(opened) == ["dvae.pth", "mel_stats.pth", "model.pth"]


def test_an_interrupted_copy_leaves_no_file(tmp_path):
    def stopped() -> None:
        with copies.whole(tmp_path / "out", tmp_path / "part") as part:
            (part / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("before", "left"), [(1, "old"), (2, "old"), (3, "old"), (4, "old"), (5, "new"), (6, "new")])
def test_a_kill_while_a_folder_is_replaced_leaves_a_whole_one(tmp_path, before, left):
    """The process dies before each of its renamings, and in the middle of each removal."""
    out = tmp_path / "out"

    def replace(text: str) -> None:
        with copies.whole(out, tmp_path / "out.part") as part:
            for name in ("a", "b"):
                (part / name).write_text(text)

    def contents(folder: Path) -> list[str]:
        return [path.read_text() for path in sorted(folder.iterdir())]

    def replace_and_die() -> None:
        steps, rmtree = itertools.count(1), shutil.rmtree

        def dying(call):
            def called(path, *given, **named):
                if next(steps) == before:
                    if call is rmtree:
                        (path / "a").unlink(missing_ok=True)
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(path, *given, **named)

            return called

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "rmtree", dying(rmtree))
            patch.setattr(os, "replace", dying(os.replace))
            replace("new")

    replace("old")
    process = multiprocessing.get_context("fork").Process(target=replace_and_die)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert [left, left] in [contents(folder) for folder in tmp_path.iterdir()]
    with pytest.raises(KeyboardInterrupt), copies.whole(out, tmp_path / "out.part"):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert contents(out) == [left, left]
    replace("newer")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert contents(out) == ["newer", "newer"]


def test_what_cannot_be_renamed_leaves_the_earlier_folder(tmp_path, monkeypatch):
    out, part = tmp_path / "out", tmp_path / "part"
    out.mkdir()
    (out / "kept").write_text("before")
    replace = os.replace

    def refuse(path: Path, target: Path):
        if path == part:
            raise PermissionError(13, "Permission denied", str(path))
        return replace(path, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=rf"{out} cannot be written \(Permission denied"), copies.whole(out, part):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "kept").read_text() == "before"


def test_a_file_in_the_place_of_a_folder_is_not_removed(tmp_path):
    (tmp_path / "out").write_text("years of work")
    with (
        pytest.raises(UserError, match=r"cannot be written \(Not a directory"),
        copies.whole(tmp_path / "out", tmp_path / "part"),
    ):
        pass
    assert (tmp_path / "out").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_into_an_existing_folder_is_refused(place, tmp_path, monkeypatch):
    """`new/..` is an existing folder as soon as `new` is made."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "thesis.txt").write_text("years of work")
    monkeypatch.chdir(tmp_path)
    for out in ("new/..", "nothere/../old", "old"):
        with pytest.raises(UserError, match="exists already; choose another name"):
            export.export(place.model, Path(out), Gift())
    with pytest.raises(UserError, match="in the model's own folder"):
        export.export(place.model, place.model / "given", Gift())
    assert (tmp_path / "old" / "thesis.txt").read_text() == "years of work"


def test_a_card_escapes_html_and_quotes():
    facts = {"licence": "<script> [free](http://evil.example)", "facts": {"base": "[x](y) | z"}}
    said = card.make("voice", facts, ['a"; os.system("id") #'], Gift(["<b>yes</b>"]))
    assert "<script>" not in said
    assert "<b>" not in said
    assert r"\[free\](http" in said
    assert r"| base | [x]\(y) \| z |" in said
    line = next(line for line in said.splitlines() if line.startswith("tts.tts_to_file("))
    compile(line, "card", "exec")
    assert 'speaker=\'a"; os.system("id") #\'' in line
