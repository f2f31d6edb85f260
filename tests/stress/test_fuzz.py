"""Every reader of a user's file, given 10,000 nearly valid files, or fewer where it is slow: an answer, or one clear
line, and soon.

A failing mutant is written to `tests/corpus/<reader>/`, where the ordinary tests try it for good.
"""

import os
import random
from pathlib import Path

import pytest
from mutation import mutants
from parsers import PARSERS, Parser

COUNT = int(os.environ.get("TFBIND_FUZZ", 10_000))


def _seconds() -> float:
    """What this process and those it has waited for have taken of the processor, whatever else the machine does."""
    return sum(os.times()[:4])


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch says so, and reads on
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_nearly_valid_input_ends_in_an_answer_or_in_one_line(parser: Parser, tmp_path: Path) -> None:
    seed = int(os.environ.get("TFBIND_FUZZ_SEED", random.randrange(10**6)))
    count, lines = min(COUNT, parser.most), list[tuple[str, str]]()
    for number, data in mutants(parser.valid, count, seed):
        place = f"{parser.name}, seed {seed}, mutant {number}"
        begun = _seconds()
        try:
            parser.read(data, tmp_path)
        except ValueError as error:
            lines.append((place, str(error)))
        except Exception as error:
            kept = Path(__file__).parents[1] / "corpus" / parser.name
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"{type(error).__name__}-{seed}-{number}").write_bytes(data)
            raise AssertionError(f"{place}: {error!r}") from error
        taken = _seconds() - begun
        assert taken < parser.seconds, f"{place}: took {taken:.1f} s"
    long = [said for said in lines if len(said[1].splitlines()) != 1 or len(said[1]) > 1000]
    assert not long, long[0]
    assert len(lines) < count, f"{parser.name}: every mutant was refused, so none went deep"
    assert bool(lines) == parser.refuses, f"{parser.name}: {len(lines)} of {count} refused"
