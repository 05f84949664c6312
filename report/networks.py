"""A student's own network is tried before notebooks run: one message where it has an error, instead of one in each."""

import os
import subprocess
import sys

from fer_utils import own

from .project import UserError


def check(tasks, project):
    """Builds each network of one's own that some tasks are about, in a process of its own.

    Args:
        tasks: list of execute.Task that will be run. project: the Project.

    Raises:
        UserError: it cannot be built; the message names file and line.
    """
    asked = [task.ingredients.get("parameters", {}) for task in tasks]
    pairs = {values["preset"]: values.get("profile", "quick") for values in asked if own.kind(values.get("preset"))}
    path = os.pathsep.join(filter(None, [str(project.root), os.environ.get("PYTHONPATH")]))
    for preset, profile in pairs.items():
        command = [sys.executable, "-m", "fer_utils.trainings", "--check", f"preset={preset}", f"profile={profile}"]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            raise UserError(said[0].removeprefix("error: ") if said else done.stderr.strip()[-500:])
