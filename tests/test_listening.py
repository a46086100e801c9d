"""The listening page, and the figures made from its listeners' answers."""

import base64
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
import spoken_tones

from voicetune import pages
from voicetune.errors import UserError
from voicetune.listening import figures, page, results

ROOT = Path(__file__).parents[1]
SEED, RESAMPLES = 1, 400


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A folder with data/spoken (3 sentences) and, in listening/, the page of 2 of them."""
    here = tmp_path_factory.mktemp("repository")
    spoken_tones.write(here / "data" / "spoken")
    page.build(here / "data" / "spoken", here / "listening", "phase2", 2, SEED)
    return here


@pytest.fixture
def here(repository, tmp_path, monkeypatch) -> Path:
    """Work in a copy of that folder."""
    shutil.copytree(repository, tmp_path / "copy")
    shutil.copy(ROOT / "params.yaml", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def html(repository) -> str:
    return (repository / "listening" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def test_data(html) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', html)[1])


@pytest.fixture(scope="module")
def key(repository) -> dict:
    return json.loads((repository / "listening" / "key.json").read_text(encoding="utf-8"))


def run(paths, seed=SEED):
    return results.run(paths, Path("listening"), Path("data/listening"), RESAMPLES, seed)[0]


def answers(key: dict, listener: int = 1, prefers=lambda first, second: second, scores=None) -> dict:
    """The answers that the page saves if a listener prefers and rates by row. `prefers` returns a row, or `tie`."""
    scores = scores or {"base": 1, "phase1": 3, "phase2": 4, "recordings": 5}
    rows = {id: sound["row"] for id, sound in key["sounds"].items()}
    saved = {"page": key["page"], "listener": f"{listener:016x}", "seed": 7, "comparisons": [], "ratings": []}
    for number, (trial, sounds) in enumerate(key["trials"].items()):
        if len(sounds) == 1:
            saved["ratings"].append({"trial": trial, "score": scores[rows[sounds[0]]], "seconds": 2.5})
            continue
        wanted = prefers(*(rows[sound] for sound in sounds))
        a, b = sounds if number % 2 else sounds[::-1]
        choice = "tie" if wanted == "tie" else "a" if rows[a] == wanted else "b"
        saved["comparisons"].append({"trial": trial, "a": a, "b": b, "choice": choice, "seconds": 3.0})
    return saved


def save(folder: Path, saved: dict, name: str = "saved.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(saved), encoding="utf-8")
    return path


# --- the page


def test_the_page_requests_nothing_from_a_network(html):
    assert "default-src 'none'" in html
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttp|WebSocket|sendBeacon", html)
    assert set(re.findall(r"<(\w+)[^>]+\b(?:src|href|action)=", html)) == set(), "everything is inline"


def test_the_page_says_at_its_top_that_it_holds_recordings_of_people(html):
    assert "Recordings of people." in html[: html.index('id="begin"')]


def test_the_content_policy_allows_only_the_inline_script_and_style(html):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert f"script-src {pages.csp_hash(script)};" in policy
    assert f"style-src {pages.csp_hash(style)};" in policy
    assert "unsafe" not in policy


def test_the_page_does_not_reveal_a_model_or_a_file(html, test_data):
    readable = re.sub(r'"flac": "[^"]*"', "", html).replace("base-uri 'none'", "")
    for told in (r"\bbase\b", "phase", "recordings", r"\bcodec\b", r"\bs\d\b", "published", "voicetune/"):
        assert not re.search(told, readable), told
    for sound in test_data["sounds"].values():
        assert set(sound) == {"text", "language", "flac"}


def test_the_page_lists_trials_and_sounds_in_order_of_their_ids(test_data, key):
    for kind in ("comparisons", "ratings"):
        trials = test_data[kind]
        assert [trial["id"] for trial in trials] == sorted(trial["id"] for trial in trials)
        assert all(trial["sounds"] == sorted(trial["sounds"]) for trial in trials)
        assert all(sorted(key["trials"][trial["id"]]) == trial["sounds"] for trial in trials)
    assert list(test_data["sounds"]) == sorted(key["sounds"])


def test_equal_sounds_make_equal_pages_and_other_sounds_another_page(repository, tmp_path):
    spoken = shutil.copytree(repository / "data" / "spoken", tmp_path / "spoken")
    first = page.build(spoken, tmp_path / "again", "phase2", 2, SEED)
    for name in ("index.html", "key.json"):
        assert (tmp_path / "again" / name).read_bytes() == (repository / "listening" / name).read_bytes()
    for sound in (spoken / "base").glob("*.flac"):
        shutil.copy(spoken / "codec" / sound.name, sound)
    assert page.build(spoken, tmp_path / "other", "phase2", 2, SEED).page != first.page


def test_the_page_compares_and_rates_the_expected_rows(key, test_data):
    rows = {id: sound["row"] for id, sound in key["sounds"].items()}
    compared = [tuple(rows[id] for id in sounds) for sounds in key["trials"].values() if len(sounds) == 2]
    rated = [rows[sounds[0]] for sounds in key["trials"].values() if len(sounds) == 1]
    assert sorted(compared) == sorted([("phase1", "phase2"), ("base", "phase2"), ("phase2", "recordings")] * 2)
    assert sorted(rated) == sorted(["base", "phase1", "phase2", "recordings"] * 2)
    assert page.pairs("phase1") == [("phase1", "phase2"), ("base", "phase1"), ("phase1", "recordings")]
    assert page.pairs("base") == [("phase1", "phase2"), ("base", "recordings")]
    for trial in test_data["comparisons"]:
        texts = {test_data["sounds"][id]["text"] for id in trial["sounds"]}
        assert len(texts) == 1, "both sides speak the same sentence"


def test_all_sounds_of_the_page_have_the_same_loudness_and_rate(test_data):
    loudness, rates = [], set()
    for sound in test_data["sounds"].values():
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["flac"])))
        loudness.append(pyloudnorm.Meter(rate).integrated_loudness(samples))
        rates.add(rate)
        assert np.abs(samples).max() < 0.99
    assert max(loudness) - min(loudness) < 0.2, loudness
    assert np.mean(loudness) == pytest.approx(page.LOUDNESS, abs=0.2)
    assert rates == {24000}


def loud(sound: np.ndarray, rate: int = 24000) -> float:
    return pyloudnorm.Meter(rate).integrated_loudness(np.tile(sound, 10))


def test_high_peaks_lower_all_sounds_equally():
    noise = 0.1 * np.random.default_rng(0).standard_normal(24000)
    spiky = noise.copy()
    spiky[::4000] = 3.0
    (a, b), quieter = page.match_loudness([noise, spiky], 24000)
    assert np.abs(b).max() == pytest.approx(page.PEAK, abs=1e-3)
    assert loud(a) == pytest.approx(loud(b), abs=0.05)
    assert page.QUIETEST < loud(a) < page.LOUDNESS - 1
    assert quieter == 0


def test_an_extreme_sound_does_not_make_the_others_inaudible():
    noise = 0.1 * np.random.default_rng(0).standard_normal(24000)
    freak = 1e-3 * noise
    freak[12000] = 1.0
    (a, b), quieter = page.match_loudness([noise, freak], 24000)
    assert loud(a) == pytest.approx(page.QUIETEST, abs=0.05)
    assert np.abs(b).max() <= page.PEAK + 1e-6
    assert quieter == 1


def test_short_sounds_get_the_same_loudness_and_silence_stays_silent():
    tone = np.sin(2 * np.pi * 300 * np.arange(24000) / 24000)
    (long, short, silent), quieter = page.match_loudness([0.5 * tone, 0.01 * tone[:4800], np.zeros(6000)], 24000)
    assert loud(short) == pytest.approx(loud(long), abs=0.2)
    assert not silent.any()
    assert quieter == 0


def test_an_empty_take_becomes_a_quarter_second_of_silence(repository, tmp_path):
    spoken = shutil.copytree(repository / "data" / "spoken", tmp_path / "spoken")
    for sentence in range(3):
        soundfile.write(spoken / "phase1" / f"s{sentence}.flac", np.zeros(1), 24000)
    built = page.build(spoken, tmp_path / "out", "phase2", 1, SEED)
    data = json.loads(re.search(r'id="test">(.*?)</script>', built.path.read_text(encoding="utf-8"))[1])
    lengths = [soundfile.info(io.BytesIO(base64.b64decode(s["flac"]))).duration for s in data["sounds"].values()]
    assert min(lengths) == 0.25


HEAD = "id,take,file,stopped,language,text\n"


def index(spoken: Path) -> Path:
    return spoken / "base" / "takes.csv"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda spoken: index(spoken).write_text(HEAD + "../x,0,,1,en,A\n"),
            "line 2 has a 'id' that should be a",
        ),
        (lambda spoken: index(spoken).write_text(HEAD + "s0,0,s0.flac,1,en"), "line 2 is damaged"),
        (lambda spoken: (index(spoken).unlink(), os.mkfifo(index(spoken))), "takes.csv is a pipe or a device"),
        (lambda spoken: shutil.rmtree(spoken / "phase1"), r"phase1/takes.csv is missing; run `dvc repro"),
        (
            lambda spoken: (spoken / "base" / "s1.flac").unlink(),
            r"base/s1.flac is missing or is not an audio file; run `dvc repro",
        ),
        (
            lambda spoken: (spoken / "base" / "s1.flac").write_bytes(b"?"),
            r"base/s1.flac is missing or is not an audio file; run `dvc repro",
        ),
        (lambda spoken: (spoken / "base" / "takes.csv").write_text("a,b\n1,2\n"), "base/takes.csv should have"),
        (lambda spoken: index(spoken).write_text(HEAD), "no sentence that every"),
    ],
)
def test_damaged_spoken_sentences_are_named(tmp_path, harm, said):
    spoken = spoken_tones.write(tmp_path / "spoken", 2)
    harm(spoken)
    with pytest.raises(UserError, match=said):
        page.build(spoken, tmp_path / "out", "phase2", 2, SEED)
    assert not (tmp_path / "out").exists()


# --- statistics


def test_preference_has_the_wilson_interval():
    interval = figures.preference(8, 0, 10)  # Wilson for 8 of 10: 0.4902 to 0.9433
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    none = figures.preference(0, 0, 10)
    assert (none.low, none.high) == pytest.approx((0, 0.2775), abs=1e-4)


def test_a_tie_is_half_a_vote_for_each():
    assert figures.preference(3, 4, 10) == figures.preference(5, 0, 10)
    assert figures.preference(0, 6, 6).mean == 0.5


def test_the_preference_interval_covers_the_truth_in_about_95_percent():
    rng = np.random.default_rng(0)
    for chances in ((0.3, 0.1, 0.6), (0.05, 0.05, 0.9), (0.25, 0.5, 0.25)):
        truth = chances[2] + chances[1] / 2
        drawn = [figures.preference(int(n[2]), int(n[1]), 30) for n in rng.multinomial(30, chances, 1000)]
        assert np.mean([one.low <= truth <= one.high for one in drawn]) > 0.925, chances


def test_the_mos_interval_covers_the_truth_for_other_listeners_and_clips():
    rng = np.random.default_rng(1)
    listeners, clips = (names.ravel() for names in np.meshgrid(np.arange(10), np.arange(12)))
    hits, narrow = 0, 0
    for seed in range(200):
        of_listener, of_clip = rng.normal(0, 0.4, 10), rng.normal(0, 0.4, 12)
        scores = 3 + of_listener[listeners] + of_clip[clips] + rng.normal(0, 0.5, listeners.size)
        interval = figures.mean_score(scores, listeners.astype(str), clips.astype(str), 300, seed)
        hits += interval.low <= 3 <= interval.high
        alone = scores.std() / np.sqrt(scores.size) * 1.96
        narrow += abs(scores.mean() - 3) <= alone
    assert 0.88 <= hits / 200 <= 0.99
    assert narrow / 200 < 0.75, "treating ratings as independent gives far too narrow intervals"


def test_mos_intervals_of_one_clip_and_of_one_listener():
    interval = figures.mean_score([4, 4, 5], ["a", "b", "c"], ["x", "x", "x"], 100, 0)
    assert (interval.low, interval.high) == (1, 5)
    one = figures.mean_score([2, 3, 4, 5], ["a"] * 4, list("wxyz"), 500, 0)
    assert 2 <= one.low < one.mean == 3.5 < one.high <= 5
    assert one == figures.mean_score([2, 3, 4, 5], ["a"] * 4, list("wxyz"), 500, 0)


# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability: four observers, twelve units
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def test_agreement_equals_krippendorffs_ordinal_alpha():
    ratings = [
        (str(who), str(unit), int(score))
        for who, row in enumerate(OBSERVERS)
        for unit, score in enumerate(row)
        if score != "."
    ]
    assert figures.agreement(ratings) == pytest.approx(0.815, abs=5e-4)


def test_agreement_of_equal_opposed_random_and_too_few_ratings():
    full = [(who, str(clip), 1 + clip % 5) for who in "ab" for clip in range(10)]
    assert figures.agreement(full) == 1
    opposed = [("a", str(clip), 1 + 4 * (clip % 2)) for clip in range(10)]
    opposed += [("b", clip, 6 - score) for _, clip, score in opposed]
    assert figures.agreement(opposed) < -0.8
    rng = np.random.default_rng(0)
    chance = [(who, str(clip), int(rng.integers(1, 6))) for who in "abcd" for clip in range(300)]
    assert abs(figures.agreement(chance)) < 0.07
    assert figures.agreement([("a", "x", 3), ("a", "y", 4)]) is None
    assert figures.agreement([("a", "x", 3), ("b", "x", 3)]) is None


# --- results


def test_answers_become_the_right_figures(here, key):
    def opinion(first, second):
        return "tie" if (first, second) == ("phase2", "recordings") else "phase2"

    first = save(here, answers(key, 1, opinion))
    second = save(here, answers(key, 2, opinion, {"base": 1, "phase1": 2, "phase2": 4, "recordings": 5}), "two.json")
    found = run([first, second])
    assert found == json.loads(Path("metrics/listening.json").read_text(encoding="utf-8"))
    assert list(found) == ["raters", "pairs", "mos", "agreement"]
    assert found["raters"] == 2
    assert set(found["pairs"]) == {"phase1_phase2", "base_phase2", "phase2_recordings"}
    assert set(found["pairs"]["phase1_phase2"]) == {"preferred", "low", "high", "votes", "ties"}
    assert found["pairs"]["phase1_phase2"]["preferred"] == found["pairs"]["base_phase2"]["preferred"] == 1
    tied = found["pairs"]["phase2_recordings"]
    assert (tied["preferred"], tied["votes"], tied["ties"]) == (0.5, 4, 4)
    assert {row: mos["mean"] for row, mos in found["mos"].items()} == {
        "base": 1, "phase1": 2.5, "phase2": 4, "recordings": 5,
    }  # fmt: skip
    assert set(found["mos"]["base"]) == {"mean", "low", "high", "ratings"}
    assert found["mos"]["base"]["ratings"] == 4
    assert 0.8 < found["agreement"] < 1


def test_swapping_the_sides_of_a_pair_changes_no_figure(here, key):
    saved = answers(key, prefers=lambda first, second: first)
    swapped = json.loads(json.dumps(saved))
    for vote in swapped["comparisons"]:
        vote |= {"a": vote["b"], "b": vote["a"], "choice": {"a": "b", "b": "a"}[vote["choice"]]}
    assert run([save(here, saved)]) == run([save(here, swapped)])
    assert run([save(here, saved)])["pairs"]["base_phase2"]["preferred"] == 0


def test_one_listener_has_no_agreement_and_may_stop_early(here, key):
    saved = answers(key)
    saved["ratings"] = []
    saved["comparisons"] = saved["comparisons"][:1]
    found = run([save(here, saved)])
    assert (found["raters"], len(found["pairs"]), found["mos"], found["agreement"]) == (1, 1, {}, None)


def test_answers_and_key_are_kept_and_can_be_read_again_without_the_page(here, key):
    found = run([save(here, answers(key, 1)), save(here, answers(key, 2), "two.json")])
    shutil.rmtree("listening")
    again = sorted(Path("data/listening").glob("listener-*.json"))
    assert len(again) == 2
    assert run(again) == found
    assert run([again[0]])["raters"] == 1
    assert len(list(Path("data/listening").glob("listener-*.json"))) == 1, "only the files in use are kept"


def test_changed_sounds_are_detected(here, key):
    _, read = results.run([save(here, answers(key))], Path("listening"), Path("data/listening"), RESAMPLES, SEED)
    assert results.sounds_unchanged(read, Path("data/spoken"))
    shutil.copytree("data/spoken/codec", "data/spoken/phase1", dirs_exist_ok=True)
    assert not results.sounds_unchanged(read, Path("data/spoken"))


def first_vote(**change):
    return lambda saved: saved["comparisons"][0].update(change)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda saved: saved.update(page="0" * 12),
            "answers the page 000000000000, but listening has the key of the page",
        ),
        (lambda saved: saved.pop("ratings"), "'ratings': Field required"),
        (lambda saved: saved.update(name="Anna"), "'name': Extra inputs"),
        (lambda saved: saved.update(listener="../../x"), "'listener'"),
        (lambda saved: saved["ratings"][0].update(score=6), "'ratings.0.score': Input should be less than"),
        (lambda saved: saved["ratings"][0].update(score="4"), "'ratings.0.score'"),
        (lambda saved: saved["ratings"][0].update(trial="0" * 12), "answers the trial 000000000000"),
        (first_vote(choice="c"), "'comparisons.0.choice'"),
        (first_vote(a="0" * 12), "answers the trial"),
        (first_vote(seconds=-1), "'comparisons.0.seconds'"),
        (lambda saved: saved["ratings"].append(saved["ratings"][0]), "answers a trial twice"),
        (lambda saved: saved.update(ratings=[], comparisons=[]), "holds no answer"),
    ],
)
def test_a_file_with_wrong_answers_is_named(here, key, harm, said):
    saved = answers(key)
    harm(saved)
    with pytest.raises(UserError, match=rf"bad\.json .*{said}"):
        run([save(here, saved, "bad.json")])
    assert not Path("metrics/listening.json").exists()
    assert not Path("data/listening").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing; give the file that the listening page saved"),
        (b"", "Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        (b"[]", "saves"),
        (b"{", "JSON"),
    ],
)
def test_a_file_that_is_not_json_is_named(here, content, said):
    if content is not None:
        Path("bad.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"bad\.json .*{said}"):
        run([Path("bad.json")])


def test_a_folder_and_a_missing_key_are_reported(here, key):
    with pytest.raises(UserError, match=r"data is a folder, but should be a file; give the file"):
        run([Path("data")])
    Path("listening/key.json").unlink()
    with pytest.raises(UserError, match="listening has no key; check out the commit"):
        run([save(here, answers(key))])


def test_a_pipe_is_refused(here):
    os.mkfifo("pipe.json")
    with pytest.raises(UserError, match=r"pipe\.json is a pipe or a device, but should be a plain file; give the file"):
        run([Path("pipe.json")])


def test_a_key_that_names_an_unknown_sound_is_refused(here, key):
    id = next(iter(key["sounds"]))
    damaged = {**key, "sounds": {name: sound for name, sound in key["sounds"].items() if name != id}}
    save(Path("listening"), damaged, "key.json")
    with pytest.raises(UserError, match=rf"key\.json is not .* has the sound {id}, which 'sounds' lacks"):
        run([save(here, answers(key))])


def test_a_full_disk_changes_no_saved_file(here, key, monkeypatch):
    run([save(here, answers(key, 1)), save(here, answers(key, 2), "two.json")])
    before = everything()
    write, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        if written:
            write(path, data[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    third = save(here, answers(key, 3), "three.json")
    before |= {third.relative_to(here): third.read_bytes()}
    with pytest.raises(UserError, match="the disk is full; free some space"):
        run([third])
    written.clear()
    with pytest.raises(UserError, match=r"listening/key\.json cannot be written: the disk is full"):
        page.build(Path("data/spoken"), Path("listening"), "phase2", 1, SEED)
    assert everything() == before


def everything() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("link", ["metrics", "metrics/listening.json", "data/listening"])
def test_answers_are_not_written_through_a_link(here, key, tmp_path, link):
    (tmp_path / "theirs").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    Path(link).parent.mkdir(exist_ok=True)
    Path(link).symlink_to(tmp_path / ("theirs" if link.endswith("json") else "folder"))
    with pytest.raises(UserError, match=r"leads through a link, but results stay .*; remove the link"):
        run([save(here, answers(key))])
    assert (tmp_path / "theirs").read_bytes() == b"mine"
    assert not list((tmp_path / "folder").iterdir())


def test_the_page_is_not_written_through_a_link(here, tmp_path):
    (tmp_path / "theirs").write_bytes(b"mine")
    Path("listening/index.html").unlink()
    Path("listening/index.html").symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match=r"index\.html leads through a link"):
        page.build(Path("data/spoken"), Path("listening"), "phase2", 1, SEED)
    assert (tmp_path / "theirs").read_bytes() == b"mine"


def test_files_of_two_pages_and_duplicate_listeners_are_refused(here, key):
    saved = save(here, answers(key))
    other = save(here, {**answers(key, 2), "page": "0" * 12}, "other.json")
    with pytest.raises(UserError, match=r"other\.json answers the page 0+, but the first file answers"):
        run([saved, other])
    with pytest.raises(UserError, match="from the same listener"):
        run([saved, saved])


def test_the_listen_command_builds_the_page_and_reads_answers(here, key):
    def command(*arguments: str) -> subprocess.CompletedProcess:
        call = [sys.executable, "-m", "voicetune", "listen", *arguments]
        environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "", "COLUMNS": "100", "TQDM_DISABLE": "1"}
        return subprocess.run(call, capture_output=True, text=True, env=environment)

    shutil.rmtree("listening")
    built = command("--no-open", "--sentences", "2")
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("listening/index.html: 6 comparisons and 8 ratings, about 2 min")
    assert json.loads(Path("listening/key.json").read_text(encoding="utf-8")) == key
    read = command(str(save(here, answers(key))))
    assert read.returncode == 0, read.stderr
    assert re.search(r"phase 2 preferred to base +100 % +34 to 100 % +2, 0 ties", read.stdout), read.stdout
    assert re.search(r"MOS of recordings +5\.00", read.stdout)
    missing = command("nothing.json")
    assert missing.returncode == 1
    assert missing.stderr == "error: nothing.json is missing; give the file that the listening page saved, unchanged.\n"
