"""Comparing runs: settings and seeds, significance, curves, the verdict and its words, figures, reports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
