"""Training on toy data: what a row says, when it ends, and that an interruption changes nothing."""

import copy
import io
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toy import toy_config, toy_data, toy_home

from tfbind.config import PROJECT, TrainConfig, shard_count
from tfbind.nn.model import build_model
from tfbind.nn.training import Diverged, Optimizer, Training, learning_rate_at, one_hot
from tfbind.runs import launch
from tfbind.runs.worker import Worker

TIMES = ("seconds", "windows_per_second")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def start(config: TrainConfig, **keywords) -> Training:
    return Training(build_model(config, 20), toy_data(), config, **keywords)


def untimed(rows) -> list[dict]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def same_weights(first: Training, second: Training) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_one_hot_is_a_c_g_t_and_zeros_for_n():
    X = one_hot(torch.tensor([[0, 1, 2, 3, 4]], dtype=torch.uint8))
    assert X[0].T.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_it_learns():
    rows = list(Training(build_model(toy_config(), 20), toy_data(), toy_config(num_epochs=12)))
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["val_loss"] < rows[0]["val_loss"] / 4
    assert rows[-1]["val_pearsonr"] > 0.9


def test_figures_of_a_row_are_those_of_the_predictions():
    training = start(toy_config())
    row = next(training)
    observed = toy_data().scores[training.validation.windows]
    predicted = training.validation.predictions
    with torch.inference_mode():
        again = training.model(one_hot(torch.from_numpy(toy_data().codes[training.validation.windows])))
    np.testing.assert_allclose(predicted, again.numpy(), rtol=1e-5, atol=1e-5)
    assert row["val_loss"] == pytest.approx(float(((predicted - observed) ** 2).mean()), rel=1e-6)
    flat = scipy.stats.pearsonr(predicted.ravel().astype(float), observed.ravel().astype(float)).statistic
    assert row["val_pearsonr"] == pytest.approx(flat, abs=1e-9)
    each = [
        scipy.stats.pearsonr(p.astype(float), o.astype(float)).statistic
        for p, o in zip(predicted, observed, strict=True)
    ]
    assert row["val_pearsonr_window"] == pytest.approx(np.mean(each), abs=1e-9)
    assert row["val_windows_undefined"] == 0


