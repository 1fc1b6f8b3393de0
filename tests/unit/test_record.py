"""`make lint` finds pages that quote another record than the committed one."""

import importlib.util

import project
import pytest

SPEC = importlib.util.spec_from_file_location("record", project.ROOT / ".ci/record.py")
record = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(record)

SHOWN = "# Title\n\n<!-- reports/ranking.md -->\n| cnn2 | 0.9000 |\n<!-- end of reports/ranking.md -->\n"


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A folder with a page that shows the record."""
    monkeypatch.setattr(record, "ROOT", tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/ranking.md").write_text("| cnn2 | 0.9000 |\n")
    (tmp_path / "README.md").write_text(SHOWN)
    return tmp_path


def test_a_page_that_shows_the_record_passes(pages):
    record.main()


def test_a_page_that_shows_an_earlier_record_fails_until_it_is_written_anew(pages):
    (pages / "reports/ranking.md").write_text("| cnn2 | 0.9100 |\n| best | 0.9200 |\n")
    with pytest.raises(SystemExit, match=r"^error: README\.md shows an earlier record; run "):
        record.main()
    record.main("--write")
    record.main()
    assert "-->\n| cnn2 | 0.9100 |\n| best | 0.9200 |\n<!-- end" in (pages / "README.md").read_text()


QUOTED = {
    "a score of no commit": ("## Seeds\n\nThe seed sd is 0.0037.\n", "0.0037 under 'Seeds'"),
    "of a commit of another section": ("## Commit\n\nCommit c78108e.\n\n## Seeds\n\n0.0037\n", "0.0037 under 'Seeds'"),
    "of a commit of its section": ("## Seeds\n\nAt commit c78108e it is 0.0037.\n", None),
    "of a commit of the whole page": ("Measured at commit c78108e.\n\n## Seeds\n\n0.0037\n", None),
    "a number that is no score": ("## Level\n\np < 0.001, 12.3456 s, 2.7.0.1234\n", None),
}


@pytest.mark.parametrize(("text", "fault"), QUOTED.values(), ids=QUOTED)
def test_a_score_from_elsewhere_needs_a_commit(text, fault, pages):
    (pages / "README.md").write_text(f"{SHOWN}\n{text}")
    if fault is None:
        record.main()
    else:
        with pytest.raises(SystemExit, match=f"^error: README.md has {fault}, which names no commit$"):
            record.main()
