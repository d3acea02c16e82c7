"""Lines of logs: of this CPU, of users' GPUs, and in the formats llama.cpp prints for others."""

from stoker.engines.measured import BufferLog, device_of, read_buffer
from stoker.planner.devices import HOST

CPU = """0.00.003.922 I load_tensors:   CPU_Mapped model buffer size =     5.59 MiB
0.00.004.000 I llama_context:        CPU  output buffer size =     0.05 MiB
0.00.005.105 I llama_kv_cache:        CPU KV buffer size =     6.00 MiB
0.00.005.105 I llama_memory_recurrent:        CPU RS buffer size =     0.50 MiB
0.00.005.400 I sched_reserve:        CPU compute buffer size =     9.02 MiB"""
CUDA = """load_tensors:        CUDA0 model buffer size =  4095.05 MiB
load_tensors:   CPU_Mapped model buffer size =    70.31 MiB
llama_kv_cache:      CUDA0 KV buffer size =  1024.00 MiB
llama_context:  CUDA_Host  output buffer size =     0.12 MiB
llama_context:      CUDA0 compute buffer size =   296.00 MiB
llama_context:  CUDA_Host compute buffer size =    12.01 MiB"""
METAL = "load_tensors: MTL0_Mapped model buffer size =  4095.08 MiB"
TWO_CUDA = """load_tensors: offloading output layer to GPU
load_tensors: offloading 31 repeating layers to GPU
load_tensors: offloaded 33/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:        CUDA0 model buffer size =  2200.50 MiB
load_tensors:        CUDA1 model buffer size =  1894.55 MiB
llama_context:  CUDA_Host  output buffer size =     0.49 MiB
llama_kv_cache:      CUDA0 KV buffer size =   544.00 MiB
llama_kv_cache:      CUDA1 KV buffer size =   480.00 MiB
llama_kv_cache: size = 1024.00 MiB (  8192 cells,  32 layers,  1/1 seqs), K (f16):  512.00 MiB
sched_reserve:      CUDA0 compute buffer size =   160.01 MiB
sched_reserve:      CUDA1 compute buffer size =   258.50 MiB
sched_reserve:  CUDA_Host compute buffer size =    40.02 MiB"""
ROCM = """load_tensors: offloaded 20/41 layers to GPU
load_tensors:    ROCm_Host model buffer size =   102.54 MiB
load_tensors:   CPU_REPACK model buffer size =  3600.00 MiB
load_tensors:        ROCm0 model buffer size =  3812.25 MiB
llama_kv_cache:        CPU KV buffer size =   210.00 MiB
llama_kv_cache:      ROCm0 KV buffer size =   190.00 MiB
sched_reserve:      ROCm0 compute buffer size =   204.00 MiB
sched_reserve:  ROCm_Host compute buffer size =    18.01 MiB"""
APPLE = """load_tensors: offloaded 29/29 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   308.23 MiB
load_tensors:  MTL0_Mapped model buffer size =  1918.36 MiB
llama_kv_cache:       MTL0 KV buffer size =   448.00 MiB
sched_reserve:       MTL0 compute buffer size =   256.50 MiB
sched_reserve:        CPU compute buffer size =    14.01 MiB"""
APPLE_OF_2024 = """llm_load_tensors: offloaded 33/33 layers to GPU
llm_load_tensors:        CPU buffer size =    70.31 MiB
llm_load_tensors:      Metal model buffer size =  4095.05 MiB
llama_kv_cache_init:      Metal KV buffer size =  1024.00 MiB"""
HYBRID = """load_tensors: offloaded 10/49 layers to GPU
load_tensors:      Vulkan0 model buffer size =   900.00 MiB
llama_memory_recurrent:      Vulkan0 RS buffer size =    30.25 MiB
llama_memory_recurrent:        CPU RS buffer size =   120.75 MiB
llama_kv_cache:      Vulkan0 KV buffer size =    12.00 MiB"""
MIB = 1024 * 1024


def watched(text: str) -> BufferLog:
    log = BufferLog()
    for line in text.splitlines():
        log(line)
    return log


