"""Data sets: windows of DNA with a score per base; made, imported, opened, split, checked and drawn.

Codes are (N, L) uint8, scores (N, L) float32, both memory maps.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
