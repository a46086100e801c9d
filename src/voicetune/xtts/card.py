"""Writes the card of a model that is given away: what its recipient should know, for people and for the hub.

The block at its top is the metadata that Hugging Face's hub reads: https://huggingface.co/docs/hub/model-cards
"""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from voicetune.data.consent import UNSIGNED
from voicetune.model import Gift
from voicetune.xtts import vocabulary

_UNTRAINED = """
Its HiFi-GAN is not trained, so the stock client above loads the model, but makes loud noise with it. voicetune makes
sound from the same codes in another way: `voicetune say "..." --model FOLDER`.
"""
READ_ADDED = f"""\
import unicodedata

cleaned = tokenizer.preprocess_text
ids = tokenizer.tokenizer.get_vocab()
names = {{place: name for name, place in ids.items()}}
marks = list("{vocabulary.MARKS.encode("unicode_escape").decode()}")


def preprocess_text(text, language):
    try:
        text = cleaned(text, language)
    except NotImplementedError:  # the stock client does not know the language: numbers and signs have to be in words
        text = " ".join(unicodedata.normalize("NFC", text).lower().split())
    mark = names.get(ids.get("[zh-cn]" if language == "zh" else f"[{{language}}]", -2) + 1)
    return "".join(c + mark if c + mark in ids else c for c in text) if mark in marks else text


tokenizer.preprocess_text = preprocess_text
"""
"""Makes the stock client's `tokenizer` read a language that was added (`vocabulary`), and the others as before."""
_ADDED = f"""
Its language was added to the base, and the stock client reads it only after these lines:

```python
tokenizer = tts.synthesizer.tts_model.tokenizer
{READ_ADDED}```
"""
_USE = """
## What it is for

To speak texts in the voice above, for what its speaker agreed to. It is not for making anybody believe that the speaker
said something, nor for any use that the licence or the consent excludes. Say where you use it that the speech is
synthetic.
"""


def make(name: str, facts: dict[str, Any], speakers: list[str], gift: Gift, added: bool = False) -> str:
    """The model card in Markdown.

    Args:
        facts: the content of voicetune.json.
        added: whether the voice's language was added to the base.
    """
    trained: dict[str, Any] = facts.get("facts", {})
    hashes = {key: value for key, value in trained.items() if key.endswith("_sha256")}
    figures = {key: value for key, value in trained.items() if key not in hashes}
    minutes = {"minutes of recordings": round(trained["clip_seconds"] / 60, 1)} if "clip_seconds" in trained else {}
    language = facts.get("language", "en")
    licence = facts.get("licence", "see LICENSE.txt")
    said = [_literal(one) for one in gift.consents or [UNSIGNED]]
    agreed = said[0] if len(said) == 1 else "".join(f"\n- {one}" for one in said)
    reads = _ADDED if added else ""
    untrained = "" if facts.get("vocoder") == "hifigan" else _UNTRAINED
    tables = _table("What was measured", gift.measured) + _table("How it was trained", minutes | figures | hashes)
    return f"""\
{_metadata(facts, language)}
# {name}

A voice for XTTS v2's classes, fine-tuned with voicetune. Origin: {_literal(_origin(facts))}.
Licence: {_literal(licence)}; its text is in LICENSE.txt and has to be handed on with every copy.

Speaker: {_literal(", ".join(speakers)) or "none saved"}
Consent: {agreed}

```python
from TTS.api import TTS
folder = "."  # where this file and model.pth are
tts = TTS(model_path=folder, config_path=folder + "/config.json")
tts.tts_to_file("...", speaker={(speakers or ["..."])[0]!r}, language="{language}", file_path="said.wav")
```
{reads}{untrained}{_USE}{tables}"""


def _origin(facts: dict[str, Any]) -> str:
    return str(facts.get("origin", facts.get("base", "unknown")))


def _metadata(facts: dict[str, Any], language: str) -> str:
    """The block that Hugging Face's hub reads."""
    known: dict[str, Any] = {
        "language": [language], "license": "other", "license_name": "see-license", "license_link": "LICENSE.txt",
        "library_name": "coqui", "pipeline_tag": "text-to-speech",
        "tags": ["text-to-speech", "xtts", "voicetune", "voice-cloning"],
    }  # fmt: skip
    if "xtts" in _origin(facts).lower():
        known["base_model"] = "coqui/XTTS-v2"
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def _table(title: str, rows: Mapping[str, Any]) -> str:
    lines = "\n".join(f"| {key} | {_figure(value)} |" for key, value in rows.items())
    return f"\n## {title}\n\n| | |\n| --- | --- |\n{lines}\n" if rows else ""


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    text = _plain(json.dumps(value, ensure_ascii=False).strip('"'))
    return text.replace("](", "]\\(").replace("|", "\\|")  # no link and no further cell; an interval stays readable


def _literal(text: str) -> str:
    """Escape a text so that Markdown makes no link, code or HTML of it."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", _plain(text))


def _plain(text: object) -> str:
    """Escape a text from outside for Markdown, so that HTML in it is shown as text."""
    return html.escape(str(text), quote=False)
