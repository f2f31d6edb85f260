"""Text plain, gzip or bgzip, in UTF-8 or UTF-16, with any line ends; tables of it. What was cut off is refused."""

import codecs
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from tfbind.errors import TfbindError
from tfbind.store.atomic import require_regular_file

MAGIC = b"\x1f\x8b"
END_MARKER = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error)  # what reading a damaged stream ends in
LONGEST_HEADER = 12 + 0xFFFF
_EXTRA = 4  # the flag of a header with subfields
_AGAIN = "the file is damaged or not completely copied"
FIRST_CHUNK, CHUNK = 64 << 10, 1 << 20
LONGEST_LINE = 64 << 20
LONGEST_NUMBER = 40
TAB, LINE_END = 9, 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16 = (
    (re.compile(rb"\xff\xfe|(?:[\t\n\r -~]\0){2}"), "utf-16-le"),
    (re.compile(rb"\xfe\xff|(?:\0[\t\n\r -~]){2}"), "utf-16-be"),
)

_FOREIGN = (
    (b"PK\x03\x04", "a Word, Excel or zip file"),
    (b"\xd0\xcf\x11\xe0", "a Word or Excel file"),
    (b"{\\rtf", "a rich text (RTF) file"),
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"BAM\x01", "a BAM file"),
    (b"CRAM\2", "a CRAM file"),
    (b"CRAM\3", "a CRAM file"),
    (b"BCF\x02", "a BCF file"),
    (b"\x43\x27\x41\x1a", "a 2bit file"),
    (b"\x1a\x41\x27\x43", "a 2bit file"),
    (b"\x26\xfc\x8f\x88", "a bigWig file"),
    (b"\x88\x8f\xfc\x26", "a bigWig file"),
    (b"\xeb\xf2\x89\x87", "a bigBed file"),
    (b"\x87\x89\xf2\xeb", "a bigBed file"),
    (b"\t\0\0\0\x0eSnapGene", "a SnapGene file"),
    (b"ABIF\0", "a trace of a sequencer (AB1)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"BZh91AY", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (MAGIC, "gzip within gzip"),
    (b"<", "a web page (HTML or XML)"),
)
EXPECTED = "expected text, plain or gzip"
BLANK = b" \t\n\r\v\f"

Places = NDArray[np.intp]


class NoEndMarker(EOFError):
    """A bgzip stream that is cut off before its end-of-file marker."""

    def __init__(self) -> None:
        super().__init__("the bgzip file stops before its end marker")


def decompression_error(error: Exception) -> str:
    """The message for an error of `UNREADABLE`, which reading a damaged stream raised."""
    if isinstance(error, NoEndMarker):
        return f"{error}; {_AGAIN}"
    if isinstance(error, EOFError):
        return f"the gzip data stop before their end; {_AGAIN}"
    return f"not readable as gzip ({error}); {_AGAIN}"


def decompress(stream: BinaryIO) -> BinaryIO:
    """Decompress a stream from its current position; one that is not gzip comes back as it is.

    Closing the result leaves a gzip stream itself open.

    Raises:
        NoEndMarker: a bgzip file lacks its end marker; a stream that is not seekable raises it at its end.
    """
    if stream.seekable():
        start = stream.tell()
        is_gzip = stream.read(len(MAGIC)) == MAGIC
        stream.seek(start)
        if is_gzip:
            check_bgzip_end(stream)
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if is_gzip else stream
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    if not buffered.peek(len(MAGIC)).startswith(MAGIC):
        return buffered
    return cast(BinaryIO, gzip.GzipFile(fileobj=io.BufferedReader(_UnseekableStream(buffered), CHUNK)))


def check_bgzip_end(stream: BinaryIO) -> None:
    """Refuse a bgzip file without its end marker; the position in the file stays as it is.

    Raises:
        NoEndMarker: the marker is missing.
    """
    start = stream.tell()
    if is_bgzip(stream.read(LONGEST_HEADER)):
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, end - len(END_MARKER)))
        if stream.read() != END_MARKER:
            raise NoEndMarker
    stream.seek(start)


