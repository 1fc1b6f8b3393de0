"""Models as ONNX files whose bytes depend on nothing but layers, weights and card. Needs the extra `onnx`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from study.model_files.card import Card
from study.serving.onnx_file import INPUT, OUTPUT, SOURCE, missing

if TYPE_CHECKING:
    import onnx


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
    converted, _ = tf2onnx.convert.from_keras(in_float32(model))
    exported = onnx.helper.make_model(
        _canonical(converted.graph),
        producer_name=converted.producer_name,
        opset_imports=sorted(converted.opset_import, key=lambda opset: opset.domain),
        ir_version=converted.ir_version,
    )
    content = {key: json.dumps(value) for key, value in card.to_dict().items()}
    onnx.helper.set_model_props(exported, content | {SOURCE: source})
    onnx.checker.check_model(exported)
    Path(path).write_bytes(exported.SerializeToString(deterministic=True))


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


def _canonical(graph: "onnx.GraphProto") -> "onnx.GraphProto":
    """The same graph with nodes in the order in which the output asks for them, numbered in that order.

    tf2onnx numbers nodes by a counter of the process and orders them by sets of names, which differ from run to run.
    """
    import onnx

    (images,), (probabilities,) = graph.input, graph.output
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    names, nodes, initializers = {images.name: INPUT, "": ""}, [], []
    pending = [probabilities.name]
    while pending:
        name = pending[-1]
        if name in names:
            pending.pop()
        elif name in constants:
            names[name] = f"constant_{len(initializers)}"
            initializers.append(constants[name])
        elif asked := [given for given in makers[name].input if given not in names]:
            pending.extend(reversed(asked))
        else:
            node = makers[name]
            names |= {made: f"{node.op_type.lower()}_{len(nodes)}_{place}" for place, made in enumerate(node.output)}
            nodes.append(node)
    names[probabilities.name] = OUTPUT
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type.lower()}_{number}"
        node.input[:] = [names[given] for given in node.input]
        node.output[:] = [names[made] for made in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    for constant in initializers:
        constant.name = names[constant.name]
    for value, name in ((images, INPUT), (probabilities, OUTPUT)):
        value.name = name
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return onnx.helper.make_graph(nodes, "model", [images], [probabilities], initializers)
