"""Tables and JSON of a bench run: best and median of the rounds, the probe beside each row."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import msgspec

from podium.bench.machine import Machine, Probe
from podium.bench.measure import Sample
from podium.bench.targets import RATIOS, verdicts

__all__ = ["Report", "Row", "as_json", "as_text"]


class Row(msgspec.Struct, kw_only=True):
    """One workload on one system: every round, with the probe around it."""

    workload: str
    system: str
    rounds: list[Sample] = []
    probes: list[Probe] = []

    @property
    def best(self) -> Sample:
        """Return the round that was fastest, by rate, else by latency, else by time."""
        return max(self.rounds, key=_speed)

    @property
    def middle(self) -> Sample:
        """Return the round in the middle."""
        return sorted(self.rounds, key=_speed)[(len(self.rounds) - 1) // 2]


def _speed(sample: Sample) -> float:
    if sample.rate is not None:
        return sample.rate
    return -sample.latency.p50_ms if sample.latency is not None else -sample.wall_s


class Report(msgspec.Struct, kw_only=True):
    """A whole bench run."""

    version: str
    machine: Machine
    rounds: int
    rows: list[Row] = []

    def row(self, workload: str, system: str) -> Row:
        """Return the row of a workload on a system, made on first use."""
        for row in self.rows:
            if row.workload == workload and row.system == system:
                return row
        row = Row(workload=workload, system=system)
        self.rows.append(row)
        return row


def as_json(report: Report) -> str:
    """Return the report as one JSON document."""
    document: dict[str, Any] = msgspec.to_builtins(report)
    for shown, row in zip(document["rows"], report.rows, strict=True):
        shown["best"] = msgspec.to_builtins(row.best)
        shown["median"] = msgspec.to_builtins(row.middle)
        shown["targets"] = [
            {"name": name, "value": value, "must_be": f"{sign} {limit:g}", "holds": holds}
            for name, value, sign, limit, holds in verdicts(row.best)
        ]
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_text(report: Report) -> str:
    """Return the report as text for a terminal."""
    machine = report.machine
    lines = [
        f"podium {report.version} · Python {machine.python} · SQLite {machine.sqlite}",
        f"{machine.cpus} × {machine.cpu} · {machine.system} · {machine.file_system}",
        f"best / median of {report.rounds} rounds; durable to disk (synchronous=FULL) throughout",
        "",
    ]
    lines += _table(_HEAD, [_cells(row) for row in report.rows])
    lines += ["", *_facts(report.rows), "", *_verdict_lines(report.rows)]
    ratios = list(_ratios(report))
    if ratios:
        lines += ["", "podium against its peers (best against best)", *ratios]
    return "\n".join(lines)


_HEAD = (
    "workload", "system", "rate (best / median)", "p50 / p95 / p99 ms", "CPU µs/step",
    "flushes/step", "rows", "reads", "RSS MB", "flush p50 ms", "commits/s", "loop ms",
)  # fmt: skip


def _cells(row: Row) -> list[str]:
    best, middle = row.best, row.middle
    rate = f"{best.wall_s:.3g} / {middle.wall_s:.3g} s"
    if best.rate is not None and middle.rate is not None:
        rate = f"{best.rate:,.0f} / {middle.rate:,.0f} {best.unit}"
    times = ""
    if best.latency is not None:
        spread = best.latency
        times = f"{spread.p50_ms:.3g} / {spread.p95_ms:.3g} / {spread.p99_ms:.3g}"
    return [
        row.workload,
        row.system,
        rate if best.rate is not None or not times else "",
        times,
        _number(best.cpu_us_per_step),
        _number(best.flushes_per_step),
        _number(best.rows),
        _number(best.reads),
        _number(best.rss_mb),
        *_probe_cells(row.probes),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


def _probe_cells(probes: Sequence[Probe]) -> list[str]:
    if not probes:
        return ["", "", ""]
    flush = median(probe.fdatasync_p50_ms for probe in probes)
    commits = median(probe.commits_per_s for probe in probes)
    loop = median(probe.cpu_loop_ms for probe in probes)
    return [f"{flush:.3g}", f"{commits:,.0f}", f"{loop:.3g}"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    used = [at for at in range(len(head)) if any(row[at] for row in rows)]
    grid = [[row[at] for at in used] for row in (head, *rows)]
    widths = [max(len(line[at]) for line in grid) for at in range(len(used))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in grid
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in lines]


def _facts(rows: Iterable[Row]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        told = [f"{name.replace('_', ' ')} {value:,.6g}" for name, value in row.best.facts.items()]
        told.insert(0, row.best.what)
        lines.append(f"{row.workload:<9} {row.system:<10} {' · '.join(told)}")
    return lines


def _verdict_lines(rows: Iterable[Row]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        parts = [
            f"{'ok  ' if holds else 'MISS'} {name} {value:,.4g} (must be {sign} {limit:g})"
            for name, value, sign, limit, holds in verdicts(row.best)
        ]
        lines += [f"{row.workload:<9} {part}" for part in parts]
    return lines


def _ratios(report: Report) -> Iterable[str]:
    for row in report.rows:
        if row.system == "podium":
            continue
        ours = [
            each for each in report.rows if (each.workload, each.system) == (row.workload, "podium")
        ]
        if ours:
            told = _ratio(ours[0].best, row.best) + _verdict(ours[0].best, row.best)
            yield f"{row.workload:<9} {row.system:<20} {told}"


def _verdict(ours: Sample, theirs: Sample) -> str:
    """Return whether we are as many times faster as we have to be, where that is said."""
    limit = RATIOS.get((theirs.workload, theirs.system))
    if limit is None or ours.rate is None or not theirs.rate:
        return ""
    return f": {'ok' if ours.rate >= limit * theirs.rate else 'MISS'} (must be >= {limit:g}x)"


def _ratio(ours: Sample, theirs: Sample) -> str:
    parts: list[str] = []
    if ours.rate is not None and theirs.rate:
        parts.append(f"{ours.rate / theirs.rate:,.1f}x the rate")
    elif ours.latency is not None and theirs.latency is not None:
        parts.append(f"{theirs.latency.p50_ms / ours.latency.p50_ms:,.1f}x shorter p50")
    elif ours.workload == "W5":
        parts.append(f"{theirs.wall_s / ours.wall_s:,.1f}x faster")
    if ours.cpu_us_per_step and theirs.cpu_us_per_step:
        parts.append(f"1/{theirs.cpu_us_per_step / ours.cpu_us_per_step:,.1f} of the CPU per step")
    if (small := ours.facts.get("kb_per_run")) and (large := theirs.facts.get("kb_per_run")):
        parts.append(f"1/{large / small:,.1f} of the memory per run")
    return ", ".join(parts)
