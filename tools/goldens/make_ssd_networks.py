#!/usr/bin/env python3
"""Writes plugins/inference/tests/data/ssd/*.onnx: one small network of each SSD family, with deterministic weights.

They find nothing in a picture. Each averages the picture over a coarse grid and adds a weighted sum of that to a constant for every
value of its heads, so that each output follows from the picture of its own place in the batch. Needs onnx and numpy.

    make_ssd_networks.py OUTPUT_FOLDER
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GRID = 2


class Noise:
    """xorshift32 to floats of -1..1, as the tests have it in Rust."""

    def __init__(self, seed):
        self.state = seed

    def __call__(self, *shape):
        values = np.empty(int(np.prod(shape)), np.float32)
        for index in range(values.size):
            x = self.state
            x ^= (x << 13) & 0xFFFFFFFF
            x ^= x >> 17
            x ^= (x << 5) & 0xFFFFFFFF
            self.state = x
            values[index] = np.float32((x >> 8) / 8388608.0 - 1.0)
        return values.reshape(shape)


class Graph:
    def __init__(self, seed):
        self.nodes, self.constants, self.noise = [], [], Noise(seed)

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op, inputs, output=None, **attributes):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def features(self, picture, side):
        """[N, 3 * GRID * GRID] from [N, 3, side, side]."""
        pooled = self.add("AveragePool", [picture], kernel_shape=[side // GRID] * 2, strides=[side // GRID] * 2)
        return self.add("Flatten", [pooled], axis=1)

    def head(self, features, shape, output, strong=()):
        """`output` [N, *shape]. A low rank keeps the file small: a few directions, spread by a repeated pattern. `strong`: (flat
        index, value) of what is added to single values."""
        period = 257
        size = int(np.prod(shape))
        weights = self.constant(self.noise(3 * GRID * GRID, period) * np.float32(0.3))
        pattern = self.add("MatMul", [features, weights])
        times = -(-size // period)
        tiled = self.add("Tile", [pattern, self.constant(np.array([1, times], np.int64))])
        cut = self.add(
            "Slice",
            [tiled, *(self.constant(np.array([v], np.int64)) for v in (0, size, 1))],
        )
        if strong:
            where = self.constant(np.array([index for index, _ in strong], np.int64).reshape(-1, 1))
            what = self.constant(np.array([value for _, value in strong], np.float32))
            zero = self.add(
                "ConstantOfShape",
                [self.constant(np.array([size], np.int64))],
                value=numpy_helper.from_array(np.zeros(1, np.float32)),
            )
            cut = self.add("Add", [cut, self.add("ScatterND", [zero, where, what])])
        return self.add("Reshape", [cut, self.constant(np.array([-1, *shape], np.int64))], output)

    def save(self, path, inputs, outputs, doc):
        info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [info(*each) for each in inputs],
            [info(*each) for each in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], doc_string=doc)
        model.ir_version = 8
        onnx.checker.check_model(model)
        onnx.save(model, path)
        print(path.name, path.stat().st_size)


FLOAT, BYTE, LONG = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
DOC = "made by tools/goldens/make_ssd_networks.py of the Nunchi project; finds nothing"


def ssd300(folder):
    graph = Graph(1)
    features = graph.features("image", 300)
    # The scores first: the order does not matter. Anchor 100 * class shows the class, and class 1 at anchors next to each other.
    strong = [(c * 8732 + 100 * c, 9.0 - 0.05 * c) for c in range(1, 41)] + [(8732 + 101, 8.5), (8732 + 102, 8.0)]
    graph.head(features, (81, 8732), "plabel", strong)
    graph.head(features, (4, 8732), "ploc")
    graph.save(
        folder / "ssd300.onnx",
        [("image", FLOAT, ["N", 3, 300, 300])],
        [("plabel", FLOAT, ["N", 81, 8732]), ("ploc", FLOAT, ["N", 4, 8732])],
        DOC,
    )


def torchvision(folder):
    graph = Graph(2)
    features = graph.features("input", 320)
    strong = [(100 * c * 91 + c, 9.0 - 0.05 * c) for c in range(1, 31)]
    graph.head(features, (3234, 91), "cls_logits", strong)
    graph.head(features, (3234, 4), "bbox_regression")
    graph.save(
        folder / "torchvision.onnx",
        [("input", FLOAT, ["batch", 3, 320, 320])],
        [("bbox_regression", FLOAT, ["batch", 3234, 4]), ("cls_logits", FLOAT, ["batch", 3234, 91])],
        DOC,
    )


def tf(folder):
    """Bytes, channels last, an axis of length 1 in the boxes."""
    graph = Graph(3)
    scaled = graph.add("Cast", ["image_tensor"], to=FLOAT)
    scaled = graph.add("Mul", [scaled, graph.constant(np.float32(1 / 127.5))])
    scaled = graph.add("Add", [scaled, graph.constant(np.float32(-1))])
    features = graph.features(graph.add("Transpose", [scaled], perm=[0, 3, 1, 2]), 300)
    strong = [(60 * c * 91 + c, 6.0 - 0.05 * c) for c in range(1, 31)]
    graph.head(features, (1917, 91), "class_logits", strong)
    graph.head(features, (1917, 1, 4), "box_encodings")
    graph.save(
        folder / "tf.onnx",
        [("image_tensor", BYTE, ["N", 300, 300, 3])],
        [("box_encodings", FLOAT, ["N", 1917, 1, 4]), ("class_logits", FLOAT, ["N", 1917, 91])],
        DOC,
    )


def nms_tf(folder):
    """Ten boxes, of which the picture's brightness says how many count; numbers and classes as floats."""
    graph = Graph(4)
    features = graph.features("image", 32)
    corners = np.array([[0.05 * i, 0.08 * i, 0.05 * i + 0.3, 0.08 * i + 0.2] for i in range(10)], np.float32)
    still = lambda value: graph.constant(value)
    mean = graph.add("ReduceMean", [features], axes=[1], keepdims=1)
    nothing = graph.add("Mul", [mean, still(np.float32(0))])
    boxes = graph.add("Add", [graph.add("Unsqueeze", [nothing, still(np.array([2], np.int64))]), still(corners[None])])
    graph.add("Identity", [boxes], "detection_boxes")
    graph.add("Add", [nothing, still(np.linspace(0.95, 0.5, 10, dtype=np.float32)[None])], "detection_scores")
    graph.add("Add", [nothing, still(np.array([[1, 2, 3, 12, 13, 90, 44, 17, 18, 19]], np.float32))], "detection_classes")
    # -1..1 to 0..10.
    count = graph.add("Round", [graph.add("Mul", [graph.add("Add", [mean, still(np.float32(1))]), still(np.float32(5))])])
    graph.add("Reshape", [count, still(np.array([-1], np.int64))], "num_detections")
    graph.save(
        folder / "nms-tf.onnx",
        [("image", FLOAT, ["N", 3, 32, 32])],
        [
            ("detection_boxes", FLOAT, ["N", 10, 4]),
            ("detection_classes", FLOAT, ["N", 10]),
            ("detection_scores", FLOAT, ["N", 10]),
            ("num_detections", FLOAT, ["N"]),
        ],
        DOC,
    )


