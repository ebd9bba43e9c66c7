"""The matrix: Python versions by suites, and the ends of the dependency bounds.

Only what one environment cannot show stands here; everyday work is in the Makefile.
"""

from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
LOCKED = ["--require-hashes", "-r", "requirements/test.txt", "-r", "requirements/build.txt"]

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "wheel", "image", "fresh", "lowest"]


def install_editable(session: nox.Session) -> None:
    """Install this project over what the session already holds."""
    session.install("--no-deps", "--no-build-isolation", "-e", ".")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests with the locked versions."""
    session.install(*LOCKED)
    install_editable(session)
    session.run("pytest", "-q", "-n", "2", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it and nothing else, and use it as a stranger would."""
    room = Path(session.create_tmp())
    session.install("-r", "requirements/build.txt")
    session.run(
        "python", "-m", "hatchling", "build", "--clean", "-t", "wheel", "-d", str(room / "dist")
    )
    session.install(*(str(built) for built in (room / "dist").glob("*.whl")))
    session.chdir(room)
    session.run("podium", "init", "trial", "--template", "review")
    session.run("podium", "run", "trial/workflow.yaml", "--yes")


@nox.session
def image(session: nox.Session) -> None:
    """Replay the steps of deploy/Dockerfile in a folder: no container daemon is needed."""
    room = Path(session.create_tmp()) / "image"
    session.run("rm", "-rf", str(room), external=True)
    session.run("python", "scripts/image.py", str(room), *session.posargs)


@nox.session
def fresh(session: nox.Session) -> None:
    """Resolve without the lock: the newest versions that the upper bounds allow."""
    session.install("--upgrade", "-e", ".[fast,test]")
    session.run("pytest", "-q", "-n", "2", *session.posargs)


@nox.session(venv_backend="uv", python="3.11")
def lowest(session: nox.Session) -> None:
    """Resolve to the lower bounds of our own dependencies: the oldest versions we claim."""
    session.install("--resolution=lowest-direct", "-e", ".[test]")
    session.run("pytest", "-q", "-n", "2", *session.posargs)


@nox.session
def simulation(session: nox.Session) -> None:
    """Simulate many more histories than the everyday tests: nox -s simulation -- 100000."""
    session.install(*LOCKED)
    install_editable(session)
    count = session.posargs[0] if session.posargs else "50000"
    session.run("pytest", "-q", "-n", "2", "tests/simulation", env={"PODIUM_SIM_SEEDS": count})
