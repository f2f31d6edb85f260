"""What predicting a file takes of memory and disk."""

import gzip
import os
import subprocess
import sys

import pytest
from peak import TELL_PEAK
from scorers import LOCAL, fasta, keep, sequence
from test_predict import Killed, killed

from tfbind.runs import size
from tfbind.scoring import predict
from tfbind.scoring.model import load_model


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    keep(home, "local", LOCAL)
    return home


@pytest.mark.parametrize(("name", "bytes_per_byte"), [("in.fa", 5), ("in.fa.gz", 20)])
def test_a_disk_that_is_too_full_is_said_before_any_work(home, tmp_path, name, bytes_per_byte):
    """Five bytes for each byte of FASTA, or for each of the four bases in a byte of gzip."""
    text, data, seen = fasta({"a": sequence(300_000)}).encode(), tmp_path / name, []
    data.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    needed, model = bytes_per_byte * data.stat().st_size, load_model(home, "local")
    with pytest.raises(OSError, match=f"scoring {name} needs about {size(needed)} of disk") as caught:
        predict.predict_file(
            model,
            data,
            tmp_path / "p.bed",
            on_progress=lambda *now: seen.append(now),
            free_bytes=lambda _: needed - 1,
        )
    assert str(caught.value).isprintable()
    assert seen == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert predict.predict_file(model, data, tmp_path / "p.bed", free_bytes=lambda _: needed).bases == 300_000


def test_parts_that_are_there_already_need_no_more_disk(home, tmp_path):
    data, out, model = tmp_path / "in.fa", tmp_path / "p.bed", load_model(home, "local")
    data.write_text(fasta({"a": sequence(300_000)}))
    with pytest.raises(Killed):
        predict.predict_file(model, data, out, on_progress=killed("writing"))
    headers_and_line_ends = data.stat().st_size - 300_000
    assert predict.predict_file(model, data, out, free_bytes=lambda _: 5 * headers_and_line_ends).bases == 300_000


def test_memory_does_not_grow_with_the_file(home, tmp_path):
    """One contig of 2 and one of 12 million bases: what the longer one takes more is far less than its scores."""
    peaks = []
    for millions in (2, 12):
        data = tmp_path / f"{millions}.fa"
        data.write_bytes(b">c\n" + (b"ACGTTGCATTACCTGAGTAC" * 3 + b"\n") * (millions * 1_000_000 // 60))
        code = "import sys; from tfbind.__main__ import main; main(sys.argv[1:])" + TELL_PEAK
        words = ["predict", "--model", "local", "--data", str(data), "--out", str(tmp_path / "p.bed")]
        environment = {**os.environ, "TFBIND_HOME": str(home)}
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment)
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 30 << 20


def test_a_file_that_unpacks_to_more_than_the_disk_has_is_refused_while_it_is_read(home, tmp_path):
    """A byte of such gzip holds a thousand bases, not the four of real DNA."""
    data, model = tmp_path / "bomb.fa.gz", load_model(home, "local")
    data.write_bytes(gzip.compress(b">a\n" + b"A" * 20_000_000))
    with pytest.raises(OSError, match=r"scoring bomb.fa.gz needs about 42\.3 MB of disk") as caught:
        predict.predict_file(model, data, tmp_path / "p.bed", free_bytes=lambda _: 40_000_000)
    assert str(caught.value).isprintable()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) == data.stat().st_size


def test_more_records_than_memory_should_hold_are_refused_and_nothing_stays(home, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "MOST_RECORDS", 3)
    data, model = tmp_path / "in.fa", load_model(home, "local")
    data.write_text(">a\nA\n" * 3)
    assert predict.predict_file(model, data, tmp_path / "p.bed").records == 3
    data.write_text(">a\nA\n" * 4)
    with pytest.raises(ValueError, match=r"^in.fa: over 3 records; expected fewer, or several files$"):
        predict.predict_file(model, data, tmp_path / "q.bed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", "p.bed"]
