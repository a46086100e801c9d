"""What the tables of results compare: their rows, the names of the rows for people, and the pairs of models."""

from voicetune.params.models import MODELS

CEILING = ("recordings", "codec")
ROWS = (*CEILING, *MODELS)
RATED = (*MODELS, "recordings")
"""The rows that people hear in the listening test."""
LABELS = {"base": "base", "phase1": "phase 1", "phase2": "phase 2", "recordings": "recordings", "codec": "codec"}
PAIRS = (("base", "phase1"), ("phase1", "phase2"), ("base", "phase2"))
