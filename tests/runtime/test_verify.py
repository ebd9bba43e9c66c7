"""Before an attempt that may repeat an effect, a function is asked whether it has happened."""

import pytest
from payments import CALLS, PAID, known_soon, pay
from waiting import dag

import podium
from podium.errors import DefinitionError


@pytest.fixture(autouse=True)
def _fresh():
    PAID.clear()
    CALLS.clear()


@podium.task(max_retries=2, retry_delay=0, verify=known_soon)
async def pay_task(order, cents):
    return pay(order, cents)


@podium.workflow
async def paying(order):
    return await pay_task(order, cents=5)


def flow(verify):
    return dag(f"""
    - {{name: a, uses: "python:payments:pay", with: {{order: x, cents: 5}}, max_retries: 2,
       retry_delay: 0, verify: "{verify}"}}
    """)


@pytest.mark.parametrize("verify", ["known", "known_soon"])
async def test_what_an_earlier_attempt_did_is_not_done_again(app, verify):
    handle = await app.start(flow(f"python:payments:{verify}"))
    assert await handle.result() == 5
    assert CALLS == ["pay", "verify"]


async def test_a_durable_function_verifies_its_tasks_as_well(app):
    assert await (await app.start(paying, input="x")).result() == 5
    assert CALLS == ["pay", "verify"]


async def test_what_did_not_happen_is_done(app):
    handle = await app.start(flow("python:payments:nothing_known"))
    assert await handle.result() == 10
    assert CALLS == ["pay", "pay"]


async def test_while_nobody_knows_nothing_is_done(app):
    handle = await app.start(flow("python:payments:unreachable"))
    with pytest.raises(podium.TaskError, match="who knows"):
        await handle.result()
    assert CALLS == ["pay"]


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ('{name: a, uses: "python:m:f", verify: "m.f"}', "no function"),
        ('{name: a, uses: sleep, with: {duration: 1s}, verify: "python:m:f"}', "cannot be"),
        ('{name: a, verify: "python:m:f", tasks: [{name: b}]}', "cannot be"),
    ],
)
def test_a_verification_that_could_not_work_is_refused(task, why):
    with pytest.raises(DefinitionError, match=why):
        dag(f"\n    - {task}\n")