def test_train_loss_is_the_mean_over_windows_not_over_batches():
    # A rate of almost nothing and no dropout leave the model as it was drawn: the mean can be taken by hand. The last
    # of the 5 batches of 40 windows has 4 of them.
    config = toy_config(learning_rate=1e-30, dropout_rate=0.0, weight_decay=0.0, batch_size=9)
    training = start(config)
    model = build_model(config, 20).train()
    data = toy_data()
    with torch.inference_mode():
        predicted = model(one_hot(torch.from_numpy(data.codes[training.train_windows]))).numpy()
    expected = ((predicted - data.scores[training.train_windows]) ** 2).mean()
    assert next(training)["train_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_windows_without_a_defined_correlation_are_counted():
    data = toy_data()
    data.scores[:] = 3.0
    row = next(Training(build_model(toy_config(), 20), data, toy_config()))
    assert (row["val_pearsonr"], row["val_pearsonr_window"], row["val_windows_undefined"]) == (None, None, 10)


def test_every_window_is_seen_once_an_epoch_in_a_new_order():
    seen: list[list[float]] = []

    class Recorder(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, X):
            if self.training:
                seen[-1] += X.flatten(1).sum(1).tolist()
            return self.model(X)

        def use_generator(self, generator):
            self.model.use_generator(generator)

    data = toy_data()
    data.codes[np.arange(50), np.arange(50) % 20] = 4
    for window in range(50):
        data.codes[window, : window % 17] = 4
    config = toy_config(num_epochs=2, norm="batch")
    training = Training(Recorder(build_model(config, 20)), data, config)
    expected = sorted(float((data.codes[window] < 4).sum()) for window in training.train_windows)
    for _ in range(2):
        seen.append([])
        next(training)
    assert sorted(seen[0]) == sorted(seen[1]) == expected
    assert seen[0] != seen[1]


def test_equal_seeds_give_equal_rows_and_another_seed_others():
    assert untimed(start(toy_config())) == untimed(start(toy_config()))
    assert untimed(start(toy_config())) != untimed(start(toy_config(seed=1)))


@pytest.mark.parametrize("optimizer", ["AdamW", "Adam", "SGD"])
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize(("finished_epochs", "threads"), [(1, 1), (2, 2)])
def test_interrupted_and_resumed_equals_uninterrupted(optimizer, norm, finished_epochs, threads):
    config = toy_config(
        optimizer_type=optimizer, norm=norm, lr_schedule="one_cycle", num_epochs=4, batch_size=16, threads=threads
    )
    whole = start(config)
    rows = list(whole)

    class Interruption(Exception):
        pass

    def interrupt(training):
        if (training.epoch, training.batches) == (finished_epochs + 1, 2):
            raise Interruption

    first = start(config, on_batch=interrupt)
    for _ in range(finished_epochs):
        next(first)
    buffer = io.BytesIO()
    torch.save(first.checkpoint(), buffer)
    buffer.seek(0)
    with pytest.raises(Interruption):
        next(first)
    second = start(config)
    second.restore(torch.load(buffer, weights_only=True))
    rest = list(second)
    assert len(rest) == 4 - finished_epochs
    assert untimed(second.rows) == untimed(rows)
    assert same_weights(whole, second)


@pytest.mark.parametrize(("threads", "batch_size", "expected"), [(1, 64, 1), (2, 64, 2), (16, 64, 8), (4, 7, 1)])
def test_each_thread_takes_a_shard_unless_shards_get_too_small(threads, batch_size, expected):
    settings = {"threads": threads, "batch_size": batch_size}
    assert shard_count(toy_config(**settings), batch_size) == expected
    assert shard_count(toy_config(**settings, device="cuda"), batch_size) == 1


@pytest.mark.parametrize(("windows", "expected"), [(64, 4), (65, 5), (16, 1), (3, 1)])
def test_shards_of_batch_norm_have_a_size_of_their_own(windows, expected):
    for threads in (1, 16):
        config = toy_config(norm="batch", threads=threads, batch_size=64, shard_size=16)
        assert shard_count(config, windows) == expected


def test_with_batch_norm_the_number_of_threads_changes_nothing():
    settings = {"norm": "batch", "batch_size": 17, "shard_size": 5}
    one, three = (start(toy_config(**settings, threads=threads)) for threads in (1, 3))
    assert untimed(list(one)) == untimed(list(three))
    assert same_weights(one, three)


def test_shards_compute_what_the_whole_batch_computes():
    # 40 windows in batches of 17: shards of 9 and 8, and a last batch of 6 in shards of 3.
    settings = {"dropout_rate": 0.0, "batch_size": 17, "optimizer_type": "SGD", "learning_rate": 0.01}
    whole, shared = start(toy_config(**settings)), start(toy_config(**settings, threads=2))
    for ours, theirs in zip(shared, whole, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)


class NoTorch(TorchDispatchMode):
    """Where torch may not compute: it lets go of the interpreter at every operation, and threads fight for it."""

    def __torch_dispatch__(self, operation, *_):
        raise AssertionError(f"torch was asked for {operation}")


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_what_threads_do_of_a_batch_is_arithmetic_alone(norm):
    class Recorder(Training):
        threads = 0

        @property
        def _parallel_map(self):
            def parallel_map(work, *jobs):
                self.threads = max(self.threads, len(jobs[0]))
                with NoTorch():
                    return list(map(work, *jobs))

            return parallel_map

    config = toy_config(norm=norm, threads=3, batch_size=40)
    training = Recorder(build_model(config, 20), toy_data(), config)
    next(training)
    assert training.threads == 3


def test_torch_has_no_threads_beside_those_that_share_a_batch(tmp_path):
    run = launch.prepare(toy_home(tmp_path), toy_config(threads=16, batch_size=64)).create()
    seen = []
    torch.set_num_threads(2)
    assert Worker(run, on_row=lambda _: seen.append(torch.get_num_threads())).work() == "finished"
    assert seen == [1, 1, 1]


def test_one_cycle_by_hand():
    config = TrainConfig(learning_rate=1.0, lr_schedule="one_cycle")
    # 100 steps: up from 0.04 over 20, half way up at 10; then down over 80, half way at 60, to zero at 100.
    rates = [learning_rate_at(config, step, 100) for step in (0, 10, 20, 60, 100)]
    assert rates == pytest.approx([0.04, 0.52, 1.0, 0.5, 0.0], abs=1e-12)
    assert learning_rate_at(TrainConfig(), 99, 100) == 0.01


@pytest.mark.parametrize("kind", ["AdamW", "Adam", "SGD"])
def test_the_optimizer_takes_the_steps_of_torch_bit_by_bit_and_goes_on_from_its_state(kind):
    config = TrainConfig(optimizer_type=kind, learning_rate=0.01, weight_decay=0.1)
    ours, theirs = (torch.nn.Conv1d(4, 3, 5) for _ in range(2))
    ours.load_state_dict(theirs.state_dict())
    further = {"momentum": 0.9} if kind == "SGD" else {}
    reference = getattr(torch.optim, kind)(theirs.parameters(), lr=0.01, weight_decay=0.1, fused=True, **further)
    optimizer = Optimizer(ours.parameters(), config)
    random = torch.Generator().manual_seed(4)
    for step in range(1_000):
        rate = 0.01 / (1 + step % 7)
        optimizer.learning_rate = reference.param_groups[0]["lr"] = rate
        gradients = [torch.randn(parameter.shape, generator=random) for parameter in ours.parameters()]
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step(gradients)
        reference.step()
        if step == 500:  # as from a checkpoint that torch's own optimizer has written
            optimizer = Optimizer(ours.parameters(), config)
            optimizer.load_state_dict(copy.deepcopy(reference.state_dict()))
    for ours_now, theirs_now in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(ours_now, theirs_now)
    resumed = Optimizer(ours.parameters(), config)
    resumed.load_state_dict(optimizer.state_dict())
    for name, tensors in optimizer.state.items():
        assert all(map(torch.equal, tensors, resumed.state[name]))
    with pytest.raises(ValueError, match="the state of 2 parameters; expected 1"):
        Optimizer([torch.zeros(2)], config).load_state_dict(optimizer.state_dict())


def test_training_loads_no_compiler():
    program = (
        "import sys; sys.path.insert(0, 'tests'); from toy import toy_config, toy_data\n"
        "from tfbind.nn.model import build_model; from tfbind.nn.training import Training\n"
        "config = toy_config(num_epochs=1); next(Training(build_model(config, 20), toy_data(), config))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)


def test_it_stops_when_patience_is_spent_and_best_is_the_lowest_val_loss():
    training = start(
        toy_config(num_epochs=100, early_stopping_patience=2, lr_schedule="one_cycle", learning_rate=2.0)
    )
    improved = []
    for _ in training:
        improved.append(training.improved)
    losses = [row["val_loss"] for row in training.rows]
    assert len(losses) < 100
    assert losses.index(min(losses)) == len(losses) - 3
    assert [epoch for epoch, better in enumerate(improved) if better][-1] == len(losses) - 3
    assert improved[0]


def test_a_loss_that_explodes_is_said_with_the_place_and_a_way_out():
    training = start(toy_config(optimizer_type="SGD", learning_rate=10.0, norm="batch", num_epochs=50))
    with pytest.raises(
        Diverged, match=r"became (nan|inf) in epoch \d+, batch \d+: .* learning_rate 3 to 10 times below 10$"
    ):
        list(training)
    assert all(math.isfinite(row["train_loss"]) for row in training.rows)


def test_progress_counts_batches_and_reckons_the_time_left():
    now = [0.0]

    def clock() -> float:
        return now[0]

    reports = []

    def tick(training):
        now[0] += 1.0
        reports.append(training.progress())

    training = start(toy_config(num_epochs=2), on_batch=tick, clock=clock)
    assert training.progress()["seconds_left"] is None
    row = next(training)
    assert [report["batches"] for report in reports] == [1, 2, 3, 4, 5]
    # 8 windows a second; an epoch is 40 windows and a third of 10, so 5.417 s, twice, less the 1 s spent.
    assert reports[0]["windows_per_second"] == 8.0
    assert reports[0]["seconds_left"] == pytest.approx(2 * (40 + 10 / 3) / 8 - 1, abs=0.06)
    assert row["seconds"] == 5.0
    assert row["windows_per_second"] == 8.0


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_learns_the_same(device):
    backend = torch.cuda if device == "cuda" else torch.backends.mps
    if not backend.is_available():
        pytest.skip(f"no {device} device")
    config = toy_config(dropout_rate=0.0)
    ours = list(Training(build_model(config, 20).to(device), toy_data(), config))
    theirs = list(start(config))
    assert [row["val_loss"] for row in ours] == pytest.approx([row["val_loss"] for row in theirs], rel=0.02)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_an_epoch_is_that_of_plain_torch(norm):
    config = toy_config(norm=norm, dropout_rate=0.0, num_epochs=1)
    data = toy_data()
    ours, plain = build_model(config, 20), build_model(config, 20)
    training = Training(ours, data, config)
    next(training)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    random = np.random.default_rng([config.seed, 1])
    for chosen in np.split(random.permutation(len(training.train_windows)), range(8, len(training.train_windows), 8)):
        windows = training.train_windows[chosen]
        X = torch.nn.functional.one_hot(torch.from_numpy(data.codes[windows]).long(), 4).float().transpose(1, 2)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(plain(X), torch.from_numpy(data.scores[windows])).backward()
        optimizer.step()
    for (name, found), expected in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            found, expected, rtol=1e-3, atol=2e-4, msg=lambda said, name=name: f"{name}: {said}"
        )
