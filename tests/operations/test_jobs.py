"""Jobs: long work that shows how far it is, can be cancelled, is tried again, and survives a restart."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from tagline import jobs as module
from tagline.errors import DiskFull, Unavailable
from tagline.jobs import JOBS, Job, Jobs, Running
from tests.house import House, behind_its_back, running, until
from tests.test_db import full_disk


class Workshop:
    """Work that waits to be told what to do; `begun` counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.going = asyncio.Event()
        self.finish = asyncio.Event()
        self.fault: Exception | None = None
        self.cancelled = False

    async def work(self, job: Running) -> Any:
        self.begun += 1
        self.going.set()
        try:
            await job.progress(3, 10, "three of ten", now=True)
            await self.finish.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.fault:
            raise self.fault
        return {"made": job.payload}


def jobs_of(house: House) -> Jobs:
    return house.app[JOBS]


async def started(house: House, kind: str = "odd", payload: Any = None, **options: Any) -> tuple[Workshop, str]:
    """A job of a new kind, at work."""
    shop = Workshop()
    jobs_of(house).register(kind, shop.work, **options)
    job = await jobs_of(house).add(kind, payload)
    await shop.going.wait()
    return shop, job


async def state(house: House, job: str) -> Any:
    return (await house.ana.get(f"/api/jobs/{job}")).json


# One job


async def test_a_job_tells_how_far_it_is_and_what_it_made(house: House) -> None:
    shop, job = await started(house, payload=["a", 1])

    async def told() -> bool:
        return bool((await state(house, job))["done"] == 3)

    await until(told)
    body = await state(house, job)
    assert set(body) == set(Job.__struct_fields__)
    assert (body["kind"], body["state"], body["total"], body["message"]) == ("odd", "running", 10, "three of ten")
    assert (body["error"], body["result"], body["tries"], body["ended_at"]) == (None, None, 1, None)
    assert body["created_at"] <= body["started_at"]
    shop.finish.set()
    ended = await jobs_of(house).ended(job)
    assert ended.state == "succeeded"
    body = await state(house, job)
    assert (body["state"], body["result"]) == ("succeeded", {"made": ["a", 1]})
    assert body["started_at"] <= body["ended_at"]


async def test_an_unknown_job_is_404_and_a_malformed_id_400(house: House) -> None:
    for method in ("GET", "DELETE"):
        answer = await house.ana.ask(method, f"/api/jobs/{uuid.uuid4()}")
        assert (answer.status, answer.json["detail"]) == (404, "Job not found")
        assert (await house.ana.ask(method, "/api/jobs/mine")).status == 400
    assert (await house.ana.post("/api/jobs", {})).status == 405
    assert (await house.eve.get(f"/api/jobs/{uuid.uuid4()}")).status == 401


async def test_a_job_that_is_cancelled_while_it_runs_stops_at_once(house: House) -> None:
    shop, job = await started(house)
    waiting = asyncio.create_task(jobs_of(house).ended(job))
    answer = await house.ana.delete(f"/api/jobs/{job}")
    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    assert shop.cancelled
    assert (await waiting).state == "cancelled"
    again = await house.ana.delete(f"/api/jobs/{job}")
    assert (again.status, again.json["code"]) == (409, "job_ended")


async def test_a_job_that_is_cancelled_is_not_revived_by_the_fault_it_had_at_the_same_moment(house: House) -> None:
    _, job = await started(house, tries=2)
    assert (await house.ana.delete(f"/api/jobs/{job}")).status == 200
    # As when its next try is in the writer's queue, behind the cancelling.
    await house.db.write(module._again, job, "it failed", 10)
    assert (await state(house, job))["state"] == "cancelled"
    [(last,)] = behind_its_back(house, "select data from changes where entity_id = ? order by seq desc limit 1", job)
    assert last == '{"state":"cancelled"}'


async def test_a_job_that_is_cancelled_while_it_waits_never_begins(house: House) -> None:
    shop, first = await started(house)
    second = await jobs_of(house).add("odd")
    assert (await state(house, second))["state"] == "queued"
    assert (await house.ana.delete(f"/api/jobs/{second}")).json["state"] == "cancelled"
    shop.finish.set()
    assert (await jobs_of(house).ended(first)).state == "succeeded"
    third = await jobs_of(house).add("odd")
    assert (await jobs_of(house).ended(third)).state == "succeeded"
    assert shop.begun == 2


