"""Sweeps: spec files, search, the folder of a sweep, the controller that starts its runs and the plan."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
