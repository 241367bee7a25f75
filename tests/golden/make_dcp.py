"""Folders of torch.distributed.checkpoint, for tests/test_dcp.c.

    python tests/golden/make_dcp.py        PyTorch 2.15.0 on the CPU (gloo), safetensors 0.8; seed 0

writes into tests/golden/formats/dcp/:

    NAME.safetensors        the model in NAME/, whole
    one/, two/, eight/      {"model": ..., "optim": ..., "step": 7} by 1, 2 and 8 ranks: fully_shard (FSDP2)
    flat/                   the model's tensors alone, by one rank, without a dict around them
    columns/                shards of rows and of columns by 2 ranks, no dict around them (hf.safetensors)
    fsdp1/                  by FSDP with sharded state dicts, 2 ranks
    hf/                     HuggingFaceStorageWriter by 2 ranks: safetensors shards
    hf-whole/               the same writer by one rank: a file and its index
    unet/                   the network tests/golden/unets/plain by 2 ranks, as "model"
"""
import os
import shutil
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "formats", "dcp")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Linear(5, 19)  # 19 rows: uneven over 2 and 8 ranks
        self.few = torch.nn.Linear(19, 3)  # 3 rows: some of 8 ranks have none
        self.register_buffer("count", torch.tensor(3))
        self.scale = torch.nn.Parameter(torch.tensor(0.5).repeat(4))

    def forward(self, x):
        return self.few(self.wide(x).relu()).sum() * self.scale.sum()


def whole(net):
    return {k: v.full_tensor() if hasattr(v, "full_tensor") else v for k, v in net.state_dict().items()}


def fsdp2(rank, ranks, name):
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(0)
    net = Net()
    mesh = init_device_mesh("cpu", (ranks,))
    fully_shard(net, mesh=mesh)
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    torch.manual_seed(rank)
    net(torch.randn(2, 5)).backward()
    opt.step()
    model, optim = get_state_dict(net, opt)
    dcp.save({"model": model, "optim": optim, "step": 7}, checkpoint_id=name)
    full = whole(net)
    if rank == 0:
        save_file({k: v.contiguous() for k, v in full.items()}, name + ".safetensors")


def flat(rank, ranks, name):
    torch.manual_seed(0)
    t = dict(Net().state_dict())
    save_file(t, name + ".safetensors")
    dcp.save(t, checkpoint_id=name)


def fsdp1(rank, ranks, name):
    from torch.distributed.fsdp import FullyShardedDataParallel as FSDP, StateDictType

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 19), torch.nn.Linear(19, 3))
    if rank == 0:
        save_file(net.state_dict(), name + ".safetensors")
    net = FSDP(net, device_id=torch.device("cpu"), use_orig_params=True)
    with FSDP.state_dict_type(net, StateDictType.SHARDED_STATE_DICT):
        dcp.save({"model": net.state_dict()}, checkpoint_id=name)


def matrices(mesh):
    torch.manual_seed(0)
    t = {"rows": (torch.randn(7, 6), Shard(0)), "columns": (torch.randn(4, 9), Shard(1)),
         "both": (torch.arange(12).to(torch.int64), Replicate()), "volume": (torch.randn(3, 4, 5).half(), Shard(1))}
    return {k: v for k, (v, _) in t.items()}, {k: distribute_tensor(v, mesh, [p]) for k, (v, p) in t.items()}


def hf(rank, ranks, name):
    plain, shards = matrices(init_device_mesh("cpu", (ranks,)))
    writer = dcp.HuggingFaceStorageWriter(name, save_distributed=ranks > 1)
    if rank == 0:
        save_file({k: v.contiguous() for k, v in plain.items()}, "hf.safetensors")
    dcp.save(shards if ranks > 1 else plain, storage_writer=writer)


def columns(rank, ranks, name):
    _, shards = matrices(init_device_mesh("cpu", (ranks,)))
    dcp.save(shards, checkpoint_id=name)


def unet(rank, ranks, name):
    t = load_file(os.path.join(HERE, "unets", "plain", "diffusion_pytorch_model.safetensors"))
    mesh = init_device_mesh("cpu", (ranks,))
    # convolutions in parts, the rest by one of the ranks: an item of a file takes more than a kilobyte
    dcp.save({"model": {k: distribute_tensor(v, mesh, [Shard(0) if v.dim() == 4 else Replicate()]) for k, v in t.items()}},
             checkpoint_id=name)


def run(rank, ranks, f, name, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(ranks))
    torch.set_num_threads(1)
    os.chdir(OUT)  # metadata has the path that it was saved to
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    f(rank, ranks, name)
    dist.destroy_process_group()


def main():
    cases = [(fsdp2, "one", 1), (fsdp2, "two", 2), (fsdp2, "eight", 8), (flat, "flat", 1), (fsdp1, "fsdp1", 2),
             (hf, "hf", 2), (hf, "hf-whole", 1), (columns, "columns", 2), (unet, "unet", 2)]
    os.makedirs(OUT, exist_ok=True)
    for i, (f, name, ranks) in enumerate(cases):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        shutil.rmtree(os.path.join(OUT, name), ignore_errors=True)
        mp.spawn(run, args=(ranks, f, name, 29600 + i), nprocs=ranks)


if __name__ == "__main__":
    main()
