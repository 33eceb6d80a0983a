"""Every shape that crosses a service boundary: requests, answers, task payloads. Data only, no behaviour."""
