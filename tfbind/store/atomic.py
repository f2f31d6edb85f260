"""Atomic writes: a reader sees the old content or the new, however the writer ends.

Also checks of paths, messages of OSErrors, and the trash of a home, to which deleted folders move.
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
    """Set the umask so that new files of this process and its children are private to their account."""
    os.umask(OTHERS)


def is_open_to_others(folder: Path) -> bool:
    """Whether a folder gives rights to other accounts of this machine."""
    return os.name == "posix" and folder.exists() and bool(folder.stat().st_mode & OTHERS)


def draft_of(path: Path) -> Path:
    """A new temporary path beside `path`, with its suffix, to write to before it is renamed to `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_host()}{secrets.token_hex(2)}{path.suffix.lower()}")


def _host() -> str:
    """Four letters for the name of this host."""
    return f"{zlib.crc32(os.fsencode(socket.gethostname())) & 0xFFFF:04x}"


@contextmanager
def annotate_oserror(path: Path) -> Iterator[None]:
    """Add this path to OSErrors that name no file, such as those of writing to an open file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` that is renamed to it on success and deleted on failure.

    Temporary files that killed processes left of this path are deleted, too.

    Raises:
        OSError: the file cannot be written; `filename` is the path.
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
    """Replace a file atomically, synced to the disk.

    Args:
        path: the file.
        content: its new content.

    Raises:
        OSError: the file cannot be written.
    """
    write_chunks(path, [content])


def write_chunks(path: Path, content: Iterable[bytes]) -> None:
    """Replace a file atomically by content that comes in chunks, synced to the disk.

    Args:
        path: the file.
        content: its new content, in order.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path) as draft:
        write_draft(draft, content)


def write_draft(draft: Path, content: Iterable[bytes]) -> None:
    """Write a file that nobody reads yet, synced to the disk.

    Args:
        draft: the file.
        content: its content, in chunks.

    Raises:
        OSError: the file cannot be written.
    """
    with annotate_oserror(draft), draft.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


def is_draft(name: str) -> bool:
    """Whether a file or folder has a temporary name that `draft_of` gave."""
    return _DRAFT.fullmatch(name) is not None


def remove_drafts(folder: Path, name: str = "") -> None:
    """Delete the temporary files and folders (`draft_of`) that killed processes left in a folder.

    Those of another host, in a shared folder, stay until they are a day old.

    Args:
        folder: where to look.
        name: only those made for the file of this name; "" for any.
    """
    for draft in folder.glob(f".{glob.escape(name)}.*" if name else ".*"):
        match = _DRAFT.fullmatch(draft.name)
        if match is None:
            continue
        on_this_host = match[2] in (None, _host())
        if psutil.pid_exists(int(match[1])) if on_this_host else not _is_abandoned(draft):
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
    """Yield a new temporary folder, deleted at the end, as are those that killed processes left.

    Args:
        folder: the folder to make it in; made if it is missing.
        name: the name it will be renamed to, if any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder)
    draft = draft_of(folder / name)
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def rename_exclusive(draft: Path, target: Path) -> bool:
    """Rename a folder, unless the target exists.

    Args:
        draft: the folder.
        target: its new path.

    Returns:
        False if the target exists; it stays as it is.

    Raises:
        OSError: the folder cannot be renamed for another reason.
    """
    try:
        draft.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


def move_to_trash(home: Path, folder: Path, name: str) -> Path:
    """Move a folder to the trash of its home.

    Args:
        home: the project's home folder.
        folder: what to move.
        name: its name in the trash; random letters are appended where that is taken.

    Returns:
        The new path.
    """
    trash = home / TRASH
    trash.mkdir(exist_ok=True)
    target = trash / name
    while target.exists():
        target = trash / f"{name}-{secrets.token_hex(2)}"
    return folder.rename(target)


def nearest_existing(folder: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def why_unwritable(folder: Path) -> str:
    """Why nothing can be written in a folder, which need not exist yet, in one line; "" if something can."""
    existing = nearest_existing(folder)
    if not existing.is_dir():
        return f"{existing}: a file; expected a folder"
    if os.access(existing, os.W_OK | os.X_OK):
        return ""
    read_only = os.statvfs(existing).f_flag & os.ST_RDONLY
    return f"{folder}: cannot be written ({'read-only file system' if read_only else 'permission denied'})"


def format_error(error: Exception) -> str:
    """The message of an error on one line; of an OSError the file and the reason, without its number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return " ".join(str(error).split())
    reason = "the disk is full" if error.errno in FULL else error.strerror[:1].lower() + error.strerror[1:]
    return f"{error.filename}: {reason}" if error.filename else reason


def mtime_ns(path: Path) -> int:
    """The modification time of a file in nanoseconds since 1970; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def refuse_overwriting_input(out: Path, *inputs: Path) -> None:
    """Refuse an output path that is one of the inputs, also by a link.

    Raises:
        ValueError: `out` is one of `inputs`.
    """
    if out.exists() and any(path.exists() and path.samefile(out) for path in inputs):
        raise ValueError(f"{out}: the file that is read; expected another, since the output takes its place")


def expand_path(text: str) -> Path:
    """The path that a user typed, with `~` expanded; `~name` of an unknown user stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def require_regular_file(path: Path, max_bytes: int | None = None) -> Path:
    """Refuse a path that is no regular file: reading a FIFO would block, and a device may have no end.

    Args:
        path: the file.
        max_bytes: the largest size allowed; None for any.

    Returns:
        The path.

    Raises:
        ValueError: one line: it is something else, or larger.
        OSError: there is no such file, or it cannot be looked at.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a FIFO, a socket or a device"
        raise TfbindError(kind, place=str(path), expected="a file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise TfbindError(f"{status.st_size:,} bytes", place=str(path), expected=f"at most {max_bytes:,}")
    return path


def require_regular_or_new(path: Path) -> Path:
    """`require_regular_file` for a path to write to, which need not exist yet."""
    return require_regular_file(path) if path.exists() else path


def read_text(path: Path) -> str:
    """Read a text file in UTF-8.

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
