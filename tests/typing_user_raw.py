"""As typing_user.py: a user's program, of answers with their headers and of answers as dicts."""

from __future__ import annotations

from typing import Any, Optional

from cartesia_sync import APIConnectionError, APIResponse, APIStatusError, Cartesia
from cartesia_sync.types import Dataset, GetStatusResponse, RawOutputFormatParam, TTSSSEEvent, Voice, WebsocketResponse

RAW: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}


def raw(client: Cartesia) -> Voice:
    got = client.voices.with_raw_response.get("v", timeout=5)
    again: APIResponse[Voice] = got
    named: Optional[str] = got.headers.get("x-request-id")
    code: int = got.status_code
    print(named, code, again.text(), got.json(), got.method, got.url)
    page = client.voices.with_raw_response.list(limit=1).parse()
    first: Voice = page.data[0]
    print(first, page.next_page_info())
    status: GetStatusResponse = client.with_raw_response.get_status().parse()
    dataset: Dataset = client.datasets.with_raw_response.create(name="n", description="d").parse()
    wrong: Dataset = got.parse()  # refused
    client.voices.with_raw_response.get()  # refused
    client.voices.with_raw_response.gets("v")  # refused
    client.voices.with_raw_response.list(limit="one")  # refused
    print(status.ok, dataset.id, wrong)
    return got.parse()


def streamed(client: Cartesia) -> bytes:
    with client.voices.with_streaming_response.list(limit=1) as response:
        for line in response.iter_lines():
            print(line.upper())
        for name in response.headers:
            print(name)
    with client.tts.with_streaming_response.generate(
        model_id="m", output_format=RAW, transcript="a", voice="v"
    ) as response:
        response.stream_to_file("a.pcm")
        return b"".join(response.iter_bytes(1024))


def events(client: Cartesia) -> None:
    answer = client.tts.with_raw_response.generate_sse(model_id="m", output_format=RAW, transcript="a", voice="v")
    for event in answer.parse():
        one: TTSSSEEvent = event
        print(one.type)


def as_dicts(voice: Voice, event: WebsocketResponse) -> dict[str, Any]:
    text: str = voice.to_json()
    plain: dict[str, object] = voice.to_dict()
    print(text, plain, voice.model_dump_json(), voice.model_fields_set, event.to_dict(), event.model_dump())
    return voice.model_dump()


def sent(client: Cartesia) -> tuple[dict[str, str], Any]:
    print(client.default_headers)
    try:
        client.voices.list()
    except APIStatusError as refused:
        print(refused.response.status_code, refused.response.headers.get("x"), refused.response.text)
        print(refused.response.json(), refused.request.method)
    except APIConnectionError as unreachable:
        print(unreachable.request.method, unreachable.request.url)
    return client.auth_headers, None
