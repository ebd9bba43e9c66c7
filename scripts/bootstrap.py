"""Make a bare checkout work: find Python, lock a private environment, run a command in it.

Standard library only, and readable by Python 3.6, so that a wrong version gets one clear line
instead of a syntax error. Nothing is installed outside `.tools` and `.venv` of this checkout.
"""

import ast
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / "podium-stamp"
VENV_PYTHON = VENV / "bin" / "python"
LOCKS = ROOT / "requirements"
UI = ROOT / "ui"

PYTHON_MIN = (3, 11)
PYTHON_BELOW = (3, 15)  # no wheels of the expression engine from here on

# Each profile holds the ones before it; a command asks for the smallest that is enough.
PROFILES = ("runtime", "test", "dev")

RUN = ["podium", "run", "examples/review/workflow.yaml", "--yes"]
# Not quiet: the header shows the seed of the random order, and a failure is repeated with it.
TEST = ["python", "-m", "pytest", "-n", "2"]
CHECKS = (
    ["ruff", "check", "--output-format=concise"],
    ["ruff", "format", "--check", "--output-format=concise"],
    ["python", "scripts/tidy.py"],
    ["lint-imports", "--no-logo"],
    ["mypy"],
    ["hadolint", "deploy/Dockerfile"],
)
FIXES = (["ruff", "check", "--fix"], ["ruff", "format"])

USAGE = """usage: bootstrap.py COMMAND [ARGUMENT ...]
  setup        install everything a developer needs
  run  [ARG]   run the review workflow on this project's source
  ui           build the web interface into the package (needs Node 20.19 or newer)
  test [ARG]   run all tests; arguments go to pytest
  check        lint, format, house rules, import contracts, types
  fix          repair what the linter and the formatter can
  exec CMD     run any command inside the environment"""


class SetupError(Exception):
    """What stopped the setup, in one line for a person."""


def main(argv: list) -> int:
    """Set up what the command needs, then become that command; return an exit code."""
    command, rest = (argv[0], argv[1:]) if argv else ("help", [])
    status = 0
    try:
        if command == "setup":
            prepare("dev")
            say("ready; next: make run, make test, make check")
        elif command == "run":
            become(RUN + rest, "runtime")
        elif command == "test":
            become(TEST + rest, "test")
        elif command == "ui":
            status = build_ui()
        elif command == "exec" and rest:
            become(rest, "dev")
        elif command in ("check", "fix"):
            prepare("dev")
            status = run_all(CHECKS if command == "check" else FIXES)
        else:
            print(USAGE)
            status = 0 if command in ("help", "-h", "--help") else 2
    except SetupError as error:
        say(f"error: {error}")
        status = 1
    return status


def say(text: str) -> None:
    """Tell the person what happens, apart from any data on stdout."""
    print(f"podium setup: {text}", file=sys.stderr, flush=True)


# --- running -----------------------------------------------------------------------------------


def become(command: list, profile: str) -> None:
    """Replace this process, so that signals and the exit code are the command's own."""
    prepare(profile)
    os.chdir(str(ROOT))
    environment = inside()
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise SetupError(f"no command {command[0]!r} in the environment")
    os.execve(program, command, environment)


