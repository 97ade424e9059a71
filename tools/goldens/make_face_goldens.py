#!/usr/bin/env python3
"""Writes plugins/inference/tests/data/face_goldens.json.

The numbers come from an independent implementation of the face networks' pre- and post-processing in numpy, OpenCV and
ONNX Runtime: a module `reference` with the class `Face` (calls `det`, `roi`, `mesh`, `blend`) and the function `refine`,
which is taken from the folder given. Needs numpy, onnxruntime and opencv-python-headless.

    make_face_goldens.py REFERENCE_FOLDER PICTURES_FOLDER OUTPUT.json
"""
import json
import pathlib
import sys

import cv2
import numpy as np
import onnxruntime as ort

FACES = ["obama.jpg", "biden.jpg", "astronaut.png"]
NO_FACES = ["china.jpg", "horses.jpg"]


def floats(values, digits=4):
    return [round(float(v), digits) for v in np.asarray(values, np.float64).ravel()]


def emotion(session, rgb, box):
    """Softmax of the grey 64x64 crop of 1.1 times the box, pixel areas corresponding, black outside."""
    x0, y0, x1, y1 = box
    w, h = (x1 - x0) * 1.1, (y1 - y0) * 1.1
    left, top = (x0 + x1 - w) / 2, (y0 + y1 - h) / 2
    kx, ky = w / 64, h / 64
    m = np.array([[kx, 0, left + kx / 2 - 0.5], [0, ky, top + ky / 2 - 0.5]], np.float32)
    crop = cv2.warpAffine(rgb, m, (64, 64), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return session.run(None, {"image": (grey / 127.5 - 1)[None, None]})[0][0]


def faces(module, face, emotions, rgb):
    found = []
    for detection in face.det(rgb):
        score, values = detection
        first_roi = face.roi(detection)
        first, _, first_presence = face.mesh(rgb, first_roi)
        roi = module.refine(first)
        points, crop_points, presence = face.mesh(rgb, roi)
        depth = crop_points[:, 2] * roi[2] / 256
        found.append({
            "score": round(float(score), 5),
            "box": floats(values[:4]),
            "keypoints": floats(values[4:]),
            "first_roi": floats(first_roi),
            "first_mesh": floats(first, 3),
            "first_presence": round(float(first_presence), 5),
            "roi": floats(roi),
            "mesh": floats(points, 3),
            "depth": floats(depth, 3),
            "presence": round(float(presence), 5),
            "blendshapes": floats(face.blend(points), 5),
            "emotion": floats(emotion(emotions, rgb, values[:4]), 5),
        })
    return found


def main():
    reference, pictures, output = (pathlib.Path(argument) for argument in sys.argv[1:4])
    sys.path.insert(0, str(reference))
    import reference as module

    face = module.Face(str(reference))
    emotions = ort.InferenceSession(str(reference / "emotion_fer7_64.onnx"), providers=["CPUExecutionProvider"])
    goldens = {}
    for name in FACES + NO_FACES:
        rgb = cv2.cvtColor(cv2.imread(str(pictures / name)), cv2.COLOR_BGR2RGB)
        grey = np.round(rgb.astype(np.float64) @ [0.299, 0.587, 0.114]).astype(np.uint8)
        goldens[name] = {
            "width": rgb.shape[1],
            "height": rgb.shape[0],
            "rgb": faces(module, face, emotions, rgb),
            "grey": faces(module, face, emotions, np.repeat(grey[:, :, None], 3, 2)),
        }
        print(name, [(f["score"], f["presence"]) for f in goldens[name]["rgb"]])
    output.write_text(json.dumps(goldens, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
