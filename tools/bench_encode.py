"""The part of bench.py about encoding: nvencsink against the same elements without it, and against ffmpeg."""

from benchlib import FACES, Unmeasured, fps, rounds, run

# kbit/s and frames: both sides are told the same.
BITRATE, GOP = 2764, 50
HOW = [
    "Encoding takes the raw frames of `media/sample.mp4`, four times over, to an MP4 with x264 (veryfast, a mean bitrate, a key frame",
    f"every {GOP} frames), on all cores, by the clock. The bare elements are x264enc, h264parse, mp4mux and filesink in gst-launch; ffmpeg",
    "has the same libx264 with the same settings. What is written is the same in number of frames, which is checked.",
]
TIMES = 4


def source(raw):
    one = ["filesrc", f"location={raw}", f"blocksize={FACES.bytes}", "!", "rawvideoparse", f"width={FACES.width}", f"height={FACES.height}",
           "format=i420", "framerate=25/1", "!", "c."]
    return one * TIMES


def checked(path):
    text = run(["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path])[3]
    if text.strip().strip(",") != str(FACES.frames * TIMES):
        raise Unmeasured(f"{path.name} has {text.strip()} frames, not {FACES.frames * TIMES}")


def ours(folder, raw):
    path = folder / "nvencsink.mp4"
    cost = run(["gst-launch-1.0", "-q", "concat", "name=c", "!", "nvencsink", f"location={path}", "overwrite=true", "encoder=x264enc",
                f"bitrate={BITRATE}", f"gop-size={GOP}", *source(raw)])
    checked(path)
    return cost


def bare(folder, raw):
    path = folder / "bare.mp4"
    cost = run(["gst-launch-1.0", "-q", "concat", "name=c", "!", "x264enc", "speed-preset=veryfast", f"bitrate={BITRATE}", f"key-int-max={GOP}",
                "vbv-buf-capacity=0", "!", "h264parse", "!", "mp4mux", "!", "filesink", f"location={path}", *source(raw)])
    checked(path)
    return cost


def ffmpeg(folder, raw):
    path = folder / "ffmpeg.mp4"
    cost = run(["ffmpeg", "-v", "error", "-y", "-stream_loop", TIMES - 1, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
                f"{FACES.width}x{FACES.height}", "-r", "25", "-i", raw, "-c:v", "libx264", "-preset", "veryfast", "-b:v", f"{BITRATE}k", "-g", GOP, path])
    checked(path)
    return cost


def measure(table, folder, raw):
    def against(other, name, target, limit):
        def round_():
            theirs, mine = other(folder, raw)[0], ours(folder, raw)[0]
            return mine / theirs, mine, theirs

        (ratio, mine, theirs), least, most = rounds(round_)
        rate = lambda seconds: fps(seconds * 1000 / (FACES.frames * TIMES))
        return (rate(mine), f"{name}, {rate(theirs)}", f"{ratio - 1:+.1%} ({least - 1:+.1%} to {most - 1:+.1%})", target, ratio <= limit)

    def memory():
        mine, theirs = ours(folder, raw)[2], bare(folder, raw)[2]
        return f"{mine:.0f} MB", f"bare elements, {theirs:.0f} MB", f"{mine - theirs:+.0f} MB", "<= 30 MB more", mine - theirs <= 30

    table.attempt("nvencsink, time", lambda: against(bare, "bare elements", "<= 3 % more", 1.03))
    table.attempt("nvencsink, peak memory", memory)
    table.attempt("nvencsink against ffmpeg, time", lambda: against(ffmpeg, "ffmpeg with libx264", "not slower", 1.0))
