"""Export a trained network as an ONNX graph, built from its weights alone, without torch.

Input `X` (N, 4, L) float32 one-hot, output `scores` (N, L). Batch norm is folded into the convolution before it;
layer norm stays a node of its own and fixes L. Where the channels come in whole blocks, DNA inside is a plane one
base high, (N, C, 1, L): ONNX Runtime computes convolutions of planes, and only those, block by block: faster.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]

OPSET = 17  # the first with LayerNormalization
EPSILON = 1e-5  # torch's default in both norms
BLOCK = 16  # channels; some processors take 8


@dataclass(frozen=True)
class Shape:
    """The shape of a network: its receptive field in bases, the fixed length of its windows or None, its residual
    blocks."""

    receptive_field: int
    length: int | None
    blocks: int


def read_shape(weights: Weights) -> Shape:
    """Read the shape of a BindingPredictorCNN off its weights.

    Raises:
        ValueError: one line: a tensor is missing, or has another shape than the others ask for.
    """
    blocks = len({match[1] for name in weights if (match := re.match(r"res_blocks\.(\d+)\.", name))})
    scale = _tensor(weights, "initial_norm.weight")
    if scale.ndim not in (1, 2) or not scale.size:
        raise ValueError(f"initial_norm.weight has the shape {scale.shape}; expected channels, or channels and bases")
    channels, reach = scale.shape[0], 0
    for index, (convolution, norm) in enumerate(layer_names(blocks)):
        width = (_tensor(weights, f"{convolution}.weight").shape or (0,))[-1]
        _expect(weights, f"{convolution}.weight", (channels, channels if index else 4, width))
        if width % 2 == 0:
            raise ValueError(f"{convolution}.weight has a kernel of {width} bases; expected an odd number")
        parts = ("weight", "bias", "running_mean", "running_var")[: 4 if scale.ndim == 1 else 2]
        for part in parts:
            _expect(weights, f"{norm}.{part}", scale.shape)
        reach += width - 1
    _expect(weights, "final_conv.weight", (1, channels, 1))
    _expect(weights, "final_conv.bias", (1,))
    return Shape(reach + 1, scale.shape[-1] if scale.ndim == 2 else None, blocks)


def layer_names(blocks: int) -> list[tuple[str, str]]:
    """The names of each convolution and of the norm behind it, in order, of a network of so many residual blocks."""
    inner = [(f"res_blocks.{i}.conv{j}", f"res_blocks.{i}.norm{j}") for i in range(blocks) for j in (1, 2)]
    return [("initial_conv", "initial_norm"), *inner]


def fold_batch_norm(weights: Weights, convolution: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fold a batch norm into the convolution before it.

    Args:
        weights: of the network.
        convolution: its name.
        norm: that of the batch norm.

    Returns:
        The kernel (C, C_in, K) and the bias (C,) of one convolution that does both.
    """
    scale, shift = _tensor(weights, f"{norm}.weight"), _tensor(weights, f"{norm}.bias")
    factor = scale / np.sqrt(_tensor(weights, f"{norm}.running_var") + EPSILON)
    kernel = _tensor(weights, f"{convolution}.weight") * factor[:, None, None]
    return kernel, shift - _tensor(weights, f"{norm}.running_mean") * factor


def _expect(weights: Weights, name: str, shape: tuple[int, ...]) -> None:
    actual = _tensor(weights, name).shape
    if actual != shape:
        raise ValueError(f"{name} has the shape {actual}; expected {shape} in a BindingPredictorCNN of these weights")


def _tensor(weights: Weights, name: str) -> NDArray[np.float32]:
    if name not in weights:
        raise ValueError(f"weights lack {name}: they are not those of a BindingPredictorCNN")
    return weights[name]


class _Graph:
    """The nodes and constants of a graph that is being built."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.plane = _tensor(weights, "initial_conv.weight").shape[0] % BLOCK == 0
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def along(self, name: str, value: NDArray[np.float32]) -> str:
        """Add a constant whose last axis runs along the DNA."""
        return self.constant(name, np.expand_dims(value, -2) if self.plane else value)

    def enter(self) -> str:
        """Add the input in the layout of the convolutions."""
        return self.add("Unsqueeze", ["X", self.constant("height", np.array([2]))], "plane") if self.plane else "X"

    def leave(self, x: str) -> str:
        """Add the output: scores (N, L) from the last layer's single channel."""
        axes = np.array([1, 2] if self.plane else [1])
        return self.add("Squeeze", [x, self.constant("single", axes)], "scores")

    def convolve(self, x: str, convolution: str, norm: str) -> str:
        """Add a convolution and its norm, batch or layer norm by the shape of the weights."""
        kernel = _tensor(self.weights, f"{convolution}.weight")
        scale, shift = _tensor(self.weights, f"{norm}.weight"), _tensor(self.weights, f"{norm}.bias")
        half = kernel.shape[-1] // 2
        pads = [0, half] * 2 if self.plane else [half] * 2
        if scale.ndim == 1:
            folded = fold_batch_norm(self.weights, convolution, norm)
            parts = [self.along(f"{convolution}.0", folded[0]), self.constant(f"{convolution}.1", folded[1])]
            return self.add("Conv", [x, *parts], f"{convolution}.out", pads=pads)
        out = self.add("Conv", [x, self.along(f"{convolution}.0", kernel)], f"{convolution}.out", pads=pads)
        parts = [self.along(f"{norm}.{i}", part) for i, part in enumerate((scale, shift))]
        return self.add("LayerNormalization", [out, *parts], f"{norm}.out", axis=1, epsilon=EPSILON)


def build_graph(weights: Weights) -> bytes:
    """Build the ONNX file of a BindingPredictorCNN from its weights.

    Raises:
        ValueError: a tensor is missing.
    """
    shape = read_shape(weights)
    graph = _Graph(weights)
    x = graph.add("Relu", [graph.convolve(graph.enter(), "initial_conv", "initial_norm")], "initial")
    for i in range(shape.blocks):
        block = f"res_blocks.{i}"
        inner = graph.add("Relu", [graph.convolve(x, f"{block}.conv1", f"{block}.norm1")], f"{block}.inner")
        outer = graph.convolve(inner, f"{block}.conv2", f"{block}.norm2")
        x = graph.add("Relu", [graph.add("Add", [outer, x], f"{block}.sum")], block)
    final = graph.along("final_conv.weight", _tensor(weights, "final_conv.weight"))
    bias = graph.constant("final_conv.bias", _tensor(weights, "final_conv.bias"))
    graph.leave(graph.add("Conv", [x, final, bias], "final"))
    return _pack(graph, shape)


def _pack(graph: _Graph, shape: Shape) -> bytes:
    bases = shape.length or "L"
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "BindingPredictorCNN",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", 4, bases])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", bases])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=10,
        producer_name="tfbind",
    )
    content: bytes = model.SerializeToString()
    return content
