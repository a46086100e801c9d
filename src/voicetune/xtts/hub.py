"""Downloads the published XTTS v2 from the hub, pinned and checked, into huggingface_hub's own cache.

The next call resumes a download that was cut off. A file with a wrong hash is deleted. huggingface_hub's environment
variables set the hub's address (HF_ENDPOINT), the place of the cache (HF_HOME) and whether the hub may be contacted
(HF_HUB_OFFLINE).
"""

import hashlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import httpx
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from voicetune.errors import UserError

AGREED = "COQUI_TOS_AGREED"
LICENCE = "https://coqui.ai/cpml"
_SPARE_BYTES = 500_000_000  # kept free in addition to the download


@dataclass(frozen=True)
class File:
    """A published file: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """A model on the hub, at one revision."""

    repository: str
    revision: str
    files: dict[str, File]

    @property
    def name(self) -> str:
        return f"{self.repository}@{self.revision}"


XTTS_V2 = Published(
    "coqui/XTTS-v2",
    "6c2b0d75eae4b7047358e3b6bd9325f857d43f77",
    {
        "config.json": File(4368, "ef262b1454dd2a77e1461b0b2cd53e19b8a7624cc131b837d36df67356bc75e8"),
        "vocab.json": File(361219, "928260878a59da8a72a2a5b7687fea29d5106137669d90945430fe17e415304a"),
        "mel_stats.pth": File(1067, "1f69422a8a8f344c4fca2f0c6b8d41d2151d6615b7321e48e6bb15ae949b119c"),
        "speakers_xtts.pth": File(7754818, "f0f6137c19a4eab0cbbe4c99b5babacf68b1746e50da90807708c10e645b943b"),
        "dvae.pth": File(210514388, "b29bc227d410d4991e0a8c09b858f77415013eeb9fba9650258e96095557d97a"),
        "model.pth": File(1867929118, "c7ea20001c6a0a841c77e252d8409f6a74fb423e79b3206a0771ba5989776187"),
    },
)


def fetch(model: Published, names: Collection[str] = ()) -> dict[str, Path]:
    """Download those of a published model's files that the cache lacks, and check all of them.

    Args:
        names: fetch only these files. If empty, fetch all.

    Raises:
        UserError: the licence is not agreed to, the disk is too small, or the hub cannot be reached, refuses, or sends
            something other than the published file.
    """
    _agreed()
    wanted = {name: file for name, file in model.files.items() if not names or name in names}
    _room(sum(file.size for name, file in wanted.items() if not _cached(model, name)))
    return {name: _checked(_download(model, name), file) for name, file in wanted.items()}


def fetch_licence(model: Published) -> Path:
    """Download the licence text of the same revision."""
    return _download(model, "LICENSE.txt")


def _agreed() -> None:
    if os.environ.get(AGREED) != "1":
        raise UserError(
            f"the published XTTS v2 is under the Coqui Public Model License, which allows no commercial use; read it"
            f" at {LICENCE}, and if you agree, set {AGREED}=1 and run this again."
        )


def _cached(model: Published, name: str) -> bool:
    return isinstance(try_to_load_from_cache(model.repository, name, revision=model.revision), str)


def _room(needed: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    standing = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(standing).free
    if needed and free < needed + _SPARE_BYTES:
        raise UserError(
            f"{cache} has {free / 1e9:.1f} GB free and XTTS v2 needs {(needed + _SPARE_BYTES) / 1e9:.1f} GB;"
            " free some, or set HF_HOME to a folder on a larger disk."
        )


def _download(model: Published, name: str) -> Path:
    where = f"{model.repository} at {constants.ENDPOINT}"
    try:
        return Path(hf_hub_download(model.repository, name, revision=model.revision))
    except (EntryNotFoundError, HfHubHTTPError) as error:
        refusal = error if isinstance(error, HfHubHTTPError) else error.__cause__
        answer = getattr(refusal, "response", None)
        if answer is not None and answer.status_code == 404:
            raise UserError(f"{where} has no {name} at revision {model.revision[:8]}; is HF_ENDPOINT right?") from None
        if answer is not None:
            raise UserError(
                f"{where} answered {answer.status_code} for {name}; wait if it is busy (429, 5xx), or log in with"
                " `hf auth login` if it refuses (401, 403)."
            ) from None
        raise UserError(  # no network, or HF_HUB_OFFLINE forbids it
            f"{name} is not in {constants.HF_HUB_CACHE}, and {where} cannot be reached; connect, or put the model's"
            " files into a folder and let `base` in params.yaml name it."
        ) from None
    except (httpx.HTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{name} did not come whole from {where} ({reason}); run this again to go on.") from None


def _checked(path: Path, file: File) -> Path:
    size = path.stat().st_size
    with path.open("rb") as opened:
        if size == file.size and hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256:
            return path
    path.resolve().unlink()  # the blob that the cached name links to
    path.unlink(missing_ok=True)
    raise UserError(
        f"{path.name} from the hub is not the published file ({size} bytes, {file.size} expected, or another hash);"
        " it was deleted: run this again, and if that does not help, check HF_ENDPOINT."
    )


def downloads() -> list[tuple[str, Path, str]]:
    """The published XTTS v2 in the hub's cache: a name for people, its folder, and the command that removes it."""
    place = Path(constants.HF_HUB_CACHE, f"models--{XTTS_V2.repository.replace('/', '--')}")
    return [("downloaded XTTS v2", place, f"hf cache rm model/{XTTS_V2.repository}")]
