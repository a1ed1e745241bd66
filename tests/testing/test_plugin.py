"""The pytest plugin, as its users have it: by the entry point, in a project of their own."""

from __future__ import annotations

import pytest

from cartesia_sync.local import LocalServer

from ..support.users_project import UsersProject

SPEECH = """
    from cartesia_sync import Cartesia

    VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
    FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}


    def say(text, client=None):
        with (client or Cartesia()).tts.websocket_connect() as connection:
            context = connection.context(model_id="sonic-latest", voice=VOICE, output_format=FORMAT)
            context.push(text, continue_=False)
            return context.audio()
"""


def test_a_flask_app_of_three_files_is_green_without_a_key(project: UsersProject) -> None:
    pytest.importorskip("flask")
    project.write(
        app="""
            from flask import Flask, current_app, request

            from cartesia_sync import Cartesia


            def create_app(client=None):
                app = Flask(__name__)
                app.config["speech"] = client or Cartesia()

                @app.get("/speak")
                def speak():
                    audio = current_app.config["speech"].tts.generate(
                        model_id="sonic-latest",
                        transcript=request.args["text"],
                        voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
                        output_format={"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000},
                    )
                    return audio.read(), {"Content-Type": "audio/wav"}

                return app
        """,
        conftest="""
            import pytest

            from app import create_app


            @pytest.fixture
            def web(cartesia):
                return create_app(cartesia).test_client()
        """,
        test_app="""
            from app import create_app


            def test_it_speaks(web, cartesia):
                answer = web.get("/speak?text=Hello.")
                assert answer.status_code == 200
                assert answer.data[:4] == b"RIFF"
                assert cartesia.server.spoken == ["Hello."]


            def test_a_client_of_the_apps_own_is_led_to_the_server(cartesia_server):
                assert create_app().test_client().get("/speak?text=Bye.").status_code == 200
                assert cartesia_server.spoken == ["Bye."]
        """,
    )
    assert "2 passed" in project.run("-W", "error", "--cartesia-block-network")


def test_two_workers_of_xdist_share_nothing(project: UsersProject) -> None:
    project.write(
        speech=SPEECH,
        test_speech="""
            import pytest

            from speech import say


            @pytest.mark.parametrize("number", range(6))
            def test_it(cartesia, number):
                say(f"Number {number}.")
                assert cartesia.server.spoken == [f"Number {number}."]
        """,
    )
    assert "6 passed" in project.run("-n", "2")


def test_a_run_that_uses_no_fixture_loads_nothing_of_the_client(project: UsersProject) -> None:
    project.write(
        test_nothing="""
            import sys

            import pytest


            def test_what_is_loaded(request):
                assert request.config.pluginmanager.hasplugin("cartesia_sync.testing.plugin")
                ours = {name for name in sys.modules if name.startswith("cartesia_sync")}
                assert ours == {
                    "cartesia_sync",
                    "cartesia_sync._version",
                    "cartesia_sync.testing",
                    "cartesia_sync.testing.plugin",
                }
                assert not {"aiohttp", "numpy", "msgspec", "requests"} & set(sys.modules)
        """
    )
    assert "1 passed" in project.run("--strict-markers", "--strict-config")


