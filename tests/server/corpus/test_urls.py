"""URLs that lead where only this machine can go are refused, wherever one can be written (row 15):
in a webhook when it is made or changed, in a step when it is about to be asked.
"""

import socket
import threading

import pytest

INSIDE = {
    "loopback": "http://127.0.0.1/",
    "loopback-short": "http://127.1/",
    "loopback-shorter": "http://127.0.1/",
    "loopback-decimal": "http://2130706433/",
    "loopback-octal": "http://0177.0.0.1/",
    "loopback-hexadecimal": "http://0x7f.0.0.1/",
    "loopback-hexadecimal-whole": "http://0x7f000001/",
    "loopback-elsewhere": "http://127.255.255.254/",
    "loopback-v6": "http://[::1]/",
    "loopback-v6-long": "http://[0:0:0:0:0:0:0:1]/",
    "loopback-mapped": "http://[::ffff:127.0.0.1]/",
    "loopback-mapped-hexadecimal": "http://[::ffff:7f00:1]/",
    "loopback-compatible": "http://[::127.0.0.1]/",
    "loopback-translated": "http://[::ffff:0:127.0.0.1]/",
    "loopback-nat64": "http://[64:ff9b::7f00:1]/",
    "loopback-6to4": "http://[2002:7f00:1::]/",
    "unspecified": "http://0.0.0.0/",
    "unspecified-zero": "http://0/",
    "unspecified-v6": "http://[::]/",
    "this-network": "http://0.1.2.3/",
    "localhost": "http://localhost/",
    "localhost-with-a-dot": "http://localhost./",
    "localhost-in-capitals": "http://LOCALHOST/",
    "localhost-below": "http://a.localhost/",
    "private-10": "http://10.0.0.1/",
    "private-172": "http://172.16.0.1/",
    "private-192": "http://192.168.1.1/",
    "private-mapped": "http://[::ffff:10.0.0.1]/",
    "private-v6": "http://[fd00::1]/",
    "carrier-grade": "http://100.64.0.1/",
    "link-local": "http://169.254.0.1/",
    "link-local-v6": "http://[fe80::1]/",
    "link-local-v6-with-a-zone": "http://[fe80::1%25eth0]/",
    "cloud-metadata": "http://169.254.169.254/latest/meta-data/",
    "cloud-metadata-decimal": "http://2852039166/",
    "cloud-metadata-mapped": "http://[::ffff:169.254.169.254]/",
    "cloud-metadata-v6": "http://[fd00:ec2::254]/",
    "multicast": "http://224.0.0.1/",
    "multicast-v6": "http://[ff02::1]/",
    "broadcast": "http://255.255.255.255/",
    "documentation": "http://192.0.2.1/",
    "benchmarking": "http://198.18.0.1/",
    "reserved": "http://240.0.0.1/",
    "teredo": "http://[2001:0:7f00:1::]/",
    "port-of-ssh": "https://example.com:22/",
    "port-of-smtp": "http://example.com:25/",
    "port-of-redis": "http://example.com:6379/",
    "port-zero": "http://example.com:0/",
    "port-too-large": "http://example.com:65536/",
    "port-of-text": "http://example.com:http/",
    "user": "https://user@example.com/",
    "user-and-password": "https://user:secret@example.com/",
    "user-that-looks-like-a-host": "https://example.com@127.0.0.1/",
    "backslash": "https://example.com\\@127.0.0.1/",
    "tab": "https://exa\tmple.com/",
    "line-end": "https://example.com/\r\nx: 1",
    "nul": "https://example.com/\x00",
    "space": "https://example .com/",
    "full-width-dot": "http://127\uff0e0\uff0e0\uff0e1/",
    "circled-digits": "http://\u2460\u2461\u2466.0.0.1/",
    "soft-hyphen": "http://local\u00adhost/",
    "scheme-file": "file:///etc/passwd",
    "scheme-ftp": "ftp://example.com/",
    "scheme-gopher": "gopher://127.0.0.1:6379/_x",
    "scheme-javascript": "javascript:alert(1)",
    "scheme-data": "data:text/plain,x",
    "scheme-of-a-socket": "unix:///var/run/docker.sock",
    "scheme-missing": "//example.com/",
    "scheme-alone": "http:",
    "host-missing": "http:///etc/passwd",
    "bracket-open": "http://[::1/",
    "no-url": "not a url",
    "too-long": "https://example.com/" + "a" * 3000,
}


@pytest.fixture(scope="module")
def trap():
    """A listener on this machine that counts who comes: nobody may."""
    found: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            found.append(line.recv(1000))
            line.close()

    thread = threading.Thread(target=take)
    thread.start()
    yield listener.getsockname()[1], found
    # Closing does not wake who waits in accept on every system; a last caller does.
    with socket.create_connection(listener.getsockname(), timeout=5):
        listener.close()
    thread.join(5)


@pytest.fixture(scope="module")
def webhook(keyed_target) -> str:
    made = keyed_target.http.post("/v1/webhooks", json={"url": "https://example.com/hook"})
    assert made.status_code == 201, made.text
    return str(made.json()["webhook_id"])


@pytest.mark.parametrize("name", INSIDE)
def test_no_webhook_is_made_for_it(keyed_target, name):
    answer = keyed_target.http.post("/v1/webhooks", json={"url": INSIDE[name]})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in {
        "invalid_text",
        "invalid_webhook",
        "out_of_range",
        "url_not_allowed",
    }


@pytest.mark.parametrize("name", INSIDE)
def test_no_webhook_is_changed_to_it(keyed_target, webhook, name):
    path = f"/v1/webhooks/{webhook}"
    answer = keyed_target.http.patch(path, json={"url": INSIDE[name]})
    assert answer.status_code == 422, answer.text
    assert keyed_target.http.get(path).json()["url"] == "https://example.com/hook"


def steps_asking(urls: dict[str, str]) -> dict:
    return {
        "name": "asking",
        "settings": {"max_retries": 0, "fail_fast": False},
        "tasks": [
            {"name": name, "uses": "http", "optional": True, "with": {"url": url}}
            for name, url in urls.items()
        ],
    }


def test_no_step_asks_it(keyed_target, trap):
    """All of them in one run: each step fails, and says what was denied."""
    port, found = trap
    texts = {name: url for name, url in INSIDE.items() if "\x00" not in url and name != "too-long"}
    texts["the-trap-itself"] = f"http://127.0.0.1:{port}/"
    texts["the-server-itself"] = keyed_target.url + "/v1/keys"
    run = keyed_target.start(steps_asking(texts), "completed")
    steps = {
        step["path"]: step
        for step in keyed_target.http.get(f"/v1/runs/{run}/steps?limit=1000").json()["items"]
    }
    assert steps.keys() == texts.keys()
    asked = [name for name, step in steps.items() if "egress_denied" not in str(step["error"])]
    assert asked == []
    assert found == []


def test_an_expression_that_makes_the_url_is_judged_too(keyed_target, trap):
    """Only when a step begins is its URL known: judging definitions would not be enough."""
    port, found = trap
    definition = {
        "name": "made",
        "settings": {"max_retries": 0},
        "inputs": {"host": {"type": "string"}},
        "tasks": [
            {
                "name": "ask",
                "uses": "http",
                "with": {"url": f"http://${{{{ inputs.host }}}}:{port}/"},
            }
        ],
    }
    run = keyed_target.start(definition, "failed", input={"host": "127.0.0.1"})
    told = keyed_target.http.get(f"/v1/runs/{run}").json()
    assert "egress_denied" in told["error"]["detail"]
    assert found == []
