"""Commands: choose a study, compare and review results, ask a model what images show, draw plots, share runs."""

from study.base import runtime

runtime.set_up()

import argparse  # noqa: E402
import sys  # noqa: E402


def main(*arguments: str) -> None:
    options = parser().parse_args(arguments)
    match options.command:
        case "use":
            from study.commands import use

            use.main(options.study, options.data, options.bfloat16)
        case "compare":
            from study.compare import verdicts

            verdicts.main(options.base, options.head, options.json, options.fail_on_regression)
        case "predict":
            from study.serving import predict

            predict.main(options.images, options.model, options.top, options.form)
        case "export":
            runtime.begin_imports()
            from study.serving import export

            runtime.end_imports()
            export.main(options.models)
        case "review":
            from study.compare import page

            page.main(options.base, options.output, options.plots)
        case "plots":
            from study.commands import plots

            plots.main(options.base)
        case "record":
            from study.commands import record

            record.main(options.folder)
        case "share":
            from study.commands import share

            share.main(options.remote)
        case "deps":
            from study.commands import deps

            deps.main()


def parser() -> argparse.ArgumentParser:
    commands = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    command = commands.add_subparsers(dest="command", required=True, metavar="COMMAND")
    use = command.add_parser("use", help="write the params of a study that studies.yaml names into params.yaml")
    use.add_argument("study", metavar="STUDY", nargs="?", help="its name; without it, say which params.yaml has")
    use.add_argument("--data", metavar="FILE", help="an .npz of images in place of the study's own")
    use.add_argument("--bfloat16", action="store_true", help="train in mixed_bfloat16")
    compare = command.add_parser(
        "compare", help="say which models are better or worse than in a commit, from git alone"
    )
    compare.add_argument("base", metavar="BASE", help="a commit, branch, tag or experiment")
    compare.add_argument("head", metavar="HEAD", nargs="?", help="another one; without it, the workspace")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.add_argument("--fail-on-regression", action="store_true", help="exit with 1 if a model is worse")
    predict = command.add_parser("predict", help="say what images show, by a trained model")
    predict.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a PNG, JPEG or WebP file, a folder, a pattern, or - for stdin"
    )
    predict.add_argument(
        "--model", default="best", metavar="MODEL", help="the name of a model, or a .keras or .onnx file (best)"
    )
    predict.add_argument("--top", type=int, default=3, metavar="N", help="classes per image (3)")
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print JSON")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="print CSV")
    predict.set_defaults(form="text")
    export = command.add_parser("export", help="write models as ONNX files")
    export.add_argument("models", metavar="MODEL", nargs="*", default=["best"], help="names of models (best)")
    review = command.add_parser("review", help="write what a reviewer of the workspace reads, as one Markdown page")
    review.add_argument("base", metavar="BASE", help="the commit, branch, tag or experiment to compare with")
    review.add_argument("--output", default="review.md", metavar="FILE", help="the page (review.md)")
    review.add_argument("--plots", metavar="URL", help="the address of plots, to link")
    plots = command.add_parser("plots", help="write DVC's plots as a page that works offline")
    plots.add_argument("base", metavar="BASE", nargs="?", help="a commit whose plots are shown beside the workspace's")
    record = command.add_parser("record", help="write what a finished run found, and how, as pages without images")
    record.add_argument("folder", metavar="FOLDER", help="a new folder, or one that this command wrote")
    share = command.add_parser("share", help="send data, models and all finished runs to a remote of DVC")
    share.add_argument("remote", metavar="REMOTE", nargs="?", help="its name; without it, the default remote")
    command.add_parser("deps", help="check that dvc.yaml lists the code that each stage runs")
    return commands


if __name__ == "__main__":
    runtime.run(main, *sys.argv[1:])
