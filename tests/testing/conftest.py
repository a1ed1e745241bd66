"""A user's project, for tests of what users see."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.users_project import UsersProject


@pytest.fixture
def project(tmp_path: Path) -> UsersProject:
    return UsersProject(tmp_path)
