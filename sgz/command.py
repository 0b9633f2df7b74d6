"""What command lines share: the parser, argument types, the enhancer's options, the way out."""

import argparse
import difflib
import io
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sgz.errors import UserError
from sgz.method import CONV_TYPES, ITERATIONS, LOOKS, MAPS, SCALE_FACTOR

LOOK_ARGUMENTS = ("look", "black_point", "exposure", "map", "denoise", "hue_preserving")
# Read by libraries when they are first imported, so set by scripts alone; what a user set stays.
ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime would report its use to its makers
    "OMP_WAIT_POLICY": "PASSIVE",  # torch's threads would spin while they wait, against each other
    "SVT_LOG": "1",  # the AV1 encoder would print its settings; 1 is errors alone
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would report its use to its makers
}


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage, and with the likely spelling."""

    def error(self, message: str):
        if match := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            known = [name for name in self._option_string_actions if name.startswith("--")]
            if close := difflib.get_close_matches(match[1], known, 1):
                message += f"; did you mean {close[0]}?"
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class DefaultsFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows each default that says something, as it would be typed."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default in (None, False, (), argparse.SUPPRESS):
            return action.help
        if isinstance(action.default, tuple):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)


def new_parser(description: str, **options) -> CommandParser:
    """A parser that shows every default in its help."""
    return CommandParser(description=description, formatter_class=DefaultsFormatter, **options)


def boolean(text: str) -> bool:
    """True or False from what people type."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"expected True or False, not {text!r}") from None


def positive(kind: type, zero: bool = False) -> Callable[[str], int | float]:
    """An argparse type: a finite number above zero, or from zero."""

    def parse(text: str) -> int | float:
        value = kind(text)
        if not (0 <= value < float("inf")) or (value == 0 and not zero):
            raise ValueError
        return value

    parse.__name__ = f"{'non-negative' if zero else 'positive'} {kind.__name__}"
    return parse


COUNT, SIZE = positive(int, zero=True), positive(int)
AMOUNT, RATE = positive(float, zero=True), positive(float)


def add_network_options(parser: argparse._ActionsContainer, scale_factor: int | None) -> None:
    """What decides the network; a scale factor of None is left to the script."""
    parser.add_argument(
        "--scale_factor",
        type=SIZE,
        default=scale_factor,
        help="the network sees the image shrunk by this whole number",
    )
    parser.add_argument(
        "--conv_type",
        choices=CONV_TYPES,
        default="dsc",
        help="dsc depthwise separable, tc plain 3x3, dc dilated 3x3 (our reading: "
        "the authors name it without code)",
    )


def add_device_option(parser: argparse._ActionsContainer) -> None:
    """Where the network runs."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, …")


def add_enhancer_options(parser: argparse._ActionsContainer, look: str = "paper") -> None:
    """What an Enhancer is built from, but for the checkpoint; `look` is the default."""
    add_network_options(parser, SCALE_FACTOR)
    add_device_option(parser)
    parser.add_argument(
        "--iterations",
        type=COUNT,
        default=ITERATIONS,
        help="how often the curve is applied; fewer brighten less",
    )
    parser.add_argument(
        "--strength",
        type=AMOUNT,
        default=1.0,
        help="multiplies the brightening; 0 leaves the image as it is",
    )
    add_look_options(parser, look)


def noise_level(text: str) -> str | float:
    """auto, off, or a number of levels."""
    if text in ("auto", "off"):
        return text
    value = float(text)
    if not 0 <= value <= 255:
        raise ValueError
    return value


def add_look_options(parser: argparse._ActionsContainer, look: str) -> None:
    """The look, and each of its parts; a part that is not given is as the look has it."""
    switch = argparse.BooleanOptionalAction
    parser.add_argument(
        "--look",
        choices=LOOKS,
        default=look,
        help="paper is the method alone; natural adds the parts below",
    )
    parser.add_argument(
        "--black_point", action=switch, help="subtract the veil of offset and stray light"
    )
    parser.add_argument(
        "--exposure", action=switch, help="brighten each picture as much as it asks for"
    )
    parser.add_argument(
        "--map", choices=MAPS, help="how the factor map is enlarged: guided follows edges, no halo"
    )
    parser.add_argument(
        "--denoise",
        type=noise_level,
        metavar="auto|off|NUMBER",
        help="take out noise that would be amplified; a number is its standard deviation in "
        "levels of 255",
    )
    parser.add_argument(
        "--hue_preserving", action=switch, help="one factor for the three colours: hue stays"
    )


def moment(text: str) -> float:
    """Seconds, from 90, 1:30 or 0:01:30."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + AMOUNT(part)
    return seconds


