"""The command `listen`: builds the page of the repository's spoken sentences, or reads the listeners' files."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from voicetune.errors import UserError
from voicetune.listening import page, results
from voicetune.params.whole import Params
from voicetune.terminal import console

SPOKEN = Path("data/spoken")
BUILT = Path("listening")  # holds the page and its key; not in git
KEPT = Path("data/listening")  # holds the answers behind metrics/listening.json, and their key; in git


def build(sentences: int, settings: Params, open_it: bool) -> None:
    """Build the page of the repository's spoken sentences, print where it is and, if `open_it`, open it in a browser.

    Raises:
        UserError: see `page.build`.
    """
    if sentences < 1:
        raise UserError(f"--sentences is {sentences}; give 1 or more.")
    built = page.build(SPOKEN, BUILT, settings.publish, sentences, settings.seed)
    size = built.path.stat().st_size / 1e6
    print(
        f"{built.path}: {built.comparisons} comparisons and {built.ratings} ratings, about {built.minutes} min, "
        f"{size:.1f} MB; then: voicetune listen <the saved file>"
    )
    if built.quieter:
        print(f"{built.quieter} sounds are quieter than the others: more gain would clip their peaks")
    if open_it and not webbrowser.open(built.path.resolve().as_uri()):
        print("no browser was found; open this file in a browser")


def read(paths: Sequence[Path], settings: Params) -> None:
    """Read listeners' files into metrics/listening.json and print the figures.

    Raises:
        UserError: see `results.run`.
    """
    found, key = results.run(paths, BUILT, KEPT, settings.compare.bootstrap, settings.seed)
    console.print(results.overview(found))
    print(f"{results.METRICS}: {found['raters']} listener{'s' if found['raters'] > 1 else ''}")
    if not results.sounds_unchanged(key, SPOKEN):
        print(
            "data/spoken has changed since the page was built: these figures are for the sounds of that page,"
            " not for those in data/spoken now"
        )
