"""GPU slots with fake device ids and real processes, killed ones included."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from posttx.errors import PostTxError
from posttx.networks.gpu_guard import marked_processes
from posttx.networks.gpu_slots import Device, assigned_by_scheduler, lock_folder, take_slots, visible_devices

ROOT = Path(__file__).resolve().parents[2]
WITH_GPU = ROOT / "workflow" / "scripts" / "with_gpu.py"
PATIENCE = 120.0
NVIDIA_SMI = """#!/bin/sh
echo 'GPU 0: NVIDIA RTX 4090 (UUID: GPU-aaaa-1)'
echo 'GPU 1: NVIDIA A100 (UUID: GPU-bbbb-2)'
"""
MIG = "echo '  MIG 1g.10gb Device 0: (UUID: MIG-c-3)'\necho '  MIG 1g.10gb Device 1: (UUID: MIG-d-4)'\n"


@pytest.fixture
def machine(tmp_path):
    """Return the environment of a machine with two fake GPUs and locks of its own."""
    cleared = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "POSTTX_GPU_WAIT", "POSTTX_GPU_SLOT", "CUDA_DEVICE_ORDER")
    environment = {name: value for name, value in os.environ.items() if name not in cleared}
    return {**environment, "CUDA_VISIBLE_DEVICES": "4,7", "POSTTX_GPU_LOCKS": str(tmp_path / "locks")}


def with_gpu(environment, *command, device="cuda", **options):
    flags = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen(
        [sys.executable, str(WITH_GPU), "--device", device, *flags, "--", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def holders(environment, count, script="echo $CUDA_VISIBLE_DEVICES; exec sleep 600", **options):
    """Start processes that hold slots; yield them with the devices they print; kill what is left of them."""
    processes = [with_gpu(environment, "sh", "-c", script, **options) for _ in range(count)]
    try:
        yield processes, [process.stdout.readline().strip() for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        for process in processes:
            process.communicate()


def device_of(environment, **options):
    done = with_gpu(environment, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES", **options)
    text, errors = done.communicate(timeout=PATIENCE)
    return text.strip() if done.returncode == 0 else errors


def processes_with(path):
    """Return the ids of the processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == path:
                found.add(int(link.parts[2]))
    return found


