"""The course's pair of files: values against pandas, matching by name, and what is said of files that do not fit."""

import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
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
    turned,
    write_pair,
    zipped,
)

from tfbind.data import pairs
from tfbind.data.pairs import Pair, read_pair
from tfbind.dna.codes import decode

FIRST, SECOND, THIRD = NAMES
SEQ, SCO = r"^toy_sequences\.txt: ", r"^toy_scores\.txt: "
THIRD_LINE = rf"{SEQ}line 3, window '{SECOND}': "


def with_header(text: bytes) -> bytes:
    return b"window_name\t0\t1\t2\t3\t4\t5\n" + text


def without_names(text: bytes) -> bytes:
    return b"".join(line.partition(b"\t")[2] + b"\n" for line in text.splitlines())


def columns_swapped(text: bytes) -> bytes:
    """The name first, then the sequence, then a column of another kind."""
    rows = [line.split(b"\t") for line in text.splitlines()]
    return b"".join(b"\t".join([name, sequence, b"more"]) + b"\n" for sequence, name in rows)


BAD: list[tuple[str, dict[str, Edit], str]] = [
    ("no sequences", {"sequences": replaced("sequence", "dna")}, SEQ + "line 1 has 0 columns named 'sequence'"),
    ("no names", {"sequences": replaced("window_name", "id")}, SEQ + "line 1 has 0 columns named 'window_name'"),
    (
        "no header",
        {"sequences": lambda text: text.partition(b"\n")[2]},
        SEQ + "line 1 has 0 columns named 'sequence'",
    ),
    (
        "a column twice",
        {"sequences": replaced("window_name", "sequence")},
        SEQ + "line 1 has 2 columns named 'sequence'",
    ),
    ("commas", {"sequences": replaced("\t", ",", -1)}, SEQ + "columns are separated by commas; expected tabs$"),
    ("only a header", {"sequences": lambda text: text.splitlines()[0]}, SEQ + "a header and no windows"),
    ("a window twice", {"sequences": replaced(SECOND, FIRST)}, rf"{SEQ}window '{FIRST}' is .* in line 2 and line 3"),
    (
        "a line twice",
        {"sequences": lambda text: text + text.splitlines(True)[3]},
        rf"{SEQ}window '{THIRD}' is there twice, in line 4 and line 5; expected each window once",
    ),
    ("a score twice", {"scores": replaced(SECOND, FIRST)}, rf"{SCO}window '{FIRST}' .* in column 1 and column 2"),
    ("an empty name", {"sequences": replaced(SECOND, "")}, SEQ + "line 3: a window name of 0 characters"),
    ("an endless name", {"sequences": replaced(SECOND, "x" * 201)}, SEQ + "line 3: a .* 201 .*; expected 1 to 200"),
    (
        "an unnamed column",
        {"scores": replaced(FIRST, "")},
        SCO + "column 1 has no name; expected scores alone: was an index written too?",
    ),
    (
        "a window without scores",
        {"sequences": lambda text: text + b"ACGTAC\tchr2_0_5\n"},
        rf"{SCO}1 window without scores \('chr2_0_5'\); expected the same windows in both files",
    ),
    (
        "scores without a window",
        {"sequences": lambda text: b"".join(text.splitlines(True)[:3])},
        rf"{SCO}1 window without a sequence \('{THIRD}'\)",
    ),
    (
        "another name",
        {"scores": replaced(THIRD, "chr9_0_5")},
        rf"{SCO}1 window without scores \('{THIRD}'\) and 1 window without a sequence \('chr9_0_5'\)",
    ),
    (
        "no common window",
        {"scores": replaced("chr1", "chr2", -1)},
        rf"{SCO}line 1 has 3 columns, 'chr2_0_5', .*; expected one column per window, "
        f"headed by its name in the sequences file, such as '{FIRST}'$",
    ),
    ("a short sequence", {"sequences": replaced("GGNTTA", "GGNTT")}, THIRD_LINE + "5 letters; expected 6"),
    ("a long sequence", {"sequences": replaced("GGNTTA", "GGNTTAA")}, THIRD_LINE + "7 letters; expected 6"),
    ("an empty sequence", {"sequences": replaced("GGNTTA", "")}, THIRD_LINE + "0 letters; expected 6"),
    ("no letters", {"sequences": replaced("ACGTAC", "")}, rf"{SEQ}line 2, window '{FIRST}': 0 .* at least 1"),
    (
        "RNA",
        {"sequences": replaced("GGNT", "GGNU")},
        THIRD_LINE + r"letter 'U' at position 4 \(1-based\); allowed: A",
    ),
    ("a gap", {"sequences": replaced("GGNTTA", "GGNTT-")}, THIRD_LINE + "letter '-' at position 6"),
    ("a blank", {"sequences": replaced("GGNTTA", "GG TTA")}, THIRD_LINE + "letter ' ' at position 3"),
    ("a cell more", {"sequences": replaced(SECOND, SECOND + "\tmore")}, SEQ + "line 3 has 3 columns; expected 2"),
    ("a cut line", {"sequences": lambda text: text[: text.rindex(b"\t")]}, SEQ + "line 4 has 1 column; expected 2"),
    ("cut gzip", {"sequences": lambda text: zipped(text)[:-20]}, SEQ + "the gzip data stop before their end"),
    (
        "a row too few",
        {"scores": lambda text: b"".join(text.splitlines(True)[:-1])},
        SCO + "5 rows of scores; expected 6, one per letter of a sequence",
    ),
    ("a row too many", {"scores": lambda text: text + b"0.0\t0.0\t1.5\n"}, SCO + "7 rows of scores; expected 6"),
    ("no rows", {"scores": lambda text: text.splitlines()[0]}, SCO + "0 rows of scores; expected 6"),
    ("rows for columns", {"scores": turned}, SCO + "line 1 has 7 columns, .*expected one column per .*--transpose"),
    ("rows with a header", {"scores": lambda text: with_header(turned(text))}, SCO + ".*--transpose"),
    ("rows without names", {"scores": lambda text: without_names(turned(text))}, SCO + "line 1 has 6 .*--transpose"),
    ("scores twice", {"sequences": lambda _: score_table().encode()}, SEQ + "line 1 has 0 .*the two files swapped"),
    ("sequences twice", {"scores": lambda _: sequence_table().encode()}, SCO + "a table of .*the two files swapped"),
]

