"""A model as one web page: a file that opens from the disk and scores DNA in the browser, without a server.

Weights, arithmetic, script and style are in the file. Its Content-Security-Policy lets it load and send nothing.
"""

import base64
import hashlib
import html
import json
import os
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind import __version__
from tfbind.nn import EPSILON, Weights, fold_batch_norm, layer_names, read_shape
from tfbind.scoring.model import Model, load_model, read_members
from tfbind.scoring.wasm import LANES, gemm_module
from tfbind.store import write_bytes

FOLDER = Path(__file__).with_name("web")
SEQUENCE_SCRIPT, SEQUENCE_STYLE = FOLDER / "sequence.js", FOLDER / "sequence.css"
INPUTS = 4  # A C G T
Put = Callable[[NDArray[np.float32]], list[int]]  # keeps an array, returns its [start, size]
TILE = 8_192  # bases that a worker of the page scores at once


def web_page(home: Path, name: str) -> str:
    """Make the page of a model.

    Args:
        home: the home of the model.
        name: the id of a run, the name of another model, or several of them joined by commas.

    Returns:
        The HTML of the page.

    Raises:
        ValueError: no such model, or models that cannot be averaged.
    """
    model = load_model(home, name)
    facts, numbers = _pack(model, read_members(home, name))
    style = _asset("page.css") + _asset("sequence.css")
    view = _asset("sequence.js").replace("export default function", "return function")
    script = f"const drawSequence = (() => {{\n{view}}})()\n{_asset('page.js')}"
    policy = {
        "default-src": "'none'",
        "script-src": f"{_source(script)} 'wasm-unsafe-eval'",
        "style-src": _source(style),
        "worker-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return Template(_asset("page.html")).substitute(
        policy="; ".join(f"{directive} {sources}" for directive, sources in policy.items()),
        title=html.escape(f"{model.target.factor or 'Binding'}: {Path(name).name}"),
        style=style,
        script=script,
        engine=_asset("engine.js"),
        model=_inert(json.dumps(facts)),
        module=_base64(gemm_module()),
        weights=_base64(numbers.tobytes()),
    )


def export_web_page(home: Path, name: str, out: Path) -> int:
    """Write the page of a model into a new file.

    Args:
        home: the home of the model.
        name: as for `web_page`.
        out: the file, `.html`.

    Returns:
        Its size in bytes.

    Raises:
        ValueError: no such model, another suffix, or something is there already.
        OSError: it cannot be written.
    """
    if out.suffix.lower() != ".html":
        raise ValueError(f"--out {out}: expected a file .html")
    if os.path.lexists(out):
        raise ValueError(f"{out}: exists already and is not overwritten; expected a new file")
    content = web_page(home, name).encode()
    write_bytes(out, content)
    return len(content)


def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a policy calls inline text by."""
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _inert(text: str) -> str:
    """JSON inside a script element: nothing in it ends the element or begins a comment."""
    return text.replace("<", "\\u003c")


def _pack(model: Model, members: list[Weights]) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What the script needs to know of a model, and its numbers in one array, in which [start, size] is a part."""
    arrays: list[NDArray[np.float32]] = []

    def put(array: NDArray[np.float32]) -> list[int]:
        start = sum(part.size for part in arrays)
        arrays.append(np.ascontiguousarray(array, np.float32).ravel())
        return [start, array.size]

    packed = []
    for weights in members:
        shape, channels = read_shape(weights), weights["initial_conv.weight"].shape[0]
        padded = -(-channels // LANES) * LANES
        layers = [
            _layer(weights, convolution, norm, padded, padded if index else INPUTS, put)
            for index, (convolution, norm) in enumerate(layer_names(shape.blocks))
        ]
        final = np.zeros(padded + 1, np.float32)
        final[:channels], final[padded] = weights["final_conv.weight"].ravel(), weights["final_conv.bias"][0]
        packed.append(
            {
                "channels": padded,
                "real": channels,
                "reach": shape.receptive_field // 2,
                "layers": layers,
                "final": put(final),
            }
        )
    target = model.target
    facts = {
        "name": Path(model.name).name,
        "hash": model.hash,
        "version": __version__,
        "length": model.length,
        "tile": TILE,
        "epsilon": EPSILON,
        "reach": model.reach,
        "words": target.words,
        "unit": target.unit,
        "threshold": target.threshold,
        "members": packed,
    }
    return facts, np.concatenate(arrays)


def _layer(weights: Weights, convolution: str, norm: str, padded: int, inputs: int, put: Put) -> dict[str, Any]:
    """A convolution with its norm: batch norm folded into it, layer norm beside it."""
    kernel, scale, shift = weights[f"{convolution}.weight"], weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    channels, _, width = kernel.shape
    bias = np.zeros(padded, np.float32)
    after: dict[str, Any] = {}
    if scale.ndim == 1:
        kernel, bias[:channels] = fold_batch_norm(weights, convolution, norm)
    else:
        rows = np.zeros((2, scale.shape[1], padded), np.float32)
        rows[0, :, :channels], rows[1, :, :channels] = scale.T, shift.T
        after = {"scale": put(rows[0]), "shift": put(rows[1])}
    matrix = np.zeros((width, inputs, padded), np.float32)
    matrix[:, : kernel.shape[1], :channels] = kernel.transpose(2, 1, 0)
    panels = matrix.reshape(width * inputs, padded // LANES, LANES).transpose(1, 0, 2)
    return {"kernel": width, "matrix": put(panels), "bias": put(bias), **after}
