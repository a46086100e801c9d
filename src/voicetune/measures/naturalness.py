"""Predicted MOS: how natural and clean listeners would probably find a sound, on a scale of 1 to 5.

The predictor is DNSMOS P.835 (Reddy et al. 2022, arXiv:2110.01763), which scores overall quality, signal and
background. Its weights come with the package speechmos. It was trained on noisy speech, so it reacts to noise and
artefacts more than to odd intonation. It does not replace listeners.
"""

from pathlib import Path

import numpy as np
import soxr

from voicetune.data.audible import audible

_RATE = 16000
_WINDOW = int(9.01 * _RATE)  # samples in one input of the model
_THREADS = 1  # per sound; the order of floating-point sums depends on the number of threads


class MosPredictor:
    """DNSMOS on the CPU, where the same samples always give the same figures."""

    def __init__(self) -> None:
        import onnxruntime
        from speechmos import dnsmos

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = _THREADS, 1
        weights = Path(dnsmos.__file__).parent / "dnsmos_models" / "sig_bak_ovr.onnx"
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._calibrated = dnsmos.DNSMOS.get_polyfit_val

    def predict(self, samples: np.ndarray, rate: int) -> tuple[float, float, float] | None:
        """Predict overall, signal and background MOS; None if the sound is silent, not finite or shorter than 0.25 s.

        Args:
            samples: float32 in -1 to 1, shape (samples,).
            rate: sample rate in Hz.

        A sound shorter than the model's window of 9 s is repeated to fill the window. On a longer sound the window
        moves by one second, and the scores are averaged. speechmos also averages over several shifts of a repeated
        sound, which takes seven times as long.
        """
        samples = np.asarray(samples, np.float32)
        if not audible(samples, rate):
            return None
        sound = np.clip(soxr.resample(samples, rate, _RATE), -1, 1)
        if len(sound) < _WINDOW:
            sound = np.resize(sound, _WINDOW)
        starts = range(0, len(sound) - _WINDOW + 1, _RATE)
        raw = [self._session.run(None, {"input_1": sound[None, i : i + _WINDOW]})[0][0] for i in starts]
        signal, background, overall = np.mean([self._calibrated(None, *row, False) for row in raw], axis=0)
        return float(overall), float(signal), float(background)
