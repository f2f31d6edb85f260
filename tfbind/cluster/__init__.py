"""Runs and scores on a Ray cluster. Only `driver`, a process of its own, imports Ray."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
