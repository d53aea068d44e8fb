"""Memory tasks by name."""

from nca_tf.datasets.memory_tasks import addition as addition_tasks
from nca_tf.datasets.memory_tasks import tasks as memory_tasks

_TASKS = {
  task.NAME: task
  for task in (
    memory_tasks.Copy,
    memory_tasks.RepeatCopy,
    memory_tasks.AssociativeRecall,
    memory_tasks.PrioritySort,
    addition_tasks.Addition,
    addition_tasks.AdditionBase10,
  )
}


def names() -> tuple[str, ...]:
  """Names of the tasks."""
  return tuple(sorted(_TASKS))


def make(name: str, **sizes) -> memory_tasks.Task:
  """Makes a task.

  Args:
    name: one of `names()`.
    **sizes: fields of the task; those that it does not have are left aside, so
      that one set of flags serves them all.

  Raises:
    ValueError: there is no such task.
  """
  if name not in _TASKS:
    raise ValueError(f'name must be one of {names()}, got {name!r}')
  task = _TASKS[name]
  known = task.__dataclass_fields__
  return task(**{key: value for key, value in sizes.items() if key in known})
