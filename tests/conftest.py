"""What the tests of XTTS and of the training share: a base from the bundle, and a small encoded dataset."""

import re
import shutil
from pathlib import Path

import dvc  # noqa: F401 - its log keeps the stdout of the first import, and that of a test with capsys is closed after it
import numpy as np
import pytest

from voicetune.data import audio, clip, espeak
from voicetune.data.clip import Clip

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "pretrain" / "bundle"
SPEAKER = "quizmaster"
TEXTS = (
    "Good evening.",
    "Welcome to the show.",
    "Which river flows through Budapest?",
    "That is the correct answer.",
    "No, I am sorry.",
    "Here comes the next question.",
    "Who painted this famous picture?",
    "Take your time.",
    "The answer is seven.",
    "How many legs does a spider have?",
    "Well done.",
    "Let us hear it again.",
    "You are in the lead.",
    "Thank you and good night.",
)
TRAINING = 10


def example_of_docs(begin: str) -> str:
    """Return the worked example of docs/extending.md that begins so."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (found,) = (code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if code.startswith(begin))
    return found


def with_scripts(params: str) -> str:
    """Return the default parameters with espeak-ng as the source: it reads the same texts as the recordings."""
    for name in ("questions", "host"):
        begin, end = f"reader: ljspeech\n    path: data/raw/{name}\n", "    speaker: quizmaster\n    language: en\n"
        spoken = f"reader: espeak\n    path: data/scripts/{name}.txt\n"
        assert begin + end in params, "the tests need the repository's params.yaml: `git restore params.yaml`"
        params = params.replace(begin + end, spoken + end + "    voice: en-us+m1\n    rate: 150\n    pitch: 50\n")
    return params


@pytest.fixture(scope="module")
def one_thread():
    """Run torch on one thread. Such small models gain nothing from two, and sums are the same on every machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bundle_base(tmp_path_factory) -> Path:
    """The folder that stage `base` makes from the bundle. Tests must not change it."""
    from voicetune.xtts import origins

    out = tmp_path_factory.mktemp("models") / "base"
    origins.unfold("tiny", out, BUNDLE)
    return out


@pytest.fixture(scope="session")
def dataset(tmp_path_factory, bundle_base) -> Path:
    """A data folder with `clips` and `codes`: 14 short clips of one voice (10 train, 2 validation, 2 test)."""
    from voicetune.data import codes
    from voicetune.data.dataset import Dataset
    from voicetune.xtts import encoding, folder

    data = tmp_path_factory.mktemp("data")
    clips = [_record(data / "clips", i, text) for i, text in enumerate(TEXTS)]
    clip.write(data / "clips" / "clips.csv", clips)
    words, (dvae, mel_stats) = folder.open_tokenizer(bundle_base), folder.open_dvae(bundle_base)
    sounds = [Dataset(data).sound(c)[0] for c in clips]
    encoded = [encoding.encode_clip(c, s, words, dvae, mel_stats) for c, s in zip(clips, sounds, strict=True)]
    codes.save(data / "codes", clips, encoded)
    return data


def _side(number: int) -> str:
    return "train" if number < TRAINING else "validation" if number < TRAINING + 2 else "test"


def _record(folder: Path, number: int, text: str) -> Clip:
    name = f"clip{number:02d}"
    spoken: np.ndarray = espeak.speak(text, "en-us+f3")
    samples = audio.clean(spoken, espeak.SAMPLE_RATE, trim_db=45, loudness=-23, peak=0.95)
    audio.write(folder / f"{name}.flac", samples)
    return Clip(
        id=name, file=f"{name}.flac", text=text, language="en", speaker=SPEAKER, source="espeak",
        seconds=samples.size / audio.SAMPLE_RATE, split=_side(number),
    )  # fmt: skip


@pytest.fixture(scope="session")
def small_base(bundle_base, tmp_path_factory) -> Path:
    """A model folder with an untrained GPT of 2 layers and width 64, and the bundle's vocabulary and DVAE."""
    import torch

    from voicetune.xtts import folder, origins

    out = tmp_path_factory.mktemp("models") / "small"
    shutil.copytree(bundle_base, out, ignore=shutil.ignore_patterns("model.pth"))
    settings = origins.tiny_config(layers=2, width=64, heads=2, num_tokens=1024, languages=["en", "hu"])
    torch.manual_seed(3)
    model = folder.build(settings, folder.open_tokenizer(out))
    torch.save({"model": model.state_dict()}, out / "model.pth")
    settings.save_json(str(out / "config.json"))
    return out


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, for the tests of pages."""
    from playwright.sync_api import sync_playwright  # `make test-browser` installs it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()
