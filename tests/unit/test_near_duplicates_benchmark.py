"""The benchmark of near duplicates prints a table of what it planted."""

import sys

from benchmarks import near_duplicates


def test_the_table_has_the_recall_of_each_kind_of_copy(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["near_duplicates", "--images", "60", "--copies", "5"])
    near_duplicates.main()
    header, _, row = capsys.readouterr().out.splitlines()
    assert header.startswith("| of 60 images | mirrored | JPEG, quality 50 to 90 | mirrored and JPEG |")
    assert row.startswith("| drawn | 100.0 % | 100.0 % | 100.0 % | 0.00 |")
