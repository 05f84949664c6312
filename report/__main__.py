"""python -m fer_report report | question | site | notebooks | translations | handin | check | predict: see --help."""

import argparse
import os
import signal
import sys
from pathlib import Path

from fer_utils.own import NetworkError
from fer_utils.settings import SettingsError

from . import build
from .execute import quicken_imports, tell
from .project import Project, UserError


def parser():
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--langs", nargs="+", help="default: all that notebooks/locale has")
    common.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help=argparse.SUPPRESS)
    shared = argparse.ArgumentParser(add_help=False, parents=[common])
    shared.add_argument("--edition", default="complete", help="a file of report/editions (default: %(default)s)")
    shared.add_argument("--profile", help="smoke, quick or full, for the notebooks that have this parameter")
    shared.add_argument("--jobs", type=int, default=1, help="questions that run at once (default: %(default)s)")
    shared.add_argument("--code", default="appendix", choices=("appendix", "inline", "none"), help="where code goes")
    shared.add_argument("--timeout", type=int, help="seconds that a cell may take (default: no limit)")
    top = argparse.ArgumentParser(prog="python -m fer_report", description="Typeset reports from notebooks.")
    commands = top.add_subparsers(dest="command", required=True)
    every = [
        commands.add_parser(
            "report", parents=[shared], help="all questions of an edition: build/report-EDITION-LANG.pdf"
        ),
        commands.add_parser("site", parents=[shared], help="the same as pages for a browser: build/site/index.html"),
    ]
    for command in every:
        command.add_argument("--set", default="", metavar='"NAME=VALUE …"', help='of all questions, such as "preset=E"')
    one = commands.add_parser("question", parents=[shared], help="one question: build/question-NOTEBOOK-LANG.pdf")
    one.add_argument("notebook", help="its name, such as cnn")
    one.add_argument("--set", default="", metavar='"NAME=VALUE …"', help='parameters, such as "preset=E epochs=3"')
    commands.add_parser("notebooks", parents=[common], help="copies in one language: build/notebooks/LANG")
    commands.add_parser("translations", parents=[common], help="the catalogs notebooks/locale in step with the texts")
    hand = commands.add_parser("handin", parents=[shared], help="report, weights, scripts: build/handin-EDITION.zip")
    tried = commands.add_parser("check", parents=[common], help="tries a hand-in as its reader will use it")
    tried.add_argument("archive", metavar="ZIP", type=Path)
    csv = commands.add_parser("predict", parents=[shared], help="test.csv or a folder of face crops: a csv in build/")
    csv.add_argument("images")
    for command in (hand, csv):
        command.add_argument("--set", default="", metavar='"NAME=VALUE …"', help='which run, such as "preset=E seed=3"')
    return top


def obey(command, project, options):
    """Does what was asked for; returns whether all of it succeeded."""
    quicken_imports()
    if "langs" in options and command != "translations":
        options["langs"] = build.languages(project, options["langs"])
    if command == "notebooks":
        from . import copies

        return copies.write(project, options["langs"], tell)
    if command == "translations":
        from . import messages

        return messages.update(project, [lang for lang in options["langs"] or project.languages if lang != "en"], tell)
    if command == "handin":
        from . import handin

        return handin.handin(project, given=options.pop("set"), **options)
    if command == "predict":
        from . import handin

        return handin.predict(project, *(options[name] for name in ("images", "edition", "profile", "set")))
    if command == "check":
        from . import trial

        return trial.check(options["archive"], project.root)
    if command == "question":
        return build.question(project, given=options.pop("set"), **options)
    make = build.site if command == "site" else build.report
    return make(project, given=options.pop("set"), **options)


def main(arguments=None):
    """Returns the exit code: 0, or 1 where a question failed or the user made a mistake, or 130 after Ctrl-C."""
    options = vars(parser().parse_args(arguments))
    command, project = options.pop("command"), Project(options.pop("root").resolve())
    if options.get("jobs", 1) < 1:
        parser().error("--jobs must be at least 1")
    source = os.environ.get("FER_DATA", "")
    if source and Path(source).exists():  # kernels work in another folder
        os.environ["FER_DATA"] = str(Path(source).resolve())
    try:
        return 0 if obey(command, project, options) else 1
    except (UserError, SettingsError, NetworkError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        jobs = "; jobs stay on the cluster (squeue lists them, scancel stops them)"
        print("stopped; what was finished is kept" + jobs * (os.environ.get("CLUSTER") == "slurm"), file=sys.stderr)
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` and `timeout` stop the kernels as Ctrl-C does
    sys.exit(main())
