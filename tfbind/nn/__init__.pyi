from . import weight_files as weight_files
from .model import build_model as build_model
from .onnx import (
    EPSILON as EPSILON,
    Weights as Weights,
    build_graph as build_graph,
    fold_batch_norm as fold_batch_norm,
    layer_names as layer_names,
    read_shape as read_shape,
)
from .training import Data as Data, Training as Training
from .weight_files import (
    BANDS as BANDS,
    LOWEST_LABEL as LOWEST_LABEL,
    read_facts as read_facts,
    read_tensors as read_tensors,
)
from .weights import (
    model_from_weights as model_from_weights,
    pack_weights as pack_weights,
    read_weights as read_weights,
)
