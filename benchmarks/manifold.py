"""Tables in Markdown from the numbers of `lanterna manifold`: mean over the seeds, lowest and highest in brackets."""

import argparse
import json
from pathlib import Path
from typing import Any

GROUPS = {
    "frontier_confidence": ("confidence, discriminative", "{:.2f}"),
    "density_confidence": ("confidence, generative", "{:.2f}"),
    "density_nats": ("log density, nats", "{:.0f}"),
    "code_bits": ("code length, bits", "{:.0f}"),
    "compressed_bits": ("PNG or zlib, bits", "{:.0f}"),
}
ROBUST = {
    "l2_median": ("median L2", "{:.2f}"),
    "linf_median": ("median Linf", "{:.3f}"),
    "l2_pgd_at_median_share": ("PGD succeeds at that L2", "{:.0%}"),
    "linf_pgd_at_median_share": ("PGD succeeds at that Linf", "{:.0%}"),
    "l2_search_nearer_share": ("random search succeeds at 0.9 of it, L2", "{:.0%}"),
    "linf_search_nearer_share": ("random search succeeds at 0.9 of it, Linf", "{:.0%}"),
    "l2_search_farther_share": ("random search succeeds at 2 times, L2", "{:.0%}"),
    "linf_search_farther_share": ("random search succeeds at 2 times, Linf", "{:.0%}"),
    "line_l2_median": ("on the line to another class, L2", "{:.2f}"),
}


def cell(found: dict[str, Any], form: str) -> str:
    if found["mean"] is None:
        return "not everywhere"
    low, high = form.format(found["low"]), form.format(found["high"])
    return form.format(found["mean"]) + ("" if low == high else f" ({low} to {high})")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", type=Path, help="manifold.json")
    told = json.loads(parser.parse_args().numbers.read_text(encoding="utf-8"))
    both = ("discriminative", "generative")
    rows = [["accuracy", *(cell(told["accuracy"][name], "{:.1%}") for name in both)]]
    for key, title in (("error_raw", "calibration error, raw"), ("error", "calibration error, after the temperature")):
        rows.append([title, *(cell(told["calibration"][name][key], "{:.3f}") for name in both)])
    for share, title in (("confident", "share of the plane with confidence above 90 %"),):
        rows.append([title, *(cell(told["plane"][f"{name}_{share}_share"], "{:.0%}") for name in ("frontier", "density"))])
    for key, (title, form) in ROBUST.items():
        rows.append([title, *(cell(told["robustness"][name][key], form) for name in both)])
    print(table(["", *both], rows), end="\n\n")
    groups = told["groups"].items()
    rows = [
        [name.replace("_", " "), *(cell(found[key], form) for key, (_, form) in GROUPS.items())] for name, found in groups
    ]
    print(table(["pictures", *(title for title, _ in GROUPS.values())], rows), end="\n\n")
    scores = list(next(iter(told["auroc"].values())))
    rows = [
        [name.replace("_", " "), *(cell(found[one], "{:.2f}") for one in scores)] for name, found in told["auroc"].items()
    ]
    print(table(["AUROC against", *(score.replace("_", " ") for score in scores)], rows), end="\n\n")
    walls = told["noise_wall"].items()
    keys = ("within_median", "within_largest", "nearest_distance", "median_distance", "real_median_distance")
    rows = [[name, *(cell(found[key], "{:.0f}" if "within" in key else "{:.1f}") for key in keys)] for name, found in walls]
    print(table(["noise", *(key.replace("_", " ") for key in keys)], rows))


if __name__ == "__main__":
    main()
