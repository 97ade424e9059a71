#!/usr/bin/env python3
"""Writes plugins/inference/tests/data/ssd_goldens.json.

`pictures`: objects as an independent implementation in numpy, OpenCV and ONNX Runtime finds them: a module `reference` with the
class `SSD` and the network beside it, taken from the folder given. `noise` is how far the reference's own box moves when one level
in ten of the network's input is off by one: OpenCV's resize, whose weights are of 11 bits, is as far from an exact one.
`heads`: what the decoders below, in double precision and straight from the definitions, make of tensors of noise.
Needs numpy, onnxruntime and opencv-python-headless.

    make_ssd_goldens.py REFERENCE_FOLDER PICTURES_FOLDER OUTPUT.json
"""
import json
import math
import pathlib
import sys

import numpy as np

# Nothing in the pictures scores close to it.
THRESHOLD = 0.5
PICTURES = ["person.jpg", "dog.jpg", "horses.jpg", "china.jpg"]


def noise(seed, *shape):
    """xorshift32 to floats of -1..1, as the tests have it in Rust."""
    values, x = np.empty(int(np.prod(shape)), np.float32), seed
    for index in range(values.size):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        values[index] = np.float32((x >> 8) / 8388608.0 - 1.0)
    return values.reshape(shape)


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def corners(cx, cy, w, h):
    return np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], -1)


def overlap(one, many):
    x0, y0 = np.maximum(one[0], many[:, 0]), np.maximum(one[1], many[:, 1])
    x1, y1 = np.minimum(one[2], many[:, 2]), np.minimum(one[3], many[:, 3])
    both = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    with np.errstate(invalid="ignore"):
        return both / (area(one) + area(many) - both)


def suppress(boxes, scores, score, iou, best, most, inclusive):
    """Classes are columns of `scores`. Every sort is a stable one by rising scores, read from its end."""
    found = []
    for label in range(scores.shape[1]):
        column = scores[:, label]
        above = np.nonzero(column > score)[0]
        order = above[np.argsort(column[above], kind="stable")][-best:][::-1]
        while order.size:
            first, rest = order[0], order[1:]
            found.append((label, column[first], boxes[first]))
            shared = overlap(boxes[first], boxes[rest])
            order = rest[shared < iou] if inclusive else rest[~(shared > iou)]
    rising = np.argsort([s for _, s, _ in found], kind="stable")[-most:]
    rows = [(label, s, np.clip(box, 0, 1)) for label, s, box in (found[i] for i in rising[::-1])]
    return [
        [label, *(round(float(v), 7) for v in (s, *box))]
        for label, s, box in rows
        if box[2] > box[0] and box[3] > box[1]
    ]


