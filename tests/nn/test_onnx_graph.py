"""The graphs that lie beside weights: for programs that have ONNX Runtime and nothing of this project."""

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file
from toy import toy_config, toy_data, toy_home

from tfbind import runs
from tfbind.dna.codes import one_hot
from tfbind.nn.onnx import build_graph
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from tfbind.scoring.model import BUILTIN_FOLDER, load_model, score_windows


@pytest.mark.parametrize("weights", sorted(BUILTIN_FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_the_shipped_graphs_are_those_of_the_shipped_weights(weights):
    assert weights.with_suffix(".onnx").read_bytes() == build_graph(load_file(weights))


def test_the_model_ships_in_less_than_a_megabyte():
    assert sum(path.stat().st_size for path in BUILTIN_FOLDER.iterdir()) < 1_000_000


def test_a_finished_run_leaves_a_graph_that_scores_as_its_weights_do(tmp_path):
    home = toy_home(tmp_path)
    run = launch.prepare(home, toy_config(), launch.RunRequest(id="done")).create()
    assert Worker(run).work() == "finished"
    graph = onnxruntime.InferenceSession(run.folder / runs.GRAPH, providers=["CPUExecutionProvider"])
    codes = toy_data().codes[:5]
    expected = score_windows(load_model(home, "done"), codes)
    np.testing.assert_allclose(graph.run(None, {"X": one_hot(codes)})[0], expected, atol=1e-6)
