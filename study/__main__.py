"""Commands on the pipeline as a whole: python -m study deps | graph | profile."""

from study import runtime

runtime.set_up()

import argparse  # noqa: E402
import sys  # noqa: E402


def main(*arguments: str) -> None:
    options = parser().parse_args(arguments)
    match options.command:
        case "deps":
            from study.pipeline import deps

            deps.main(options.check)
        case "graph":
            from study.pipeline import graph

            graph.main(options.check)
        case "profile":
            from study.pipeline import profile

            profile.main()


def parser() -> argparse.ArgumentParser:
    commands = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    command = commands.add_subparsers(dest="command", required=True, metavar="COMMAND")
    deps = command.add_parser("deps", help="write what each stage depends on into dvc.yaml")
    graph = command.add_parser("graph", help="draw the stages of dvc.yaml in README.md")
    for written in (deps, graph):
        written.add_argument("--check", action="store_true", help="write nothing; fail where the file differs")
    command.add_parser("profile", help="run the pipeline of HEAD in a clone and show where its time goes")
    return commands


if __name__ == "__main__":
    runtime.run(main, *sys.argv[1:])
