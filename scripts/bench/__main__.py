"""Measure what this package costs beside the official client, side by side in one run; prints tables.

Every figure comes from a client in a process of its own, against a server in another one that treats all alike
(``server.py``); the clients take turns, and each figure is the median of all turns, with the least and the most.
The clients are ``ours`` (one plain thread a context), ``sync`` and ``async`` (the official package, used as it must
be), and ``floor`` (websocket-client's frames and decoding in a bare loop, without threads, queues and contexts). The
ratio is ours to the better of the two official ones: less is better for us.

The parts:

  cost      CPU time (user and system) of the client's process per frame, with its wall time and its memory
  latency   from the server's send to the consumer's hands: contexts with a chunk each 50 ms; with one consumer
            asleep; beside a thread that computes in Python all the time. There sync reads for all contexts by one
            thread, since it has no other way to hear several at once on a connection; ours does so too in a column of
            its own. Beside the thread that computes the official clients also serve plain threads, one a context: sync
            by a connection for each, async by handing on what it hears
  first     from a push to the first chunk in hand: on a warm connection, and with client and connection to be made
  import    time and memory of the import alone, and with a client made; and, as ``say_ms``, from the start of the
            process of ``cartesia-sync say``, or of the same in the official client, to the first audio at its output
  memory    what is held for audio that waits, and for contexts and connections that are idle (ours alone)
  speech    captions, frames, players, encoders, long texts, beside the bare libraries (ours alone; ``speech.py`` says
            what each figure is)
  stt       CPU time per event of streaming speech to text, and per frame of 100 ms that is fed: as fast as it goes,
            and at the pace of speech in fifty sessions
  limits    what it costs to take and release a slot, with all free, or with one of fifteen (ours alone)
  texts     300 texts by 32 threads, where the service lets four speak: files, seconds and refusals of who knows the
            limit, who learns it and who does neither, beside the official async client
  serve     the local server, beside a crowd of listeners on the same machine: first audio of contexts that ask within
            half a second (five hundred: two and a half), how late each later chunk is at the pace of speech, and the
            first audio of a newcomer beside two hundred contexts that take all they get (ours alone)
  batch     1,000, 10,000 and 100,000 texts to files: memory, CPU time an item, and the rate beside what the limit
            allows (ours alone; 100,000 take seven minutes)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from against import rows_against
from start import importing, starting

HERE = Path(__file__).resolve().parent
BOUND = 300
BATCH_BOUND = 1800
TRIES = 3
"""A client that cannot open its TLS connection, which was seen of the official sync one, does not end a long run."""
OFFICIAL = ("sync", "async")
IN_THREADS = ("ours_apart", "sync_apart", "async_threads")
PERCENTILES = ("p50_ms", "p99_ms", "max_ms")
PARTS = ("cost", "latency", "first", "import", "memory", "speech", "stt", "serve", "limits", "texts", "batch")


class Case(NamedTuple):
    """How many contexts at once, how much audio in each chunk, and how many times one after the other."""

    contexts: int
    audio_bytes: int
    groups: int = 1

    def __str__(self) -> str:
        return f"{self.contexts} x {self.audio_bytes}" + (f", {self.groups} times" if self.groups > 1 else "")


CASES = [Case(contexts, size) for size in (1024, 4096, 16384) for contexts in (1, 8, 64)]
FEW, MANY = Case(10, 4096, groups=100), Case(1000, 4096)
"""The same contexts, as long, ten at once and all at once: what is between them is how many are at once."""

CASES += [FEW, MANY]
FRAMES = {1024: 24_000, 4096: 12_000, 16384: 6_000}
"""In one turn, by the audio in each."""

LISTENING = (
    ("hear", ("ours", "sync", "async"), 20_000),
    ("feed", ("ours", "ours_feed", "sync", "async"), 10_000),
    ("paced", ("ours", "ours_feed", "sync", "async"), 50),
)
"""The jobs of ``listening.py``, by whom, and how many events or frames."""

STT_ROWS = {"hear": "event heard", "feed": "frame fed", "paced": "frame fed, 50 at 10 a second"}

LEAST_CHUNKS = 100
"""Of each context, however many there are, since its thread and its push are counted too."""

Figures = dict[str, dict[str, list[float]]]
"""By client and by what was measured: one figure for each turn."""


# ---- running


@contextlib.contextmanager
def serving(*, tls: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """Start the server; give its address, and the environment in which clients trust it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        command = [sys.executable, str(HERE / "server.py")]
        environment = {**os.environ, "NO_PROXY": "localhost", "no_proxy": "localhost"}
        if tls:
            import certifi
            import trustme

            authority = trustme.CA()
            certificate, trusted = Path(folder) / "server.pem", Path(folder) / "authority.pem"
            authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
            trusted.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())  # as many as usual
            command += ["--certificate", str(certificate)]
            environment.update({"SSL_CERT_FILE": str(trusted), "REQUESTS_CA_BUNDLE": str(trusted)})
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(process.terminate)
        assert process.stdout is not None
        yield f"{'wss' if tls else 'ws'}://localhost:{int(process.stdout.readline())}", environment


