"""The training of a phase: batches, steps, the loop, its saved states, and restarts."""
