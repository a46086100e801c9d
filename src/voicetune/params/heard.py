"""Which measures the recogniser is needed for, and which measures choose a model by ear."""

READ = ("intelligibility", "robustness")
"""These stand on what the recogniser reads."""
CHOSEN_BY = {
    "cer": ("intelligibility",),
    "mos": ("mos",),
    "composite": ("intelligibility", "similarity", "mos"),
}
"""What a phase's `select` needs, by ear."""
