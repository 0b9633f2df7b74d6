"""Task quality: which metrics the folders allow, and every image's scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from evaluation.matching import INPUT, REFERENCE, match
from evaluation.protocol import (
    MEASURES,
    Measure,
    Protocol,
    Scored,
    measure_of,
    run_all,
    score_image,
)
from evaluation.tables import Column, Results
from sgz.errors import UserError

SHOWN = 10  # names of a list that are printed


def choose_metrics(words: Sequence[str], roles: set[str], device: str = "auto") -> tuple[str, ...]:
    """The keys of the metrics to compute.

    Args:
        words: "auto" takes those with references where there are any, else those without; "all"
            takes all that the folders allow; else keys, also several with commas between.
        roles: of the folders given besides the methods': INPUT, REFERENCE.

    Raises:
        UserError: one asked for by name needs a folder or package that is not there.
    """
    keys = []
    for word in words:
        if word in ("auto", "all"):
            skip_blind = word == "auto" and REFERENCE in roles
            keys += [
                key
                for key, measure in MEASURES.items()
                if measure.against in {"", *roles}
                and not (skip_blind and measure.against != REFERENCE)
            ]
            continue
        for key in filter(None, word.split(",")):
            against = measure_of(key, device).against
            if against not in {"", *roles}:
                raise UserError(f"{key} needs the {against} images", against)
            keys.append(key)
    return tuple(dict.fromkeys(keys))


def score_quality(
    methods: dict[str, Path],
    keys: tuple[str, ...],
    protocol: Protocol,
    input_dir: Path | None = None,
    reference_dir: Path | None = None,
    num_workers: int = 0,
) -> tuple[Results, dict[str, dict[str, Path]]]:
    """The results, and the matched paths by image name and role.

    Args:
        methods: name -> folder or file of its results.
        keys: from choose_metrics.
        num_workers: processes; 0 takes one a core.

    Raises:
        UserError: the folders do not match, or a metric cannot be had.
    """
    folders = ({INPUT: input_dir} if input_dir else {}) | methods
    paths, notes = match(folders | ({REFERENCE: reference_dir} if reference_dir else {}))
    slow = any(key.startswith("pyiqa:") for key in keys)  # a network per process is too much
    tasks = [(name, roles, keys, protocol) for name, roles in paths.items()]
    scores = run_all(score_image, tasks, 1 if slow else num_workers)
    scored = [*tqdm(scores, total=len(tasks), unit="image", disable=None, leave=False)]
    results = Results(
        [mark(measure_of(key, protocol.device), protocol) for key in keys],
        {role: {s.name: s.scores[role] for s in scored if s.scores} for role in folders},
        INPUT if input_dir else None,
        protocol.describe(keys),
        [failure for s in scored for failure in s.failures],
        notes + gather_remarks(scored),
    )
    return results, paths


def mark(measure: Measure, protocol: Protocol) -> Column:
    """The metric's column, marked where gt_mean inflates it."""
    if protocol.gt_mean and measure.against == REFERENCE:
        return replace(measure.column, label=f"{measure.column.label} (GT mean)")
    return measure.column


def gather_remarks(scored: list[Scored]) -> list[str]:
    """Each remark once, with the images it is about."""
    about: dict[str, list[str]] = {}
    for one in scored:
        for remark in one.remarks:
            about.setdefault(remark, []).append(one.name)
    return [
        f"{remark}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
        for remark, names in sorted(about.items())
    ]
