"""Draw the report's pictures: curves and durations as SVG in the page's own colours, spectrograms as PNG."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from voicetune.data.clip import Clip
from voicetune.report.findings import Phase

_INK = "#010203"  # placeholder for the colour of the page's text, which `_svg` puts in
_COLOURS = ("#3d8fd1", "#e07b39", "#4aa564", "#b069c9", "#c9a227")  # readable on white and on near black


def curves(phases: Sequence[Phase]) -> str:
    """Draw the validation and training mel CE of the phases, one after the other on one axis of steps, as an <svg>."""
    with _figure(9, 3.8, "step, phase 2 after phase 1", "mel CE, nats per token") as (figure, axes):
        offset = 0.0
        for phase, colour in zip(phases, _COLOURS, strict=False):
            start = [] if phase.start is None else [(0.0, phase.start)]
            _line(
                axes,
                [*start, *phase.validation],
                offset,
                color=colour,
                marker="o",
                ms=3.5,
                label=f"{phase.name}, validation",
            )
            _line(axes, phase.train, offset, color=colour, lw=0.9, alpha=0.55, label=f"{phase.name}, training")
            step, value = phase.best
            axes.plot(offset + step, value, marker="*", ms=13, color=colour, mec=_INK, mew=0.6, ls="none",
                      label=f"best of {phase.name}: {value:.3f}")  # fmt: skip
            if phase.target is not None:
                axes.axhline(
                    phase.target, color=colour, ls="--", lw=1, label=f"target of {phase.name}: {phase.target:g}"
                )
            offset += phase.steps
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(dict(zip(labels, handles, strict=True)).values(), dict.fromkeys(labels), frameon=False,
                    fontsize=8, labelcolor=_INK)  # fmt: skip
        return _svg(figure)


def durations(clips: Sequence[Clip]) -> str:
    """Draw a histogram of the clips' durations, stacked by source, as an <svg>."""
    with _figure(9, 2.4, "seconds", "clips") as (figure, axes):
        sources = sorted({clip.source for clip in clips})
        values = [[clip.seconds for clip in clips if clip.source == source] for source in sources]
        axes.hist(
            values,
            bins=24,
            stacked=True,
            label=[one.replace("$", r"\$") for one in sources],
            color=[_COLOURS[i % 5] for i in range(len(sources))],
        )
        if len(sources) <= 12:
            axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
        return _svg(figure)


def spectrogram(samples: np.ndarray, rate: int) -> bytes:
    """Draw a mel spectrogram as a PNG.

    It has 80 bands up to 8 kHz, frames of 1024 samples, a hop of 256 samples, and a range of 60 dB.

    Args:
        samples: (samples,) float32 at `rate` Hz.
    """
    import librosa
    from matplotlib import image

    power = librosa.feature.melspectrogram(
        y=np.pad(samples, (0, max(0, 2048 - len(samples)))), sr=rate, n_fft=1024, hop_length=256, n_mels=80,
        fmax=min(8000, rate / 2),
    )  # fmt: skip
    file = io.BytesIO()
    level = librosa.power_to_db(power, ref=np.max, top_db=60)
    image.imsave(file, level, origin="lower", cmap="magma", format="png", metadata={"Software": "matplotlib"})
    return file.getvalue()


def _line(axes: Any, points: Sequence[tuple[float, float]], offset: float, **style: Any) -> None:
    if points:
        steps, values = np.array(points).T
        axes.plot(steps + offset, values, **style)


@contextmanager
def _figure(width: float, height: float, x: str, y: str) -> Iterator[tuple[Any, Any]]:
    import matplotlib

    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "voicetune", "font.family": "sans-serif", "font.size": 9}
    ):
        from matplotlib.figure import Figure  # not pyplot, which looks for a screen

        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=x, ylabel=y, facecolor="none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        axes.tick_params(colors=_INK)
        axes.grid(axis="y", color=_INK, alpha=0.15)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(_INK)
        yield figure, axes


def _svg(figure: Any) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :].replace(_INK, "currentColor")