def test_two_jobs_get_two_devices_and_a_third_waits_for_the_first_that_ends(machine):
    with holders(machine, 2) as (first, devices):
        assert sorted(devices) == ["4", "7"]
        third = with_gpu(machine, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
        message = third.stderr.readline()
        assert "waiting for a GPU slot: GPU 4 was taken" in message
        assert "sleep 600" in message
        assert third.poll() is None
        first[1].send_signal(signal.SIGKILL)
        assert third.communicate(timeout=PATIENCE)[0].strip() == devices[1]


def test_a_full_machine_is_a_clear_error_after_the_wait(machine):
    with holders(machine, 2):
        message = device_of(machine, wait=0.2)
    assert "no GPU slot free after 0 s: GPU 4 was taken" in message
    assert "Traceback" not in message


def test_several_gpus_are_taken_at_once_or_not_at_all(machine):
    assert device_of(machine, gpus=2) == "4,7"
    with holders(machine, 1):
        assert "no 2 GPU slots free at once" in device_of(machine, gpus=2, wait=0.7)
        assert device_of(machine) == "7"
    assert "3 GPUs are asked for at once, but there are only 2" in device_of(machine, gpus=3)


@pytest.fixture
def _interruptible():
    """Let children be interrupted also where these tests run in a shell's background, which ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_and_exit_codes_are_the_commands_own(machine, number):
    script = f"trap 'exit 75' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
    with holders(machine, 1, script) as (processes, printed):
        assert printed == ["ready"]
        processes[0].send_signal(number)
        assert processes[0].wait(timeout=PATIENCE) == 75


def test_a_killed_command_ends_with_the_signal_and_a_broken_pipe_kills_it(machine):
    killed = with_gpu(machine, "sh", "-c", "kill -KILL $$")
    assert killed.wait(timeout=PATIENCE) == -signal.SIGKILL
    killed.communicate()
    assert with_gpu(machine, "sh", "-c", "kill -PIPE $$; echo ignored").communicate(timeout=PATIENCE)[0] == ""


def test_a_command_that_does_not_exist_frees_its_slot(machine):
    failed = with_gpu({**machine, "CUDA_VISIBLE_DEVICES": "4"}, "no-such-program")
    assert "no-such-program cannot be run: No such file" in failed.communicate(timeout=PATIENCE)[1]
    assert failed.returncode == 127
    assert device_of({**machine, "CUDA_VISIBLE_DEVICES": "4"}) == "4"


def test_what_a_killed_command_leaves_behind_is_killed_before_the_slot_is_free(machine):
    alone = {**machine, "CUDA_VISIBLE_DEVICES": "4"}
    script = "sleep 600 >/dev/null 2>&1 & echo $! $POSTTX_GPU_SLOT; exec sleep 600"
    with holders(alone, 1, script) as (processes, printed):
        left, token = printed[0].split()
        assert int(left) in marked_processes(token)
        processes[0].kill()
        assert processes[0].wait() == -signal.SIGKILL
        assert device_of(alone, wait=PATIENCE) == "4"
        assert marked_processes(token) == []
        assert "killing 1 processes it left on the GPU" in processes[0].stderr.read()


def test_a_killed_guard_does_not_free_the_slot_of_a_living_command(machine):
    alone = {**machine, "CUDA_VISIBLE_DEVICES": "4"}
    lock = Path(machine["POSTTX_GPU_LOCKS"]) / "gpu-4.lock"
    with holders(alone, 1) as (processes, _):
        (guard,) = [pid for pid in processes_with(lock) if pid != processes[0].pid]
        os.kill(guard, signal.SIGKILL)
        with pytest.raises(PostTxError, match=f"no GPU slot free .* by process {processes[0].pid}: sh"):
            take_slots(1, alone, wait_seconds=0.3)
    take_slots(1, alone, wait_seconds=PATIENCE).release()


def _hold_and_fork(environment, channel):
    slots = take_slots(1, environment)
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    channel.send((child, slots.descriptors))
    time.sleep(600)


def test_without_a_guard_a_forked_child_keeps_the_slot_until_it_is_gone(machine):
    alone = {**machine, "CUDA_VISIBLE_DEVICES": "4"}
    here, there = multiprocessing.Pipe()
    holder = multiprocessing.get_context("fork").Process(target=_hold_and_fork, args=(alone, there))
    holder.start()
    child, _ = here.recv()
    holder.kill()
    holder.join()
    try:
        with pytest.raises(PostTxError, match=r"no GPU slot free .* \(gone; its children go on\)"):
            take_slots(1, alone, wait_seconds=0.1)
    finally:
        os.kill(child, signal.SIGKILL)
    take_slots(1, alone, wait_seconds=PATIENCE).release()


def test_never_two_on_one_device_while_jobs_are_killed_at_random(machine, tmp_path):
    # A job that meets a living other one on its device says so; every other job is killed while it holds its slot.
    script = f"""
        note={tmp_path}/on-$CUDA_VISIBLE_DEVICES
        if [ -e $note ] && grep -qs '^State:.[^Z]' /proc/$(cat $note)/status; then echo two >>{tmp_path}/clashes; fi
        echo $$ >$note; echo in; sleep 0.15; rm $note
    """
    jobs = [with_gpu(machine, "sh", "-c", script) for _ in range(10)]
    for number, job in enumerate(jobs):
        if number % 2:
            job.stdout.readline()
            job.kill()
    codes = [job.wait(timeout=PATIENCE) for job in jobs]
    for job in jobs:
        job.communicate()
    assert codes[::2] == [0] * 5
    assert not (tmp_path / "clashes").exists()


def test_cpu_and_no_gpus_pass_through(machine):
    without = {**machine, "CUDA_VISIBLE_DEVICES": ""}
    assert device_of(without, device="cpu") == ""
    assert device_of(without, gpus=0) == ""
    assert not Path(machine["POSTTX_GPU_LOCKS"]).exists()


def test_a_batch_job_keeps_the_devices_that_it_was_given(machine):
    job = {**machine, "SLURM_JOB_ID": "12", "CUDA_VISIBLE_DEVICES": "4"}
    with holders(job, 1) as (_, devices):
        assert devices == ["4"]
        assert device_of(job) == "4"
        assert not Path(machine["POSTTX_GPU_LOCKS"]).exists()
    assert assigned_by_scheduler({"SLURM_JOB_ID": "12"}, 1)
    assert not assigned_by_scheduler({"CUDA_VISIBLE_DEVICES": "4"}, 1)


def test_a_workflow_inside_an_allocation_of_several_gpus_shares_them_out_by_job(machine):
    allocation = {**machine, "SLURM_JOB_ID": "12"}
    with holders(allocation, 2) as (_, devices):
        assert sorted(devices) == ["4", "7"]
        # Each allocation counts its devices from 0: the same number in another one is another device.
        assert device_of({**allocation, "SLURM_JOB_ID": "13"}) == "4"


def test_no_gpu_at_all_is_said_at_once(machine):
    assert "no GPU to use (CUDA_VISIBLE_DEVICES=)" in device_of({**machine, "CUDA_VISIBLE_DEVICES": ""})


@pytest.mark.parametrize(
    ("visible", "names"),
    [("0,1", "0 1"), (" 3 , 0,3", "3 0"), ("", ""), ("-1", ""), ("1,-1,0", "1"), ("fake a/b", "fake_a_b")],
)
def test_visible_devices_are_read_as_cuda_reads_them(visible, names):
    assert [device.key for device in visible_devices({"CUDA_VISIBLE_DEVICES": visible, "PATH": ""})] == names.split()


def test_nvidia_smi_counts_where_nothing_is_set_and_names_get_the_numbers_lock(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "POSTTX_GPUS": "9"}
    assert visible_devices(environment) == [Device("0", "0"), Device("1", "1")]
    by_name = visible_devices({**environment, "CUDA_VISIBLE_DEVICES": "GPU-bbbb"})
    assert by_name == [Device("GPU-bbbb", "1")]
    program.write_text(NVIDIA_SMI + MIG)
    assert [device.name for device in visible_devices(environment)] == ["0", "MIG-c-3", "MIG-d-4"]
    program.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert len(visible_devices(environment)) == 9
    with pytest.raises(PostTxError, match="POSTTX_GPUS is 'two'"):
        visible_devices({**environment, "POSTTX_GPUS": "two"})


def test_numbers_of_nvidia_smi_are_made_those_of_cuda(tmp_path):
    slots = take_slots(1, {"PATH": "", "POSTTX_GPUS": "1", "POSTTX_GPU_LOCKS": str(tmp_path / "locks")})
    assert slots.environment({})["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_DEVICE_ORDER" not in slots.environment({"CUDA_VISIBLE_DEVICES": "0"})
    slots.release()


def test_the_lock_folder_does_not_depend_on_the_session():
    assert lock_folder({"TMPDIR": "/elsewhere", "XDG_RUNTIME_DIR": "/run/x"}) == Path(f"/tmp/posttx-gpu-{os.getuid()}")


def test_a_lock_folder_that_others_could_have_laid_is_refused(machine, tmp_path, monkeypatch):
    folder = Path(machine["POSTTX_GPU_LOCKS"])
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    with pytest.raises(PostTxError, match="others may write to it"):
        take_slots(1, machine)
    folder.chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 12345)
        with pytest.raises(PostTxError, match="belongs to somebody else"):
            take_slots(1, machine)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(PostTxError, match="cannot be used"):
        take_slots(1, {**machine, "POSTTX_GPU_LOCKS": str(tmp_path / "link")})
    (folder / "gpu-4.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(PostTxError, match="lock of GPU 4 cannot be taken"):
        take_slots(1, machine)
    assert not (tmp_path / "victim").exists()


def test_a_removed_lock_file_is_made_anew(machine):
    alone = {**machine, "CUDA_VISIBLE_DEVICES": "4"}
    slots = take_slots(1, alone)
    slots.release()
    (Path(machine["POSTTX_GPU_LOCKS"]) / "gpu-4.lock").unlink()
    take_slots(1, alone, wait_seconds=0.1).release()


def test_five_folds_on_two_gpus_under_the_gpu_profile(machine, tmp_path):
    (tmp_path / "fold.sh").write_text(
        "set -e; mkdir on-$CUDA_VISIBLE_DEVICES; sleep 0.4; rmdir on-$CUDA_VISIBLE_DEVICES\n"
        "echo $CUDA_VISIBLE_DEVICES >$1\n"
    )
    (tmp_path / "Snakefile").write_text(
        f"""
rule all:
    input:
        expand("{{fold}}.txt", fold=range(5)),

rule fold:
    output:
        "{{fold}}.txt",
    resources:
        gpu=1,
    shell:
        'exec {sys.executable} {WITH_GPU} --device cuda --gpus {{resources.gpu}} -- sh {tmp_path}/fold.sh {{output}}'
"""
    )
    profile = str(ROOT / "profiles" / "gpu")
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", profile, "--resources", "gpu=2", "--cores", "5"]
    done = subprocess.run(
        [*command, "--retries", "0"],
        cwd=tmp_path,
        env=machine,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted({(tmp_path / f"{fold}.txt").read_text().strip() for fold in range(5)}) == ["4", "7"]
