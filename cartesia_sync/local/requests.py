"""What the client sends: its WebSocket messages and the bodies of its HTTP requests, read and checked.

Pure. Written from the service's documents alone, and shares no code with the client: a mistake in one of the two
readings shows in the tests, instead of cancelling out.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

from .voice.audio_format import ENCODINGS, SAMPLE_RATES_HZ, AudioFormat
from .voice.speech import LANGUAGES, REGIONS, Voice, choose_voice
from .voice.transcript import has_words

__all__ = [
    "FIRST_STRUCTURED_VERSION",
    "NEWEST_VERSION",
    "ApiError",
    "CancelRequest",
    "GenerationRequest",
    "RequestRules",
    "audio_format_of",
    "check_first",
    "invalid_request",
    "is_at_least",
    "parse_json",
    "parse_message",
    "parse_speech",
    "text_of",
    "unknown_status",
    "voice_id_of",
    "weight_of",
]

NEWEST_VERSION = "2026-08-14"
FIRST_STRUCTURED_VERSION = "2026-03-01"

# Those of the documents, dated ones, and those that will follow them.
_MODEL = re.compile(r"sonic-(?:latest|preview|\d+(?:\.\d+)?(?:-\d{4}-\d\d-\d\d)?)")
_SUNSETTED_MODEL = re.compile(r"sonic(?:-english|-multilingual|-turbo|-2)?(?:-\d{4}-\d\d-\d\d)?")
# Those of the official client's types, and the one that only the documents have.
_EMOTIONS = frozenset(
    re.findall(
        r"\S+",
        """
        neutral happy excited enthusiastic elated euphoric triumphant amazed surprised flirtatious curious content
        peaceful serene calm grateful affectionate trust sympathetic anticipation mysterious angry mad outraged
        frustrated agitated threatened disgusted contempt envious sarcastic ironic sad dejected melancholic disappointed
        hurt guilty bored tired rejected nostalgic wistful apologetic hesitant insecure confused resigned anxious
        panicked alarmed scared proud confident distant skeptical contemplative determined joking/comedic
        """,
    )
)
_CONTEXT_ID = re.compile(r"[A-Za-z0-9_-]+")
_REGIONAL = re.compile(r"([a-z]{2})-(?:[A-Z]{2}|[0-9]{3})")
_LANGUAGES_LISTED = ", ".join(sorted(LANGUAGES))
_VOLUMES, _SPEEDS = (0.5, 2.0), (0.6, 1.5)
_BUFFER_DELAYS_MS = (0, 5000)
_DURATIONS = (0.001, 3600.0)  # seconds; the service names no bounds
_BIT_RATES = (32000, 64000, 96000, 128000, 192000)
_MOST_TRANSCRIPT = 1024**2
_MOST_CONTEXT_ID = 256
_MOST_SAID = 500  # characters of an error's message, which may repeat what was sent
_MOST_VALUES = 100_000
_DECODER = json.JSONDecoder()
_COUNTED_BYTES = 32 * 1024  # in less there are too few values to matter


class ApiError(Exception):
    """A request that cannot be granted. The client gets it as an error event or an HTTP error.

    Attributes: ``status``, ``title``, ``message``, ``error_code`` or None, ``context_id`` or None if it is not known,
    and ``headers`` that go with it over HTTP.
    """

    def __init__(
        self,
        status: int,
        title: str,
        message: str,
        *,
        error_code: Optional[str] = None,
        context_id: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        if len(message) > _MOST_SAID:
            message = f"{message[:_MOST_SAID]}..."
        super().__init__(f"{status} {title}: {message}")
        self.status = status
        self.title = title
        self.message = message
        self.error_code = error_code
        self.context_id = context_id
        self.headers = headers or {}


def invalid_request(message: str) -> ApiError:
    """Return the error for a request that is not what the protocol asks for."""
    return ApiError(400, "Invalid request", message)


@dataclass(frozen=True)
class GenerationRequest:
    """A request to speak, checked. ``None`` stands for what was not given, and ``""`` for no context."""

    context_id: str
    transcript: str
    model_id: str
    voice: Voice
    audio_format: AudioFormat
    continue_: bool
    flush: bool
    max_buffer_delay: Optional[float]  # seconds
    add_timestamps: bool
    add_phoneme_timestamps: bool
    speed: float
    volume: float
    pronunciation_dict_id: Optional[str] = None


@dataclass(frozen=True)
class CancelRequest:
    """A request to stop speaking."""

    context_id: str


@dataclass(frozen=True)
class RequestRules:
    """How requests are read: what the options of the server's user say, and which voices there are.

    The first three are those of ``ServerOptions``. ``has_voice`` is asked whether there is a voice with this id.
    """

    strict_context_ids: bool = True
    strict_first_transcript: bool = True
    regional_languages: bool = True
    has_voice: Callable[[uuid.UUID], bool] = lambda _: True


_DEFAULT_RULES = RequestRules()


def parse_json(data: Union[str, bytes]) -> Any:
    """Return the value of a JSON text.

    Not more than 100,000 values are made: of 16 MiB of ``[[],[],...`` there would be half a gigabyte.

    Raises:
        ValueError: It is none, or has more values than that.
        RecursionError: It is too deep.
    """
    if len(data) > _COUNTED_BYTES:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        _check_count(text)
        return json.loads(text)
    return json.loads(data)


def weight_of(value: object) -> int:
    """Return about how many bytes of memory a value takes that was made of JSON or of a form."""
    total, left = 0, [value]
    while left:
        each = left.pop()
        total += sys.getsizeof(each)
        if isinstance(each, Mapping):
            left += each.keys()
            left += each.values()
        elif isinstance(each, (list, tuple)):
            left += each
    return total


def _check_count(text: str) -> None:
    count = position = 0
    while position < len(text):
        quote = text.find('"', position)
        end = quote if quote >= 0 else len(text)
        for start in range(position, end, _COUNTED_BYTES):
            piece = text[start : min(end, start + _COUNTED_BYTES)]
            count += piece.count(",") + piece.count("[") + piece.count("{")
            if count > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES} values")
        if quote < 0:
            return
        count += 1
        _, position = _DECODER.raw_decode(text, quote)  # a string


def parse_message(
    message: object, version: str, rules: RequestRules = _DEFAULT_RULES
) -> Union[GenerationRequest, CancelRequest]:
    """Check a message of a WebSocket.

    Args:
        message: Its decoded JSON.
        version: The API version of the connection.
        rules: How to read it.

    Raises:
        ApiError: It is not what the protocol asks for. Names the context if the message does.
    """
    if not isinstance(message, dict):
        raise invalid_request("A request is a JSON object.")
    context_id = message.get("context_id")
    if not isinstance(context_id, str) or not context_id:
        raise invalid_request("context_id is required, as a string.")
    if len(context_id) > _MOST_CONTEXT_ID:  # it would be in each event
        raise ApiError(400, "Invalid context_id", f"context_id has {_MOST_CONTEXT_ID} characters at most.")
    try:
        if rules.strict_context_ids and not _CONTEXT_ID.fullmatch(context_id):
            raise ApiError(400, "Invalid context_id", "Only letters, digits, '_' and '-' are allowed in it.")
        if _flag(message, "cancel"):
            return CancelRequest(context_id)
        return _generation(message, context_id, version, rules, ("raw",))
    except ApiError as exc:
        exc.context_id = context_id
        raise


def parse_speech(
    message: Mapping[str, Any], version: str, rules: RequestRules, containers: Sequence[str]
) -> GenerationRequest:
    """Check the body of an HTTP request for speech.

    Args:
        message: Its decoded JSON.
        version: The API version of the request.
        rules: How to read it.
        containers: The containers that it may ask for: of ``"raw"``, ``"wav"``, ``"mp3"``.

    Raises:
        ApiError: It is not what the protocol asks for. Names no context.
    """
    context_id = message.get("context_id")
    if context_id is not None and not isinstance(context_id, str):
        raise invalid_request("context_id is a string.")
    if context_id is not None and len(context_id) > _MOST_CONTEXT_ID:
        raise ApiError(400, "Invalid context_id", f"context_id has {_MOST_CONTEXT_ID} characters at most.")
    request = _generation(message, context_id or "", version, rules, containers)
    check_first(request, rules)
    return request


def check_first(request: GenerationRequest, rules: RequestRules) -> None:
    """Check that a text can be the first one, on which a context or an answer is built.

    Raises:
        ApiError: It has no letter and no digit.
    """
    if rules.strict_first_transcript and not has_words(request.transcript):
        raise ApiError(
            400,
            "Invalid transcript",
            "No valid transcripts passed: the first transcript is empty or contains only punctuation.",
        )


def _generation(
    message: Mapping[str, Any], context_id: str, version: str, rules: RequestRules, containers: Sequence[str]
) -> GenerationRequest:
    model_id = text_of(message, "model_id")
    if _SUNSETTED_MODEL.fullmatch(model_id):
        raise ApiError(400, "Model sunsetted", f"{model_id!r} is no more.", error_code="model_sunsetted")
    if not _MODEL.fullmatch(model_id):
        raise ApiError(400, "Model not found", f"There is no model {model_id!r}.", error_code="model_not_found")
    transcript = text_of(message, "transcript")
    if len(transcript) > _MOST_TRANSCRIPT:
        raise ApiError(400, "Invalid transcript", f"A transcript has {_MOST_TRANSCRIPT} characters at most.")
    voice_id = voice_id_of(message.get("voice"), version, rules)
    language = _language(message, rules)
    config = message.get("generation_config")
    if config is None:
        config = {}
    elif not isinstance(config, dict):
        raise ApiError(400, "Invalid generation_config", "generation_config is an object.")
    emotion = config.get("emotion")
    if emotion is not None and not (isinstance(emotion, str) and emotion.lower() in _EMOTIONS):
        raise ApiError(400, "Invalid generation_config", "emotion is none of the service's.")
    _number(message, "duration", _DURATIONS)
    dictionary_id = message.get("pronunciation_dict_id")
    if dictionary_id is not None and not isinstance(dictionary_id, str):
        raise invalid_request("pronunciation_dict_id is a string.")
    delay_ms = _number(message, "max_buffer_delay_ms", _BUFFER_DELAYS_MS)
    return GenerationRequest(
        context_id=context_id,
        transcript=transcript,
        model_id=model_id,
        voice=choose_voice(voice_id, language),
        audio_format=audio_format_of(message.get("output_format"), containers),
        continue_=_flag(message, "continue"),
        flush=_flag(message, "flush"),
        max_buffer_delay=None if delay_ms is None else delay_ms / 1000,
        add_timestamps=_flag(message, "add_timestamps"),
        add_phoneme_timestamps=_flag(message, "add_phoneme_timestamps"),
        speed=_number(config, "speed", _SPEEDS) or 1.0,
        volume=_number(config, "volume", _VOLUMES) or 1.0,
        pronunciation_dict_id=dictionary_id,
    )


def text_of(message: Mapping[str, Any], name: str) -> str:
    """Return a string that has to be there.

    Raises:
        ApiError: It is missing or not a string.
    """
    value = message.get(name)
    if not isinstance(value, str):
        raise invalid_request(f"{name} is required, as a string.")
    return value


def _flag(message: Mapping[str, Any], field: str) -> bool:
    value = message.get(field)
    if value is not None and not isinstance(value, bool):
        raise invalid_request(f"{field} is a boolean.")
    return bool(value)


def _number(message: Mapping[str, Any], field: str, bounds: tuple[float, float]) -> Optional[float]:
    value = message.get(field)
    if value is None:
        return None
    # bool is an int in Python, and not in JSON.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not bounds[0] <= value <= bounds[1]:
        raise invalid_request(f"{field} is a number from {bounds[0]} to {bounds[1]}.")
    return value


def voice_id_of(voice: object, version: str, rules: RequestRules) -> uuid.UUID:
    """Return the id, from any of the three shapes; the service's documents do not tie a shape to a version.

    Raises:
        ApiError: It is not an id, or not that of a voice.
    """
    given = voice
    if isinstance(voice, dict):
        if voice.get("mode", "id") != "id":
            raise ApiError(400, "Invalid voice", "Only voices by id are supported.")
        given = voice.get("id")
    if not isinstance(given, str):
        raise ApiError(400, "Invalid voice", "voice is required, as an id or an object with an id.")
    try:
        voice_id = uuid.UUID(given)
    except ValueError:
        voice_id = None
    # uuid.UUID also reads braces, URNs and bare digits.
    if voice_id is None or str(voice_id) != given.lower() or not rules.has_voice(voice_id):
        raise ApiError(
            unknown_status(version),
            "Voice not found",
            f"There is no voice {given!r}.",
            error_code="voice_not_found",
        )
    return voice_id


def _language(message: Mapping[str, Any], rules: RequestRules) -> str:
    """Return one of ``LANGUAGES`` or, with a known region, of ``REGIONS``."""
    language, locale = message.get("language"), message.get("locale")
    if language is not None and locale is not None:
        raise invalid_request("language and locale exclude each other.")
    given = "en" if language is None and locale is None else locale if language is None else language
    if not isinstance(given, str):
        raise invalid_request("language and locale are strings.")
    if language is None:  # a locale: a language, and whatever follows it, in any case
        base, _, region = given.lower().partition("-")
    elif rules.regional_languages and _REGIONAL.fullmatch(given):
        base, _, region = given.partition("-")
    else:
        base, region = given, ""
    if base not in LANGUAGES:
        raise ApiError(
            400,
            "Language not supported",
            f"{given!r} is none of {_LANGUAGES_LISTED}.",
            error_code="language_not_supported",
        )
    regional = f"{base}-{region.upper()}"
    return regional if regional in REGIONS else base


def audio_format_of(value: object, containers: Sequence[str]) -> AudioFormat:
    """Check an ``output_format``. Outside of raw, what is not given has the service's default.

    Raises:
        ApiError: The server does not make this format.
    """
    if not isinstance(value, dict):
        raise ApiError(400, "Invalid output_format", "output_format is required, as an object.")
    container = value.get("container")
    if container not in containers:
        raise ApiError(400, "Invalid output_format", f"container is one of {', '.join(containers)}.")
    defaults = {} if container == "raw" else {"encoding": "pcm_s16le", "sample_rate": 44100, "bit_rate": 128000}
    given = {**defaults, **{key: setting for key, setting in value.items() if setting is not None}}
    if container == "mp3":
        given["encoding"] = "pcm_s16le"
    for name, known in (("encoding", ENCODINGS), ("sample_rate", SAMPLE_RATES_HZ)):
        _one_of(given, name, list(known))
    if container != "mp3":
        return AudioFormat(given["encoding"], given["sample_rate"], str(container))
    _one_of(given, "bit_rate", _BIT_RATES)
    return AudioFormat(given["encoding"], given["sample_rate"], "mp3", given["bit_rate"])


def _one_of(given: Mapping[str, Any], name: str, known: Sequence[Union[str, int]]) -> None:
    # In Python True is 1 and 8000.0 is 8000; not here.
    if type(given.get(name)) is not type(known[0]) or given[name] not in known:
        raise ApiError(
            400,
            "Invalid output_format",
            f"{name} is one of {', '.join(map(str, known))}.",
            error_code="unsupported_audio_format",
        )


def is_at_least(version: str, first: str) -> bool:
    """Whether an API version is this one or a later one. What is not a date counts as the newest."""
    # Dates in this form sort as text.
    return not re.fullmatch(r"\d{4}-\d\d-\d\d", version) or version >= first


def unknown_status(version: str) -> int:
    """Return the HTTP status for an unknown id in a request for speech."""
    return 404 if is_at_least(version, FIRST_STRUCTURED_VERSION) else 400
