"""Serve a voice as the stock client is usually served: a lock, and one text after the other. `serve.py` loads it.

    python bench/serve_stock.py models/voice --port 8021

`GPT.generate` draws the codes, called as `Xtts.inference` calls it, with the decoding of the model folder. Nothing is
checked or drawn again. The sound is made by our renderer and Griffin-Lim, because the tiny base's HiFi-GAN is not
trained. So a text costs less here than in the stock client, which also computes latents and runs HiFi-GAN.

Source: coqui-tts 0.28.0 `TTS/tts/models/xtts.py`, `Xtts.inference`.
"""

import argparse
import copy
import socket
import threading
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

from voicetune import entry
from voicetune.service import sounds
from voicetune.service.metrics import SPEECH, Counted, Metrics
from voicetune.speech.voice import Line, Voice


class Asked(BaseModel):
    input: str
    voice: str
    seed: int = 1


class Stock:
    """The stock GPT of a model folder, which speaks one text at a time."""

    def __init__(self, folder: Path):
        self.voice, self.lock = Voice(folder), threading.Lock()
        model: Any = self.voice.model
        self.gpt = copy.deepcopy(model.xtts.gpt)
        self.gpt.init_gpt_for_inference()
        self.gpt.eval()
        self.speakers, self.decoding = self.voice.speakers(), self.voice.decoding()

    def speak(self, asked: Asked) -> Response:
        """Answer with PCM."""
        line, speaker = Line(asked.input, self.voice.language), self.speakers[asked.voice]
        with self.lock, torch.inference_mode():
            torch.manual_seed(asked.seed)
            row = self.gpt.generate(
                cond_latents=speaker["gpt_cond_latent"], text_inputs=self.voice.tokens(line)[None], do_sample=True,
                top_p=self.decoding.top_p, top_k=self.decoding.top_k, temperature=self.decoding.temperature,
                num_return_sequences=1, num_beams=1, length_penalty=1.0,
                repetition_penalty=self.decoding.repetition_penalty, output_attentions=False,
            )[0]  # fmt: skip
            sound = self.voice.sound(row[row != self.gpt.stop_audio_token], line, speaker)
            return Response(sounds.encode(sounds.finish(sound, self.voice.rate), "pcm"), media_type="audio/pcm")

    def list_voices(self) -> dict[str, Any]:
        return {"voices": [{"id": name} for name in self.speakers]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=8021)
    given = parser.parse_args()
    stock, metrics, app = Stock(given.model), Metrics(lambda: 0), FastAPI()
    app.add_middleware(Counted, metrics=metrics)
    app.add_api_route(SPEECH, stock.speak, methods=["POST"], response_class=Response)
    app.add_api_route("/v1/voices", stock.list_voices)
    app.add_api_route("/metrics", lambda: Response(metrics.text()), response_class=Response)
    listening = socket.create_server(("127.0.0.1", given.port), backlog=512)
    print(f"http://127.0.0.1:{listening.getsockname()[1]} serves {given.model}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    entry.run(main)
