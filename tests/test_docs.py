"""The documentation: its links lead somewhere, and packages are installed without changing the pinned ones."""

import re
import subprocess

import pytest
from conftest import ROOT

LISTED = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", LISTED)
def test_links_lead_to_files_and_headings(name):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(name)))
    lost = []
    for path, anchor in (link.partition("#")[::2] for link in links if "://" not in link):
        place = (ROOT / name).parent / path if path else ROOT / name
        if not place.exists() or (anchor and anchor not in anchors(place.read_text(encoding="utf-8"))):
            lost.append(f"{path}#{anchor}")
    assert lost == []


def test_packages_are_installed_beside_the_pinned_ones():
    """`-c requirements.lock` keeps every pinned package at its version (docs/remotes.md says what happens without)."""
    pages = [name for name in LISTED if name.startswith(("README", "docs/"))]
    commands = [line for name in pages for line in re.findall(r"(?<!uv )pip install [^`\n]*", text_of(name))]
    refused = [line for line in commands if not line.startswith("pip install -c requirements.lock ")]
    assert refused == ["pip install 'dvc[s3]'", "pip install '.[s3]'"], "what docs/remotes.md advises against"
