"""plotly.min.js in the folder that Streamlit serves: the very file of the installed package."""

from pathlib import Path

import plotly

from ui.widgets.chart import install_plotly

SOURCE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def test_the_first_start_copies_it_later_ones_leave_it_alone_and_another_version_is_replaced(tmp_path: Path) -> None:
    target = install_plotly(tmp_path / "static")
    assert target.read_bytes() == SOURCE.read_bytes()
    assert list(target.parent.iterdir()) == [target]
    before = target.stat().st_ino
    assert install_plotly(tmp_path / "static").stat().st_ino == before
    target.write_bytes(b"/* plotly.js v0 */")
    assert install_plotly(tmp_path / "static").stat().st_size == SOURCE.stat().st_size


def test_a_link_is_replaced_since_streamlit_does_not_serve_one(tmp_path: Path) -> None:
    (tmp_path / "plotly.min.js").symlink_to(SOURCE)
    target = install_plotly(tmp_path)
    assert not target.is_symlink()
    assert target.read_bytes() == SOURCE.read_bytes()
