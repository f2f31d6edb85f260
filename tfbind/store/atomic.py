"""Files that are replaced as a whole: a reader sees the old content or the new, however the writer ends.

And what is no file where one belongs, and folders that are thrown away: they move to the trash of their home.
"""

import glob
import os
import re
import secrets
import shutil
import socket
import stat
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tfbind.errors import FULL, TfbindError

TRASH = "trash"
MOST_BYTES = 1 << 28  # of a file that is read as a whole
OTHERS = 0o077  # the rights of group and others
ABANDONED_SECONDS = 86_400  # what another host has not touched for so long, it does not write any more
ODD_BYTES = "backslashreplace"  # how text shows those of a file's name that are no UTF-8

_DRAFT = re.compile(r"\..+\.(\d{1,9})-([0-9a-f]{4})?[0-9a-f]{4}(?:\.\w+)?")  # older ones have no host


def set_private_umask() -> None:
    """Have what this process makes from now on, and what those that it starts make, be its own account's alone."""
    os.umask(OTHERS)


def is_open_to_others(folder: Path) -> bool:
    """Whether other accounts of this machine may look into a folder."""
    return os.name == "posix" and folder.exists() and bool(folder.stat().st_mode & OTHERS)


def draft_of(path: Path) -> Path:
    """A free name beside `path`, with its suffix, under which this process makes what will take its place."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_host()}{secrets.token_hex(2)}{path.suffix.lower()}")


def _host() -> str:
    """Four letters for the name of this host."""
    return f"{zlib.crc32(os.fsencode(socket.gethostname())) & 0xFFFF:04x}"


@contextmanager
def annotate_oserror(path: Path) -> Iterator[None]:
    """Have an error of the system that names no file, as one of writing to an open file, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place when all went well and is gone otherwise.

    What killed processes left of earlier ones goes, too.

    Raises:
        OSError: it cannot be written; `filename` is the path.
    """
    draft = draft_of(path)
    try:
        remove_drafts(path.parent, path.name)
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(draft)):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
        raise
    finally:
        with suppress(OSError):  # what stopped the writing may stop this, too, and is the one to be told
            draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole, and have it on the disk before this returns."""
    write_chunks(path, [content])


def write_chunks(path: Path, content: Iterable[bytes]) -> None:
    """The same for content that comes in chunks."""
    with atomic_write(path) as draft:
        write_draft(draft, content)


def write_draft(draft: Path, content: Iterable[bytes]) -> None:
    """Write a file that nobody reads yet, and have it on the disk before this returns."""
    with annotate_oserror(draft), draft.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


def is_draft(name: str) -> bool:
    """Whether a file or folder of this name is half written: what `draft_of` named."""
    return _DRAFT.fullmatch(name) is not None


def remove_drafts(folder: Path, name: str = "") -> None:
    """Delete what processes that were killed left half written in a folder: what `draft_of` named, for any path or
    for the one of this name. What another host writes into a shared folder stays until it is abandoned."""
    for draft in folder.glob(f".{glob.escape(name)}.*" if name else ".*"):
        match = _DRAFT.fullmatch(draft.name)
        if match is None:
            continue
        here = match[2] in (None, _host())
        if psutil.pid_exists(int(match[1])) if here else not _is_abandoned(draft):
            continue
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)  # another process may be deleting it, too
        else:
            draft.unlink(missing_ok=True)


def _is_abandoned(draft: Path) -> bool:
    inside = (Path(folder, name) for folder, _, names in os.walk(draft) for name in names)
    return time.time() - max(map(mtime_ns, (draft, *inside))) / 1e9 > ABANDONED_SECONDS


@contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """A new folder in `folder`, which is made if it is missing; gone at the end, as is what killed processes left
    there."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder)
    place = draft_of(folder / name)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def rename_exclusive(draft: Path, place: Path) -> bool:
    """Whether a folder could be renamed to its place: not where there is one already, which stays as it is."""
    try:
        draft.rename(place)
    except OSError:
        if place.exists():
            return False
        raise
    return True


def move_to_trash(home: Path, folder: Path, name: str) -> Path:
    """Move a folder to the trash of its home, under a name like `name` that is free there; where it lies now."""
    trash = home / TRASH
    trash.mkdir(exist_ok=True)
    target = trash / name
    while target.exists():
        target = trash / f"{name}-{secrets.token_hex(2)}"
    return folder.rename(target)


def nearest_existing(folder: Path) -> Path:
    """A folder, or of those above it the first that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def why_unwritable(folder: Path) -> str:
    """Why nothing can be written in a folder, there or still to be made, in one line; "" if something can."""
    existing = nearest_existing(folder)
    if not existing.is_dir():
        return f"{existing}: a file; expected a folder"
    if os.access(existing, os.W_OK | os.X_OK):
        return ""
    read_only = os.statvfs(existing).f_flag & os.ST_RDONLY
    return f"{folder}: cannot be written ({'read-only file system' if read_only else 'permission denied'})"


def format_error(error: Exception) -> str:
    """What an error says, for a reader: of the system's, which file and why, without a number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return " ".join(str(error).split())
    reason = "the disk is full" if error.errno in FULL else error.strerror[:1].lower() + error.strerror[1:]
    return f"{error.filename}: {reason}" if error.filename else reason


def mtime_ns(path: Path) -> int:
    """When a file was written, in nanoseconds since 1970; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def refuse_overwriting_input(out: Path, *read: Path) -> None:
    """Refuse to write what is read, under whatever name.

    Raises:
        ValueError: `out` is one of the files that are read.
    """
    if out.exists() and any(path.exists() and path.samefile(out) for path in read):
        raise ValueError(f"{out}: the file that is read; expected another, since the output takes its place")


def expand_path(text: str) -> Path:
    """The path that a user typed, `~` being their home; that of somebody who is unknown stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def require_regular_file(path: Path, most: int | None = None) -> Path:
    """`path`, if that is a file: for a FIFO its reader would wait, and a device may have no end.

    Args:
        most: bytes that it may have.

    Raises:
        ValueError: one line: it is something else, or larger.
        OSError: there is no such file, or it cannot be looked at.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        what = "a folder" if stat.S_ISDIR(facts.st_mode) else "a FIFO, a socket or a device"
        raise TfbindError(what, place=str(path), expected="a file")
    if most is not None and facts.st_size > most:
        raise TfbindError(f"{facts.st_size:,} bytes", place=str(path), expected=f"at most {most:,}")
    return path


def require_regular_or_new(path: Path) -> Path:
    """The same, to be written to, where a file is still to be made, too."""
    return require_regular_file(path) if path.exists() else path


def read_text(path: Path) -> str:
    """The text in a file.

    Raises:
        ValueError: the file is missing, cannot be read, is too large, or is not text.
    """
    try:
        return require_regular_file(path, MOST_BYTES).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TfbindError("the file is missing", place=str(path)) from None
    except UnicodeDecodeError:
        raise TfbindError("not text in UTF-8; the file was damaged", place=str(path)) from None
    except OSError as error:
        raise TfbindError(f"cannot be read ({error.strerror})", place=str(path)) from None
