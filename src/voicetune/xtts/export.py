"""Prepares a model folder to be given away: the stock client can load it, and it names licence, origin and consent."""

import html
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voicetune import copies
from voicetune.data.consent import UNSIGNED
from voicetune.errors import UserError
from voicetune.xtts import folder

CARD = "README.md"
_UNTRAINED = """
Its HiFi-GAN is not trained, so the stock client above loads the model, but makes loud noise with it. voicetune makes
sound from the same codes in another way: `python -m voicetune say "..." --model FOLDER`.
"""
_UNKNOWN_LICENCE = """\
The folder that this model was trained from had no licence text. If it descends from the published XTTS v2, it is
under the Coqui Public Model License, which allows no commercial use of the model and of what it says, and whose text
is to be handed on with every copy: https://coqui.ai/cpml.txt
"""


def export(model: Path, out: Path, consents: Sequence[str]) -> None:
    """Copy a model folder with its weights as model.pth, where `TTS(model_path=...)` looks for them.

    Args:
        consents: lines that say who agreed to what. Without any, the card has a line to fill in.

    Raises:
        UserError: `out` exists already, lies in the model's folder or cannot be written, or `folder.check` fails. A
            failed export leaves no new folder.
    """
    out = Path(os.path.abspath(out))  # so that "new/.." counts as the folder that exists already
    if os.path.lexists(out):
        raise UserError(f"{out} exists already; choose another folder, or remove it.")
    if out.is_relative_to(model.resolve()):
        raise UserError(f"{out} lies in the model's own folder; choose another one.")
    folder.check(model)
    with copies.whole(out, out.with_name(f".{out.name}.voicetune-part")) as part:
        for name in (*folder.SHARED, folder.SPEAKERS, folder.FACTS, folder.LICENCE):
            if (model / name).is_file():
                copies.copy(model / name, part / name)
        copies.copy(folder.weights_file(model), part / "model.pth")
        text = make_card(out.name, folder.read_facts(model), sorted(folder.speakers(model)), consents)
        with copies.written(out):
            if not (part / folder.LICENCE).is_file():
                (part / folder.LICENCE).write_text(_UNKNOWN_LICENCE, encoding="utf-8")
            (part / CARD).write_text(text, encoding="utf-8")


def make_card(name: str, facts: dict[str, Any], speakers: list[str], consents: Sequence[str]) -> str:
    """The model card in Markdown: what the recipient of the folder should know."""
    figures = {key: value for key, value in facts.get("facts", {}).items() if not key.endswith("_sha256")}
    hashes = {key: value for key, value in facts.get("facts", {}).items() if key.endswith("_sha256")}
    rows = "\n".join(f"| {key} | {_figure(value)} |" for key, value in (figures | hashes).items())
    table = f"\n## How it was trained\n\n| | |\n| --- | --- |\n{rows}\n" if rows else ""
    language = facts.get("language", "en")
    origin, licence = facts.get("origin", facts.get("base", "unknown")), facts.get("licence", "see LICENSE.txt")
    said = [_literal(one) for one in consents or [UNSIGNED]]
    agreed = said[0] if len(said) == 1 else "".join(f"\n- {one}" for one in said)
    untrained = "" if facts.get("vocoder") == "hifigan" else _UNTRAINED
    return f"""\
# {name}

A voice for XTTS v2's classes, fine-tuned with voicetune. Origin: {_plain(origin)}.
Licence: {_plain(licence)}; its text is in LICENSE.txt and has to be handed on with every copy.

Speaker: {_plain(", ".join(speakers)) or "none saved"}
Consent: {agreed}

```python
from TTS.api import TTS
tts = TTS(model_path="{name}", config_path="{name}/config.json")
tts.tts_to_file("...", speaker={(speakers or ["..."])[0]!r}, language="{language}", file_path="said.wav")
```
{untrained}{table}"""


def _figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else _plain(json.dumps(value, ensure_ascii=False).strip('"'))


def _literal(text: str) -> str:
    """Escape a text so that Markdown makes no link, code or HTML of it."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", _plain(text))


def _plain(text: object) -> str:
    """Escape a text from outside for Markdown, so that HTML in it is shown as text."""
    return html.escape(str(text), quote=False)
