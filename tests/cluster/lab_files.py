"""The configuration files of the private Slurm that `lab` starts."""

import socket
from pathlib import Path


def slurm_conf(root: Path, ports: dict[str, int], limits_memory: bool) -> str:
    """slurm.conf: two nodes on this machine, and partitions that tell where a job was sent."""
    host = socket.gethostname().split(".")[0]
    task = (
        "TaskPlugin=task/cgroup"
        if limits_memory
        else "TaskPlugin=task/none\nJobAcctGatherParams=OverMemoryKill"
    )
    return f"""\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/run/munge.sock
CredType=cred/munge
SlurmctldPort={ports["slurmctld"]}
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmctldLogFile={root}/log/slurmctld.log
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmdLogFile={root}/log/slurmd.%n.log
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
{task}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory,CR_LLN
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
MinJobAge=300
KillWait=5
SlurmctldTimeout=30
SlurmdTimeout=10
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports["slurmdbd"]}
AccountingStoragePass={root}/run/munge.sock
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
NodeName=DEFAULT CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1
NodeName=DEFAULT RealMemory=16000 State=UNKNOWN Gres=gpu:4
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports["n1"]}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports["n2"]}
PartitionName=DEFAULT State=UP DefaultTime=10 MaxTime=UNLIMITED DefMemPerCPU=500 Nodes=n1,n2
PartitionName=cpu Default=YES PriorityTier=10
PartitionName=gpu PriorityTier=10
PartitionName=urgent PriorityTier=100 PreemptMode=off
PartitionName=scav PriorityTier=1 PreemptMode=REQUEUE
"""


def gres_conf(root: Path) -> str:
    """gres.conf: four GPUs a node."""
    return f"AutoDetect=off\nNodeName=n1,n2 Name=gpu File={root}/dev/gpu[0-3]\n"


def cgroup_conf(root: Path, limits_memory: bool) -> str:
    """cgroup.conf: a job that takes more memory than it asked for is killed, where that works."""
    limits = f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={root}/cg
ConstrainRAMSpace=yes
ConstrainCores=no
ConstrainDevices=no
"""
    return "CgroupAutomount=no\n" + (limits if limits_memory else "")


def slurmdbd_conf(root: Path, ports: dict[str, int]) -> str:
    """slurmdbd.conf: Slurm's records in a database of their own."""
    host = socket.gethostname().split(".")[0]
    return f"""\
AuthType=auth/munge
AuthInfo=socket={root}/run/munge.sock
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports["slurmdbd"]}
SlurmUser=root
PidFile={root}/run/slurmdbd.pid
LogFile={root}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports["mariadb"]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
"""
