"""A process of its own that reads weights with torch and writes them in another form, so that its caller needs none.

    python -m tfbind.convert SOURCE TARGET

The suffix of TARGET chooses the form: `.safetensors`, or `.pt` for a `state_dict` as `torch.save` writes it. Either
has float32 tensors under the names of a BindingPredictorCNN. One line and exit code 2: no such weights in SOURCE;
3: a file cannot be read or written.
"""

import io
import sys
from pathlib import Path

import torch

from tfbind.files import naming, words
from tfbind.model_weights import model_from_weights, pack_weights, read_weights
from tfbind.weight_files import LOWEST_LABEL, read_facts


def convert(source: Path, target: Path) -> None:
    """Write the weights of `source` to `target`.

    Raises:
        ValueError: one line: the file cannot be read, or the weights are those of another architecture.
    """
    model = model_from_weights(read_weights(source))
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise ValueError(f"{source}: weights that are not finite; expected those of a model that predicts")
    if target.suffix == ".safetensors":
        kept = read_facts(source)
        content = pack_weights(model, {name: kept[name] for name in (LOWEST_LABEL,) if name in kept})
    else:
        packed = io.BytesIO()  # torch writes to a file itself without saying what went wrong
        torch.save(model.state_dict(), packed)
        content = packed.getvalue()
    with naming(target):
        target.write_bytes(content)


def main(arguments: list[str]) -> int:
    """Convert one file; the exit code."""
    source, target = map(Path, arguments)
    try:
        convert(source, target)
    except ValueError as error:
        print(words(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(words(error), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
