"""Models written as ONNX files. Needs the extra `onnx`."""

import json
from pathlib import Path
from typing import Any

import keras

from study.model_files.card import Card
from study.serving.onnx_file import INPUT, OUTPUT, SOURCE, missing


def write(path: str | Path, model: keras.Model, card: Card, source: str) -> None:
    """Convert a model from images (N, H, W, 3) uint8 to probabilities (N, C) float32; the batch may have any size.

    The metadata hold the card, one entry per key, and `source`, the SHA-256 of the `.keras` file. Raises UserError
    if the extra is not installed.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise missing(error) from None
    exported, _ = tf2onnx.convert.from_keras(in_float32(model))
    graph = exported.graph
    for value, name in ((graph.input[0], INPUT), (graph.output[0], OUTPUT)):
        for node in graph.node:
            node.input[:] = [name if each == value.name else each for each in node.input]
            node.output[:] = [name if each == value.name else each for each in node.output]
        value.name = name
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    content = {key: json.dumps(value) for key, value in card.to_dict().items()}
    onnx.helper.set_model_props(exported, content | {SOURCE: source})
    onnx.checker.check_model(exported)
    onnx.save(exported, path)


def in_float32(model: keras.Model) -> keras.Model:
    """The model itself, or one of the same weights if it computes in mixed precision, which ONNX Runtime's
    convolutions do not know."""
    config = model.get_config()
    if (in_plain := _without_mixed(config)) == config:
        return model
    plain = keras.Model.from_config(in_plain)
    plain.set_weights(model.get_weights())
    return plain


def _without_mixed(config: Any) -> Any:
    """The same configuration with float32 in place of mixed_bfloat16."""
    if isinstance(config, dict):
        return {key: _without_mixed(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_without_mixed(part) for part in config)
    return "float32" if config == "mixed_bfloat16" else config
