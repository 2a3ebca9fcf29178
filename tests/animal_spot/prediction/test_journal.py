import json
import os
import tracemalloc

import pytest

from animal_spot.detections.journal import FILE_NAME, Completed, Journal
from animal_spot.utils.files import file_digest, file_state


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in" / "a.wav"
    path.parent.mkdir()
    path.write_bytes(b"sound" * 100)
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    for stem in ("a", "b", os.fsdecode(b"r\xe9union")):
        (tmp_path / "out" / f"{stem}.log").write_text("result")
    return tmp_path / "out"


def entry(path, run="run 1", stem="a", files=None) -> Completed:
    return Completed(
        path=str(path),
        stem=stem,
        run=run,
        state=file_state(path),
        digest=file_digest(path),
        duration_s=1.5,
        n_windows=3,
        detections={"x": 1},
        seconds=0.1,
        files={f"{stem}.log": 6} if files is None else files,
        annotations=[[0.0, 0.5, "x", 0.75]],
    )


def written(folder, *entries) -> Journal:
    journal = Journal(folder)
    for item in entries:
        journal.add(item)
    journal.close()
    return Journal(folder)


def test_an_entry_is_found_by_the_next_program(folder, recording):
    found = written(folder, entry(recording)).find(recording, "run 1")
    assert found == entry(recording)


def test_an_empty_folder_has_no_entries(folder, recording):
    assert Journal(folder).find(recording, "run 1") is None
    assert Journal(folder).stems == {}


def test_another_run_is_not_complete(folder, recording):
    assert written(folder, entry(recording)).find(recording, "run 2") is None


def test_a_touched_recording_is_the_same(folder, recording):
    journal = written(folder, entry(recording))
    os.utime(recording, (1, 1))
    assert journal.find(recording, "run 1") is not None


def test_other_content_of_equal_size_is_noticed(folder, recording):
    journal = written(folder, entry(recording))
    recording.write_bytes(b"noise" * 100)
    assert journal.find(recording, "run 1") is None


def test_a_recording_that_is_gone_is_not_complete(folder, recording):
    journal = written(folder, entry(recording))
    recording.unlink()
    assert journal.find(recording, "run 1") is None


def test_results_that_are_not_all_there(folder, recording):
    journal = written(folder, entry(recording))
    (folder / "a.log").unlink()
    assert journal.find(recording, "run 1") is None


def test_an_edited_result_is_complete_unless_it_is_to_be_replaced(folder, recording):
    """As journals of earlier versions are, which say the size only."""
    journal = written(folder, entry(recording))
    (folder / "a.log").write_text("half")
    assert journal.find(recording, "run 1") is not None
    assert Journal(folder, replace_edited=True).find(recording, "run 1") is None


def test_a_result_that_is_not_noted_is_missed(folder, recording):
    journal = written(folder, entry(recording))
    assert journal.find(recording, "run 1", ["a.log"]) is not None
    assert journal.find(recording, "run 1", ["a.log", "a.csv"]) is None


def test_the_last_entry_of_a_recording_counts(folder, recording):
    journal = written(folder, entry(recording), entry(recording, run="run 2"))
    assert journal.find(recording, "run 1") is None
    assert journal.find(recording, "run 2") is not None


@pytest.mark.parametrize("cut", [1, 5, 40, 200])
def test_a_torn_last_line_costs_only_itself(folder, recording, cut, tmp_path):
    other = tmp_path / "in" / "b.wav"
    other.write_bytes(b"b")
    written(folder, entry(recording), entry(other, stem="b"))
    path = folder / FILE_NAME
    path.write_bytes(path.read_bytes().rstrip(b"\n")[:-cut])
    journal = Journal(folder)
    assert journal.find(recording, "run 1") is not None
    assert journal.find(other, "run 1") is None
    journal.add(entry(other, stem="b"))
    journal.close()
    again = Journal(folder)
    assert again.find(recording, "run 1") is not None
    assert again.find(other, "run 1") is not None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[1, 2]", id="list"),
        pytest.param(b"7", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no-fields"),
        pytest.param(b'{"path": "x"}', id="few-fields"),
        pytest.param(b"\xff\xfe\x00garbage", id="bytes"),
        pytest.param(b"\0" * 4096, id="zeros-of-a-crashed-file-system"),
        pytest.param(b'{"path": [1], "stem": 2, "run": 3, "state": 4, "digest": 5, '
                     b'"duration_s": 6, "n_windows": 7, "detections": 8, "seconds": 9, '
                     b'"files": 10}', id="wrong-types"),
    ],
)  # fmt: skip
def test_other_lines_are_passed_over(folder, recording, line):
    written(folder, entry(recording))
    with open(folder / FILE_NAME, "ab") as file:
        file.write(b"\n" + line + b"\n")
    journal = Journal(folder)
    assert journal.find(recording, "run 1") is not None
    assert list(journal.stems) == ["a"]


