"""python -m kdjax train: trains a teacher, or students against one teacher.

  python -m kdjax train --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]
                        [--minutes=M] [--profile=A:B] [--allow=KEY[,KEY]]

The same command resumes a run that was stopped, and does nothing for a finished one. A
config of several `stages` runs them in order, each in a directory of DIR. With
--minutes it stops after so many, its state saved, with exit code 42. With --profile it
writes a trace of steps A to B below DIR, for TensorBoard, and prints the ten operations
of the devices that took longest. The first steps compile: choose others.

A run keeps the config that it began with. --allow=schedule.learning_rate lets a run
that is resumed go on with another value of that key, or of a section's; the change is
said, and written into config_changes.jsonl. A finished run goes on from its end where
config.total_epochs (or total_steps) is raised and neither schedule nor method depends
on the length: no flag is needed then.

On several hosts each runs the same command; DIR lies on storage that all of them share,
such as a bucket (gs://). SLURM, torchrun, Open MPI, Cloud TPUs and Kubernetes are
recognised; elsewhere the flags below, or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
JAX_PROCESS_ID, number the processes: one for each host, or one for each GPU.
"""

from kdjax import cli, signals
from kdjax.cli import arguments
from kdjax.distributed import collectives, devices, runtime
from kdjax.reporting.results import print_table
from kdjax.runner import run, time_slice


def main(argv: list[str]) -> int:
    parser = cli.parser("train", __doc__)
    arguments.add_config(parser, workdir="where the run lives")
    time_slice.add_minutes(parser)
    text = "trace steps A to B, print the costliest operations"
    parser.add_argument("--profile", default="", metavar="A:B", help=text)
    text = "keys of the config that may have changed since the last start"
    parser.add_argument("--allow", default="", metavar="KEY[,KEY]", help=text)
    options, config = arguments.parse(parser, argv)
    deadline = time_slice.deadline(options.minutes)
    profile = None
    if options.profile:
        from kdjax.runner.profile import parse

        profile = parse(options.profile)
    allow = ()
    if options.allow:
        from kdjax.runner import changes

        allow = changes.parse(options.allow, config.to_dict())
    with runtime.joined(options) as processes:
        rows = config.batch_size // config.accumulation_steps or 1
        devices.configure(options.devices, rows, processes)
        run.run(config, options.workdir, deadline, profile, allow)
        if processes == 1:
            signals.finished()  # from here on the run has its exit code
        results = run.results(options.workdir) if collectives.is_primary() else []
    if results:
        print_table(results)
    return 0
