"""The programs of scripts/examples, as a user starts them: under real servers, against the local one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer

from ..support.processes import VOICE, serving

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "scripts" / "examples"
BOUND = 25.0
TEXTS = [f"This is text number {number}." for number in range(6)]
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the servers are tried on Linux alone"),
    pytest.mark.timeout(90),
]


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed here: {', '.join(missing)}")


@pytest.fixture(scope="module")
def plain() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def expected(plain: LocalServer) -> dict[str, bytes]:
    """What is said where nothing is forked."""
    client = Cartesia(api_key="x", base_url=plain.url)
    with client.tts.pool(voice=VOICE, output_format=FORMAT) as pool:
        return {text: pool.say(text).audio for text in TEXTS}


def environment(server: LocalServer, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {
        **kept,
        "CARTESIA_API_KEY": "x",
        "CARTESIA_BASE_URL": server.url,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


class Program:
    """A server in a process group of its own, and what it writes."""

    def __init__(self, command: list[str], log: Path, **options: Any) -> None:
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command, cwd=EXAMPLES, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True,
                **options,
            )  # fmt: skip

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(BOUND)
        if error is not None:
            print(self.said)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self, *, quietly: bool = True) -> None:
        """Stop it as its user does; it must be quiet about it, and not take long."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(BOUND)
        assert not quietly or not re.search(
            r"Traceback|Exception|exception|Killed|ABRT|(?<!Security)Warning", self.said
        ), self.said


def ask(url: str, text: str) -> bytes:
    query = urllib.parse.urlencode({"text": text})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}?{query}", timeout=BOUND) as answer:
        content: bytes = answer.read()
    return content


def ask_all(url: str) -> dict[str, bytes]:
    with ThreadPoolExecutor(len(TEXTS)) as threads:
        return dict(zip(TEXTS, threads.map(lambda text: ask(url, text), TEXTS)))


@contextlib.contextmanager
def gunicorn(
    application: str, server: LocalServer, folder: Path, *options: str, workers: int = 2
) -> Iterator[tuple[Program, str]]:
    """Run it on a socket that listens already, so that nobody has to look whether it does."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--workers", str(workers)]
        command += ["--graceful-timeout", "5", *_without_control_socket(), *options, application]
        given = {"env": environment(server), "pass_fds": (listener.fileno(),)}
        with Program(command, folder / "log", **given) as program:
            yield program, f"http://127.0.0.1:{listener.getsockname()[1]}"


def _without_control_socket() -> list[str]:
    """Return the option by which newer versions leave no socket in the user's folder."""
    from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import,unused-ignore]  # no type hints are published

    return ["--no-control-socket"] * any(setting.name == "control_socket_disable" for setting in KNOWN_SETTINGS)


WORKERS = {
    "sync": ["--worker-class", "sync"],
    "gthread": ["--worker-class", "gthread", "--threads", "4"],
    "gevent": ["--worker-class", "gevent"],
}


@needs("gunicorn", "flask", "gevent")
@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
@pytest.mark.parametrize("worker", WORKERS)
def test_flask_under_gunicorn(worker: str, preload: bool, expected: dict[str, bytes], tmp_path: Path) -> None:
    options = [*WORKERS[worker], *["--preload"] * preload]
    with serving() as server, gunicorn("flask_app:app", server, tmp_path, *options) as (program, url):
        assert ask_all(f"{url}/whole") == expected
        assert ask_all(f"{url}/streamed") == expected
        assert 1 <= len(server.handshakes) <= 2  # one a worker
        program.stop(quietly=worker != "gevent" or sys.version_info >= (3, 10))  # there gevent itself complains at exit


@needs("gunicorn", "django")
@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_django_under_gunicorn(preload: bool, expected: dict[str, bytes], tmp_path: Path) -> None:
    options = [*WORKERS["gthread"], *["--preload"] * preload]
    with serving() as server, gunicorn("django_app:application", server, tmp_path, *options) as (program, url):
        assert ask_all(f"{url}/whole") == expected
        assert 1 <= len(server.handshakes) <= 2
        program.stop()


@pytest.mark.skipif(
    shutil.which("uwsgi", path=os.path.dirname(sys.executable)) is None, reason="not installed here: pyuwsgi"
)
@pytest.mark.parametrize("lazy", [False, True], ids=["", "lazy-apps"])
def test_uwsgi(lazy: bool, expected: dict[str, bytes], tmp_path: Path) -> None:
    ready, said_ready = os.pipe()
    command = [os.path.join(os.path.dirname(sys.executable), "uwsgi"), "--http-socket", "127.0.0.1:0", "--master"]
    command += ["--processes", "2", "--threads", "4", "--enable-threads", "--die-on-term", "--wsgi-file"]
    command += ["uwsgi_app.py", *["--lazy-apps"] * lazy, "--hook-accepting", f"write:/dev/fd/{said_ready} ready"]
    home = sys.prefix if sys.prefix != sys.base_prefix else ""
    command += ["--virtualenv", home] if home else []
    with serving() as server, Program(command, tmp_path / "log", env=environment(server), pass_fds=(said_ready,)) as it:
        os.close(said_ready)
        with open(ready, "rb", closefd=True) as pipe:
            assert pipe.read(2 * len("ready")) == 2 * b"ready", (
                it.said
            )  # of each worker, or a signal would strike one early
        port = re.search(r"bound to TCP address 127\.0\.0\.1:(\d+)", it.said)
        assert port is not None, it.said
        assert ask_all(f"http://127.0.0.1:{port[1]}/") == expected
        assert 1 <= len(server.handshakes) <= 2
        it.stop()


