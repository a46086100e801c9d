"""Sound while the codes are drawn: HiFi-GAN turns the GPT's latents into sound chunk by chunk.

A sample depends only on the latents near it. So each chunk is computed with so many frames on both sides that its
samples are those of the whole. `Xtts.inference_stream` computes everything again for each chunk and fades between them.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder
from TTS.vocoder.models.hifigan_generator import HifiganGenerator

CODES = 20  # of a chunk
_UNSURE = 2  # codes at the end, between which and the next ones latents are interpolated


def reach(generator: HifiganGenerator) -> int:
    """How many frames away a frame can change the sound, from the kernels, dilations and strides of the modules."""
    frames, rate = _radius(generator.conv_pre), 1  # rate: samples for one frame
    for number, up in enumerate(generator.ups):
        first = number * generator.num_kernels
        frames += (up.kernel_size[0] - 1 - up.padding[0]) / up.stride[0] / rate
        rate *= up.stride[0]
        frames += max(map(_radius, generator.resblocks[first : first + generator.num_kernels])) / rate
    return math.ceil(frames + _radius(generator.conv_post) / rate)


def _radius(block: nn.Module) -> float:
    convolutions = [one for one in block.modules() if isinstance(one, nn.Conv1d)]
    return sum(one.dilation[0] * (one.kernel_size[0] - 1) / 2 for one in convolutions)


def upsample(decoder: HifiDecoder, latents: Tensor, speed: float) -> Tensor:
    """Interpolate latents (1, codes, width) to the frames of HiFi-GAN, (1, width, frames), as the stock client does."""
    found = latents.mT
    if speed != 1:
        found = F.interpolate(found, scale_factor=1 / speed, mode="linear")
    found = F.interpolate(
        found, scale_factor=[decoder.ar_mel_length_compression / decoder.output_hop_length], mode="linear"
    )
    if decoder.output_sample_rate != decoder.input_sample_rate:
        found = F.interpolate(
            found, scale_factor=[decoder.output_sample_rate / decoder.input_sample_rate], mode="linear"
        )
    return found


@torch.inference_mode()
def voice_chunks(decoder: HifiDecoder, latents: Iterable[Tensor], embedding: Tensor, speed: float) -> Iterator[Tensor]:
    """Turn latents into sound while they come. The chunks, joined, are the sound of the whole.

    Args:
        latents: (width,) of each code, in order.
        embedding: (1, 512, 1), the speaker's.

    Yields:
        (samples,) at the decoder's output rate.
    """
    edge, known, done = reach(decoder.waveform_decoder), [], 0
    for latent in latents:
        known.append(latent)
        if len(known) % CODES == 0:
            frames = upsample(decoder, torch.stack(known)[None], speed)
            ready = frames.shape[2] - edge - math.ceil(_UNSURE * frames.shape[2] / len(known))
            if ready > done:
                yield _voice(decoder, frames, embedding, done, ready, edge)
                done = ready
    if known:
        frames = upsample(decoder, torch.stack(known)[None], speed)
        yield _voice(decoder, frames, embedding, done, frames.shape[2], edge)


def _voice(decoder: HifiDecoder, frames: Tensor, embedding: Tensor, start: int, end: int, edge: int) -> Tensor:
    before = max(0, start - edge)
    wave = decoder.waveform_decoder(frames[:, :, before : end + edge], g=embedding)[0, 0]
    hop = math.prod(up.stride[0] for up in decoder.waveform_decoder.ups)
    return wave[(start - before) * hop : (end - before) * hop]
