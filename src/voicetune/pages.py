"""Builds a web page that is one file: its style and its script stand in it, and it requests nothing from a network."""

import base64
import hashlib
from pathlib import Path
from typing import Any


def render(templates: Path, name: str, **values: Any) -> str:
    """Fill in a page's template. Texts are escaped.

    Args:
        templates: the folder with <name>.html.j2, <name>.css and <name>.js.
        values: what the template uses beside `style`, `script`, and their hashes for its Content-Security-Policy.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    style, script = ((templates / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    environment = Environment(loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined)
    hashes = {"style_hash": csp_hash(style), "script_hash": csp_hash(script)}
    return environment.get_template(f"{name}.html.j2").render(**values, style=style, script=script, **hashes)


def csp_hash(source: str) -> str:
    """A Content-Security-Policy source that allows this inline text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
