"""What a run keeps of its best epoch, whole and damaged."""

import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tfbind.runs.record import pack_validation, read_validation

WHOLE = pack_validation(np.arange(3), np.linspace(0, 70_000, 12).reshape(3, 4), np.ones(3), np.zeros(3))


def test_what_was_packed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    path.write_bytes(WHOLE)
    windows, predictions, loss, pearson = read_validation(path, 3, 4)
    kinds = [str(array.dtype) for array in (windows, predictions, loss, pearson)]
    assert kinds == ["int64", "float16", "float32", "float32"]
    assert windows.tolist() == [0, 1, 2]
    assert np.isinf(predictions[2, 3])  # more than half precision holds
    assert predictions[0, 0] == 0


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, windows=np.array([{}], dtype=object))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"garbage", WHOLE[:100], WHOLE[:-30], pickled(), b"null", None])
def test_damaged_predictions_are_one_line_that_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "held.npz"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: damaged; expected the predictions of its best epoch$"):
        read_validation(path, 3, 4)


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_told_or_changes_nothing(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "held.npz"
    path.write_bytes(WHOLE)
    expected = read_validation(path, 3, 4)
    path.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ 1 << bit]) + WHOLE[place + 1 :])
    try:
        assert all(map(np.array_equal, read_validation(path, 3, 4), expected))
    except ValueError as error:
        assert str(error) == f"{path}: damaged; expected the predictions of its best epoch"  # noqa: PT017


def test_predictions_of_another_number_of_windows_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    path.write_bytes(pack_validation(np.arange(2), np.zeros((3, 4)), np.ones(3), np.zeros(3)))
    with pytest.raises(ValueError, match="damaged"):
        read_validation(path, 3, 4)


def claiming(shape: str, kind: str = "<i8") -> bytes:
    """An array whose header says more than there is behind it."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)


@pytest.mark.parametrize(
    "windows",
    [
        *map(claiming, [f"({10**12},)", f"({10**30},)", "()", "(" * 5000]),
        claiming("(" + "-" * 9000 + "1,)"),
        claiming("(1,)", "S8"),
        claiming("(1,)", ",i8"),
    ],
    ids=["terabytes", "beyond-integers", "no-shape", "open-brackets", "minus-signs", "text", "no-kind"],
)
def test_an_array_that_claims_what_it_has_not_is_damaged(tmp_path: Path, windows: bytes) -> None:
    path = tmp_path / "held.npz"
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as whole, zipfile.ZipFile(path, "w") as changed:
        for name in whole.namelist():
            changed.writestr(name, windows if name == "windows.npy" else whole.read(name))
    with pytest.raises(ValueError, match=f"^{path}: damaged; expected the predictions of its best epoch$"):
        read_validation(path, 3, 4)


@pytest.mark.parametrize(("windows", "length"), [(2, 4), (3, 5)])
def test_predictions_of_other_data_are_damaged(tmp_path: Path, windows: int, length: int) -> None:
    path = tmp_path / "held.npz"
    path.write_bytes(WHOLE)
    with pytest.raises(ValueError, match="damaged"):
        read_validation(path, windows, length)


def test_predictions_that_unpack_to_gigabytes_are_damaged_at_once(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("windows.npy", "w") as member:
        for _ in range(512):
            member.write(bytes(1 << 20))
    path.write_bytes(buffer.getvalue())
    begun = time.process_time()
    with pytest.raises(ValueError, match="damaged"):
        read_validation(path, 3, 4)
    assert time.process_time() - begun < 0.5  # to unpack it takes several seconds
