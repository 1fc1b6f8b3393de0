"""The trainings of a search in this process."""

from study.data import arrays
from study.models.common import scripts
from study.training.task import Result, Task, checkpoint_of_task, trained


def train(task: Task) -> Result:
    """Train, or take the result that a killed process has kept."""
    architecture = scripts.architecture(task["script"])  # its code belongs to the checkpoint's key
    checkpoint = checkpoint_of_task(task)
    result = checkpoint.result()
    print(f"{task['title']}, epochs: {task['epochs']}{' (finished before)' if result else ''}", flush=True)
    if not result:
        result, _ = trained(task, architecture, arrays.read_prepared(), checkpoint)
        checkpoint.finish(result)
    return result
