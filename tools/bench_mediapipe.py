#!/usr/bin/env python3
"""bench_mediapipe.py FRAMES.rgb WIDTH HEIGHT MODEL.task [--body]: the cost of Google's FaceLandmarker.

FRAMES.rgb holds raw RGB frames; they are read into memory beforehand, so only the analysis is timed: one face,
landmarks and blendshapes, video mode (it tracks between frames), CPU. --body also reads the posture of one person with
BlazePose (model complexity 1), which the releases before 1.0 carry. One round to warm up, one that counts.
Prints one line: `wall_ms=… cpu_ms=… faces=… bodies=… frames=…`, the first two for each frame. Pin it to cores with taskset.
"""

import contextlib
import sys
import time

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main():
    path, width, height, model = sys.argv[1:5]
    frames = np.fromfile(path, np.uint8).reshape(-1, int(height), int(width), 3)
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=1,
        output_face_blendshapes=True,
    )
    timestamp = 0
    with contextlib.ExitStack() as stack:
        landmarker = stack.enter_context(vision.FaceLandmarker.create_from_options(options))
        body = stack.enter_context(mp.solutions.pose.Pose(model_complexity=1)) if "--body" in sys.argv else None
        for _ in ("warm up", "measure"):
            faces = bodies = 0
            wall, cpu = time.perf_counter(), time.process_time()
            for picture in frames:
                image = mp.Image(image_format=mp.ImageFormat.SRGB, data=picture)
                faces += len(landmarker.detect_for_video(image, timestamp).face_blendshapes)
                timestamp += 40
                if body:
                    bodies += body.process(picture).pose_landmarks is not None
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scale = 1000 / len(frames)
    print(f"wall_ms={wall * scale:.3f} cpu_ms={cpu * scale:.3f} faces={faces} bodies={bodies} frames={len(frames)}")


main()