def nms_torchvision(folder):
    """Eight boxes in pixels; those above 0.5 after a share of the picture's brightness was added are given: 0 to 8 of them."""
    graph = Graph(5)
    features = graph.features("image", 32)
    still = lambda value: graph.constant(value)
    corners = np.array([[3 * i, 2 * i, 3 * i + 8, 2 * i + 12] for i in range(8)], np.float32)
    mean = graph.add("ReduceMean", [features], axes=[0, 1], keepdims=0)
    # Of 0..1: black shows none, white all.
    scores = graph.add("Add", [mean, still(np.linspace(0.45, -0.45, 8, dtype=np.float32))])
    where = graph.add("NonZero", [graph.add("Greater", [scores, still(np.float32(0.5))])])
    where = graph.add("Squeeze", [where, still(np.array([0], np.int64))])
    graph.add("Gather", [still(corners), where], "boxes", axis=0)
    graph.add("Gather", [still(np.array([1, 2, 3, 12, 13, 90, 44, 17], np.int64)), where], "labels", axis=0)
    some = graph.add("Gather", [scores, where], axis=0)
    graph.add("Min", [some, still(np.float32(0.99))], "scores")
    graph.save(
        folder / "nms-torchvision.onnx",
        [("image", FLOAT, [1, 3, 32, 32])],
        [("boxes", FLOAT, ["found", 4]), ("labels", LONG, ["found"]), ("scores", FLOAT, ["found"])],
        DOC,
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in (ssd300, torchvision, tf, nms_tf, nms_torchvision):
        make(folder)


if __name__ == "__main__":
    main()
