from __future__ import annotations

from collections.abc import Iterator

import pytest

from cartesia_sync import Cartesia

from ..support.rest_service import Service


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def _service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def service(_service: Service) -> Service:
    _service.will_answer({})
    return _service


@pytest.fixture
def client(service: Service) -> Iterator[Cartesia]:
    with Cartesia(api_key="sk_car_resources", base_url=service.url, max_retries=0) as client:
        yield client
