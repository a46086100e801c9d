"""Converts sound to audio codes and back: XTTS's discrete VAE, its mel spectrograms, Griffin-Lim.

Wraps `TTS.tts.layers.xtts.dvae`. The mel settings are those of the stock recipe
(`TTS.tts.layers.xtts.trainer.gpt_trainer`, `TTS.tts.models.xtts.wav_to_mel_cloning`).
"""

import functools

import numpy as np
import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F
from TTS.tts.layers.xtts.dvae import DiscreteVAE

from voicetune.precision import full_fp32

SAMPLE_RATE = 22050
HOP = 256
FRAMES_PER_CODE = 4
SAMPLES_PER_CODE = HOP * FRAMES_PER_CODE


def sizes_of(weights: dict[str, Tensor]) -> dict[str, int]:
    """The arguments of `build_dvae` that fit a DVAE's weights.

    Raises:
        KeyError: the weights are not a DVAE's.
    """
    codebook_dim, num_tokens = weights["codebook.embed"].shape
    blocks = sum(name.startswith("encoder.") and name.endswith(".net.0.weight") for name in weights)
    return {
        "num_tokens": num_tokens,
        "hidden_dim": weights["encoder.0.0.weight"].shape[0],
        "codebook_dim": codebook_dim,
        "num_resnet_blocks": blocks,
    }


def build_dvae(num_tokens: int, hidden_dim: int, codebook_dim: int, num_resnet_blocks: int) -> DiscreteVAE:
    """Build a discrete VAE as the stock trainer does, in the given sizes."""
    return DiscreteVAE(
        channels=80,
        normalization=None,
        positional_dims=1,
        num_tokens=num_tokens,
        codebook_dim=codebook_dim,
        hidden_dim=hidden_dim,
        num_resnet_blocks=num_resnet_blocks,
        kernel_size=3,
        num_layers=2,
        use_transposed_convs=False,
    )


@functools.cache
def _mel_transform(n_fft: int) -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        sample_rate=SAMPLE_RATE, n_fft=n_fft, win_length=1024, hop_length=HOP,
        f_min=0, f_max=8000, n_mels=80, power=2, normalized=False, norm="slaney",
    )  # fmt: skip


def log_mel(samples: Tensor, n_fft: int = 1024) -> Tensor:
    """Natural log of the power mel spectrogram, floor 1e-5. (batch, samples) -> (batch, 80, frames)."""
    return torch.log(torch.clamp(_mel_transform(n_fft)(samples), min=1e-5))


def dvae_mel(samples: Tensor, mel_stats: Tensor) -> Tensor:
    """The DVAE's input: n_fft 1024, each band divided by its entry in mel_stats (80,)."""
    return log_mel(samples, 1024) / mel_stats[None, :, None]


def conditioning_mel(samples: Tensor, mel_stats: Tensor) -> Tensor:
    """The conditioning encoder's input: n_fft 2048, otherwise as `dvae_mel`."""
    return log_mel(samples, 2048) / mel_stats[None, :, None]


def code_count(samples: int) -> int:
    """Number of audio codes of a clip with this number of samples, as `GPT.forward` counts them."""
    return -(-samples // SAMPLES_PER_CODE)


@torch.no_grad()
def encode(dvae: DiscreteVAE, samples: np.ndarray, mel_stats: Tensor) -> Tensor:
    """Encode one clip into audio codes, alone and unpadded (codes in a padded batch differ).

    Args:
        dvae: on any device. It runs in full fp32, because many codebook entries lie close together.
        samples: (samples,) float32 at 22,050 Hz.
        mel_stats: (80,), on the CPU, where the mel is computed.

    Returns:
        (codes,) int64 on the CPU, 0 to 1023; one per 1024 samples, rounded up.
    """
    device = next(dvae.parameters()).device
    mel = dvae_mel(torch.from_numpy(samples)[None], mel_stats).to(device)
    with full_fp32(device):
        codes = dvae.get_codebook_indices(mel)[0].cpu()
    return codes[: code_count(samples.size)]


@torch.no_grad()
def decode(dvae: DiscreteVAE, codes: Tensor, mel_stats: Tensor, speed: float = 1.0, iterations: int = 48) -> np.ndarray:
    """Turn audio codes into sound with the DVAE's decoder and Griffin-Lim (Perraudin et al. 2013).

    This is for a base whose HiFi-GAN is not trained. The phase starts from zero, so the same codes give the same bytes.

    Args:
        codes: (codes,) int64. Codes that are not in the codebook are left out, see `known_codes`.
        speed: divides the length of the mel spectrogram, by linear interpolation. The pitch stays the same.

    Returns:
        (samples,) float32 at 22,050 Hz, 1024 samples a code at speed 1.
    """
    codes = known_codes(dvae, codes)
    if codes.numel() == 0:
        return np.zeros(0, np.float32)
    return voice_mel(dvae.decode(codes[None])[0][0] * mel_stats[:, None], speed, iterations)


def known_codes(dvae: DiscreteVAE, codes: Tensor) -> Tensor:
    """Keep only the codes in the codebook. A barely trained GPT may draw others, such as START."""
    return codes[codes < dvae.codebook.n_embed]


def voice_mel(mel: Tensor, speed: float = 1.0, iterations: int = 48) -> np.ndarray:
    """Turn a log mel spectrogram (80, frames) into sound: (samples,) float32, 256 samples a frame at speed 1."""
    if speed != 1:
        mel = F.interpolate(mel[None], scale_factor=1 / speed, mode="linear")[0]
    power = F.pad(torch.exp(mel), (0, 1), mode="replicate")  # a centred transform has one frame more
    magnitude = torch.sqrt(torch.clamp(_mel_pseudo_inverse() @ power, min=0.0))
    wave = torchaudio.functional.griffinlim(
        magnitude, torch.hann_window(1024), n_fft=1024, hop_length=HOP, win_length=1024, power=1.0,
        n_iter=iterations, momentum=0.99, length=mel.shape[1] * HOP, rand_init=False,
    )  # fmt: skip
    return wave.numpy()


@functools.cache
def _mel_pseudo_inverse() -> Tensor:
    """Matrix (513, 80) that maps mel bands back to frequencies."""
    return torch.linalg.pinv(_mel_transform(1024).mel_scale.fb.T)
