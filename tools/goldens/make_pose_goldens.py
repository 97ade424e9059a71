#!/usr/bin/env python3
"""Writes plugins/inference/tests/data/pose_goldens.json.

The numbers come from an independent implementation of MoveNet's pre- and post-processing in numpy, OpenCV and ONNX Runtime: a
module `reference` with the class `MoveNet`, which is taken from the folder given. Needs numpy, onnxruntime and
opencv-python-headless.

    make_pose_goldens.py REFERENCE_FOLDER PICTURES_FOLDER OUTPUT.json
"""
import json
import pathlib
import sys

import cv2
import numpy as np

PICTURES = ["obama.jpg", "biden.jpg", "astronaut.png", "camera.png", "china.jpg", "horses.jpg"]


def subsampled(rgb, tall):
    """The picture as a frame with one chroma sample for 2 x tall pixels holds it: BT.601, 16..235, chroma the mean of its
    pixels, read back without interpolation."""
    h, w = rgb.shape[:2]
    padded = np.pad(rgb, ((0, -h % tall), (0, -w % 2), (0, 0)), mode="edge").astype(np.float64)

    def parts(colours):
        luma = colours @ [0.299, 0.587, 0.114]
        return luma, (colours[..., 2] - luma) / 1.772, (colours[..., 0] - luma) / 1.402

    def stored(value, zero, scale):
        return (np.clip(np.round(zero + scale * value), 0, 255) - zero) / scale

    luma = stored(parts(padded)[0], 16, 219 / 255)
    mean = padded.reshape(padded.shape[0] // tall, tall, padded.shape[1] // 2, 2, 3).mean((1, 3))
    _, u, v = parts(mean)
    u, v = (np.repeat(np.repeat(stored(c, 128, 224 / 255), tall, 0), 2, 1) for c in (u, v))
    back = np.stack([luma + 1.402 * v, luma - (0.114 * 1.772 * u + 0.299 * 1.402 * v) / 0.587, luma + 1.772 * u], -1)
    return np.clip(np.round(back), 0, 255).astype(np.uint8)[:h, :w]


def points(net, rgb):
    return [round(float(v), 4) for v in net(rgb).ravel()]


def main():
    reference, pictures, output = (pathlib.Path(argument) for argument in sys.argv[1:4])
    sys.path.insert(0, str(reference))
    import reference as module

    net = module.MoveNet(str(reference / "movenet_lightning_17.onnx"))
    goldens = {}
    for name in PICTURES:
        rgb = cv2.cvtColor(cv2.imread(str(pictures / name)), cv2.COLOR_BGR2RGB)
        grey = np.round(rgb.astype(np.float64) @ [0.299, 0.587, 0.114]).astype(np.uint8)
        goldens[name] = {
            "width": rgb.shape[1],
            "height": rgb.shape[0],
            "rgb": points(net, rgb),
            "420": points(net, subsampled(rgb, 2)),
            "422": points(net, subsampled(rgb, 1)),
            "grey": points(net, np.repeat(grey[:, :, None], 3, 2)),
        }
        error = [float(np.abs(subsampled(rgb, tall).astype(int) - rgb).mean()) for tall in (1, 2)]
        print(name, "mean error of 4:2:2 and 4:2:0", np.round(error, 2), "mean confidence", round(float(np.mean(goldens[name]["rgb"][2::3])), 2))
    output.write_text(json.dumps(goldens, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
