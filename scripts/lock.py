"""Write `requirements/*.txt` anew: exact versions with hashes, for every supported Python.

The files name no package index, so that each machine uses its own. Needs uv.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
COMPILE = [
    *("pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes"),
    *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
]
# The largest set first: the smaller ones are cut from it, so that all agree on every version.
PROFILES = {
    "dev": ["--extra=fast", "--extra=test", "--extra=dev"],
    "test": ["--extra=fast", "--extra=test"],
    "runtime": [],
    "image": ["--extra=fast", "--extra=http", "--extra=llm"],
}
SINGLE = {"build": "hatchling>=1.27,<2", "uv": "uv>=0.9"}


def main() -> int:
    """Resolve every lock file; `--upgrade` moves to the newest versions the bounds allow."""
    command = ["uv", *COMPILE, *sys.argv[1:]]
    for name, extras in PROFILES.items():
        target = ["-o", f"requirements/{name}.txt", "pyproject.toml"]
        pins = [] if name == "dev" else ["-c", "requirements/dev.txt", "--no-annotate"]
        subprocess.run([*command, *extras, *pins, *target], cwd=ROOT, check=True)
    for name, requirement in SINGLE.items():
        target = ["-o", f"requirements/{name}.txt", "--no-annotate", "-"]
        pins = ["-c", "requirements/dev.txt"]
        subprocess.run(
            [*command, *pins, *target], cwd=ROOT, input=requirement, text=True, check=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
