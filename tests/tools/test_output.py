"""What is printed, into a file."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import subprocess, sys
from pathlib import Path
from tools.lib import output
print("first")
try:
    with output.into(Path(sys.argv[1])):
        print("ours", flush=True)
        subprocess.run([sys.executable, "-c", "import sys; print('theirs', file=sys.stderr)"], check=True)
        print("so far")
        raise ValueError
except ValueError:
    print("last")
"""


def test_all_that_is_printed_is_added_to_a_file_and_nothing_else(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("before\n", encoding="utf-8")
    command = [sys.executable, "-c", PROGRAM, str(path)]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(command, cwd=root, env=buffered, capture_output=True, text=True, check=True)
    assert path.read_text(encoding="utf-8") == "before\nours\ntheirs\nso far\n"
    assert (done.stdout, done.stderr) == ("first\nlast\n", "")
