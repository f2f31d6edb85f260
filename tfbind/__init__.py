"""Train a CNN that predicts transcription-factor binding at every base, compare how it learns, score DNA with it.

`import tfbind as tf` loads nothing else: each name in `__init__.pyi` is imported when it is first used.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
