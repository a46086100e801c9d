"""The speech recogniser, and what its text says about a sound."""
