"""Ways to a data set of one's own: the course's pair of files, a genome with a motif or a signal, a download."""

from collections.abc import Callable
from os.path import lexists
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.typing import UploadedFile

from tfbind.data import (
    P_VALUE,
    RULE,
    SOURCES,
    WINDOW_LENGTH,
    Windows,
    constant_score,
    import_pair,
    open_dataset,
    remarks,
)
from tfbind.dna import shorten
from tfbind.store import expand_path, format_error
from ui.widgets.command import BackgroundCommand, command
from ui.widgets.panels import panel, poll
from ui.widgets.session import home, on_loopback, plain, run_action
from ui.widgets.url_state import NewText, Uploader, upload_folder, write_upload

SUFFIXES = ["txt", "tsv", "gz"]
TURN = "use --transpose"  # what the reader says of a scores file that lies on its other side
BUILD_SECONDS = 6 * 3600
MOTIF_FILE, OVER_MOTIF_FILE = Uploader("motif-file"), NewText("motif-id")
IMPORTED = "imported"
FETCH_REFUSED = "fetch-refused"
REFUSED = "import-refused"  # which uploads, and what is wrong with them
READING = "Reading the genome. It goes on when you look at other pages."


class Bound(NamedTuple):
    """A way to say what counts as a hit: the option of the command, "" for none, and an example."""

    flag: str
    example: str


HITS = {
    "The usual": Bound("", ""),
    "p-value of a hit": Bound("--p-value", f"{P_VALUE:g}"),
    "Lowest score of a hit": Bound("--threshold", "6.5"),
}
HITS_HELP = (
    f"The usual: the threshold that the motif file gives, else a p-value of {P_VALUE:g}, or less until the lowest "
    "score of a hit is above 0 (for a short motif more), which is then said. The p-value is the chance that a random "
    "place on one strand scores as high. The score is in nats (natural-log odds)."
)


def add_data() -> None:
    """Draw the ways in, each on a tab."""
    st.subheader("Add data", anchor=False)
    pair, motif, signal, public = st.tabs(
        ["A pair of files", "A genome and a motif", "A genome and a signal", "The course's chromosome 22"]
    )
    with pair, panel("a pair of files"):
        _pair()
    with motif, panel("a genome and a motif"):
        _from_motif()
    with signal, panel("a genome and a signal"):
        _from_signal()
    with public, panel("a download"):
        _public()


# A pair of files


def _pair() -> None:
    st.caption(
        "One file has a sequence per window (columns `sequence` and `window_name`), the other a score for every base "
        "of every window (a column per window). Text with tabs, also packed with gzip. All is checked before it is "
        "kept."
    )
    left, right = st.columns(2)
    sequences = left.file_uploader("Sequences", SUFFIXES, help="Such as `chr22_sequences.txt.gz`")
    scores = right.file_uploader("Scores", SUFFIXES, help="Such as `chr22_scores.txt.gz`")
    below, _ = st.columns(2)  # not `left`: on a phone that comes before `right`
    name = below.text_input("Name of the data set", placeholder="chr22", max_chars=80, key="import-name").strip()
    upload_ids = tuple(file.file_id for file in (sequences, scores) if file)
    refusal = st.session_state.get(REFUSED)
    if refusal and refusal["files"] != upload_ids:
        refusal = None  # it was about other files
    missing = [field for field, value in (("sequences", sequences), ("scores", scores), ("name", name)) if not value]
    pressed = st.button("Import", type="primary", icon=":material/upload:")
    problem_line = st.container()
    transpose = bool(refusal and TURN in refusal["said"]) and st.button(
        "Read the scores with one row per window", key="turned"
    )
    if pressed and missing:
        problem_line.error(f"Still to be given: {', '.join(missing)}.")
    elif (pressed or transpose) and sequences and scores:
        try:
            data = _import_uploads(sequences, scores, name, transpose=transpose)
            st.session_state.update({REFUSED: None, IMPORTED: data.name})
        except (ValueError, OSError) as error:
            st.session_state.update({REFUSED: {"files": upload_ids, "said": format_error(error)}, IMPORTED: None})
        else:
            _show(data.name)
        st.rerun()
    elif refusal:
        problem_line.error(plain(refusal["said"]))


