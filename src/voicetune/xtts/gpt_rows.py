"""Builds the GPT's rows from clips: the inputs, targets and conditioning reference of each clip."""

from dataclasses import dataclass

import numpy as np
import torch

from voicetune.data.codes import FRAMES_PER_SECOND, Codes
from voicetune.errors import UserError
from voicetune.model import Recipe
from voicetune.xtts.batch import Batch, Tokens
from voicetune.xtts.codec import FRAMES_PER_CODE

LATENTS = 32
_CHOICE = 8  # long enough clips among which one is drawn; if there are fewer, clips are joined


@dataclass(frozen=True)
class Drawn:
    """A micro-batch before its rows are built: all random choices.

    clips: (b,) positions in the dataset.
    references: (r, 80, frames) float32, conditioning mels.
    reference_of: (b,) int64, the index of each clip's reference.
    hidden: for each clip, the slice of its codes that are not targets.
    """

    clips: np.ndarray
    references: np.ndarray
    reference_of: np.ndarray
    hidden: list[slice]

    def part(self, rows: slice) -> "Drawn":
        """Take some of the clips, each with the same reference as in the whole micro-batch."""
        used, reference_of = np.unique(self.reference_of[rows], return_inverse=True)
        return Drawn(self.clips[rows], self.references[used], reference_of.astype(np.int64), self.hidden[rows])

    def targets(self, codes: Codes, recipe: Recipe) -> tuple[int, int]:
        """Count the text and audio tokens that are targets."""
        text = sum(codes.tokens(clip).size + 1 for clip in self.clips)
        sizes = [codes.codes(clip).size + recipe.stop_targets for clip in self.clips]
        kept = [size - len(range(*part.indices(size))) for size, part in zip(sizes, self.hidden, strict=True)]
        return text, sum(kept)