@pytest.mark.parametrize("name", ["cartesia_sync.testing", "cartesia_sync.testing.plugin"])
def test_it_can_be_named_where_entry_points_are_switched_off(project: UsersProject, name: str) -> None:
    project.write(test_one="def test_one(cartesia_client):\n    assert cartesia_client.server.spoken == []\n")
    assert "1 passed" in project.run("-p", name)
    assert "1 passed" in project.run("-p", name, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def test_options_of_the_server_and_the_engine(project: UsersProject) -> None:
    project.write(
        test_options="""
            import pytest

            pytestmark = pytest.mark.cartesia_server(concurrency_limit=7, idle_timeout=9)


            @pytest.mark.cartesia_server(idle_timeout=11)
            def test_the_closest_marker_counts(cartesia_server, pytestconfig):
                options = cartesia_server._options
                assert (options.concurrency_limit, options.idle_timeout) == (7, 11)
                assert options.engine == pytestconfig.getoption("--cartesia-engine")
        """,
    )
    assert "1 passed" in project.run()
    assert "1 passed" in project.run("--cartesia-engine=auto")


def test_the_network_can_be_forbidden(project: UsersProject) -> None:
    project.write(
        test_network="""
            import socket

            import pytest

            from cartesia_sync import Cartesia
            from cartesia_sync.testing import NetworkForbiddenError


            @pytest.mark.parametrize("host", ["192.0.2.1", "api.example"])
            def test_nothing_leaves(host):
                with pytest.raises(NetworkForbiddenError, match=host):
                    socket.create_connection((host, 443), timeout=0.1)
                client = Cartesia(api_key="any", base_url=f"https://{host}")
                with pytest.raises(NetworkForbiddenError, match=host):
                    client.get_status()
                with pytest.raises(NetworkForbiddenError, match=host):
                    client.tts.websocket_connect().enter()


            def test_what_is_here_is_reached(cartesia):
                assert cartesia.get_status().ok
        """
    )
    assert "3 passed" in project.run("--cartesia-block-network")


def test_unittest_and_a_with_block_need_no_pytest(project: UsersProject) -> None:
    project.write(
        speech=SPEECH,
        test_case="""
            import sys
            import unittest

            from cartesia_sync.testing import CartesiaTestCase, local_client
            from speech import say


            class SpeechTest(CartesiaTestCase):
                server_options = {"concurrency_limit": 3}

                def test_it(self):
                    say("Hello.", self.cartesia)
                    self.assertEqual(self.cartesia.server.spoken, ["Hello."])

                def test_each_has_its_own(self):
                    self.assertEqual(self.cartesia.server.spoken, [])


            class Forgetful(CartesiaTestCase):
                def setUp(self):
                    pass

                def test_it(self):
                    say("Hello.", self.cartesia)
                    self.assertEqual(self.cartesia.server.spoken, ["Hello."])


            class Block(unittest.TestCase):
                def test_it(self):
                    with local_client() as client:
                        say("One.")
                        self.assertEqual(client.server.spoken, ["One."])
                    self.assertNotIn("pytest", sys.modules)
        """,
    )
    assert "Ran 4 tests" in project.python("-m", "unittest", "test_case")


TAPED = """
    import os

    import pytest

    from speech import say

    TEXT = os.environ.get("TEXT", "Hello.")


    @pytest.mark.cartesia_tape("greeting")
    def test_by_the_client(cartesia):
        assert len(say(TEXT, cartesia)) > 1000
        assert cartesia.server.spoken == [TEXT]


    @pytest.mark.cartesia_tape
    @pytest.mark.parametrize("number", range(3))
    def test_by_a_client_of_its_own(number):
        assert len(say(f"Number {number}.")) > 1000


    def test_without_a_tape(cartesia):
        assert len(say("No tape.", cartesia)) > 1000
"""


def test_a_tape_is_recorded_once_and_replayed_ever_after(project: UsersProject) -> None:
    project.write(speech=SPEECH, test_taped=TAPED)
    with LocalServer(engine="signal") as server:
        missing = project.run("--cartesia-record=none", status=1)
        assert "TapeError: there is no tape" in missing
        service = f"--cartesia-service={server.url}"
        assert "5 passed" in project.run(service, "-n", "2", CARTESIA_API_KEY="never-on-a-tape")
        assert len(server.handshakes) == 4
        assert all(each.headers["Authorization"] == "Bearer never-on-a-tape" for each in server.handshakes)
    tapes = sorted(path.parent.relative_to(project.folder) for path in project.folder.rglob("tape.jsonl"))
    assert [str(path) for path in tapes] == ["tapes/greeting"] + [
        f"tapes/test_taped/test_by_a_client_of_its_own-{number}" for number in range(3)
    ]
    for path in project.folder.rglob("*"):
        assert not path.is_file() or b"never-on-a-tape" not in path.read_bytes()
    assert "5 passed" in project.run("--cartesia-block-network", "--cartesia-record=none", "-W", "error")


def test_a_test_that_differs_from_its_tape_fails_with_the_difference(project: UsersProject) -> None:
    project.write(speech=SPEECH, test_taped=TAPED)
    with LocalServer(engine="signal") as server:
        project.run(f"--cartesia-service={server.url}")
    printed = project.run(status=1, TEXT="Goodbye.")
    assert "1 failed, 4 passed" in printed
    assert "TapeMismatchError: A context is not on the tape: the closest on the tape differs" in printed
    assert "-  Hello." in printed
    assert "testing/tapes" not in printed  # none of the proxy's frames
    assert "+  Goodbye." in printed


def test_the_recording_of_a_failed_test_is_not_kept(project: UsersProject) -> None:
    project.write(
        speech=SPEECH,
        test_taped="""
            import pytest

            from speech import say


            @pytest.mark.cartesia_tape("failed")
            def test_it(cartesia):
                say("Hello.", cartesia)
                assert cartesia.server.spoken == ["Bye."]
        """,
    )
    with LocalServer(engine="signal") as server:
        assert "1 failed" in project.run(f"--cartesia-service={server.url}", status=1)
    assert not (project.folder / "tapes").exists()
    printed = project.run("--cartesia-block-network", status=1, CARTESIA_API_KEY="a-key-of-ours")
    assert "api.cartesia.ai cannot be reached to record from: --cartesia-block-network" in printed
