"""Several processes that train together: which one writes, and sums over all."""
import torch

AVAILABLE = torch.distributed.is_available()


def together():
    return AVAILABLE and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def first():
    """True in the one process that writes."""
    return not together() or torch.distributed.get_rank() == 0


def reduce(tensor, how):
    """The "max" or "sum" over all processes, in place. All of them have to call it."""
    if together():
        torch.distributed.all_reduce(tensor, {"max": torch.distributed.ReduceOp.MAX,
                                              "sum": torch.distributed.ReduceOp.SUM}[how])


def of_first(value):
    """What the first process gave. All of them have to call it."""
    if not together():
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]
