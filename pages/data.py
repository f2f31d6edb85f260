"""Data: the data sets on disk, what each of them holds, and ways to more."""

from typing import Any

import pandas as pd
import streamlit as st

from tfbind.data import BUILTIN, list_datasets, make_builtin, open_dataset, open_validated
from tfbind.store import format_error
from ui.data.add import add_data, announce
from ui.data.detail import detail, origin
from ui.widgets.disk import storage
from ui.widgets.panels import panel
from ui.widgets.session import cells, home, inside_app, plain, run_action

TABLE = "data-table"


def table_row(name: str) -> dict[str, Any]:
    """What the table says of a data set; one that cannot be opened says why."""
    try:
        data = open_dataset(home(), name)
    except (ValueError, OSError) as error:
        return {"Name": name, "Origin": f"cannot be read: {error}"}
    return {
        "Name": name,
        "Origin": origin(data),
        "Windows": len(data),
        "Bases per window": data.length,
        "Scored bases": data.meta["scored"],
        "Made": data.meta["created"][:10],
    }


def table(names: list[str]) -> None:
    """Draw the data sets, a row each."""
    st.dataframe(
        pd.DataFrame(cells([table_row(name) for name in names])),
        hide_index=True,
        alt="Data sets on this disk",
        column_config={
            "Name": st.column_config.TextColumn(width="medium"),
            "Windows": st.column_config.NumberColumn(format="localized"),
            "Scored bases": st.column_config.NumberColumn(format="percent"),
        },
    )


def choose(names: list[str]) -> str | None:
    """Draw the choice of a data set; the address keeps it."""
    requested = st.query_params.get("data")
    if requested and requested not in names:
        st.warning(plain(f"There is no data set {requested} here. It may have been renamed or deleted."))
    name = st.selectbox(
        "Look at",
        names,
        names.index(requested) if requested in names else None,
        placeholder="a data set",
        key=f"look-at-{requested}",
    )
    if name and name != requested:
        st.query_params["data"] = name
        st.rerun()
    return name


inside_app()
st.title("Data", anchor=False)
names = [str(data["name"]) for data in list_datasets(home())]
with panel("what was added"):
    announce()
if names:
    with panel("table"):
        table(names)
    selection = choose(names)
    if selection:
        with st.container(border=True):
            try:
                data = open_validated(home(), selection)
            except (ValueError, OSError) as error:
                st.error(plain(format_error(error)))
            else:
                with panel("data set"):
                    detail(data)
else:
    st.caption(
        "No data set is on the disk yet. Add one of yours below, or begin with the built-in one: simulated DNA, "
        "painted with the hits of FOXA1's motif. It is made in seconds, at the latest when the first training starts."
    )
    if st.button("Make the built-in data set", icon=":material/science:"):
        with st.spinner("Simulating DNA and scanning it"):
            run_action(lambda: make_builtin(home()), lambda: st.query_params.update(data=BUILTIN))
with panel("ways to more data"):
    add_data()
with panel("storage"):
    storage()
