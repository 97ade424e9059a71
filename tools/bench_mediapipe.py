#!/usr/bin/env python3
"""bench_mediapipe.py FRAMES.rgb WIDTH HEIGHT MODEL.task ROUNDS: the cost of Google's FaceLandmarker.

FRAMES.rgb holds raw RGB frames; they are read into memory beforehand, so only the analysis is timed: one face,
landmarks and blendshapes, video mode (it tracks between frames), CPU. One round to warm up, then the best of ROUNDS.
Prints one line: `wall_ms=… cpu_ms=… faces=… frames=…`, the first two for each frame. Pin it to cores with taskset.
"""

import sys
import time

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main():
    path, width, height, model, rounds = sys.argv[1:6]
    frames = np.fromfile(path, np.uint8).reshape(-1, int(height), int(width), 3)
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=1,
        output_face_blendshapes=True,
    )
    walls, cpus, faces, timestamp = [], [], 0, 0
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for _ in range(int(rounds) + 1):
            faces = 0
            wall, cpu = time.perf_counter(), time.process_time()
            for picture in frames:
                image = mp.Image(image_format=mp.ImageFormat.SRGB, data=picture)
                faces += len(landmarker.detect_for_video(image, timestamp).face_blendshapes)
                timestamp += 40
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    scale = 1000 / len(frames)
    print(f"wall_ms={min(walls[1:]) * scale:.3f} cpu_ms={min(cpus[1:]) * scale:.3f} faces={faces} frames={len(frames)}")


main()