BAD_ROWS: list[tuple[str, Edit, str]] = [
    ("columns after all", turned, "line 1 names windows, so columns are windows: leave out --transpose"),
    ("a cell too few", replaced("\t0.0", ""), "line 1 has 6 columns; expected 7: a window's name and its 6 scores"),
    ("a row twice", lambda text: text + text.splitlines(True)[0], f"'{FIRST}' is there twice, in line 1 and line 4"),
    ("a row too few", lambda text: b"".join(text.splitlines(True)[1:]), rf"1 window without scores \('{FIRST}'\)"),
    ("another name", replaced(THIRD, "x"), rf"scores \('{THIRD}'\) and 1 window without a sequence \('x'\)"),
    ("only a header", lambda _: with_header(b""), "3 windows without scores"),
    ("text", replaced("7.25", "high"), f"line 2, column 6, window '{SECOND}': 'high' is not a number"),
    ("no names", without_names, "line 1 has 6 columns; expected 7"),
]


def check_is_the_small_pair(pair: Pair) -> None:
    assert pair.names.tolist() == [name.encode() for name in NAMES]
    assert [decode(codes) for codes in pair.codes] == list(SEQUENCES)
    assert np.array_equal(pair.scores, np.array(SCORES, dtype=np.float32))


@pytest.mark.parametrize("edit", [bytes, columns_swapped, zipped, replaced("ACGTAC", "acgtac")])
def test_a_good_pair_is_read(tmp_path: Path, edit: Edit) -> None:
    check_is_the_small_pair(read_pair(*edited_pair(tmp_path, sequences=edit)))


@pytest.mark.parametrize("edit", [turned, lambda text: with_header(turned(text))], ids=["without", "with header"])
def test_rows_that_are_windows_are_read_when_asked_for(tmp_path: Path, edit: Edit) -> None:
    check_is_the_small_pair(read_pair(*edited_pair(tmp_path, scores=edit), transpose=True))


@given(st.permutations(range(3)), st.permutations(range(3)), st.booleans())
def test_windows_are_matched_by_name_not_by_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], columns: list[int], transpose: bool
) -> None:
    sequences = sequence_table([NAMES[i] for i in rows], [SEQUENCES[i] for i in rows])
    scores = score_table([NAMES[i] for i in columns], [SCORES[i] for i in columns]).encode()
    paths = write_pair(tmp_path_factory.mktemp("shuffled"), sequences, turned(scores) if transpose else scores)
    pair, back = read_pair(*paths, transpose), np.argsort(rows)
    check_is_the_small_pair(Pair(pair.names[back], pair.codes[back], pair.scores[back]))