def draw(codes: Codes, clips: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Drawn:
    """Draw the conditioning reference of each clip.

    Args:
        codes: the encoded dataset; references are drawn from its training clips.
        clips: positions in `codes`.
        rng: the caller seeds it, in training from the seed and the step.
    """
    return Drawn(clips, *_references(codes, clips, recipe, rng))


def condition_on(clips: np.ndarray, references: np.ndarray) -> Drawn:
    """Condition clips on the caller's own mels: (clips, 80, frames), one per clip."""
    return Drawn(clips, references, np.arange(len(clips)), [slice(0, 0)] * len(clips))


def assemble(codes: Codes, drawn: Drawn, recipe: Recipe, tokens: Tokens) -> Batch:
    """Build the rows of one micro-batch, or of a part of it."""
    texts, rows = [], []
    for clip in drawn.clips:
        stop = [tokens.stop_text] if recipe.text_stop_visible else []
        texts.append(np.concatenate([[tokens.start_text], codes.tokens(clip), stop]).astype(np.int64))
        tail = [tokens.stop_audio] * (recipe.stop_targets - 1)
        rows.append(np.concatenate([[tokens.start_audio], codes.codes(clip), tail]).astype(np.int64))
    text, mel = _pad(texts), _pad(rows)
    width = max(LATENTS + t.size + m.size for t, m in zip(texts, rows, strict=True))
    packed: dict[str, list[np.ndarray]] = {name: [] for name in ("index", "tp", "tt", "tc", "mp", "mt", "mc")}
    for i, (t, m) in enumerate(zip(texts, rows, strict=True)):
        start = i * width + LATENTS
        place = np.arange(width)
        index = np.where(place < LATENTS + t.size, place, place - t.size + text.shape[1])
        packed["index"].append(np.minimum(index, LATENTS + text.shape[1] + mel.shape[1] - 1))
        n = t.size if not recipe.text_stop_visible else t.size - 1  # START and the tokens predict, STOP does not
        _targets(packed, "t", i, start, np.concatenate([t[1:n], [tokens.stop_text]]))
        _targets(packed, "m", i, start + t.size, np.concatenate([m[1:], [tokens.stop_audio]]), drawn.hidden[i])
    flat = {name: np.concatenate(parts) for name, parts in packed.items() if name != "index"}
    return Batch(
        text=torch.from_numpy(text),
        codes=torch.from_numpy(mel),
        references=torch.from_numpy(drawn.references),
        reference_of=torch.from_numpy(drawn.reference_of),
        row_index=torch.from_numpy(np.stack(packed["index"])),
        text_places=torch.from_numpy(flat["tp"]),
        text_targets=torch.from_numpy(flat["tt"]),
        text_clips=torch.from_numpy(flat["tc"]),
        mel_places=torch.from_numpy(flat["mp"]),
        mel_targets=torch.from_numpy(flat["mt"]),
        mel_clips=torch.from_numpy(flat["mc"]),
    )


def _targets(packed, kind: str, clip: int, start: int, targets: np.ndarray, hidden=slice(0, 0)) -> None:
    keep = np.ones(targets.size, bool)
    keep[hidden] = False
    packed[kind + "p"].append(start + np.flatnonzero(keep))
    packed[kind + "t"].append(targets[keep])
    packed[kind + "c"].append(np.full(int(keep.sum()), clip, np.int64))


def _pad(rows: list[np.ndarray]) -> np.ndarray:
    out = np.zeros((len(rows), max(row.size for row in rows)), np.int64)
    for i, row in enumerate(rows):
        out[i, : row.size] = row
    return out


def _references(codes: Codes, clips: np.ndarray, recipe: Recipe, rng: np.random.Generator):
    """Draw conditioning mels (r, 80, frames), the index of each clip's mel, and each clip's hidden targets."""
    low, high = (int(seconds * FRAMES_PER_SECOND) for seconds in recipe.reference_seconds)
    frames = int(rng.integers(low, high + 1))
    if recipe.reference == "other":
        sources, reference_of, frames = _others(codes, clips, frames, recipe.shared_reference, rng)
    else:
        sources, reference_of = list(clips[:, None]), np.arange(len(clips))
        frames = min(frames, codes.frames[clips].min() // 2)  # the rest of each clip must remain a target
    starts = [int(rng.integers(codes.frames[joined].sum() - frames + 1)) for joined in sources]
    mels = [_joined(codes, joined)[start : start + frames].T for joined, start in zip(sources, starts, strict=True)]
    hidden = [slice(0, 0)] * len(clips)
    if recipe.reference == "self":
        ends = [
            min(-(-(s + frames) // FRAMES_PER_CODE), codes.codes(c).size) for s, c in zip(starts, clips, strict=True)
        ]
        hidden = [slice(s // FRAMES_PER_CODE, end) for s, end in zip(starts, ends, strict=True)]  # STOP stays a target
    if recipe.reference == "stock":  # the fault: only the last clip, and frames used as codes
        hidden[-1] = slice(starts[-1], starts[-1] + frames)
    return np.stack(mels).astype(np.float32), reference_of.astype(np.int64), hidden


def _joined(codes: Codes, clips: np.ndarray) -> np.ndarray:
    """Join the mels of clips: (frames, 80). The stock client also joins the recordings that it is conditioned on."""
    return codes.mel(clips[0]) if len(clips) == 1 else np.concatenate([codes.mel(clip) for clip in clips])


def _others(codes: Codes, clips: np.ndarray, frames: int, shared: bool, rng: np.random.Generator):
    """Draw reference clips of the same speaker, never the clip itself (nor, if shared, any clip of the batch).

    All references of a batch have the same length, because the conditioning encoder would take padding for sound.

    Returns:
        For each reference, the clips that it is cut from; for each of `clips`, the index of its reference; and the
        number of frames of every reference. This is `frames`, or fewer if all the clips that a speaker has for a
        reference are shorter together.
    """
    reference_of = np.zeros(len(clips), np.int64)
    groups: dict[tuple, list[int]] = {}
    for i, clip in enumerate(clips):
        groups.setdefault((codes.speakers[clip], 0 if shared else i), []).append(i)
    allowed = []
    for number, ((speaker, _), members) in enumerate(groups.items()):
        pool = codes.training_clips_of(speaker)
        free = np.setdiff1d(pool, clips[members])
        if free.size == 0:
            raise UserError(
                f"speaker '{speaker}' has too few training clips ({pool.size}) for a reference outside"
                f" the batch; add recordings, lower batch_size or set reference: self."
            )
        reference_of[members] = number
        allowed.append(free)
    frames = min([frames, *(int(codes.frames[free].sum()) for free in allowed)])
    return [_long_enough(codes, free, frames, rng) for free in allowed], reference_of, frames


def _long_enough(codes: Codes, free: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a clip with at least this many frames, or several clips that have them together.

    It draws several if fewer than 8 of the free clips are long enough (and not all of them are). Otherwise, one long
    clip among many short ones would be the reference of every clip.
    """
    alone = free[codes.frames[free] >= frames]
    if alone.size >= min(_CHOICE, free.size):
        return np.array([rng.choice(alone)])
    order = rng.permutation(free)
    return order[: 1 + np.searchsorted(np.cumsum(codes.frames[order]), frames)]
