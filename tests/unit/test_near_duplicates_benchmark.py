"""The benchmark of near duplicates prints a table of what it planted."""

import sys

from benchmarks import near_duplicates


def test_the_table_has_the_recall_of_each_kind_of_copy(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["near_duplicates", "--images", "60", "--copies", "5"])
    near_duplicates.main()
    header, _, row = capsys.readouterr().out.splitlines()
    assert header.startswith("| of 60 images | mirrored | JPEG, quality 50 to 90 | mirrored and JPEG |")
    assert row.startswith("| drawn | 100.0 % | 100.0 % | 100.0 % | 0.00 |")


def test_each_hash_has_its_limit_and_the_other_pairs_that_it_finds(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["near_duplicates", "--hashes", "--images", "40", "--copies", "3"])
    near_duplicates.main()
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in near_duplicates.HASHES]
    assert rows[0].endswith(" | 0 |")


def test_the_whole_data_are_searched_without_exact_copies(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["near_duplicates", "--whole", "--images", "60"])
    near_duplicates.main()
    assert capsys.readouterr().out.splitlines()[2].startswith("| 60 | 0 | 1 | 0 | ")
