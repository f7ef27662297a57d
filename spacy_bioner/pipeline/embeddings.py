"""Word embeddings in int8: a scale for each word, where ONNX has one for the table."""

from __future__ import annotations

import numpy as np

LARGE = 1000  # rows; smaller tables stay in fp32


def quantize_rows(model) -> None:
    """Replace a graph's large lookup tables by int8 ones with a scale for each row.

    model (onnx.ModelProto): Changed in place.
    """
    from onnx import numpy_helper

    tables = {table.name: table for table in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or len(table.dims) != 2 or table.dims[0] < LARGE:
            nodes.append(node)
            continue
        rows = numpy_helper.to_array(table)
        scales = np.abs(rows).max(axis=1, keepdims=True).clip(min=1e-9) / 127
        small = np.round(rows / scales).astype("int8")
        nodes += _lookup(model.graph, node, small, scales.astype("float32"))
        model.graph.initializer.remove(table)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _lookup(graph, gather, rows, scales) -> list:
    """Nodes for `rows[ids] * scales[ids]`, instead of `gather`."""
    from onnx import TensorProto, helper, numpy_helper

    ids, name = gather.input[1], gather.output[0]
    for part, array in (("rows", rows), ("scales", scales)):
        graph.initializer.append(numpy_helper.from_array(array, f"{name}_{part}"))
    return [
        helper.make_node("Gather", [f"{name}_rows", ids], [f"{name}_int8"]),
        helper.make_node("Gather", [f"{name}_scales", ids], [f"{name}_scale"]),
        helper.make_node(
            "Cast", [f"{name}_int8"], [f"{name}_cast"], to=TensorProto.FLOAT
        ),
        helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
    ]
