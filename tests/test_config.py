"""One definition of the hyperparameters: bounds, presets, flags, and what follows from them."""

import pickle

import pytest
from hypothesis import given, strategies as st

from tfbind.config import (
    PACKAGE,
    PRESETS,
    TrainConfig,
    app_folder,
    check_continuation,
    choices,
    flags,
    forward_flops,
    home_folder,
    is_checkout,
    parameter_count,
    parse_config,
    python_path,
    receptive_field,
)


def test_the_default_is_the_published_experiment():
    config = TrainConfig()
    assert PRESETS["seed"] == config
    published = {
        "num_channels": 32,
        "num_res_blocks": 3,
        "kernel_size": 3,
        "dropout_rate": 0.2,
        "optimizer_type": "AdamW",
        "weight_decay": 1e-5,
        "batch_size": 64,
        "num_epochs": 5,
        "early_stopping_patience": 10,
        "validation_split": 0.2,
        "norm": "layer",
        "lr_schedule": "constant",
    }
    assert published.items() <= config.model_dump().items()


def test_the_published_model_has_153249_parameters_and_sees_15_bases():
    assert parameter_count(TrainConfig(), 300) == 153_249
    assert receptive_field(TrainConfig()) == 15


def test_arithmetic_of_the_published_model_by_hand():
    # 4*32*3 + 6*32*32*3 + 32 = 18,848 weights, each used once a base, two operations each.
    assert forward_flops(TrainConfig(), 300) == 2 * 300 * 18_848


def test_receptive_field_adds_up_over_the_convolutions():
    # 15 for the first, then four convolutions of 5 that each add 4.
    assert receptive_field(PRESETS["recommended"]) == 15 + 4 * 4


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("learning_rate", "fast", "learning_rate: 'fast' should be a valid number"),
        ("learning_rate", "0,01", "learning_rate: '0,01' should be a valid number, with a point: 0.01"),
        ("learning_rate", 0, "learning_rate: 0 should be greater than 0"),
        ("learning_rate", "nan", "learning_rate: 'nan' should be"),
        ("num_epochs", 0, "num_epochs: 0 should be greater than or equal to 1"),
        ("num_epochs", 2.5, "num_epochs: 2.5 should be a valid integer"),
        ("kernel_size", 4, "kernel_size: 4 must be odd, so that a base sits in the middle; try 3 or 5"),
        ("norm", "group", "norm: 'group' should be 'layer' or 'batch'"),
        ("optimizer_type", "adamw", "optimizer_type: 'adamw' should be 'AdamW', 'Adam' or 'SGD'"),
        ("momentum", 0.9, "momentum: no such hyperparameter; known: dataset, learning_rate"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(field, value, said):
    for make in (lambda: parse_config({field: value}), lambda: TrainConfig(**{field: value})):
        with pytest.raises(ValueError, match="^" + said.replace("(", r"\(")) as caught:
            make()
        assert "\n" not in str(caught.value)


def test_a_configuration_is_copied_and_pickled_as_it_is():
    config = TrainConfig(learning_rate=0.5, first_kernel_size=15)
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.model_copy(update={"seed": 3}) == TrainConfig(learning_rate=0.5, first_kernel_size=15, seed=3)
    assert hash(config.model_copy()) == hash(config)


def test_text_is_read_as_numbers_the_way_a_shell_and_yaml_give_it():
    config = parse_config({"weight_decay": "1e-5", "first_kernel_size": "15", "threads": "none"})
    assert (config.weight_decay, config.first_kernel_size, config.threads) == (1e-5, 15, None)


def test_what_is_not_given_comes_from_the_base():
    config = parse_config({"num_epochs": 7}, PRESETS["recommended"])
    assert config == PRESETS["recommended"].model_copy(update={"num_epochs": 7})


def test_an_empty_first_kernel_follows_the_others():
    assert parse_config({"kernel_size": 9}).first_kernel == 9
    assert parse_config({"kernel_size": 9, "first_kernel_size": 15}).first_kernel == 15


def test_choices_are_the_words_of_a_literal():
    assert choices("lr_schedule") == ("constant", "one_cycle")
    assert choices("learning_rate") == ()


configs = st.builds(
    TrainConfig,
    learning_rate=st.floats(1e-8, 10),
    first_kernel_size=st.none() | st.integers(0, 50).map(lambda half: 2 * half + 1),
    norm=st.sampled_from(choices("norm")),
    threads=st.none() | st.integers(1, 512),
    dataset=st.sampled_from(["builtin", "chr22", "/tmp/my data"]),
    dropout_rate=st.floats(0, 0.95),
)


@given(configs, configs)
def test_flags_turn_any_base_into_any_configuration(config, base):
    words = flags(config, base)
    read = {
        flag.removeprefix("--").replace("-", "_"): value for flag, value in zip(words[::2], words[1::2], strict=True)
    }
    assert parse_config(read, base) == config


def test_a_run_may_go_on_with_other_rates_but_not_with_another_architecture_or_split():
    parent = TrainConfig()
    check_continuation(parse_config({"learning_rate": 1e-4, "dropout_rate": 0.5, "first_kernel_size": 3}), parent)
    for change in ({"num_channels": 16}, {"first_kernel_size": 15}, {"seed": 1}, {"validation_split": 0.1}):
        with pytest.raises(ValueError, match=r"differs from .* that of the run whose weights are to be used"):
            check_continuation(parse_config(change), parent)


def test_home_is_the_variable_or_a_folder_beside_the_app(tmp_path):
    assert home_folder({"TFBIND_HOME": str(tmp_path)}) == tmp_path.resolve()
    assert home_folder({}).name == ".tfbind"
    assert (home_folder({}).parent / "tfbind" / "config.py").exists()


def test_the_folder_of_the_app_is_the_checkout_or_what_was_installed(tmp_path):
    package = tmp_path / "tfbind"
    package.mkdir()
    assert (is_checkout(package), app_folder(package)) == (False, tmp_path)
    (package / "webapp").mkdir()
    assert (is_checkout(package), app_folder(package)) == (False, package / "webapp")
    for name in ("pyproject.toml", "app.py"):
        (tmp_path / name).touch()
    assert (is_checkout(package), app_folder(package)) == (True, tmp_path)


def test_a_process_is_told_where_the_package_is_unless_python_knows(monkeypatch):
    folder = str(PACKAGE.parent)
    assert python_path({}) == folder
    assert python_path({"PYTHONPATH": "/other"}) == f"{folder}:/other"
    monkeypatch.setattr("site.getsitepackages", lambda: [folder])
    assert python_path({"PYTHONPATH": "/other"}) == "/other"
    assert python_path({}) == ""


def test_batch_norm_has_a_shard_size_unless_told_otherwise_and_flags_give_it_back():
    assert parse_config({}).shard_size is None
    for values in ({"norm": "batch"}, {"norm": "batch", "shard_size": "none"}, {"norm": "batch", "shard_size": 8}):
        config = parse_config(values)
        words = flags(config)
        names = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
        assert parse_config(dict(zip(names, words[1::2], strict=True))) == config
        assert config.shard_size == {"none": None}.get(values.get("shard_size"), values.get("shard_size", 16))
