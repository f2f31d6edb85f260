"""Tables as text: numbers against Python's own reading, and what is said of text that is no table of numbers."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pair_files import (
    NAMES,
    SCORES,
    SEQUENCES,
    Edit,
    edited_pair,
    refusal_of,
    replaced,
    score_table,
    sequence_table,
    with_cell,
    write_pair,
    zipped,
)

from tfbind.data.pairs import read_pair
from tfbind.dna.codes import decode

SECOND = NAMES[1]
EVERY = -1
GOOD: dict[str, Edit] = {
    "as written": bytes,
    "Windows line ends": replaced("\n", "\r\n", EVERY),
    "line ends of an old Mac": replaced("\n", "\r", EVERY),
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "no line end at the end": bytes.rstrip,
    "half a Windows line end at the end": lambda text: text.replace(b"\n", b"\r\n").removesuffix(b"\n"),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "a byte order mark in gzip": lambda text: zipped(b"\xef\xbb\xbf" + text),
    "empty lines at the end": lambda text: text + b"\n\n\n",
    "empty Windows lines at the end": lambda text: text.replace(b"\n", b"\r\n") + b"\r\n\r\n",
    "empty lines over several pieces": lambda text: text + b"\n" * 3_000_000,
    "gzip under a plain name": zipped,
    "gzip in two parts": lambda text: zipped(text[:40]) + zipped(text[40:]),
    "zero in other spellings": lambda text: text.replace(b"0.0\t", b"0\t").replace(b"\t0.0\n", b"\t-0e0\n"),
    "numbers in other spellings": lambda text: text.replace(b"6.5", b"65e-1").replace(b"9.0", b"+9"),
}

NUMBERS = st.one_of(
    st.floats(-1e30, 1e30).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(0, 100, places=6).map(str),
    st.sampled_from(["0", "0.0", "00", ".5", "5.", "0.00", "1e-400", "000.1", "123456789012345.6", "0." + "3" * 30]),
)

HTML = b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n"
CELL = rf"toy_scores\.txt: line 3, column 2, window '{SECOND}': "
BAD: list[tuple[str, Edit, str]] = [
    ("NaN", with_cell(3, 2, "nan"), CELL + "'nan' is not finite"),
    ("infinity", with_cell(3, 2, "-inf"), CELL + "'-inf' is not finite"),
    ("more than single precision holds", with_cell(3, 2, "1e39"), CELL + "'1e39' is not finite"),
    ("text for a number", with_cell(3, 2, "high"), CELL + "'high' is not a number"),
    ("NA for a number", with_cell(3, 2, "NA"), CELL + "'NA' is not a number"),
    ("nothing for a number", with_cell(3, 2, ""), CELL + "'' is not a number"),
    ("two points", with_cell(3, 2, "6.5.1"), CELL + r"'6\.5\.1' is not a number"),
    ("only a point", with_cell(3, 2, "."), CELL + r"'\.' is not a number"),
    ("nearly zero", with_cell(3, 2, "0.O"), CELL + r"'0\.O' is not a number"),
    ("a comma for the point", with_cell(3, 2, "6,5"), CELL + "'6,5' is not a number"),
    ("grouped digits", with_cell(3, 2, "1_000"), CELL + "'1_000' is not a number"),
    ("an endless number", with_cell(3, 2, "1" * 500), CELL + r"'1{57}\.\.\.' is not a number"),
    ("text in the first cell", with_cell(2, 1, "x"), rf"line 2, column 1, window '{NAMES[0]}': 'x' is not"),
    ("text in the last cell", with_cell(7, 3, "x"), rf"line 7, column 3, window '{NAMES[2]}': 'x' is not"),
    ("a cell too few", replaced("0.0\t", ""), "line 2 has 2 columns; expected 3, as in line 1"),
    ("a cell too many", lambda text: text.rstrip() + b"\t1.0\n", "line 7 has 4 columns; expected 3"),
    ("an empty line", replaced("\n", "\n\n"), "line 2 has 1 column; expected 3"),
    ("empty lines far down", lambda text: text[:-12] + b"\n" + text[-12:], "line 7 has 1 column; expected 3"),
    ("a last line of empty cells", lambda text: text + b"\t\t\n", "line 8, column 1"),
    ("a byte order mark in the middle", lambda text: text + b"\xef\xbb\xbf\n", "line 8, byte 1 is 0xef"),
    ("unnamed row names", lambda text: text.replace(b"\n", b"\n1\t")[:-2], "line 2 has 4 columns; expected 3"),
    ("cut gzip", lambda text: zipped(text)[:-20], "the gzip data stop before their end; the file is damaged"),
    ("gzip cut in its header", lambda text: zipped(text)[:6], "the gzip data stop"),
    ("gzip with changed bytes", lambda text: zipped(text)[:30] + b"\xff\xff" + zipped(text)[32:], "as gzip"),
    ("gzip with a false checksum", lambda text: zipped(text)[:-8] + bytes(4) + zipped(text)[-4:], "as gzip"),
    ("gzip and more", lambda text: zipped(text) + b"more", "not readable as gzip"),
    ("gzip twice", lambda text: zipped(zipped(text)), "this is gzip within gzip; expected text"),
    ("nothing", lambda _: b"", "empty; expected a tab-separated table"),
    ("only line ends", lambda _: b"\r\n\n\n", "empty"),
    ("gzip of nothing", lambda _: zipped(b""), "empty"),
    ("a web page", lambda _: b"\n " + HTML, "a web page"),
    ("an archive", lambda _: b"PK\x03\x04\x14\0\x06\0", "this is a Word, Excel or zip file"),
    ("zero bytes", replaced("6.5", "\0\0\0"), "line 3, byte 1 is 0x00, a NUL byte; expected"),
    ("Latin-1", lambda text: text.replace(b"chr1_6", b"chr\xe9_6"), "line 1, byte 13 is 0xe9"),
    ("UTF-8", replaced("chr1_6", "chr\u00e9_6"), "line 1, byte 13 is 0xc3"),
]


@pytest.mark.parametrize("edit", GOOD.values(), ids=list(GOOD))
def test_tables_may_be_written_in_several_ways(tmp_path: Path, edit: Edit) -> None:
    pair = read_pair(*edited_pair(tmp_path, scores=edit))
    assert np.array_equal(pair.scores, np.array(SCORES, dtype=np.float32))


@pytest.mark.parametrize("edit", [GOOD[how] for how in GOOD if "byte order" in how or "empty" in how])
def test_what_editors_leave_around_a_table_of_sequences_is_passed_over(tmp_path: Path, edit: Edit) -> None:
    pair = read_pair(*edited_pair(tmp_path, sequences=edit))
    assert pair.names.tolist() == [name.encode() for name in NAMES]
    assert [decode(window) for window in pair.codes] == list(SEQUENCES)


def test_one_window_may_be_followed_by_empty_lines_but_not_be_broken_by_one(tmp_path: Path) -> None:
    table = "a\n0.0\n0.0\n6.5\n0.0\n"
    sequences = sequence_table("a", ["ACGT"])
    pair = read_pair(*write_pair(tmp_path, sequences, table + "\n\n"))
    assert pair.scores.tolist() == [[0, 0, 6.5, 0]]
    said = refusal_of(write_pair(tmp_path, sequences, table.replace("6.5", "6.5\n")))
    assert "line 5, column 1, window 'a': '' is not a number" in said


@settings(max_examples=200)
@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=4, max_size=4))
def test_numbers_are_what_python_reads(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    table = "a\tb\tc\n" + "".join("\t".join(row) + "\n" for row in rows)
    pair = read_pair(*write_pair(tmp_path_factory.mktemp("numbers"), sequence_table("abc", ["ACGT"] * 3), table))
    assert np.array_equal(pair.scores.T, np.array([[float(text) for text in row] for row in rows], dtype=np.float32))


def test_tables_larger_than_one_piece_are_read_whole(tmp_path: Path) -> None:
    """6,000 windows of 200 bases: 5 MB of scores and 1.3 MB of sequences, several pieces each."""
    rng = np.random.default_rng(0)
    names = [f"chr1_{200 * i}_{200 * i + 199}" for i in range(6000)]
    codes = rng.integers(0, 5, (6000, 200), dtype=np.uint8)
    scores = np.where(rng.random((6000, 200)) < 0.04, rng.random((6000, 200)).round(6), 0)
    tables = sequence_table(names, [decode(window) for window in codes]), score_table(names, scores)
    pair = read_pair(*write_pair(tmp_path, *tables))
    assert pair.names.tolist() == [name.encode() for name in names]
    assert np.array_equal(pair.codes, codes)
    assert np.array_equal(pair.scores, scores.astype(np.float32))


def test_a_bad_cell_far_down_is_found_where_it_is(tmp_path: Path) -> None:
    """The place is counted through several pieces of the file."""
    names = [f"w{i}" for i in range(3000)]
    scores = np.zeros((3000, 300))
    scores[1234, 250] = 5.125
    table = score_table(names, scores).replace("5.125", "5.1.5")
    message = refusal_of(write_pair(tmp_path, sequence_table(names, ["A" * 300] * 3000), table))
    assert message == "toy_scores.txt: line 252, column 1235, window 'w1234': '5.1.5' is not a number"


@pytest.mark.parametrize(("edit", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_no_table_of_numbers_is_refused_in_one_line(tmp_path: Path, edit: Edit, says: str) -> None:
    message = refusal_of(edited_pair(tmp_path, scores=edit))
    assert message.startswith("toy_scores.txt: ")
    assert re.search(says, message), message


def test_a_line_without_end_is_refused_before_memory_runs_out(tmp_path: Path) -> None:
    message = refusal_of(write_pair(tmp_path, scores=gzip.compress(b"0" * (70 << 20), compresslevel=1)))
    assert "a line of over 64 MB" in message


def test_a_missing_file_is_an_oserror_and_a_folder_is_refused(tmp_path: Path) -> None:
    sequences, scores = write_pair(tmp_path)
    missing = tmp_path / "none"
    for paths in ((missing, scores), (sequences, missing)):
        with pytest.raises(FileNotFoundError, match=re.escape(str(missing))):
            read_pair(*paths)
    for paths in ((tmp_path, scores), (sequences, tmp_path)):
        assert refusal_of(paths) == f"{tmp_path}: a folder; expected a file"


def test_a_file_name_with_a_line_break_does_not_break_the_line(tmp_path: Path) -> None:
    odd = tmp_path / "odd\nname"
    odd.write_bytes(b"")
    assert refusal_of((odd, odd)) == r"'odd\nname': empty; expected a tab-separated table"