def run_all(commands: tuple) -> int:
    """Run every command even after a failure: one look shows all that is wrong."""
    failed = []
    for command in commands:
        say(" ".join(command))
        if subprocess.call(command, cwd=str(ROOT), env=inside()) != 0:
            failed.append(" ".join(command))
    say(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


def build_ui() -> int:
    """Build the web interface with npm, which installs only inside of `ui`."""
    npm = shutil.which("npm")
    if npm is None:
        raise SetupError("no npm; install Node 20.19 or newer to build the web interface")
    lock, installed = UI / "package-lock.json", UI / "node_modules" / ".package-lock.json"
    is_fresh = installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime
    commands = [[npm, "run", "build"]]
    if not is_fresh:
        commands.insert(0, [npm, "ci", "--no-audit", "--no-fund"])
    status = 0
    for command in commands:
        status = status or subprocess.call(command, cwd=str(UI))
    return status


def inside() -> dict:
    """Return the environment variables of a shell that has activated `.venv`."""
    environment = dict(os.environ, VIRTUAL_ENV=str(VENV))
    # Our own programs first; the private uv last, so that a system's uv stays the one in use.
    programs = [str(VENV / "bin"), os.environ.get("PATH", ""), str(TOOLS / "bin")]
    environment["PATH"] = os.pathsep.join(programs)
    environment.pop("PYTHONHOME", None)
    return environment


# --- setting up --------------------------------------------------------------------------------


def prepare(profile: str) -> None:
    """Bring `.venv` to the locked state of `profile`; nothing to do costs milliseconds."""
    if is_ready(profile):
        return
    TOOLS.mkdir(exist_ok=True)
    # Two commands started at once in one checkout must not install over each other.
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_ready(profile):
            install(profile)


def is_ready(profile: str) -> bool:
    """Tell whether the stamp records this lock, this interpreter and at least `profile`."""
    try:
        installed, digest = STAMP.read_text().split()
        enough = PROFILES.index(installed) >= PROFILES.index(profile)
    except (OSError, ValueError):
        return False
    return enough and VENV_PYTHON.exists() and digest == fingerprint()


def fingerprint() -> str:
    """Return the hash of all that decides what `.venv` holds."""
    digest = hashlib.sha256()
    # The place counts too: the scripts of a copied environment would start the original's Python.
    digest.update(f"{VENV}\0{VENV_PYTHON.resolve()}\0".encode())
    for path in [VENV / "pyvenv.cfg", ROOT / "pyproject.toml", *sorted(LOCKS.glob("*.txt"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install(profile: str) -> None:
    """Fill `.venv` with the locked packages and this project, by uv or else by pip."""
    python = find_python()
    with contextlib.suppress(OSError):
        STAMP.unlink()
    if not is_usable(str(VENV_PYTHON)) or is_from_elsewhere():
        shutil.rmtree(str(VENV), ignore_errors=True)
    uv = find_uv(python)
    say(f"installing the locked {profile} packages into .venv with {'uv' if uv else 'pip'}")
    if not (uv and install_with_uv(uv, python, profile)):
        install_with_pip(python, profile)
    STAMP.write_text(f"{profile} {fingerprint()}\n")


def packages(profile: str) -> tuple:
    """Return the arguments of the two installs: the locked packages, then this project.

    The build backend comes from the lock as well, so building reaches for nothing else.
    """
    locked = ["--require-hashes", "-r", str(LOCKS / f"{profile}.txt")]
    locked += ["-r", str(LOCKS / "build.txt")]
    return locked, ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]


def install_with_uv(uv: str, python: str, profile: str) -> bool:
    """Install with uv; return False if it could not, so that pip gets its turn."""
    environment = dict(os.environ, **uv_settings(python))
    venv = [] if VENV_PYTHON.exists() else [[uv, "venv", "--quiet", "--python", python, str(VENV)]]
    pip = [uv, "pip", "install", "--quiet", "--python", str(VENV_PYTHON)]
    steps = venv + [pip + arguments for arguments in packages(profile)]
    return all(succeeds(step, environment) for step in steps)


def install_with_pip(python: str, profile: str) -> None:
    """Install with the standard library's venv and its pip; raise SetupError if that fails."""
    if not (VENV / "bin" / "pip").exists():
        shutil.rmtree(str(VENV), ignore_errors=True)
        if not succeeds([python, "-m", "venv", str(VENV)]):
            raise SetupError("venv does not work here; on Debian: apt install python3-venv")
    pip = [str(VENV_PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    for arguments in packages(profile):
        if not succeeds(pip + arguments):
            raise SetupError("pip could not install the locked packages; its words are above")


def succeeds(command: list, environment: "dict | None" = None) -> bool:
    """Run a step without stdin; show what it wrote only if it failed."""
    done = subprocess.run(
        command,
        cwd=str(ROOT),
        env=environment or os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
    return done.returncode == 0


# --- finding -----------------------------------------------------------------------------------


def find_python() -> str:
    """Return a supported interpreter, this one first; raise SetupError if there is none."""
    names = [f"python3.{minor}" for minor in range(PYTHON_BELOW[1] - 1, PYTHON_MIN[1] - 1, -1)]
    names.append("python3")
    found = [sys.executable, *map(shutil.which, names)]
    # Version managers shadow real interpreters with programs that refuse to start.
    found += [f"/usr/bin/{name}" for name in names]
    for python in found:
        if python and is_usable(python):
            return python
    raise SetupError(f"Podium needs Python 3.11 to 3.14; found only {sys.version.split()[0]}")


def is_usable(python: str) -> bool:
    """Tell whether a program starts and is a Python of a supported version."""
    test = f"import sys; sys.exit(not {PYTHON_MIN} <= sys.version_info[:2] < {PYTHON_BELOW})"
    quiet = subprocess.DEVNULL
    try:
        return subprocess.call([python, "-c", test], stdout=quiet, stderr=quiet) == 0
    except OSError:
        return False


def is_from_elsewhere() -> bool:
    """Tell whether `.venv` was copied here: its programs then start another checkout's Python."""
    try:
        return str(VENV) not in (VENV / "bin" / "podium").read_text()
    except OSError:
        return False


def find_uv(python: str) -> "str | None":
    """Return uv from the path or from `.tools`, installing it there once; None if impossible."""
    if os.environ.get("PODIUM_SETUP_WITHOUT_UV"):
        return None
    private = TOOLS / "bin" / "uv"
    if shutil.which("uv") or private.exists():
        return shutil.which("uv") or str(private)
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    command += ["--require-hashes", "--target", str(TOOLS), "-r", str(LOCKS / "uv.txt")]
    environment = dict(os.environ, PIP_REQUIRE_VIRTUALENV="0", PIP_ROOT_USER_ACTION="ignore")
    return str(private) if succeeds(command, environment) and private.exists() else None


def uv_settings(python: str) -> dict:
    """Return pip's own index and certificate settings in uv's words; uv does not read them."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return {}
    pip = pip_settings(python)
    # Hashes decide what is accepted, so looking at all indexes, as pip does, is safe.
    settings = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for name, variable, separator in (
        ("index-url", "UV_DEFAULT_INDEX", " "),
        ("extra-index-url", "UV_INDEX", " "),
        ("find-links", "UV_FIND_LINKS", ","),
        ("trusted-host", "UV_INSECURE_HOST", " "),
        ("cert", "SSL_CERT_FILE", " "),
    ):
        if name in pip and variable not in os.environ:
            settings[variable] = separator.join(pip[name].split())
    return settings


def pip_settings(python: str) -> dict:
    """Return pip's effective settings by name: environment over `install` over `global`."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    lines = done.stdout.decode(errors="replace").splitlines()
    settings = {}
    for section in ("global.", "install.", ":env:."):
        for line in lines:
            name, _, value = line.partition("=")
            if name.startswith(section):
                with contextlib.suppress(ValueError, SyntaxError):
                    settings[name[len(section) :]] = str(ast.literal_eval(value))
    return settings


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
