from tests.house import House, make_photo


async def test_a_photo_in_the_folder_is_a_photo_in_the_list(house: House) -> None:
    make_photo(house.library / "2024/lake.jpg", caption="Ana at the lake", taken="2024:07:01 16:02:11")
    result = await house.scan()
    assert result["imported_count"] == 1
    photo = await house.photo("lake.jpg")
    assert photo["description"] == "Ana at the lake"
    assert photo["sha256"]
    assert photo["placeholder"]
    assert (await house.ana.get(f"/photos/{photo['id']}/thumbnail")).status == 200
    assert (await house.ana.get(f"/photos/{photo['id']}/image")).status == 200
    edited = await house.ana.patch(f"/photos/{photo['id']}/metadata", {"description": "  Zoë at the lake "})
    assert edited.json["description"] == "Zoë at the lake"
    assert [p["id"] for p in await house.photos("q=zoe")] == [photo["id"]]
    assert (await house.ana.get("/photos/untold")).json["total"] == 0
    assert (await house.ana.get(f"/photos/{photo['id']}/history")).json["total"] == 2