def test_names_that_are_not_utf8(folder, tmp_path):
    path = tmp_path / "in" / os.fsdecode(b"r\xe9union.wav")
    path.parent.mkdir()
    path.write_bytes(b"1")
    journal = written(folder, entry(path, stem=os.fsdecode(b"r\xe9union")))
    assert journal.find(path, "run 1").path == str(path)


def test_stems_are_those_of_all_runs(folder, recording, tmp_path):
    other = tmp_path / "in" / "b.wav"
    other.write_bytes(b"b")
    journal = written(folder, entry(recording), entry(other, run="run 2", stem="b"))
    assert journal.stems == {"a": str(recording), "b": str(other)}


def test_the_file_is_one_json_object_a_line(folder, recording):
    written(folder, entry(recording))
    lines = (folder / FILE_NAME).read_text().split("\n")
    assert [json.loads(line)["stem"] for line in lines if line] == ["a"]


def test_what_several_files_say_is_found_again_also_beside_what_is_added(folder, tmp_path):
    """What is known is read from where it stands: in another file, or the own one."""
    paths = [tmp_path / name for name in ("0.wav", "1.wav", "2.wav", "3.wav")]
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * (number + 1))
    for number in (0, 1):
        journal = Journal(folder, name=f".completed.{number}.jsonl")
        journal.begin(paths[number], f"r{number}", ())
        journal.add(entry(paths[number], stem=f"r{number}", files={}))
        journal.close()
    (folder / ".completed.empty.jsonl").touch()
    others = [".completed.0.jsonl", ".completed.none.jsonl", ".completed.empty.jsonl"]
    journal = Journal(folder, name=".completed.1.jsonl", others=others)
    for number in (2, 3):
        journal.begin(paths[number], f"r{number}", ())
        if number == 2:
            journal.add(entry(paths[number], stem=f"r{number}", files={}))
        assert [one.stem for one in journal.completed] == ["r0", "r1", "r2"]
    assert journal.stems == {f"r{number}": str(path) for number, path in enumerate(paths)}
    found = [journal.find(path, "run 1") for path in paths]
    assert found == [*(entry(p, stem=f"r{n}", files={}) for n, p in enumerate(paths[:3])), None]
    journal.close()
    assert journal.find(paths[0], "run 1") == found[0], "also when it is not written to any more"
    journal.close()


def test_what_was_written_is_known_from_the_journal(folder, recording):
    with_files = Journal(folder)
    with_files.begin(recording, "a", ["a.csv"])
    with_files.own.write_text("a.csv", "new", of="a")
    with_files.close()
    own = Journal(folder).own
    assert own.is_known("a.csv")
    assert own.is_as_written("a.csv")
    assert own.names_of("a") == ["a.csv"]
    (folder / "a.csv").write_text("NEW")
    assert own.is_edited("a.csv")


def test_a_journal_takes_little_memory_however_much_is_found(folder, tmp_path):
    """A million recordings shall fit; as objects each of these takes 10 kB."""
    rows, n = [[float(i), i + 0.5, "x", 0.75] for i in range(50)], 1000
    state, digest = [1, 2, 3], "0" * 32
    journal = Journal(folder)
    for number in range(n):
        files = {f"r{number}.log": 6}
        of = (f"/in/r{number}.wav", f"r{number}", "run", state, digest, 25.0, 50, {"x": 50}, 0.1)
        journal.add(Completed(*of, files, rows))
    journal.close()
    tracemalloc.start()
    journal = Journal(folder)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(journal.completed) == n
    assert journal.completed[7].annotations == rows
    assert size / n < 400