def is_bgzip(header: bytes) -> bool:
    """Whether the first bytes of a stream have the gzip subfield BC, by which bgzip is recognised."""
    if not header.startswith(MAGIC) or len(header) < 12 or not header[3] & _EXTRA:
        return False
    position, end = 12, 12 + int.from_bytes(header[10:12], "little")
    while position + 4 <= min(end, len(header)):
        size = int.from_bytes(header[position + 2 : position + 4], "little")
        if header[position : position + 2] == b"BC" and size == 2:
            return True
        position += 4 + size
    return False


class _UnseekableStream(io.RawIOBase):
    """A stream that is not seekable; reading its end raises `NoEndMarker` if it is bgzip without an end marker."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream, self._begins, self._tail = stream, b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._stream.read1(len(buffer))
        self._begins += chunk[: LONGEST_HEADER - len(self._begins)]
        self._tail = (self._tail + chunk[-len(END_MARKER) :])[-len(END_MARKER) :]
        if not chunk and is_bgzip(self._begins) and self._tail != END_MARKER:
            raise NoEndMarker
        buffer[: len(chunk)] = chunk
        return len(chunk)


def read_text_chunks(stream: BinaryIO, size: int = CHUNK, expected: str = EXPECTED) -> Iterator[bytes]:
    """Read a text from a stream, which stays open: the opening of every text from elsewhere.

    Args:
        stream: plain, gzip or bgzip; in UTF-16, or any encoding that has ASCII in it.
        size: bytes to read at a time, the first time at most `FIRST_CHUNK`.
        expected: what would be right, for messages.

    Yields:
        The text unpacked, UTF-16 as UTF-8, without a byte order mark, with newlines for any line ends.

    Raises:
        TfbindError: gzip data that are damaged or cut off, or a file of another kind than text.
    """
    try:
        text = decompress(stream)
        first = text.read(min(size, FIRST_CHUNK))
        chunks: Iterator[bytes] = itertools.chain([first], iter(lambda: text.read(size), b""))
        for start, kind in _FOREIGN:
            if first.startswith(start) or first.lstrip(BLANK).startswith(start):
                raise TfbindError(f"this is {kind}; {expected}")
        for pattern, encoding in UTF_16:
            if pattern.match(first):
                decoded = codecs.iterdecode(chunks, encoding, errors="replace")
                chunks = (letters.encode(errors="replace") for letters in decoded)
        mark, line_end = BYTE_ORDER_MARK, b""
        for chunk in chunks:
            chunk, mark = line_end + chunk.removeprefix(mark), b""
            line_end = b"\r" if chunk.endswith(b"\r") else b""  # a line feed may follow
            yield with_newlines(chunk.removesuffix(line_end))
        if line_end:
            yield b"\n"
    except UNREADABLE as error:
        raise TfbindError(decompression_error(error)) from None


def with_newlines(text: bytes) -> bytes:
    """A text with line ends as on Linux."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


@dataclass(frozen=True)
class Block:
    """Whole lines of a table; cell i, counted along the lines, is text[bounds[i] + 1 : bounds[i + 1]]."""

    file: str
    first_line: int
    columns: int
    text: bytes
    bounds: Places

    @property
    def rows(self) -> int:
        """The number of lines."""
        return (len(self.bounds) - 1) // self.columns

    def column(self, column: int) -> list[bytes]:
        """The cells of one column."""
        starts, ends = self.bounds[column :: self.columns][: self.rows] + 1, self.bounds[column + 1 :: self.columns]
        return [self.text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def first_lines(path: Path) -> tuple[list[bytes], list[bytes]]:
    """The cells of the first two lines of a table; one empty cell where there is no second line.

    Raises:
        ValueError: the file is empty, no table, or separated by commas.
    """
    text = next(read_whole_lines(path), b"")
    if not text.strip():
        raise ValueError(f"{file_label(path)}: empty; expected a tab-separated table")
    first, _, rest = text.partition(b"\n")
    second = rest.partition(b"\n")[0]
    _separators(file_label(path), first, 1)
    if b"\t" not in first and b"," in first:
        raise ValueError(f"{file_label(path)}: columns are separated by commas; expected tabs")
    return first.split(b"\t"), second.split(b"\t")


def read_blocks(path: Path, columns: int, first_line: int = 2) -> Iterator[Block]:
    """Read a tab-separated table in blocks of about a megabyte.

    Args:
        path: the table, plain or gzip.
        columns: the cells that every line must have.
        first_line: the line to begin at, counted from 1.

    Raises:
        ValueError: a line with another number of cells, or bytes that are no text.
    """
    line = 1
    for text in _without_empty_end(read_whole_lines(path)):
        separators = _separators(file_label(path), text, line)
        line_ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == LINE_END)
        cells = np.diff(np.searchsorted(separators, line_ends), prepend=-1)
        if (cells != columns).any():
            ragged = int((cells != columns).argmax())
            raise ValueError(
                f"{file_label(path)}: line {line + ragged} has {plural(cells[ragged], 'column')}; expected "
                f"{columns}, as in line 1"
            )
        skip = max(first_line - line, 0)
        if skip < len(cells):
            bounds = np.concatenate([[-1], separators])[skip * columns :]
            yield Block(file_label(path), line + skip, columns, text, bounds)
        line += len(cells)