@needs("celery")
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_celery(pool: str, expected: dict[str, bytes], tmp_path: Path) -> None:
    """By folders, in place of Redis."""
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "worker.py").write_text(
        "from celery_app import app\n"
        f"app.conf.broker_transport_options = dict(data_folder_in={str(tmp_path / 'queue')!r}, "
        f"data_folder_out={str(tmp_path / 'queue')!r}, control_folder={str(tmp_path / 'control')!r})\n"
    )
    ask_for = (
        "import sys\nfrom worker import app\nfrom celery_app import speak\nfrom celery import group\n"
        "texts = sys.argv[2:]\n"
        "results = group(speak.s(text, f'{sys.argv[1]}/{n}.wav') for n, text in enumerate(texts)).apply_async()\n"
        f"print(results.get(timeout={BOUND}, interval=0.05))\n"
    )
    with serving() as server:
        env = environment(
            server,
            CELERY_BROKER_URL="filesystem://",
            CELERY_RESULT_BACKEND=f"file://{tmp_path / 'results'}",
            PYTHONPATH=os.pathsep.join(map(str, (ROOT, EXAMPLES, tmp_path))),
        )
        command = [sys.executable, "-m", "celery", "--app", "worker", "worker", "--pool", pool, "--concurrency", "2"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with Program(command, tmp_path / "log", env=env) as program:
            asked = subprocess.run(
                [sys.executable, "-c", ask_for, str(tmp_path), *TEXTS], env=env, capture_output=True, text=True,
                timeout=2 * BOUND, check=False,
            )  # fmt: skip
            assert asked.returncode == 0, asked.stderr
            for number, text in enumerate(TEXTS):
                with wave.open(str(tmp_path / f"{number}.wav")) as file:
                    assert file.readframes(file.getnframes()) == expected[text]
            assert 1 <= len(server.handshakes) <= 2
            program.stop()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("dask_map", marks=needs("distributed")),
        pytest.param("joblib_map", marks=needs("joblib")),
    ],
)
def test_maps(name: str, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    with serving() as server:
        run = subprocess.run(
            [sys.executable, f"{name}.py", tmp_path / "texts.txt", tmp_path], cwd=EXAMPLES, env=environment(server),
            capture_output=True, text=True, timeout=2 * BOUND, check=False,
        )  # fmt: skip
        assert (run.returncode, run.stderr) == (0, ""), run.stderr
        assert 1 <= len(server.handshakes) <= 2
    seconds = 0.0
    for number in range(len(TEXTS)):
        with (tmp_path / f"{number:05}.wav").open("rb") as file:
            file.seek(0, os.SEEK_END)
            seconds += file.tell() / 4 / 44100
    assert run.stdout == f"{seconds:.1f} seconds of audio\n"


@needs("opentelemetry")
def test_telemetry(plain: LocalServer) -> None:
    """With the exporter of its SDK where that is installed; by the API alone it says nothing, and does no harm."""
    program = (
        "import runpy\n"
        "try:\n"
        "    from opentelemetry.sdk import metrics as sdk\n"
        "    from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "except ImportError:\n"
        "    reader = None\n"
        "else:\n"
        "    from opentelemetry import metrics\n"
        "    reader = InMemoryMetricReader()\n"
        "    metrics.set_meter_provider(sdk.MeterProvider([reader]))\n"
        "runpy.run_path('telemetry.py', run_name='__main__')\n"
        "if reader:\n"
        "    data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics\n"
        "    print(sorted(each.name for each in data))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=EXAMPLES, env=environment(plain), capture_output=True, text=True,
        timeout=BOUND, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    lines = run.stdout.splitlines()
    assert re.fullmatch(r"\d\.\d\d s", lines[0])
    if importlib.util.find_spec("opentelemetry.sdk") is not None:
        assert lines[1] == "['tts.audio', 'tts.characters', 'tts.first_audio', 'tts.waited_for_slot']"


def test_the_examples_are_short() -> None:
    examples = sorted(EXAMPLES.glob("*.py"))
    assert examples
    for example in examples:
        most = {"echo_bot.py": 65, "twilio_stream.py": 60, "voice_bot.py": 65}.get(example.name, 30)
        assert len(example.read_text().splitlines()) <= most, example.name
