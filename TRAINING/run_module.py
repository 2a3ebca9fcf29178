"""Run a step of footprints for the scripts here: ``run_module.py footprints.train [flags]``.

Does what ``python -m footprints.train`` does, from any folder, and looks for no modules in the
current one, also in a Python that is too old for ``python -P``.
"""

import os
import runpy
import sys

try:
    import footprints  # noqa: F401
except ModuleNotFoundError:  # this Python does not have the project itself
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    environment = os.path.join(root, "footprints", "system", "environment.py")
    runpy.run_path(environment)["use_environment"]()

if __name__ == "__main__":
    os.environ["PYTHONSAFEPATH"] = "1"  # for the processes that libraries start
    module = sys.argv.pop(1)
    sys.argv[0] = "-m"  # as while `python -m` looks for its module
    runpy.run_module(module, run_name="__main__", alter_sys=True)
