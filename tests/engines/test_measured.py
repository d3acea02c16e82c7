"""Lines of real logs: CPU, and CUDA and Metal as their users posted them."""

from stoker.engines.measured import HOST, BufferLog, device_of, read_buffer

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
MIB = 1024 * 1024


def read(text: str) -> dict[str, dict[str, int]]:
    log = BufferLog()
    for line in text.splitlines():
        log(line)
    return log.totals


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


def test_other_lines_are_no_buffers() -> None:
    for line in ("", "model buffer size", "x CPU KV buffer size = lots MiB", CPU.replace("=", ":")):
        assert read_buffer(line) is None
    assert device_of("CPU_REPACK") == HOST


def test_a_flood_of_buffers_is_cut() -> None:
    log = BufferLog()
    for _ in range(10_000):
        log(METAL)
    assert log.totals["MTL0"]["weights"] == 256 * round(4095.08 * MIB)
