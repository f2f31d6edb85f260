"""Variants: parsed from text, lists and VCF, placed on a reference, scored, written as a table."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