def read(text: str) -> dict[str, dict[str, int]]:
    return watched(text).totals


def in_mib(text: str) -> dict[str, dict[str, float]]:
    return {
        device: {kind: round(size / MIB, 2) for kind, size in kinds.items()}
        for device, kinds in read(text).items()
    }


def test_buffers_add_up_by_device_and_kind() -> None:
    assert read(CPU) == {
        HOST: {
            "weights": round(5.59 * MIB),
            "output": round(0.05 * MIB),
            "cache": 6 * MIB + MIB // 2,
            "compute": round(9.02 * MIB),
        }
    }
    split = read(CUDA)
    assert split["CUDA0"] == {
        "weights": round(4095.05 * MIB), "cache": 1024 * MIB, "compute": 296 * MIB,
    }  # fmt: skip
    assert split[HOST]["compute"] == round(12.01 * MIB)
    assert list(read(METAL)) == ["MTL0"]


def test_several_gpus_have_their_own_sums() -> None:
    assert in_mib(TWO_CUDA) == {
        HOST: {"weights": 281.81, "output": 0.49, "compute": 40.02},
        "CUDA0": {"weights": 2200.50, "cache": 544.0, "compute": 160.01},
        "CUDA1": {"weights": 1894.55, "cache": 480.0, "compute": 258.50},
    }


def test_what_only_serves_a_gpu_lies_in_host_memory() -> None:
    split = in_mib(ROCM)
    assert split[HOST] == {"weights": 102.54 + 3600.0, "cache": 210.0, "compute": 18.01}
    assert split["ROCm0"] == {"weights": 3812.25, "cache": 190.0, "compute": 204.0}


def test_apple_gpus_under_both_of_their_names() -> None:
    new, old = in_mib(APPLE), in_mib(APPLE_OF_2024)
    assert new["MTL0"] == {"weights": 1918.36, "cache": 448.0, "compute": 256.5}
    assert new[HOST] == {"weights": 308.23, "compute": 14.01}
    assert old["Metal"] == {"weights": 4095.05, "cache": 1024.0}


def test_recurrent_states_are_cache_wherever_they_lie() -> None:
    split = in_mib(HYBRID)
    assert split["Vulkan0"]["cache"] == 42.25
    assert split[HOST]["cache"] == 120.75


def test_layers_on_gpus_as_the_engine_counts_them() -> None:
    assert watched(TWO_CUDA).offloaded == (33, 33)
    assert watched(ROCM).offloaded == (20, 41)
    assert watched(APPLE_OF_2024).offloaded == (33, 33)
    assert watched(CPU).offloaded is None
    assert watched("load_tensors: offloaded some/all layers to GPU").offloaded is None


def test_other_lines_are_no_buffers() -> None:
    for line in ("", "model buffer size", "x CPU KV buffer size = lots MiB", CPU.replace("=", ":")):
        assert read_buffer(line) is None
    assert device_of("CPU_REPACK") == HOST


def test_a_flood_of_buffers_is_cut() -> None:
    log = BufferLog()
    for _ in range(10_000):
        log(METAL)
    assert log.totals["MTL0"]["weights"] == 256 * round(4095.08 * MIB)


def test_what_vllms_workers_hold() -> None:
    """Lines of vLLM 0.32, shortened: of GPUs by its sources, of a CPU as it wrote them."""
    log = BufferLog()
    for line in (
        "(Worker_TP0 pid=7) INFO Model loading took 7.51 GiB memory and 3.100000 seconds",
        "(Worker_TP1 pid=8) INFO Model loading took 7.48 GiB memory and 3.200000 seconds",
        "(Worker_TP0 pid=7) INFO Initial free memory 70.0 GiB, reserved 4.0 GiB memory for",
        "(Worker pid=9) INFO Checkpoint size: 0.00 GiB. Available RAM: 21.23 GiB.",
    ):
        log(line)
    assert log.worker == {"weights": round(7.51 * 1024**3), "cache": 4 * 1024**3}
    assert not log.totals