def _separators(file: str, text: bytes, line: int) -> Places:
    """The positions of tabs and line ends. Any other byte that is not printable is refused."""
    raw = np.frombuffer(text, dtype=np.uint8)
    positions = np.flatnonzero(raw - np.uint8(32) > 94)  # wraps below 32: one comparison for both sides
    if len(positions) > np.count_nonzero(raw == TAB) + np.count_nonzero(raw == LINE_END):
        position = int(positions[~np.isin(raw[positions], (TAB, LINE_END))][0])
        column = position - text.rfind(b"\n", 0, position)
        raise ValueError(
            f"{file}: line {line + text.count(LINE_END, 0, position)}, byte {column} is 0x{text[position]:02x}, "
            f"{'which is not plain ASCII text' if text[position] else 'a NUL byte'}; expected a tab-separated "
            "table, plain or gzip"
        )
    return positions


def read_whole_lines(path: Path, expected: str = EXPECTED) -> Iterator[bytes]:
    """Read a file in pieces of whole lines, each ended by a newline.

    Args:
        path: the file, as for `read_text_chunks`.
        expected: what would be right, for messages.

    Yields:
        The pieces.

    Raises:
        TfbindError: as `read_text_chunks`, or a line that is too long; it names the file.
    """
    parts: list[bytes] = []
    for chunk in _chunks(path, expected):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join([*parts, chunk[:cut]])
            parts = []
        parts.append(chunk[cut:])
        if sum(map(len, parts)) > LONGEST_LINE:
            too_long = f"a line of over {LONGEST_LINE >> 20} MB"
            raise TfbindError(too_long, place=file_label(path), expected="a tab-separated table")
    if last := b"".join(parts):
        yield last + b"\n"


