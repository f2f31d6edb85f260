"""Scores of DNA by trained models: profiles, sites, mutagenesis, whole files, bundles, background jobs, figures.

Scores are float32, one per base, in the unit of the data the model learnt.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
