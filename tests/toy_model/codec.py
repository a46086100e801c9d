"""Sound to loudness and back."""

import numpy as np

RATE, HOP, CODES = 22050, 1024, 32  # CODES: how many levels of loudness there are, 2 dB apart


def loudness(samples: np.ndarray) -> np.ndarray:
    """(samples,) -> (codes,) int16, one level for each 1,024 samples."""
    padded = np.pad(samples, (0, -len(samples) % HOP)).reshape(-1, HOP)
    decibels = 20 * np.log10(np.abs(padded).mean(1) + 1e-5)
    return np.clip(decibels / 2 + CODES, 0, CODES - 1).astype(np.int16)


def tone(codes: np.ndarray, speed: float) -> np.ndarray:
    """(codes,) -> (samples,) float32: a tone of 220 Hz in this loudness."""
    level = np.repeat(10 ** ((codes - CODES) / 10.0), int(HOP / speed))
    return (level * np.sin(2 * np.pi * 220 * np.arange(level.size) / RATE)).astype(np.float32)
