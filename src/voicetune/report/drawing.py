"""Draw the report's pictures: curves, durations and the result as SVG, spectrograms as PNG."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from voicetune.data.clip import Clip
from voicetune.report.findings import PhaseCurves

_INK = "#010203"  # placeholder for the colour of the page's text, which `_svg` puts in
COLOURS = ("#3d8fd1", "#e07b39", "#4aa564", "#b069c9", "#c9a227")  # readable on white and on near black
_PAGES = "<style>svg { color: #57606a } @media (prefers-color-scheme: dark) { svg { color: #9198a1 } }</style>"


def curves(phases: Sequence[PhaseCurves]) -> str:
    """Draw the validation and training mel CE of the phases, one after the other on one axis of steps, as an <svg>."""
    with _figure(9, 3.8, "step, phase 2 after phase 1", "mel CE, nats per token") as (figure, axes):
        offset = 0.0
        for phase, colour in zip(phases, COLOURS, strict=False):
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


def validation_curves(runs: Sequence[tuple[Sequence[PhaseCurves], str, str]]) -> str:
    """Draw the validation mel CE of several trainings on one axis, as an <svg> without a legend. A star is the best.

    Args:
        runs: the phases of each training, its colour, and its dash pattern as matplotlib writes it.
    """
    with _figure(9, 3.8, "step, phase 2 after phase 1", "validation mel CE, nats per token") as (figure, axes):
        for number, (phases, colour, dash) in enumerate(runs):
            offset, width = 0.0, max(1.4, 4 - number)  # a line that lies on an earlier one does not hide it
            for phase in phases:
                points = [*([] if phase.start is None else [(0.0, phase.start)]), *phase.validation]
                _line(axes, points, offset, color=colour, ls=dash, lw=width, marker="o", ms=3)
                axes.plot(offset + phase.best[0], phase.best[1], marker="*", ms=11, color=colour, mec=_INK, mew=0.6)
                offset += phase.steps
        return _svg(figure)


def result(phases: Sequence[PhaseCurves], rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw the picture that README.md shows: the curves of the phases, and the CER and SECS of every row.

    A bar has its 95 % interval. The <svg> is readable on light and dark pages.

    Args:
        rows: the figures of each row of the table by its label, as in metrics/compare/figures.json.
    """
    with _canvas(9.6, 2.7) as figure:
        curve, *charts = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
        _style(curve, "step, phase 2 after phase 1", "validation mel CE, nats per token")
        offset, colours = 0.0, dict.fromkeys(rows, _INK)
        for phase, colour in zip(phases, COLOURS, strict=False):
            points = [*([] if phase.start is None else [(0.0, phase.start)]), *phase.validation]
            label = f"{phase.name}, best {phase.best[1]:.3f}"
            _line(curve, points, offset, color=colour, marker="o", ms=3.5, label=label)
            offset, colours[phase.name] = offset + phase.steps, colour
        curve.legend(frameon=False, labelcolor=_INK)
        for axes, name, better in zip(charts, ("cer", "secs"), ("lower", "higher"), strict=True):
            _style(axes, f"{name.upper()}, {better} is better", "")
            axes.grid(visible=False)
            _bars(axes, {label: figures for label, figures in rows.items() if name in figures}, name, colours)
        svg = _svg(figure)
    return svg.replace(">", f">\n {_PAGES}", 1)


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
            color=[COLOURS[i % 5] for i in range(len(sources))],
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


def _bars(axes: Any, rows: Mapping[str, Mapping[str, Any]], name: str, colours: Mapping[str, str]) -> None:
    """Draw a bar for each row, from top to bottom, with its interval and its value."""
    for place, (label, figures) in enumerate(rows.items()):
        value, low, high = (figures[name + end] for end in ("", "_low", "_high"))
        axes.barh(place, value, height=0.6, color=colours[label], alpha=0.45)
        axes.plot((low, high), (place, place), color=_INK, lw=1.2)
        axes.text(high, place, f"  {value:.3f}", color=_INK, va="center")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.margins(x=0.3)


@contextmanager
def _figure(width: float, height: float, x: str, y: str) -> Iterator[tuple[Any, Any]]:
    with _canvas(width, height) as figure:
        axes = figure.add_subplot()
        _style(axes, x, y)
        yield figure, axes


@contextmanager
def _canvas(width: float, height: float) -> Iterator[Any]:
    import matplotlib

    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "voicetune", "font.family": "sans-serif", "font.size": 9}
    ):
        from matplotlib.figure import Figure  # not pyplot, which looks for a screen

        yield Figure(figsize=(width, height), layout="constrained")


def _style(axes: Any, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, facecolor="none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(colors=_INK)
    axes.grid(axis="y", color=_INK, alpha=0.15)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)


def _svg(figure: Any) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :].replace(_INK, "currentColor")
