"""The objects of voice agents: the agents themselves, their deployments and metrics; see ``core``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Optional

from .base import Record
from .calls import AgentTranscript


class GitRepository(Record):
    """Where an agent's code lies.

    Attributes:
        account: Whose repository it is.
        name: The repository's.
        provider: Such as GitHub.
    """

    account: str
    name: str
    provider: str


class PhoneNumber(Record):
    """A telephone number, as an agent's summary names it.

    Attributes:
        id: Its own.
        number: With the country's code.
    """

    id: str
    number: str


class AgentSummary(Record):
    """A voice agent.

    Attributes:
        id: Its own.
        name: By which the service's command line knows it too.
        tts_language: What it speaks.
        tts_voice: The id of the voice that it speaks with.
        deployment_count: How often it was deployed.
        has_text_to_agent_run: Whether there is a text-to-agent run of it.
        created_at: When it was made.
        updated_at: When it was last changed.
        deleted_at: When it was deleted.
        description: A sentence or more.
        git_deploy_branch: The branch that is deployed.
        git_repository: Where its code lies.
        phone_numbers: Where it can be called; at most one at present.
        webhook_id: The webhook that is notified of its calls.
    """

    id: str
    name: str
    tts_language: str
    tts_voice: str
    deployment_count: int
    has_text_to_agent_run: bool
    created_at: datetime
    updated_at: datetime
    deleted_at: Optional[datetime] = None
    description: Optional[str] = None
    git_deploy_branch: Optional[str] = None
    git_repository: Optional[GitRepository] = None
    phone_numbers: Optional[list[PhoneNumber]] = None
    webhook_id: Optional[str] = None


class AgentListResponse(Record):
    """All agents.

    Attributes:
        summaries: One an agent.
    """

    summaries: list[AgentSummary]


class AgentListPhoneNumbersResponseItem(Record):
    """A telephone number of an agent.

    Attributes:
        agent_id: The agent's.
        number: With the country's code.
        is_cartesia_managed: Whether the service provides it; always so at present.
        created_at: When the agent got it.
        updated_at: When it was last changed.
    """

    agent_id: str
    number: str
    is_cartesia_managed: bool
    created_at: datetime
    updated_at: datetime


AgentListPhoneNumbersResponse = list[AgentListPhoneNumbersResponseItem]


class Template(Record):
    """An agent to begin with.

    Attributes:
        id: Its own.
        name: For people.
        owner_id: Whose it is.
        repo_url: The Git repository with its code.
        root_dir: The code's folder in there.
        created_at: When it was made.
        updated_at: When it was last changed.
        dependencies: What it needs.
        description: A sentence or more.
        required_env_vars: The environment variables that have to be set for it.
    """

    id: str
    name: str
    owner_id: str
    repo_url: str
    root_dir: str
    created_at: datetime
    updated_at: datetime
    dependencies: Optional[list[str]] = None
    description: Optional[str] = None
    required_env_vars: Optional[list[str]] = None


class AgentListTemplatesResponse(Record):
    """All templates.

    Attributes:
        templates: One each.
    """

    templates: list[Template]


class Deployment(Record):
    """One state of an agent's code, built and put to work.

    Attributes:
        id: Its own.
        agent_id: The agent's.
        status: ``queued``, ``building``, ``build_error``, ``deploy_error``, ``deployed``, ``inactive`` or ``skipped``.
        is_live: Whether it takes the agent's calls; one of an agent's does.
        is_pinned: Whether it is the one that is meant to be active, be it live or not; one of an agent's is.
        git_commit_hash: The commit.
        source_code_file_id: The file with the code.
        env_var_collection_id: Its environment variables.
        created_at: When it was asked for.
        updated_at: When it was last changed.
        build_started_at: When building began.
        build_completed_at: When building ended.
        build_logs: What building said.
        deployment_started_at: When putting it to work began.
        deployment_completed_at: When that ended.
        build_error: What went wrong in building.
        deployment_error: What went wrong in putting it to work.
    """

    id: str
    agent_id: str
    status: str
    is_live: bool
    is_pinned: bool
    git_commit_hash: str
    source_code_file_id: str
    env_var_collection_id: str
    created_at: datetime
    updated_at: datetime
    build_started_at: datetime
    build_completed_at: datetime
    build_logs: str
    deployment_started_at: datetime
    deployment_completed_at: datetime
    build_error: Optional[str] = None
    deployment_error: Optional[str] = None


DeploymentListResponse = list[Deployment]


class Metric(Record):
    """Something that calls are judged by.

    Attributes:
        id: Its own.
        name: By which the service's command line knows it too.
        prompt: What to look for, and how to judge it.
        created_at: When it was made.
        display_name: For people.
    """

    id: str
    name: str
    prompt: str
    created_at: datetime
    display_name: Optional[str] = None


class MetricListResponse(Record):
    """Some of the metrics; unlike other lists it does not get its next page by itself, as in the official client.

    Attributes:
        data: The metrics.
        has_more: Whether there are more.
        next_page: What ``starting_after=`` takes to get them.
    """

    data: list[Metric]
    has_more: bool
    next_page: Optional[str] = None


class ResultListResponse(Record, rename="camel"):
    """How a call was judged by a metric; its names have humps in the service's JSON, such as ``agentId``.

    Attributes:
        id: Its own.
        agent_id: The agent's.
        call_id: The call's.
        deployment_id: The deployment's that took the call.
        metric_id: The metric's.
        metric_name: The metric's too.
        status: ``completed`` or ``failed``.
        result: The judgement as text.
        summary: A short account of the call.
        created_at: When it was judged.
        json_result: The judgement as JSON.
        run_id: The run that it was part of.
        transcript: The call's turns.
        value: The judgement's value: a number, a text, or whatever the metric gives.
    """

    id: str
    agent_id: str
    call_id: str
    deployment_id: str
    metric_id: str
    metric_name: str
    status: str
    result: str
    summary: str
    created_at: datetime
    json_result: Optional[dict[str, Any]] = None
    run_id: Optional[str] = None
    transcript: Optional[list[AgentTranscript]] = None
    value: Any = None
