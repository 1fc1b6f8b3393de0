"""Commands on the pipeline as a whole: python -m study compare | review | share | deps | graph | profile."""

from study import runtime

runtime.set_up()

import argparse  # noqa: E402
import sys  # noqa: E402


def main(*arguments: str) -> None:
    options = parser().parse_args(arguments)
    match options.command:
        case "compare":
            from study.review import verdicts

            verdicts.main(options.base, options.head, options.form, options.fail_on_regression)
        case "review":
            from study.review import page

            page.main(options.base, options.output)
        case "share":
            from study.pipeline import share

            share.main(options.remote)
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
    compare = command.add_parser(
        "compare", help="say which models are better or worse than in a commit, from git alone"
    )
    compare.add_argument("base", metavar="BASE", help="a commit, branch, tag or experiment")
    compare.add_argument("head", metavar="HEAD", nargs="?", help="another one; without it, the workspace")
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--md", dest="form", action="store_const", const="md", help="print Markdown")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print JSON")
    compare.set_defaults(form="text")
    compare.add_argument("--fail-on-regression", action="store_true", help="exit with 1 if a model is worse")
    review = command.add_parser("review", help="write what a reviewer of the workspace reads, as one Markdown page")
    review.add_argument("base", metavar="BASE", help="the commit, branch, tag or experiment to compare with")
    review.add_argument("--output", default="review.md", metavar="FILE", help="the page (review.md)")
    share = command.add_parser("share", help="send data, models and all finished runs to a remote of DVC")
    share.add_argument("remote", metavar="REMOTE", nargs="?", help="its name; without it, the default remote")
    deps = command.add_parser("deps", help="write what each stage depends on into dvc.yaml")
    graph = command.add_parser("graph", help="draw the stages of dvc.yaml in README.md")
    for written in (deps, graph):
        written.add_argument("--check", action="store_true", help="write nothing; fail where the file differs")
    command.add_parser("profile", help="run the pipeline of HEAD in a clone and show where its time goes")
    return commands


if __name__ == "__main__":
    runtime.run(main, *sys.argv[1:])