def add_video_options(parser: argparse._ActionsContainer) -> None:
    """Which part of a video, and by what it is decoded and encoded."""
    parser.add_argument(
        "--start", type=moment, default=0.0, metavar="TIME", help="of a video: begin at 90 or 1:30"
    )
    parser.add_argument(
        "--duration", type=moment, metavar="TIME", help="of a video: so much of it, as 10 or 0:10"
    )
    parser.add_argument(
        "--hardware",
        choices=("off", "auto"),
        default="off",
        help="of a video: auto decodes and encodes on a graphics card where that works",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="of a video: keep what is done in OUT.parts, and go on from what is kept there",
    )


def place(text: str) -> Path | str:
    """A path, or the URI of a store (s3://bucket/photos) as it is."""
    return text if "://" in text else Path(text)


def add_engine_options(parser: argparse._ActionsContainer) -> None:
    """What does the work: this machine or a cluster."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine, or the machines of a Ray cluster, where folders may be stores as well "
        "(s3://bucket/photos); see docs/scale.md",
    )
    parser.add_argument(
        "--address",
        default="auto",
        metavar="HOST:PORT",
        help="of the Ray cluster; auto: the one that this machine is part of, local: begin one",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="with --engine ray: write what became of each file there, a line of JSON each",
    )


def check_engine(options: argparse.Namespace, *places: Path | str | None) -> None:
    """UserError where options for a cluster were given without one."""
    if options.engine == "ray":
        return
    for given in places:
        if isinstance(given, str):
            raise UserError(f"{given} is in a store; add --engine ray, or copy it to this machine")
    if options.report:
        raise UserError("--report needs --engine ray")


def enhancer_arguments(options: argparse.Namespace) -> dict[str, object]:
    """What add_enhancer_options was told, as Enhancer's arguments."""
    names = ("scale_factor", "iterations", "strength", "device", "conv_type", *LOOK_ARGUMENTS)
    return {name: getattr(options, name) for name in names}


def printable(text: object) -> str:
    """Text for a terminal: what a file's name may hold to move the cursor or forge a line, escaped.

    Line breaks too; letters and spaces of any script stay.
    """
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else ascii(c)[1:-1]
        for c in str(text)
    )


def explain(error: Exception, remedies: Mapping[str, str]) -> str:
    """An error's sentence, with a script's remedy for the argument it names, if it knows one."""
    remedy = remedies.get(getattr(error, "argument", ""))
    return f"{error}; {remedy}" if remedy else str(error)


@contextmanager
def without_native_lines() -> Iterator[None]:
    """Keep off the terminal what C libraries print themselves, as libtiff does of each damaged
    strip; what Python prints goes there as before."""
    try:
        is_ours = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # a test's or a notebook's
        is_ours = False
    if not is_ours:
        yield
        return
    sys.stderr.flush()
    before, kept, nowhere = sys.stderr, os.dup(2), os.open(os.devnull, os.O_WRONLY)
    sys.stderr = os.fdopen(kept, "w", 1, encoding=before.encoding, errors=before.errors)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        sys.stderr.close()
        sys.stderr = before


def run_script(main: Callable[[], int | None], remedies: Mapping[str, str] | None = None) -> None:
    """Run a script's main and leave with its exit code.

    UserError and OSError end in their sentence and exit code 1, Ctrl-C in 130.

    Args:
        remedies: what mends an argument that a UserError names: "choose another --test_dir".
    """
    path = Path(sys.argv[0])
    script = path.parent.name if path.stem == "__main__" else path.name
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold any character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
    except (UserError, OSError) as error:
        print(f"{script}: {printable(explain(error, remedies or {}))}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print(f"\n{script}: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
