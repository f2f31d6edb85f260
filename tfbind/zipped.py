"""Gzip and bgzip streams as what they hold. A bgzip stream that stops before its end marker is not whole.

Bgzip is gzip in blocks, of which each is whole by itself: where a file was cut between two of them, nothing but the
missing marker, an empty block, tells. See the SAM specification, section 4.1.
"""

import gzip
import io
import os
import zlib
from typing import BinaryIO, cast

MAGIC = b"\x1f\x8b"
END_MARKER = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error)  # what reading a damaged stream ends in
LONGEST_HEADER = 12 + 0xFFFF
CHUNK = 1 << 17
_EXTRA = 4  # the flag of a header with subfields
_AGAIN = "the file is damaged or not completely copied"


class NoEndMarker(EOFError):
    """A bgzip stream that stops before its end marker."""

    def __init__(self) -> None:
        super().__init__("the bgzip file stops before its end marker")


def reason(error: Exception) -> str:
    """What is wrong with a stream whose reading ended in one of `UNREADABLE`, in words."""
    if isinstance(error, NoEndMarker):
        return f"{error}; {_AGAIN}"
    if isinstance(error, EOFError):
        return f"the gzip data stop before their end; {_AGAIN}"
    return f"not readable as gzip ({error}); {_AGAIN}"


def unzipped(stream: BinaryIO) -> BinaryIO:
    """What a stream holds from where it is on, gzip or not. Closing that of gzip leaves the stream itself open.

    Raises:
        NoEndMarker: the file lacks it. What cannot be read from the middle says so at its end.
    """
    if stream.seekable():
        start = stream.tell()
        zipped = stream.read(len(MAGIC)) == MAGIC
        stream.seek(start)
        if zipped:
            check_end(stream)
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if zipped else stream
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    if not buffered.peek(len(MAGIC)).startswith(MAGIC):
        return buffered
    return cast(BinaryIO, gzip.GzipFile(fileobj=io.BufferedReader(_Watched(buffered), CHUNK)))


def check_end(stream: BinaryIO) -> None:
    """Refuse a file that begins as bgzip and lacks its end marker; it is left where it was.

    Raises:
        NoEndMarker: it does.
    """
    start = stream.tell()
    if is_bgzip(stream.read(LONGEST_HEADER)):
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, end - len(END_MARKER)))
        if stream.read() != END_MARKER:
            raise NoEndMarker
    stream.seek(start)


def is_bgzip(begins: bytes) -> bool:
    """Whether the first block of a stream, which begins so, has the subfield BC of bgzip, alone or among others."""
    if not begins.startswith(MAGIC) or len(begins) < 12 or not begins[3] & _EXTRA:
        return False
    place, end = 12, 12 + int.from_bytes(begins[10:12], "little")
    while place + 4 <= min(end, len(begins)):
        size = int.from_bytes(begins[place + 2 : place + 4], "little")
        if begins[place : place + 2] == b"BC" and size == 2:
            return True
        place += 4 + size
    return False


class _Watched(io.RawIOBase):
    """The bytes of a stream that cannot be read from the middle; its end fails where an end marker is missing."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream, self._begins, self._tail = stream, b"", b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As any raw stream."""
        chunk = self._stream.read1(len(buffer))
        self._begins += chunk[: LONGEST_HEADER - len(self._begins)]
        self._tail = (self._tail + chunk[-len(END_MARKER) :])[-len(END_MARKER) :]
        if not chunk and is_bgzip(self._begins) and self._tail != END_MARKER:
            raise NoEndMarker
        buffer[: len(chunk)] = chunk
        return len(chunk)
