#!/usr/bin/env bash
# Makes media/objects.mp4 from the photographs in tests/media. Needs ffmpeg with libx264. media/README.md has the times and
# the terms. One thread and bit-exact scaling, so that one ffmpeg version always gives the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-media/objects.mp4}

# still INPUT LABEL FRAMES CROP ZOOM0 ZOOM1: a photograph, cropped to 16:9, under a slow camera move.
still() {
    local input=$1 label=$2 frames=$3 crop=$4 zoom0=$5 zoom1=$6
    local half="(1/($zoom0+($zoom1-($zoom0))*on/$frames)/2)"
    printf '[%s:v]crop=%s,scale=640:360:flags=lanczos+accurate_rnd+bitexact:out_color_matrix=bt709:out_range=tv,' "$input" "$crop"
    printf 'format=yuv444p,loop=loop=%s:size=1,trim=end_frame=%s,setpts=N,' "$((frames - 1))" "$frames"
    printf 'perspective=eval=frame:interpolation=cubic:sense=source'
    printf ":x0='W*(0.5-%s)':y0='H*(0.5-%s)':x1='W*(0.5+%s)':y1='H*(0.5-%s)'" "$half" "$half" "$half" "$half"
    printf ":x2='W*(0.5-%s)':y2='H*(0.5+%s)':x3='W*(0.5+%s)':y3='H*(0.5+%s)'," "$half" "$half" "$half" "$half"
    printf 'format=yuv420p,setsar=1,settb=1/25,setpts=N[%s];' "$label"
}

graph=$(
    still 0 person 75 640:360:0:44 1.12 1.00
    still 1 nothing 25 640:360:0:30 1.00 1.05
    still 2 dog 75 768:432:0:110 1.00 1.12
    still 3 horses 50 640:360:60:60 1.05 1.00
    printf '[person][nothing][dog][horses]concat=n=4:v=1:a=0[out]'
)

# A key frame at every change of picture.
ffmpeg -hide_banner -loglevel error -nostdin -y -filter_complex_threads 1 \
    -i tests/media/person.jpg -i tests/media/china.jpg -i tests/media/dog.jpg -i tests/media/horses.jpg \
    -filter_complex "$graph" -map '[out]' -r 25 -c:v libx264 -threads 1 -preset slow -crf 26 -profile:v high -pix_fmt yuv420p \
    -x264-params 'open-gop=0:keyint=50:scenecut=0' -force_key_frames '0,3,4,7' \
    -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact -movflags +faststart "$out"