def ssd300(ploc, plabel, limits):
    """NVIDIA: `dboxes300_coco` and `Encoder.decode_batch`. ploc [4, 8732], plabel [81, 8732]."""
    defaults = []
    sides, steps = [38, 19, 10, 5, 3, 1], [8, 16, 32, 64, 100, 300]
    scales, ratios = [21, 45, 99, 153, 207, 261, 315], [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
    for k, side in enumerate(sides):
        s, g = scales[k] / 300, math.sqrt(scales[k] / 300 * scales[k + 1] / 300)
        sizes = [(s, s), (g, g)]
        for a in ratios[k]:
            w, h = s * math.sqrt(a), s / math.sqrt(a)
            sizes += [(w, h), (h, w)]
        f = 300 / steps[k]
        for w, h in sizes:
            for i in range(side):
                for j in range(side):
                    defaults.append([(j + 0.5) / f, (i + 0.5) / f, w, h])
    d, loc = np.clip(np.array(defaults), 0, 1), ploc.T.astype(np.float64)
    cx, cy = loc[:, 0] * 0.1 * d[:, 2] + d[:, 0], loc[:, 1] * 0.1 * d[:, 3] + d[:, 1]
    w, h = np.exp(loc[:, 2] * 0.2) * d[:, 2], np.exp(loc[:, 3] * 0.2) * d[:, 3]
    scores = softmax(plabel.T.astype(np.float64))[:, 1:]
    return suppress(corners(cx, cy, w, h), scores, *limits, inclusive=True)


def torchvision_defaults(sides, scales, ratios, steps, size):
    defaults = []
    for k, side in enumerate(sides):
        pairs = [[scales[k]] * 2, [math.sqrt(scales[k] * scales[k + 1])] * 2]
        for ratio in ratios[k]:
            w, h = scales[k] * math.sqrt(ratio), scales[k] / math.sqrt(ratio)
            pairs += [[w, h], [h, w]]
        parts = size / steps[k] if steps else side
        for y in range(side):
            for x in range(side):
                for w, h in pairs:
                    defaults.append([(x + 0.5) / parts, (y + 0.5) / parts, min(w, 1), min(h, 1)])
    return np.array(defaults)


def torchvision(regression, logits, limits):
    """`DefaultBoxGenerator`, `BoxCoder((10, 10, 5, 5))`, `SSD.postprocess_detections`. [n, 4], [n, 91]."""
    if len(regression) == 8732:
        d = torchvision_defaults(
            [38, 19, 10, 5, 3, 1],
            [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
            [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
            [8, 16, 32, 64, 100, 300],
            300,
        )
    else:
        scales = [0.2 + 0.75 * k / 5 for k in range(6)] + [1.0]
        d = torchvision_defaults([20, 10, 5, 3, 2, 1], scales, [[2, 3]] * 6, None, 320)
    r = regression.astype(np.float64) / [10, 10, 5, 5]
    w, h = (np.exp(np.minimum(r[:, i], math.log(1000 / 16))) * d[:, i] for i in (2, 3))
    boxes = corners(r[:, 0] * d[:, 2] + d[:, 0], r[:, 1] * d[:, 3] + d[:, 1], w, h)
    return suppress(np.clip(boxes, 0, 1), labelled(softmax(logits.astype(np.float64))[:, 1:]), *limits, inclusive=False)


# What COCO's numbers 1 to 90 leave out.
GAPS = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def labelled(scores):
    return np.delete(scores, [gap - 1 for gap in GAPS], 1)


def tf(encodings, logits, limits):
    """`ssd_anchor_generator`, `faster_rcnn_box_coder` (10, 10, 5, 5), sigmoid. [1917, 4] as ty, tx, th, tw; [1917, 91]."""
    defaults = []
    scales = [0.2 + 0.15 * i for i in range(6)] + [1.0]
    for layer, side in enumerate([19, 10, 5, 3, 2, 1]):
        s = scales[layer]
        pairs = [(s, 1), (s, 2), (s, 1 / 2), (s, 3), (s, 1 / 3), (math.sqrt(s * scales[layer + 1]), 1)]
        if layer == 0:
            pairs = [(0.1, 1), (s, 2), (s, 1 / 2)]
        for y in range(side):
            for x in range(side):
                for scale, ratio in pairs:
                    w, h = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
                    defaults.append([(x + 0.5) / side, (y + 0.5) / side, w, h])
    d, t = np.array(defaults), encodings.astype(np.float64)
    w, h = np.exp(t[:, 3] / 5) * d[:, 2], np.exp(t[:, 2] / 5) * d[:, 3]
    boxes = corners(t[:, 1] / 10 * d[:, 2] + d[:, 0], t[:, 0] / 10 * d[:, 3] + d[:, 1], w, h)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return suppress(boxes, labelled(scores[:, 1:]), *limits, inclusive=False)


def decoded(boxes, scores, limits):
    """y0, x0, y1, x1 and scores of 90 classes, both as they are."""
    return suppress(boxes.astype(np.float64)[:, [1, 0, 3, 2]], labelled(scores.astype(np.float64)), *limits, inclusive=False)


def heads():
    """Cases: limits (score, iou, best of each class, most) and rows of label, score, x0, y0, x1, y1."""
    cases = {}

    def case(name, decode, boxes, scores, *limits):
        cases[name] = [{"limits": list(each), "found": decode(boxes, scores, each)} for each in limits]
        print(name, [len(each["found"]) for each in cases[name]])

    ssd_boxes, ssd_scores = noise(11, 4, 8732) * 2, noise(12, 81, 8732) * 4
    case("ssd300", ssd300, ssd_boxes, ssd_scores, (0.05, 0.5, 200, 20), (0.06, 0.3, 7, 200), (0.3, 0.5, 200, 20))
    boxes, scores = noise(13, 8732, 4) * 2, noise(14, 8732, 91) * 4
    case("torchvision-vgg", torchvision, boxes, scores, (0.01, 0.45, 400, 200), (0.06, 0.2, 5, 30))
    boxes, scores = noise(15, 3234, 4) * 2, noise(16, 3234, 91) * 4
    case("torchvision-lite", torchvision, boxes, scores, (0.001, 0.55, 300, 300), (0.05, 0.1, 10, 50))
    boxes, scores = noise(17, 1917, 4) * 2, noise(18, 1917, 91) * 2.5
    case("tf", tf, boxes, scores, (0.4, 0.6, 100, 100), (0.9, 0.2, 20, 60))
    # Many equal scores: what order they come in is part of the result.
    middle, size = noise(19, 700, 2) / 2 + 0.5, np.abs(noise(20, 700, 2)) / 8
    boxes = np.concatenate([middle - size, middle + size], 1).astype(np.float32)
    scores = (np.floor(np.abs(noise(21, 700, 90)) * 16) / 16).astype(np.float32)
    case("tf-decoded", decoded, boxes, scores, (0.5, 0.5, 50, 100), (0.9, 0.3, 3, 250))
    return cases


def nearest(objects, label, box):
    """The box of that label which is closest."""
    boxes = [np.array(b) for l, _, b in objects if l == label]
    return min(boxes, key=lambda other: np.abs(other - box).max())


def pictures(folder, module, net):
    import cv2

    plain, found = cv2.resize, {}
    for name in PICTURES:
        rgb = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
        h, w = rgb.shape[:2]
        objects, trials, random = net(rgb, THRESHOLD), [], np.random.default_rng(1)
        small = plain(rgb, (300, 300))
        for _ in range(8):
            changed = random.integers(-1, 2, small.shape) * (random.random(small.shape) < 0.15)
            module.cv2.resize = lambda *_, **__: np.clip(small + changed, 0, 255).astype(np.uint8)
            trials.append(net(rgb, THRESHOLD))
        module.cv2.resize = plain
        rows = []
        for label, score, box in objects:
            moved = [np.abs(nearest(trial, label, box) - box).max() for trial in trials]
            cut = lambda b: [round(float(v), 3) for v in np.clip(b, 0, [w, h, w, h])]
            rows.append(
                {
                    "name": label.replace("_", " "),
                    "score": round(score, 5),
                    "box": cut(box),
                    "noise": round(float(max(moved)), 3),
                }
            )
        found[name] = {"width": w, "height": h, "objects": rows}
        print(name, [(row["name"], row["score"], row["noise"]) for row in rows])
    return found


def main():
    reference, folder, output = (pathlib.Path(argument) for argument in sys.argv[1:4])
    sys.path.insert(0, str(reference))
    import reference as module

    net = module.SSD(str(reference / "ssdlite_mobilenet_v2_coco.onnx"))
    goldens = {"pictures": pictures(folder, module, net), "heads": heads()}
    output.write_text(json.dumps(goldens, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
