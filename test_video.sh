#!/usr/bin/env bash
# Enhance a video, beside itself or under a name; or each video of a folder.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
usage="Usage: bash test_video.sh [IN [OUT [options of demo/make_video.py …]]]

  bash test_video.sh                    the sample clip, into demo/Movie/Res.mp4
  bash test_video.sh clip.mp4           into clip-bright.mp4 beside it
  bash test_video.sh clip.mp4 out.webm  as VP9; .mp4 .m4v .mov .mkv .ts as H.264
  bash test_video.sh folder [OUT]       each video in it, one by one, into OUT or beside itself

An option needs OUT before it: bash test_video.sh clip.mp4 out.mp4 --look paper
WEIGHT names a checkpoint, PYTHON an interpreter. All options: python demo/make_video.py --help"

complain() {
    echo "test_video.sh: $*" >&2
}

if [[ "${1:-}" == "--help" || "${1:-}" == "-h" ]]; then
    echo "$usage"
    exit 0
fi
if [[ "${1:-}" == -* || "${2:-}" == -* ]]; then
    complain "options come after IN and OUT; see bash test_video.sh --help"
    exit 2
fi
python="${PYTHON:-python}"
if ! command -v "$python" > /dev/null; then
    complain "no $python found; activate the environment or set PYTHON"
    exit 1
fi

# brighten IN OUT [option …]
brighten() {
    local source="$1" target="$2" codec=()
    shift 2
    [[ "${target,,}" == *.webm ]] && codec=(--codec vp9)
    "$python" "$here/demo/make_video.py" --weight_dir "${WEIGHT:-$here/weight/Epoch99.pth}" \
        --video_path "$source" --save_path "$target" ${codec[@]+"${codec[@]}"} "$@" || {
        local code=$?
        complain "$source was not enhanced without a fault; see the line above"
        return "$code"
    }
}

# beside IN: its name with -bright, in a container that holds H.264 or, for .webm, VP9
beside() {
    local stem="${1%.*}" suffix="${1##*.}"
    case "${suffix,,}" in
        mp4 | m4v | mov | mkv | webm | ts) echo "$stem-bright.$suffix" ;;
        *) echo "$stem-bright.mp4" ;;
    esac
}

source="${1:-$here/demo/Movie/sample.mp4}"
if [[ -d "$source" ]]; then
    code=0 found=0
    for clip in "$source"/*; do
        case "${clip,,}" in
            *-bright.*) continue ;; # made by an earlier call
            *.mp4 | *.m4v | *.mov | *.mkv | *.webm | *.ts | *.avi | *.mpg | *.mpeg | *.3gp | *.wmv) ;;
            *) continue ;;
        esac
        found=1
        target="$(beside "$clip")"
        [[ $# -gt 1 ]] && target="$2/$(basename "$target")"
        brighten "$clip" "$target" "${@:3}" || code=$?
    done
    if [[ $found == 0 ]]; then
        complain "no videos in $source (looked for .mp4, .mov, .mkv, .webm, …)"
        exit 1
    fi
    exit "$code"
fi
case "${source,,}" in
    *.jpg | *.jpeg | *.png | *.bmp | *.tif | *.tiff | *.webp | *.gif | *.heic | *.dng)
        complain "$source is a still image; python test.py --input_dir $source brightens it"
        exit 1
        ;;
esac
if [[ $# == 0 ]]; then
    target="$here/demo/Movie/Res.mp4"
else
    target="${2:-$(beside "$source")}"
fi
brighten "$source" "$target" "${@:3}"
