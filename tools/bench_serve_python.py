"""The drowsiness check as the old service had it: FastAPI, one FaceLandmarker in each worker process. Started by bench_serve.py as
`uvicorn bench_serve_python:app --workers 2`, with NUNCHI_MODEL naming the landmarker's bundle."""

import os

import cv2
import mediapipe as mp
import numpy as np
from fastapi import FastAPI, File, UploadFile
from mediapipe.tasks.python import BaseOptions, vision

app = FastAPI()
options = vision.FaceLandmarkerOptions(
    base_options=BaseOptions(model_asset_path=os.environ["NUNCHI_MODEL"]), num_faces=1, output_face_blendshapes=True,
)
landmarker = vision.FaceLandmarker.create_from_options(options)


@app.get("/api/image-process/health-check")
def health():
    return {"message": "OK"}


@app.post("/api/image-process/image")
def image(file: UploadFile = File(...)):
    picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(file.file.read(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    found = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=picture)).face_blendshapes
    if not found:
        return {"isExist": False, "isEyeClosed": False}
    return {"isExist": True, "isEyeClosed": found[0][9].score > 0.45 and found[0][10].score > 0.45}
