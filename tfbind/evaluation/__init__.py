"""What a run's figures are worth: baselines, the filters it learnt, the sealed test set."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
