"""What is said of a device that cannot be used, and what happens where nothing can be compiled."""

import os
import subprocess

import pytest
import torch

from posttx.errors import PostTxError
from posttx.networks import devices

CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((9, 0), ["sm_75", "sm_80", "sm_90"], True),
        ((8, 9), ["sm_75", "sm_80", "sm_90"], True),
        ((7, 0), ["sm_75", "sm_80"], False),
        ((10, 3), ["sm_90", "sm_100a"], True),
        ((12, 0), ["sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((9, 0), [], True),
    ],
)
def test_programs_run_on_later_minors_and_intermediate_code_on_all_later_devices(capability, built_for, runs):
    assert devices.runs_on(capability, built_for) is runs


def test_a_missing_device_is_told_with_cuda_and_driver(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    listing = subprocess.CompletedProcess([], 0, "NVIDIA Old, 470.1, 3.5\n", "")
    monkeypatch.setattr(devices.subprocess, "run", lambda *given, **more: listing)
    with pytest.raises(PostTxError, match=r"no CUDA device is available to torch .* NVIDIA Old, 470.1, 3.5"):
        devices.refuse_unusable(CUDA)

    def absent(*given, **more):
        raise FileNotFoundError

    monkeypatch.setattr(devices.subprocess, "run", absent)
    with pytest.raises(PostTxError, match=r"nvidia-smi, which would say more, is not there.*profiles/README.md"):
        devices.refuse_unusable(CUDA)
    devices.refuse_unusable(torch.device("cpu"))


def test_a_device_that_torch_was_not_built_for_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Old")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    with pytest.raises(PostTxError, match=r"NVIDIA Old has compute capability 6.1.*sm_75 sm_90"):
        devices.refuse_unusable(CUDA)


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [("cuda", {}, True), ("cuda", {"nnUNet_compile": "f"}, False), ("cpu", {"nnUNet_compile": "t"}, False)],
)
def test_nnunets_own_switch_turns_compiling_off(kind, given, wanted):
    assert devices.wants_compiling(torch.device(kind), given) is wanted


@pytest.mark.parametrize("compiler", ["", "/nonexistent"])
def test_whether_anything_can_be_compiled_is_tried(monkeypatch, caplog, tmp_path, compiler):
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "programs"))
    if compiler:
        monkeypatch.setattr(config.cpp, "cxx", (compiler,))
    torch._dynamo.reset()
    assert devices.can_compile.__wrapped__("cpu") is not bool(compiler)
    assert ("cannot be compiled, which costs speed alone" in caplog.text) is bool(compiler)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_programs_that_another_user_compiled_are_not_run(monkeypatch, tmp_path):
    """In /tmp, anybody can make the folder of that name first."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "torchinductor_me"))
    devices.claim_compiler_cache()
    assert (tmp_path / "torchinductor_me").stat().st_mode & 0o777 == 0o700
    os.chown(tmp_path / "torchinductor_me", 54321, 54321)
    for refused in (devices.claim_compiler_cache, lambda: devices.can_compile.__wrapped__("cpu")):
        with pytest.raises(PostTxError, match="belongs to user 54321"):
            refused()


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.cuda.OutOfMemoryError("x"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (ValueError("out of memory"), False),
    ],
)
def test_a_full_memory_is_told_from_other_errors(error, memory):
    assert devices.is_out_of_memory(error) is memory
