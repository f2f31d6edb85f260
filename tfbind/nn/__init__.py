"""The network: BindingPredictorCNN, its weights, its training and its export as an ONNX graph.

Importing the package loads no torch; `model`, `weights`, `training` and `kernels` do.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
