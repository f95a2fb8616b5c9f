"""A run as a session of TensorBoard's HPARAMS: its settings, how it ended, and what to sort a study by."""

import time
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from lenet.settings import Settings, to_text

METRICS = {  # (part of the run, tag) -> what the column says
    ("", "test_accuracy"): "test accuracy",
    ("", "test_cross_entropy"): "test cross-entropy",
    ("validation", "accuracy"): "validation accuracy",
    ("validation", "cross_entropy"): "validation cross-entropy",
}
FIRST = {"variant", "framework", "seed", "learning_rate", "batch_size"}  # columns; the others are shown on demand
SUCCESS, FAILURE = api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE


def hyperparameters(settings: Settings, framework: str) -> dict[str, str | float]:
    """Return every setting by its key, and the framework; the same keys for every run, so that they are columns."""
    layers = {key: value for key, value in settings.values.items() if key.startswith("conv[")}
    others = {key: value for key, value in settings.values.items() if key not in layers}
    values = {"framework": framework, "variant": settings.variant, "conv": _layers(settings)} | others
    return {key: value if isinstance(value, int | float) else to_text(value) for key, value in values.items()}


def _layers(settings: Settings) -> str:
    """The convolutions in a line: filters, kernel, padding and pool of each."""
    return ", ".join(
        f"{conv.filters} of {conv.kernel}x{conv.kernel} {conv.padding}, "
        f"{conv.pool} {conv.pool_window}x{conv.pool_window}/{conv.pool_stride}"
        for conv in settings.architecture.conv
    )


def start(values: dict[str, str | float]) -> list[Summary.Value]:
    """Return the session's start, and the table's columns: TensorBoard takes those of the first run that it finds."""
    infos = []
    for key, value in values.items():
        kind = api_pb2.DATA_TYPE_STRING if isinstance(value, str) else api_pb2.DATA_TYPE_FLOAT64
        infos.append(api_pb2.HParamInfo(name=key, type=kind, differs=key in FIRST))
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(group=part, tag=tag), display_name=name)
        for (part, tag), name in METRICS.items()
    ]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)
    session = SessionStartInfo(start_time_secs=time.time())
    for key, value in values.items():
        if isinstance(value, str):
            session.hparams[key].string_value = value
        else:
            session.hparams[key].number_value = value
    return [
        _value(metadata.EXPERIMENT_TAG, experiment=experiment),
        _value(metadata.SESSION_START_INFO_TAG, session_start_info=session),
    ]


def end(status: int) -> Summary.Value:
    """Return the session's end. TensorBoard shows the first that a run has, also after it is continued."""
    session = SessionEndInfo(status=status, end_time_secs=time.time())
    return _value(metadata.SESSION_END_INFO_TAG, session_end_info=session)


def _value(tag: str, **content: Any) -> Summary.Value:
    described = metadata.create_summary_metadata(HParamsPluginData(**content))
    return Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
