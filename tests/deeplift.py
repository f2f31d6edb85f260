"""DeepLIFT's rescale rule as tools for it do it: by hooks on the modules of a network."""

import torch
from torch import Tensor, nn


def relus(model: nn.Module) -> list[nn.ReLU]:
    """The ReLU modules of a network."""
    return [module for module in model.modules() if isinstance(module, nn.ReLU)]


def calls_of_relus(model: nn.Module, X: Tensor) -> list[int]:
    """How often each of them is called in a forward pass."""
    calls: dict[nn.Module, int] = dict.fromkeys(relus(model), 0)

    def count(module: nn.Module, *_: object) -> None:
        calls[module] += 1

    hooks = [module.register_forward_hook(count) for module in calls]
    model(X)
    for hook in hooks:
        hook.remove()
    return list(calls.values())


def contributions(model: nn.Module, X: Tensor, baseline: Tensor, base: int) -> Tensor:
    """What each base of windows (N, 4, L) adds to the score at `base`, against those of `baseline`: (N, L).

    At each ReLU the gradient is the change of what comes out over the change of what goes in.
    """

    def keep_slope(_: nn.Module, given: tuple[Tensor], out: Tensor) -> Tensor:
        (x, x0), (y, y0) = given[0].detach().chunk(2), out.detach().chunk(2)
        slope = torch.where((x - x0).abs() > 1e-9, (y - y0) / (x - x0), (x > 0).to(x.dtype))
        both = torch.cat([slope, slope])
        return out.detach() + both * given[0] - (both * given[0]).detach()

    hooks = [module.register_forward_hook(keep_slope) for module in relus(model)]
    inputs = torch.cat([X, baseline]).requires_grad_()
    (gradient,) = torch.autograd.grad(model(inputs)[: len(X), base].sum(), inputs)
    for hook in hooks:
        hook.remove()
    return (gradient[: len(X)] * (X - baseline)).sum(1)
