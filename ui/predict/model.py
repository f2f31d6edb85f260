"""What to score with: one model or an average of several, a second one, strand and threshold; uploaded weights."""

import math
from dataclasses import dataclass

import streamlit as st
from streamlit.typing import UploadedFile

from tfbind.nn import weight_files
from tfbind.scoring import BUILTIN, MAX_MB, UNKNOWN, Model, ScoreTarget
from tfbind.store import format_error
from tfbind.text import visible
from ui.widgets import cache
from ui.widgets.session import home, plain, run_action
from ui.widgets.url_state import KeptSetting, one_of, upload_folder, write_upload

AVERAGE = "average"
NOTHING = "nothing"
STRANDS = ["forward", "both"]
LOWEST_THRESHOLD = 0.1
USUAL_THRESHOLD = "usual-threshold"  # that of the model before, in the session
LONGEST_LABEL = 48
ON = "1"

MODEL = KeptSetting("model", "model", BUILTIN)
MEMBERS = KeptSetting[list[str]]("average", "average", [], ",".join)
OTHER = KeptSetting("compare-with", "with", NOTHING)
STRAND = KeptSetting("strand", "strand", STRANDS[0])
REVERSE = KeptSetting("show-reverse", "reverse", False, lambda _: ON)
PAD = KeptSetting("pad", "pad", False, lambda _: ON)


def model_import(control: str) -> None:
    """Draw the form; the new model becomes the value of the control with the key `control`, which is drawn later."""
    with st.popover("Import a model", icon=":material/upload_file:"):
        st.caption(
            "Weights that were trained elsewhere, of a network built like those here: safetensors, or what PyTorch "
            "writes by torch.save(model.state_dict(), FILE). Files that could run a program are refused."
        )
        file = st.file_uploader("File of weights", max_upload_size=MAX_MB, key="weights-file")
        name = st.text_input("Name of the model", placeholder="that of the file", key="weights-name").strip()
        if st.button("Import", disabled=file is None, icon=":material/upload:") and file:
            run_action(lambda: _import(file, name or None, control))


def _import(file: UploadedFile, name: str | None, control: str) -> None:
    """Keep an upload as a model, and choose it.

    Raises:
        ValueError: one line: it is no model, or the name cannot be used.
        OSError: it cannot be read or kept.
    """
    with st.spinner("Reading the weights"), upload_folder() as folder:
        path = write_upload(file, folder.resolve() / "weights")
        try:
            st.session_state[control] = weight_files.import_model(home(), path, name).name
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), file.name)) from None


@dataclass(frozen=True)
class ModelChoice:
    """A model as it was chosen: the name that `load_model` takes, what a person calls it, the model."""

    name: str
    label: str
    model: Model


@dataclass(frozen=True)
class Settings:
    """How the page scores. `other` is drawn over `main`; `reverse` draws the other strand."""

    main: ModelChoice
    other: ModelChoice | None
    both: bool
    threshold: float
    reverse: bool

    @property
    def model(self) -> Model:
        """The model whose sites are called."""
        return self.main.model

    @property
    def strand(self) -> str:
        """The word for it on the command line."""
        return "both" if self.both else "forward"


def padded() -> bool:
    """Whether the user wants sequences that are too short for a model filled up with N."""
    return PAD.text() == ON


def settings() -> Settings | None:
    """Draw the choices; None when the model that was chosen cannot be used."""
    names = cache.choices(home())
    main = _choose_main(names)
    other = _choose_other(names, main)
    left, right = st.columns(2)
    strand = left.selectbox(
        "Strand",
        STRANDS,
        STRANDS.index(STRAND.restore(one_of(STRANDS, "{} is no strand: forward is chosen."))),
        help="forward: what the models learnt from. both: averaged with the reverse complement, which agrees a "
        "little less with the labels, since their rule is not symmetric.",
        key=STRAND.key,
    )
    STRAND.keep()
    target = main.model.target if main else UNKNOWN
    called_from = _called_from(target)
    threshold = right.number_input(
        "Call sites from",
        _lowest_threshold(target),
        None,
        called_from.restore(lambda text: _read_threshold(text, target)),
        0.5,
        help=f"Lowest score of a called site, in {plain(target.scale)}. Usual for this model: "
        f"{plain(target.why_threshold)}.",
        key=called_from.key,
    )
    called_from.keep()
    if main and target.own_threshold is None and threshold == target.threshold:
        right.caption(f"{plain(target.on_threshold.capitalize())}.")
    reverse = st.checkbox("Draw the other strand too", REVERSE.restore(read_tick), key=REVERSE.key)
    REVERSE.keep()
    if main is None:
        return None
    with st.popover("What does a score mean?", icon=":material/help:"):
        st.markdown(_target_text(target))
    return Settings(main, other, strand == "both", threshold, reverse)