def _import_uploads(sequences: UploadedFile, scores: UploadedFile, name: str, transpose: bool) -> Windows:
    """Check and store a pair of uploaded files, which are on disk only while that lasts."""
    with upload_folder() as folder, st.spinner("Checking every window"):
        paths = [write_upload(file, Path(folder, role)) for role, file in (("a", sequences), ("b", scores))]
        bar = st.progress(0.0)

        def draw_progress(share: float) -> None:
            bar.progress(share)

        return import_pair(home(), paths[0], paths[1], name, transpose, draw_progress)


def _show(name: str) -> None:
    st.query_params["data"] = name


# A genome


def _genome(key: str) -> UploadedFile | Path | None:
    return _file("Genome (FASTA)", ["fa", "fasta", "fna", "gz"], f"{key}-genome", "/data/hg38.fa.gz")


def _file(label: str, suffixes: list[str], key: str, example: str) -> UploadedFile | Path | None:
    """An upload, or, for the user of this very computer, a path on it."""
    if on_loopback():
        typed = st.text_input(
            f"{label}: path on this computer", key=f"{key}-path", placeholder=f"{example}, or upload it below"
        ).strip()
        if typed:
            return expand_path(typed)
    return st.file_uploader(label, suffixes, key=key)


def _from_motif() -> None:
    st.caption("Windows of your genome, painted with the hits of your motif: labels like those of the course.")
    with st.expander("The exact rule"):
        st.markdown(RULE)
    left, right = st.columns(2)
    with left:
        genome = _genome("motif")
    with right:
        OVER_MOTIF_FILE.settle(MOTIF_FILE.file.name if MOTIF_FILE.file else "", MOTIF_FILE.empty)
        typed = st.text_input(
            "Motif", placeholder="FOXA1, or MA0148.5", help="A name or id of JASPAR", key=OVER_MOTIF_FILE.box
        )
        OVER_MOTIF_FILE.tell()
        file = st.file_uploader("or a motif file (HOMER, MEME, JASPAR)", key=MOTIF_FILE.key)
        if file and typed.strip():
            st.caption(plain(f"From the file {file.name}, not {shorten(typed)}; new text in the box closes it."))
        motif_name = st.text_input("Which motif of the file, if it has several", key="motif-which")
    left, middle, right = st.columns(3)
    name = left.text_input("Name of the new data set", max_chars=80, key="motif-name").strip()
    threshold_kind, threshold = _hits(middle)
    length = right.number_input("Bases per window", 10, 100_000, WINDOW_LENGTH, key="motif-length")
    chromosomes = left.text_input(
        "Chromosomes", placeholder="all, or chr21 chr22", help="Only these, with spaces between.", key="motif-contigs"
    ).split()
    every_window = right.checkbox("Keep windows without a hit", help="Else they are left out.", key="motif-every")
    motif_id = "" if "/" in typed or lexists(typed.strip()) else typed.strip()  # files come by upload
    required = {"genome": genome, "motif": file or motif_id, "name": name}
    if HITS[threshold_kind].flag:
        required[threshold_kind] = threshold
    missing = [field for field, value in required.items() if not value]

    def words(folder: Path) -> list[str]:
        motif = str(write_upload(file, folder / "motif")) if file else motif_id
        options = [
            (HITS[threshold_kind].flag, threshold),
            ("--motif-name", motif_name.strip()),
            *(("--chromosome", chromosome) for chromosome in chromosomes),
        ]
        flags = [f"{option}={value}" for option, value in options if value]
        if every_window:
            flags.append("--every-window")
        return ["--motif", motif, "--length", str(length), *flags]

    _build("motif", name, genome, missing, words)


def _hits(column: "st.delta_generator.DeltaGenerator") -> tuple[str, str]:
    """Draw what counts as a hit: one of `HITS`, and what was typed for it."""
    kind = column.selectbox("What counts as a hit", list(HITS), key="motif-by", help=HITS_HELP)
    flag, example = HITS[kind]
    return kind, column.text_input(kind, placeholder=example, key=f"motif{flag}").strip() if flag else ""


