"""Motifs: position weight matrices, their files, JASPAR, scans, discovery behind scores, logos.

A matrix is (4, W) float64 in the order A C G T.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
