"""Data sets on disk: stored whole or not at all, opened as they were, split as promised."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pair_files import (
    NAMES,
    SCORES,
    SEQUENCES,
    edited_pair,
    replaced,
    score_table,
    sequence_table,
    turned,
    write_pair,
)
from peak import TELL_PEAK

from tfbind.data import dataset
from tfbind.data.dataset import (
    check_learnable,
    import_pair,
    list_datasets,
    make_builtin,
    open_dataset,
    open_validated,
    sha256,
)
from tfbind.data.pairs import Pair, check_pair, coordinate_convention, read_pair, report
from tfbind.dna.codes import decode

PROJECT = Path(__file__).parents[2]


def python(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A child process that runs `code` with this checkout's modules."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def big_pair(folder: Path) -> tuple[Path, Path]:
    """2,000 windows of 300 bases: enough that writing them takes a while."""
    rng = np.random.default_rng(0)
    names = [f"chr1_{300 * i}_{300 * i + 299}" for i in range(2000)]
    sequences = [decode(codes) for codes in rng.integers(0, 4, (2000, 300), dtype=np.uint8)]
    return write_pair(folder, sequence_table(names, sequences), score_table(names, rng.integers(0, 2, (2000, 300))))


def test_a_data_set_opens_as_it_was_imported(tmp_path: Path) -> None:
    import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    data = open_dataset(tmp_path, "toy")
    assert (data.name, len(data), data.length, data.path) == ("toy", 3, 6, tmp_path / "data" / "toy")
    assert data.names.tolist() == [name.encode() for name in NAMES]
    assert [decode(codes) for codes in data.codes] == list(SEQUENCES)
    assert np.array_equal(data.scores, np.array(SCORES, dtype=np.float32))
    assert all(isinstance(array, np.memmap) for array in (data.names, data.codes, data.scores))


def test_where_a_data_set_came_from_is_kept(tmp_path: Path) -> None:
    sequences, scores = write_pair(tmp_path / "files")
    meta = import_pair(tmp_path, sequences, scores, "toy").meta
    assert meta["origin"] == {
        "kind": "pair",
        "sequences": {"file": sequences.name, "sha256": sha256(sequences)},
        "scores": {"file": scores.name, "sha256": sha256(scores)},
    }
    assert meta["coordinates"] == "0-based, end inclusive"
    assert meta["letters"] == {"A": 4, "C": 6, "G": 3, "T": 4, "N": 1}
    assert meta["scored"] == pytest.approx(6 / 18)
    assert meta["notes"] == ["1 letter N, read as no base"]


def test_a_files_sha256_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180-2
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_hash_depends_on_the_content_and_on_nothing_else(tmp_path: Path) -> None:
    first = import_pair(tmp_path, *write_pair(tmp_path / "a"), "first")
    turned_round = import_pair(tmp_path, *edited_pair(tmp_path / "b", scores=turned), "second", transpose=True)
    assert first.hash == turned_round.hash
    for place, edits in enumerate(({"scores": replaced("6.5", "6.6")}, {"sequences": replaced("GGN", "GGA")})):
        assert import_pair(tmp_path, *edited_pair(tmp_path / "c", **edits), f"other{place}").hash != first.hash


def test_the_list_shows_what_is_on_disk(tmp_path: Path) -> None:
    assert list_datasets(tmp_path) == []
    assert not (tmp_path / "data").exists()
    files = write_pair(tmp_path / "files")
    for name in ("b", "a"):
        import_pair(tmp_path, *files, name)
    shown = [{"name": n, "windows": 3, "length": 6, "path": str(tmp_path / "data" / n)} for n in ("a", "b")]
    assert list_datasets(tmp_path) == shown
    (tmp_path / "data" / "c").mkdir()
    (tmp_path / "data" / "a" / dataset.META).write_text("{")
    assert list_datasets(tmp_path) == shown[1:]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../toy", "a/b", ".hidden", "-x", "a b", "a\nb", "ü", "a" * 81, "a\0", "C:\\x", "toy\n"]
)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 80 of") as caught:
        import_pair(tmp_path, *write_pair(tmp_path / "files"), name)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "data").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first = import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    with pytest.raises(ValueError, match="'toy': exists already"):
        import_pair(tmp_path, *edited_pair(tmp_path / "other", scores=replaced("6.5", "1.5")), "toy")
    with pytest.raises(ValueError, match="'builtin': kept for the built-in data set"):
        import_pair(tmp_path, *write_pair(tmp_path / "files"), "builtin")
    assert open_dataset(tmp_path, "toy").hash == first.hash


def test_a_refused_pair_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        import_pair(tmp_path, *edited_pair(tmp_path / "files", scores=replaced("6.5", "high")), "toy")
    with pytest.raises(OSError, match="No such file"):
        import_pair(tmp_path, tmp_path / "none", tmp_path / "none", "toy")
    assert not (tmp_path / "data").exists()


def test_a_name_that_is_missing_lists_those_that_exist(tmp_path: Path) -> None:
    import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    for name in ("toys", "../files/..", "no\nsuch"):
        with pytest.raises(ValueError, match=r"not found; there are: builtin, toy$|0 files") as caught:
            open_dataset(tmp_path, name)
        assert str(caught.value).isprintable()


def test_a_folder_is_opened_as_a_data_set_or_imported_once(tmp_path: Path) -> None:
    home, files = tmp_path / "home", tmp_path / "my files"
    write_pair(files)
    data = open_dataset(home, str(files))
    assert re.fullmatch(r"my-files-[0-9a-f]{8}", data.name)
    written = (data.path / dataset.META).stat().st_mtime_ns
    again = open_dataset(home, str(files))
    assert (again.path, (again.path / dataset.META).stat().st_mtime_ns) == (data.path, written)
    assert open_dataset(tmp_path / "elsewhere", str(data.path)).hash == data.hash
    edited_pair(files, scores=replaced("6.5", "7.5"))
    assert open_dataset(home, str(files)).hash != data.hash
    assert len(list_datasets(home)) == 2


def test_a_folder_without_exactly_one_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0 files \*_sequences\.txt\[\.gz\]; expected one"):
        open_dataset(tmp_path / "home", str(tmp_path))
    sequences, scores = write_pair(tmp_path / "files")
    (sequences.parent / "other_scores.txt.gz").write_bytes(scores.read_bytes())
    with pytest.raises(ValueError, match=r"2 files \*_scores\.txt\[\.gz\]; expected one"):
        open_dataset(tmp_path / "home", str(sequences.parent))


ENDLESS = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }"
MINUS_SIGNS = b"(" + b"-" * 9_000 + b"1,)\n"


def several_arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros(1))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (dataset.META, b"{", r"meta\.json: not JSON"),
        (dataset.META, b"\xff", r"meta\.json: not text in UTF-8"),
        (dataset.META, b"[]", r"meta\.json: expected a JSON object"),
        (dataset.META, b'{"format": 2}', "not a data set of format 1"),
        (dataset.CODES, b"", r"codes\.npy: not a readable array"),
        (dataset.SCORES, b"\x93NUMPY", r"scores\.npy: not a readable array"),
        (dataset.SCORES, b"\x93NUMPY\x01\0" + b"v\0" + ENDLESS.ljust(118), r"scores\.npy: not a readable array"),
        (dataset.NAMES, b"text", r"names\.npy: not a readable array"),
        (dataset.NAMES, several_arrays(), r"names\.npy: not a readable array"),
        (dataset.NAMES, b"\x93NUMPY\x01\0" + b"\x2d\x23" + MINUS_SIGNS, r"names\.npy: not a readable array"),
    ],
)
def test_a_damaged_data_set_is_refused_in_one_line(tmp_path: Path, file: str, content: bytes, says: str) -> None:
    data = import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    (data.path / file).write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        open_dataset(tmp_path, "toy")
    assert str(caught.value).isprintable()


def test_whatever_an_import_says_of_its_data_has_to_be_there(tmp_path: Path) -> None:
    data = import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    for key in data.meta:
        left = {other: value for other, value in data.meta.items() if other != key}
        (data.path / dataset.META).write_text(json.dumps(left))
        with pytest.raises(ValueError, match=rf"meta\.json: .*{key}"):
            open_dataset(tmp_path, "toy")


def test_content_that_has_changed_is_told_by_its_hash(tmp_path: Path) -> None:
    data = import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    assert open_validated(tmp_path, "toy").hash == data.hash
    codes = bytearray((data.path / dataset.CODES).read_bytes())
    codes[-1] = 77
    (data.path / dataset.CODES).write_bytes(codes)
    assert open_dataset(tmp_path, "toy").hash == data.hash
    with pytest.raises(ValueError, match=r"data/toy: .*codes\.npy.* do not have the hash in meta\.json"):
        open_validated(tmp_path, "toy")


def test_arrays_of_other_shapes_are_refused(tmp_path: Path) -> None:
    data = import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    np.save(data.path / dataset.SCORES, np.zeros((3, 5), dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(3,\), \(3, 6\), \(3, 5\); meta.json says \(3, 6\)"):
        open_dataset(tmp_path, "toy")


def test_an_unfinished_folder_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "data" / "half").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"half/meta\.json: the file is missing"):
        open_dataset(tmp_path, "half")


def test_a_check_reports_and_writes_nothing(tmp_path: Path) -> None:
    files = edited_pair(tmp_path, scores=lambda text: text.replace(b"6.5", b"0.0").replace(b"9.0", b"-1.0"))
    before = sorted(tmp_path.rglob("*"))
    found = check_pair(*files)
    assert (found.windows, found.length, found.scored) == (3, 6, pytest.approx(4 / 18))
    assert found.notes == ["1 letter N, read as no base", "1 window without any score", "scores below zero"]
    assert sorted(tmp_path.rglob("*")) == before


def flat_pair(folder: Path, *levels: float) -> tuple[Path, Path]:
    """Windows of which each has one and the same score at every base."""
    names = [f"chr1_{place * 6}_{place * 6 + 5}" for place in range(len(levels))]
    letters = ["ACGTAC"] * len(levels)
    return write_pair(folder, sequence_table(names, letters), score_table(names, [[level] * 6 for level in levels]))


def test_scores_that_are_all_the_same_are_noted_and_not_trained_on(tmp_path: Path) -> None:
    for place, level in enumerate((2.5, 0.0)):
        files = flat_pair(tmp_path / str(place), *[level] * 10)
        note = f"every score is {level:g}: there is nothing to learn from them, and no correlation is defined"
        assert note in check_pair(*files).notes
        data = import_pair(tmp_path, *files, f"flat{place}")
        assert note in data.meta["notes"]
        with pytest.raises(
            ValueError, match=rf"^data set 'flat{place}': 8 windows to train on; every score is {level:g}"
        ):
            check_learnable(data, np.arange(8))
    assert check_pair(*flat_pair(tmp_path / "all", *[2.5] * 3)).notes[1] == (
        "3 windows (100.0%) with one and the same score at every base"
    )


def test_windows_of_one_score_among_others_are_counted_and_may_train(tmp_path: Path) -> None:
    data = import_pair(tmp_path, *flat_pair(tmp_path / "some", 1.0, 0.0, 2.0), "some")
    assert data.meta["notes"] == [
        "2 windows (66.7%) with one and the same score at every base",
        "1 window without any score",
    ]
    check_learnable(data, np.arange(3))
    with pytest.raises(ValueError, match="1 window to train on; every score is 0"):
        check_learnable(data, np.array([1]))


@pytest.mark.parametrize(
    ("names", "convention"),
    [
        (["chr1_0_5", "chr1_6_11"], "0-based, end inclusive"),
        (["chr1_0_6", "chr_un_6_12"], "0-based, end exclusive"),
        (["chr1_0_5", "chr1_6_12"], None),
        (["chr1_0_5", "peak7"], None),
        (["chr1_5", "chr1_0_5"], None),
        (["a_x_y", "a_x_z"], None),
    ],
)
def test_the_names_tell_the_coordinates_only_if_all_agree(names: list[str], convention: str | None) -> None:
    arrays = np.zeros((2, 6), dtype=np.uint8), np.zeros((2, 6), dtype=np.float32)
    pair = Pair(np.array(names, dtype=np.bytes_), *arrays)
    assert coordinate_convention(pair) == convention
    assert ("window names that are not CHROMOSOME_START_END: no coordinates" in report(pair).notes) == (
        not convention
    )


IMPORT = """
import pathlib, sys
from tfbind.data.dataset import import_pair
import_pair(*map(pathlib.Path, sys.argv[1:4]), "toy")
"""


@pytest.mark.parametrize("instant", [dataset.LOCK, dataset.NAMES, dataset.CODES, dataset.SCORES, dataset.META])
def test_a_killed_import_leaves_nothing_or_a_whole_data_set(tmp_path: Path, instant: str) -> None:
    """The child is killed as soon as it has begun the file `instant`."""
    files = big_pair(tmp_path / "files")
    data = tmp_path / "data"
    marker = data / instant if instant == dataset.LOCK else data / dataset.INCOMING / instant
    child = python(IMPORT, tmp_path, *files)
    while not marker.exists() and child.poll() is None:
        time.sleep(0)
    child.kill()
    child.communicate()
    assert child.returncode in (0, -signal.SIGKILL)
    complete = read_pair(*files)
    for entry in list_datasets(tmp_path):
        assert np.array_equal(open_dataset(tmp_path, entry["name"]).scores, complete.scores)
    after = import_pair(tmp_path, *files, "after")
    assert np.array_equal(after.scores, complete.scores)
    assert not (data / dataset.INCOMING).exists()


def test_what_a_dead_import_left_is_cleaned_away(tmp_path: Path) -> None:
    left = tmp_path / "data" / dataset.INCOMING
    left.mkdir(parents=True)
    (left / dataset.SCORES).write_bytes(b"half")
    assert list_datasets(tmp_path) == []
    data = import_pair(tmp_path, *write_pair(tmp_path / "files"), "toy")
    assert not left.exists()
    assert {path.name for path in data.path.iterdir()} == {
        dataset.META,
        dataset.NAMES,
        dataset.CODES,
        dataset.SCORES,
    }


ASK_FOR_BUILTIN = """
import pathlib, sys
from tfbind.data.dataset import open_dataset
print(open_dataset(pathlib.Path(sys.argv[1]), "builtin").path.stat().st_ino)
"""


def test_two_processes_make_the_builtin_data_set_once(tmp_path: Path) -> None:
    children = [python(ASK_FOR_BUILTIN, tmp_path) for _ in range(2)]
    answers = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    data = open_dataset(tmp_path, "builtin")
    assert (len(data), data.length) == (12_000, 300)
    assert data.meta["origin"] == {
        "kind": "simulation",
        "seed": 0,
        "motif": "FOXA1",
        "matrix_id": "MA0148.5",
        "threshold": pytest.approx(4.366),
    }
    assert [entry["name"] for entry in list_datasets(tmp_path)] == ["builtin"]
    assert make_builtin(tmp_path).hash == data.hash


def test_importing_the_real_pair_stays_under_a_gigabyte(tmp_path: Path, real_pair: tuple[Path, Path]) -> None:
    child = python(IMPORT + TELL_PEAK, tmp_path, *real_pair)
    said, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    assert int(said) < 1e9
    data = open_dataset(tmp_path, "toy")
    assert (len(data), data.length) == (21_000, 300)
    assert data.meta["scored"] == pytest.approx(0.039, abs=0.0005)
