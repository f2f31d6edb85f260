"""bigWig files as two other libraries read them: every value, the summaries, the trees of many chromosomes."""

import numpy as np
import pybigtools
import pytest
from hypothesis import given, settings, strategies as st

from tfbind.dna import bigwig_writer
from tfbind.dna.bigwig_writer import BLOCK, SECTION, chromosome_order, write

PIECE = 20_000


def random_scores(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.normal(0, 3, bases).astype(np.float32) for name, bases in sizes.items()}


def written(path, scores: dict[str, np.ndarray], size: int = PIECE):
    """The file with all scores, a piece of `size` bases at a time."""
    pieces = (
        (name, start, scores[name][start : start + size])
        for name in chromosome_order(scores)
        for start in range(0, len(scores[name]), size)
    )
    write(path, {name: len(values) for name, values in scores.items()}, pieces)
    return path


def values(path, name: str, *extent: int) -> np.ndarray:
    return np.asarray(pybigtools.open(str(path)).values(name, *extent, fillna=None))


def test_every_value_comes_back_exactly_from_two_libraries(tmp_path):
    pyBigWig = pytest.importorskip("pyBigWig", reason="pyBigWig has no wheel for this system")
    scores = random_scores({"chr10": 70_001, "chr2": 50_000, "a": 1, "\u00e4": SECTION})
    path = written(tmp_path / "x.bw", scores)
    theirs = pyBigWig.open(str(path))
    assert theirs.isBigWig()
    assert theirs.chroms() == pybigtools.open(str(path)).chroms() == {name: len(scores[name]) for name in scores}
    for name, expected in scores.items():
        assert np.array_equal(values(path, name).astype(np.float32), expected)
        assert np.array_equal(np.array(theirs.values(name, 0, len(expected)), np.float32), expected)


def test_bases_without_a_score_are_none_and_positions_may_lie_far_out(tmp_path):
    path, far = tmp_path / "x.bw", 1_500_000_000
    write(path, {"c": far + 3}, [("c", 5, np.array([1, 2], np.float32)), ("c", far, np.array([3, 4, 5], np.float32))])
    assert values(path, "c", 3, 9).tolist()[2:4] == [1, 2]
    assert np.isnan(values(path, "c", 3, 9)[[0, 1, 4, 5]]).all()
    assert values(path, "c", far, far + 3).tolist() == [3, 4, 5]
    with pytest.raises(ValueError, match="c reaches position 4,294,967,296; a bigWig ends at 4,294,967,295"):
        write(path, {"c": 2**32}, [])


@given(st.integers(1, 3 * SECTION), st.integers(1, 5_000))
@settings(max_examples=20)
def test_values_do_not_depend_on_the_pieces_they_come_in(tmp_path_factory, bases, size):
    scores = random_scores({"c": bases})
    path = written(tmp_path_factory.mktemp("bw") / "x.bw", scores, max(size, bases // 20))
    assert np.array_equal(values(path, "c").astype(np.float32), scores["c"])


def test_the_summaries_are_those_of_the_values(tmp_path):
    scores = random_scores({"chr1": 1 << 21, "chr2": 3_000})
    reader = pybigtools.open(str(written(tmp_path / "x.bw", scores, 1 << 20)))
    everything = np.concatenate(list(scores.values())).astype(np.float64)
    summary = reader.info()["summary"]
    assert summary["basesCovered"] == len(everything)
    assert (summary["min"], summary["max"]) == (everything.min(), everything.max())
    assert summary["sum"] == pytest.approx(everything.sum(), abs=0.01)
    assert summary["std"] == pytest.approx(everything.std(), rel=1e-5)
    assert reader.zooms() == [zoom for zoom in bigwig_writer.ZOOMS if zoom <= 1 << 20]
    for zoom in reader.zooms():
        bins = scores["chr1"].reshape(-1, zoom)
        found = list(reader.zoom_records(zoom, "chr1"))
        assert [(start, end) for start, end, _ in found] == [(at, at + zoom) for at in range(0, 1 << 21, zoom)]
        for name, expected in (
            ("sum", bins.sum(axis=1)),
            ("min_val", bins.min(axis=1)),
            ("max_val", bins.max(axis=1)),
        ):
            assert [figures[name] for _, _, figures in found] == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-2)


def test_more_chromosomes_and_sections_than_one_node_of_a_tree_holds(tmp_path):
    """Trees of three levels, of names of other lengths."""
    scores = random_scores({f"contig_{number}": 1 + number % 3 for number in range(BLOCK * BLOCK + 10)})
    path = written(tmp_path / "x.bw", scores)
    reader = pybigtools.open(str(path))
    assert reader.chroms() == {name: len(values) for name, values in scores.items()}
    for name in ("contig_0", "contig_255", "contig_256", "contig_65535", "contig_65545", "contig_999"):
        assert np.asarray(reader.values(name, fillna=None), np.float32).tolist() == scores[name].tolist()
