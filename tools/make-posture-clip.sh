#!/usr/bin/env bash
# Makes media/posture.mp4 from the photographs in tests/media. Needs ffmpeg with libx264. media/README.md has the times and
# the terms. One thread and bit-exact scaling, so that one ffmpeg version always gives the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-media/posture.mp4}
scaler='flags=lanczos+accurate_rnd+bitexact'
# One picture for so many frames.
still() { echo "loop=loop=$(($1 - 1)):size=1,trim=end_frame=$1,setpts=N"; }

# Upright for 1 s, leaning over within 1 s, leaning for 1 s.
lean="[0:v]scale=480:600:$scaler,format=yuv444p,$(still 75),rotate=a='-25*PI/180*clip((n-25)/25,0,1)',"
# Walking away: from 1.3 times the size to the whole picture.
half='(1/(1.3-0.3*on/75)/2)'
away="[1:v]crop=410:512:0:0,scale=480:600:$scaler,format=yuv444p,$(still 75),"
away+="perspective=eval=frame:interpolation=cubic:sense=source:x0='W*(0.5-$half)':y0='H*(0.5-$half)':x1='W*(0.5+$half)'"
away+=":y1='H*(0.5-$half)':x2='W*(0.5-$half)':y2='H*(0.5+$half)':x3='W*(0.5+$half)':y3='H*(0.5+$half)',"
nobody="[2:v]crop=340:426:150:0,scale=480:600:$scaler,format=yuv444p,$(still 25),"
end='format=yuv420p,setsar=1,settb=1/25,setpts=N'

ffmpeg -hide_banner -loglevel error -nostdin -y -filter_complex_threads 1 \
    -i tests/media/obama.jpg -i tests/media/camera.png -i tests/media/china.jpg \
    -filter_complex "$lean${end}[lean];$away${end}[away];$nobody${end}[nobody];[lean][away][nobody]concat=n=3:v=1:a=0[out]" \
    -map '[out]' -r 25 -c:v libx264 -threads 1 -preset slow -crf 28 -profile:v high -pix_fmt yuv420p \
    -x264-params 'open-gop=0:keyint=50:scenecut=0' -force_key_frames '0,3,6' \
    -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact -movflags +faststart "$out"
