"""What a run keeps of its best epoch, whole and damaged."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfbind.best_epoch import pack_held_out, read_held_out

WHOLE = pack_held_out(np.arange(3), np.linspace(0, 70_000, 12).reshape(3, 4), np.ones(3), np.zeros(3))


def test_what_was_packed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    path.write_bytes(WHOLE)
    windows, predictions, loss, pearson = read_held_out(path)
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
        read_held_out(path)


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_told_or_changes_nothing(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "held.npz"
    path.write_bytes(WHOLE)
    expected = read_held_out(path)
    path.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ 1 << bit]) + WHOLE[place + 1 :])
    try:
        assert all(map(np.array_equal, read_held_out(path), expected))
    except ValueError as error:
        assert str(error) == f"{path}: damaged; expected the predictions of its best epoch"  # noqa: PT017


def test_predictions_of_another_number_of_windows_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    path.write_bytes(pack_held_out(np.arange(2), np.zeros((3, 4)), np.ones(3), np.zeros(3)))
    with pytest.raises(ValueError, match="damaged"):
        read_held_out(path)
