"""Files and processes: atomic writes, JSON with a schema, tab-separated text, owners, signals and meters.

Nothing here knows DNA or training; every other package writes through it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
