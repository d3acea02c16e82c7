"""Numbers by model."""

from prometheus_client import generate_latest

from stoker.observe.metrics import Metrics


def _serve(metrics: Metrics, model: str) -> None:
    metrics.started(model, "llama.cpp")
    metrics.request(model, "llama.cpp", "chat", status=200, seconds=0.2, waited=0.1, first=0.15)


def test_numbers_are_kept_of_the_models_used_last() -> None:
    metrics = Metrics()
    for number in range(99):
        _serve(metrics, f"guest{number}")
    for number in range(99, 1000):
        _serve(metrics, "resident")
        _serve(metrics, f"guest{number}")
    text = generate_latest(metrics.registry).decode()
    assert 'guest999"' in text
    assert 'guest900"' not in text
    resident = [line for line in text.splitlines() if line.startswith("stoker_requests_total")]
    assert len(resident) == 100
    assert any('"resident"' in line and line.endswith(" 901.0") for line in resident)
    assert len(text) < 2_000_000
