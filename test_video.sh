#!/usr/bin/env bash
# Enhance a video: bash test_video.sh [in.mp4 [out.mp4 [options of demo/make_video.py …]]]
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python="${PYTHON:-python}"
if ! command -v "$python" > /dev/null; then
    echo "test_video.sh: no $python found; activate the environment or set PYTHON" >&2
    exit 1
fi
source="${1:-$here/demo/Movie/sample.mp4}"
target="${2:-$here/demo/Movie/Res.mp4}"
"$python" "$here/demo/make_video.py" --weight_dir "${WEIGHT:-$here/weight/Epoch99.pth}" \
    --video_path "$source" --save_path "$target" "${@:3}" || {
    code=$?
    echo "test_video.sh: $source was not enhanced without a fault; see the line above" >&2
    exit "$code"
}
