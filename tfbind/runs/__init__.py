"""A run: its folder, its worker, its record, its log; starting, stopping and resuming it; what its curves tell.

A run is a folder under `<home>/runs/`; whoever reads it needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
