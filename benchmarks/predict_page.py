"""What a long sequence costs the server of the Predict page: simulated DNA, the real app, no browser.

    .venv/bin/python benchmarks/predict_page.py [--bases 2000 20000 100000]

Prints seconds of CPU time, other processes left out: for the first view of a sequence, for a rerun by a control that
changes nothing of its pictures, and for the change of a base.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))


def main() -> None:
    """Score sequences of several lengths on the page, print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, nargs="+", default=[2_000, 20_000, 100_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TFBIND_HOME"] = folder
        measure(options.bases)


def measure(lengths: list[int]) -> None:
    """One line for each length."""
    import numpy as np
    from streamlit.testing.v1 import AppTest

    from tfbind.data.simulate import simulate_chromosome
    from tfbind.dna.codes import decode

    dna = decode(simulate_chromosome(np.random.default_rng(2))[0, : max(lengths)])
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=600).run()
    page.switch_page("pages/predict.py").run()
    page.text_area[0].set_value(dna[:80]).run()  # loads the model
    for bases in lengths:
        view = _seconds(lambda: page.text_area[0].set_value(dna[:bases]).run())  # noqa: B023
        again = _seconds(lambda: page.number_input(key="edit-position").set_value(40).run())
        change = _seconds(lambda: next(one for one in page.button if _is_base(one)).click().run())
        print(f"{bases:,} bases: first view {view:.2f} s, another position {again:.2f} s, a base {change:.2f} s")
        page.number_input(key="edit-position").set_value(1).run()


def _is_base(button: object) -> bool:
    return getattr(button, "label", "") in tuple("ACGT") and not getattr(button, "disabled", True)


def _seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


if __name__ == "__main__":
    main()
