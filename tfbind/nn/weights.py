"""Read and write weights of a BindingPredictorCNN: safetensors, and `state_dict`s saved by torch.

    python -m tfbind.nn.weights SOURCE TARGET

converts a file for callers that have no torch. The suffix of TARGET chooses the form: `.safetensors`, or `.pt` for a
`state_dict` as `torch.save` writes it. Either has float32 tensors under the names of a BindingPredictorCNN. Errors
are one line and exit code 2, no such weights in SOURCE, or 3, a file cannot be read or written.
"""

import io
import pickle  # for the name of its error only  # nosec B403
import re
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from tfbind.nn.model import BindingPredictorCNN
from tfbind.nn.weight_files import BANDS, LOWEST_LABEL, MAX_BYTES, check, pack, read_facts
from tfbind.store import annotate_oserror, format_error, require_regular_file

StateDict = Mapping[str, Tensor]

MOST_BLOCKS = 1_000
FIRST = "initial_conv.weight"
CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
SAVE_IT = "torch.save(model.state_dict(), FILE)"
EXPECTED = f"expected a safetensors file, or a state_dict saved with {SAVE_IT}"
PICKLES = (b"\x80\x03", b"\x80\x04", b"\x80\x05")  # how pickles begin, but for torch's own, which are of protocol 2
MORE_THAN_TENSORS = f"a pickle of more than tensors, which could run code; expected the weights alone, by {SAVE_IT}"
DAMAGED = (  # what torch.load raises on bytes that are no weights
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def model_from_weights(weights: StateDict) -> BindingPredictorCNN:
    """Build the model of a `state_dict`, its architecture read off the shapes, in evaluation mode.

    Raises:
        ValueError: the tensors are not those of a BindingPredictorCNN.
    """
    with torch.device("meta"):  # nothing is allocated for weights that may not fit
        model = BindingPredictorCNN(**_architecture(weights))
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        problem = str(error).split("\n\t", 1)[-1].split("\n")[0].strip()
        raise ValueError(f"weights do not fit a BindingPredictorCNN: {problem}") from None
    return model.float().eval()


def _architecture(weights: StateDict) -> dict[str, Any]:
    first, scale = weights.get(FIRST), weights.get("initial_norm.weight")
    if first is None or scale is None or first.dim() != 3 or first.shape[1] != 4 or scale.dim() not in (1, 2):
        raise ValueError(
            "weights are not those of a BindingPredictorCNN: expected initial_conv.weight (C, 4, K) and "
            f"initial_norm.weight, found {', '.join(sorted(weights)[:3]) or 'nothing'}"
        )
    blocks = {match[1] for name in weights if (match := re.match(r"res_blocks\.(\d+)\.", name))}
    inner = weights.get("res_blocks.0.conv1.weight", first)
    if len(blocks) > MOST_BLOCKS:
        raise ValueError(f"weights of {len(blocks):,} residual blocks; expected at most {MOST_BLOCKS:,}")
    for kernel in (first.shape[-1], inner.shape[-1]):
        if kernel % 2 == 0:
            raise ValueError(
                f"weights do not fit a BindingPredictorCNN: a kernel of {kernel} bases; expected odd ones"
            )
    return {
        "num_channels": first.shape[0],
        "num_blocks": len(blocks),
        "kernel_size": inner.shape[-1],
        "dropout_rate": 0.0,
        "first_kernel_size": first.shape[2],
        "norm": "layer" if scale.dim() == 2 else "batch",
        "length": scale.shape[-1] if scale.dim() == 2 else 0,
    }


def pack_weights(model: nn.Module, facts: Mapping[str, str]) -> bytes:
    """Serialise the weights of a model as safetensors.

    Args:
        model: the network.
        facts: the metadata of the file.

    Returns:
        The bytes of the file.
    """
    return pack({name: tensor.cpu().contiguous().numpy() for name, tensor in model.state_dict().items()}, facts)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, or of a `state_dict` saved by `torch.save`, without running its code.

    A `state_dict` may lie in a checkpoint under one of the usual keys, and its names may have the prefix of a wrapper
    around the model, such as `module.`.

    Raises:
        ValueError: the file is neither, was damaged, holds anything but named tensors, or is too large for a model.
    """
    try:
        content = require_regular_file(path, MAX_BYTES).read_bytes()  # safetensors opens no path that is not in UTF-8
        weights = load(content)
        check(path, content)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except SafetensorError:
        weights = _read_state_dict(path)
    except KeyError as error:
        raise ValueError(f"{path}: tensors of the type {error.args[0]}; expected F32") from None
    if 4 * sum(tensor.numel() for tensor in weights.values()) > MAX_BYTES:
        raise ValueError(f"{path}: tensors of over {MAX_BYTES:,} bytes; expected the weights of a model")
    return _strip_prefix(weights)


def _strip_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without the prefix of a wrapper in their names."""
    prefix = next((name.removesuffix(FIRST) for name in weights if name.endswith(FIRST)), "")
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    _refuse_programs(path)
    try:
        with path.open("rb") as file:  # of a path torch would go by the suffix
            weights = torch.load(file, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        problem = MORE_THAN_TENSORS if "Unsupported global" in str(error) else f"not readable as weights; {EXPECTED}"
        raise ValueError(f"{path}: {problem}") from None
    if isinstance(weights, dict):
        weights = next((weights[key] for key in CHECKPOINT_KEYS if isinstance(weights.get(key), dict)), weights)
    if not isinstance(weights, dict) or not all(map(_is_array, weights.values())):
        raise ValueError(f"{path}: holds something else than named tensors; {EXPECTED}")
    return {str(name): tensor for name, tensor in weights.items()}


def _is_array(value: Any) -> bool:
    """Whether a value is a dense tensor of real numbers."""
    dense = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_nested
    return dense and not value.is_quantized and not value.is_complex()


def _refuse_programs(path: Path) -> None:
    """Refuse files that torch would open as programs, and those too large for memory."""
    with path.open("rb") as file:
        if file.read(2) in PICKLES:
            raise ValueError(f"{path}: {MORE_THAN_TENSORS}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError):
        return
    if any(member.filename.endswith("/constants.pkl") for member in members):
        save_it = "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE) makes weights of it"
        raise ValueError(f"{path}: a TorchScript archive, which is a program; {save_it}")
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ValueError(f"{path}: over {MAX_BYTES:,} bytes when unpacked; {EXPECTED}")


def convert(source: Path, target: Path) -> None:
    """Write the weights of `source` to `target`, in the form of its suffix.

    Raises:
        ValueError: one line: the file cannot be read, or the weights are those of another architecture.
    """
    model = model_from_weights(read_weights(source))
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise ValueError(f"{source}: weights that are not finite; expected those of a model that predicts")
    if target.suffix == ".safetensors":
        facts = read_facts(source)
        content = pack_weights(model, {name: facts[name] for name in (LOWEST_LABEL, BANDS) if name in facts})
    else:
        buffer = io.BytesIO()  # torch itself would write to a file without saying what went wrong
        torch.save(model.state_dict(), buffer)
        content = buffer.getvalue()
    with annotate_oserror(target):
        target.write_bytes(content)


def main(arguments: list[str]) -> int:
    """Convert one file; the exit code."""
    source, target = map(Path, arguments)
    try:
        convert(source, target)
    except ValueError as error:
        print(format_error(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(format_error(error), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
