"""Networks that score with torch on a GPU, for whole files, in a process of their own."""

import torch

from tfbind.dna import UNKNOWN, Codes
from tfbind.nn import Weights, model_from_weights
from tfbind.scoring.model import Scores

BATCH_BASES = 1 << 19  # a GPU is busy from about here on; 64 channels of it take a gigabyte


class TorchNetwork:
    """A network on a device of torch. It computes in float32 throughout, as the CPU does."""

    def __init__(self, weights: Weights, device: str) -> None:
        self._device = torch.device(device)
        self._network = model_from_weights({name: torch.tensor(value) for name, value in weights.items()})
        self._network.to(self._device)

    def scores(self, codes: Codes) -> Scores:
        """Score windows (N, L) of a length that the network takes; (N, L) float32.

        Raises:
            OSError: the device has too little memory.
        """
        rows = max(1, BATCH_BASES // codes.shape[1])
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                batches = torch.from_numpy(codes.copy()).split(rows)
                scores: Scores = torch.cat([self._batch(batch).cpu() for batch in batches]).numpy()
        except torch.OutOfMemoryError:
            raise OSError(f"{self._device}: too little memory is free there; --device cpu scores without") from None
        return scores

    def _batch(self, codes: torch.Tensor) -> torch.Tensor:
        letters = torch.arange(UNKNOWN, device=self._device)[None, :, None]
        one_hot = codes.to(self._device)[:, None, :] == letters
        scores: torch.Tensor = self._network(one_hot.float())
        return scores