def _from_signal() -> None:
    st.caption("Windows around the regions of an experiment, each base with the measured signal as its score.")
    left, right = st.columns(2)
    with left:
        genome = _genome("signal")
        suffixes = ["bed", "narrowPeak", "narrowpeak", "gz"]
        regions = _file("Regions (BED, narrowPeak)", suffixes, "signal-regions", "/data/peaks.narrowPeak")
    with right:
        signal = _file("Signal (bigWig)", ["bw", "bigwig", "bigWig"], "signal-signal", "/data/signal.bw")
    left, middle, right = st.columns(3)
    name = left.text_input("Name of the new data set", max_chars=80, key="signal-name").strip()
    random = middle.number_input(
        "Random windows elsewhere", 0, 1_000_000, 0, help="Windows without a region, to learn from too.", key="random"
    )
    length = right.number_input("Bases per window", 10, 100_000, WINDOW_LENGTH, key="signal-length")
    log = left.checkbox("log(1 + signal)", help="Takes the edge off few very high peaks.", key="signal-log")
    refuse_missing = middle.checkbox("Refuse bases without a value", help="Else they count 0.", key="signal-refuse")
    required = {"genome": genome, "signal": signal, "regions": regions, "name": name}

    def words(folder: Path) -> list[str]:
        flags = ["--log1p"] if log else []
        if refuse_missing:
            flags.append("--refuse-missing")
        assert signal is not None
        assert regions is not None
        sources = ["--signal", str(_path(signal, folder / "signal"))]
        sources += ["--regions", str(_path(regions, folder / "regions"))]
        return [*sources, "--length", str(length), "--random", str(random), *flags]

    _build("signal", name, genome, [field for field, value in required.items() if not value], words)


def _path(file: UploadedFile | Path, folder: Path) -> Path:
    return file if isinstance(file, Path) else write_upload(file, folder)


def _build(
    key: str,
    name: str,
    genome: UploadedFile | Path | None,
    missing: list[str],
    words: Callable[[Path], list[str]],
) -> None:
    if not st.button("Build", type="primary", icon=":material/construction:", key=f"build-{key}"):
        return
    if missing or genome is None:
        st.error(f"Still to be given: {', '.join(missing)}.")
        return
    bar = st.progress(0.0, READING)

    def draw_progress(share: float) -> None:
        bar.progress(min(share, 1.0), READING)

    def run_build() -> None:
        with upload_folder() as folder:
            arguments = ["--genome", str(_path(genome, folder / "genome")), *words(folder), "--progress", "--json"]
            command("data", "build", name, *arguments, seconds=BUILD_SECONDS, on_progress=draw_progress)

    def show_result() -> None:
        st.session_state[IMPORTED] = name
        _show(name)

    run_action(run_build, show_result)
    bar.empty()


# A download


@st.cache_resource(show_spinner=False)
def _downloads() -> dict[Path, tuple[str, BackgroundCommand]]:
    """The name and the command of the download under way in a home, seen and cancelled from any tab."""
    return {}


def _public() -> None:
    (key, source), *_ = SOURCES.items()
    st.caption(f"{source.about}. Downloaded once, checked against the published checksums, then imported.")
    if home() in _downloads():
        poll(_watch, busy=True)
        return
    name = st.text_input("Its name here", key, max_chars=80, key="fetch-name").strip()
    if st.button("Download", type="primary", icon=":material/cloud_download:", key="fetch"):
        words = ("data", "fetch", key, "--name", name, "--json", "--progress")
        _downloads().setdefault(home(), (name, BackgroundCommand(*words, seconds=BUILD_SECONDS)))
        st.rerun()
    if message := st.session_state.pop(FETCH_REFUSED, None):
        st.error(plain(message))


def _watch() -> None:
    """Draw how far the download is; when it has ended, the page with what has come, or with what went wrong."""
    name, download = _downloads().get(home(), (None, None))
    if download and download.running:
        stage = download.words or "Asking the server"
        st.progress(min(download.share, 1.0), f"{stage}. It goes on when you leave this page.")
        st.button("Cancel", key="fetch-cancel", disabled=download.cancelled, on_click=download.cancel)
        return
    if download and _downloads().pop(home(), None):  # of several tabs one says how it ended
        if download.error:
            st.session_state[FETCH_REFUSED] = download.error
        elif not download.cancelled:
            st.session_state[IMPORTED] = name
            _show(str(name))
    st.rerun()


def announce() -> None:
    """Say once which data set has just been added."""
    name = st.session_state.pop(IMPORTED, None)
    if name:
        data = open_dataset(home(), name)
        notes = "; ".join([*data.meta["notes"], *remarks(data.meta["origin"])])
        if constant_score(data.scores) is not None:
            st.warning(plain(f"{name}: {notes}"))
            return
        st.success(plain(f"{name}: {len(data):,} windows of {data.length} bases are ready. {notes}"))
