"""Lambda's `/var/runtime/bootstrap.py`, inside the sandbox: prepares `sys.path`, then hands over to awslambdaric."""

# ruff: noqa: PTH112

import importlib
import os
import site
import sys


def main() -> None:
    """Set up `sys.path` in Lambda's order (function, layers, runtime, standard library), then run the handler loop."""
    runtime, opt = os.environ["LAMBDA_RUNTIME_DIR"], os.environ.get("LAMBDA_OPT_DIR", "/opt") + "/python"
    layers = [f"{opt}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages", opt]
    sys.path.remove(sys.path[0])
    sys.path.insert(0, runtime)
    # As Lambda's bootstrap does: a function that sets PYTHONPATH has to name its layers' folders there itself.
    if "PYTHONPATH" not in os.environ:
        sys.path[:0] = layers
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    # Without namespaces, the interpreter's own packages are this machine's.
    own = site.getsitepackages() if runtime == "/var/runtime" else []
    for folder in (*own, *layers):
        if os.path.isdir(folder):
            site.addsitedir(folder)
    os.environ.setdefault("PYTHONPATH", runtime)
    # `-S` leaves these builtins out, but function code does call exit().
    site.setquit()
    site.setcopyright()
    site.sethelper()
    importlib.import_module("awslambdaric.__main__").main(sys.argv)


if __name__ == "__main__":
    main()
