"""The echo over the wire passes every case; see ``autobahn_like`` for what they are."""

from __future__ import annotations

import pytest

from ...support import autobahn_like
from ...support.autobahn_like import CASES, FAIL, NON_STRICT, OK, Case, run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_case_fails(case: Case) -> None:
    verdict, story = run(case)
    assert verdict == case.verdict, story


def test_every_chapter_but_compression_has_cases_and_few_pass_late() -> None:
    assert {case.chapter for case in CASES} == {1, 2, 3, 4, 5, 6, 7, 9, 10}
    late = [case.name for case in CASES if case.verdict == NON_STRICT]
    assert all("comes in pieces" in name for name in late)  # text is judged frame by frame, not byte by byte
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_case_that_is_not_met_fails_and_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hello, bye = autobahn_like.frame(b"Hello"), autobahn_like.BYE
    right = Case("1.1 right", (hello, bye), (autobahn_like.text(b"Hello"),))
    wrong = Case("2.1 wrong echo", (hello, bye), (autobahn_like.text(b"hello"),))
    late = Case("2.2 wrong code", (bye,), code=1002)
    assert [run(each)[0] for each in (right, wrong, late)] == [OK, FAIL, FAIL]
    monkeypatch.setattr(autobahn_like, "CASES", (right, wrong, late))
    autobahn_like.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["2.1 wrong echo", "2.2 wrong code"]
    assert [line.split() for line in lines[2:]] == [
        ["chapter", "ok", "non-strict", "fail"],
        ["1", "1", "0", "0"],
        ["2", "0", "0", "2"],
        ["all", "1", "0", "2"],
    ]
