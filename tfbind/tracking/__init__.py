"""Weights & Biases: runs logged there, pulled from there, read from offline folders, and kept.

Every call of W&B's client happens in a process of its own.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