def measure(environment: Optional[dict[str, str]] = None, program: str = "clients.py", **call: Any) -> dict[str, float]:
    """Let one client do one job in a process of its own."""
    command = [sys.executable, str(HERE / program), json.dumps(call)]
    for _ in range(TRIES):
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=BOUND)
        if done.returncode == 0:
            figures: dict[str, float] = json.loads(done.stdout)
            return figures
        tell(f"failed, and is tried again: {call}")
    raise RuntimeError(f"failed {TRIES} times: {call}")


def in_turns(names: Sequence[str], rounds: int, environment: dict[str, str], **call: Any) -> Figures:
    """Let the clients do the same job one after the other, that many times round."""
    found: Figures = {name: {} for name in names}
    for _ in range(rounds):
        for name in names:
            for what, figure in measure(environment, name=name, **call).items():
                found[name].setdefault(what, []).append(figure)
    return found


def run(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Measure all parts that are wanted; put them into ``found`` by part, transport and case."""
    rounds = options.rounds
    for transport in options.transports if {"cost", "latency", "first"} & {*options.parts} else ():
        with serving(tls=transport == "tls") as (url, environment):
            if "cost" in options.parts:
                for case in options.cases:
                    fair = FRAMES.get(case.audio_bytes, 6000) // (case.contexts * case.groups)
                    chunks = max(round(options.share * max(fair, LEAST_CHUNKS)), 1)
                    tell(f"cost, {transport}, {case}")
                    found.setdefault("cost", {}).setdefault(transport, {})[str(case)] = in_turns(
                        ("ours", *OFFICIAL, "floor"),
                        rounds,
                        environment,
                        job="cost",
                        url=url,
                        contexts=case.contexts,
                        groups=case.groups,
                        chunks=chunks,
                        audio_bytes=case.audio_bytes,
                    )
            if "latency" in options.parts:
                for beside in ("alone", "sleeper", "busy"):
                    tell(f"latency, {transport}, {beside}")
                    found.setdefault("latency", {}).setdefault(transport, {})[beside] = in_turns(
                        ("ours", "ours_one", *OFFICIAL, *(IN_THREADS if beside == "busy" else ())),
                        rounds,
                        environment,
                        job="latency",
                        url=url,
                        contexts=options.contexts,
                        seconds=max(4 * options.share, 0.2),
                        beside=beside,
                    )
            if "first" in options.parts:
                tell(f"first audio, {transport}")
                found.setdefault("first", {})[transport] = in_turns(
                    ("ours", *OFFICIAL),
                    rounds,
                    environment,
                    job="first_audio",
                    url=url,
                    times=int(1000 * options.share),
                )
    if "import" in options.parts:
        tell("import")
        found["import"] = importing(3 * rounds)
        with serving(tls=False) as (url, environment):
            for name, figures in starting(2 * rounds, url).items():
                found["import"][name].update(figures)
    if "memory" in options.parts:
        tell("memory")
        with serving(tls=False) as (url, environment):
            found["memory"] = {"ours": measure(environment, job="memory", url=url, contexts=1000)}
    if "speech" in options.parts:
        tell("speech")
        found["speech"] = {"ours": speaking(rounds, options.share)}
    if "stt" in options.parts:
        with serving(tls=False) as (url, environment):
            for job, names, count in LISTENING:
                tell(f"stt, {job}")
                found.setdefault("stt", {})[job] = in_turns(
                    names,
                    rounds,
                    environment,
                    program="listening.py",
                    job=job,
                    url=url,
                    count=max(int(count * options.share), 100 if job != "paced" else 2),
                )
    if "limits" in options.parts:
        tell("limits")
        command = [sys.executable, str(HERE / "limits.py"), str(max(int(1000 * options.share), 20))]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=BOUND)
        found["limits"] = {"ours": json.loads(done.stdout)}
    if "texts" in options.parts:
        tell("texts")
        command = [sys.executable, str(HERE / "texts.py"), str(max(int(300 * options.share), 20))]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=2 * BOUND)
        found["texts"] = json.loads(done.stdout)
    if "serve" in options.parts:
        found["serve"] = serve(options)
    if "batch" in options.parts:
        with serving(tls=False) as (url, environment):
            for count in options.items:
                tell(f"batch, {count} items")
                command = [sys.executable, str(HERE / "batch.py"), url, str(count), str(options.after_ms)]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=BATCH_BOUND)
                found.setdefault("batch", {})[str(count)] = json.loads(done.stdout)


def serve(options: argparse.Namespace) -> dict[str, Figures]:
    """Let crowds of several sizes listen to the local server; each has a server of its own."""
    cases: dict[str, dict[str, Any]] = {
        f"{contexts} streams": {"contexts": contexts, "sentences": 2, "within": within, "busy": 0}
        for contexts, within in ((10, 0.5), (50, 0.5), (200, 0.5), (500, 2.5))
    }
    cases["beside 200"] = {"contexts": 5, "sentences": 1, "within": 2.5, "busy": 200}
    if options.quick:
        cases = {
            "4 streams": {"contexts": 4, "sentences": 1, "within": 0.1, "busy": 0},
            "beside 8": {"contexts": 1, "sentences": 1, "within": 0.1, "busy": 8},
        }
    found: dict[str, Figures] = {case: {"ours": {}} for case in cases}
    for _ in range(options.rounds):
        for case, call in cases.items():
            tell(f"serve, {case}")
            with local_server(pace=None if call["busy"] else 1.0) as port:
                command = [sys.executable, str(HERE / "streams.py")]
                warm = {**call, "contexts": 4, "sentences": 1, "busy": 0, "within": 0}  # its processes have started
                for each in (warm, call):
                    done = subprocess.run(
                        [*command, json.dumps({"port": port, **each})],
                        stdout=subprocess.PIPE,
                        check=True,
                        timeout=BOUND,
                    )
                for what, figure in json.loads(done.stdout).items():
                    found[case]["ours"].setdefault(what, []).append(figure)
    return found


@contextlib.contextmanager
def local_server(pace: Optional[float]) -> Iterator[int]:
    """Run the local server in a process of its own; give its port."""
    command = [sys.executable, "-m", "cartesia_sync.local", "--port", "0"]
    command += [] if pace is None else ["--pace", str(pace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)", process.stdout.readline())
            assert found is not None
            yield int(found.group(1))
        finally:
            process.terminate()


def speaking(rounds: int, share: float) -> dict[str, list[float]]:
    """Do what is done with speech that has come, each time in a process of its own."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        command = [sys.executable, str(HERE / "speech.py"), str(share)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=BOUND)
        for what, figure in json.loads(done.stdout).items():
            found.setdefault(what, []).append(figure)
    return found


def tell(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


# ---- printing


def middle(figures: Sequence[float]) -> str:
    """Write the median, and the least and the most."""
    return f"{statistics.median(figures):.4g} ({min(figures):.3g}-{max(figures):.3g})"


def ratio(found: Figures, what: str, others: Sequence[str] = OFFICIAL) -> float:
    """Divide our median by the best of the others'."""
    return statistics.median(found["ours"][what]) / min(statistics.median(found[name][what]) for name in others)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print(f"\n{title}")
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def report(found: dict[str, Any]) -> None:
    if "texts" in found:
        first = found["texts"][0]
        head = ("by", "files", "seconds", "x ideal", "429s", "CPU s")
        rows = [
            (
                row["way"],
                f"{row['files']}",
                f"{row['seconds']:.2f}",
                f"{row['seconds'] / row['ideal']:.3f}",
                f"{row['refused']}",
                f"{row['cpu_s']:.2f}",
            )
            for row in found["texts"]
        ]
        table(f"{first['texts']} texts where four may speak; ideal {first['ideal']:.2f} s", head, rows)
    if "limits" in found:
        figures = found["limits"]["ours"]
        table("a slot, microseconds a pair", ("limit", "us"), [(what, f"{each:.4g}") for what, each in figures.items()])
    if "batch" in found:
        head = ("items", *next(iter(found["batch"].values())))
        rows = [(count, *(f"{each:.4g}" for each in figures.values())) for count, figures in found["batch"].items()]
        table("many texts to files", head, rows)
    for transport, cases in found.get("cost", {}).items():
        for what, title in (
            ("cpu_us", "CPU microseconds a frame"),
            ("wall_us", "wall microseconds a frame"),
            ("frames_per_s", "frames a second"),
            ("peak_mib", "peak memory, MiB"),
        ):
            rows = []
            for case, figures in cases.items():
                row = [case, *(middle(figures[name][what]) for name in ("ours", *OFFICIAL, "floor"))]
                if what in ("cpu_us", "wall_us"):
                    row += [f"{ratio(figures, what):.2f}", f"{ratio(figures, what, ['floor']):.2f}"]
                rows.append(row)
            head = ["contexts x bytes", "ours", *OFFICIAL, "floor"]
            table(f"{title}, {transport}", head + ["ratio", "to floor"] * what.endswith("_us"), rows)
        if {str(FEW), str(MANY)} <= {*cases}:
            many, few = (statistics.median(cases[str(case)]["ours"]["cpu_us"]) for case in (MANY, FEW))
            print(f"a frame at 1,000 contexts at once costs {many / few:.2f} of one at 10")
    for transport, besides in found.get("latency", {}).items():
        table(
            f"latency in ms, {transport}",
            ["beside", "figure", "ours", "ours, one thread", *OFFICIAL, "ours to async"],
            [
                [
                    beside,
                    what,
                    *(middle(figures[name][what]) for name in ("ours", "ours_one", *OFFICIAL)),
                    f"{to_async:.2f}",
                ]
                for beside, figures in besides.items()
                for what in PERCENTILES
                for to_async in [ratio(figures, what, ["async"])]
            ],
        )
        if "busy" in besides:
            names = ("ours", *IN_THREADS)
            table(
                f"latency in ms beside a busy thread, a thread a context, {transport}",
                ["figure", "ours", "ours, a connection each", "sync, a connection each", "async, handing on"],
                [[what, *(middle(besides["busy"][name][what]) for name in names)] for what in PERCENTILES],
            )
    for transport, figures in found.get("first", {}).items():
        table(
            f"first audio in ms, {transport}",
            ["from", "ours", *OFFICIAL, "ratio"],
            [
                [what, *(middle(figures[name][what]) for name in ("ours", *OFFICIAL)), f"{ratio(figures, what):.2f}"]
                for what in ("warm_ms", "from_nothing_ms")
            ],
        )
    if "import" in found:
        figures = found["import"]
        table(
            "import",
            ["figure", "ours", "official", "ratio"],
            [
                [
                    what,
                    middle(figures["ours"][what]),
                    middle(figures["official"][what]),
                    f"{ratio(figures, what, ['official']):.2f}",
                ]
                for what in figures["ours"]
            ],
        )
    if "stt" in found:
        names = ("ours", "ours_feed", *OFFICIAL)
        rows = []
        for job, figures in found["stt"].items():
            cells = [middle(figures[name]["cpu_us"]) if name in figures else "" for name in names]
            rows.append([STT_ROWS[job], *cells, f"{ratio(figures, 'cpu_us'):.2f}"])
        table("speech to text, CPU microseconds", ["a", "ours", "ours, feed()", *OFFICIAL, "ratio"], rows)
    if "memory" in found:
        table(
            "memory", ["figure", "ours"], [[what, f"{figure:.4g}"] for what, figure in found["memory"]["ours"].items()]
        )
    if "speech" in found:
        table(
            "speech",
            ["figure", "ours"],
            [[what, middle(figures)] for what, figures in found["speech"]["ours"].items()],
        )

    if "serve" in found:
        table(
            "the local server, ms",
            ["contexts", "first audio p50", "p99", "late p99", "at most"],
            [
                [
                    case,
                    *(
                        middle(figures["ours"][what])
                        for what in ("first_p50_ms", "first_p99_ms", "late_p99_ms", "late_max_ms")
                    ),
                ]
                for case, figures in found["serve"].items()
            ],
        )


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw the CPU time a frame of each case and client, one panel a transport."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    costs = found["cost"]
    figure, panels = pyplot.subplots(len(costs), 1, figsize=(10, 4.5 * len(costs)), squeeze=False)
    for panel, (transport, cases) in zip(panels[:, 0], costs.items()):
        names = ("ours", *OFFICIAL, "floor")
        for number, name in enumerate(names):
            all_figures = [figures[name]["cpu_us"] for figures in cases.values()]
            middles = [statistics.median(figures) for figures in all_figures]
            reach = [
                [each - min(figures) for each, figures in zip(middles, all_figures)],
                [max(figures) - each for each, figures in zip(middles, all_figures)],
            ]
            panel.bar(
                [place + 0.2 * number for place in range(len(cases))], middles, 0.2, yerr=reach, label=name, capsize=2
            )
        panel.set_xticks([place + 0.3 for place in range(len(cases))], list(cases))
        panel.set_title(f"CPU time of the client's process per frame, {transport}")
        panel.set_xlabel("contexts x bytes of audio in a chunk")
        panel.set_ylabel("microseconds")
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def parse(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which parts: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="how many turns each client has (default: 5)")
    parser.add_argument(
        "--case", dest="cases", action="append", metavar="CONTEXTSxBYTES", help="such as 64x1024; for cost"
    )
    parser.add_argument(
        "--transport", dest="transports", choices=["plain", "tls"], action="append", help="default: both"
    )
    parser.add_argument("--contexts", type=int, default=64, help="for latency (default: 64)")
    parser.add_argument(
        "--items", type=int, action="append", metavar="N", help="for batch (default: 1000, 10000, 100000)"
    )
    parser.add_argument(
        "--after-ms", type=float, default=60.0, metavar="MS", help="for batch: what a text takes (default: 60)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a look in seconds: one turn, two cases, few frames, no TLS"
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON in place of tables")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="compare with what --json printed on the same machine before"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the costs, with matplotlib (extra: bench)")
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"no such part: {part}")
    options.parts = options.parts or list(PARTS)
    if options.plot and "cost" not in options.parts:
        parser.error("--plot draws the costs")
    if options.against:
        try:
            options.against = json.loads(options.against.read_bytes())
        except (OSError, ValueError) as error:
            parser.error(f"--against needs a file that --json made: {error}")
    options.items = options.items or ([200] if options.quick else [1000, 10_000, 100_000])
    options.share = 0.02 if options.quick else 1.0
    options.rounds = 1 if options.quick else options.rounds
    options.transports = options.transports or (["plain"] if options.quick else ["plain", "tls"])
    if options.cases:
        options.cases = [Case(*map(int, case.split("x"))) for case in options.cases]
    else:
        options.cases = [Case(1, 1024), Case(8, 16384)] if options.quick else CASES
    return options


def main() -> None:
    options = parse()
    found: dict[str, Any] = {}
    try:
        run(options, found)
    finally:  # what was measured before a failure, too
        if options.json:
            print(json.dumps(found, indent=1))
        else:
            report(found)
            if options.against:
                head = ["figure", "then", "now", "change", "the machine's", "ours to the machine's"]
                table("against the run before", head, rows_against(options.against, found))
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
