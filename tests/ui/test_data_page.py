"""The Data page: what it lists, what it takes, what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from driven import checked, click, labels, opened as open_page, words
from driving import wait_until
from pair_files import edited_pair, score_table, sequence_table, write_pair
from stand_in import make_pair
from streamlit.testing.v1 import AppTest
from test_child import stalled
from test_pairs import BAD as BAD_PAIRS
from test_tables import BAD as BAD_SCORES

from tfbind.data.dataset import import_pair, list_datasets, make_builtin, open_dataset
from tfbind.dna.codes import decode
from tfbind.motifs.discovery import DiscoveredMotif, MotifAgreement
from tfbind.motifs.pwm import jaspar_motif
from ui.data.add import _downloads
from ui.data.detail import TABS, _describe
from ui.widgets.command import BackgroundCommand
from ui.widgets.disk import DISK, IN_TRASH
from ui.widgets.session import plain

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def small(home: Path, tmp_path: Path) -> str:
    """A data set of 40 windows of 30 bases in the home."""
    return import_pair(home, *make_pair(tmp_path), "small").name


def data_page() -> AppTest:
    return open_page("data")


def test_data_page_of_an_empty_home() -> None:
    page = click(data_page(), "Import")
    assert "No data set" in words(page)
    assert page.error[0].value == "Still to be given: sequences, scores, name."
    click(page, "Make the built-in data set")
    assert list(page.dataframe[0].value["Name"]) == ["builtin"]
    assert page.subheader[0].value == "builtin"


def test_built_in_data_that_cannot_be_kept_say_why(home: Path) -> None:
    home.mkdir()
    (home / "data").write_text("")
    page = click(data_page(), "Make the built-in data set")
    assert plain(str(home / "data")) in page.error[0].value


def upload(page: AppTest, sequences: Path, scores: Path, name: str) -> AppTest:
    page.file_uploader[0].upload(sequences.name, sequences.read_bytes())
    page.file_uploader[1].upload(scores.name, scores.read_bytes())
    page.text_input("import-name").set_value(name).run()
    return click(page, "Import")


def test_import_and_train_on_it(home: Path, tmp_path: Path) -> None:
    page = upload(data_page(), *make_pair(tmp_path), "mine")
    assert "40 windows of 30 bases" in page.success[0].value
    assert [data["name"] for data in list_datasets(home)] == ["mine"]
    assert list(home.glob(".upload.*")) == []
    assert click(page, "Train on it").selectbox("config-dataset").value == "mine"


def test_bad_files_are_one_line_and_leave_nothing(home: Path, tmp_path: Path) -> None:
    sequences, scores = make_pair(tmp_path)
    sequences.write_text(sequences.read_text().replace("A", "J", 3))
    page = upload(data_page(), sequences, scores, "mine")
    assert len(page.error) == 1
    assert "\n" not in page.error[0].value
    assert plain(sequences.name) in page.error[0].value
    assert list_datasets(home) == []
    assert list(home.glob(".upload.*")) == []


def test_dozens_of_damaged_pairs_are_each_refused_in_one_line(home: Path, tmp_path: Path) -> None:
    damaged = {f"scores: {what}": {"scores": edit} for what, edit, _ in BAD_SCORES}
    damaged |= {f"pair: {what}": edits for what, edits, _ in BAD_PAIRS}
    page = data_page()
    said = {}
    for number, (what, edits) in enumerate(damaged.items()):
        page = upload(page, *edited_pair(tmp_path / str(number), **edits), "mine")
        assert len(page.error) == 1, what
        said[what] = page.error[0].value
    assert len(said) > 50
    assert all("\n" not in line and 20 < len(line) < 500 for line in said.values())
    assert all(plain("toy_") in line for line in said.values())
    assert list_datasets(home) == []
    assert list(home.glob(".upload.*")) == []


def test_transposed_scores_are_offered_to_be_turned_and_that_is_not_said_of_other_files(tmp_path: Path) -> None:
    sequences, scores = make_pair(tmp_path, turned=True)
    page = upload(data_page(), sequences, scores, "turned")
    assert len(page.error) == 1
    other = tmp_path / "other.txt"
    other.write_text("else\n")
    page.file_uploader[1].upload(other.name, other.read_bytes())
    assert not checked(page.run()).error
    assert "Read the scores with one row per window" not in labels(page)
    page = upload(page, sequences, scores, "mine")
    page.button("turned").click().run()
    assert "40 windows of 30 bases" in checked(page).success[0].value


@pytest.mark.usefixtures("small")
def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    page = upload(data_page(), *make_pair(tmp_path), "small")
    assert "exists already" in page.error[0].value


def look_at(name: str) -> AppTest:
    return open_page("data", data=name)


@pytest.mark.usefixtures("small")
def test_a_data_set_is_shown_with_what_it_holds(home: Path) -> None:
    page = look_at("small")
    assert page.dataframe[0].value.iloc[0].to_dict() | {"Origin": "", "Made": ""} == {
        "Name": "small",
        "Origin": "",
        "Windows": 40,
        "Bases per window": 30,
        "Scored bases": pytest.approx(10 / 30),
        "Made": "",
    }
    figures = {metric.label: metric.value for metric in page.metric}
    assert figures["Windows"] == "40"
    assert figures["Bases per window"] == "30"
    assert figures["Scored bases"] == "33.3%"
    assert "Imported from two files" in words(page)
    assert len(page.get("plotly_chart")) == 2
    assert len(opened(page, "Windows").get("plotly_chart")) == 4
    report = opened(page, "Report")
    assert any(code.value == open_dataset(home, "small").hash for code in report.code)
    assert not report.get("plotly_chart")


def opened(page: AppTest, tab: str) -> AppTest:
    page.session_state[TABS] = tab
    return checked(page.run())


MADE_BY_SCAN = "A motif scan made these scores."


def test_the_motif_behind_a_scan_is_looked_for_when_asked_and_named_as_what_it_is(home: Path, tmp_path: Path) -> None:
    builtin = make_builtin(home, windows=800)
    page = look_at("builtin")
    assert MADE_BY_SCAN not in words(page)
    opened(page, "Motif behind the scores")
    assert MADE_BY_SCAN in words(page)
    assert "not what happens in a cell" in words(page)
    names = [name.decode() for name in builtin.names.tolist()]
    sequences, scores = sequence_table(names, map(decode, builtin.codes)), np.asarray(builtin.scores)
    for name, change, message in (
        ("other", scores / 10 - 0.1, "A score is 0.1 times nats, minus 0.1."),
        ("marks", scores > 0, "The scored stretches share one motif"),
    ):
        pair = write_pair(tmp_path / name, sequences, score_table(names, change.astype(np.float32)))
        import_pair(home, *pair, name)
        page = opened(look_at(name), "Motif behind the scores")
        assert message in words(page)
        assert (MADE_BY_SCAN in words(page)) == (name == "other")


def test_a_scan_that_explains_a_part_of_the_scores_is_not_said_to_have_made_them() -> None:
    half = DiscoveredMotif(jaspar_motif(), "painted", 200, 0.7, 5.0, MotifAgreement(0.84, 0.1))
    assert "made a part of these scores" in _describe(half)
    assert "exactly" not in _describe(half)


@pytest.mark.usefixtures("small")
def test_an_address_of_a_data_set_that_is_gone_says_so() -> None:
    page = look_at("gone")
    assert page.warning[0].value == "There is no data set gone here\\. It may have been renamed or deleted\\."
    assert not look_at("small").warning


@pytest.mark.usefixtures("small")
def test_renaming_keeps_the_data_and_shows_them(home: Path) -> None:
    page = look_at("small")
    page.text_input("rename-small").set_value("mine").run()
    page.button("rename").click().run()
    assert [data["name"] for data in list_datasets(checked(page) and home)] == ["mine"]
    assert page.subheader[0].value == "mine"
    page.text_input("rename-mine").set_value("a/b").run()
    page.button("rename").click().run()
    assert "expected 1 to 80 of" in checked(page).error[0].value
    assert [data["name"] for data in list_datasets(home)] == ["mine"]


@pytest.mark.usefixtures("small")
def test_deleting_moves_to_the_trash_and_the_disk_section_can_empty_it(home: Path) -> None:
    page = look_at("small")
    page.button("delete-data").click().run()
    assert list_datasets(checked(page) and home) == []
    assert len(list((home / "trash").iterdir())) == 1
    assert "Empty the trash" not in str(page.get("popover"))
    page.session_state[DISK] = True
    page.run()
    page.button("free-trash").click().run()
    assert list((checked(page) and home / "trash").iterdir()) == []


@pytest.mark.usefixtures("small")
def test_what_was_thrown_away_comes_back_by_a_button(home: Path) -> None:
    page = look_at("small")
    page.button("delete-data").click().run()
    page.session_state[DISK] = True
    page.run()
    assert page.selectbox(IN_TRASH).options == ["data set small"]
    page.button("restore").click().run()
    assert [data["name"] for data in list_datasets(checked(page) and home)] == ["small"]
    assert IN_TRASH not in [box.key for box in page.selectbox]


GENOME = "".join(np.random.default_rng(0).choice(list("ACGT"), 60_000))


def test_a_genome_and_a_motif_become_a_data_set(home: Path) -> None:
    page = data_page()
    page.button("build-motif").click().run()
    assert checked(page).error[0].value == "Still to be given: genome, motif, name."
    page.file_uploader("motif-genome").upload("g.fa", f">chr1\n{GENOME}\n".encode())
    page.text_input("motif-id").set_value("MA0148.5")
    page.text_input("motif-name").set_value("own").run()
    page.button("build-motif").click().run()
    assert "windows of 300 bases are ready" in checked(page).success[0].value
    data = open_dataset(home, "own")
    assert data.meta["origin"]["matrix_id"] == "MA0148.5"
    assert data.meta["origin"]["p_value"] == 1e-4
    assert b"chr1_1500_1799" in data.names.tolist()
    assert list(home.glob(".upload.*")) == []


def test_the_lowest_score_the_chromosomes_and_windows_without_a_hit_are_chosen_as_by_command(home: Path) -> None:
    page = data_page()
    genome = f">chr1\n{GENOME[:30_000]}\n>chr2\n{GENOME[30_000:]}\n>chr3\n{GENOME[:600]}\n"
    page.file_uploader("motif-genome").upload("g.fa", genome.encode())
    page.text_input("motif-id").set_value("MA0148.5")
    page.text_input("motif-name").set_value("own")
    page.selectbox("motif-by").set_value("Lowest score of a hit").run()
    page.button("build-motif").click().run()
    assert checked(page).error[0].value == "Still to be given: Lowest score of a hit."
    page.text_input("motif--threshold").set_value("8.25")
    page.text_input("motif-contigs").set_value("chr2 chr3")
    page.checkbox("motif-every").set_value(True)
    page.button("build-motif").click().run()
    assert "102 windows of 300 bases are ready" in checked(page).success[0].value
    origin = open_dataset(home, "own").meta["origin"]
    assert (origin["threshold"], origin["chromosomes"], origin["every_window"]) == (8.25, ["chr2", "chr3"], True)
    page.text_input("motif-name").set_value("more").run()
    page.text_input("motif--threshold").set_value("-1")
    page.button("build-motif").click().run()
    assert plain("threshold, -1: no hit") in checked(page).error[0].value


def test_what_cannot_be_built_is_said_in_the_words_of_the_command(home: Path) -> None:
    page = data_page()
    page.file_uploader("motif-genome").upload("g.fa", f">chr1\n{GENOME[:100]}\n".encode())
    page.text_input("motif-id").set_value("no such motif")
    page.text_input("motif-name").set_value("own").run()
    page.button("build-motif").click().run()
    assert plain("not in JASPAR 2026") in checked(page).error[0].value
    assert list_datasets(home) == []


def test_a_file_of_the_server_is_no_motif(tmp_path: Path) -> None:
    secret = tmp_path / "secret.motif"
    secret.write_text("> secret")
    page = data_page()
    page.file_uploader("motif-genome").upload("g.fa", b">chr1\nACGT\n")
    page.text_input("motif-id").set_value(str(secret))
    page.text_input("motif-name").set_value("own").run()
    page.button("build-motif").click().run()
    assert checked(page).error[0].value == "Still to be given: motif."


def test_a_download_is_cancelled_from_the_page(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stalled(b"") as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        page = data_page()
        checked(page.button("fetch").click().run())
        assert "Asking the server" in str(page.get("progress")[0].proto.text)
        assert "fetch" not in [found.key for found in data_page().button]  # nor from another tab
        checked(page.button("fetch-cancel").click().run())
        wait_until(lambda: "Download" in labels(checked(page.run())), 30)
    assert not page.error
    assert list_datasets(home) == []


def test_how_far_a_download_is_stands_on_the_page(home: Path) -> None:
    with stalled(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + bytes(2_000_000)) as port:
        address = f"http://127.0.0.1:{port}/"
        fetching = BackgroundCommand("data", "fetch", "course-chr22", "--from", address, "--progress", seconds=120)
        _downloads()[home] = ("course-chr22", fetching)
        wait_until(lambda: fetching.share > 0.49, 60, lambda: fetching.error)  # all that comes, but for a part
        bar = data_page().get("progress")[0].proto
        assert 40 < bar.value < 60
        assert f"chr22_sequences.txt.gz: {4 * fetching.share:.1f} of 4.0 MB. It goes on" in bar.text
        fetching.cancel()
        wait_until(lambda: not fetching.running, 30)
    assert "Download" in labels(data_page())


def test_a_download_without_a_network_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    page = data_page()
    checked(page.button("fetch").click().run())
    wait_until(lambda: "Download" in labels(checked(page.run())), 30)
    assert plain("no answer; this needs a network.") in page.error[0].value
