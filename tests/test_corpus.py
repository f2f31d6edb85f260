"""What the fuzzer has found once is tried for good, and some of what it may find next.

Each file of `corpus/<reader>/` made that reader fail: it has to end in an answer or in one clear line.
"""

from pathlib import Path

import pytest
from mutation import mutants
from parsers import PARSERS, Parser

pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected pickle protocol"),  # torch says so, and reads on
    pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing"),  # so does NumPy
]

CORPUS = Path(__file__).parent / "corpus"
FOUND = [
    pytest.param(parser, path, id=f"{parser.name}/{path.name}")
    for parser in PARSERS
    for path in sorted((CORPUS / parser.name).glob("*"))
]


def refusal(parser: Parser, data: bytes, folder: Path) -> str:
    """What a reader says against `data`; "" when it takes them."""
    try:
        parser.read(data, folder)
    except ValueError as error:
        return str(error)
    return ""


def check(said: str) -> None:
    assert len(said.splitlines()) <= 1
    assert len(said) <= 1000


@pytest.mark.parametrize(("parser", "path"), FOUND)
def test_what_was_found_once_ends_in_an_answer_or_in_one_line(parser: Parser, path: Path, tmp_path: Path) -> None:
    check(refusal(parser, path.read_bytes(), tmp_path))


@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_nearly_valid_input_ends_in_an_answer_or_in_one_line(parser: Parser, tmp_path: Path) -> None:
    for _, data in mutants(parser.valid, min(60, parser.most // 10), seed=1):
        check(refusal(parser, data, tmp_path))


def test_every_folder_of_the_corpus_has_a_reader() -> None:
    readers = {path.name for path in CORPUS.iterdir() if not path.name.startswith("home-")}  # kept homes, test_golden
    assert readers <= {parser.name for parser in PARSERS}
