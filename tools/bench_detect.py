"""The part of bench.py about objects: cudassd against its bare network, and the whole job of a clip against a Python script."""

import json
import pathlib
import re
import shutil
import sys
import tempfile

from benchlib import ROOT, VENV, Clip, Unmeasured, cargo_bench, fps, pipeline_cost, progress, rounds, run

OPENCV, ONNXRUNTIME = "5.0.0.93", "1.32.0"
MODEL = ROOT / "plugins/inference/models/ssdlite_mobilenet_v2_coco.onnx"
STREET = Clip("vtest", 768, 576, 795)
HOW = [
    "Objects: `vtest.avi` of OpenCV's samples (Debian package opencv-doc), 795 frames of 768x576. The first row is the CPU time of a frame in the element,",
    "with preparing the input, decoding and metadata, against the network alone, on one core. The job is `detect-file.yaml` with container=avi: decode, find,",
    f"draw, encode MPEG-4 part 2, write 795 text files and the JSON; the script `tools/bench_detect_python.py` does the same with OpenCV {OPENCV} and",
    f"ONNX Runtime {ONNXRUNTIME}, on the same two cores, both by the clock from start to end; memory is the peak of the largest process.",
    "SSD300 ResNet-50 has random weights (`tools/export-ssd300.py random`): it finds nothing, and costs what the trained one does.",
]


def clip():
    """The clip, out of Debian's package, fetched once."""
    path = VENV / "vtest.avi"
    if not path.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Unmeasured("vtest.avi comes with Debian's package opencv-doc, and there is no apt here")
        progress("fetching vtest.avi (opencv-doc, 96 MB, once)")
        with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
            run(["apt-get", "download", "-q", "opencv-doc"], cwd=folder)
            package = next(pathlib.Path(folder).glob("opencv-doc_*.deb"))
            run(["dpkg-deb", "-x", package, folder])
            found = next(pathlib.Path(folder).rglob("vtest.avi*"))
            path.parent.mkdir(parents=True, exist_ok=True)
            if found.suffix == ".gz":
                run(["gunzip", found])
                found = found.with_suffix("")
            shutil.copyfile(found, path)
    return path


def python():
    """A virtual environment with OpenCV and ONNX Runtime, made once."""
    venv = VENV / f"detect-{OPENCV}-{ONNXRUNTIME}"
    if not (venv / "complete").exists():
        progress(f"installing OpenCV and ONNX Runtime into {venv.relative_to(ROOT)}")
        shutil.rmtree(venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", venv])
        run([venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install",
             f"opencv-python-headless=={OPENCV}", f"onnxruntime=={ONNXRUNTIME}", "onnx"])
        (venv / "complete").touch()
    return venv / "bin/python"


def ours(cores, threads, *more):
    """(wall s, peak MB) of the whole job."""
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as out:
        wall, _, peak, text = run(["taskset", "-c", cores, "target/release/nunchi", "run", "pipelines/detect-file.yaml", f"input={clip()}",
                                   "container=avi", f"threads={threads}", "--run-dir", out, "--quiet", "--format", "json", *more])
        frames = json.loads(text)["frames"]
        texts = len(list(pathlib.Path(out, "txts").iterdir()))
    if (frames, texts) != (STREET.frames, STREET.frames):
        raise Unmeasured(f"detect-file.yaml gave {frames} frames and {texts} text files")
    return wall, peak


def script(cores, threads):
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as out:
        wall, _, peak, text = run(["taskset", "-c", cores, python(), "tools/bench_detect_python.py", clip(), MODEL, out, threads])
    if f"frames={STREET.frames}" not in text:
        raise Unmeasured(f"bench_detect_python.py said {text.strip()[-80:]}")
    return wall, peak


def measure(table, folder, cores):
    def overhead():
        raw = folder / "street.i420"
        run(["gst-launch-1.0", "-q", "filesrc", f"location={clip()}", "!", "decodebin", "!", "videoconvert", "!", "video/x-raw,format=I420", "!",
             "filesink", f"location={raw}"])

        def once():
            text = cargo_bench("follow", cores[1], NUNCHI_BENCH_OBJECTS="400")
            bare = float(re.search(r"^follow ([\d.]+) ms", text, re.M)[1])
            element = ["cudassd", "engine=openvino", "threads=1", "precision=f32", "!"]
            empty, full = (pipeline_cost(raw, STREET, analysis, cores[1])[1] for analysis in ([], element))
            return (full - empty) / bare - 1, full - empty, bare

        (over, element, bare), least, most = rounds(once)
        raw.unlink()
        return (f"{element:.2f} ms CPU a frame", f"bare network, {bare:.2f} ms", f"{over:+.1%} ({least:+.1%} to {most:+.1%})",
                "overhead <= 10 %", over <= 0.10)

    every = max(cores)

    def job(*more):
        def once():
            theirs, mine = script(cores[every], every), ours(cores[every], every, *more)
            return theirs[0] / mine[0], mine, theirs

        return rounds(once)

    def time(*more):
        (ratio, mine, theirs), least, most = job(*more)
        rate = lambda side: fps(side[0] * 1000 / STREET.frames)
        return (f"{rate(mine)}, {mine[1]:.0f} MB", f"OpenCV and ONNX Runtime, {rate(theirs)}, {theirs[1]:.0f} MB",
                f"{ratio:.2f} ({least:.2f} to {most:.2f})", "> 1", ratio > 1)

    def memory():
        mine, theirs = ours(cores[every], every, "engine=embedded")[1], script(cores[every], every)[1]
        return f"{mine:.0f} MB", f"OpenCV and ONNX Runtime, {theirs:.0f} MB", f"{mine / theirs:.2f}", "<= 0.5", mine / theirs <= 0.5

    def resnet(batch):
        model = folder / "ssd300.onnx"
        if not model.exists():
            run([python(), "tools/export-ssd300.py", "random", model])
        wall = pipeline_cost_of(model, batch, cores[every], every)
        return fps(wall), f"{wall:.0f} ms a frame"

    table.attempt("cudassd in a pipeline, openvino, 1 core", overhead)
    table.attempt("vtest.avi, the whole job, 2 cores", time)
    table.attempt("vtest.avi, the whole job, engine=embedded, memory", memory)
    for batch in (1, 8):
        table.attempt(f"SSD300 ResNet-50, random weights, openvino, batch {batch}", lambda: resnet(batch))


def pipeline_cost_of(model, batch, cores, threads):
    """Wall ms a frame: 48 frames less 16."""

    def play(frames):
        return run(["taskset", "-c", cores, "gst-launch-1.0", "-q", "videotestsrc", f"num-buffers={frames}", "!", "video/x-raw,format=I420,width=768,height=576",
                    "!", "cudassd", "engine=openvino", f"threads={threads}", f"model={model}", f"batch-size={batch}", "batch-timeout=3600000000000",
                    "!", "fakesink", "sync=false"])[0]

    return (play(48) - play(16)) * 1000 / 32