def _called_from(target: ScoreTarget) -> KeptSetting[float]:
    """The threshold, whose usual value is the model's: one that was as usual for the model before goes with it."""
    setting = KeptSetting("threshold", "from", target.threshold, "{:.10g}".format)
    if setting.key in st.session_state and st.session_state[setting.key] == st.session_state.get(USUAL_THRESHOLD):
        st.session_state[setting.key] = setting.usual
    st.session_state[USUAL_THRESHOLD] = setting.usual
    return setting


def _lowest_threshold(target: ScoreTarget) -> float:
    return min(LOWEST_THRESHOLD, target.threshold)


def _read_threshold(text: str, target: ScoreTarget) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    lowest = _lowest_threshold(target)
    if not lowest <= threshold < math.inf:
        raise ValueError(f"{text} is no score of {lowest:g} or more: sites are called from {target.threshold:g}.")
    return threshold


def read_tick(text: str) -> bool:
    """Whether a box is ticked, from its text in the address."""
    if text != ON:
        raise ValueError(f"{text} in the address is neither {ON} nor nothing: nothing is taken.")
    return True


def _target_text(target: ScoreTarget) -> str:
    band = "The band shows how far several trainings of the same model differ."
    if target.bands:
        band = "The band holds the true score of nine bases in ten."
    if target.scan is None:
        return (
            f"A score says **what the model expects the data that it was trained on to hold at this base**, in "
            f"{plain(target.scale)}. What that is, whoever made those data knows. It is not a probability. {band}"
        )
    return (
        "A score says **how well the DNA matches the binding motif**, in nats (natural-log odds) above random DNA: "
        f"0 is no match, the best possible match of {plain(target.factor)} has {target.scan.motif.highest:.2f}; the "
        "model estimates that, and may err upwards. It is **not** occupancy in a cell and not a probability: "
        "chromatin, cofactors and cell type are unknown to the model. "
        f"{band}"
    )


def _choose_main(names: dict[str, str]) -> ModelChoice | None:
    place = st.container()
    model_import(MODEL.key)
    average = {AVERAGE: "Average of several …"} if len(names) > 1 else {}
    labels = {name: visible(label) for name, label in (names | average).items()}
    with place:
        known = one_of(labels, f"The model {{}} is not here any more: {names[BUILTIN]} is chosen.")
        index = list(labels).index(MODEL.restore(known))
        name = st.selectbox("Model", list(labels), index, format_func=labels.__getitem__, key=MODEL.key)
        MODEL.keep()
    if name != AVERAGE:
        MEMBERS.remember(None)
        return _open(name, names[name])
    known = one_of(names, "The model {} is not here any more: choose anew.")
    members = st.multiselect(
        "Average of",
        list(names),
        MEMBERS.restore(lambda text: list(map(known, text.split(",")))),
        format_func=lambda name: visible(names[name]),
        key=MEMBERS.key,
        help="Their mean is drawn, and how far they differ as a band.",
    )
    MEMBERS.keep()
    if len(members) < 2:
        st.caption("Choose two or more models.")
        return None
    return _open_average([_open(member, names[member]) for member in members])


def _open_average(members: list[ModelChoice | None]) -> ModelChoice | None:
    opened = [member for member in members if member]
    if len(opened) < len(members):
        return None
    if len({member.model.length for member in opened}) > 1:
        inputs = [f"{member.label} takes {_input_words(member.model.length)}" for member in opened]
        st.error(plain(f"These models cannot be averaged, since they look at DNA differently: {', '.join(inputs)}."))
        return None
    return _open(",".join(member.name for member in opened), f"Average of {len(opened)} models")


def _input_words(length: int | None) -> str:
    return "sequences of any length" if length is None else f"windows of {length} bases"


def _choose_other(names: dict[str, str], main: ModelChoice | None) -> ModelChoice | None:
    others = {name: visible(label) for name, label in names.items() if not main or name != main.name}
    labels = {NOTHING: "nothing"} | others
    known = one_of(labels, "{} is not drawn over it: it is the model itself, or not here any more.")
    name = st.selectbox(
        "Compare with",
        list(labels),
        list(labels).index(OTHER.restore(known)),
        format_func=labels.__getitem__,
        key=OTHER.key,
        help="A second model, drawn over the first. Ended runs and imported models are here.",
    )
    OTHER.keep()
    return None if name == NOTHING else _open(name, names[name])


def _open(name: str, label: str) -> ModelChoice | None:
    try:
        short = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
        return ModelChoice(name, short, cache.open_model(home(), name))
    except (ValueError, OSError) as error:
        st.error(plain(format_error(error)))
        return None
