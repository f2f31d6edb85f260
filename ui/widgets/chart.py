"""Live charts: curves that grow without losing the reader's zoom or the curves they hid.

`st.plotly_chart` is drawn anew on every change of its data, so this is a component of our own on Plotly.react.
"""

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path

import plotly
import streamlit as st

from tfbind.figures import Curve, sight
from tfbind.store import atomic_write, plural
from tfbind.text import visible

FIRST_POINT = "The first point comes with the end of the first epoch."

CSS = """
.live-charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem; }
.live-chart-box { min-width: 0; }
.live-chart-title { font-weight: 600; margin-bottom: 0.5rem; }
"""

_component = st.components.v2.component(
    "live_charts",
    html="<div class='live-charts'></div>\n",
    css=CSS,
    js=Path(__file__).with_name("live_chart.js").read_text(),
    isolate_styles=False,  # Plotly puts its own style sheet into the document
)


@dataclass(frozen=True)
class Chart:
    """Curves on one pair of axes; `alt` says to those who cannot see it what it shows.

    `y_range`: the part of the axis that is shown at first, None for all of it. `beyond`: what is said of the rest.
    """

    title: str
    y_title: str
    alt: str
    curves: list[Curve]
    y_range: tuple[float, float] | None = None
    beyond: str = ""


def loss_chart(title: str, alt: str, curves: list[Curve], of: str = "run") -> Chart:
    """A chart of losses, in which a diverged run does not flatten the others.

    Args:
        of: what one of the curves is.
    """
    view = sight([curve.y for curve in curves])
    beyond = f"{plural(view.beyond, of)} beyond" if view.limits else ""
    description = f"{alt}; {beyond} the axis" if beyond else alt
    return Chart(title, "loss", description, curves, view.limits, beyond)


def install_plotly(static: Path) -> Path:
    """Copy plotly.min.js of the installed package into `static`, unless that very file is there.

    A copy, since Streamlit does not serve links; written aside first, since two servers may start at once.

    Raises:
        OSError: it is not there, and cannot be written.
    """
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    target = static / source.name
    if not (target.is_file() and not target.is_symlink() and filecmp.cmp(source, target)):
        static.mkdir(exist_ok=True)
        with atomic_write(target) as draft:
            shutil.copy2(source, draft)
    return target


def live_charts(charts: list[Chart], *, key: str, height: int = 300, empty: str = FIRST_POINT) -> None:
    """Draw charts side by side, or one below the other where it is narrow; the same key again updates them in place.
    A chart without a point says `empty`.

    One component for all of them, since every element of an update costs the server about a millisecond.
    """
    base = st.get_option("server.baseUrlPath").strip("/")
    data = {
        "charts": [
            vars(chart) | {"curves": [vars(curve) | {"name": visible(curve.name)} for curve in chart.curves]}
            for chart in charts
        ],
        "empty": empty,
        "height": height,
        "source": f"/{base}/app/static/plotly.min.js?v={plotly.__version__}".replace("//", "/"),
    }
    _component(key=key, data=data)
