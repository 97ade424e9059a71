#!/usr/bin/env bash
# Makes media/sample.mp4 from the photographs in tests/media. Needs ffmpeg with libx264. media/README.md has the
# times and the terms. One thread and bit-exact scaling, so that one ffmpeg version always gives the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-media/sample.mp4}

# still INPUT LABEL FRAMES CROP ZOOM0 ZOOM1: a photograph, cropped to 16:9, under a slow camera move that ends at the
# zoom ZOOM1. `perspective` moves by parts of a pixel, so the move does not jitter as zoompan's would.
still() {
    local input=$1 label=$2 frames=$3 crop=$4 zoom0=$5 zoom1=$6
    local half="(1/($zoom0+($zoom1-($zoom0))*on/$frames)/2)"
    printf '[%s:v]crop=%s,scale=1920:1080:flags=lanczos+accurate_rnd+bitexact:out_color_matrix=bt709:out_range=tv,' \
        "$input" "$crop"
    printf 'format=yuv444p,loop=loop=%s:size=1,trim=end_frame=%s,setpts=N,' "$((frames - 1))" "$frames"
    printf 'perspective=eval=frame:interpolation=cubic:sense=source'
    printf ":x0='W*(0.5-%s)':y0='H*(0.5-%s)':x1='W*(0.5+%s)':y1='H*(0.5-%s)'" "$half" "$half" "$half" "$half"
    printf ":x2='W*(0.5-%s)':y2='H*(0.5+%s)':x3='W*(0.5+%s)':y3='H*(0.5+%s)'," "$half" "$half" "$half" "$half"
    printf 'scale=1280:720:flags=area+accurate_rnd+bitexact,format=yuv420p,setsar=1,settb=1/25,setpts=N[%s];' "$label"
}

graph=$(
    still 0 neutral 100 970:546:0:80 1.00 1.10
    still 1 smile 125 910:512:0:20 1.09 1.00
    still 2 astronaut 75 512:288:0:0 1.00 1.08
    still 3 nobody 50 640:360:0:40 1.10 1.00
    still 0 open 15 970:546:0:80 1.05 1.05
    still 4 shut 50 970:546:0:0 1.05 1.05
    still 0 reopened 15 970:546:0:80 1.05 1.05
    printf '[neutral][smile][astronaut][nobody][open][shut][reopened]concat=n=7:v=1:a=0[out]'
)

# A key frame at every change of picture and at least every 2 s.
ffmpeg -hide_banner -loglevel error -nostdin -y -filter_complex_threads 1 \
    -i tests/media/biden.jpg -i tests/media/obama.jpg -i tests/media/astronaut.png -i tests/media/china.jpg \
    -i tests/media/biden-eyes-shut.png \
    -filter_complex "$graph" -map '[out]' -r 25 \
    -c:v libx264 -threads 1 -preset slow -crf 25 -profile:v high -pix_fmt yuv420p \
    -x264-params 'open-gop=0:keyint=50:scenecut=0' -force_key_frames '0,4,9,12,14,14.6,16.6' \
    -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact -movflags +faststart "$out"
