"""The command `voicetune doctor`, and `python3 doctor.py` before the set-up."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from voicetune.doctor import machine
from voicetune.errors import shown


def run(root: Path) -> int:
    """Print a line for each thing that the run needs. The working directory is `root`.

    Returns:
        1 if something is missing that the run needs, else 0.
    """
    found = machine.look(root)
    if importlib.util.find_spec("torch"):
        from voicetune.doctor import project  # its imports are the packages

        found += project.look(root)
    else:
        rest = "params.yaml, recordings, torch and recogniser are looked at after the set-up; run this again then"
        found.append(machine.Finding(machine.WARNING, rest))
    for one in found:
        print(f"{one.state:8} {shown(one.what)}")
    lacking = sum(one.state == machine.MISSING for one in found)
    print("nothing is missing" if not lacking else f"{lacking} missing: see above")
    return 1 if lacking else 0
