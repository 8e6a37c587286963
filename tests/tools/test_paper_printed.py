"""The paper's figures: reading them, rounding intervals, slips, and the audit's command."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mixmerge.core.errors import UserError
from mixmerge.report.paper_tables import read_results, read_scale
from paper_audit import typos
from paper_audit.__main__ import main
from paper_audit.printed import HALF_PERCENT, METRICS
from paper_audit.rounding import around, baselines, percents

HALF = Fraction(1, 2000)


def test_no_rounding_is_taken_for_a_fault() -> None:
    """Whatever the unrounded scores, the percentage they give follows from their prints."""
    draw = random.Random(0)
    for _ in range(3000):
        value, baseline = (Fraction(draw.randint(1_000_000, 99_000_000), 10**8) for _ in "ab")
        change = round(100 * (value / baseline - 1), 2)
        shown = [round(number, 3) for number in (value, baseline)]
        possible = percents(*(around(number, HALF) for number in shown))
        assert possible.meets(around(change, HALF_PERCENT))
        assert around(shown[1], HALF).meets(baselines(around(shown[0], HALF), change))


def test_interval_is_no_wider_than_it_must_be() -> None:
    value, baseline = Fraction("0.671"), Fraction("0.756")
    possible = percents(around(value, HALF), around(baseline, HALF))
    # 0.6705 / 0.7565 and 0.6715 / 0.7555, by hand: -11.368... and -11.118...
    assert (round(float(possible.low), 3), round(float(possible.high), 3)) == (-11.368, -11.118)
    assert possible.meets(around(Fraction("-11.37"), HALF_PERCENT))
    assert not possible.meets(around(Fraction("-11.38"), HALF_PERCENT))
    assert not possible.meets(around(Fraction("-11.11"), HALF_PERCENT))


def test_difference_over_another_divisor_takes_the_right_ends() -> None:
    def span(low: str, high: str) -> tuple[float, float]:
        found = percents(
            around(Fraction(low), HALF), around(Fraction(high), HALF), around(Fraction(1, 2), HALF)
        )
        return round(float(found.low), 3), round(float(found.high), 3)

    most, least = round(100 * 0.101 / 0.4995, 3), round(100 * 0.099 / 0.5005, 3)
    assert (span("0.4", "0.3"), span("0.3", "0.4")) == ((least, most), (-most, -least))
    assert span("0.3", "0.3") == (round(-100 * 0.001 / 0.4995, 3), round(100 * 0.001 / 0.4995, 3))


def test_slips() -> None:
    assert list(typos.without_a_digit(Fraction("-11.11"), 2)) == [Fraction("-1.11")] * 2
    assert list(typos.without_a_digit(Fraction("1.11"), 2)) == []
    found = list(typos.with_another_digit(Fraction("-2.14"), 2))
    assert len(found) == len(set(found)) == 18
    assert found[0] == Fraction("-2.10") and Fraction("-2.84") in found
    assert typos.printed(Fraction("0.64"), 3) == "0.640"
    assert typos.signed(Fraction("-1.255"), 2) == "−1.26"  # exact, unlike the float
    assert typos.signed(Fraction("-0.001"), 2) == "0.00"


def test_the_shipped_files_are_read_whole(root: Path) -> None:
    lines = read_results(root / "resources/paper/paper_results.csv")
    assert len(lines) == 180
    assert {line.table for line in lines} == set("356789")
    assert lines[0].values["humaneval_plus"] == Fraction(64, 100)
    assert list(lines[0].values) == list(METRICS)
    shares = read_scale(root / "resources/paper/paper_data_scale.csv")
    assert [share.percent for share in shares] == [25, 50, 100] * 4


@pytest.mark.parametrize(
    ("read", "name", "old", "new", "message"),
    [
        (read_results, "results", "mbpp_plus_pct", "mbpp_plus", "no column 'mbpp_plus_pct'"),
        (read_results, "results", ",0.701,", ",0.7O1,", ":2: Invalid literal for Fraction: '0.7O"),
        (read_results, "results", "-7.28,", ",", ":2: Invalid literal for Fraction: ''"),
        (read_scale, "data_scale", ",0.0635", "", ":7: Invalid literal for Fraction: ''"),
    ],
)
def test_a_damaged_file_is_named_with_line_and_column(
    root: Path, tmp_path: Path, read: Any, name: str, old: str, new: str, message: str
) -> None:
    text = (root / f"resources/paper/paper_{name}.csv").read_text(encoding="utf-8")
    damaged = tmp_path / "damaged.csv"
    damaged.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read(damaged)
    assert str(damaged) in str(caught.value) and message in str(caught.value)


@pytest.mark.slow
def test_the_command_writes_page_and_findings_and_says_what_it_found(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"--out": "docs/paper-audit.md", "--findings": "resources/paper/paper_audit.csv"}
    made = {option: tmp_path / Path(name).name for option, name in files.items()}
    arguments = [str(part) for pair in made.items() for part in pair]
    monkeypatch.setattr("sys.argv", ["paper_audit", *arguments])
    main()
    assert "130 of 1,440 percentages are far off" in capsys.readouterr().out
    for option, name in files.items():
        assert made[option].read_bytes() == (root / name).read_bytes(), "run `make docs`"
    monkeypatch.setattr("sys.argv", ["paper_audit", *arguments, "--results", str(tmp_path / "no")])
    with pytest.raises(UserError, match=r"/no: file not found; restore it from git"):
        main()
