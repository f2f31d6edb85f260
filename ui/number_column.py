"""Columns of numbers in a table: none cut to noughts, none with more digits than anyone reads."""

from typing import Any

import pandas as pd
import streamlit as st

from tfbind.numbers import LARGE


def number_column(values: Any, label: str | None = None, decimals: int = 4, **options: Any) -> Any:
    """A column of metrics with equal decimals or, where one is far too large for them, with four digits each.

    Args:
        values: those of the column, None where there is none.
        options: further ones of `st.column_config.NumberColumn`.
    """
    largest = pd.to_numeric(pd.Series(list(values)), errors="coerce").abs().max()
    number = "%.4g" if largest >= LARGE else f"%.{decimals}f"
    return st.column_config.NumberColumn(label, format=number, **options)


def number_columns(table: pd.DataFrame) -> dict[str, Any]:
    """A column for each that has fractions, such as learning rates: all digits, not the first four decimals."""
    return {name: st.column_config.NumberColumn(format="%g") for name in table if table[name].dtype.kind == "f"}
