"""Which measures need the recogniser, and which measures choose a model by ear."""

READ = ("intelligibility", "robustness")
"""The measures that use the recogniser's transcript."""
CHOSEN_BY = {
    "cer": ("intelligibility",),
    "mos": ("mos",),
    "composite": ("intelligibility", "similarity", "mos"),
}
"""The measures that each `select` by ear needs."""
