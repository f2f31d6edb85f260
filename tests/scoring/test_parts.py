"""What a prediction keeps until it is written, taken up again as far as it is as it was written."""

from pathlib import Path

import numpy as np

from tfbind.scoring.checkpoint import PredictionCheckpoint, checksum
from tfbind.store.schema import write_json


def test_scores_count_as_far_as_they_are_there_and_as_they_were_written(tmp_path: Path) -> None:
    parts = PredictionCheckpoint(tmp_path)
    np.arange(4, dtype=np.float32).tofile(parts.scores)
    found = checksum(parts.scores, 12)
    assert found is not None
    parts.write_done(3, {parts.scores.name: found})
    assert parts.read_done([parts.scores]) == (3, {parts.scores.name: found})
    for bases, crc in ((2, found), (10**18, found), (-1, 0), (10**18, None)):
        write_json(parts.done, {"bases": bases, "crc32": {parts.scores.name: crc}})
        assert parts.read_done([parts.scores]) == (0, {})