async def test_cancelling_needs_the_scope_to_write(house: House) -> None:
    shop, job = await started(house)
    assert (await (await house.key("read")).delete(f"/api/jobs/{job}")).status == 403
    assert not shop.cancelled


async def test_one_job_of_a_kind_runs_at_a_time_and_other_kinds_go_on(house: House) -> None:
    slow, first = await started(house, "slow")
    second = await jobs_of(house).add("slow")
    quick, other = await started(house, "quick")
    quick.finish.set()
    assert (await jobs_of(house).ended(other)).state == "succeeded"
    assert slow.begun == 1
    slow.finish.set()
    assert (await jobs_of(house).ended(first)).state == (await jobs_of(house).ended(second)).state == "succeeded"


async def test_who_waits_for_a_job_may_give_up_without_harm_to_others_who_do(house: House) -> None:
    shop, job = await started(house)
    waiting = [asyncio.create_task(jobs_of(house).ended(job)) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    shop.finish.set()
    assert [ended.state for ended in await asyncio.gather(*waiting[1:])] == ["succeeded"] * 2


# Faults


async def test_a_fault_of_the_work_is_told_and_a_fault_of_ours_only_in_the_log(house: House) -> None:
    for fault, told in (
        (Unavailable("The disk is unplugged", code="storage_away"), "The disk is unplugged"),
        (ValueError("hunter2"), "Something went wrong; the log has the details."),
    ):
        shop, job = await started(house, str(type(fault)))
        shop.fault = fault
        shop.finish.set()
        assert (await jobs_of(house).ended(job)).state == "failed"
        body = await state(house, job)
        assert (body["state"], body["error"]) == ("failed", told)
        assert "hunter2" not in str(body)


async def test_a_result_that_cannot_be_told_is_a_fault_like_another(house: House) -> None:
    async def odd(job: Running) -> Any:
        return object()

    jobs_of(house).register("odd", odd)
    assert (await jobs_of(house).ended(await jobs_of(house).add("odd"))).state == "failed"


async def test_a_job_is_tried_again_each_time_later_and_then_kept_to_look_at(house: House) -> None:
    shop = Workshop()
    shop.fault = Unavailable("not now")
    shop.finish.set()
    jobs_of(house).register("odd", shop.work, tries=3)
    job = await jobs_of(house).add("odd")
    waits = []
    for tries in (1, 2):

        async def failed(tries: int = tries) -> bool:
            body = await state(house, job)
            return bool(body["state"] == "queued" and body["tries"] == tries)

        await until(failed)
        [(after, now)] = behind_its_back(house, "select run_after, started_at from jobs where id = ?", job)
        waits.append((after - now) / 1_000_000)
        assert (await state(house, job))["error"] == "not now"
        # The time has come.
        behind_its_back(house, "update jobs set run_after = 0 where id = ?", job)
        await jobs_of(house).add("nothing")
    assert (await jobs_of(house).ended(job)).state == "failed"
    assert shop.begun == 3
    assert waits == pytest.approx([10, 40], abs=2)


async def test_a_retry_comes_by_itself_when_its_time_has_come(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.05)
    shop = Workshop()
    shop.fault = Unavailable("not now")
    shop.finish.set()
    jobs_of(house).register("odd", shop.work, tries=2)
    assert (await jobs_of(house).ended(await jobs_of(house).add("odd"))).state == "failed"
    assert shop.begun == 2


async def test_a_retry_is_not_held_up_by_jobs_of_kinds_that_are_busy(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.05)
    await started(house, "slow")
    await jobs_of(house).add("slow")
    shop = Workshop()
    shop.fault = Unavailable("not now")
    shop.finish.set()
    jobs_of(house).register("odd", shop.work, tries=2)
    assert (await jobs_of(house).ended(await jobs_of(house).add("odd"))).state == "failed"
    assert shop.begun == 2


async def test_on_a_full_disk_who_waits_is_told_and_the_job_ends_when_there_is_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_AGAIN_SECONDS", 0.02)
    shop, job = await started(house)

    async def told() -> bool:
        return bool((await state(house, job))["done"] == 3)

    await until(told)
    waiting = asyncio.create_task(jobs_of(house).ended(job))
    with full_disk(1):
        shop.finish.set()
        with pytest.raises(DiskFull):
            await waiting
        assert (await state(house, job))["state"] == "running"
    assert (await jobs_of(house).ended(job)).state == "succeeded"
    # And the dispatcher is alive.
    assert (await jobs_of(house).ended(await jobs_of(house).add("odd"))).state == "succeeded"


# Restarts


def furnished(shop: Workshop) -> Callable[[web.Application], None]:
    async def register(app: web.Application) -> None:
        app[JOBS].register("odd", shop.work, tries=2)

    async def context(app: web.Application) -> Any:
        await register(app)
        yield

    return lambda app: app.cleanup_ctx.insert(len(app.cleanup_ctx) - 1, context)


async def test_a_job_in_flight_when_the_service_ends_runs_again_and_a_cancelled_one_does_not(tmp_path: Path) -> None:
    first = Workshop()
    async with running(tmp_path, furnished(first)) as house:
        job = await jobs_of(house).add("odd", 7)
        cancelled = await jobs_of(house).add("odd", 8)
        await first.going.wait()
        await house.ana.delete(f"/api/jobs/{cancelled}")
    second = Workshop()
    second.finish.set()
    async with running(tmp_path, furnished(second)) as house:
        ended = await jobs_of(house).ended(job)
        assert (ended.state, ended.tries) == ("succeeded", 2)
        assert msgspec.json.decode(bytes(ended.result)) == {"made": 7}
        assert (await state(house, cancelled))["state"] == "cancelled"
        assert (first.begun, second.begun) == (1, 1)


async def test_a_job_that_was_running_when_the_power_failed_runs_again(tmp_path: Path) -> None:
    async with running(tmp_path, furnished(Workshop())) as house:
        job = await jobs_of(house).add("other", 7)
    async with running(tmp_path) as house:
        behind_its_back(house, "update jobs set state = 'running', kind = 'odd', tries = 1 where id = ?", job)
    shop = Workshop()
    shop.finish.set()
    async with running(tmp_path, furnished(shop)) as house:
        assert (await jobs_of(house).ended(job)).state == "succeeded"


async def test_jobs_that_ended_a_month_ago_are_forgotten(tmp_path: Path) -> None:
    shop = Workshop()
    shop.finish.set()
    async with running(tmp_path, furnished(shop)) as house:
        old, new = [await jobs_of(house).add("odd") for _ in range(2)]
        await jobs_of(house).ended(old)
        await jobs_of(house).ended(new)
        behind_its_back(house, "update jobs set ended_at = ended_at - 31 * 86400000000 where id = ?", old)
    async with running(tmp_path, furnished(shop)) as house:
        assert [job["id"] for job in (await house.ana.get("/api/jobs")).json["items"]] == [new]


# The list


async def test_the_list_goes_from_the_newest_on_page_by_page(house: House) -> None:
    made = [await jobs_of(house).add(f"kind {number}") for number in range(7)]
    seen: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        page = (await house.ana.get(f"/api/jobs?limit=3{f'&cursor={cursor}' if cursor else ''}")).json
        assert (page["total"], page["limit"]) == (7, 3)
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        pages += 1
        # What comes meanwhile belongs before the first page, and moves nothing.
        if pages == 1:
            behind_its_back(house, "update jobs set message = 'x'")
    assert pages == 3
    assert seen == made[::-1]


async def test_an_empty_list_is_a_list(house: House) -> None:
    assert (await house.ana.get("/api/jobs")).json == {"total": 0, "limit": 50, "items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=", "cursor=x", "cursor=%00", "cursor=LTE", "cursor=eCB5"]
)
async def test_a_page_that_makes_no_sense_is_400(house: House, query: str) -> None:
    answer = await house.ana.get(f"/api/jobs?{query}")
    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


async def test_a_scan_is_a_job_and_a_second_one_joins_it(house: House) -> None:
    first = await house.ana.post("/rescan", headers={"Prefer": "respond-async"})
    assert first.status == 202
    assert first.headers["Location"] == f"/api/jobs/{first.json['job']}"
    ended = await jobs_of(house).ended(first.json["job"])
    assert (ended.kind, ended.state) == ("scan", "succeeded")
    body = (await house.ana.get(first.headers["Location"])).json
    assert body["result"]["status"] == "ok"
