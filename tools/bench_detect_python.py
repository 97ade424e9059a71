#!/usr/bin/env python3
"""bench_detect_python.py VIDEO MODEL OUT_FOLDER THREADS: what pipelines/detect-file.yaml does, with OpenCV and ONNX Runtime.

Every frame through the network, boxes of a score above 0.5 drawn with their names into an AVI with MPEG-4 part 2, a text file and a line of JSON
for each frame. The other side of a comparison in `make bench`.
"""

import json
import pathlib
import sys

import cv2
import numpy as np
import onnxruntime

SCORE, IOU, MOST = 0.5, 0.6, 100


def suppressed(boxes, scores):
    """Indices of the boxes that stay, the surest first."""
    order, kept = np.argsort(-scores)[:MOST], []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        both = np.clip(np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(boxes[best, :2], boxes[order, :2]), 0, None).prod(1)
        area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
        order = order[both / (area(boxes[best]) + area(boxes[order]) - both) <= IOU]
    return kept


def main():
    video, model, out, threads = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])
    (out / "txts").mkdir(parents=True)
    cv2.setNumThreads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    capture = cv2.VideoCapture(video)
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(out / "objects.avi"), cv2.VideoWriter_fourcc(*"DIVX"), capture.get(cv2.CAP_PROP_FPS), (width, height))
    number = 0
    with (out / "objects.jsonl").open("w") as lines:
        while True:
            there, frame = capture.read()
            if not there:
                break
            number += 1
            rgb = cv2.cvtColor(cv2.resize(frame, (300, 300)), cv2.COLOR_BGR2RGB).astype(np.float32) / 127.5 - 1
            boxes, scores = session.run(["boxes", "scores"], {"image": rgb.transpose(2, 0, 1)[None]})
            boxes, scores = boxes[0][:, [1, 0, 3, 2]], scores[0]
            found = []
            for kind in np.flatnonzero((scores > SCORE).any(0)):
                seen = np.flatnonzero(scores[:, kind] > SCORE)
                found += [(float(scores[seen[i], kind]), int(kind), boxes[seen[i]]) for i in suppressed(boxes[seen], scores[seen, kind])]
            found.sort(key=lambda one: -one[0])
            text = "".join(f"{side}\n" for _, kind, box in reversed(found) for side in [*box, kind])
            (out / "txts" / f"infer{number}.txt").write_text(text)
            objects = [{"class": kind, "confidence": score, "box": (box * [width, height, width, height]).round(3).tolist()} for score, kind, box in found]
            lines.write(json.dumps({"frame": number, "objects": objects}) + "\n")
            for score, kind, box in found:
                x0, y0, x1, y1 = (int(v) for v in box * [width, height, width, height])
                cv2.rectangle(frame, (x0, y0), (x1, y1), (0, 0, 255), 2)
                cv2.putText(frame, f"{kind} {score:.2f}", (x0, y0 - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 255, 0), 2)
            writer.write(frame)
    writer.release()
    print(f"frames={number}")


main()