def test_a_single_window_is_a_data_set(tmp_path: Path) -> None:
    pair = read_pair(*write_pair(tmp_path, sequence_table(["w"], ["AC"]), score_table(["w"], [[0.0, 7.5]])))
    assert (pair.codes.tolist(), pair.scores.tolist()) == ([[0, 1]], [[0.0, 7.5]])


def test_windows_may_be_named_by_numbers(tmp_path: Path) -> None:
    """Such names look like scores, and must not be taken for a table that lies on its side."""
    tables = sequence_table(["0.0", "1"], ["AC", "GT"]), score_table(["1", "0.0"], [[0.0, 1.0], [1.0, 0.0]])
    assert read_pair(*write_pair(tmp_path, *tables)).scores.tolist() == [[1, 0], [0, 1]]


def test_progress_rises_to_one(tmp_path: Path) -> None:
    told: list[float] = []
    read_pair(*write_pair(tmp_path), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1


def test_the_real_pair_is_what_pandas_reads(real_pair: tuple[Path, Path]) -> None:
    pair = read_pair(*real_pair)
    sequences, scores = (pd.read_csv(path, sep="\t") for path in real_pair)
    assert pair.names.astype(str).tolist() == sequences["window_name"].tolist()
    assert [decode(codes) for codes in pair.codes] == sequences["sequence"].tolist()
    assert np.array_equal(pair.scores, scores[sequences["window_name"]].to_numpy().T.astype(np.float32))


@pytest.mark.parametrize(("edits", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, edits: dict[str, Edit], says: str) -> None:
    message = refusal_of(edited_pair(tmp_path, **edits))
    assert re.search(says, message), message


@pytest.mark.parametrize(("edit", "says"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS])
def test_rows_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, edit: Edit, says: str) -> None:
    message = refusal_of(edited_pair(tmp_path, scores=lambda text: edit(turned(text))), transpose=True)
    assert re.search(SCO + ".*" + says, message), message


def damaged(text: bytes, rng: random.Random) -> bytes:
    """The text with a piece cut off, cut out, repeated, moved, flipped or put in."""
    a, b = sorted(rng.randrange(len(text)) for _ in range(2))
    c = min(b + rng.randrange(1, 9), len(text))
    junk = rng.choice([b"\t", b"\n", b"\r", b"-", b".", b"e", b"\0", b"\xff", b"<", b"0.0", b"nan"])
    return rng.choice(
        [
            text[:b],
            text[:a] + text[b:],
            text[:b] + text[a:],
            text[:a] + text[b:c] + text[a:b] + text[c:],
            text[:a] + bytes([text[a] ^ 1 << rng.randrange(8)]) + text[a + 1 :],
            text[:a] + junk + text[a:],
            text[:a] + junk + text[a + 1 :],
        ]
    )


@settings(max_examples=400)
@given(
    rng=st.randoms(use_true_random=False),
    role=st.sampled_from(["sequences", "scores"]),
    packed=st.booleans(),
    rows=st.booleans(),
    transpose=st.booleans(),
)
def test_whatever_happened_to_a_file_one_line_says_it(
    tmp_path_factory: pytest.TempPathFactory, rng: random.Random, role: str, packed: bool, rows: bool, transpose: bool
) -> None:
    def edit(text: bytes) -> bytes:
        laid = turned(text) if rows and role == "scores" else text
        return damaged(zipped(laid) if packed else laid, rng)

    said = None
    try:
        pair = read_pair(*edited_pair(tmp_path_factory.mktemp("damaged"), **{role: edit}), transpose)
    except (ValueError, OSError) as error:
        said = str(error)
    if said is not None:
        assert said.isprintable()
    else:
        assert len(pair.names) == len(pair.codes) == len(pair.scores) > 0
        assert np.isfinite(pair.scores).all()
        assert pair.codes.max() <= 4


def test_a_pair_that_memory_should_not_hold_is_refused_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "BASE_BYTES", 1 << 50)
    said = refusal_of(write_pair(tmp_path))
    assert re.fullmatch(
        r"toy_sequences.txt: over 3 windows, which need more than half of .* \d+ GB; expected fewer", said
    )