def _without_empty_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces without the empty lines at the end; of several before more text one stays, to be refused."""
    empty = False
    for text in pieces:
        stripped = text
        if text.endswith(b"\n\n") or text == b"\n":
            stripped = text.rstrip(b"\n")
            stripped += b"\n" if stripped else b""
        if stripped:
            yield b"\n" + stripped if empty else stripped
            empty = False
        empty |= len(stripped) < len(text)


def _chunks(path: Path, expected: str) -> Iterator[bytes]:
    with require_regular_file(path).open("rb") as file:
        try:
            yield from read_text_chunks(file, expected=expected)
        except TfbindError as error:
            raise TfbindError(str(error), place=file_label(path)) from None


def parse_numbers(
    block: Block, first: int, window: Callable[[int, int], bytes]
) -> tuple[Places, Places, NDArray[np.float64]]:
    """Parse the numbers of a block that are not `0.0`.

    Nearly every cell is `0.0`, so those are found by comparing bytes and only the others are parsed.

    Args:
        block: lines of a table.
        first: the first column of numbers.
        window: the name of the window at a row and a column, for messages.

    Returns:
        Rows, columns (0 being `first`) and values, each (n,).

    Raises:
        ValueError: a cell that is no finite number.
    """
    indices = np.flatnonzero(~_ends_zero(block.text)[block.bounds[1:]])
    rows, columns = np.divmod(indices, block.columns)
    columns -= first
    inside = columns >= 0
    rows, columns, indices = rows[inside], columns[inside], indices[inside]
    starts = block.bounds[indices] + 1
    widths = block.bounds[indices + 1] - starts

    def fail(cell: int, problem: str) -> NoReturn:
        row, column = int(rows[cell]), int(columns[cell])
        text = block.text[starts[cell] : starts[cell] + widths[cell]]
        raise ValueError(
            f"{block.file}: line {block.first_line + row}, column {first + column + 1}, window "
            f"{quote(window(row, column))}: {quote(text)} {problem}"
        )

    if not len(rows):
        return rows, columns, np.empty(0)
    for index in (int(widths.argmin()), int(widths.argmax())):
        if not 0 < widths[index] <= LONGEST_NUMBER:
            fail(index, "is not a number")
    cells = _cells(block.text, starts, widths)
    values = _decimals(cells)
    if values is None:
        values = _any_numbers(cells, fail)
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32))
    if not finite.all():
        fail(int(finite.argmin()), "is not finite; expected a number that single precision can hold")
    return rows, columns, values


def _ends_zero(text: bytes) -> NDArray[np.bool_]:
    """Whether the cell that ends before each byte reads `0.0`; meaningless at bytes that are no separators."""
    raw = np.frombuffer(text, dtype=np.uint8)
    zero, separator = raw == ord("0"), raw < 32
    ends = np.zeros(len(raw), dtype=bool)
    ends[3:] = zero[:-3] & (raw[1:-2] == ord(".")) & zero[2:-1]
    ends[4:] &= separator[:-4]
    return ends


def _cells(text: bytes, starts: Places, widths: Places) -> NDArray[np.uint8]:
    """The bytes of some cells, one cell per column, filled up with NUL."""
    raw = np.frombuffer(text, dtype=np.uint8)
    cells = np.zeros((int(widths.max()), len(starts)), dtype=np.uint8)
    for place, letters in enumerate(cells):
        inside = np.minimum(starts + place, len(raw) - 1)
        np.copyto(letters, raw[inside], where=place < widths)
    return cells


def _decimals(cells: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Numbers written as digits with one point, such as 6.3672; None if any is written otherwise.

    Of up to 15 digits the quotient of two whole numbers is the double nearest to the text.
    """
    digits = cells - np.uint8(ord("0"))  # whatever lies below 0 wraps
    is_digit, is_point = digits < 10, cells == ord(".")
    counted = is_digit.sum(axis=0)
    one_point = (is_point.sum(axis=0) == 1).all() and (is_digit | is_point | (cells == 0)).all()
    if not one_point or counted.min() < 1 or counted.max() > 15:
        return None
    whole, scale = np.zeros(cells.shape[1]), np.ones(cells.shape[1])
    behind_point = np.zeros(cells.shape[1], dtype=bool)
    for place in range(len(cells)):
        whole = np.where(is_digit[place], whole * 10 + digits[place], whole)
        scale = np.where(is_digit[place] & behind_point, scale * 10, scale)
        behind_point |= is_point[place]
    return whole / scale


def _any_numbers(cells: NDArray[np.uint8], fail: Callable[[int, str], NoReturn]) -> NDArray[np.float64]:
    grouped = (cells == ord("_")).any(axis=0)
    if grouped.any():
        fail(int(grouped.argmax()), "is not a number")  # though Python would read 1_000
    texts = np.ascontiguousarray(cells.T).view(f"S{len(cells)}")[:, 0]
    try:
        return texts.astype(np.float64)
    except ValueError:
        fail(next(index for index, text in enumerate(texts.tolist()) if not is_number(text)), "is not a number")


def is_number(cell: bytes) -> bool:
    """Whether Python reads `cell` as a number, NaN and infinity included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def quote(text: str | bytes) -> str:
    """A name or cell for a message: quoted, on one line, cut when long."""
    words = text.decode("ascii", "backslashreplace") if isinstance(text, bytes) else text
    return repr(words if len(words) <= 60 else words[:57] + "...")


def plural(number: int, noun: str) -> str:
    """A number with its noun: `1 window`, `2 windows`.

    Args:
        number: how many.
        noun: in the singular; the plural adds an s.

    Returns:
        The words, with commas between thousands.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def file_label(path: Path) -> str:
    """A file's name for a message, which a name with line breaks must not spread over several lines."""
    return path.name if path.name.isprintable() else repr(path.name)
